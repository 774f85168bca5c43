"""What a load balancer says of a caller (the PROXY protocol)."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.transport import AddressInformation

from builders.proxy_header import header_of_version_1, header_of_version_2
from dicom_node.listen.errors import NotAskedError
from dicom_node.listen.proxied import LoadBalancers, ProxyHeader, read_proxy_header

BEHIND = b"\x01what comes behind it"
WITHIN_S = 0.2


@contextmanager
def said(data: bytes) -> Iterator[socket.socket]:
    """A connection on which this was said; the peer says no more, and closes."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(data)
        yield ours


def read(data: bytes) -> tuple[ProxyHeader | None, bytes]:
    """The header, and what is left on the connection."""
    with said(data) as connection:
        header = read_proxy_header(connection, within_s=WITHIN_S)
        return header, connection.recv(65536)


@pytest.mark.parametrize("header_of", [header_of_version_1, header_of_version_2])
@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_the_caller_is_whom_the_header_names(header_of: object, address: str) -> None:
    """Both versions, both families; what follows stays for whoever reads next."""
    assert callable(header_of)
    header, left = read(header_of(address, 40_123) + BEHIND)
    assert header == ProxyHeader(source=(address, 40_123))
    assert left == BEHIND


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        header_of_version_2("192.0.2.7", 1, kind=0x20),
        header_of_version_2("192.0.2.7", 1, family=0x31),
    ],
    ids=["unknown", "unknown with addresses", "local", "a socket of Unix"],
)
def test_a_balancer_may_speak_for_itself(data: bytes) -> None:
    """As when it looks whether the listener answers."""
    assert read(data + BEHIND) == (ProxyHeader(source=None), BEHIND)


@pytest.mark.parametrize("header_of", [header_of_version_1, header_of_version_2])
@pytest.mark.parametrize(("address", "port"), [("fe80::1", 65_535), ("::ffff:192.0.2.7", 0), ("::", 1)])
def test_every_source_that_is_believed_is_an_address_for_pynetdicom(header_of: object, address: str, port: int) -> None:
    """Whatever version says it, at the ends of what can be said; version 2 has no room for a zone, nor for a higher port."""
    assert callable(header_of)
    header, _ = read(header_of(address, port))
    assert header
    assert header.source
    assert AddressInformation.from_tuple(header.source).as_tuple[1] == port


def test_further_words_of_version_2_are_stepped_over() -> None:
    """Certificates and names (2.2, type-length-value vectors)."""
    header, left = read(header_of_version_2("192.0.2.7", 104, further=bytes(200)) + BEHIND)
    assert header == ProxyHeader(source=("192.0.2.7", 104))
    assert left == BEHIND


@pytest.mark.parametrize("first", [b"\x01", b"\x16"], ids=["association request", "TLS handshake"])
def test_what_is_no_header_is_left_alone(first: bytes) -> None:
    """The listener calls itself without one."""
    assert read(first + BEHIND) == (None, first + BEHIND)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PROXY TCP4 192.0.2.7",
        b"PROXY TCP4 " + b"1" * 200,
        b"PROXY TCP4 here there 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n",
        b"PROXY TCP6 fe80::1%nosuchif fe80::2 1 2\r\n",
        b"PROXY TCP6 fe80::1%1 fe80::2 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.8 65536 2\r\n",
        b"PUT / HTTP/1.1\r\n",
        b"\r\n\r\n\0\r\nQUIX\n" + bytes(16),
        header_of_version_2("192.0.2.7", 1)[:-1],
        header_of_version_2("192.0.2.7", 1, kind=0x31),
        header_of_version_2("192.0.2.7", 1, kind=0x22),
        header_of_version_2("192.0.2.7", 1, family=0x21),
        header_of_version_2("192.0.2.7", 1, length=60_000),
    ],
)
def test_a_damaged_header_is_an_error_in_our_words(data: bytes) -> None:
    """Short, long, of another version, without an address."""
    with said(data) as connection, pytest.raises(NotAskedError, match="load balancer"):
        read_proxy_header(connection, within_s=WITHIN_S)


def test_a_balancer_that_says_half_of_it_is_waited_for_no_longer() -> None:
    """The whole header has one deadline."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"PROXY TCP4 ")
        with pytest.raises(NotAskedError, match="in time"):
            read_proxy_header(ours, within_s=WITHIN_S)


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda data: b"PROXY " + data + b"\r\n")))
def test_whatever_is_said_ends_in_a_header_or_in_our_error(data: bytes) -> None:
    """Nothing else is raised, and no address is made up."""
    with said(data) as connection:
        try:
            header = read_proxy_header(connection, within_s=WITHIN_S)
        except NotAskedError:
            return
    assert header is None or header.source is None or header.source[0].encode() in data or b"QUIT" in data


def test_only_addresses_of_the_configuration_are_believed() -> None:
    """Single ones and networks; IPv4 also as IPv6 shows it."""
    balancers = LoadBalancers(["192.0.2.10", "198.51.100.0/28", "2001:db8::/64"])
    inside = ["192.0.2.10", "::ffff:192.0.2.10", "198.51.100.15", "2001:db8::1"]
    outside = ["192.0.2.11", "198.51.100.16", "2001:db8:1::1", "::1", "no address", ""]
    assert all(address in balancers for address in inside)
    assert not any(address in balancers for address in outside)
    assert "192.0.2.10" not in LoadBalancers([])
