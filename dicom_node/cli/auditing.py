"""What commands at the keyboard leave in the audit trail."""

from typing import TYPE_CHECKING

import typer

from dicom_node.cli.context import settings_of
from dicom_node.cli.output import error_console
from storage.records import PatientKey

if TYPE_CHECKING:
    from config import Settings
    from dicom_node.audit.events import Action, AlertKind, AuditEvent
    from storage.records import StudyView


def note_study(context: typer.Context, view: "StudyView | None", uid: str, action: "Action") -> None:
    """Somebody saw or moved on a study."""
    from dicom_node.audit.deliveries import study_from
    from dicom_node.audit.events import InstancesAccessed
    from dicom_node.audit.trail import operator_party

    event = InstancesAccessed(
        user=operator_party(), action=action, study=study_from(view, uid), what=context.command_path
    )
    _write(settings_of(context), event)


def note_patient(context: typer.Context, patient: PatientKey, action: "Action") -> None:
    """Somebody saw or changed what is known about a patient."""
    from dicom_node.audit.events import AuditedPatient, PatientRecordUsed
    from dicom_node.audit.trail import operator_party

    named = AuditedPatient(patient_id=patient.patient_id, issuer=patient.issuer)
    event = PatientRecordUsed(user=operator_party(), action=action, patient=named, what=context.command_path)
    _write(settings_of(context), event)


def note_search(context: typer.Context, query: str) -> None:
    """Somebody looked for studies."""
    from dicom_node.audit.events import Searched
    from dicom_node.audit.trail import operator_party, own_party

    settings = settings_of(context)
    uri = "dicom-node:" + "/".join(context.command_path.split()[1:])
    event = Searched(user=operator_party(), node=own_party(settings), uri=uri, query=query)
    _write(settings, event)


def note_change(context: typer.Context, kind: "AlertKind", subject: str) -> None:
    """Somebody changed what security or the work of the node rests on.

    Args:
        context: Of the command.
        kind: What was changed.
        subject: What in particular, without passwords.
    """
    from dicom_node.audit.events import SecurityAlert
    from dicom_node.audit.trail import operator_party, own_party

    settings = settings_of(context)
    event = SecurityAlert(
        kind=kind,
        reporter=own_party(settings),
        performer=operator_party(),
        subject=subject,
        description=context.command_path,
    )
    _write(settings, event)


def _write(settings: "Settings", event: "AuditEvent") -> None:
    """Write an event down, or say on stderr that it is not: what the command did stands all the same."""
    from dicom_node.audit.trail import audit_trail, trail_folder

    try:
        audit_trail(settings).record_at_once(event)
    except OSError as error:
        words = f"{trail_folder(settings)}: {error.strerror or type(error).__name__}: this is not in the audit trail"
        help_ = "give commands as the user of the service, or as root"
        error_console().print(f"warning: {words}: {help_}", soft_wrap=True, markup=False)
