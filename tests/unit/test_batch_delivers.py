"""Which results of batches are sent, where more than one batch had a study, or it came by itself afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.batches import analyse, fetch, plan, result_on_disk
from builders.clock import FakeClock
from builders.index import (
    NOON,
    build_index,
    claim,
    database_url,
    make_ready,
    received,
    result_files,
    state_of,
    view_of,
)
from builders.two_patients import JOHN
from config.retention import RetentionSettings
from config.settings import NodeSettings, Peer, Settings
from dicom_node.audit.events import Party
from dicom_node.audit.trail import NoTrail
from dicom_node.batch.ends import note_ends
from dicom_node.retention import Retention
from storage.batch_records import BatchState, BatchStudyState
from storage.database import open_engine
from storage.fetch_records import FoundPriorView, FoundState
from storage.files import ResultStore
from storage.former_index import read_former_index
from storage.index import Index
from storage.lifecycle import Event, State

STUDY = "1.2.1"
PACS = Peer(name="pacs", ae_title="PACS", host="localhost", port=104, receives_results=True, results=("sr",))
SENDING = Settings(peers=(PACS,))


@pytest.fixture
def clock() -> FakeClock:
    """Of the index."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, each_engine: str, clock: FakeClock) -> Iterator[Index]:
    """A batch that sends nothing had its only study analysed."""
    made = build_index(tmp_path, clock)
    made.batches.begin(plan(), {STUDY: "20190101"})
    fetch(made)
    analyse(made, result_on_disk(ResultStore(tmp_path).folder_of(STUDY) / "r1"), result_files()[0])
    note_ends(made, SENDING)
    yield made
    made.close()


def take_up(index: Index, *, delivers: bool, study: str = STUDY) -> int:
    """Another batch has the study, which is here; its number."""
    number = index.batches.begin(plan(delivers=delivers), {study: "20190101"})
    (line,) = index.batches.in_state(number, BatchStudyState.WAITING)
    index.batches.asked(line, is_own=True)
    index.batches.fetched(line)
    return number


def ask_for_as_earlier_study(index: Index) -> None:
    """A PACS is asked for the study to compare a new one with."""
    index.record_received([received("1.2.9", received_at=NOON)])
    index.apply("1.2.9", Event.COMPLETED, why="quiet")
    index.fetches.plan("1.2.9", peers=["pacs"])
    task = index.fetches.take_due("pacs")
    assert task is not None
    found = FoundPriorView(
        study_instance_uid=STUDY, study_date="20190101", state=FoundState.FETCHING, words="", instance_count=2
    )
    index.fetches.note_found(task.fetch_id, [found])


def test_a_batch_that_sends_nothing_sends_nothing(index: Index) -> None:
    """Whoever receives results."""
    assert (state_of(index, STUDY), view_of(index, STUDY).deliveries) == (State.PROCESSED, ())


def test_a_study_that_was_deleted_and_comes_by_itself_is_as_any_other(
    index: Index, tmp_path: Path, clock: FakeClock
) -> None:
    """It was sent to be reported: its result goes out, and no other study is taken before it for being of a batch."""
    clock.advance(400 * 86_400)
    settings = Settings(node=NodeSettings(data_dir=tmp_path), retention=RetentionSettings(days=1))
    engine = open_engine(database_url(tmp_path))
    assert Retention(settings, engine, clock=clock, trail=NoTrail(), by=Party(user_id="WORK")).run() == 1
    engine.dispose()
    index.record_received([received(STUDY)])
    make_ready(index, STUDY)
    clock.advance(1)
    index.record_received([received("9.9.9")])
    make_ready(index, "9.9.9")
    view = view_of(index, STUDY)
    assert (view.batch, view.history[0].why) == (None, "first instance received")
    assert not index.batches.is_kept_here(STUDY)
    assert claim(index).study_instance_uid == STUDY


@pytest.mark.parametrize("first_delivers", [True, False])
def test_a_result_that_one_of_two_batches_sends_is_sent(index: Index, first_delivers: bool) -> None:
    """Whichever of them came first."""
    index.batches.begin(plan(delivers=first_delivers), {"1.2.2": "20190101"})
    fetch(index, 2)
    assert index.batches.is_kept_here("1.2.2") is not first_delivers
    take_up(index, delivers=not first_delivers, study="1.2.2")
    assert not index.batches.is_kept_here("1.2.2")


