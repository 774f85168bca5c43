"""What every object of a result set says alike: its series, and the node as its maker (PS3.3 C.7.3.1, C.7.5.1)."""

from dataclasses import dataclass
from typing import Any, Final

from dicom_node.results.context import ResultContext
from dicom_node.results.encode import long_string
from dicom_node.results.equipment import processing_equipment
from dicom_node.results.uids import ResultUids
from pipeline.findings import Algorithm

SERIES_NUMBER: Final = {
    "sr": 9001,
    "seg-lesions": 9002,
    "seg-lungs": 9003,
    "pdf": 9004,
    "capture": 9005,
    "presentation_state": 9006,
    "key_objects": 9007,
}
"""By kind; above what scanners use, so that results are listed after the images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An object of a result set."""

    kind: str
    """A key of `SERIES_NUMBER`."""
    title: str
    """Becomes the series description."""
    series_name: str
    """What its Series Instance UID is derived from."""
    instance_name: str
    """What its SOP Instance UID is derived from."""
    instance_number: int = 1


def member_of(kind: str, title: str, *, instance_number: int = 1) -> Member:
    """An object of a kind that has one series in a set."""
    return Member(
        kind=kind,
        title=title,
        series_name=f"{kind} series",
        instance_name=f"{kind} instance {instance_number}",
        instance_number=instance_number,
    )


def common_arguments(
    member: Member, algorithm: Algorithm, *, timezone_offset: str, context: ResultContext, uids: ResultUids
) -> dict[str, Any]:
    """What each of highdicom's objects takes beside its content.

    Args:
        member: Which object it is.
        algorithm: What found what it shows.
        timezone_offset: Of the source images, `+hhmm` or empty.
        context: Of the result.
        uids: Of the result.
    """
    return {
        "series_instance_uid": uids.derive(member.series_name),
        "series_number": SERIES_NUMBER[member.kind],
        "sop_instance_uid": uids.derive(member.instance_name),
        "instance_number": member.instance_number,
        "manufacturer": context.manufacturer,
        "manufacturer_model_name": "dicom-node",
        "software_versions": context.software_version,
        "device_serial_number": context.device_serial_number,
        "institution_name": context.institution or None,
        "series_description": series_description(member.title, context),
        "contributing_equipment": [processing_equipment(algorithm, context, timezone_offset=timezone_offset)],
    }


def series_description(title: str, context: ResultContext) -> str:
    """What the radiologist sees in the list of series."""
    revised = f" (revision {context.revision})" if context.revision > 1 else ""
    return long_string(f"{title}{revised} - not for diagnostic use")
