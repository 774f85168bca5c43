"""What commands at the keyboard leave in the audit trail."""

from typing import TYPE_CHECKING

import typer

from dicom_node.cli.context import settings_of
from storage.records import PatientKey

if TYPE_CHECKING:
    from dicom_node.audit.events import Action
    from storage.records import StudyView


def note_study(context: typer.Context, view: "StudyView | None", uid: str, action: "Action") -> None:
    """Somebody saw or moved on a study."""
    from dicom_node.audit.deliveries import study_from
    from dicom_node.audit.events import InstancesAccessed
    from dicom_node.audit.trail import audit_trail, operator_party

    event = InstancesAccessed(
        user=operator_party(), action=action, study=study_from(view, uid), what=context.command_path
    )
    audit_trail(settings_of(context)).record(event)


def note_patient(context: typer.Context, patient: PatientKey, action: "Action") -> None:
    """Somebody saw or changed what is known about a patient."""
    from dicom_node.audit.events import AuditedPatient, PatientRecordUsed
    from dicom_node.audit.trail import audit_trail, operator_party

    named = AuditedPatient(patient_id=patient.patient_id, issuer=patient.issuer)
    event = PatientRecordUsed(user=operator_party(), action=action, patient=named, what=context.command_path)
    audit_trail(settings_of(context)).record(event)


def note_search(context: typer.Context, query: str) -> None:
    """Somebody looked for studies."""
    from dicom_node.audit.events import Searched
    from dicom_node.audit.trail import audit_trail, operator_party, own_party

    settings = settings_of(context)
    uri = "dicom-node:" + "/".join(context.command_path.split()[1:])
    event = Searched(user=operator_party(), node=own_party(settings), uri=uri, query=query)
    audit_trail(settings).record(event)
