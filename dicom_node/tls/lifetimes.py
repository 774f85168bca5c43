"""How long the certificates of a configuration are still valid."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from config.settings import Settings
from dicom_node.tls.certificates import Certificate, Identity, certificates_of, checked_identity
from dicom_node.tls.errors import CertificateError

_DAY_S = 86_400
_Named = tuple[str, str, Path | None]
"""Subject, kind, and the file that the configuration names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFile:
    """A file of certificates that the configuration names."""

    subject: str
    """`listen`, `audit`, `web`, `mail`, `webhook`, or the name of a peer."""
    kind: str
    """`certificate` or `authority`."""
    first: Certificate
    """The one in it that ends first."""

    @property
    def not_after(self) -> datetime:
        """When the first of them ends."""
        return self.first.not_after

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.kind} {self.first.title}"

    def days_left(self, now: datetime) -> float:
        """Until the first of them ends; negative when it has expired."""
        return self.first.left(now).total_seconds() / _DAY_S


def certificate_files(settings: Settings) -> Iterator[CertificateFile]:
    """Every file that can be read; `survey_certificates` names those that cannot."""
    for subject, kind, path in (*_of_node(settings), *_of_peers(settings)):
        with suppress(CertificateError):
            if path:
                first = min(certificates_of(path), key=lambda one: one.not_after)
                yield CertificateFile(subject=subject, kind=kind, first=first)


def days_left_of_files(settings: Settings, *, now: datetime) -> Iterator[tuple[str, str, float]]:
    """Subject, kind and days until the first certificate of each file ends; not more than 0 where it cannot be used."""
    keys = dict(_keys(settings))
    for subject, kind, path in (*_of_node(settings), *_of_peers(settings)):
        if path is None:
            continue
        days = 0.0
        with suppress(CertificateError):
            first = min(certificates_of(path), key=lambda one: one.not_after)
            days = min(first.left(now).total_seconds() / _DAY_S, days)
            if kind == "certificate":
                checked_identity(Identity(certificate=path, key=keys.get(subject)), now=now)
            days = first.left(now).total_seconds() / _DAY_S
        yield subject, kind, days


def _keys(settings: Settings) -> Iterator[tuple[str, Path | None]]:
    """By subject, as below."""
    yield from ((peer.name, peer.tls_key) for peer in settings.peers)
    yield from (("web", settings.web.key), ("listen", settings.listen.tls.key), ("audit", settings.audit.syslog_key))


def _of_node(settings: Settings) -> Iterator[_Named]:
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


def _of_peers(settings: Settings) -> Iterator[_Named]:
    for peer in settings.peers:
        if peer.tls:
            yield peer.name, "certificate", peer.tls_certificate
            yield peer.name, "authority", peer.tls_ca
