"""The commands of the group `study`."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from dicom_node.audit.events import Action
from dicom_node.cli.auditing import attempt_on_study, attempt_to_search, note_search, note_study
from dicom_node.cli.context import settings_of
from dicom_node.cli.output import console, instant, print_json, print_table, table_of
from dicom_node.cli.patient import in_words, named
from dicom_node.wording import counted
from storage.errors import UnknownStudyError
from storage.lifecycle import Event, State
from storage.records import DeliveryView, NamedPatient, StudyView

if TYPE_CHECKING:
    from storage.index import Index

app = typer.Typer(help="Look at studies and move them on.", no_args_is_help=True)

_Uid = Annotated[str, typer.Argument(metavar="UID", help="Study Instance UID.")]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyList:
    """What `study list --json` prints."""

    studies: tuple[StudyView, ...]
    """Newest first."""


@app.command("list")
def list_studies(
    context: typer.Context,
    state: Annotated[State | None, typer.Option(help="Only studies in this state.")] = None,
    text: Annotated[str, typer.Option(help="Part of patient ID, name, accession number, UID or description.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    json: _Json = False,
) -> None:
    """List studies, newest first."""
    query = f"state={state or ''} text={text} limit={limit}"
    with attempt_to_search(context, query):
        views = _index(context).find_studies(state=state, text=text, limit=limit)
    note_search(context, query)
    if json:
        print_json(StudyList(studies=tuple(views)))
        return
    table = table_of("study", "patient", "acquired", "images", "state", "why")
    for view in views:
        acquired = f"{view.acquired_at:%Y-%m-%d %H:%M}" if view.acquired_at else "unknown"
        who = f"{named(view.patient)} {view.demographics.patient_name}".strip()
        cells = (view.study_instance_uid, who, acquired, str(view.instance_count), view.state, view.reason)
        table.add_row(*map(escape, cells))
    print_table(table)


@app.command()
def show(context: typer.Context, uid: _Uid, json: _Json = False) -> None:
    """Show where a study stands.

    Also how it came there, what was sent, and where its results are.
    """
    view = _view(context, uid)
    if json:
        print_json(view)
        return
    out = console()
    parts = (_summary, _patients, _series, _history, _earlier, _destinations, _deliveries)
    for line in (line for part in parts for line in part(view)):
        out.print(line, soft_wrap=True, markup=False)


@app.command()
def choose(context: typer.Context, uid: _Uid, json: _Json = False) -> None:
    """Show which series would be read now, and what speaks for and against each.

    A dry run, for any received study: nothing is changed, nothing computed, nothing sent.
    """
    from dicom_node.series_choice import dry_run, report_in_words

    view = _view(context, uid)
    report = dry_run(settings_of(context), view.study_instance_uid, _index(context).stored_instances(uid))
    if json:
        print_json(report)
        return
    for line in report_in_words(report):
        console().print(line, soft_wrap=True, markup=False)


@app.command()
def complete(context: typer.Context, uid: _Uid) -> None:
    """Say that a study is complete: it goes on at once."""
    _move(context, uid, Event.COMPLETED_BY_OPERATOR)


@app.command()
def retry(context: typer.Context, uid: _Uid) -> None:
    """Run a study again.

    The new result supersedes the old one.
    """
    _move(context, uid, Event.RETRIED)


@app.command()
def resend(context: typer.Context, uid: _Uid) -> None:
    """Send the newest result again.

    To every peer that receives results of the study now, whether it had them or not. What one of them wants and the
    result lacks is named; `study retry` makes it.
    """
    from dicom_node.destinations import destination_of
    from dicom_node.rules_decision import destinations_of_study

    with attempt_on_study(context, uid, Action.UPDATE):
        index = _index(context)
        peers = destinations_of_study(settings_of(context), index, uid)
        state = index.resend(uid, destinations=[destination_of(peer) for peer in peers])
        view = index.study(uid)
    note_study(context, view, uid, Action.UPDATE)
    _say(uid, state)
    if view:
        console().print(f"why: {view.reason}", soft_wrap=True, markup=False)


@app.command()
def release(
    context: typer.Context,
    uid: _Uid,
    patient: Annotated[
        int | None, typer.Argument(metavar="NUMBER", help="Of the patient, as `study show UID` counts them.")
    ] = None,
    all_of_one: Annotated[
        bool, typer.Option("--all-of-one", help="All images are of one person: a name was only typed wrongly.")
    ] = False,
) -> None:
    """Take a held study with the images of one of the patients that they name, or with all.

    Images that are not taken stay, unused. Whom it took is printed.
    """
    from dicom_node.operators import operator_name

    if all_of_one == (patient is not None):
        message = "say either the NUMBER of the patient, or --all-of-one"
        raise typer.BadParameter(message)
    by = operator_name()
    with attempt_on_study(context, uid, Action.UPDATE):
        index = _index(context)
        state = index.release_held_whole(uid, by=by) if patient is None else index.release_held(uid, patient, by=by)
        view = index.study(uid)
    note_study(context, view, uid, Action.UPDATE)
    _say(uid, state)
    for line in _taken(view) if view else []:
        console().print(line, soft_wrap=True, markup=False)


@app.command()
def discard(context: typer.Context, uid: _Uid) -> None:
    """Take a study out of the work.

    Its images and results stay.
    """
    _move(context, uid, Event.DISCARDED)


def _move(context: typer.Context, uid: str, event: Event) -> None:
    """Apply an operator's event, then say where the study stands."""
    with attempt_on_study(context, uid, Action.UPDATE):
        index = _index(context)
        state = index.apply(uid, event, why="by an operator on the command line")
        view = index.study(uid)
    note_study(context, view, uid, Action.UPDATE)
    _say(uid, state)


