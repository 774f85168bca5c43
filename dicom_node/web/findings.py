"""The findings of a stored result, as its page shows them."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_node.web.limits import read_limited
from storage.records import ResultSet

FORMAT_VERSION = 1
"""Of findings.json (docs/json.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLesion:
    """One lesion."""

    number: int
    kind: str
    side: str
    score: float
    volume_ml: float
    mean_hu: float
    share_of_lung_percent: float
    key_slice: int
    change: str
    prior_volume_ml: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPrior:
    """An earlier study that was compared with."""

    study_instance_uid: str
    acquired_at: datetime
    interval_days: float
    lung_overlap_dice: float
    lesion_volume_ml: float | None
    involvement_percent: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedPrior:
    """An earlier study that was not compared with."""

    study_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSeries:
    """A series that was read or passed over."""

    series_instance_uid: str
    number: int | None
    description: str
    reason: str
    speaks_for: tuple[str, ...]
    speaks_against: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFindings:
    """What a result says."""

    patient_score: float
    stage: str
    involvement_percent: float
    missing_lungs: tuple[str, ...]
    """Sides of the lungs that were not found."""
    lesion_volume_ml: float
    lesions: tuple[ShownLesion, ...]
    gone_count: int
    series: ShownSeries
    passed_over: tuple[ShownSeries, ...]
    sop_instance_uids: tuple[str, ...]
    """Of the slices, in their order."""
    frame_numbers: tuple[int, ...]
    """Likewise; empty for images of one frame."""
    priors_used: tuple[ShownPrior, ...]
    priors_dropped: tuple[DroppedPrior, ...]
    qualifications: tuple[str, ...]
    algorithm: str
    weights_sha256: str
    is_demo: bool
    """Trained on synthetic lesions alone."""
    intended_use: str


def findings_of(result: ResultSet | None) -> ShownFindings | None:
    """The findings of a result; None where there are none, or the file is missing, damaged or of another version."""
    path = next((file.path for file in result.files if file.kind == "findings"), None) if result else None
    if path is None:
        return None
    try:
        return _findings(json.loads(read_limited(path)))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def file_of_kind(result: ResultSet, kind: str) -> Path | None:
    """The first file of a kind."""
    return next((file.path for file in result.files if file.kind == kind), None)


def _findings(document: dict[str, Any]) -> ShownFindings:
    if document["format_version"] != FORMAT_VERSION:
        raise ValueError(document["format_version"])
    series, algorithm = document["series"], document["algorithm"]
    return ShownFindings(
        patient_score=document["patient_score"],
        stage=document["stage"].replace("_", " "),
        involvement_percent=document["involvement_percent"],
        missing_lungs=tuple(lung["side"] for lung in document["lungs"] if not lung["volume_ml"]),
        lesion_volume_ml=sum(lung["lesion_volume_ml"] for lung in document["lungs"]),
        lesions=tuple(_lesion(lesion) for lesion in document["lesions"]),
        gone_count=len(document["gone_lesions"]),
        series=_series(series),
        passed_over=tuple(_series(other) for other in series["passed_over"]),
        sop_instance_uids=tuple(series["sop_instance_uids"]),
        frame_numbers=tuple(series["frame_numbers"]),
        priors_used=tuple(_prior(prior) for prior in document["priors_used"]),
        priors_dropped=tuple(DroppedPrior(**prior) for prior in document["priors_dropped"]),
        qualifications=tuple(document["qualifications"]),
        algorithm=f"{algorithm['name']} {algorithm['version']}",
        weights_sha256=algorithm["weights_sha256"],
        is_demo=algorithm["synthetic_training_only"],
        intended_use=document["intended_use"],
    )


def _lesion(lesion: dict[str, Any]) -> ShownLesion:
    return ShownLesion(
        number=lesion["number"],
        kind=lesion["kind"],
        side=lesion["side"],
        score=lesion["score"],
        volume_ml=lesion["volume_ml"],
        mean_hu=lesion["mean_hu"],
        share_of_lung_percent=lesion["share_of_lung_percent"],
        key_slice=lesion["key_slice"],
        change=lesion["change"].replace("_", " "),
        prior_volume_ml=lesion["prior_volume_ml"],
    )


def _series(series: dict[str, Any]) -> ShownSeries:
    return ShownSeries(
        series_instance_uid=series["series_instance_uid"],
        number=series.get("number"),
        description=series.get("description", ""),
        reason=series["reason"],
        speaks_for=tuple(series.get("speaks_for", ())),
        speaks_against=tuple(series.get("speaks_against", ())),
    )


def _prior(prior: dict[str, Any]) -> ShownPrior:
    return ShownPrior(
        study_instance_uid=prior["study_instance_uid"],
        acquired_at=datetime.fromisoformat(prior["acquired_at"]),
        interval_days=prior["interval_days"],
        lung_overlap_dice=prior["lung_overlap_dice"],
        lesion_volume_ml=prior.get("lesion_volume_ml"),
        involvement_percent=prior.get("involvement_percent"),
    )
