"""What the node demands of a TLS connection, by the BCP 195 profile (PS3.15 B.12; RFC 9325, RFC 8996)."""

import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from config.settings import Peer
from config.tls import ListenTlsSettings
from dicom_node.tls.certificates import Certificate, Identity, checked_authorities, checked_identity
from dicom_node.tls.errors import CertificateError
from dicom_node.tls.sockets import ClientContext, ClientSocket, TlsSocket

CIPHERS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
"""RFC 9325 4.2: ephemeral keys and authenticated encryption only. TLS 1.3 has no others."""


def server_context(
    tls: ListenTlsSettings, *, now: datetime, also_trusted: x509.Certificate | None = None
) -> ssl.SSLContext:
    """A context for the TLS port.

    Args:
        tls: With a certificate.
        now: For the periods of validity.
        also_trusted: A client certificate that is accepted beside those of the configuration.

    Raises:
        CertificateError: A file cannot be used.
    """
    context = _by_profile(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    _load_identity(context, _identity(tls), now=now)
    if tls.client_certificates == "none" or tls.client_ca is None:
        return context
    context.verify_mode = ssl.CERT_REQUIRED if tls.client_certificates == "required" else ssl.CERT_OPTIONAL
    _trust(context, tls.client_ca, now=now)
    if also_trusted is not None:
        context.load_verify_locations(cadata=also_trusted.public_bytes(Encoding.PEM).decode())
    return context


def own_certificate(tls: ListenTlsSettings, *, now: datetime) -> Certificate:
    """The certificate of the TLS port.

    Raises:
        CertificateError: It cannot be used.
    """
    return checked_identity(_identity(tls), now=now)


def client_context(peer: Peer, *, now: datetime) -> ClientContext:
    """A context for an association with a peer.

    Raises:
        CertificateError: A file of its settings cannot be used.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    _by_profile(context)
    context.sslsocket_class = ClientSocket
    if peer.tls_certificate is not None:
        _load_identity(context, Identity(certificate=peer.tls_certificate, key=peer.tls_key), now=now)
    if peer.tls_fingerprints:
        context.fingerprints = frozenset(peer.tls_fingerprints)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif peer.tls_ca is not None:
        _trust(context, peer.tls_ca, now=now)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def _identity(tls: ListenTlsSettings) -> Identity:
    if tls.certificate is None:
        reason = "[listen.tls].certificate is not set: give the certificate of this node"
        raise CertificateError(reason)
    return Identity(certificate=tls.certificate, key=tls.key)


def _by_profile(context: ssl.SSLContext) -> ssl.SSLContext:
    """Versions and cipher suites of RFC 9325."""
    context.sslsocket_class = TlsSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_1_2)
    # RFC 9325 3.3 and 3.5: neither compression nor renegotiation.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _load_identity(context: ssl.SSLContext, identity: Identity, *, now: datetime) -> None:
    checked_identity(identity, now=now)
    try:
        context.load_cert_chain(identity.certificate, identity.key_path)
    except (ssl.SSLError, OSError) as exc:
        said = exc.reason if isinstance(exc, ssl.SSLError) else exc.strerror
        reason = f"the certificate {identity.certificate} is not taken by OpenSSL ({said}): take RSA of 2048 bits or more, or ECDSA, signed with SHA-256"
        raise CertificateError(reason) from exc


def _trust(context: ssl.SSLContext, path: Path, *, now: datetime) -> None:
    """Trust what a file holds, authorities and single certificates alike."""
    checked_authorities(path, now=now)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as exc:
        reason = f"the certificates in {path} are not taken by OpenSSL: give authorities in PEM form"
        raise CertificateError(reason) from exc
