"""Searches for earlier studies, as the index keeps them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import JANE, NOON, build_index, make_ready, received, state_of, view_of
from builders.two_patients import JOHN, johns
from dicom_node.retrieve.waiting import not_fetched
from storage.fetch_records import FetchState, FoundPriorView, FoundState
from storage.index import Index
from storage.lifecycle import Event, State

pytestmark = pytest.mark.usefixtures("each_engine")

CURRENT, PRIOR = "1.2.3", "1.2.4"
LONG_AGO = NOON - timedelta(days=30)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Iterator[Index]:
    """An index in which a study waits for earlier ones from the PACS."""
    opened = build_index(tmp_path, clock)
    opened.record_received([received(CURRENT)])
    opened.apply(CURRENT, Event.COMPLETED, why="quiet")
    opened.fetches.plan(CURRENT, peers=["pacs"])
    yield opened
    opened.close()


def found(state: FoundState, *, images: int = 0) -> FoundPriorView:
    """The earlier study."""
    return FoundPriorView(study_instance_uid=PRIOR, study_date="20251203", state=state, words="", instance_count=images)


def begin(index: Index) -> int:
    """Take the search and ask for the images of the earlier study."""
    task = index.fetches.take_due("pacs")
    assert task is not None
    index.fetches.note_found(task.fetch_id, [found(FoundState.FETCHING)])
    return task.fetch_id


def fetch(index: Index) -> None:
    """Fetch the earlier study as a whole."""
    fetch_id = begin(index)
    index.record_received([received(PRIOR, number, acquired_at=LONG_AGO) for number in (1, 2)])
    index.fetches.end_retrieval(fetch_id, found(FoundState.FETCHED, images=2), rerun_when_late=False)
    index.fetches.settle(fetch_id, FetchState.DONE, "1 earlier study found")


def linked(index: Index) -> list[str]:
    """What the current study may be compared with."""
    return [prior.study_instance_uid for prior in index.prior_candidates(CURRENT, maximum_age_days=100)]


def test_a_search_is_planned_once_for_each_revision(index: Index) -> None:
    """The sweep plans whenever it looks."""
    for _ in range(3):
        index.fetches.plan(CURRENT, peers=["pacs", "archive"])
    assert [search.peer for search in index.fetches.of_study(CURRENT)] == ["pacs", "archive"]


@pytest.mark.parametrize("changes", [{"patient": replace(JANE, patient_id="")}, {"modality": "MR"}])
def test_no_search_is_planned_where_nothing_could_be_linked(index: Index, changes: dict[str, object]) -> None:
    """A patient without an ID is everybody."""
    index.record_received([received("1.2.9", **changes)])
    index.fetches.plan("1.2.9", peers=["pacs"])
    assert index.fetches.of_study("1.2.9") == ()


def test_a_study_is_not_compared_with_before_it_is_here_as_a_whole(index: Index) -> None:
    """While it comes it is no candidate, and not one that is to be analysed."""
    fetch_id = begin(index)
    index.record_received([received(PRIOR, acquired_at=LONG_AGO)])
    assert view_of(index, PRIOR).origin == "fetching"
    assert linked(index) == []
    assert index.studies_in(State.RECEIVING) == ()

    index.fetches.end_retrieval(fetch_id, found(FoundState.FETCHED, images=1), rerun_when_late=False)

    assert (state_of(index, PRIOR), view_of(index, PRIOR).origin) == (State.SKIPPED, "fetched")
    assert linked(index) == [PRIOR]


def test_a_study_that_came_in_part_is_put_away_and_not_compared_with(index: Index) -> None:
    """It is not analysed either."""
    fetch_id = begin(index)
    index.record_received([received(PRIOR, acquired_at=LONG_AGO)])
    index.fetches.end_retrieval(fetch_id, found(FoundState.FAILED, images=1), rerun_when_late=False)
    assert (state_of(index, PRIOR), view_of(index, PRIOR).origin) == (State.SKIPPED, "fetching")
    assert linked(index) == []


def test_an_operator_may_have_a_fetched_study_analysed(index: Index) -> None:
    """From then on it is a study as any other, also when more of it comes."""
    fetch(index)
    index.apply(PRIOR, Event.RETRIED, why="by an operator")
    index.record_received([received(PRIOR, 3, acquired_at=LONG_AGO)])
    assert [activity.study_instance_uid for activity in index.studies_in(State.RECEIVING)] == [PRIOR]


def test_a_study_that_is_sent_to_the_node_is_analysed_although_it_was_once_named(
    index: Index, clock: FakeClock
) -> None:
    """A day after it was asked for, what comes was sent by somebody else."""
    fetch_id = begin(index)
    index.fetches.end_retrieval(fetch_id, found(FoundState.TIMED_OUT), rerun_when_late=False)
    clock.advance(25 * 3600)
    index.record_received([received(PRIOR)])
    assert view_of(index, PRIOR).origin == "received"


def test_images_that_come_late_do_not_take_a_whole_study_away(index: Index, clock: FakeClock) -> None:
    """It stays one to compare with, and is put away again."""
    fetch(index)
    index.record_received([received(PRIOR, 3, acquired_at=LONG_AGO)])
    assert state_of(index, PRIOR) is State.RECEIVING
    clock.advance(120)
    index.fetches.end_strays(quiet_s=60)
    assert state_of(index, PRIOR) is State.SKIPPED
    assert linked(index) == [PRIOR]


def test_a_search_that_a_worker_left_is_begun_again(index: Index) -> None:
    """After a crash the row says that it runs; nobody runs it."""
    begin(index)
    assert index.fetches.take_due("pacs") is None
    index.fetches.release_running("archive")
    assert index.fetches.take_due("pacs") is None
    index.fetches.release_running("pacs")
    task = index.fetches.take_due("pacs")
    assert task is not None
    assert task.tries == 2


def test_a_postponed_search_waits_for_its_time(index: Index, clock: FakeClock) -> None:
    """Back-off is a column, not a sleep."""
    task = index.fetches.take_due("pacs")
    assert task is not None
    index.fetches.postpone(task.fetch_id, "busy", next_try_at=clock.now() + timedelta(seconds=5))
    assert index.fetches.take_due("pacs") is None
    clock.advance(5)
    assert index.fetches.take_due("pacs") is not None


def test_a_study_that_was_fetched_stays_told_as_fetched(index: Index) -> None:
    """The next try of the search finds it here."""
    fetch_id = begin(index)
    index.record_received([received(PRIOR, acquired_at=LONG_AGO)])
    index.fetches.end_retrieval(fetch_id, found(FoundState.FETCHED, images=1), rerun_when_late=False)
    index.fetches.note_found(fetch_id, [found(FoundState.HELD)])
    (search,) = index.fetches.of_study(CURRENT)
    assert [one.state for one in search.found] == [FoundState.FETCHED]


def test_a_discarded_study_is_not_run_again_for_a_late_one(index: Index) -> None:
    """An operator took it out."""
    fetch_id = begin(index)
    index.apply(CURRENT, Event.PRIORS_SETTLED, why="waited long enough")
    index.apply(CURRENT, Event.DISCARDED, why="by an operator")
    index.record_received([received(PRIOR, acquired_at=LONG_AGO)])
    index.fetches.end_retrieval(fetch_id, found(FoundState.FETCHED, images=1), rerun_when_late=True)
    assert index.fetches.rerun_late() == ()
    assert state_of(index) is State.SKIPPED


def test_the_order_of_work_is_not_changed_by_fetched_studies(index: Index) -> None:
    """A worker never gets one."""
    fetch(index)
    index.apply(CURRENT, Event.PRIORS_SETTLED, why="all here")
    index.record_received([received("1.2.8")])
    make_ready(index, "1.2.8")
    taken = [index.claim_next(owner="worker", lease_s=60) for _ in range(3)]
    assert [claim.study_instance_uid for claim in taken if claim] == [CURRENT, "1.2.8"]


def search_for_first_patient(index: Index) -> None:
    """End the search with a study that the report would name; then images of the other patient come."""
    fetch_id = begin(index)
    index.fetches.end_retrieval(fetch_id, found(FoundState.NOT_NEEDED), rerun_when_late=False)
    index.fetches.settle(fetch_id, FetchState.DONE, "1 earlier study found")
    index.record_received([johns(2), johns(3)])


def test_a_search_for_one_patient_says_nothing_of_another_who_is_chosen(index: Index) -> None:
    """Hers are looked for no more and not named in his report; also once that is taken back."""
    search_for_first_patient(index)
    index.release_held(CURRENT, 2, by="admin")
    index.apply(CURRENT, Event.COMPLETED, why="quiet")
    assert not_fetched(index.fetches.of_study(CURRENT)) == []
    index.fetches.plan(CURRENT, peers=["pacs"])
    task = index.fetches.take_due("pacs")
    assert task is not None
    assert (task.patient, task.demographics.patient_name) == (JOHN, "Doe^John")
    index.record_received([received(CURRENT, 9)])
    index.release_held(CURRENT, 1, by="admin")
    assert (view_of(index).patient, index.fetches.of_study(CURRENT)) == (JANE, ())


def test_the_search_for_a_patient_who_stays_is_not_repeated(index: Index) -> None:
    """The strays are put away, nothing else changed."""
    search_for_first_patient(index)
    index.release_held(CURRENT, 1, by="admin")
    assert not_fetched(index.fetches.of_study(CURRENT)) != []
    assert view_of(index).revision == 1


def test_a_study_that_is_taken_up_again_before_its_first_attempt_searches_anew(index: Index) -> None:
    """What an earlier search had fetched may be deleted by now; what that search named is said of it no more."""
    fetch_id = begin(index)
    index.fetches.settle(fetch_id, FetchState.DONE, "pacs: 1 earlier study found: 1 fetched")
    index.apply(CURRENT, Event.DISCARDED, why="an operator")
    index.apply(CURRENT, Event.RETRIED, why="an operator")
    assert index.fetches.of_study(CURRENT) == ()
    index.fetches.plan(CURRENT, peers=["pacs"])
    task = index.fetches.take_due("pacs")
    assert task
    assert task.fetch_id != fetch_id


def test_a_study_that_is_taken_up_again_without_a_search_stays_the_same_revision(index: Index) -> None:
    """Nothing was made of it."""
    index.record_received([received("1.2.9")])
    index.apply("1.2.9", Event.DISCARDED, why="an operator")
    index.apply("1.2.9", Event.RETRIED, why="an operator")
    assert view_of(index, "1.2.9").revision == 1
