"""What the rules of a site decided, in the index."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from builders.clock import FakeClock
from builders.index import build_index, claim, database_url, received, result_files, state_of, to, view_of
from storage.database import open_engine, reading
from storage.errors import IllegalTransitionError, UnknownStudyError
from storage.index import Index
from storage.lifecycle import Event, State
from storage.rule_records import RuledDestination, RuleDecision

RUN = RuleDecision(rule="", rule_text="", runs=True, priority="normal", destinations=None, why="")
URGENT = replace(
    RUN,
    rule="ct1",
    rule_text='{"name": "ct1"}',
    priority="urgent",
    destinations=(RuledDestination(name="pacs", results=("sr", "seg")), RuledDestination(name="mail", results=())),
    why="rule ct1: run, urgent priority",
)
SKIP = replace(RUN, rule="mr", runs=False, why="not run by rule mr")


def complete(index: Index, *studies: str) -> None:
    """Studies that wait for earlier ones."""
    for study in studies:
        index.record_received([received(study)])
        index.apply(study, Event.COMPLETED, why="quiet")


def test_a_decision_is_kept_as_it_was_and_told_by_the_history(tmp_path: Path) -> None:
    """Every field of it, and the line that people read."""
    index = build_index(tmp_path, FakeClock())
    complete(index, "1.2.3")
    assert index.rules.decision_of("1.2.3") is None
    assert index.rules.decide("1.2.3", URGENT) == URGENT
    assert index.rules.decision_of("1.2.3") == URGENT
    last = view_of(index).history[-1]
    assert (last.event, last.why) == (Event.RULED, URGENT.why)


def test_the_first_decision_holds_whoever_decides_later(tmp_path: Path) -> None:
    """An edit of the rules meanwhile changes no study half way."""
    index = build_index(tmp_path, FakeClock())
    complete(index, "1.2.3")
    index.rules.decide("1.2.3", URGENT)
    assert index.rules.decide("1.2.3", SKIP) == URGENT
    assert state_of(index) is State.WAITING_FOR_PRIORS


def test_a_study_that_is_ruled_out_is_kept_as_skipped_with_the_reason(tmp_path: Path) -> None:
    """Nothing is deleted, and the reason stands with the study."""
    index = build_index(tmp_path, FakeClock())
    complete(index, "1.2.3")
    index.rules.decide("1.2.3", SKIP)
    view = view_of(index)
    assert (view.state, view.reason, view.instance_count) == (State.SKIPPED, SKIP.why, 1)


@pytest.mark.parametrize("event", [Event.RETRIED, Event.INSTANCE_ARRIVED])
def test_a_study_that_runs_anew_is_decided_anew_and_the_old_decision_stays_on_record(
    tmp_path: Path, event: Event
) -> None:
    """The newest rules hold then."""
    index = build_index(tmp_path, FakeClock())
    complete(index, "1.2.3")
    index.rules.decide("1.2.3", SKIP)
    if event is Event.RETRIED:
        index.apply("1.2.3", event, why="operator")
    else:
        index.record_received([received("1.2.3", 2)])
        index.apply("1.2.3", Event.COMPLETED, why="quiet")
    assert index.rules.decision_of("1.2.3") is None
    assert index.rules.decide("1.2.3", URGENT) == URGENT
    with reading(open_engine(database_url(tmp_path))) as connection:
        rows = connection.execute(text("SELECT rule, holds FROM rule_decision ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [("mr", 0), ("ct1", 1)]


def test_only_an_operator_who_retries_a_skipped_study_asks_for_it(tmp_path: Path) -> None:
    """Not one who says that it is complete, nor a late image."""
    index = build_index(tmp_path, FakeClock())
    complete(index, "1.2.3")
    assert not index.rules.facts_of("1.2.3").is_asked_for
    index.rules.decide("1.2.3", SKIP)
    index.apply("1.2.3", Event.RETRIED, why="operator")
    assert index.rules.facts_of("1.2.3").is_asked_for
    index.record_received([received("1.2.3", 2)])
    index.apply("1.2.3", Event.COMPLETED, why="quiet")
    assert not index.rules.facts_of("1.2.3").is_asked_for


def end_of_attempt(index: Index, *, state: State) -> None:
    """The study that waits for earlier ones is analysed, and stands there then."""
    index.apply("1.2.3", Event.PRIORS_SETTLED, why="none")
    if state is State.PIPELINE_FAILED:
        index.finish_failed(claim(index), "out of GPU memory", retryable=False, maximum_attempts=3)
        return
    index.finish_succeeded(claim(index), result_files(), destinations=to("PACS"), why="fine")
    if state is State.DELIVERED:
        (due,) = index.due_deliveries(destination="PACS", limit=9)
        index.delivery_succeeded(due.delivery_id, "0x0000")


@pytest.mark.parametrize("state", [State.PIPELINE_FAILED, State.PROCESSED, State.DELIVERED])
def test_what_an_operator_asked_for_stays_asked_for_when_it_is_run_again(tmp_path: Path, state: State) -> None:
    """However its first run ended, and however often it is run again; a late image makes it a study as any other."""
    index = build_index(tmp_path, FakeClock())
    complete(index, "1.2.3")
    index.rules.decide("1.2.3", SKIP)
    for _ in range(3):
        index.apply("1.2.3", Event.RETRIED, why="operator")
        assert index.rules.facts_of("1.2.3").is_asked_for
        index.rules.decide("1.2.3", URGENT)
        end_of_attempt(index, state=state)
        assert state_of(index) is state
    index.record_received([received("1.2.3", 2)])
    index.apply("1.2.3", Event.COMPLETED, why="quiet")
    assert not index.rules.facts_of("1.2.3").is_asked_for


def test_who_runs_a_study_again_that_ran_by_rule_leaves_it_to_the_rules(tmp_path: Path) -> None:
    """Nobody wanted it against them; they may have been edited since, and decide anew."""
    index = build_index(tmp_path, FakeClock())
    complete(index, "1.2.3")
    index.rules.decide("1.2.3", URGENT)
    end_of_attempt(index, state=State.PROCESSED)
    index.apply("1.2.3", Event.RETRIED, why="operator")
    assert not index.rules.facts_of("1.2.3").is_asked_for


def test_urgent_studies_are_taken_first_and_low_ones_last(tmp_path: Path) -> None:
    """Of one priority the one that is ready for longest; without a decision a study is normal."""
    clock = FakeClock()
    index = build_index(tmp_path, clock)
    decisions = {
        "1.1": replace(URGENT, priority="low"),
        "1.2": RUN,
        "1.3": URGENT,
        "1.4": None,
        "1.5": URGENT,
    }
    for study, decision in decisions.items():
        complete(index, study)
        if decision:
            index.rules.decide(study, decision)
        index.apply(study, Event.PRIORS_SETTLED, why="none")
        clock.advance(1)
    assert [claim(index).study_instance_uid for _ in decisions] == ["1.3", "1.5", "1.2", "1.4", "1.1"]


def test_rules_see_every_sender_and_the_images_that_are_used(tmp_path: Path) -> None:
    """A series may come from two AE titles; what is not used is not looked at."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([received(calling_aet="CT1"), received(number=2, calling_aet="PACS", called_aet="AI")])
    index.record_received([received(number=2, content="other bytes", calling_aet="STRANGER")])
    (series,) = index.rules.facts_of("1.2.3").series
    assert series.calling_ae_titles == ("CT1", "PACS")
    assert series.called_ae_titles == ("DICOMNODE", "AI")
    assert (series.modality, series.body_part, series.description) == ("CT", "CHEST", "Lung 1.0")


def test_nothing_is_decided_about_a_study_that_is_being_received_or_unknown(tmp_path: Path) -> None:
    """More may come; then all of it counts."""
    index = build_index(tmp_path, FakeClock())
    index.record_received([received()])
    with pytest.raises(IllegalTransitionError):
        index.rules.decide("1.2.3", URGENT)
    assert index.rules.decision_of("1.2.3") is None
    with pytest.raises(UnknownStudyError):
        index.rules.facts_of("9.9")