def _say(uid: str, state: State) -> None:
    """Say where a study now stands."""
    console().print(f"{uid}: {state}: {state.sentence}", soft_wrap=True, markup=False)


def _view(context: typer.Context, uid: str) -> StudyView:
    """The study.

    Raises:
        UnknownStudyError: The index has none with this UID.
    """
    with attempt_on_study(context, uid, Action.READ):
        view = _index(context).study(uid)
        if view is None:
            raise UnknownStudyError(uid)
    note_study(context, view, uid, Action.READ)
    return view


def _index(context: typer.Context) -> "Index":
    """The index of the node that the configuration names."""
    from dicom_node.index import open_index

    return open_index(settings_of(context))


def _summary(view: StudyView) -> list[str]:
    """What and where it is."""
    lines = [
        f"study        {view.study_instance_uid}",
        f"patient      {named(view.patient)}, {in_words(view.demographics)}",
        f"acquired     {_acquired(view.acquired_at)}",
        f"images       {view.instance_count} in {view.series_count} series",
        f"state        {view.state}: {view.state.sentence}",
        f"why          {view.reason}",
    ]
    lines += [f"batch        {view.batch}: analysed because `dicom-node batch` asked for it"] if view.batch else []
    return lines + ([f"result       revision {view.result.revision}, {view.result.folder}"] if view.result else [])


def _acquired(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} by the clock of the scanner" if at else "unknown"


def _series(view: StudyView) -> list[str]:
    """Which series the newest result was made of, and why not the others."""
    from dicom_node.series_choice import result_choice_in_words

    lines = result_choice_in_words(view.result) if view.result else []
    if not lines:
        return ["series       `dicom-node study choose UID` shows what speaks for and against each"]
    return ["series", *(f"  {line}" for line in lines)]


def _patients(view: StudyView) -> list[str]:
    """Whom the images name where it is not one patient, and what to do."""
    rows = [f"  {_numbered(one)}, {'used' if one.is_of_study else 'kept and not used'}" for one in view.patients]
    if not rows:
        return []
    decide = f"  take it with those of one: dicom-node study release {view.study_instance_uid} NUMBER, or --all-of-one"
    return ["patients", *rows, *([decide] if view.has_identity_conflict else [])]


def _numbered(one: NamedPatient) -> str:
    return f"{one.number}: {named(one.patient)}, {in_words(one.demographics)}, {counted(one.instance_count, 'object')}"


def _taken(view: StudyView) -> list[str]:
    """Whom a study is of that was released."""
    taken = [f"taken: {_numbered(one)}" for one in view.patients if one.is_of_study]
    whole = f"taken: {named(view.patient)}, {in_words(view.demographics)}, with all {view.instance_count} objects"
    return taken or [whole]


def _history(view: StudyView) -> list[str]:
    """Each step, oldest first."""
    steps = [
        f"  {instant(entry.at)}  {entry.event}: {entry.to_state}" + (f" ({entry.why})" if entry.why else "")
        for entry in view.history
    ]
    return ["history", *steps]


def _earlier(view: StudyView) -> list[str]:
    """What each PACS was asked for, and what became of what it named."""
    from dicom_node.retrieve.waiting import fetches_in_lines

    lines = [f"  {line}" for line in fetches_in_lines(view.prior_fetches)]
    return ["earlier studies", *lines] if lines else []


def _destinations(view: StudyView) -> list[str]:
    """What each destination got of the newest result, and what it declined."""
    from dicom_node.delivery_words import deliveries_in_words

    rows = [f"  {line}" for line in deliveries_in_words(view.deliveries)]
    return ["destinations", *rows] if rows else []


def _deliveries(view: StudyView) -> list[str]:
    """Each object that goes to a destination, or stands by for one that declines another."""
    rows = [f"  {_delivery(delivery)}{_kept(delivery)}" for delivery in view.deliveries]
    return ["deliveries", *rows] if rows else []


def _delivery(delivery: DeliveryView) -> str:
    from dicom_node.destinations import class_name

    what = f"{class_name(delivery.sop_class_uid)} to {delivery.destination}"
    if delivery.state == "held":
        return f"{what}: stands by"
    tries = f"{delivery.tries} {'try' if delivery.tries == 1 else 'tries'}"
    return f"{what}: {delivery.state}, {tries}" + (f", {delivery.last_status}" if delivery.last_status else "")


def _kept(delivery: DeliveryView) -> str:
    """Whether the destination keeps the object, where it is asked."""
    from dicom_node.commitment.words import commitment_in_words

    return f"; {commitment_in_words(delivery.destination, delivery.commitment)}" if delivery.commitment else ""
