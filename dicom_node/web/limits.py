"""How large the files may be that the pages read into memory."""

from pathlib import Path

LARGEST_FILE_BYTES = 64 * 1024**2
LARGEST_OBJECT_BYTES = 1024**3
"""An Enhanced CT of a thousand slices has half of it."""
LARGEST_VOXELS = 600_000_000
"""A thousand slices of 768 x 768."""


class TooLargeError(ValueError):
    """The file is too large to be shown here; open the study in a viewer."""


def read_limited(path: Path, *, limit_bytes: int = LARGEST_FILE_BYTES) -> bytes:
    """The content of a file.

    Raises:
        TooLargeError: It is larger than the limit.
        OSError: It cannot be read.
    """
    if path.stat().st_size > limit_bytes:
        raise TooLargeError
    return path.read_bytes()
