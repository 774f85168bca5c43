"""Which point of the patient's course a study is (TID 1502 of PS3.16)."""

from highdicom.sr import TimePointContext
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_node.results import codes
from pipeline.findings import Findings


def time_point(findings: Findings, image: Dataset) -> TimePointContext:
    """Date of the study, its type, and its place among the studies that were compared.

    The date names the same time point in the reports on all studies of a patient; the place is counted from the
    oldest study that took part.
    """
    order = len(findings.priors_used) + 1
    return TimePointContext(
        time_point=_date_of(image) or f"{order}",
        time_point_type=_type_of(findings),
        time_point_order=order,
    )


def _type_of(findings: Findings) -> Code | None:
    """Not told where earlier studies exist and none could be used."""
    if findings.priors_used:
        return codes.FOLLOW_UP
    return None if findings.priors_dropped else codes.BASELINE


def _date_of(image: Dataset) -> str:
    for keyword in ("AcquisitionDate", "SeriesDate", "StudyDate"):
        date = str(image.get(keyword) or "")
        if len(date) == 8 and date.isdigit():
            return f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return ""
