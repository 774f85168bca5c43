"""How many GPUs a process sees, told without loading CUDA."""

import re
from pathlib import Path

# The driver's device files, one for each GPU (docs.nvidia.com, "Driver Device Files").
_DEVICE = re.compile(r"nvidia\d+")
_WORDS = re.compile(r"GPUs: (\d+)")


def visible_gpus(devices: Path = Path("/dev")) -> int:
    """How many GPUs this process may open."""
    return sum(1 for path in devices.glob("nvidia*") if _DEVICE.fullmatch(path.name))


def gpus_in_words(count: int) -> str:
    """As the worker says it with its sign of life."""
    return f"GPUs: {count}"


def gpus_from(words: str) -> int | None:
    """What a sign of life says; None where it says nothing."""
    found = _WORDS.search(words)
    return int(found[1]) if found else None
