"""The beginning of a connection: the load balancer's word, TLS handshake, association request, together in time."""

import socket
import ssl
import time
from dataclasses import dataclass

from dicom_node.listen.association_request import with_blank_padding, with_known_version
from dicom_node.listen.errors import NotAskedError
from dicom_node.listen.proxied import ProxyHeader, read_proxy_header
from dicom_node.listen.transport import read_first_pdu
from dicom_node.tls.certificates import Certificate
from dicom_node.tls.errors import CertificateError
from dicom_node.tls.failures import failure_in_words
from dicom_node.tls.sockets import certificate_of

# A time-out of zero would mean not to wait at all.
_MOMENT_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """How a connection was secured."""

    has_tls: bool
    certificate: Certificate | None
    """What the peer showed; it was verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What came before the association."""

    handshake: Handshake
    first_pdu: bytes
    """The A-ASSOCIATE-RQ, by `association_request`."""
    header: ProxyHeader | None = None
    """Of a connection through a load balancer."""

    @property
    def calling_aet(self) -> str:
        """Calling AE title of the request, without its padding (PS3.8 9.3.2)."""
        return self.first_pdu[26:42].decode("ascii", "replace").strip(" ")


def open_connection(connection: socket.socket, *, within_s: float, may_be_proxied: bool = False) -> Opening:
    """Read whom a load balancer speaks for, shake hands where the connection has TLS, read the association request.

    Args:
        connection: After `prepare`.
        within_s: All of it.
        may_be_proxied: Whether it comes from a load balancer.

    Raises:
        NotAskedError: One of them failed, or took longer.
    """
    ends_at_s = time.monotonic() + within_s
    header = read_proxy_header(connection, within_s=within_s) if may_be_proxied else None
    handshake = _shake_hands(connection, max(ends_at_s - time.monotonic(), _MOMENT_S))
    first_pdu = read_first_pdu(connection, ends_at_s - time.monotonic())
    if first_pdu is None:
        reason = "no association request in time"
        raise NotAskedError(reason)
    request = with_blank_padding(with_known_version(first_pdu))
    return Opening(handshake=handshake, first_pdu=request, header=header)


def _shake_hands(connection: socket.socket, within_s: float) -> Handshake:
    if not isinstance(connection, ssl.SSLSocket):
        return Handshake(has_tls=False, certificate=None)
    try:
        # The time-out is of the whole handshake, not of each piece (CPython, Modules/_ssl.c).
        connection.settimeout(within_s)
        connection.do_handshake()
        return Handshake(has_tls=True, certificate=certificate_of(connection))
    except OSError as exc:
        reason = f"TLS: {failure_in_words(exc)}"
        raise NotAskedError(reason) from exc
    except CertificateError as error:
        raise NotAskedError(error.reason) from error
