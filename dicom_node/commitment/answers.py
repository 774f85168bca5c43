"""Statuses that requests of storage commitment are answered with (PS3.7 10.1.1.1.8, 10.1.4.1.10 and annex C)."""

import logging
from collections.abc import Callable

from pydicom.dataset import Dataset

from dicom_node.commitment.datasets import BadContentError, TooManyReferencesError
from storage.errors import StorageError

logger = logging.getLogger(__name__)

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT = 0x0113
INVALID_ARGUMENT = 0x0115
NO_SUCH_CLASS = 0x0118
NO_SUCH_ACTION = 0x0123
NOT_AUTHORISED = 0x0124
RESOURCE_LIMITATION = 0x0213

Answer = tuple[int, Dataset | None]


def answered(status_of: Callable[[], int], *, what: str) -> Answer:
    """The answer to a request; whatever is wrong with it, that is a status.

    Args:
        status_of: Does what is asked; its status is given when it is done.
        what: The request in a log line.
    """
    try:
        status = status_of()
    except BadContentError:
        status = INVALID_ARGUMENT
    except TooManyReferencesError:
        status = RESOURCE_LIMITATION
    except StorageError as error:
        logger.warning("a %s was not kept: %s", what, error.detail)
        status = PROCESSING_FAILURE
    except Exception as error:  # noqa: BLE001  # pydicom raises whatever it likes over a malformed data set
        logger.warning("a %s was not understood [%s]", what, type(error).__name__)
        status = PROCESSING_FAILURE
    if status != SUCCESS:
        logger.warning("%s refused with 0x%04X", what, status)
    return status, None
