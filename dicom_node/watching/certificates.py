"""How long the certificates of a configuration are still valid."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from config.settings import Settings


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
    tls, audit = settings.listen.tls, settings.audit
    named: list[tuple[str, str, Path | None]] = []
    if tls.enabled:
        named += [("listen", "certificate", tls.certificate), ("listen", "authority", tls.client_ca)]
    if audit.syslog_host:
        named += [("audit", "certificate", audit.syslog_certificate), ("audit", "authority", audit.syslog_ca)]
    named.append(("web", "certificate", settings.web.certificate))
    if settings.alerts.mail_host:
        named.append(("mail", "authority", settings.alerts.mail_ca))
    if settings.alerts.webhook_url:
        named.append(("webhook", "authority", settings.alerts.webhook_ca))
    for peer in settings.peers:
        if peer.tls:
            named += [(peer.name, "certificate", peer.tls_certificate), (peer.name, "authority", peer.tls_ca)]
    for subject, kind, path in named:
        not_after = _end_of(path) if path else None
        if not_after:
            yield CertificateFile(subject=subject, kind=kind, not_after=not_after)


def _end_of(path: Path) -> datetime | None:
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return None
    return min(one.not_valid_after_utc for one in found)
