"""Refusals of the disk for which no study is at fault, as the process of an attempt tells them to its worker."""

import errno

from storage.errors import DiskError, DiskFailedError, DiskFullError, DiskReadOnlyError

DISK_REFUSALS = (DiskFailedError, DiskFullError, DiskReadOnlyError)

_CODE_OF_ERRNO = {errno.ENOSPC: 81, errno.EDQUOT: 81, errno.EROFS: 82, errno.EIO: 83}
"""errno(3). What the disk does not give of the study itself is found before anything is written, by `verify_inputs`."""
_MEANING_OF_CODE: dict[int, type[DiskError]] = {81: DiskFullError, 82: DiskReadOnlyError, 83: DiskFailedError}
"""Exit codes that nothing else ends with: those of sysexits(3) end at 78, those of a shell begin at 126."""


def refusal_code(error: BaseException) -> int:
    """The exit code of a process that ends for this error; 0 where it is no refusal of the disk."""
    return _CODE_OF_ERRNO.get(error.errno or 0, 0) if isinstance(error, OSError) else 0


def refusal_of(code: int) -> DiskError | None:
    """What the exit code of an attempt says of the disk; None for any other end."""
    meaning = _MEANING_OF_CODE.get(code)
    return meaning("said by the process of the attempt") if meaning else None
