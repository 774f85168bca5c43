"""Calling peers by TLS: who is believed, and what is said when one is not."""

import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from builders.certificates import Issued
from builders.deadline import until
from builders.instances import ct_instance
from builders.ports import free_port
from builders.tls_listener import Site, make_site
from config.settings import Peer
from dicom_node.calling import PeerUnreachableError
from dicom_node.peers import Verdict, echo, store_connection
from dicom_node.retrieve.association import StopSwitch, conversation
from dicom_node.retrieve.find import FIND_MODEL, FIND_OFFER

# pynetdicom leaves sockets of refused connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Certificates; those of the node serve the PACS here."""
    return make_site(tmp_path_factory.mktemp("site"))


@contextmanager
def tls_pacs(site: Site, shown: Issued, *, asks: bool = False) -> Iterator[int]:
    """A PACS that shows a certificate, and asks for one on request; its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(site.authority.certificate))
    context.load_cert_chain(shown.certificate, shown.key)
    context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
    ae = AE(ae_title="PACS")
    for uid in (Verification, CTImageStorage, StudyRootQueryRetrieveInformationModelFind):
        ae.add_supported_context(uid)
    handlers = [(evt.EVT_C_STORE, lambda event: 0x0000), (evt.EVT_C_FIND, one_study)]
    server = ae.start_server(("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=handlers)
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def one_study(event: Event) -> Iterator[tuple[int, Dataset | None]]:
    """One answer to a query."""
    found = Dataset()
    found.QueryRetrieveLevel, found.StudyInstanceUID = "STUDY", "1.2.3"
    yield 0xFF00, found


def peer(port: int, **changes: Any) -> Peer:
    """The PACS in a configuration."""
    return Peer(**{"name": "pacs", "ae_title": "PACS", "host": "localhost", "port": port, "tls": True, **changes})


def complaint(port: int, **changes: Any) -> str:
    """What an administrator reads when the PACS is not reached."""
    with pytest.raises(PeerUnreachableError) as caught:
        echo(peer(port, **changes), own_aet="NODE")
    return caught.value.reason


def test_peer_of_a_known_authority_is_believed(site: Site) -> None:
    """Host and authority are verified."""
    with tls_pacs(site, site.node) as port:
        echo(peer(port, tls_ca=site.authority.certificate), own_aet="NODE")


def test_own_certificate_is_shown_to_a_peer_that_asks(site: Site) -> None:
    """Mutual TLS; without one the reason is told."""
    ours = {"tls_certificate": site.modality.certificate, "tls_key": site.modality.key}
    with tls_pacs(site, site.node, asks=True) as port:
        echo(peer(port, tls_ca=site.authority.certificate, **ours), own_aet="NODE")
        assert "set tls_certificate" in complaint(port, tls_ca=site.authority.certificate)


def test_unknown_authority_is_not_believed(site: Site) -> None:
    """Those of the operating system do not include the hospital's."""
    with tls_pacs(site, site.node) as port:
        assert "authority that is not in tls_ca" in complaint(port)


def test_certificate_for_another_host_is_not_believed(site: Site) -> None:
    """Unless the configuration says which name it bears."""
    ca = {"tls_ca": site.authority.certificate}
    with tls_pacs(site, site.authority.issue("pacs", hosts=("pacs.example.org",))) as port:
        assert "set tls_server_name" in complaint(port, **ca)
        echo(peer(port, tls_server_name="pacs.example.org", **ca), own_aet="NODE")


def test_self_signed_certificate_is_believed_when_it_is_pinned(site: Site) -> None:
    """Neither authority, nor name, nor end count then; another certificate is refused before anything is said."""
    own = site.authority.issue("pacs", hosts=("elsewhere",), self_signed=True, days=-1)
    with tls_pacs(site, own) as port:
        assert "signed its certificate itself" in complaint(port) or "expired" in complaint(port)
        echo(peer(port, tls_fingerprints=(own.fingerprint,)), own_aet="NODE")
        words = complaint(port, tls_fingerprints=(site.node.fingerprint,))
    assert "not the one that was pinned" in words
    assert own.fingerprint in words


def test_expired_certificate_is_not_believed(site: Site) -> None:
    """The reason says so."""
    with tls_pacs(site, site.authority.issue("pacs", days=-1)) as port:
        assert "has expired" in complaint(port, tls_ca=site.authority.certificate)


def test_peer_without_tls_is_told_from_one_that_is_not_there(site: Site) -> None:
    """A plain port answers a ClientHello with anything but a ServerHello."""
    ae = AE(ae_title="PACS")
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    try:
        assert "TLS" in complaint(server.server_address[1], tls_ca=site.authority.certificate)
    finally:
        server.shutdown()
    assert "refused the connection" in complaint(free_port(), tls_ca=site.authority.certificate)


def test_file_that_is_not_there_is_named(site: Site, tmp_path: Path) -> None:
    """The outbox tries again: an administrator may put it there."""
    with pytest.raises(PeerUnreachableError, match=r"ca\.pem does not exist") as caught:
        echo(peer(104, tls_ca=tmp_path / "ca.pem"), own_aet="NODE")
    assert caught.value.retryable


def test_queries_go_over_tls(site: Site) -> None:
    """With the same trust, and they end in time."""
    pacs = {"tls_ca": site.authority.certificate}
    with tls_pacs(site, site.node) as port:
        with conversation(peer(port, **pacs), FIND_OFFER, own_aet="NODE", limit_s=20, switch=StopSwitch()) as talk:
            query = Dataset()
            query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", ""
            answers = list(talk.answers(talk.association.send_c_find(query, FIND_MODEL)))
        with conversation(peer(port, **pacs), FIND_OFFER, own_aet="NODE", limit_s=20, switch=StopSwitch()) as talk:
            talk.cut()
            until(lambda: not talk.association.is_established, within_s=10, what="the association is cut")
    assert [status.Status for status, _ in answers] == [0xFF00, 0x0000]


def test_query_says_why_tls_failed(site: Site) -> None:
    """The same words as for results."""
    with (
        tls_pacs(site, site.node) as port,
        pytest.raises(PeerUnreachableError, match="TLS: its certificate"),
        conversation(peer(port), FIND_OFFER, own_aet="NODE", limit_s=20, switch=StopSwitch()),
    ):
        pass


def test_storescp_of_dcmtk_takes_objects_over_tls(site: Site, tmp_path: Path) -> None:
    """Mutual TLS with a real peer."""
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("storescp not installed: apt install dcmtk")
    port, kept = free_port(), tmp_path / "kept"
    kept.mkdir()
    files = ["+tls", str(site.node.key), str(site.node.certificate), "+cf", str(site.authority.certificate)]
    storescp = subprocess.Popen([program, *files, "-od", str(kept), str(port)], stdout=sys.stderr, stderr=sys.stderr)
    ours = {"tls_certificate": site.modality.certificate, "tls_key": site.modality.key}
    pacs = peer(port, tls_ca=site.authority.certificate, **ours)
    path = tmp_path / "ct.dcm"
    ct_instance().save_as(path, enforce_file_format=True)
    try:
        until(lambda: answers(pacs), within_s=20, what="storescp answers")
        with store_connection(pacs, own_aet="NODE", sop_class_uids=[CTImageStorage]) as connection:
            assert connection.store(path).verdict is Verdict.ACCEPTED
    finally:
        storescp.terminate()
        storescp.wait(timeout=20)
    assert len(list(kept.iterdir())) == 1


def answers(pacs: Peer) -> bool:
    """Whether the PACS answers C-ECHO."""
    try:
        echo(pacs, own_aet="NODE")
    except PeerUnreachableError:
        return False
    return True
