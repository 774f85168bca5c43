"""Why results could not be made or read back.

ResultsError
├── InconsistentAnalysisError    findings, masks and volume contradict each other
├── SourceImageError             a source image is gone or no longer readable
├── UnwritableResultError        a DICOM object could not be built from these headers
└── UnreadableResultError        the files of an earlier result are missing or damaged
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.errors import BytesLengthException


class ResultsError(Exception):
    """Results could not be made; see the log of the worker."""

    retryable = False

    def __init__(self, reason: str | None = None) -> None:
        """Keep the reason, a plain sentence without patient data."""
        self.reason = reason or (type(self).__doc__ or "")
        super().__init__(self.reason)


class InconsistentAnalysisError(ResultsError):
    """The findings and the masks of the pipeline contradict each other; report this as a defect."""


class SourceImageError(ResultsError):
    """A source image can no longer be read; check the disk, then run the study again."""


class UnwritableResultError(ResultsError):
    """The headers of the source images do not allow a valid DICOM result; check what the sender writes into them."""


class UnreadableResultError(ResultsError):
    """The files of an earlier result are missing or damaged; run that study again."""


@contextmanager
def header_faults() -> Iterator[None]:
    """Say in our words what pydicom and highdicom raise over hostile headers, whose values they decode when asked.

    Raises:
        UnwritableResultError: they raised it.
    """
    try:
        yield
    except _FAULTS as exc:
        raise UnwritableResultError from exc


# Found by fuzzing (tests/builders/fuzz_results.py): among them unknown value representations, missing UIDs.
_FAULTS = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, TypeError, ValueError, struct.error),
    *(BytesLengthException, NotImplementedError, RecursionError),
)
