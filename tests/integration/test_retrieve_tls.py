"""Earlier studies that only an Orthanc has which speaks by mutual TLS alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.archive import IMAGES, FetchingNode, earlier_study, earlier_uid, node_that_fetches
from builders.certificates import Authority
from builders.listener import SENDER
from builders.orthanc import Orthanc
from builders.tls_archive import tls_orthanc, tls_peer, tls_settings
from builders.tls_listener import Site
from dicom_node.calling import PeerUnreachableError
from dicom_node.peers import echo
from storage.fetch_records import FetchState, FoundState

EARLIER = "20251201"

# pynetdicom leaves sockets of refused connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, tls_site: Site, tls_port: int) -> Iterator[Orthanc]:
    """It has one earlier study."""
    with tls_orthanc(tmp_path_factory.mktemp("orthanc"), tls_site, node_port=tls_port) as running:
        for dataset in earlier_study(EARLIER):
            running.take(dataset)
        yield running


@pytest.fixture(params=["move", "get"])
def node(
    request: pytest.FixtureRequest, orthanc: Orthanc, tls_site: Site, tls_port: int, tmp_path: Path
) -> Iterator[FetchingNode]:
    """A node that retrieves by each service."""
    peer = tls_peer(orthanc, tls_site, service=request.param)
    with node_that_fetches(tls_settings(tmp_path, peer, tls_site, node_port=tls_port), peer, sender=SENDER) as running:
        yield running


def test_an_earlier_study_comes_over_mutual_tls(node: FetchingNode) -> None:
    """The question, and the images: back over the same association, or over one to our own TLS port."""
    search = node.fetch()

    assert search.state is FetchState.DONE, search.words
    found = node.found(search, earlier_uid(EARLIER))
    assert (found.state, found.instance_count) == (FoundState.FETCHED, IMAGES), found.words
    assert node.study(earlier_uid(EARLIER)).instance_count == IMAGES
    assert node.linked() == [earlier_uid(EARLIER)]


def test_a_certificate_of_another_authority_gets_nothing(
    orthanc: Orthanc, tls_site: Site, tls_port: int, tmp_path: Path
) -> None:
    """Orthanc ends the connection; the search says that TLS failed, and is tried again."""
    stranger = Authority(tmp_path / "ca", name="another").issue("node")
    peer = tls_peer(orthanc, tls_site, service="move", shown=stranger)
    with node_that_fetches(tls_settings(tmp_path, peer, tls_site, node_port=tls_port), peer, sender=SENDER) as node:
        search = node.fetch()
    assert search.found == ()
    assert search.is_open
    assert "TLS" in search.words


def test_that_orthanc_answers_nobody_without_tls(orthanc: Orthanc, tls_site: Site) -> None:
    """So what came from it came by TLS."""
    plain = tls_peer(orthanc, tls_site, service="move").model_copy(update={"tls": False})
    with pytest.raises(PeerUnreachableError):
        echo(plain, own_aet="NODE")
