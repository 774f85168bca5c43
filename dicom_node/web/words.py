"""What is stored, in the words and colours of the pages."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from dicom_node.web.door import Visitor
from storage.lifecycle import State
from storage.records import Demographics, PatientKey, StudyView
from storage.study_lists import Sent, Standing, StudyLine

HIDDEN = "hidden"
_SHOWN_OF_ID = 2
_TYPED = re.compile(r"(by .+? on the pages(?: of this machine)?): ")
"""What `operator_in_words` is followed by where somebody typed a reason."""

_STATE_NAMED = re.compile(r"dicom-node study list --state ([a-z_]+)")
"""How alerts name the command for studies in a state."""

STATE_WORDS = {
    State.RECEIVING: "receiving",
    State.HELD: "held: two patients",
    State.WAITING_FOR_PRIORS: "waiting for earlier studies",
    State.READY: "waiting for a worker",
    State.PROCESSING: "being analysed",
    State.PROCESSED: "analysed",
    State.SENDING: "sending",
    State.DELIVERED: "delivered",
    State.SKIPPED: "not analysed",
    State.PIPELINE_FAILED: "analysis failed",
    State.DELIVERY_FAILED: "delivery failed",
}

COLOUR_OF_STATE = {
    State.RECEIVING: "busy",
    State.HELD: "bad",
    State.WAITING_FOR_PRIORS: "busy",
    State.READY: "busy",
    State.PROCESSING: "busy",
    State.PROCESSED: "busy",
    State.SENDING: "busy",
    State.DELIVERED: "good",
    State.SKIPPED: "quiet",
    State.PIPELINE_FAILED: "bad",
    State.DELIVERY_FAILED: "bad",
}


def colour_of(line: StudyLine) -> str:
    """Colour of a study in the list; one that is analysed and has nothing to send is done."""
    return "quiet" if line.state is State.PROCESSED and line.standing is Standing.DONE else COLOUR_OF_STATE[line.state]


def colour_of_view(view: StudyView) -> str:
    """Colour of a study on its page, as in the list."""
    waits = any(delivery.state == "waiting" for delivery in view.deliveries)
    return "quiet" if view.state is State.PROCESSED and not waits else COLOUR_OF_STATE[view.state]


STANDING_WORDS = {
    Standing.ATTENTION: "Needs somebody",
    Standing.UNDER_WAY: "Under way",
    Standing.DONE: "Done",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPatient:
    """A patient as far as a visitor may see them."""

    patient_id: str
    issuer: str
    name: str
    born: str
    """YYYY-MM-DD or empty."""
    sex: str

    @property
    def title(self) -> str:
        """Name, else ID."""
        return self.name or self.patient_id or "unknown patient"


def shown_patient(visitor: Visitor, patient: PatientKey, demographics: Demographics) -> ShownPatient:
    """The patient, or the first characters of the ID alone for who is not logged in."""
    if not visitor.is_known:
        masked = f"{patient.patient_id[:_SHOWN_OF_ID]}•••" if patient.patient_id else ""
        return ShownPatient(patient_id=masked, issuer="", name="", born="", sex="")
    return ShownPatient(
        patient_id=patient.patient_id,
        issuer=patient.issuer,
        name=readable_name(demographics.patient_name),
        born=readable_date(demographics.birth_date),
        sex=demographics.sex,
    )


def shown_text(visitor: Visitor, text: str) -> str:
    """Free text of a data set, which may name the patient; hidden from who is not logged in."""
    return text if visitor.is_known or not text else HIDDEN


def operator_in_words(visitor: Visitor, reason: str) -> str:
    """Who asked for something on the pages, and the reason that they typed."""
    by = f"by {visitor.name} on the pages" if visitor.is_known else "by an operator on the pages of this machine"
    return f"{by}: {reason}" if reason else by


def shown_why(visitor: Visitor, why: str) -> str:
    """Why a study is where it is; what an operator typed may name the patient, who is not logged in sees only who it was."""
    typed = None if visitor.is_known else _TYPED.match(why)
    return typed[1] if typed else why


def readable_name(person_name: str) -> str:
    """`Doe, Jane` from the first group that is not empty (PS3.5 6.2.1.1)."""
    group = next((group for group in person_name.split("=") if group.strip("^ ")), "")
    family, *others = [part.strip() for part in group.split("^")]
    given = " ".join(part for part in others[:2] if part)
    return ", ".join(part for part in (family, given) if part)


def readable_date(date: str) -> str:
    """YYYY-MM-DD from YYYYMMDD; anything else as it is."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else date


def instant(at: datetime | None) -> str:
    """An instant by the clock of this machine."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}" if at else ""


def acquired(at: datetime | None) -> str:
    """When a study was acquired, by the clock of its scanner."""
    return f"{at:%Y-%m-%d %H:%M}" if at else "unknown"


def where(alert: str) -> str:
    """The page that shows what an alert is about; empty where none does."""
    named = _STATE_NAMED.search(alert)
    if named and named[1] in set(State):
        return f"/studies?state={named[1]}"
    return "/peers" if "dicom-node status" in alert else ""


def span(duration: timedelta) -> str:
    """`40 s`, `5 min`, `3 h`, `2 days`."""
    seconds = max(duration.total_seconds(), 0)
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step on the way of a study."""

    name: str
    colour: str
    """good, busy, bad, quiet for left out, or empty for not reached."""
    words: str


_REACHED = {
    State.RECEIVING: 0,
    State.HELD: 0,
    State.WAITING_FOR_PRIORS: 1,
    State.READY: 2,
    State.PROCESSING: 2,
    State.PIPELINE_FAILED: 2,
    State.PROCESSED: 3,
    State.SENDING: 3,
    State.DELIVERY_FAILED: 3,
    State.DELIVERED: 4,
}
"""How many of received, complete, analysed and sent lie behind a study."""

_STEPS = ("received", "complete", "analysed", "sent", "committed")


def steps_of(line: StudyLine) -> tuple[Step, ...]:
    """From received to committed, in words and colours."""
    if line.state is State.SKIPPED:
        first = Step(name=_STEPS[0], colour="good", words="received")
        return (first, *(Step(name=name, colour="quiet", words=f"not {name}") for name in _STEPS[1:]))
    behind = _REACHED[line.state] + (1 if line.state in {State.RECEIVING, State.HELD} and line.instance_count else 0)
    steps = [_step(name, place, behind, colour_of(line)) for place, name in enumerate(_STEPS[:-1])]
    return (*steps, _committed(line.sent))


def _step(name: str, place: int, behind: int, colour: str) -> Step:
    if place < behind:
        return Step(name=name, colour="good", words=name)
    if place == behind and colour == "quiet":
        return Step(name=name, colour=colour, words=f"{name}: nothing is to be")
    if place == behind:
        return Step(name=name, colour=colour, words=f"{name}: failed" if colour == "bad" else f"{name}: not yet")
    return Step(name=name, colour="", words=f"not yet {name}")


def _committed(sent: Sent) -> Step:
    name = _STEPS[-1]
    if sent.not_kept:
        return Step(name=name, colour="bad", words=f"{sent.not_kept} objects not kept by the destination")
    if sent.unconfirmed:
        return Step(name=name, colour="busy", words=f"{sent.unconfirmed} objects not confirmed yet")
    if sent.committed:
        return Step(name=name, colour="good", words="committed: the destination keeps the results")
    return Step(name=name, colour="", words="commitment not asked for")
