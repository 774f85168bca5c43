"""The queue of work."""

from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from builders.clock import FakeClock
from builders.index import (
    build_index,
    claim,
    claimed_study,
    database_url,
    make_ready,
    received,
    result_files,
    to,
    view_of,
)
from storage.database import open_engine
from storage.errors import IllegalTransitionError
from storage.index import Index
from storage.lifecycle import Event, State
from storage.models import Attempt

pytestmark = pytest.mark.usefixtures("each_engine")


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the index."""
    return FakeClock()


@pytest.fixture
def index(tmp_path: Path, clock: FakeClock) -> Index:
    """An empty index."""
    return build_index(tmp_path, clock)


def test_studies_are_taken_in_the_order_in_which_they_were_ready(index: Index, clock: FakeClock) -> None:
    """Nobody overtakes."""
    index.record_received([received("1.1"), received("1.2")])
    for study in ("1.2", "1.1"):
        make_ready(index, study)
        clock.advance(1)
    assert [claim(index).study_instance_uid for _ in range(2)] == ["1.2", "1.1"]
    assert index.claim_next(owner="worker", lease_s=60) is None


def test_a_study_is_in_one_hand_only(index: Index) -> None:
    """A second worker gets nothing."""
    claimed_study(index)
    assert index.claim_next(owner="other", lease_s=60) is None


def test_two_open_attempts_of_a_study_are_impossible(index: Index, clock: FakeClock, tmp_path: Path) -> None:
    """Not even a worker that bypasses the queue can open a second one: the database refuses it."""
    taken = claimed_study(index)
    values = {"study_id": 1, "revision": 1, "number": 2, "owner": "rogue", "reason": ""}
    values |= {"started_at": clock.now(), "lease_until": clock.now()}
    with open_engine(database_url(tmp_path)).begin() as connection, pytest.raises(IntegrityError):
        connection.execute(insert(Attempt).values(**values))
    assert index.renew(taken, lease_s=60)


def test_a_renewed_lease_holds(index: Index, clock: FakeClock) -> None:
    """A worker that lives keeps its study for as long as it takes."""
    taken = claimed_study(index)
    for _ in range(5):
        clock.advance(50)
        assert index.renew(taken, lease_s=60)
        assert index.release_expired() == ()


def test_an_expired_lease_frees_the_study(index: Index, clock: FakeClock) -> None:
    """The worker died; another one takes the study as the next attempt of the same revision."""
    dead = claimed_study(index)
    clock.advance(61)
    assert index.release_expired() == ("1.2.3",)
    again = claim(index)
    assert (again.revision, again.attempt_number) == (1, 2)
    assert again.started_at == dead.started_at


def test_a_stale_worker_changes_nothing(index: Index, clock: FakeClock) -> None:
    """Its result is discarded, its lease stays lost, whoever holds the study is not disturbed."""
    stale = claimed_study(index)
    clock.advance(61)
    index.release_expired()
    current = claim(index)
    assert not index.renew(stale, lease_s=60)
    assert not index.finish_succeeded(stale, result_files(), destinations=to("PACS"), why="stale")
    assert not index.finish_refused(stale, "stale")
    assert not index.finish_failed(stale, "stale", retryable=False, maximum_attempts=3)
    assert view_of(index).state is State.PROCESSING
    assert index.latest_result("1.2.3") is None
    assert index.finish_succeeded(current, result_files(), destinations=to("PACS"), why="fine")


def test_a_late_instance_is_not_lost_while_the_worker_runs(index: Index, clock: FakeClock) -> None:
    """The attempt goes on undisturbed; then the whole study runs again as a new revision."""
    running = claimed_study(index)
    index.record_received([received(number=2)])
    assert view_of(index).state is State.PROCESSING
    assert index.renew(running, lease_s=60)
    assert index.finish_succeeded(running, result_files(), destinations=to("PACS"), why="fine")
    assert view_of(index).state is State.RECEIVING
    clock.advance(10)
    make_ready(index)
    again = claim(index)
    assert (again.revision, again.attempt_number, again.started_at) == (2, 1, clock.now())
    assert len(index.stored_instances("1.2.3")) == 2


@pytest.mark.parametrize("how", ["refused", "failed", "failed for now", "lost", "given back"])
def test_a_late_instance_reopens_the_study_however_the_attempt_ends(index: Index, clock: FakeClock, how: str) -> None:
    """What ended was an attempt at another study than the one that is there now."""
    running = claimed_study(index)
    index.record_received([received(number=2)])
    if how == "refused":
        index.finish_refused(running, "too thick")
    elif how == "lost":
        clock.advance(61)
        index.release_expired()
    elif how == "given back":
        index.release(running, why="stopped")
    else:
        index.finish_failed(running, "crash", retryable=how == "failed for now", maximum_attempts=3)
    assert view_of(index).state is State.RECEIVING
    make_ready(index)
    assert claim(index).revision == 2


def test_the_result_of_an_outdated_revision_is_kept_but_not_sent(index: Index) -> None:
    """It would be half an answer; the next one names it as its predecessor if it was ever sent."""
    running = claimed_study(index)
    index.record_received([received(number=2)])
    index.finish_succeeded(running, result_files(), destinations=to("PACS"), why="fine")
    assert index.latest_result("1.2.3") is not None
    assert index.due_deliveries(destination="PACS", limit=9) == ()


def test_a_failure_that_may_pass_is_tried_again_until_the_attempts_are_used_up(index: Index) -> None:
    """Three crashes, then the study waits for an operator."""
    index.record_received([received()])
    make_ready(index)
    states = []
    for _ in range(3):
        index.finish_failed(claim(index), "crash", retryable=True, maximum_attempts=3)
        states.append(view_of(index).state)
    assert states == [State.READY, State.READY, State.PIPELINE_FAILED]
    assert view_of(index).reason == "crash"


def test_a_failure_that_will_not_pass_is_not_tried_again(index: Index) -> None:
    """An unreadable file stays unreadable."""
    index.finish_failed(claimed_study(index), "unreadable", retryable=False, maximum_attempts=3)
    assert view_of(index).state is State.PIPELINE_FAILED


def test_a_study_that_kills_its_worker_does_not_do_so_for_ever(index: Index, clock: FakeClock) -> None:
    """An attempt without an outcome counts; the others in the queue get their turn."""
    index.record_received([received()])
    make_ready(index)
    for _ in range(3):
        claim(index)
        clock.advance(61)
        index.release_expired(maximum_attempts=3)
    assert view_of(index).state is State.PIPELINE_FAILED


def test_a_claim_that_is_given_back_does_not_count(index: Index) -> None:
    """A restart of the worker is not the fault of the study."""
    first = claimed_study(index)
    for _ in range(5):
        assert index.release(first, why="the worker stops")
        again = claim(index)
        assert (again.attempt_number, again.started_at) == (1, first.started_at)
        first = again


def test_a_starting_worker_frees_what_its_predecessor_held(index: Index) -> None:
    """It knows that no other worker runs, so it need not wait for the leases."""
    stale = claimed_study(index)
    assert index.release_all(why="the worker was started anew") == ("1.2.3",)
    assert not index.renew(stale, lease_s=60)
    assert claim(index).attempt_number == 2


def test_a_refused_study_is_skipped_with_the_reason(index: Index) -> None:
    """The reason is what people see."""
    index.finish_refused(claimed_study(index), "no axial chest CT series")
    assert (view_of(index).state, view_of(index).reason) == (State.SKIPPED, "no axial chest CT series")


@pytest.mark.parametrize("ending", [State.SKIPPED, State.PIPELINE_FAILED, State.PROCESSED])
def test_a_retried_study_runs_as_a_new_revision(index: Index, ending: State) -> None:
    """Whatever came out before: the operator wants it run anew."""
    taken = claimed_study(index)
    if ending is State.SKIPPED:
        index.finish_refused(taken, "too thick")
    elif ending is State.PIPELINE_FAILED:
        index.finish_failed(taken, "crash", retryable=False, maximum_attempts=3)
    else:
        index.finish_succeeded(taken, result_files(), destinations=[], why="fine")
    assert view_of(index).state is ending
    assert index.apply("1.2.3", Event.RETRIED, why="operator") is State.WAITING_FOR_PRIORS
    index.apply("1.2.3", Event.PRIORS_SETTLED, why="none")
    assert (claim(index).revision, view_of(index).state) == (2, State.PROCESSING)


def test_a_discarded_study_stops_its_worker(index: Index) -> None:
    """The claim is gone at the next renewal and nothing of the attempt is stored."""
    taken = claimed_study(index)
    assert index.apply("1.2.3", Event.DISCARDED, why="wrong patient") is State.SKIPPED
    assert not index.renew(taken, lease_s=60)
    assert not index.finish_succeeded(taken, result_files(), destinations=to("PACS"), why="fine")


@pytest.mark.parametrize(
    "event", [Event.CLAIMED, Event.ATTEMPT_SUCCEEDED, Event.LEASE_LOST, Event.ALL_DELIVERED, Event.INSTANCE_ARRIVED]
)
def test_an_event_that_comes_with_something_cannot_come_alone(index: Index, event: Event) -> None:
    """No study is in processing without an attempt, or delivered without a delivery."""
    index.record_received([received()])
    make_ready(index)
    with pytest.raises(IllegalTransitionError):
        index.apply("1.2.3", event, why="by hand")


def test_a_refused_step_leaves_no_trace(index: Index) -> None:
    """The transaction is rolled back as a whole."""
    index.record_received([received()])
    before = view_of(index)
    with pytest.raises(IllegalTransitionError):
        index.apply("1.2.3", Event.PRIORS_SETTLED, why="too early")
    assert view_of(index) == before
