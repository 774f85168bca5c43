"""Whether a file changed since it was looked at."""

from pathlib import Path

FileStamp = tuple[int, int, int] | None
"""Modification time in ns, size in bytes, inode; None where there is no file."""


def stamp_of(path: Path | None) -> FileStamp:
    """Changes whenever the file is written or replaced. A link is followed: certbot replaces links."""
    if path is None:
        return None
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size, seen.st_ino
