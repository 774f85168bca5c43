"""A socket that takes entries as the systemd journal does, read by the rules of its protocol."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class JournalSocket:
    """What was sent to a journal."""

    def __init__(self, path: Path) -> None:
        """Listen at the path."""
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(20)

    def entry(self) -> dict[str, str]:
        """The next entry; TimeoutError where none comes."""
        return _parsed(self._socket.recv(1 << 20))

    def close(self) -> None:
        """Stop, as a journal does that is started anew."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


@contextmanager
def journal_socket(path: Path) -> Iterator[JournalSocket]:
    """A journal at a path for as long as the block lasts."""
    journal = JournalSocket(path)
    try:
        yield journal
    finally:
        journal.close()


def _parsed(data: bytes) -> dict[str, str]:
    """Fields of an entry (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    fields = {}
    while data:
        head, _, data = data.partition(b"\n")
        key, has_value, value = head.partition(b"=")
        if not has_value:
            (length,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + length], data[8 + length + 1 :]
        fields[key.decode()] = value.decode()
    return fields
