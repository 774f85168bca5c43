"""What results need to know that the pipeline does not."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import pydicom
from pydicom.errors import InvalidDicomError

from dicom_node.results.errors import UnreadableResultError
from dicom_node.results.plan import ResultPlan

SR_NAME: Final = "sr.dcm"
"""File name of the structured report in the folder of a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """The structured report that a new one supersedes (PS3.3 C.17.2, Predecessor Documents Sequence)."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultContext:
    """Who makes the results, when, and what they replace."""

    software_version: str
    device_serial_number: str
    created_at: datetime
    """Aware, in the time zone of the node. Written as local time: in the zone that the source images name, else in its
    own, since a scanner that names none means the time on the wall."""
    revision: int
    """1 for the first result of a study."""
    predecessor: Predecessor | None = None
    """Named by each report of which no other document here has the class."""
    further_predecessors: tuple[Predecessor, ...] = ()
    """Other documents of the result that this one supersedes, each named by the report of its class."""
    institution: str = ""
    """Empty: none is named; the one in the source images is where these were made, not the results."""
    manufacturer: str = "dicom-node"
    plan: ResultPlan = field(default_factory=ResultPlan)

    def __post_init__(self) -> None:
        """Refuse a moment without a time zone.

        Raises:
            ValueError: `created_at` is naive.
        """
        if self.created_at.tzinfo is None:
            msg = "created_at needs a time zone"
            raise ValueError(msg)

    def predecessor_of(self, sop_class_uid: str) -> Predecessor | None:
        """What a report of this SOP class supersedes: the document of its own class, else the one for all."""
        own = (one for one in self.further_predecessors if one.sop_class_uid == sop_class_uid)
        if self.predecessor and self.predecessor.sop_class_uid == sop_class_uid:
            return self.predecessor
        return next(own, self.predecessor)


def predecessor_from_folder(folder: Path) -> Predecessor:
    """The structured report in the folder of an earlier result, as what a new one supersedes.

    Raises:
        UnreadableResultError: there is no readable report.
    """
    return predecessor_from_file(folder / SR_NAME)


def predecessor_from_file(path: Path) -> Predecessor:
    """A structured report of an earlier result, as what a new one supersedes.

    Raises:
        UnreadableResultError: it cannot be read.
    """
    try:
        report = pydicom.dcmread(path, stop_before_pixels=True)
        return Predecessor(
            sop_class_uid=str(report.SOPClassUID),
            sop_instance_uid=str(report.SOPInstanceUID),
            series_instance_uid=str(report.SeriesInstanceUID),
            study_instance_uid=str(report.StudyInstanceUID),
        )
    except (OSError, InvalidDicomError, AttributeError) as exc:
        raise UnreadableResultError from exc
