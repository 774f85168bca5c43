"""Which point of the patient's course a study is (TID 1502 of PS3.16)."""

from highdicom.sr import TimePointContext
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_node.results import codes
from dicom_node.results.acquisition import acquisition_day
from pipeline.findings import Findings


def time_point(findings: Findings, image: Dataset) -> TimePointContext | None:
    """Date of the study and its type; the date names the same time point in the reports on all studies of a patient.

    None without a date. The order of the studies is not told here: strangers take that number for a measurement (dcmqi
    1.5.7 lists it, PixelMed 2022 refuses it). It stands with the comparison studies.
    """
    date = acquisition_day(image)
    return TimePointContext(time_point=date, time_point_type=_type_of(findings)) if date else None


def _type_of(findings: Findings) -> Code | None:
    """Not told where earlier studies exist and none was used, nor where it is not known whether there are any."""
    if findings.priors_used:
        return codes.FOLLOW_UP
    return codes.BASELINE if findings.priors_were_searched and not findings.priors_dropped else None
