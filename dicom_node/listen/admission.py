"""Decides who may have an association."""

import logging
import secrets
from enum import Enum

from config.settings import Settings
from dicom_node.clock import Clock
from dicom_node.listen.quiet import OncePerMinute

logger = logging.getLogger(__name__)


class Rejection(Enum):
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 9.3.4, table 9-21), with the words for the log."""

    CALLED_AE_TITLE = (1, 1, 7, "called AE title not recognised: senders must use [node].ae_title")
    CALLING_AE_TITLE = (1, 1, 3, "calling AE title not recognised: add a [[peers]] block with may_send = true")
    LOCAL_LIMIT = (2, 3, 2, "too many associations at the same time: see [listen].maximum_associations")

    @property
    def code(self) -> tuple[int, int, int]:
        """Result, source and reason."""
        return self.value[:3]

    @property
    def words(self) -> str:
        """Why, and what an administrator can do."""
        return self.value[3]


class Admission:
    """Checks the AE titles of a request against the configuration, and the number of associations."""

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        """Admit the configured senders, and everybody where the configuration says so."""
        self._called_aet = settings.node.ae_title
        self._senders = frozenset(peer.ae_title for peer in settings.senders)
        self._reporters = settings.commitment_titles
        self._is_open = settings.listen.accept_unknown_callers
        self._maximum_associations = settings.listen.maximum_associations
        self._quiet = OncePerMinute(clock)
        # The listener calls itself to see whether it still answers; nobody can guess under which title.
        self.probe_aet = "PROBE" + secrets.token_hex(5).upper()

    def rejection_of(self, *, calling_aet: str, called_aet: str, associations: int) -> Rejection | None:
        """Why an association is rejected; None if it is admitted.

        Args:
            calling_aet: As in the request.
            called_aet: As in the request.
            associations: That there would be with this one.
        """
        calling_aet = calling_aet.strip(" ")
        if called_aet.strip(" ") != self._called_aet:
            return Rejection.CALLED_AE_TITLE
        if secrets.compare_digest(calling_aet.encode(), self.probe_aet.encode()):
            return None
        if not self._is_open and calling_aet not in self._senders | self._reporters:
            return Rejection.CALLING_AE_TITLE
        return Rejection.LOCAL_LIMIT if associations > self._maximum_associations else None

    def may_store(self, calling_aet: str) -> bool:
        """Whether a caller that is admitted may send objects; else it may only echo, ask and report."""
        return self._is_open or calling_aet.strip(" ") not in self._reporters - self._senders

    def log(self, rejection: Rejection, *, calling_aet: str, called_aet: str, address: str) -> None:
        """Log a rejection, the same one not more than once a minute."""
        if self._quiet.passes((rejection, calling_aet, address)):
            logger.warning("rejected %r calling %r from %s: %s", calling_aet, called_aet, address, rejection.words)
