"""A syslog server over TLS that keeps what it is sent (RFC 5425)."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from builders.certificates import Authority, Issued


@dataclass(slots=True)
class SyslogServer:
    """What came, and where it listens."""

    port: int
    messages: list[bytes] = field(default_factory=list)


@contextmanager
def syslog_server(
    identity: Issued, *, port: int = 0, client_ca: Authority | None = None, drops: int = 0
) -> Iterator[SyslogServer]:
    """A server for as long as the block lasts.

    Args:
        identity: Its certificate.
        port: 0 for a free one.
        client_ca: Clients must show a certificate from it.
        drops: So many connections are reset before anything of them was kept.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    if client_ca:
        context.load_verify_locations(client_ca.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", port)) as listening:
        server = SyslogServer(listening.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listening, context, server, drops), daemon=True)
        thread.start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _serve(listening: socket.socket, context: ssl.SSLContext, server: SyslogServer, drops: int) -> None:
    with suppress(OSError):
        while True:
            plain, _ = listening.accept()
            _take(plain, context, server, is_dropped=drops > 0)
            drops -= 1


def _take(plain: socket.socket, context: ssl.SSLContext, server: SyslogServer, *, is_dropped: bool) -> None:
    with suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as connection:
        if is_dropped:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            return
        server.messages += _frames(connection)


def _frames(connection: ssl.SSLSocket) -> list[bytes]:
    data = b""
    while received := connection.recv(65536):
        data += received
    with suppress(OSError):
        connection.unwrap()
    frames = []
    while data:
        size, _, rest = data.partition(b" ")
        frames.append(rest[: int(size)])
        data = rest[int(size) :]
    return frames
