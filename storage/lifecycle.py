"""The life of a study: one table that says what follows from which event in which state."""

from enum import StrEnum
from typing import Self

from storage.errors import IllegalTransitionError


class _Sentenced(StrEnum):
    """A word with the sentence that explains it to people."""

    sentence: str

    def __new__(cls, word: str, sentence: str = "") -> Self:
        """Make the word the value, so that it is stored and compared as plain text."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.sentence = sentence
        return member


class State(_Sentenced):
    """Where a study stands."""

    RECEIVING = "receiving", "Instances arrive; the study is not yet seen as complete."
    HELD = "held", "The instances of the study name two patients; nothing is run or sent until an operator decides."
    WAITING_FOR_PRIORS = "waiting_for_priors", "The study is complete; earlier studies of the patient are looked for."
    READY = "ready", "Everything is there; the study waits for a worker."
    PROCESSING = "processing", "A worker holds the study and runs the pipeline."
    PROCESSED = "processed", "The result is stored; nothing of it was sent yet, or no destination is configured."
    SENDING = "sending", "The result is on its way to its destinations."
    DELIVERED = "delivered", "Every destination has of the newest result the best that it takes."
    SKIPPED = "skipped", "The study is not analysed, for the reason given; nothing is wrong with the node."
    PIPELINE_FAILED = "pipeline_failed", "The pipeline failed and is not tried again by itself."
    DELIVERY_FAILED = "delivery_failed", "At least one object was given up for one destination; the others go on."


class Event(_Sentenced):
    """What happens to a study."""

    INSTANCE_ARRIVED = (
        "instance_arrived",
        "An instance that was not there before is stored, or one of a study that was fetched is sent by somebody; while "
        "the pipeline runs it waits for the end of the attempt.",
    )
    CONFLICT_FOUND = (
        "conflict_found",
        "An instance came that contradicts the study: other bytes under a known UID.",
    )
    PATIENT_CONTRADICTED = (
        "patient_contradicted",
        "An instance came that names another patient than the study does; a running attempt is stopped.",
    )
    RELEASED = "released", "An operator said which of the patients the study belongs to."
    COMPLETED = "completed", "The rule of completeness holds."
    COMPLETED_BY_OPERATOR = "completed_by_operator", "An operator said that there is nothing to wait for."
    FETCH_ENDED = "fetch_ended", "No more of an earlier study comes from the PACS; it is compared with, not analysed."
    RULED = "ruled", "The rules of the site decided how soon the study is analysed, and which results go where."
    RULED_OUT = "ruled_out", "A rule of the site says that the study is not to be analysed; it is kept."
    PRIORS_SETTLED = "priors_settled", "The earlier studies are here, or there is no more waiting for them."
    CLAIMED = "claimed", "A worker took the study and holds a lease."
    ATTEMPT_SUCCEEDED = "attempt_succeeded", "The pipeline ended and its result is stored."
    ATTEMPT_REFUSED = "attempt_refused", "The pipeline cannot analyse this study and says why."
    ATTEMPT_FAILED_FOR_NOW = "attempt_failed_for_now", "The attempt failed in a way that may pass; it is tried again."
    ATTEMPT_FAILED = "attempt_failed", "The attempt failed for good, or was the last one allowed."
    LEASE_LOST = "lease_lost", "The attempt ended without an outcome: its worker died, hung or was stopped."
    SENDING_STARTED = "sending_started", "The first object of the result is being sent."
    ALL_DELIVERED = "all_delivered", "The last outstanding object was confirmed."
    DELIVERY_GAVE_UP = (
        "delivery_gave_up",
        "An object was refused for good or for longer than the node tries, who it was for is gone, or the result lacks it.",
    )
    NOT_KEPT = "not_kept", "A destination said that it does not keep an object that it had taken."
    RESENT = "resent", "An operator, or a batch that sends, asked for the newest result to be sent."
    RETRIED = "retried", "An operator asked for the study to be run again."
    DISCARDED = "discarded", "An operator took the study out; what was not sent yet stays here."


COMES_ALONE = frozenset(
    {Event.COMPLETED, Event.COMPLETED_BY_OPERATOR, Event.PRIORS_SETTLED, Event.RETRIED, Event.DISCARDED}
)
"""Events that stand for themselves; all others come with an instance, a claim or a delivery."""

INITIAL = State.RECEIVING
"""Where a study is born with its first instance."""

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.RECEIVING, Event.INSTANCE_ARRIVED): State.RECEIVING,
    (State.RECEIVING, Event.CONFLICT_FOUND): State.RECEIVING,
    (State.RECEIVING, Event.PATIENT_CONTRADICTED): State.HELD,
    (State.RECEIVING, Event.COMPLETED): State.WAITING_FOR_PRIORS,
    (State.RECEIVING, Event.COMPLETED_BY_OPERATOR): State.WAITING_FOR_PRIORS,
    (State.RECEIVING, Event.FETCH_ENDED): State.SKIPPED,
    (State.RECEIVING, Event.DISCARDED): State.SKIPPED,
    (State.HELD, Event.INSTANCE_ARRIVED): State.HELD,
    (State.HELD, Event.CONFLICT_FOUND): State.HELD,
    (State.HELD, Event.PATIENT_CONTRADICTED): State.HELD,
    (State.HELD, Event.RELEASED): State.RECEIVING,
    (State.HELD, Event.DISCARDED): State.SKIPPED,
    (State.WAITING_FOR_PRIORS, Event.INSTANCE_ARRIVED): State.RECEIVING,
    (State.WAITING_FOR_PRIORS, Event.CONFLICT_FOUND): State.WAITING_FOR_PRIORS,
    (State.WAITING_FOR_PRIORS, Event.PATIENT_CONTRADICTED): State.HELD,
    (State.WAITING_FOR_PRIORS, Event.RULED): State.WAITING_FOR_PRIORS,
    (State.WAITING_FOR_PRIORS, Event.RULED_OUT): State.SKIPPED,
    (State.WAITING_FOR_PRIORS, Event.PRIORS_SETTLED): State.READY,
    (State.WAITING_FOR_PRIORS, Event.COMPLETED_BY_OPERATOR): State.READY,
    (State.WAITING_FOR_PRIORS, Event.DISCARDED): State.SKIPPED,
    (State.READY, Event.INSTANCE_ARRIVED): State.RECEIVING,
    (State.READY, Event.CONFLICT_FOUND): State.READY,
    (State.READY, Event.PATIENT_CONTRADICTED): State.HELD,
    (State.READY, Event.CLAIMED): State.PROCESSING,
    (State.READY, Event.DISCARDED): State.SKIPPED,
    (State.PROCESSING, Event.INSTANCE_ARRIVED): State.PROCESSING,
    (State.PROCESSING, Event.CONFLICT_FOUND): State.PROCESSING,
    (State.PROCESSING, Event.PATIENT_CONTRADICTED): State.HELD,
    (State.PROCESSING, Event.RULED): State.PROCESSING,
    (State.PROCESSING, Event.ATTEMPT_SUCCEEDED): State.PROCESSED,
    (State.PROCESSING, Event.ATTEMPT_REFUSED): State.SKIPPED,
    (State.PROCESSING, Event.ATTEMPT_FAILED_FOR_NOW): State.READY,
    (State.PROCESSING, Event.ATTEMPT_FAILED): State.PIPELINE_FAILED,
    (State.PROCESSING, Event.LEASE_LOST): State.READY,
    (State.PROCESSING, Event.DISCARDED): State.SKIPPED,
    (State.PROCESSED, Event.INSTANCE_ARRIVED): State.RECEIVING,
    (State.PROCESSED, Event.CONFLICT_FOUND): State.PROCESSED,
    (State.PROCESSED, Event.PATIENT_CONTRADICTED): State.HELD,
    (State.PROCESSED, Event.SENDING_STARTED): State.SENDING,
    (State.PROCESSED, Event.DELIVERY_GAVE_UP): State.DELIVERY_FAILED,
    (State.PROCESSED, Event.RESENT): State.SENDING,
    (State.PROCESSED, Event.RETRIED): State.WAITING_FOR_PRIORS,
    (State.PROCESSED, Event.DISCARDED): State.SKIPPED,
    (State.SENDING, Event.INSTANCE_ARRIVED): State.RECEIVING,
    (State.SENDING, Event.CONFLICT_FOUND): State.SENDING,
    (State.SENDING, Event.PATIENT_CONTRADICTED): State.HELD,
    (State.SENDING, Event.ALL_DELIVERED): State.DELIVERED,
    (State.SENDING, Event.DELIVERY_GAVE_UP): State.DELIVERY_FAILED,
    (State.SENDING, Event.NOT_KEPT): State.SENDING,
    (State.SENDING, Event.RESENT): State.SENDING,
    (State.SENDING, Event.RETRIED): State.WAITING_FOR_PRIORS,
    (State.SENDING, Event.DISCARDED): State.SKIPPED,
    (State.DELIVERED, Event.INSTANCE_ARRIVED): State.RECEIVING,
    (State.DELIVERED, Event.CONFLICT_FOUND): State.DELIVERED,
    (State.DELIVERED, Event.PATIENT_CONTRADICTED): State.HELD,
    (State.DELIVERED, Event.NOT_KEPT): State.SENDING,
    (State.DELIVERED, Event.RESENT): State.SENDING,
    (State.DELIVERED, Event.RETRIED): State.WAITING_FOR_PRIORS,
    (State.SKIPPED, Event.INSTANCE_ARRIVED): State.RECEIVING,
    (State.SKIPPED, Event.CONFLICT_FOUND): State.SKIPPED,
    (State.SKIPPED, Event.PATIENT_CONTRADICTED): State.HELD,
    (State.SKIPPED, Event.RELEASED): State.RECEIVING,
    (State.SKIPPED, Event.RETRIED): State.WAITING_FOR_PRIORS,
    (State.PIPELINE_FAILED, Event.INSTANCE_ARRIVED): State.RECEIVING,
    (State.PIPELINE_FAILED, Event.CONFLICT_FOUND): State.PIPELINE_FAILED,
    (State.PIPELINE_FAILED, Event.PATIENT_CONTRADICTED): State.HELD,
    (State.PIPELINE_FAILED, Event.RETRIED): State.WAITING_FOR_PRIORS,
    (State.PIPELINE_FAILED, Event.DISCARDED): State.SKIPPED,
    (State.DELIVERY_FAILED, Event.INSTANCE_ARRIVED): State.RECEIVING,
    (State.DELIVERY_FAILED, Event.CONFLICT_FOUND): State.DELIVERY_FAILED,
    (State.DELIVERY_FAILED, Event.PATIENT_CONTRADICTED): State.HELD,
    (State.DELIVERY_FAILED, Event.NOT_KEPT): State.DELIVERY_FAILED,
    (State.DELIVERY_FAILED, Event.RESENT): State.SENDING,
    (State.DELIVERY_FAILED, Event.RETRIED): State.WAITING_FOR_PRIORS,
    (State.DELIVERY_FAILED, Event.DISCARDED): State.SKIPPED,
}
"""What follows; anything that is not here is refused."""


def next_state(state: State, event: Event) -> State:
    """State after the event.

    Raises:
        IllegalTransitionError: The table has no such step.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(state, event) from None


