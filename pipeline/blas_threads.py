"""CPU threads of the linear algebra behind numpy and scipy, for which neither of them has a call."""

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

_MAPS = Path("/proc/self/maps")
"""The files that are mapped into this process: proc_pid_maps(5)."""

_NAMES = tuple(
    f"{prefix}openblas_{{}}_num_threads{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "_64", "")
)
"""`openblas_set_num_threads` of OpenBLAS as its builds call it: those in the wheels of numpy and scipy, and those of systems."""


def limit_blas_threads(count: int) -> None:
    """Let each OpenBLAS in this process use at most so many CPU threads; where another library does its work, nothing happens."""
    for set_threads in _functions("set"):
        set_threads(count)


def blas_threads() -> list[int]:
    """How many CPU threads each OpenBLAS in this process may use; empty where there is none."""
    return [int(get_threads()) for get_threads in _functions("get")]


def _functions(verb: str) -> Iterator[Callable[..., int]]:
    """One of each OpenBLAS in this process."""
    for path in _loaded():
        library = ctypes.CDLL(path)
        named = (getattr(library, name.format(verb), None) for name in _NAMES)
        yield from [function for function in named if function is not None][:1]


def _loaded() -> list[str]:
    """The files of the OpenBLAS libraries in this process."""
    lines = _MAPS.read_text().splitlines() if _MAPS.exists() else []
    return sorted({line.split(maxsplit=5)[-1] for line in lines if "openblas" in line.rpartition("/")[2]})
