"""Orthanc as a PACS that speaks by mutual TLS alone, and a node that gets studies from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builders.archive import fetching_settings
from builders.certificates import Issued
from builders.listener import AE_TITLE, SENDER
from builders.orthanc import AE_TITLE as ORTHANC_AE_TITLE
from builders.orthanc import KnownNode, Orthanc, OrthancTls, running_orthanc
from builders.ports import free_port
from builders.tls_listener import Site
from config.settings import ListenSettings, Peer, Settings
from config.tls import ListenTlsSettings


@contextmanager
def tls_orthanc(folder: Path, site: Site, *, node_port: int, node_aet: str = AE_TITLE) -> Iterator[Orthanc]:
    """It shows a certificate of the site, wants one, and moves to the TLS port of the node."""
    known = KnownNode(ae_title=node_aet, port=node_port, tls=True)
    tls = OrthancTls(shown=site.authority.issue("pacs"), trusted=site.authority.certificate)
    with running_orthanc(folder, node=known, tls=tls) as orthanc:
        yield orthanc


def tls_peer(orthanc: Orthanc, site: Site, *, service: str, shown: Issued | None = None) -> Peer:
    """It in the configuration of the node, which shows its own certificate unless another is given."""
    shown = shown or site.node
    return Peer(
        name="orthanc",
        ae_title=ORTHANC_AE_TITLE,
        host="localhost",
        port=orthanc.dicom_port,
        query_retrieve=service,
        tls=True,
        tls_ca=site.authority.certificate,
        tls_certificate=shown.certificate,
        tls_key=shown.key,
    )


def tls_settings(folder: Path, peer: Peer, site: Site, *, node_port: int) -> Settings:
    """Of a node with a TLS port, and a plain one for a modality."""
    tls = ListenTlsSettings(
        enabled=True,
        port=node_port,
        certificate=site.node.certificate,
        key=site.node.key,
        client_ca=site.authority.certificate,
    )
    modality = Peer(name="ct", ae_title=SENDER, host="127.0.0.1", port=free_port())
    settings = fetching_settings(folder, peer)
    return settings.model_copy(
        update={"listen": ListenSettings(port=0, network_timeout_s=10.0, tls=tls), "peers": (peer, modality)}
    )
