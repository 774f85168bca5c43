"""Which software a machine of the cluster runs."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "dicom-node"

_COMPARED = (DISTRIBUTION, "torch", "numpy", "scipy", "SimpleITK", "pydicom", "highdicom")
"""What decides about the bytes of a result."""


def own_versions() -> dict[str, str]:
    """Versions by name; empty for what is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _COMPARED}}


def differences(own: Mapping[str, str], other: Mapping[str, str]) -> str:
    """In words what another machine has otherwise; empty where there is nothing."""
    different = [name for name in own if own[name] != other.get(name, "")]
    return ", ".join(f"{name} {other.get(name) or 'is missing'} (here {own[name] or 'none'})" for name in different)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
