"""How long the certificates of a configuration are still valid."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from config.settings import Settings

Named = tuple[str, str, Path | None]
"""Subject, kind, and the file that the configuration names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFile:
    """A file of certificates that the configuration names."""

    subject: str
    """`listen`, `audit`, `web`, `mail`, `webhook`, or the name of a peer."""
    kind: str
    """`certificate` or `authority`."""
    not_after: datetime
    """Of the certificate in it that ends first."""


def certificate_files(settings: Settings) -> Iterator[CertificateFile]:
    """Every file that can be read; `dicom-node check` names those that cannot."""
    for subject, kind, path in (*_of_node(settings), *_of_peers(settings)):
        not_after = _end_of(path) if path else None
        if not_after:
            yield CertificateFile(subject=subject, kind=kind, not_after=not_after)


def _of_node(settings: Settings) -> Iterator[Named]:
    tls, audit, alerts = settings.listen.tls, settings.audit, settings.alerts
    yield "web", "certificate", settings.web.certificate
    if tls.enabled:
        yield "listen", "certificate", tls.certificate
        yield "listen", "authority", tls.client_ca
    if audit.syslog_host:
        yield "audit", "certificate", audit.syslog_certificate
        yield "audit", "authority", audit.syslog_ca
    if alerts.mail_host:
        yield "mail", "authority", alerts.mail_ca
    if alerts.webhook_url:
        yield "webhook", "authority", alerts.webhook_ca


def _of_peers(settings: Settings) -> Iterator[Named]:
    for peer in settings.peers:
        if peer.tls:
            yield peer.name, "certificate", peer.tls_certificate
            yield peer.name, "authority", peer.tls_ca


def _end_of(path: Path) -> datetime | None:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return None
    return min(one.not_valid_after_utc for one in found)
