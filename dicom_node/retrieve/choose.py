"""Which of the studies and series that a PACS names are fetched."""

import re
from collections.abc import Sequence
from datetime import timedelta

from dicom_node.priors import LEAST_GAP, contradiction
from dicom_node.retrieve.answers import SeriesAnswer, StudyAnswer
from storage.fetch_tasks import FetchTask
from storage.waived import is_waived

MAXIMUM_SERIES = 4
"""Of a study: the thin series in two kernels, and as many of another region or phase."""

_LEAST_IMAGES = 8
"""Fewer are no volume: a scout, a dose sheet, a screen of the workstation. An enhanced CT (one object) says 1 and is taken
for its description alone."""

_NO_AXIAL_IMAGES = re.compile(
    r"scout|topo|locali[sz]er|surview|scano|dose|protocol|smart ?prep|bolus|monitoring|\bmpr\b|\bmip\b|\bcor|\bsag|\b3d\b|\bvrt?\b",
    re.IGNORECASE,
)
"""How vendors name series that hold no axial slices: scouts, bolus tracking, dose sheets, reformats."""

_LUNG = re.compile(r"lung|pulm|poumon|polmon|\bb[67]\d|\bbl\d|\bfc5\d", re.IGNORECASE)
"""Words and kernels of the reconstruction that the analysis prefers."""


def refusal_of(answer: StudyAnswer, task: FetchTask) -> str:
    """Why a study must not be taken for an earlier one of the patient; empty where nothing speaks against it."""
    if not answer.study_instance_uid:
        return "the PACS named no Study Instance UID"
    of_id = [one for one in task.sought if one.patient.patient_id == answer.patient.patient_id]
    if not of_id:
        return "the PACS answered with a study of another patient ID"
    # Where the PACS does not say the issuer, the images do, and decide.
    named = [one for one in of_id if answer.patient.issuer in {"", one.patient.issuer}]
    if not named:
        return "same patient ID, but of another issuer: not linked; correct the patient in the PACS"
    is_one_person = any(is_waived(task.demographics, answer.demographics, one.waivers) for one in named)
    contradicts = "" if is_one_person else contradiction(task.demographics, answer.demographics)
    return contradicts or _untimely(answer, task)


def unsuitable_study(answer: StudyAnswer) -> str:
    """Why a study has nothing to compare with; empty where it may have."""
    if answer.modalities and "CT" not in answer.modalities:
        return "the study has no CT"
    return ""


def too_old(answer: StudyAnswer, task: FetchTask, *, maximum_age_days: float) -> str:
    """Why a study is too old to be compared with; empty where it is not."""
    if answer.acquired_at and task.acquired_at - answer.acquired_at > timedelta(days=maximum_age_days + 1):
        return f"older than {maximum_age_days:g} days"
    return ""


def choose_series(study: StudyAnswer, series: Sequence[SeriesAnswer], *, chest: re.Pattern[str]) -> list[SeriesAnswer]:
    """The axial CT series of the chest to fetch, the best first; none where the study is not of the chest.

    What a series says of itself goes before what the study says; where nobody says anything, the series is taken: the
    analysis finds out by itself whether there are lungs.
    """
    candidates = [one for one in series if _may_be_axial_ct(one)]
    named = [one for one in candidates if chest.search(_said_by_series(one))]
    if not named and _is_of_chest_or_silent(study, candidates, chest):
        named = [one for one in candidates if not one.body_part] or candidates
    return sorted(named, key=_preference)[:MAXIMUM_SERIES]


def _untimely(answer: StudyAnswer, task: FetchTask) -> str:
    if answer.acquired_at is None:
        return "the PACS named no study date"
    if answer.acquired_at.astimezone(task.acquired_at.tzinfo).date() > task.acquired_at.date():
        return "of a later date than the current study"
    if task.acquired_at - answer.acquired_at < LEAST_GAP:
        return "of the same day: it says the same"
    return ""


def _may_be_axial_ct(series: SeriesAnswer) -> bool:
    is_ct = series.modality.upper() == "CT" and bool(series.series_instance_uid)
    count = series.instance_count
    enough = count is None or count == 1 or count >= _LEAST_IMAGES
    return is_ct and enough and not _NO_AXIAL_IMAGES.search(series.description)


def _said_by_series(series: SeriesAnswer) -> str:
    return " ".join((series.body_part, series.description, series.protocol))


def _is_of_chest_or_silent(study: StudyAnswer, candidates: Sequence[SeriesAnswer], chest: re.Pattern[str]) -> bool:
    said = [study.description, *(one.body_part for one in candidates)]
    return bool(chest.search(study.description)) or not any(said)


def _preference(series: SeriesAnswer) -> tuple[bool, int, str]:
    """Lung kernels first, then the series with most images."""
    is_lung = bool(_LUNG.search(f"{series.description} {series.protocol}"))
    return (not is_lung, -(series.instance_count or 0), series.series_instance_uid)
