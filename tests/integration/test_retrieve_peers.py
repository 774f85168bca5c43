"""PACS that hang, refuse and lie when they are asked for earlier studies."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.archive import (
    CURRENT,
    IMAGES,
    FetchingNode,
    earlier_study,
    fetching_node,
)
from builders.deadline import until
from builders.instances import ct_instance
from builders.listener import send
from builders.ports import free_port
from builders.scripted_archive import Script, series_answer, study_answer
from builders.started_archives import DAY, PRIOR, Start, honest, started_archives
from config.settings import Peer
from dicom_node.clock import SystemClock
from dicom_node.counts import PeerCounts
from dicom_node.retrieve.find import MAXIMUM_ANSWERS
from dicom_node.retrieve.waiting import not_fetched, unfinished
from dicom_node.sweep import CompletenessSweep
from storage.fetch_ledger import INTERRUPTED
from storage.fetch_records import FetchState, FoundState, PriorFetchView
from storage.lifecycle import Event, State


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a PACS with a script and a node that asks it; both end with the test."""
    with started_archives(tmp_path) as begin:
        yield begin


def assert_goes_on(node: FetchingNode) -> None:
    """The sweep lets the current study go on, and says what it goes on without."""
    _sweep(node).run()
    view = node.study(CURRENT)
    assert view.state is State.READY
    assert "archive" in view.reason


def _sweep(node: FetchingNode) -> CompletenessSweep:
    """Of a worker whose peers are not asked for counts."""
    clock = SystemClock()
    return CompletenessSweep(node.settings, node.index, counts=PeerCounts(lambda *_: (), clock=clock), clock=clock)


@pytest.mark.parametrize("service", ["move", "get"])
def test_an_honest_pacs_gives_the_study(start: Start, service: str) -> None:
    """The script that the other tests bend is itself in order."""
    node = start(honest(), query_retrieve=service)

    search = node.fetch()

    assert search.state is FetchState.DONE, search.words
    assert node.linked() == [PRIOR]
    assert_goes_on(node)
    assert "1 earlier CT studies in the index" in node.study(CURRENT).reason


@pytest.mark.parametrize("where", ["find", "images"])
def test_a_pacs_that_hangs_keeps_the_study_no_longer_than_set(start: Start, where: str) -> None:
    """The search ends as timed out, nothing is linked, the report says that studies may be missing."""
    script = honest()
    setattr(script, f"before_{where}", lambda: script.hang.wait(30))
    node = start(script, maximum_wait_s=2.0, fetch_query_timeout_s=0.5, fetch_retrieval_timeout_s=0.5)

    search = node.fetch()

    assert search.state is FetchState.TIMED_OUT, search.words
    assert node.linked() == []
    assert unfinished([search])
    assert_goes_on(node)


def test_a_study_waits_while_the_pacs_is_asked_and_not_after(start: Start) -> None:
    """The sweep goes on by the clock although the search has not even begun."""
    node = start(honest(), maximum_wait_s=0.5)
    sweep = _sweep(node)
    sweep.run()
    assert node.study(CURRENT).state is State.WAITING_FOR_PRIORS

    def goes_on() -> bool:
        sweep.run()
        return node.study(CURRENT).state is State.READY

    until(goes_on, within_s=20, what="the study goes on")
    assert "not done in time" in node.study(CURRENT).reason
    assert node.fetcher.fetch_due()
    (search,) = node.look()
    assert (search.state, search.found) == (FetchState.TIMED_OUT, ())


def test_a_pacs_that_fails_is_asked_again_later(start: Start) -> None:
    """The search waits for its next try; the study waits with it."""
    node = start(Script(find_status=0xA700))

    search = node.fetch()

    assert (search.state, search.tries) == (FetchState.WAITING, 1)
    assert "0xA700" in search.words
    assert not node.fetcher.fetch_due()
    _sweep(node).run()
    assert node.study(CURRENT).state is State.WAITING_FOR_PRIORS


