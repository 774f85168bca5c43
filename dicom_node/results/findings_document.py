"""`findings.json`: everything the pipeline says about a study, as one JSON object.

format, format_version  `dicom-node findings`, 1; a reader refuses another version
intended_use            the sentence that goes with every result
created_at              ISO 8601 in UTC
software_version, revision
study_instance_uid
patient_score           0..1
patient_score_calibrated  true where the score is a probability among the cases of algorithm.calibration
patient_score_population  whom that probability holds for, for instance synthetic phantoms; null when not calibrated
patient_score_positive  whether lesions are reported and the score reaches the default operating point; null when none
                        was measured
stage                   no_lesion, early, advanced, severe, absorption, indeterminate
involvement_percent     of both lungs, or of the one that was found
slice_scores[]          0..1 of each of series.sop_instance_uids, not calibrated: the slice shows a lesion; empty where the
                        slices are not axial
lungs[]                 side, volume_ml, lesion_volume_ml, involvement_percent (null where that lung was not found, which
                        then has 0 ml); right, then left
lesions[]               number (its segment and its value in masks.npz), tracking_uid, tracking_id, kind
                        (ground_glass, consolidation), side, score (0..1, not calibrated), volume_ml, mean_hu, sd_hu,
                        share_of_lung_percent, box_lps_mm (x0 y0 z0 x1 y1 z1, voxel centres), key_slice (k),
                        change (new, grown, stable, shrunk, gone, not_compared), prior_volume_ml or null;
                        largest first
gone_lesions[]          tracking_uid, tracking_id, kind, side, prior_volume_ml
series                  series_instance_uid, number, description, reason, speaks_for[], speaks_against[],
                        sop_instance_uids[] in slice order, frame_numbers[] likewise (empty for single-frame images), and
                        passed_over[] with series_instance_uid, number, description, reason, speaks_for[],
                        speaks_against[]
priors_used[]           study_instance_uid, series_instance_uid, acquired_at (ISO 8601 with the offset that the
                        images name, as UTC where they name none), interval_days, lung_overlap_dice, and lesion_count,
                        lesion_volume_ml, involvement_percent, each null when not known
priors_dropped[]        study_instance_uid, reason
priors_were_searched    whether earlier studies were looked for to the end wherever the node was told to look: none used and none
                        dropped then means that there is none
algorithm               name, version, weights_sha256, thresholds{}, synthetic_training_only,
                        calibration (null, or population, calibrated_on, studies), operating_points[] (name, threshold,
                        sensitivity, specificity, diseased, healthy)
qualifications[]        sentences on what limits the findings
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from dicom_node.results.context import ResultContext
from dicom_node.results.errors import InconsistentAnalysisError, UnreadableResultError
from dicom_node.results.sentences import INTENDED_USE
from pipeline.findings import Findings, Lesion

FORMAT: Final = "dicom-node findings"
FORMAT_VERSION: Final = 1


def findings_bytes(findings: Findings, context: ResultContext) -> bytes:
    """The document in UTF-8.

    Raises:
        InconsistentAnalysisError: a number is infinite or none.
    """
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "intended_use": INTENDED_USE,
        "created_at": context.created_at.astimezone(UTC),
        "software_version": context.software_version,
        "revision": context.revision,
        "study_instance_uid": findings.study_instance_uid,
        "patient_score": findings.patient_score,
        **_meaning_of_score(findings),
        "stage": findings.stage,
        "involvement_percent": findings.involvement_percent,
        "slice_scores": [round(score, 4) for score in findings.slice_scores],
        "lungs": [asdict(lung) for lung in findings.lungs],
        "lesions": [asdict(lesion) for lesion in findings.lesions],
        "gone_lesions": [asdict(lesion) for lesion in findings.gone_lesions],
        "series": _series(findings),
        "priors_used": [asdict(prior) for prior in findings.priors_used],
        "priors_dropped": [asdict(prior) for prior in findings.priors_dropped],
        "priors_were_searched": findings.priors_were_searched,
        "algorithm": asdict(findings.algorithm),
        "qualifications": findings.qualifications,
    }
    try:
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False, default=_moment)
    except ValueError as exc:
        msg = "a number in the findings is infinite or none"
        raise InconsistentAnalysisError(msg) from exc
    return text.encode() + b"\n"


def read_lesions(path: Path) -> tuple[str, tuple[Lesion, ...]]:
    """The Series Instance UID of what was read, and the lesions of a document.

    Raises:
        UnreadableResultError: the document is missing, damaged or of another version.
    """
    try:
        document = json.loads(path.read_bytes())
        if (document["format"], document["format_version"]) != (FORMAT, FORMAT_VERSION):
            msg = "the findings of an earlier result have another format version; run that study again"
            raise UnreadableResultError(msg)
        lesions = TypeAdapter(tuple[Lesion, ...]).validate_python(document["lesions"])
        return TypeAdapter(str).validate_python(document["series"]["series_instance_uid"]), lesions
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as exc:
        raise UnreadableResultError from exc


def _meaning_of_score(findings: Findings) -> dict[str, object]:
    calibration = findings.algorithm.calibration
    return {
        "patient_score_calibrated": calibration is not None,
        "patient_score_population": calibration.population if calibration else None,
        "patient_score_positive": findings.is_positive,
    }


def _series(findings: Findings) -> dict[str, object]:
    return {
        "series_instance_uid": findings.series_instance_uid,
        "number": findings.series_number,
        "description": findings.series_description,
        "reason": findings.series_reason,
        "speaks_for": findings.series_speaks_for,
        "speaks_against": findings.series_speaks_against,
        "sop_instance_uids": findings.input_sop_instance_uids,
        "frame_numbers": findings.input_frame_numbers,
        "passed_over": [asdict(series) for series in findings.passed_over],
    }


def _moment(value: object) -> str:
    """Moments, the one kind of value that JSON lacks."""
    if isinstance(value, datetime):
        return value.isoformat()
    msg = f"{type(value).__name__} does not belong into findings"
    raise TypeError(msg)
