"""The connection of a process to its cluster."""

import logging
import socket

from config.ray import RaySettings
from dicom_node.cluster.errors import UnreachableClusterError
from dicom_node.cluster.library import RayModule, load_ray

logger = logging.getLogger(__name__)

NAMESPACE = "dicom-node"
_ANSWER_WITHIN_S = 3.0


def connect(settings: RaySettings) -> RayModule:
    """Ray, connected; the actors of a process end with it.

    Raises:
        MissingRayError: The extra is not installed.
        UnreachableClusterError: Nothing listens there, this machine is no node of it, or it has another Ray or Python.
    """
    ray = load_ray(settings)
    try:
        socket.create_connection((settings.host, settings.port), timeout=_ANSWER_WITHIN_S).close()
    except OSError as exc:
        reason = f"nothing answers at [ray].address {settings.address}: start it with `ray start --head`"
        raise UnreachableClusterError(reason) from exc
    try:
        ray.init(address=settings.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, AssertionError, ray.exceptions.RayError) as exc:
        raise UnreachableClusterError(_why(settings, exc)) from exc
    return ray


def _why(settings: RaySettings, error: Exception) -> str:
    """What to do about Ray's words."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"the Ray cluster at {settings.address} did not take this machine: {said[0][:300]}. Is it a node of the cluster "
        "(`ray start --address=...`), with the same Ray and Python, TLS and token?"
    )
