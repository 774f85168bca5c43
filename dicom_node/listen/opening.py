"""The beginning of a connection: TLS handshake and association request, together in time."""

import socket
import ssl
import time
from dataclasses import dataclass

from dicom_node.listen.errors import NotAskedError
from dicom_node.listen.transport import read_first_pdu
from dicom_node.tls.certificates import Certificate
from dicom_node.tls.errors import CertificateError
from dicom_node.tls.failures import failure_in_words
from dicom_node.tls.sockets import certificate_of


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
    """The A-ASSOCIATE-RQ."""


def open_connection(connection: socket.socket, *, within_s: float) -> Opening:
    """Shake hands where the connection has TLS, and read the association request.

    Raises:
        NotAskedError: Either failed, or took longer.
    """
    ends_at_s = time.monotonic() + within_s
    handshake = _shake_hands(connection, within_s)
    first_pdu = read_first_pdu(connection, ends_at_s - time.monotonic())
    if first_pdu is None:
        reason = "no association request in time"
        raise NotAskedError(reason)
    return Opening(handshake=handshake, first_pdu=first_pdu)


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
