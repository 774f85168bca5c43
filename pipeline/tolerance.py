"""pydicom made to take what scanners write, without a word."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from warnings import catch_warnings, simplefilter

from pydicom.config import disable_value_validation


class _Shared:
    """A change to the whole process that is made by the first who enters and undone by the last who leaves.

    Filters of warnings and pydicom's settings are one for all threads: were each thread to put back what it found, two
    that overlap would leave the change in place for ever, or take it away while the other one reads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._change = ExitStack()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within it the change is in place."""
        with self._lock:
            if self._inside == 0:
                self._change.enter_context(catch_warnings())
                simplefilter("ignore")
                self._change.enter_context(disable_value_validation())
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._change.close()


_SHARED = _Shared()


def tolerant_pydicom() -> AbstractContextManager[None]:
    """Within it pydicom neither checks values nor warns: its warnings quote the values of patients.

    Several threads may be in it at once; for all others of the process it holds as long.
    """
    return _SHARED.entered()
