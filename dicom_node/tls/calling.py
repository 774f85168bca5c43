"""What an association over TLS is opened with."""

from config.settings import Peer
from dicom_node.clock import SystemClock
from dicom_node.tls.contexts import client_context
from dicom_node.tls.sockets import ClientContext

TlsArguments = tuple[ClientContext, str] | None
"""Context and name of the peer as pynetdicom takes them; None for an association without TLS."""


def tls_arguments(peer: Peer) -> TlsArguments:
    """What the settings of a peer say about TLS; the files are read each time, so renewed ones count at once.

    Raises:
        CertificateError: A file of its settings cannot be used.
    """
    if not peer.tls:
        return None
    return client_context(peer, now=SystemClock().now()), peer.tls_server_name or peer.host


def tls_problem(arguments: TlsArguments) -> str:
    """Why the connection failed, as far as TLS is the reason; else empty."""
    return f"TLS: {arguments[0].problem}" if arguments and arguments[0].problem else ""
