"""What instances say of themselves, as columns of the index."""

from storage.records import ReceivedInstance

DEMOGRAPHICS = ("patient_name", "birth_date", "sex")
"""Columns of a study where another value may be another patient's."""


def instance_columns(instance: ReceivedInstance) -> dict[str, object]:
    """Columns of its row that it says itself."""
    return {
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "instance_number": instance.instance_number,
        "acquired_at": instance.acquired_at,
        "sha256": instance.sha256,
        "size_bytes": instance.size_bytes,
        "relative_path": instance.relative_path,
        "calling_aet": instance.calling_aet,
        "called_aet": instance.called_aet,
        "received_at": instance.received_at,
        "slice_position_mm": instance.slice_position_mm,
    }
