"""Connections that hold a place of the pages without use are cut, and keep nobody out meanwhile."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from unittest import mock

import pytest
import uvicorn

from builders.certificates import Authority
from builders.deadline import until
from builders.site import pages_in
from config.settings import Settings
from dicom_node.web import deadlines
from dicom_node.web.server import _configuration, _tls

_HALF_A_HEAD = b"GET /health HTTP/1.1\r\nHost: loc"
_HALF_A_BODY = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nname="
_WHOLE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Where the pages answer, with short deadlines."""
    with _served(tmp_path) as port:
        yield port


@contextmanager
def _served(folder: Path, **web: str) -> Iterator[int]:
    short = mock.patch.multiple(deadlines, HANDSHAKE_S=1.0, REQUEST_S=1.0, TAKING_S=1.0)
    with short, pages_in(folder, login=True, **web) as pages, socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(_configuration(pages.site, _tls(pages.site)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        until(lambda: server.started, within_s=30, what="the pages answer")
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(timeout=30)


def _connected(port: int, source: str, *said: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
    for part in said:
        connection.sendall(part)
    return connection


def _status(port: int, path: str) -> int:
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


def _is_cut(connection: socket.socket) -> bool:
    """Whether the other side ends the connection before the test gives up."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return True


@pytest.mark.parametrize("said", [b"", _HALF_A_HEAD, _HALF_A_BODY])
def test_a_hundred_connections_without_a_whole_request_keep_nobody_out(port: int, said: bytes) -> None:
    """A load balancer has its answer while they stand; they are cut."""
    with ExitStack() as stack:
        silent = [stack.enter_context(_connected(port, "127.0.0.2")) for _ in range(100)]
        for one in silent[: deadlines.PER_ADDRESS]:
            one.sendall(said)
        assert _status(port, "/health") == 200
        assert all(_is_cut(one) for one in silent)
        with _connected(port, "127.0.0.2", _WHOLE) as again:
            assert again.recv(100).startswith(b"HTTP/1.1 200")


def test_a_handshake_that_does_not_come_is_cut_as_on_the_port_for_dicom(tmp_path: Path) -> None:
    """Whether it was never begun or stopped in its middle; who does it has an answer meanwhile."""
    issued = Authority(tmp_path / "ca").issue("pages")
    believed = ssl.create_default_context(cafile=tmp_path / "ca" / "ca.pem")
    with _served(tmp_path, certificate=str(issued.certificate), key=str(issued.key)) as port, ExitStack() as stack:
        silent = [
            stack.enter_context(_connected(port, "127.0.0.2", said)) for said in (b"", b"\x16\x03\x01\x02\x00\x01")
        ]
        with closing(HTTPSConnection("localhost", port, timeout=20, context=believed)) as connection:
            connection.request("GET", "/health")
            assert connection.getresponse().status == 200
        assert all(_is_cut(one) for one in silent)
    assert Settings().listen.first_pdu_timeout_s == deadlines.HANDSHAKE_S


def test_half_a_request_behind_an_answer_is_cut_too(port: int) -> None:
    """One answer buys no place for good; neither does half a request that comes with a whole one."""
    with _connected(port, "127.0.0.2", _WHOLE) as first, _connected(port, "127.0.0.2", _WHOLE + _HALF_A_HEAD) as second:
        assert first.recv(100).startswith(b"HTTP/1.1 200")
        first.sendall(_HALF_A_HEAD)
        assert _is_cut(first)
        assert _is_cut(second)


def test_who_takes_no_answer_is_cut(port: int) -> None:
    """However many requests are sent ahead."""
    with socket.socket() as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.settimeout(20)
        greedy.connect(("127.0.0.1", port))
        with pytest.raises(ConnectionError):
            for _ in range(200):
                greedy.sendall(1000 * _WHOLE)


def test_a_request_in_parts_is_answered_and_the_next_one_too(port: int) -> None:
    """As long as each is whole in time."""
    with _connected(port, "127.0.0.1") as slow:
        for _ in range(3):
            slow.sendall(_WHOLE[:20])
            slow.sendall(_WHOLE[20:])
            answer = HTTPResponse(slow)
            answer.begin()
            assert (answer.status, answer.read()) == (200, b'{"status": "alive"}')
