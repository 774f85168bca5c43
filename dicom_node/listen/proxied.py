"""Whom a load balancer speaks for: the PROXY protocol, versions 1 and 2 (haproxy.org, "The PROXY protocol").

The header comes before everything else, below TLS too. Only what an address of the configuration says is believed.
"""

import re
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from dicom_node.listen.errors import NotAskedError

_FIRST_OF_HEADERS = (b"P", b"\r")
# 2.1: at most 107 characters with the end of the line.
_LONGEST_LINE_BYTES = 107
_LINE = re.compile(rb"PROXY (?:UNKNOWN[^\r\n]*|(TCP[46]) (\S+) \S+ (\d{1,5}) \d{1,5})\r\n")
_HIGHEST_PORT = 65535
# 2.2: signature, version and command, family and protocol, length of the rest.
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_HEAD = struct.Struct(">BBH")
_VERSION_2, _LOCAL, _PROXY = 0x20, 0x0, 0x1
_TCP_OVER = {0x11: (struct.Struct(">4s4sHH"), IPv4Address), 0x21: (struct.Struct(">16s16sHH"), IPv6Address)}
# Addresses have 36 bytes at most; certificates and names may follow.
_LONGEST_REST_BYTES = 4096

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """What a load balancer says of a connection."""

    source: tuple[str, int] | None
    """Address and port of the caller; None where the balancer speaks for itself, as when it looks after the listener."""


class LoadBalancers:
    """Those whose word counts."""

    def __init__(self, addresses: Sequence[str]) -> None:
        """By their addresses or networks, as the configuration has them."""
        self._networks: tuple[Network, ...] = tuple(ip_network(one, strict=False) for one in addresses)

    def __contains__(self, address: object) -> bool:
        """Whether a connection from there begins with a header."""
        if not self._networks:
            return False
        try:
            parsed = ip_address(str(address))
        except ValueError:
            return False
        # A listener on "::" sees IPv4 so (RFC 4291 2.5.5.2).
        mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
        return any((mapped or parsed) in network for network in self._networks)


def read_proxy_header(connection: socket.socket, *, within_s: float) -> ProxyHeader | None:
    """The header; None, and nothing taken, where an association request or a handshake comes instead.

    Args:
        connection: Also one of TLS before its handshake.
        within_s: The header is to be here whole.

    Raises:
        NotAskedError: What comes is no header, or does not come in time.
    """
    take = _Taking(connection, ends_at_s=time.monotonic() + within_s)
    first = take.peek()
    if first not in _FIRST_OF_HEADERS:
        return None
    return _from_line(take) if first == b"P" else _from_binary(take)


class _Taking:
    """Takes bytes of a connection, no more than are asked for: what follows is not ours."""

    def __init__(self, connection: socket.socket, *, ends_at_s: float) -> None:
        """Take until then."""
        self._connection = connection
        self._ends_at_s = ends_at_s

    def peek(self) -> bytes:
        """The next byte, which stays."""
        return self._receive(1, socket.MSG_PEEK)

    def __call__(self, count: int) -> bytes:
        """Exactly so many."""
        taken = b""
        while len(taken) < count:
            taken += self._receive(count - len(taken), 0)
        return taken

    def _receive(self, count: int, flags: int) -> bytes:
        left_s = self._ends_at_s - time.monotonic()
        try:
            if left_s <= 0:
                raise TimeoutError
            self._connection.settimeout(left_s)
            # Below TLS, whose own method would shake hands.
            piece = socket.socket.recv(self._connection, count, flags)
        except OSError as exc:
            raise NotAskedError(_NOT_IN_TIME) from exc
        if not piece:
            raise NotAskedError(_NOT_IN_TIME)
        return piece


_NOT_IN_TIME = "the load balancer did not say in time whom it speaks for"
_NO_HEADER = "what the load balancer says of the caller is no PROXY header"


def _from_line(take: Callable[[int], bytes]) -> ProxyHeader:
    """Version 1: a line of text."""
    line = b""
    while not line.endswith(b"\n"):
        if len(line) == _LONGEST_LINE_BYTES:
            raise NotAskedError(_NO_HEADER)
        line += take(1)
    match = _LINE.fullmatch(line)
    if not match:
        raise NotAskedError(_NO_HEADER)
    if not match[1]:
        return ProxyHeader(source=None)
    try:
        source = ip_address(match[2].decode("ascii"))
    except ValueError as exc:
        raise NotAskedError(_NO_HEADER) from exc
    port = int(match[3])
    # 2.1 knows no zone (RFC 4007 11): it would name an interface of the balancer.
    if (isinstance(source, IPv6Address) and source.scope_id is not None) or port > _HIGHEST_PORT:
        raise NotAskedError(_NO_HEADER)
    return ProxyHeader(source=(str(source), port))


def _from_binary(take: Callable[[int], bytes]) -> ProxyHeader:
    """Version 2: signature, numbers, addresses, what we have no use for."""
    if take(len(_SIGNATURE)) != _SIGNATURE:
        raise NotAskedError(_NO_HEADER)
    kind, family, length = _HEAD.unpack(take(_HEAD.size))
    if kind not in {_VERSION_2 | _LOCAL, _VERSION_2 | _PROXY} or length > _LONGEST_REST_BYTES:
        raise NotAskedError(_NO_HEADER)
    rest = take(length)
    if kind == _VERSION_2 | _LOCAL or family not in _TCP_OVER:
        return ProxyHeader(source=None)
    layout, address_from = _TCP_OVER[family]
    if length < layout.size:
        raise NotAskedError(_NO_HEADER)
    source, _, port, _ = layout.unpack_from(rest)
    return ProxyHeader(source=(str(address_from(source)), port))