def test_a_pacs_that_is_not_there_delays_nothing_beyond_the_limit(tmp_path: Path) -> None:
    """Nobody listens on its port."""
    peer = Peer(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=free_port(), query_retrieve="move")
    with fetching_node(tmp_path, peer, maximum_wait_s=1.0) as node:
        search = node.fetch()

        assert (search.state, search.found) == (FetchState.FAILED, ())
        assert "refused the connection" in search.words
        assert_goes_on(node)


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"PatientID": "P2"}, "another patient ID"),
        ({"IssuerOfPatientID": "ELSEWHERE"}, "another issuer"),
        ({"PatientSex": "M"}, "sex"),
        ({"StudyInstanceUID": ""}, "no Study Instance UID"),
        ({"StudyDate": "20270101"}, "later date"),
        ({"StudyDate": ""}, "no study date"),
        ({"StudyDate": "20260102"}, "same day"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_with_words(start: Start, lie: dict[str, str], words: str) -> None:
    """Nothing of it is asked for."""
    script = honest(**lie)
    node = start(script)

    search = node.fetch()

    assert search.state is FetchState.DONE
    (found,) = search.found
    assert found.state is FoundState.REFUSED
    assert words in found.words
    assert script.asked == ["STUDY"]
    assert_goes_on(node)


def test_a_pacs_that_lists_everything_is_refused(start: Start) -> None:
    """More answers than a patient has studies: it matches nothing."""
    study = earlier_study(DAY)
    script = Script(studies=[study_answer(study, StudyInstanceUID=f"1.2.9.{n}") for n in range(MAXIMUM_ANSWERS + 50)])
    node = start(script, maximum_wait_s=1.0)

    search = node.fetch()

    assert search.state is FetchState.FAILED
    assert f"more than {MAXIMUM_ANSWERS}" in search.words
    assert search.found == ()


def test_a_pacs_that_does_not_know_us_as_destination_is_said_so_and_not_asked_again(start: Start) -> None:
    """An administrator reads what to configure; the study does not wait for it."""
    script = honest()
    script.destination = None
    node = start(script)

    search = node.fetch()

    assert search.state is FetchState.FAILED
    assert "does not know NODE as a destination" in node.found(search, PRIOR).words
    assert_goes_on(node)


def assert_not_used(node: FetchingNode, search: PriorFetchView, words: str) -> None:
    """The study is in the index in part, is not linked, not analysed, and named with the reason."""
    found = node.found(search, PRIOR)
    assert found.state is FoundState.FAILED
    assert words in found.words
    assert node.linked() == []
    part = node.study(PRIOR)
    assert (part.state, part.origin) == (State.SKIPPED, "fetching")
    assert dict(not_fetched([search])) == {PRIOR: f"at archive: {found.words}"}


@pytest.mark.parametrize("service", ["move", "get"])
def test_fewer_images_than_the_pacs_counts_are_not_used(start: Start, service: str) -> None:
    """It says twenty and sends nine."""
    script = honest()
    script.series = [series_answer(earlier_study(DAY), NumberOfSeriesRelatedInstances=20)]
    node = start(script, query_retrieve=service, maximum_wait_s=3.0)

    assert_not_used(node, node.fetch(), f"it has 20 images or more, {IMAGES} came")


def test_a_sub_operation_that_fails_leaves_the_study_unused(start: Start) -> None:
    """One image is refused by the listener; the PACS says so, and so do we."""
    script = honest()
    script.images = [*script.images[:-1], ct_instance(99, study=PRIOR, SeriesInstanceUID="")]
    node = start(script, maximum_wait_s=3.0)

    assert_not_used(node, node.fetch(), f"failed to send 1 of {IMAGES} images")


def test_images_of_another_study_are_not_taken_by_c_get(start: Start) -> None:
    """Whatever the PACS sends over the association, only what was asked for is kept."""
    script = honest()
    script.images = [ct_instance(number, study="1.9.9") for number in range(1, 4)]
    node = start(script, query_retrieve="get", maximum_wait_s=3.0)

    search = node.fetch()

    assert node.found(search, PRIOR).state is FoundState.FAILED
    assert node.index.study("1.9.9") is None
    assert not list((node.settings.data_dir / "incoming").glob("*"))


def test_images_that_name_another_patient_than_the_answer_are_not_linked(start: Start) -> None:
    """The answer is ours, the images are of another issuer."""
    script = honest(earlier_study(DAY, IssuerOfPatientID="ELSEWHERE"), IssuerOfPatientID="HOSPITAL")
    node = start(script)

    search = node.fetch()

    assert node.found(search, PRIOR).state is FoundState.REFUSED
    assert node.linked() == []


def test_images_that_come_after_the_retrieval_was_given_up_start_no_analysis(start: Start) -> None:
    """A PACS that wakes up late sends a study that nobody routed to us."""
    script = honest()
    script.before_images = lambda: script.hang.wait(30)
    node = start(script, maximum_wait_s=1.0, fetch_retrieval_timeout_s=0.3)
    assert node.fetch().state is FetchState.TIMED_OUT

    assert set(send(node.listener.port, *earlier_study(DAY), calling_aet="ARCHIVE")) == {0}

    sweep = _sweep(node)

    def put_away() -> bool:
        sweep.run()
        return node.study(PRIOR).state is State.SKIPPED

    until(put_away, within_s=20, what="the late study is put away")
    assert node.linked() == []


def test_a_worker_that_stops_ends_what_hangs_and_begins_it_again(start: Start) -> None:
    """The search is a row, not a thing in memory."""
    script = honest()
    asked = threading.Event()

    def hang() -> None:
        asked.set()
        script.hang.wait(30)

    script.before_find = hang
    node = start(script)
    node.look()
    running = threading.Thread(target=node.fetcher.fetch_due)
    running.start()
    assert asked.wait(20)

    node.fetcher.stop()
    running.join(timeout=20)

    assert not running.is_alive()
    node.fetcher.fetch_due()
    (search,) = node.look()
    assert (search.state, search.words) == (FetchState.WAITING, INTERRUPTED)


@pytest.mark.parametrize("wished", [True, False])
def test_a_study_is_run_again_for_an_earlier_one_that_came_late_only_where_wished(start: Start, wished: bool) -> None:
    """It was claimed before the earlier one was here; when its attempt has ended it runs again."""
    node = start(honest(), rerun_when_late=wished)
    node.look()
    node.index.apply(CURRENT, Event.PRIORS_SETTLED, why="waited long enough")
    claim = node.index.claim_next(owner="test", lease_s=60)
    assert claim is not None
    assert node.fetcher.fetch_due()
    node.fetcher.fetch_due()
    assert node.study(CURRENT).state is State.PROCESSING

    node.index.finish_succeeded(claim, [], destinations=[], why="done")
    node.fetcher.fetch_due()

    expected = (State.WAITING_FOR_PRIORS, 2) if wished else (State.PROCESSED, 1)
    view = node.study(CURRENT)
    assert (view.state, view.revision) == expected


def test_what_the_log_says_names_no_patient(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Neither of a study that is fetched nor of one that is refused."""
    caplog.set_level(logging.DEBUG, logger="dicom_node")
    script = honest()
    other = earlier_study("20251111", PatientName="Canary^Carla", PatientBirthDate="19991231")
    script.studies = [*script.studies, study_answer(other)]
    node = start(script)

    search = node.fetch()

    said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("dicom_node"))
    shown = "\n".join(found.words for found in search.found) + search.words
    assert "1 fetched, 1 refused" in said
    assert not [word for word in ("Phantom", "Canary", "19700101", "19991231", "HOSPITAL") if word in said + shown]
