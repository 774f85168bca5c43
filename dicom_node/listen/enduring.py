"""What a thread does again and again for as long as its process lives, whatever any of it meets."""

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)


def do_each(*duties: Callable[[], None]) -> None:
    """Do one after the other; what one raises is logged, and the next is done all the same."""
    for duty in duties:
        try:
            duty()
        except Exception:
            logger.exception(
                "a defect of the node: it is tried again in a few seconds; send this log to who maintains it"
            )
