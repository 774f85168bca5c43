"""What every connection of a receiving process needs."""

import logging
from collections.abc import Callable
from threading import Event, Lock

from config.settings import ListenSettings, Settings
from dicom_node.audit.trail import AuditTrail, own_party
from dicom_node.clock import Clock
from dicom_node.commitment.scp import CommitmentScp
from dicom_node.listen.admission import Admission, Caller, Rejection
from dicom_node.listen.auditing import ListenerAudit
from dicom_node.listen.carrying import AssociationLedger
from dicom_node.listen.closing import ClosingConnections
from dicom_node.listen.disk_floor import DiskFloor
from dicom_node.listen.intake import Intake
from dicom_node.listen.limits import Places, SilentConnections
from dicom_node.listen.notices import NoticeScp
from dicom_node.listen.proxied import LoadBalancers
from dicom_node.listen.quiet import OncePerMinute
from dicom_node.listen.receive import Receiver
from dicom_node.listen.refused import RefusedCallerNotes
from dicom_node.machines import association_prefix
from storage.files import ObjectStore
from storage.index import Index

logger = logging.getLogger(__name__)


class Services:
    """Admission, receiver, answerers and counts of one process."""

    def __init__(
        self,
        settings: Settings,
        store: ObjectStore,
        index: Index,
        *,
        trail: AuditTrail,
        clock: Clock,
        places: Places | None = None,
    ) -> None:
        """Hand these to every connection.

        Args:
            settings: Of the node.
            store: Takes what is received.
            index: Knows what is received.
            trail: Takes what happens.
            clock: For limits and log.
            places: For associations; None where this process gives them out itself.
        """
        self.listen: ListenSettings = settings.listen
        self.load_balancers = LoadBalancers(settings.listen.load_balancers)
        self.clock = clock
        self.admission = Admission(
            settings, clock=clock, places=places, disk=DiskFloor(settings.storage, store.free_bytes)
        )
        self.receiver = Receiver(settings, store, Intake(store, index), clock=clock)
        self.ledger = AssociationLedger(index, prefix=association_prefix(settings.machine))
        self.notices = NoticeScp(index)
        self.commitment = CommitmentScp(settings, index.commitments)
        self.audit = ListenerAudit(trail, own_party(settings), clock=clock)
        self.refused = RefusedCallerNotes(index.refused_callers, clock=clock)
        self.stopping = Event()
        self.silent = SilentConnections(settings.listen.maximum_silent_connections)
        self.closing = ClosingConnections()
        self.connections = OpenConnections()
        self._quiet = OncePerMinute(clock)

    def follow(self, settings: Settings) -> None:
        """Go by these settings from now on; associations that are open go on."""
        self.listen = settings.listen
        self.load_balancers = LoadBalancers(settings.listen.load_balancers)
        self.silent.maximum = settings.listen.maximum_silent_connections
        self.receiver.follow(settings)
        self.commitment.follow(settings)
        # Last: who is admitted by them finds the rest in force.
        self.admission.follow(settings)

    def inform_index(self) -> None:
        """Say in the index which associations are open, and who was refused; what it does not take is said later."""
        self.admission.log_unlisted()
        self.ledger.beat()
        self.refused.write()

    def refuse(self, rejection: Rejection, caller: Caller, *, answer: Callable[[], None]) -> None:
        """Log a rejection, let it be answered, then note it for the administrator and in the audit trail."""
        is_first = self.admission.log(rejection, caller)
        answer()
        self.refused.note(rejection, caller)
        if is_first:
            self.audit.note_refusal(rejection, caller)

    def log_cut(self, address: tuple[str, int], why: str) -> None:
        """Log a connection that became no association, once a minute for each address and reason."""
        if self._quiet.passes((address[0], why)):
            logger.warning("connection from %s cut: %s", address[0], why)

    def log_no_thread(self) -> None:
        """Log that a connection was closed because no thread can be started for it, once a minute."""
        if self._quiet.passes("no thread"):
            logger.error(
                "connections are closed unserved: no more threads can be started; see TasksMax= of the service, `ulimit -u`"
            )


class OpenConnections:
    """Counts the connections that this process serves."""

    def __init__(self) -> None:
        """None is open."""
        self._count = 0
        self._lock = Lock()

    def __len__(self) -> int:
        """Those that are open."""
        return self._count

    def begin(self) -> None:
        """One more."""
        with self._lock:
            self._count += 1

    def end(self) -> None:
        """One less."""
        with self._lock:
            self._count -= 1
