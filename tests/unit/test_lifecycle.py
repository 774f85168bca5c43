"""The life of a study."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import IllegalTransitionError
from storage.lifecycle import INITIAL, TRANSITIONS, Event, State, diagram, next_state

STATES = st.sampled_from(State)
EVENTS = st.sampled_from(Event)


def reachable_from(state: State, *, by: Callable[[Event], bool] = lambda _: True) -> set[State]:
    """States that some sequence of events leads to."""
    reached, fresh = {state}, [state]
    while fresh:
        at = fresh.pop()
        steps = {to for (source, event), to in TRANSITIONS.items() if source is at and by(event)} - reached
        reached |= steps
        fresh += steps
    return reached


def test_every_state_is_reachable() -> None:
    """A state that no study can come to would be a mistake of the table."""
    assert reachable_from(INITIAL) == set(State)


@given(STATES)
def test_no_state_is_a_dead_end(state: State) -> None:
    """Something can always lead a study elsewhere."""
    assert {to for (source, _), to in TRANSITIONS.items() if source is state} - {state}


@given(EVENTS)
def test_no_event_is_unused(event: Event) -> None:
    """An event that means something nowhere would be a mistake of the table."""
    assert any(used is event for _, used in TRANSITIONS)


@given(STATES)
def test_delivered_is_reachable_from_everywhere(state: State) -> None:
    """No study is ever lost for its result."""
    assert State.DELIVERED in reachable_from(state)


def test_a_healthy_node_needs_no_operator() -> None:
    """From the first instance to delivery every step happens by itself."""
    by_operator = {Event.COMPLETED_BY_OPERATOR, Event.RESENT, Event.RETRIED, Event.RELEASED, Event.DISCARDED}
    assert State.DELIVERED in reachable_from(INITIAL, by=lambda event: event not in by_operator)


@given(STATES)
def test_an_arriving_instance_is_defined_in_every_state(state: State) -> None:
    """It opens the study again, except while a worker runs, who is not disturbed, or while an operator is to decide."""
    expected = state if state in {State.PROCESSING, State.HELD} else State.RECEIVING
    assert next_state(state, Event.INSTANCE_ARRIVED) is expected


@given(STATES)
def test_another_patient_holds_a_study_wherever_it_stands(state: State) -> None:
    """Nothing is run or sent for a study that may be of somebody else."""
    assert next_state(state, Event.PATIENT_CONTRADICTED) is State.HELD


def test_only_an_operator_leads_out_of_a_hold() -> None:
    """Time, further instances and workers do not."""
    leading = {event for (source, event), to in TRANSITIONS.items() if source is State.HELD and to is not State.HELD}
    assert leading == {Event.RELEASED, Event.DISCARDED}


@given(STATES)
def test_a_conflict_is_noted_in_every_state_and_moves_nothing(state: State) -> None:
    """What contradicts a study is written down wherever the study stands."""
    assert next_state(state, Event.CONFLICT_FOUND) is state


@given(STATES, EVENTS)
def test_what_is_not_in_the_table_is_refused(state: State, event: Event) -> None:
    """The mover knows no step but those of the table."""
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) is TRANSITIONS[state, event]
        return
    with pytest.raises(IllegalTransitionError) as refusal:
        next_state(state, event)
    assert (refusal.value.state, refusal.value.event) == (state, event)


@given(STATES | EVENTS)
def test_every_word_has_its_sentence(word: State | Event) -> None:
    """People read the sentence, programs the word."""
    assert word.sentence.endswith(".")
    assert str(word) == word.value == word.name.lower()


def test_the_diagram_shows_every_state_event_and_sentence() -> None:
    """The page in docs is printed from the table, so nothing may be missing."""
    shown = diagram()
    assert all(f"`{word}` | {word.sentence}" in shown for word in [*State, *Event])
    arrows = {
        (str(source), str(to)) for (source, event), to in TRANSITIONS.items() if event is not Event.CONFLICT_FOUND
    }
    assert all(f"    {source} --> {to}: " in shown for source, to in arrows)
