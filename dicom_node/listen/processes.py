"""Further receiving processes: the listener accepts every connection and gives each to the process that has the fewest.

One process of Python fills one core. The listener serves connections itself as well; it alone gives out places for
associations, calls itself, and reports. A process that dies takes its own associations with it, no others.
"""

import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from subprocess import Popen
from threading import Event, Thread
from typing import Any

from config.settings import Settings
from dicom_node.child import end_child, start_child
from dicom_node.clock import Clock
from dicom_node.listen.channel import Channel, ChannelClosedError, Message, Said
from dicom_node.listen.limits import Places

logger = logging.getLogger(__name__)

_SILENT_FOR_S = 30.0
_CORES_FOR_EACH = 2
_MOST_BY_ITSELF = 4


def count_of(settings: Settings) -> int:
    """How many processes receive, the listener among them."""
    by_itself = max(1, min(_MOST_BY_ITSELF, len(os.sched_getaffinity(0)) // _CORES_FOR_EACH))
    return settings.listen.processes or by_itself


@dataclass(slots=True, kw_only=True, eq=False)
class _Process:
    """One further process, as the listener sees it."""

    number: int
    child: Popen[bytes]
    channel: Channel
    heard_at_s: float
    is_ready: bool = False
    open_count: int = 0
    """Connections that it was given and that are not over."""
    left: dict[int, Event] = field(default_factory=dict)
    """Of each place that one of its associations has, what is set when it is free again."""
    is_lost: bool = False


class ReceivingProcesses:
    """The further processes; started, fed, watched, started again."""

    def __init__(
        self, settings: Settings, places: Places, *, clock: Clock, folder: Path, descriptors: Sequence[int] = ()
    ) -> None:
        """None runs yet.

        Args:
            settings: Of the node.
            places: For associations of all processes together.
            clock: For the watch.
            folder: For the settings as the processes read them; readable by the node alone.
            descriptors: That they keep open: with the lock of the data folder, as long as one lives no second listener
                starts.
        """
        self._places = places
        self._clock = clock
        self._descriptors = tuple(descriptors)
        self._settings_path = folder / "settings.json"
        self._say_settings(settings)
        self._are_held = False
        self._processes: list[_Process] = []
        self._numbers = count(2)
        self._count = count_of(settings) - 1

    def follow(self, settings: Settings) -> None:
        """Let the processes, and those started later, go by these settings."""
        try:
            self._say_settings(settings)
        except OSError as exc:
            logger.warning(
                "receiving processes go by the configuration before: it cannot be written (%s)", exc.strerror
            )

    def _say_settings(self, settings: Settings) -> None:
        part = self._settings_path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(settings.model_dump_json(), encoding="utf-8")
        part.replace(self._settings_path)

    def start(self) -> None:
        """Start as many as the configuration says."""
        for _ in range(self._count):
            self._processes.append(self._started())

    def took(self, connection: socket.socket, address: tuple[Any, ...], *, has_tls: bool, open_here: int) -> bool:
        """Give a connection to a process that serves fewer than this one; False where there is none."""
        ready = [process for process in self._processes if process.is_ready and not process.is_lost]
        if self._are_held or not ready:
            return False
        chosen = min(ready, key=lambda process: process.open_count)
        if chosen.open_count >= open_here:
            return False
        try:
            chosen.channel.send(Said.CONNECTION, has_tls, *address, connection=connection)
        except (ChannelClosedError, BlockingIOError):
            return False
        chosen.open_count += 1
        return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Give no connection away for as long as the block lasts: the listener calls itself."""
        self._are_held = True
        try:
            yield
        finally:
            self._are_held = False

    def look_after(self) -> None:
        """Start those again that ended, end those that do not move."""
        for place, process in enumerate(self._processes):
            code = process.child.poll()
            is_silent = self._clock.monotonic() - process.heard_at_s > _SILENT_FOR_S
            if code is None and (is_silent or process.is_lost):
                logger.error("receiving process %d does not move: it is ended", process.number)
                process.child.kill()
                code = process.child.wait()
            if code is not None:
                logger.error(
                    "receiving process %d ended with code %d, its associations with it: another one is started",
                    process.number,
                    code,
                )
                process.channel.close()
                self._start_again(place)

    def _start_again(self, place: int) -> None:
        """Start another process in the place of one that ended; `look_after` tries again where that fails."""
        try:
            self._processes[place] = self._started()
        except (OSError, RuntimeError):
            logger.exception("no process, or no thread for it, can be started: it is tried again")

    def stop(self, *, within_s: float) -> None:
        """Let them finish the objects that are arriving, then end them."""
        for process in self._processes:
            with suppress(ChannelClosedError, BlockingIOError):
                process.channel.send(Said.STOP)
        ends_at_s = self._clock.monotonic() + within_s
        for process in self._processes:
            end_child(process.child, grace_s=max(0.0, ends_at_s - self._clock.monotonic()))
            process.channel.close()

    def _started(self) -> _Process:
        channel, theirs = Channel.pair()
        with theirs:
            command = [
                sys.executable,
                "-m",
                "dicom_node.listen.process",
                str(theirs.fileno()),
                str(self._settings_path),
            ]
            child = start_child(command, descriptors=(theirs.fileno(), *self._descriptors))
        process = _Process(number=next(self._numbers), child=child, channel=channel, heard_at_s=self._clock.monotonic())
        try:
            Thread(target=self._listen_to, args=(process,), name=f"process {process.number}", daemon=True).start()
        except RuntimeError:
            child.kill()
            child.wait()
            channel.close()
            raise
        return process

    def _listen_to(self, process: _Process) -> None:
        """Take what a process says until it is gone; then its places are free."""
        try:
            while message := process.channel.receive(within_s=None):
                process.heard_at_s = self._clock.monotonic()
                self._take(process, message)
        except (ChannelClosedError, BlockingIOError, ValueError):
            pass
        finally:
            process.is_lost = True
            for left in process.left.values():
                left.set()

    def _take(self, process: _Process, message: Message) -> None:
        match message.said:
            case Said.READY:
                process.is_ready = True
            case Said.CLOSED:
                process.open_count -= 1
            case Said.MAY_ENTER:
                self._answer(process, *message.values)
            case Said.LEFT:
                (question,) = message.values
                self._free(process, question)
            case _:
                pass

    def _answer(self, process: _Process, question: int, address: str) -> None:
        """Give a place, where there is one."""
        left = Event()
        shortage = self._places.take(address, is_over=left.is_set)
        if shortage is None:
            process.left[question] = left
        try:
            process.channel.send(Said.PLACE, question, shortage and shortage.value)
        except BlockingIOError:
            self._free(process, question)

    def _free(self, process: _Process, question: int) -> None:
        """A place is free again; it was none where the process gave up waiting for the answer."""
        if left := process.left.pop(question, None):
            left.set()
