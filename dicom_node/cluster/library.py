"""Ray, loaded only where it is used."""

import importlib
import os
from importlib.util import find_spec
from typing import Any

from config.ray import RaySettings
from dicom_node.cluster.errors import MissingRayError

RayModule = Any
"""The package `ray`; it is an extra, so that no type of it can be named here."""


def is_ray_installed() -> bool:
    """Whether the extra is there, without loading it."""
    return find_spec("ray") is not None


def ray_environment(settings: RaySettings) -> dict[str, str]:
    """What Ray reads from the environment when it is loaded (docs.ray.io, "Configuring TLS", "Token authentication").

    Nothing is reported to its makers.
    """
    environment = {"RAY_USAGE_STATS_ENABLED": "0"}
    if settings.tls_certificate and settings.tls_key and settings.tls_ca:
        environment |= {
            "RAY_USE_TLS": "1",
            "RAY_TLS_SERVER_CERT": str(settings.tls_certificate),
            "RAY_TLS_SERVER_KEY": str(settings.tls_key),
            "RAY_TLS_CA_CERT": str(settings.tls_ca),
        }
    if settings.token_file:
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(settings.token_file)}
    return environment


def load_ray(settings: RaySettings) -> RayModule:
    """Ray as the settings want it; its environment is set first, since it is read at import.

    Raises:
        MissingRayError: The extra is not installed.
    """
    if not is_ray_installed():
        raise MissingRayError
    os.environ |= ray_environment(settings)
    return importlib.import_module("ray")
