"""What is to be said about the certificates of a configuration."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from config.settings import Peer, Settings
from dicom_node.tls.certificates import WARNING_DAYS, Certificate, Identity, checked_authorities, checked_identity
from dicom_node.tls.contexts import client_context, own_certificate, server_context
from dicom_node.tls.errors import CertificateError


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFinding:
    """One certificate, or a set of them, that was looked at."""

    subject: str
    words: str
    """What was found; for anything but a good one, also what to do."""
    is_unusable: bool = False
    is_doubtful: bool = False
    """It works, but not for long, or not as the configuration means it."""


def survey_certificates(settings: Settings, *, now: datetime) -> Iterator[CertificateFinding]:
    """Look at the TLS port, at the peers that are called by TLS, and at those bound to a certificate."""
    tls = settings.listen.tls
    if tls.enabled:
        yield _port(settings, now)
    for peer in settings.peers:
        if peer.tls:
            yield _peer(peer, now)
        if peer.is_bound and not (tls.enabled and tls.client_certificates != "none"):
            words = (
                "bound to a certificate, which nobody can show here: set [listen.tls] enabled and client_certificates"
            )
            yield CertificateFinding(subject=f"peer {peer.name}, TLS", words=words, is_doubtful=True)


def _port(settings: Settings, now: datetime) -> CertificateFinding:
    tls = settings.listen.tls
    subject = "TLS port"
    try:
        server_context(tls, now=now)
        own = own_certificate(tls, now=now)
        authorities = checked_authorities(tls.client_ca, now=now) if tls.client_ca else ()
    except CertificateError as error:
        return CertificateFinding(subject=subject, words=error.reason, is_unusable=True)
    return _lifetime(subject, f"port {tls.port}", own, authorities, now)


def _peer(peer: Peer, now: datetime) -> CertificateFinding:
    subject = f"peer {peer.name}, TLS"
    try:
        client_context(peer, now=now)
        authorities = checked_authorities(peer.tls_ca, now=now) if peer.tls_ca else ()
        if peer.tls_certificate is None:
            return _lifetime(subject, "called by TLS without a certificate of ours", None, authorities, now)
        own = checked_identity(Identity(certificate=peer.tls_certificate, key=peer.tls_key), now=now)
    except CertificateError as error:
        return CertificateFinding(subject=subject, words=error.reason, is_unusable=True)
    return _lifetime(subject, "called by TLS", own, authorities, now)


def _lifetime(
    subject: str, what: str, own: Certificate | None, authorities: tuple[Certificate, ...], now: datetime
) -> CertificateFinding:
    """How long everything lasts; the first that ends decides."""
    named = [(f"certificate {own.title}", own)] if own else []
    named += [(f"authority {one.title}", one) for one in authorities]
    said = [f"{name} valid for {one.left(now).days} days" for name, one in named]
    ending = [name for name, one in named if one.left(now).days < WARNING_DAYS]
    words = ", ".join([what, *said])
    if ending:
        return CertificateFinding(subject=subject, words=f"{words}: renew {', '.join(ending)}", is_doubtful=True)
    return CertificateFinding(subject=subject, words=words)
