"""The commands of the group `patient`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dicom_node.audit.events import Action
from dicom_node.cli.auditing import attempt_on_patients, attempt_on_study, note_patient, note_study
from dicom_node.cli.context import settings_of
from dicom_node.cli.output import console, error_console, instant, print_json
from dicom_node.errors import NodeError
from storage.errors import UnknownPatientError
from storage.patient_records import AssignmentView, MergeView, PatientStudy, PatientView
from storage.records import Contradiction, Demographics, PatientKey

if TYPE_CHECKING:
    from storage.patient_index import PatientIndex

app = typer.Typer(help="Look at patients, say who is one person. Nothing is rewritten.", no_args_is_help=True)

_Patient = Annotated[str, typer.Argument(metavar="ID[@ISSUER]", help="Patient ID, with its issuer if it has one.")]
_Other = Annotated[str, typer.Argument(metavar="ID[@ISSUER]", help="The other one.")]
_Uid = Annotated[str, typer.Argument(metavar="STUDY_UID", help="Study Instance UID.")]
_Although = Annotated[
    bool,
    typer.Option(
        "--although-contradicting", help="It is one person although what is listed contradicts, and only that."
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


class ContradictingPatientsError(NodeError):
    """What is listed contradicts: nothing was changed; if it is one person, say --although-contradicting."""


@app.command()
def show(context: typer.Context, patient: _Patient, json: _Json = False) -> None:
    """Show a patient: studies, who is the same person, who said so."""
    with attempt_on_patients(context, [patient_key(patient)], Action.READ):
        index = _index(context)
        view = index.patient(_known(index, patient))
    note_patient(context, view.patient, Action.READ)
    if json:
        print_json(view)
        return
    out = console()
    for line in _lines(view):
        out.print(line, soft_wrap=True, markup=False)


@app.command()
def merge(context: typer.Context, one: _Patient, other: _Other, although_contradicting: _Although = False) -> None:
    """Say that two patients are one person.

    Their studies are compared with each other from now on.
    """
    keys = (patient_key(one), patient_key(other))
    with attempt_on_patients(context, keys, Action.UPDATE):
        index = _index(context)
        if not although_contradicting:
            _refuse(index.contradictions_of_merge(*keys))
        waived = index.merge(*keys, although_contradicting=although_contradicting)
    _show_waived(waived)
    for key in keys:
        note_patient(context, key, Action.UPDATE)
    _say(
        f"{named(keys[0])} and {named(keys[1])} are one person. A study is compared anew by: dicom-node study retry UID"
    )


@app.command()
def unmerge(context: typer.Context, one: _Patient, other: _Other) -> None:
    """Take a merge back."""
    keys = (patient_key(one), patient_key(other))
    with attempt_on_patients(context, keys, Action.UPDATE):
        _index(context).unmerge(*keys)
    for key in keys:
        note_patient(context, key, Action.UPDATE)
    _say(f"{named(keys[0])} and {named(keys[1])} are no longer merged with each other.")


@app.command()
def assign(context: typer.Context, uid: _Uid, patient: _Patient, although_contradicting: _Although = False) -> None:
    """Say that a study belongs to a patient, whatever patient ID is in its images.

    With the patient's own ID and --although-contradicting: that it does although its name is another one.
    """
    key = patient_key(patient)
    with attempt_on_study(context, uid, Action.UPDATE), attempt_on_patients(context, [key], Action.UPDATE):
        index = _index(context)
        if not although_contradicting:
            _refuse(index.contradictions_of_assignment(uid, key))
        waived = index.assign(uid, key, although_contradicting=although_contradicting)
    _show_waived(waived)
    note_study(context, None, uid, Action.UPDATE)
    note_patient(context, key, Action.UPDATE)
    _say(f"{uid} belongs to {named(key)}. It is compared anew by: dicom-node study retry {uid}")


@app.command()
def unassign(context: typer.Context, uid: _Uid) -> None:
    """Take an assignment back: the study belongs to the patient that its images name."""
    with attempt_on_study(context, uid, Action.UPDATE):
        _index(context).unassign(uid)
    note_study(context, None, uid, Action.UPDATE)
    _say(f"{uid} belongs to the patient that its images name.")


def patient_key(text: str) -> PatientKey:
    """A patient as written on the command line; the last @ begins the issuer, so that an ID with @ ends in another."""
    patient_id, _, issuer = text.rpartition("@") if "@" in text else (text, "", "")
    return PatientKey(patient_id=patient_id, issuer=issuer)


def named(patient: PatientKey) -> str:
    """A patient as one would write it on the command line."""
    has_issuer = bool(patient.issuer) or "@" in patient.patient_id
    return f"{patient.patient_id}@{patient.issuer}" if has_issuer else patient.patient_id


def in_words(said: Demographics) -> str:
    """Name, birth date and sex; what is not known is said to be so."""
    name = said.patient_name or "no name"
    return f"{name}, born {said.birth_date or 'unknown'}, sex {said.sex or 'unknown'}"


def _known(index: "PatientIndex", text: str) -> PatientKey:
    """The patient; the issuer may be left out where there is only one.

    Raises:
        UnknownPatientError: There is none, or there are several, which are then listed.
    """
    wanted = patient_key(text)
    found = index.patients_of(wanted.patient_id)
    if wanted in found or wanted.issuer or not found:
        return wanted
    if len(found) == 1:
        return found[0]
    _print(error_console(), ["this ID has several issuers:", *map(named, found)])
    raise UnknownPatientError


def _refuse(contradictions: Sequence[Contradiction]) -> None:
    """Print what contradicts, and stop.

    Raises:
        ContradictingPatientsError: Something contradicts.
    """
    _show(contradictions)
    if contradictions:
        raise ContradictingPatientsError


def _show_waived(waived: Sequence[Contradiction]) -> None:
    """Print what an administrator waived by saying that it is one person all the same."""
    _show(waived)
    if waived:
        _say("What is listed is waived; whatever else contradicts is refused as ever.")


def _show(contradictions: Sequence[Contradiction]) -> None:
    for found in contradictions:
        lines = (
            f"{' and '.join(found.attributes)}:",
            f"  {found.study_instance_uid}  {in_words(found.said)}",
            f"  {found.other_study_instance_uid}  {in_words(found.other_said)}",
        )
        _print(console(), lines)


def _lines(view: PatientView) -> list[str]:
    """A patient for people."""
    return [
        f"patient      {named(view.patient)}",
        *(f"same person  {named(other)}" for other in view.same_person),
        "studies",
        *(_study(study) for study in view.studies),
        *(["merges", *(line for one in view.merges for line in _merge(one))] if view.merges else []),
        *(
            ["assignments", *(line for one in view.assignments for line in _assignment(one))]
            if view.assignments
            else []
        ),
    ]


def _study(study: PatientStudy) -> str:
    acquired = f"{study.acquired_at:%Y-%m-%d %H:%M}" if study.acquired_at else "unknown date"
    assigned = ", assigned" if study.is_assigned else ""
    who = f"{named(study.patient)}, {in_words(study.demographics)}"
    return f"  {study.study_instance_uid}  {acquired}  {study.state}  {who}{assigned}"


def _merge(merge: MergeView) -> list[str]:
    return [f"  {named(merge.one)} with {named(merge.other)}{_said(merge)}", *_waives(merge)]


def _assignment(assignment: AssignmentView) -> list[str]:
    return [
        f"  {assignment.study_instance_uid} to {named(assignment.patient)}{_said(assignment)}",
        *_waives(assignment),
    ]


def _said(said: MergeView | AssignmentView) -> str:
    """Who said it and when, and who took it back."""
    although = ", although contradicting" if said.although_contradicting else ""
    undone = f"; undone by {said.undone_by} at {instant(said.undone_at)}" if said.undone_at else ""
    return f"{although}, by {said.made_by} at {instant(said.made_at)}{undone}"


def _waives(said: MergeView | AssignmentView) -> list[str]:
    """What was shown when it was said although something contradicts."""
    if said.although_contradicting and not said.waives:
        return ["    waives nothing: no contradiction is noted with it; say it again if something contradicts"]
    return [
        f"    waives {' and '.join(one.attributes)}: {in_words(one.said)} / {in_words(one.other_said)}"
        for one in said.waives
    ]


def _say(sentence: str) -> None:
    _print(console(), [sentence])


def _print(out: Console, lines: Sequence[str]) -> None:
    for line in lines:
        out.print(line, soft_wrap=True, markup=False)


def _index(context: typer.Context) -> "PatientIndex":
    """The patients of the node that the configuration names."""
    from dicom_node.index import open_patient_index
    from dicom_node.operators import operator_name

    return open_patient_index(settings_of(context), by=operator_name())