def diagram() -> str:
    """Markdown of the table for docs/life-of-a-study.md: a Mermaid diagram, then every state and event with its sentence."""
    return "\n".join([*_mermaid_lines(), "", *_state_lines(), "", *_event_lines()])


def _mermaid_lines() -> list[str]:
    arrows: dict[tuple[State, State], list[Event]] = {}
    for (state, event), to_state in TRANSITIONS.items():
        if event is not Event.CONFLICT_FOUND:
            arrows.setdefault((state, to_state), []).append(event)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {INITIAL}: {Event.INSTANCE_ARRIVED}"]
    lines += [f"    {state} --> {to_state}: {', '.join(events)}" for (state, to_state), events in arrows.items()]
    return [*lines, "```"]


def _state_lines() -> list[str]:
    return ["| state | |", "|---|---|", *(f"| `{state}` | {state.sentence} |" for state in State)]


def _event_lines() -> list[str]:
    lines = ["| event | | leads |", "|---|---|---|"]
    for event in Event:
        steps = [(state, TRANSITIONS[state, event]) for state in State if (state, event) in TRANSITIONS]
        lines.append(f"| `{event}` | {event.sentence} | {_steps_in_words(steps)} |")
    return lines


def _steps_in_words(steps: list[tuple[State, State]]) -> str:
    if all(state is to_state for state, to_state in steps):
        return "nowhere: the study stays in its state" if len(steps) > 1 else f"`{steps[0][0]}` stays"
    sources: dict[State, list[State]] = {}
    for state, to_state in steps:
        sources.setdefault(to_state, []).append(state)
    return "; ".join(
        f"{', '.join(f'`{state}`' for state in states)} → `{to_state}`" for to_state, states in sources.items()
    )
