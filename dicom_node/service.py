"""The process as a service: signals that end it, words to the service manager."""

import logging
import os
import signal
import socket
from queue import SimpleQueue
from threading import Event, Thread
from types import FrameType, TracebackType

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def notify_ready(status: str = "") -> None:
    """Tell the service manager that the service is up (sd_notify(3), READY)."""
    _notify("READY=1", status)


def notify_watchdog(status: str = "") -> None:
    """Tell the service manager that the service is alive (sd_notify(3), WATCHDOG)."""
    _notify("WATCHDOG=1", status)


def notify_waiting(status: str, *, within_s: float) -> None:
    """Tell the service manager that the start takes longer (sd_notify(3), EXTEND_TIMEOUT_USEC).

    Args:
        status: What is waited for.
        within_s: The start goes on, or this is said again, before that.
    """
    _notify(f"EXTEND_TIMEOUT_USEC={round(within_s * 1_000_000)}", status)


def notify_stopping(status: str = "") -> None:
    """Tell the service manager that the service ends on its own accord (sd_notify(3), STOPPING)."""
    _notify("STOPPING=1", status)


def _notify(state: str, status: str) -> None:
    """Send one datagram to $NOTIFY_SOCKET; nothing where no manager listens, which never harms the service."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    lines = [state, f"STATUS={status}"] if status else [state]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.sendto("\n".join(lines).encode(), address)
    except OSError as exc:
        logger.warning("the service manager was not reached: %s", exc.strerror)


class StopSignal:
    """Turns SIGTERM and SIGINT into an event while the context lasts; a second SIGINT interrupts as usual.

    Must be entered in the main thread.
    """

    def __init__(self) -> None:
        """Not yet told to stop."""
        self._stop = Event()
        # A handler runs in the middle of whatever the main thread does, even inside Event.wait with its lock held:
        # only a reentrant put is safe there (docs.python.org, queue.SimpleQueue), so another thread sets the event.
        self._arrived: SimpleQueue[int | None] = SimpleQueue()
        self._relay = Thread(target=self._pass_on, name="stop signal", daemon=True)
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> Event:
        """The event that is set by the first signal."""
        self._relay.start()
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._handle_signal)
        return self._stop

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned above
        self._arrived.put(None)
        self._relay.join()

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        self._arrived.put(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _pass_on(self) -> None:
        while self._arrived.get() is not None:
            self._stop.set()
