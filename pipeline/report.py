"""Measured lesions and lungs put together into findings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from pipeline.burden import Burden, involvement_percent, lung_figures
from pipeline.chest_volume import CurrentStudy
from pipeline.compare import ComparedLesion, Comparison
from pipeline.earlier import SECONDS_PER_DAY, EarlierStudies, UsablePrior
from pipeline.engine import Engine
from pipeline.findings import Findings, Lesion, LungFigures, Side, UsedPrior
from pipeline.fluid import fluid_notes
from pipeline.lung_checks import coverage_notes
from pipeline.patient_score import patient_score
from pipeline.stack import rounded_mm
from pipeline.stage import stage_of
from pipeline.study import Float32Array, Grid, StudyFiles, UInt8Array, UInt16Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """Everything that the findings are made of, arrays on the source grid (k, j, i)."""

    study: CurrentStudy
    lung_mask: UInt8Array
    lesion_labels: UInt16Array
    comparison: Comparison
    lesion_scores: dict[int, float]
    """By number."""
    slice_logits: Float32Array
    """Of the slices that show lung."""
    slice_scores: tuple[float, ...]
    """Of all source slices, see `pipeline.slice_scores`."""
    earlier: EarlierStudies
    burdens: tuple[Burden | None, ...]
    """Of the usable earlier studies, in their order; None where it is not known."""


def build_findings(measured: Measured, engine: Engine) -> Findings:
    """The findings of one run."""
    study, chest = measured.study, measured.study.chest
    lungs = lung_figures(measured.lung_mask, measured.lesion_labels, study.volume.grid.voxel_volume_ml)
    involvement = involvement_percent(lungs)
    headers = study.volume.slice_headers
    boxes = ndimage.find_objects(measured.lesion_labels)
    lesions = _lesions(measured, lungs, boxes)
    notes = (
        *_spacing_notes(chest.lps.spacing_mm[0], engine.thickest_slice_spacing_mm),
        *coverage_notes(chest.lung_mask, chest.lps, chest.imaged),
        *fluid_notes(lesions, boxes, measured.lesion_labels, study.volume.volume_hu, study.volume.grid.spacing_mm),
    )
    return Findings(
        study_instance_uid=study.files.study_instance_uid,
        series_instance_uid=study.choice.series_instance_uid,
        series_description=study.choice.description,
        series_reason=study.choice.reason,
        passed_over=study.choice.passed_over,
        series_number=study.choice.number,
        series_speaks_for=study.choice.speaks_for,
        series_speaks_against=study.choice.speaks_against,
        input_sop_instance_uids=tuple(header.sop_instance_uid for header in headers),
        input_frame_numbers=tuple(header.frame_number for header in headers if header.frame_number is not None),
        patient_score=patient_score(torch.from_numpy(measured.slice_logits), involvement, engine.patient_score),
        stage=stage_of(measured.comparison, involvement),
        lungs=lungs,
        involvement_percent=involvement,
        lesions=lesions,
        gone_lesions=measured.comparison.gone,
        priors_used=tuple(
            _used(prior, burden, study.files)
            for prior, burden in zip(measured.earlier.usable, measured.burdens, strict=True)
        ),
        priors_dropped=measured.earlier.dropped,
        qualifications=(
            *study.volume.qualifications,
            *notes,
            *(note for prior in measured.earlier.usable for note in prior.qualifications),
        ),
        algorithm=engine.algorithm,
        slice_scores=measured.slice_scores,
    )


def _spacing_notes(spacing_mm: float, thickest_mm: float) -> tuple[str, ...]:
    """Of a study beyond what the model pack is for, if it is one."""
    if rounded_mm(spacing_mm) <= thickest_mm:
        return ()
    return (
        f"The slices are {spacing_mm:.1f} mm apart, and the model pack is for up to {thickest_mm:g} mm: lesions can be missed, "
        "scores are less sure.",
    )


def _lesions(
    measured: Measured, lungs: Sequence[LungFigures], boxes: Sequence[tuple[slice, ...]]
) -> tuple[Lesion, ...]:
    lung_ml = {lung.side: lung.volume_ml for lung in lungs}
    return tuple(
        _lesion(compared, boxes[compared.lesion.number - 1], measured, lung_ml)
        for compared in measured.comparison.lesions
    )


def _lesion(compared: ComparedLesion, box: tuple[slice, ...], measured: Measured, lung_ml: dict[Side, float]) -> Lesion:
    lesion = compared.lesion
    areas = np.count_nonzero(measured.lesion_labels[box] == lesion.number, axis=(1, 2))
    return Lesion(
        number=lesion.number,
        tracking_uid=compared.tracking_uid,
        tracking_id=compared.tracking_id,
        kind=lesion.kind,
        side=lesion.side,
        score=measured.lesion_scores[lesion.number],
        volume_ml=lesion.volume_ml,
        mean_hu=lesion.mean_hu,
        sd_hu=lesion.sd_hu,
        share_of_lung_percent=100.0 * lesion.volume_ml / max(lesion.volume_ml, lung_ml[lesion.side]),
        box_lps_mm=_box_lps_mm(box, measured.study.volume.grid),
        key_slice=box[0].start + int(areas.argmax()),
        change=compared.change,
        prior_volume_ml=compared.prior_volume_ml,
    )


def _box_lps_mm(box: tuple[slice, ...], grid: Grid) -> tuple[float, float, float, float, float, float]:
    """Around the centres of the corner voxels."""
    ends = [(part.start, part.stop - 1) for part in box]
    corners = np.array([[k, j, i, 1.0] for k in ends[0] for j in ends[1] for i in ends[2]])
    points = corners @ grid.affine_lps_from_kji[:3].T
    x0, y0, z0 = points.min(axis=0).tolist()
    x1, y1, z1 = points.max(axis=0).tolist()
    return (x0, y0, z0, x1, y1, z1)


def _used(prior: UsablePrior, burden: Burden | None, current: StudyFiles) -> UsedPrior:
    interval = (current.acquired_at - prior.acquired_at).total_seconds() if current.acquired_at else None
    return UsedPrior(
        study_instance_uid=prior.study.files.study_instance_uid,
        series_instance_uid=prior.series_instance_uid,
        acquired_at=prior.acquired_at,
        interval_days=None if interval is None else interval / SECONDS_PER_DAY,
        lung_overlap_dice=prior.aligned.lung_dice,
        lesion_count=burden.lesion_count if burden else None,
        lesion_volume_ml=burden.lesion_volume_ml if burden else None,
        involvement_percent=burden.involvement_percent if burden else None,
    )
