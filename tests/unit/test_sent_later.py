"""Studies that were fetched as earlier ones, and what makes them studies to be analysed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from builders.clock import FakeClock
from builders.index import NOON, SR, build_index, received, state_of, view_of
from config.settings import Settings
from dicom_node.retrieve.waiting import FetchWatch
from storage.fetch_records import FetchState, FoundPriorView, FoundState
from storage.index import Index
from storage.lifecycle import Event, State
from storage.records import ReceivedInstance, Recorded

pytestmark = pytest.mark.usefixtures("each_engine")

CURRENT, PRIOR = "1.2.3", "1.2.4"
A_DAY_S = 24 * 3600.0


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


def found(state: FoundState) -> FoundPriorView:
    """The earlier study."""
    return FoundPriorView(study_instance_uid=PRIOR, study_date="20251203", state=state, words="", instance_count=2)


def image(number: int, *, clock: FakeClock | None = None, **changes: object) -> ReceivedInstance:
    """An image of the earlier study; sent by somebody at the time of a clock, or fetched at noon."""
    sent = {"received_at": clock.now(), "calling_aet": "RADIOLOGIST"} if clock else {}
    return received(PRIOR, number, **({"acquired_at": NOON - timedelta(days=30)} | sent | changes))


def fetch(index: Index, end: FoundState = FoundState.FETCHED) -> int:
    """Fetch two images of the earlier study; the number of the search."""
    task = index.fetches.take_due("pacs")
    assert task
    index.fetches.note_found(task.fetch_id, [found(FoundState.FETCHING)])
    index.record_received([image(1), image(2)])
    index.fetches.end_retrieval(task.fetch_id, found(end), rerun_when_late=False)
    index.fetches.settle(task.fetch_id, FetchState.DONE, "1 earlier study found")
    assert state_of(index, PRIOR) is State.SKIPPED
    return task.fetch_id


def to_be_completed(index: Index) -> list[str]:
    """The studies that completeness looks at."""
    return [activity.study_instance_uid for activity in index.studies_in(State.RECEIVING)]


@pytest.mark.parametrize("end", [FoundState.FETCHED, FoundState.FAILED])
@pytest.mark.parametrize(
    ("numbers", "content", "answer"),
    [((3, 4), "", Recorded.NEW), ((1, 2), "", Recorded.DUPLICATE), ((1, 2), "compressed", Recorded.CONFLICT)],
)
def test_a_fetched_study_that_somebody_sends_later_is_analysed(
    index: Index, clock: FakeClock, end: FoundState, numbers: tuple[int, ...], content: str, answer: Recorded
) -> None:
    """Further images, the very same once more, or the same in other bytes; fetched as a whole or in part."""
    fetch(index, end)
    clock.advance(60 * A_DAY_S)
    sent = [image(number, clock=clock, content=content) for number in numbers]
    assert index.record_received(sent) == (answer, answer)
    view = view_of(index, PRIOR)
    assert (view.state, view.origin, view.revision) == (State.RECEIVING, "received", 1)
    assert "sent to the node" in view.reason
    assert view.last_instance_at == clock.now()
    assert to_be_completed(index) == [PRIOR]


def test_one_image_of_many_that_are_the_same_opens_the_study_once(index: Index, clock: FakeClock) -> None:
    """Once it is a study that was received, the same images change nothing."""
    fetch(index)
    clock.advance(2 * A_DAY_S)
    index.record_received([image(1, clock=clock)])
    index.apply(PRIOR, Event.COMPLETED, why="quiet")
    index.record_received([image(1, clock=clock), image(2, clock=clock)])
    assert state_of(index, PRIOR) is State.WAITING_FOR_PRIORS


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize(
    "state", [FoundState.FETCHED, FoundState.FAILED, FoundState.REFUSED, FoundState.NOT_NEEDED, FoundState.HELD]
)
def test_late_images_of_a_retrieval_are_never_analysed(
    index: Index, clock: FakeClock, state: FoundState, number: int
) -> None:
    """Whatever became of the study meanwhile: it was asked for within the day."""
    fetch_id = fetch(index, FoundState.TIMED_OUT)
    index.fetches.note_found(fetch_id, [found(state)])
    clock.advance(A_DAY_S - 60)
    index.record_received([image(number, clock=clock)])
    assert view_of(index, PRIOR).origin != "received"
    assert to_be_completed(index) == []


def test_another_object_of_a_fetched_study_asks_for_nothing(index: Index, clock: FakeClock) -> None:
    """A report is no image."""
    fetch(index)
    clock.advance(2 * A_DAY_S)
    index.record_received([image(9, clock=clock, sop_class_uid=SR, modality="SR")])
    assert (state_of(index, PRIOR), view_of(index, PRIOR).origin) == (State.SKIPPED, "fetched")


def test_a_fetched_study_that_is_sent_with_another_patient_is_held_then_analysed(
    index: Index, clock: FakeClock
) -> None:
    """The operator's word releases it as any other."""
    fetch(index)
    clock.advance(2 * A_DAY_S)
    index.record_received([image(3, clock=clock, birth_date="19991231"), image(4, clock=clock)])
    assert state_of(index, PRIOR) is State.HELD
    index.record_received([image(4, clock=clock)])
    assert state_of(index, PRIOR) is State.HELD
    index.release_held_whole(PRIOR, by="anna")
    assert to_be_completed(index) == [PRIOR]


@pytest.mark.parametrize("end", [FoundState.FETCHED, FoundState.FETCHING])
def test_stray_images_are_put_away_where_no_archive_is_asked_any_more(
    index: Index, tmp_path: Path, clock: FakeClock, end: FoundState
) -> None:
    """Somebody took the PACS out of the configuration, perhaps while it sent: nothing stays `receiving` for ever."""
    task = index.fetches.take_due("pacs")
    assert task
    index.fetches.note_found(task.fetch_id, [found(FoundState.FETCHING)])
    index.record_received([image(1)])
    if end is FoundState.FETCHED:
        index.fetches.end_retrieval(task.fetch_id, found(end), rerun_when_late=False)
        index.record_received([image(2)])
    assert state_of(index, PRIOR) is State.RECEIVING
    clock.advance(A_DAY_S + 1)
    FetchWatch(Settings.model_validate({"node": {"data_dir": str(tmp_path)}}), index).tidy()
    assert state_of(index, PRIOR) is State.SKIPPED
