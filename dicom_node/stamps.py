"""Tells whether a file was written or replaced."""

from pathlib import Path

Stamp = tuple[int, int, int]
"""Modification time in ns, size in bytes, inode."""


def stamp_of(path: Path | None) -> Stamp | None:
    """What changes with a file; None where there is none. A link is followed: certbot replaces links."""
    if path is None:
        return None
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino
