"""What commands at the keyboard leave in the audit trail."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import typer

from config.errors import ConfigError
from dicom_node.cli.context import settings_of
from dicom_node.cli.failures import failure_in_lines
from dicom_node.cli.output import error_console
from storage.records import PatientKey

if TYPE_CHECKING:
    from config import Settings
    from dicom_node.audit.events import Action, AlertKind, AuditEvent
    from storage.records import StudyView


class Attempt:
    """Writes down that what a command tries in its block failed; of what succeeds the command says itself what came of it.

    A command that was given wrongly, or taken back at a question, tried nothing.
    """

    def __init__(self, context: typer.Context, build: "Callable[[], Sequence[AuditEvent]]") -> None:
        """Attempt what these events say."""
        self._context = context
        self._build = build

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Note what ended the block, which goes on to who gave the command."""
        if failure is None or isinstance(failure, (typer.BadParameter, typer.Abort, typer.Exit)):
            return
        is_interrupted = isinstance(failure, KeyboardInterrupt)
        words = "interrupted at the keyboard" if is_interrupted else " ".join(failure_in_lines(failure))
        try:
            settings = settings_of(self._context)
            events = self._build()
        except ConfigError:
            # Where the trail is cannot be known; the failure says what to correct.
            return
        for event in events if _has_node(settings) else ():
            _write(settings, event, failure=words)


def attempt_on_study(context: typer.Context, uid: str, action: "Action") -> Attempt:
    """Somebody tries to see or move on a study."""
    return Attempt(context, lambda: [_study_event(context, None, uid, action)])


def attempt_on_patients(context: typer.Context, patients: Sequence[PatientKey], action: "Action") -> Attempt:
    """Somebody tries to see or change what is known about patients."""
    return Attempt(context, lambda: [_patient_event(context, patient, action) for patient in patients])


def attempt_to_search(context: typer.Context, query: str) -> Attempt:
    """Somebody tries to look for studies."""
    return Attempt(context, lambda: [_search_event(context, query)])


def attempt_to_change(context: typer.Context, kind: "AlertKind", subject: str) -> Attempt:
    """Somebody tries to change what security or the work of the node rests on; the subject is as for `note_change`."""
    return Attempt(context, lambda: [_change_event(context, kind, subject)])


def attempt_to_read_trail(context: typer.Context) -> Attempt:
    """Somebody tries to read the audit trail."""
    from dicom_node.audit.events import AuditLogUsed
    from dicom_node.audit.trail import operator_party, trail_folder

    return Attempt(
        context, lambda: [AuditLogUsed(user=operator_party(), uri=trail_folder(settings_of(context)).as_uri())]
    )


def note_study(context: typer.Context, view: "StudyView | None", uid: str, action: "Action") -> None:
    """Somebody saw or moved on a study."""
    _write(settings_of(context), _study_event(context, view, uid, action))


def note_patient(context: typer.Context, patient: PatientKey, action: "Action") -> None:
    """Somebody saw or changed what is known about a patient."""
    _write(settings_of(context), _patient_event(context, patient, action))


def note_search(context: typer.Context, query: str) -> None:
    """Somebody looked for studies."""
    _write(settings_of(context), _search_event(context, query))


def note_change(context: typer.Context, kind: "AlertKind", subject: str) -> None:
    """Somebody changed what security or the work of the node rests on.

    Args:
        context: Of the command.
        kind: What was changed.
        subject: What in particular, without passwords.
    """
    _write(settings_of(context), _change_event(context, kind, subject))


def _study_event(context: typer.Context, view: "StudyView | None", uid: str, action: "Action") -> "AuditEvent":
    from dicom_node.audit.deliveries import study_from
    from dicom_node.audit.events import InstancesAccessed
    from dicom_node.audit.trail import operator_party

    study = study_from(view, uid)
    return InstancesAccessed(user=operator_party(), action=action, study=study, what=context.command_path)


def _patient_event(context: typer.Context, patient: PatientKey, action: "Action") -> "AuditEvent":
    from dicom_node.audit.events import AuditedPatient, PatientRecordUsed
    from dicom_node.audit.trail import operator_party

    named = AuditedPatient(patient_id=patient.patient_id, issuer=patient.issuer)
    return PatientRecordUsed(user=operator_party(), action=action, patient=named, what=context.command_path)


def _search_event(context: typer.Context, query: str) -> "AuditEvent":
    from dicom_node.audit.events import Searched
    from dicom_node.audit.trail import operator_party, own_party

    uri = "dicom-node:" + "/".join(context.command_path.split()[1:])
    return Searched(user=operator_party(), node=own_party(settings_of(context)), uri=uri, query=query)


def _change_event(context: typer.Context, kind: "AlertKind", subject: str) -> "AuditEvent":
    from dicom_node.audit.events import SecurityAlert
    from dicom_node.audit.trail import operator_party, own_party

    return SecurityAlert(
        kind=kind,
        reporter=own_party(settings_of(context)),
        performer=operator_party(),
        subject=subject,
        description=context.command_path,
    )


def _has_node(settings: "Settings") -> bool:
    """Whether there is a node whose trail it may be: a mistyped configuration makes no folder."""
    from dicom_node.audit.trail import trail_folder

    return settings.data_dir.is_dir() or trail_folder(settings).is_dir()


def _write(settings: "Settings", event: "AuditEvent", *, failure: str = "") -> None:
    """Write an event down, or say on stderr that it is not: what the command did stands all the same."""
    from dicom_node.audit.events import Outcome
    from dicom_node.audit.trail import audit_trail, trail_folder

    outcome = Outcome.SERIOUS_FAILURE if failure else Outcome.SUCCESS
    try:
        audit_trail(settings).record_at_once(event, outcome=outcome, words=failure)
    except TimeoutError as error:
        _warn(f"{error.strerror or type(error).__name__}: this is not in the audit trail")
    except OSError as error:
        words = f"{trail_folder(settings)}: {error.strerror or type(error).__name__}: this is not in the audit trail"
        _warn(f"{words}: give commands as the user of the service, or as root")


def _warn(words: str) -> None:
    error_console().print(f"warning: {words}", soft_wrap=True, markup=False)
