"""Decides who may have an association."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from config.settings import Peer, Settings
from dicom_node.clock import Clock
from dicom_node.journal import CALLING_AET
from dicom_node.listen.disk_floor import DiskFloor
from dicom_node.listen.limits import AssociationPlaces, Places, Shortage
from dicom_node.listen.quiet import BoundPerAddress, OncePerMinute
from dicom_node.tls.certificates import Certificate

logger = logging.getLogger(__name__)

_A_ASSOCIATE_RJ = 0x03
LISTED_A_MINUTE = 30
"""Refused callers in the log of one address: more than a department behind one router has, not what a scan of titles makes."""


class Rejection(Enum):
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 9.3.4, table 9-21), with the words for the log."""

    APPLICATION_CONTEXT = (
        1,
        1,
        2,
        "application context name not supported: the caller does not mean DICOM (PS3.7 A.2.1)",
    )
    NO_CALLED_AE_TITLE = (
        *(1, 1, 7),
        "what it calls is no AE title: it is blank, or has characters that none may have; correct it at the caller",
    )
    NO_CALLING_AE_TITLE = (
        *(1, 1, 3),
        "the caller has no AE title: it is blank, or has characters that none may have; correct it at the caller",
    )
    CALLED_AE_TITLE = (1, 1, 7, "called AE title not recognised: senders must use [node].ae_title")
    CALLING_AE_TITLE = (1, 1, 3, "calling AE title not recognised: add a [[peers]] block with may_send = true")
    CERTIFICATE = (1, 1, 3, "the calling AE title is bound to a certificate that was not shown: see docs/tls.md")
    PLAIN = (1, 1, 1, "the peer has tls = true and called without: let it call the TLS port, or set may_call_plain")
    LOCAL_LIMIT = (2, 3, 2, "too many associations at the same time: see [listen].maximum_associations")
    ADDRESS_LIMIT = (
        *(2, 3, 2),
        "too many associations from this address: see [listen].maximum_associations_per_address",
    )

    FREE_FLOOR = (2, 3, 2, "the disk is nearly full: see [storage].free_floor_bytes and association_margin_bytes")

    @property
    def code(self) -> tuple[int, int, int]:
        """Result, source and reason."""
        return self.value[:3]

    @property
    def pdu(self) -> bytes:
        """The A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
        return bytes([_A_ASSOCIATE_RJ, 0, 0, 0, 0, 4, 0, *self.code])

    @property
    def is_shortage(self) -> bool:
        """Whether it will pass: it says nothing about the caller."""
        return self in {Rejection.LOCAL_LIMIT, Rejection.ADDRESS_LIMIT, Rejection.FREE_FLOOR}

    @property
    def words(self) -> str:
        """Why, and what an administrator can do."""
        return self.value[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks for an association."""

    calling_aet: str
    called_aet: str
    address: str
    has_tls: bool = False
    certificate: Certificate | None = None
    """What it showed in the TLS handshake, which verified it; None: nothing."""


class _Rules:
    """What the settings say about callers; replaced as a whole, so that each decision is by one version of the file."""

    def __init__(self, settings: Settings) -> None:
        self.called_aet = settings.node.ae_title
        self.reporters = settings.commitment_titles
        reporting = {peer.commitment_ae_title: peer for peer in settings.peers if peer.commitment_ae_title}
        self.known = reporting | {peer.ae_title: peer for peer in settings.peers}
        self._senders = frozenset(peer.ae_title for peer in settings.senders)
        self._is_open = settings.listen.accept_unknown_callers

    def may_store(self, title: str) -> bool:
        """Whether the configuration lets this caller send objects: a peer if it may, others where the node is open."""
        return title in self._senders or (self._is_open and title not in self.known)


