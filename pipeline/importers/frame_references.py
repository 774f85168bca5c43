"""Which frames of a multi-frame CT something was drawn on (PS3.3 10.3, Image SOP Instance Reference Macro)."""

from collections.abc import Iterable
from typing import TypeAlias

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from pipeline.importers.dicom_files import DicomCt
from pipeline.importers.errors import StudyNotImportedError

NamedFrames: TypeAlias = frozenset[tuple[str, int]]
"""SOP Instance UID, number of the frame from 1."""

_OTHER_FRAMES = (
    "It was drawn on frames of its CT that are not those of the volume that is read: the object holds several passes or "
    "reconstructions. Draw on an object that holds one volume."
)


def named_frames(references: Iterable[Dataset]) -> NamedFrames:
    """The frames that references name; one to a whole instance, as to a single image, names none."""
    return frozenset(
        (str(item.get("ReferencedSOPInstanceUID") or ""), number)
        for item in references
        for number in _numbers(item.get("ReferencedFrameNumber"))
    )


def check_drawn_on(ct: DicomCt, frames: NamedFrames) -> None:
    """Nothing where all frames of the CT that are named are slices of its volume.

    Raises:
        StudyNotImportedError: Some are not: of two passes over a patient who breathes, only one fits.
    """
    slices = {(header.sop_instance_uid, header.frame_number) for header in ct.source.slice_headers}
    instances = {uid for uid, _ in slices}
    if any(uid in instances and (uid, number) not in slices for uid, number in frames):
        raise StudyNotImportedError(_OTHER_FRAMES)


def _numbers(value: object) -> list[int]:
    """Values of VR IS; none where there is none."""
    if value is None or value == "":
        return []
    return [int(one) for one in value] if isinstance(value, MultiValue) else [int(str(value))]
