"""Keeps what pynetdicom raises over a malformed conversation inside its association, which is aborted for it."""

import logging
import time
from contextlib import suppress

from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import DimseServiceType
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError, StateMachine
from pynetdicom.pdu_primitives import A_P_ABORT
from pynetdicom.timer import Timer

from dicom_node.log import failure_in_short

logger = logging.getLogger(__name__)

# PS3.8 9.3.8: by the service provider, unexpected PDU.
_A_ABORT = bytes.fromhex("07 00 00000004 0000 02 02")
# PS3.8 9.2.3: idle; awaiting the end of the transport connection.
_OVER = ("Sta1", "Sta13")


class GuardedAssociation(Association):
    """An association whose threads never end in an exception, and whose timers do not follow the clock of the day."""

    def __init__(self, ae: ApplicationEntity) -> None:
        """An acceptor."""
        super().__init__(ae, "acceptor")
        self.guard(self.dul)

    def guard(self, dul: DULServiceProvider) -> None:
        """Serve the association by another upper layer provider, as guarded."""
        self.dul = dul
        dul.state_machine = _GuardedStateMachine(dul)
        dul._idle_timer = _SteadyTimer(dul._idle_timer.timeout)
        dul.artim_timer = _SteadyTimer(dul.artim_timer.timeout)

    def run_reactor(self) -> None:
        """Serve the association to its end; it is aborted where that fails."""
        try:
            super().run_reactor()
        except Exception as exc:  # noqa: BLE001  # whatever a peer brings pynetdicom to raise
            _log(exc)
            _cut(self.dul)

    def _serve_request(self, msg: DimseServiceType, context_id: int) -> None:
        """Serve a request; pynetdicom would leave one that lacks what it must have without an answer, for ever."""
        if msg.is_valid_request or msg.is_valid_response:
            super()._serve_request(msg, context_id)
            return
        logger.warning("association aborted: a %s without elements that it must have", msg.msg_type)
        # Evt19, invalid PDU: the state machine sends A-ABORT (PS3.8 9.2, AA-8).
        self.dul.event_queue.put("Evt19")


class _GuardedStateMachine(StateMachine):
    """The state machine of PS3.8 9.2, in which an event that does not fit is a reason to abort."""

    def do_action(self, event: str) -> None:
        """Act on an event."""
        try:
            super().do_action(event)
        except Exception as exc:  # noqa: BLE001  # whatever a peer brings pynetdicom to raise
            if not (isinstance(exc, InvalidEventError) and self.dul._kill_thread):
                _log(exc)
            _cut(self.dul)
            return
        if self.current_state in _OVER and self.dul.assoc.requestor.primitive is None:
            _end_unasked(self.dul)


class _SteadyTimer(Timer):
    """A timer of pynetdicom that goes by the monotonic clock: an hour set back or forth ends no association."""

    @property
    def remaining(self) -> float:
        """Seconds until it expires."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return float(self.timeout)
        end_s = time.monotonic() if self._end_time is None else self._end_time
        return float(self.timeout) - (end_s - self._start_time)

    def start(self) -> None:
        """Begin, or begin again."""
        self._start_time = time.monotonic()
        self._end_time = None

    def stop(self) -> None:
        """Hold."""
        self._end_time = time.monotonic()


def _cut(dul: DULServiceProvider) -> None:
    """Abort beside the state machine, which may be in no state to do it; both threads end."""
    association = dul.assoc
    association.is_aborted = True
    association.is_established = False
    with suppress(Exception):
        if dul.socket is not None and dul.socket.socket is not None:
            dul.socket.send(_A_ABORT)
    association._kill = True
    _end_unasked(dul)


def _end_unasked(dul: DULServiceProvider) -> None:
    """End both threads of an association that may still wait for its request: it would until its time-out."""
    dul.assoc.is_aborted = True
    dul.kill_dul()
    dul.to_user_queue.put(A_P_ABORT())


def _log(exc: Exception) -> None:
    logger.warning("association aborted: %s", failure_in_short(type(exc), exc.__traceback__))