class Admission:
    """Checks AE titles, certificates and places against the configuration."""

    def __init__(
        self, settings: Settings, *, clock: Clock, places: Places | None = None, disk: DiskFloor | None = None
    ) -> None:
        """Admit the configured senders, and everybody where the configuration says so, while the disk has room.

        Args:
            settings: Of the node.
            clock: For the log.
            places: For associations; None for as many as the configuration says.
            disk: That objects go to; None where nobody looks at it.
        """
        self._disk = disk
        listen = settings.listen
        self._rules = _Rules(settings)
        self.places = places or AssociationPlaces(
            total=listen.maximum_associations, per_address=listen.maximum_associations_per_address
        )
        self._quiet = OncePerMinute(clock)
        self._listed = BoundPerAddress(clock, limit=LISTED_A_MINUTE)
        # The listener calls itself to see whether it still answers; nobody can guess under which title.
        self.probe_aet = "PROBE" + secrets.token_hex(5).upper()

    def follow(self, settings: Settings) -> None:
        """Admit by these settings from now on; who was admitted stays."""
        self._rules = _Rules(settings)
        if self._disk:
            self._disk.follow(settings.storage)
        if isinstance(self.places, AssociationPlaces):
            listen = settings.listen
            self.places.limit(total=listen.maximum_associations, per_address=listen.maximum_associations_per_address)

    def rejection_of(self, caller: Caller, *, is_over: Callable[[], bool]) -> Rejection | None:
        """Why an association is rejected; None if it is admitted, and has a place.

        Args:
            caller: As in the request and in the handshake.
            is_over: Whether the association has ended and its place is free.
        """
        rules, calling_aet = self._rules, caller.calling_aet.strip(" ")
        if caller.called_aet.strip(" ") != rules.called_aet:
            return Rejection.CALLED_AE_TITLE
        if secrets.compare_digest(calling_aet.encode(), self.probe_aet.encode()):
            return None
        if not (rules.may_store(calling_aet) or calling_aet in rules.reporters):
            return Rejection.CALLING_AE_TITLE
        if mistake := _mistaken(rules.known.get(calling_aet), caller):
            return mistake
        if self._disk and self.may_store(calling_aet) and self._disk.is_low():
            return Rejection.FREE_FLOOR
        return self._without_place(caller.address, is_over)

    def _without_place(self, address: str, is_over: Callable[[], bool]) -> Rejection | None:
        shortage = self.places.take(address, is_over=is_over)
        return _SHORTAGES[shortage] if shortage else None

    def may_store(self, calling_aet: str) -> bool:
        """Whether a caller that is admitted may send objects; else it may only echo, ask and report."""
        title = calling_aet.strip(" ")
        return title not in self._rules.reporters or self._rules.may_store(title)

    def log(self, rejection: Rejection, caller: Caller) -> bool:
        """Log a rejection, of one address not more than 30 a minute; whether it is the first of its kind for a minute."""
        if not self._quiet.passes((rejection, caller.calling_aet, caller.address)):
            return False
        if self._listed.passes(caller.address):
            titles = (caller.calling_aet, caller.called_aet)
            about = {CALLING_AET: caller.calling_aet}
            logger.warning("rejected %r calling %r from %s: %s", *titles, caller.address, rejection.words, extra=about)
        return True

    def log_unlisted(self) -> None:
        """Say of each address how many of its rejections were not logged, once its minute is over."""
        for address, count in self._listed.take_left_out().items():
            logger.warning("%d further callers from %s were rejected and not listed: %s", count, address, _SEE)


_SEE = "dicom-node ae refused shows the newest; see who calls from there under so many AE titles"
_SHORTAGES = {Shortage.TOTAL: Rejection.LOCAL_LIMIT, Shortage.ADDRESS: Rejection.ADDRESS_LIMIT}


def _mistaken(peer: Peer | None, caller: Caller) -> Rejection | None:
    """Why the caller is not the peer that it says; None if it is, or nobody known."""
    if peer is None:
        return None
    if peer.is_bound and not _is_shown(peer, caller.certificate):
        return Rejection.CERTIFICATE
    must_use_tls = peer.tls and not peer.may_call_plain
    return Rejection.PLAIN if must_use_tls and not caller.has_tls else None


def _is_shown(peer: Peer, certificate: Certificate | None) -> bool:
    """Whether the certificate is the one that the AE title is bound to, by every key that is set."""
    if certificate is None:
        return False
    if peer.caller_fingerprints and certificate.fingerprint not in peer.caller_fingerprints:
        return False
    return not peer.caller_name or certificate.bears(peer.caller_name)
