"""A listener with a TLS port, and what its callers need."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import CTImageStorage
from pynetdicom import AE
from pynetdicom.association import Association

from builders.certificates import Authority, Issued
from builders.listener import AE_TITLE, SENDER, RunningListener, listener_settings, running_listener
from builders.ports import free_port
from config.settings import Settings
from config.tls import ListenTlsSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site with an authority that everybody knows, a node, a modality."""

    authority: Authority
    node: Issued
    modality: Issued
    folder: Path

    def settings(self, data_dir: Path, *, tls: dict[str, object] | None = None, **listen: object) -> Settings:
        """Settings of a listener that has a TLS port alone, unless `listen` says plain; `tls` sets keys of [listen.tls]."""
        port = {
            "enabled": True,
            "port": free_port(),
            "certificate": self.node.certificate,
            "key": self.node.key,
            "client_ca": self.authority.certificate,
            **(tls or {}),
        }
        return listener_settings(data_dir, **{"plain": False, "tls": ListenTlsSettings(**port), **listen})

    def client(self, shown: Issued | None = None) -> ssl.SSLContext:
        """TLS of a sender that knows the authority and shows this certificate, none by default."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if shown:
            context.load_cert_chain(shown.certificate, shown.key)
        return context


def make_site(folder: Path) -> Site:
    """Certificates for a site."""
    authority = Authority(folder / "ca")
    return Site(authority=authority, node=authority.issue("node"), modality=authority.issue("ct1"), folder=folder)


@contextmanager
def tls_listener(settings: Settings) -> Iterator[RunningListener]:
    """A listener whose port is the one with TLS."""
    with running_listener(settings):
        yield RunningListener(port=settings.listen.tls.port, settings=settings)


@contextmanager
def tls_association(port: int, context: ssl.SSLContext, *, calling_aet: str = SENDER) -> Iterator[Association]:
    """An association for CT over TLS."""
    ae = AE(ae_title=calling_aet)
    ae.acse_timeout = ae.dimse_timeout = 20
    ae.network_timeout = 120
    ae.add_requested_context(CTImageStorage)
    opened = ae.associate("127.0.0.1", port, ae_title=AE_TITLE, tls_args=(context, "localhost"))
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()
