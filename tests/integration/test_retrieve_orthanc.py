"""Earlier studies that only Orthanc has."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.archive import CURRENT, IMAGES, FetchingNode, earlier_study, earlier_uid, fetching_node
from builders.instances import ct_instance, dose_report, localizer
from builders.listener import AE_TITLE, send
from builders.orthanc import AE_TITLE as ORTHANC_AE_TITLE
from builders.orthanc import KnownNode, Orthanc, running_orthanc
from builders.ports import free_port
from config.settings import Peer
from dicom_node.dispatch import Dispatcher
from dicom_node.engine import EngineLimits, LocalEngine
from storage.fetch_records import FetchState, FoundState
from storage.files import ResultStore
from storage.lifecycle import Event, State

GOOD = "20251201"
OTHER_ISSUER, OTHER_BIRTH_DATE, KNEE = "20251102", "20251003", "20250904"
LATER, OLD = "20260301", "20200101"


@pytest.fixture(scope="module")
def node_port() -> int:
    """Where Orthanc will send what it is asked to move."""
    return free_port()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, node_port: int) -> Iterator[Orthanc]:
    """A PACS with studies under the ID of one patient, not all of them of that patient, of the chest, or earlier."""
    folder = tmp_path_factory.mktemp("orthanc")
    with running_orthanc(folder, node=KnownNode(ae_title=AE_TITLE, port=node_port)) as running:
        uid = earlier_uid(GOOD)
        scout = localizer(study=uid)
        scout.SeriesInstanceUID, scout.SeriesDescription = f"{uid}.9", "Scout"
        report = dose_report(study=uid)
        report.SeriesInstanceUID = f"{uid}.8"
        for extra in (scout, report):
            extra.StudyDate = extra.AcquisitionDate = GOOD
        datasets = [
            *earlier_study(GOOD),
            scout,
            report,
            *earlier_study(OTHER_ISSUER, IssuerOfPatientID="ELSEWHERE"),
            *earlier_study(OTHER_BIRTH_DATE, PatientBirthDate="19991231"),
            *earlier_study(KNEE, StudyDescription="Knie", BodyPartExamined="KNEE", SeriesDescription="1.0 B60"),
            *earlier_study(LATER),
            *earlier_study(OLD),
            ct_instance(),
        ]
        assert set(send(running.dicom_port, *datasets, called_aet=ORTHANC_AE_TITLE)) == {0}
        yield running


@pytest.fixture(params=["move", "get"])
def node(request: pytest.FixtureRequest, orthanc: Orthanc, node_port: int, tmp_path: Path) -> Iterator[FetchingNode]:
    """A node that fetches by C-MOVE, and one that fetches by C-GET."""
    peer = Peer(
        name="orthanc",
        ae_title=ORTHANC_AE_TITLE,
        host="127.0.0.1",
        port=orthanc.dicom_port,
        query_retrieve=request.param,
    )
    with fetching_node(tmp_path, peer, port=node_port) as running:
        yield running


def test_an_earlier_study_that_only_the_pacs_has_is_fetched_and_linked(node: FetchingNode) -> None:
    """Only its axial CT series; it stands as what it is and can be compared with at once."""
    search = node.fetch()

    assert search.state is FetchState.DONE, search.words
    found = node.found(search, earlier_uid(GOOD))
    assert (found.state, found.instance_count) == (FoundState.FETCHED, IMAGES), found.words
    fetched = node.study(earlier_uid(GOOD))
    assert (fetched.state, fetched.origin, fetched.instance_count) == (State.SKIPPED, "fetched", IMAGES)
    assert "not analysed" in fetched.reason
    assert node.linked() == [earlier_uid(GOOD)]


def test_studies_of_somebody_else_under_the_same_id_are_neither_fetched_nor_linked(node: FetchingNode) -> None:
    """Another issuer, another birth date: said why, without the values."""
    search = node.fetch()

    other_issuer = node.found(search, earlier_uid(OTHER_ISSUER))
    other_birth_date = node.found(search, earlier_uid(OTHER_BIRTH_DATE))
    assert other_issuer.state is other_birth_date.state is FoundState.REFUSED
    assert "of another issuer" in other_issuer.words
    assert "birth date" in other_birth_date.words
    assert not {"1999", "ELSEWHERE"} & set(f"{other_issuer.words} {other_birth_date.words}".split())
    assert node.index.study(earlier_uid(OTHER_ISSUER)) is node.index.study(earlier_uid(OTHER_BIRTH_DATE)) is None
    assert node.found(search, earlier_uid(KNEE)).state is FoundState.UNSUITABLE
    assert earlier_uid(OLD) not in {found.study_instance_uid for found in search.found}
    assert earlier_uid(LATER) not in {found.study_instance_uid for found in search.found}


def test_the_report_names_what_was_found_and_not_compared_with(node: FetchingNode, tmp_path: Path) -> None:
    """The attempt gets the fetched study to compare with, and those refused with their reasons."""
    node.fetch()
    node.index.apply(CURRENT, Event.PRIORS_SETTLED, why="all here")
    claim = node.index.claim_next(owner="test", lease_s=60)
    assert claim is not None

    limits = EngineLimits(time_limit_s=1, memory_limit_bytes=0)
    dispatcher = Dispatcher(node.settings, node.index, results=ResultStore(tmp_path), engine=LocalEngine(limits))
    spec = dispatcher._spec(claim)

    assert [prior.study.study_instance_uid for prior in spec.priors] == [earlier_uid(GOOD)]
    refused = {prior.study_instance_uid for prior in spec.refused_priors}
    assert refused == {earlier_uid(OTHER_ISSUER), earlier_uid(OTHER_BIRTH_DATE)}
    assert spec.qualifications == ()


def test_what_is_held_is_not_fetched_again(node: FetchingNode) -> None:
    """A second search finds the study here."""
    node.fetch()
    node.index.apply(CURRENT, Event.PRIORS_SETTLED, why="all here")
    claim = node.index.claim_next(owner="test", lease_s=60)
    assert claim is not None
    node.index.finish_refused(claim, "the test wants it to be run again")
    node.index.apply(CURRENT, Event.RETRIED, why="by an operator")

    again = node.fetch()

    assert node.found(again, earlier_uid(GOOD)).state is FoundState.HELD
    assert node.study(earlier_uid(GOOD)).instance_count == IMAGES
