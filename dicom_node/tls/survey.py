"""What is to be said about the certificates of a configuration."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from math import floor
from pathlib import Path

from config.settings import Peer, Settings
from dicom_node.tls.certificates import WARNING_DAYS, Identity, checked_authorities, checked_identity
from dicom_node.tls.contexts import client_context, server_context
from dicom_node.tls.errors import CertificateError
from dicom_node.tls.lifetimes import CertificateFile, certificate_files


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
    """Look at the TLS port, the peers that are called by TLS or bound to a certificate, the pages, alerts, audit trail."""
    survey = _Survey(settings, now)
    tls = settings.listen.tls
    if tls.enabled:
        yield survey.finding("TLS port", "listen", f"port {tls.port}", lambda: server_context(tls, now=now))
    for peer in settings.peers:
        yield from _peer(survey, peer, now)
        if peer.is_bound and not (tls.enabled and tls.client_certificates != "none"):
            words = (
                "bound to a certificate, which nobody can show here: set [listen.tls] enabled and client_certificates"
            )
            yield CertificateFinding(subject=f"peer {peer.name}, TLS", words=words, is_doubtful=True)
    yield from _others(survey, settings, now)


class _Survey:
    """Whether certificates can be used, and how long."""

    def __init__(self, settings: Settings, now: datetime) -> None:
        self._files = tuple(certificate_files(settings))
        self._days = settings.alerts.certificate_days or WARNING_DAYS
        self._now = now

    def finding(self, subject: str, name: str, what: str, use: Callable[[], object]) -> CertificateFinding:
        """What there is to say of a subject; `name` is that of its files, `use` raises where they cannot be used."""
        try:
            use()
        except CertificateError as error:
            return CertificateFinding(subject=subject, words=error.reason, is_unusable=True)
        return self._lifetime(subject, what, [file for file in self._files if file.subject == name])

    def _lifetime(self, subject: str, what: str, files: list[CertificateFile]) -> CertificateFinding:
        """How long everything lasts; the first that ends decides."""
        said = [f"{file.title} valid for {floor(file.days_left(self._now))} days" for file in files]
        ending = [file.title for file in files if file.days_left(self._now) < self._days]
        words = ", ".join([what, *said])
        if ending:
            return CertificateFinding(subject=subject, words=f"{words}: renew {', '.join(ending)}", is_doubtful=True)
        return CertificateFinding(subject=subject, words=words)


def _peer(survey: _Survey, peer: Peer, now: datetime) -> Iterator[CertificateFinding]:
    if peer.tls:
        what = "called by TLS" if peer.tls_certificate else "called by TLS without a certificate of ours"
        yield survey.finding(f"peer {peer.name}, TLS", peer.name, what, lambda: client_context(peer, now=now))


def _others(survey: _Survey, settings: Settings, now: datetime) -> Iterator[CertificateFinding]:
    """Where the node is no DICOM peer: only what names a file."""
    web, audit, alerts = settings.web, settings.audit, settings.alerts
    if web.certificate:
        yield survey.finding("pages, TLS", "web", f"port {web.port}", lambda: _use(web.certificate, web.key, None, now))
    if audit.syslog_host and (audit.syslog_certificate or audit.syslog_ca):
        certificate, key, authority = audit.syslog_certificate, audit.syslog_key, audit.syslog_ca
        yield survey.finding(
            "audit trail, TLS", "audit", audit.syslog_host, lambda: _use(certificate, key, authority, now)
        )
    if alerts.mail_host and alerts.mail_ca:
        mail_ca = alerts.mail_ca
        yield survey.finding("alerts by mail, TLS", "mail", alerts.mail_host, lambda: _use(None, None, mail_ca, now))
    if alerts.webhook_url and alerts.webhook_ca:
        hook_ca = alerts.webhook_ca
        yield survey.finding(
            "alerts by webhook, TLS", "webhook", "called by TLS", lambda: _use(None, None, hook_ca, now)
        )


def _use(certificate: Path | None, key: Path | None, authority: Path | None, now: datetime) -> None:
    if certificate:
        checked_identity(Identity(certificate=certificate, key=key), now=now)
    if authority:
        checked_authorities(authority, now=now)
