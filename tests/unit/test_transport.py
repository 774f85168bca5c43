"""Reading from a peer in bulk, with TLS and without."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.association import Association

from dicom_node.listen.transport import BoundedSocket, StalledError

FIRST = b"first"
DATA = bytes(range(256)) * 4096


@contextmanager
def plain_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Sender and receiver over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
    with sender, receiver:
        yield sender, receiver


@contextmanager
def tls_pair(folder: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The same with TLS."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed: apt install openssl")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run(
        [*command, "-subj", "/CN=node", "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    theirs = ssl.create_default_context(cafile=str(certificate))
    with plain_pair() as (sender, receiver), ThreadPoolExecutor(1) as peer:
        accepted = peer.submit(ours.wrap_socket, receiver, server_side=True)
        with theirs.wrap_socket(sender, server_hostname="node") as opened, accepted.result(10) as listening:
            yield opened, listening


@pytest.fixture(params=["plain", "tls"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, BoundedSocket]]:
    """A sender, and what reads from it; a few bytes were read before."""
    opened = plain_pair() if request.param == "plain" else tls_pair(tmp_path)
    with opened as (sender, receiver):
        yield sender, BoundedSocket(Association(AE(), "acceptor"), receiver, first_pdu=FIRST)


def test_pieces_are_what_was_sent(pair: tuple[socket.socket, BoundedSocket]) -> None:
    """A megabyte, in whatever pieces it arrives, after what was read before."""
    sender, connection = pair
    with ThreadPoolExecutor(1) as peer:
        sent = peer.submit(sender.sendall, DATA)
        assert connection.recv(len(FIRST)) == FIRST
        assert b"".join(bytes(piece) for piece in connection.pieces(len(DATA))) == DATA
        sent.result(10)


def test_peeked_bytes_stay(pair: tuple[socket.socket, BoundedSocket]) -> None:
    """What was looked at is read again, also across what was read before."""
    sender, connection = pair
    sender.sendall(DATA[:1000])
    assert bytes(connection.peek(10)) == FIRST + DATA[:5]
    assert bytes(connection.peek(700)) == FIRST + DATA[:695]
    connection.skip(10)
    assert connection.recv(990) == DATA[5:995]


def test_waiting_sees_what_is_in_the_buffers(pair: tuple[socket.socket, BoundedSocket]) -> None:
    """Also what TLS holds decrypted, and what was read ahead."""
    sender, connection = pair
    connection.skip(len(FIRST))
    assert not connection.wait_readable(0.01)
    sender.sendall(DATA[:3])
    assert connection.wait_readable(10)
    assert connection.recv(1) == DATA[:1]
    assert connection.wait_readable(0)
    assert connection.unread_bytes == 2


def test_end_in_the_middle_is_said(pair: tuple[socket.socket, BoundedSocket]) -> None:
    """No half of what was asked for passes as the whole."""
    sender, connection = pair
    sender.sendall(DATA[:3])
    sender.shutdown(socket.SHUT_RDWR)
    with pytest.raises(StalledError):
        list(connection.pieces(100))
    assert connection.recv(100) == b""


def test_lie_about_a_length_reads_nothing(pair: tuple[socket.socket, BoundedSocket]) -> None:
    """More than any PDU may have closes the connection before a byte is kept."""
    _, connection = pair
    assert connection.recv(connection.maximum_bytes + 1) == b""
