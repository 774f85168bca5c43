"""Messages between the listener and its further receiving processes, connections among them (unix(7), SCM_RIGHTS)."""

import json
import os
import select
import socket
from array import array
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_MAXIMUM_BYTES = 4096


class Said(StrEnum):
    """What a message is about; by whom it is said, and what it carries."""

    READY = "ready"
    """Process: it takes connections."""
    CONNECTION = "connection"
    """Listener: serve this one; whether its port is the TLS port, address of the peer."""
    CLOSED = "closed"
    """Process: a connection that it was given is over."""
    MAY_ENTER = "may enter"
    """Process: has an association a place? Number of the question, address of the peer."""
    PLACE = "place"
    """Listener: number of the question, the shortage or nothing."""
    LEFT = "left"
    """Process: the place is free again; number of the question."""
    ALIVE = "alive"
    """Process: it is."""
    SETTINGS = "settings"
    """Listener: the file of settings is another one."""
    STOP = "stop"
    """Listener: finish the objects that are arriving, end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message."""

    said: Said
    values: tuple[Any, ...] = ()
    connection: socket.socket | None = None


class ChannelClosedError(Exception):
    """The other process is gone."""


class Channel:
    """One end of a pair of sockets that keeps messages apart; any thread may send, one receives."""

    def __init__(self, end: socket.socket) -> None:
        """Talk over this end."""
        self._end = end

    @classmethod
    def pair(cls) -> tuple["Channel", socket.socket]:
        """A channel, and the end for the other process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    def send(self, said: Said, *values: Any, connection: socket.socket | None = None) -> None:
        """Send a message without ever waiting.

        Raises:
            ChannelClosedError: The other process is gone.
            BlockingIOError: It takes nothing: too much is on its way to it.
        """
        content = json.dumps([said, *values]).encode()
        # socket.send_fds leaves its flags out, and would wait.
        rights = array("i", [connection.fileno()] if connection else [])
        given = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if connection else []
        try:
            self._end.sendmsg([content], given, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            raise
        except OSError as exc:
            raise ChannelClosedError from exc

    def receive(self, *, within_s: float | None) -> Message | None:
        """The next message; None if none came in time.

        Raises:
            ChannelClosedError: The other process is gone.
        """
        if not select.select([self._end], [], [], within_s)[0]:
            return None
        try:
            content, descriptors, _, _ = socket.recv_fds(self._end, _MAXIMUM_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        except OSError as exc:
            raise ChannelClosedError from exc
        connection = _socket_of(descriptors)
        if not content:
            raise ChannelClosedError
        said, *values = json.loads(content)
        return Message(said=Said(said), values=tuple(values), connection=connection)

    def close(self) -> None:
        """Close this end."""
        self._end.close()


def _socket_of(descriptors: list[int]) -> socket.socket | None:
    first, *others = (*descriptors, -1)
    for descriptor in others:
        if descriptor >= 0:
            os.close(descriptor)
    return socket.socket(fileno=first) if first >= 0 else None
