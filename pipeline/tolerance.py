"""pydicom made to take what scanners write, without a word."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from warnings import catch_warnings, simplefilter

from pydicom.config import disable_value_validation

from pipeline.shared_change import SharedChange


@contextmanager
def _tolerant() -> Iterator[None]:
    with catch_warnings(), disable_value_validation():
        simplefilter("ignore")
        yield


_TOLERANT = SharedChange(_tolerant)


def tolerant_pydicom() -> AbstractContextManager[None]:
    """Within it pydicom neither checks values nor warns: its warnings quote the values of patients.

    Several threads may be in it at once; for all others of the process it holds as long.
    """
    return _TOLERANT.entered()