def test_a_batch_that_sends_sends_what_another_one_kept_here(index: Index) -> None:
    """As after a trial; nothing is analysed again, and the history says why it goes out."""
    number = take_up(index, delivers=True)
    note_ends(index, SENDING)
    view = view_of(index, STUDY)
    assert index.batches.view(number).state is BatchState.DONE
    assert [delivery.destination for delivery in view.deliveries] == ["pacs"]
    assert (view.state, view.history[-1].why) == (State.SENDING, f"asked for by batch {number}, which sends results")
    assert len(index.due_deliveries(destination="pacs", limit=9)) == 1


def test_what_was_sent_for_one_batch_is_not_sent_again_for_another(index: Index) -> None:
    """Only what nobody was ever sent goes out."""
    take_up(index, delivers=True)
    note_ends(index, SENDING)
    (due,) = index.due_deliveries(destination="pacs", limit=9)
    index.delivery_succeeded(due.delivery_id, "0x0000")
    take_up(index, delivers=True)
    note_ends(index, SENDING)
    assert state_of(index, STUDY) is State.DELIVERED
    assert index.due_deliveries(destination="pacs", limit=9) == ()


def test_where_nobody_receives_results_the_study_ends_all_the_same(index: Index) -> None:
    """There is nothing to wait for."""
    number = take_up(index, delivers=True)
    note_ends(index, Settings())
    assert index.batches.view(number).state is BatchState.DONE
    assert state_of(index, STUDY) is State.PROCESSED


def test_a_study_that_came_by_itself_is_sent_by_its_own_analysis_alone(index: Index) -> None:
    """What the site decided about it holds."""
    index.record_received([received("1.2.3", received_at=NOON)])
    make_ready(index, "1.2.3")
    analyse(index, *result_files("2.25.9"))
    index.batches.begin(plan(delivers=True), {"1.2.3": ""})
    (line,) = index.batches.in_state(2, BatchStudyState.WAITING)
    index.batches.asked(line, is_own=False)
    index.batches.fetched(line)
    note_ends(index, SENDING)
    assert view_of(index, "1.2.3").deliveries == ()


def test_late_images_that_somebody_sends_make_it_a_study_as_any_other(index: Index) -> None:
    """The batch had all of it: its new result goes out, in its turn among the new studies; the table stays."""
    index.record_received([received(STUDY, number=2)])
    assert (state_of(index, STUDY), index.batches.is_kept_here(STUDY)) == (State.RECEIVING, False)
    view = view_of(index, STUDY)
    assert view.batch is None
    assert "its results go where those of any other study go" in [entry.why for entry in view.history][-2]
    (line,) = index.batches.in_state(1, BatchStudyState.ANALYSED)
    assert line.findings is not None


def test_what_is_here_already_or_names_another_patient_changes_nothing(index: Index) -> None:
    """Nothing new is analysed."""
    index.record_received([received(STUDY, number=1)])
    index.record_received([received(STUDY, number=2, patient=JOHN)])
    assert index.batches.is_kept_here(STUDY)


def test_what_still_comes_for_a_batch_is_kept_here(index: Index, clock: FakeClock) -> None:
    """For a day after it was asked for, until a batch had all of it; whichever other one is through with it."""
    take_up(index, delivers=False)
    index.record_received([received(STUDY, number=2)])
    assert index.batches.is_kept_here(STUDY)
    make_ready(index, STUDY)
    clock.advance(86_401)
    index.record_received([received(STUDY, number=3)])
    assert not index.batches.is_kept_here(STUDY)


def test_a_batch_that_sends_stays_while_images_come_for_one_that_does_not(index: Index) -> None:
    """The first is through with the study; what it said holds."""
    number = take_up(index, delivers=True)
    note_ends(index, SENDING)
    assert index.batches.view(number).state is BatchState.DONE
    take_up(index, delivers=False)
    index.record_received([received(STUDY, number=2)])
    assert not index.batches.is_kept_here(STUDY)
    assert view_of(index, STUDY).batch is not None


def test_images_that_come_as_an_earlier_study_leave_it_with_its_batch(index: Index, clock: FakeClock) -> None:
    """The node asked for them, to compare with."""
    ask_for_as_earlier_study(index)
    index.record_received([received(STUDY, number=2)])
    assert index.batches.is_kept_here(STUDY)
    make_ready(index, STUDY)
    clock.advance(86_401)
    index.record_received([received(STUDY, number=3)])
    assert not index.batches.is_kept_here(STUDY)


def test_an_index_made_anew_keeps_from_running_only_what_no_batch_sends(index: Index, tmp_path: Path) -> None:
    """It reads that from the index in whose place it is."""
    assert read_former_index(database_url(tmp_path), is_sound=True).studies[STUDY].is_kept_here
    take_up(index, delivers=True)
    take_up(index, delivers=False)
    assert not read_former_index(database_url(tmp_path), is_sound=True).studies[STUDY].is_kept_here
