"""The earlier studies that a run may use, on the grid of the current one."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import pairwise

import numpy as np
import torch

from pipeline.affine_fit import Chest, chest_of
from pipeline.align import AlignedPrior, Alignment, align_prior
from pipeline.chest_series import read_chest, read_known_chest
from pipeline.chest_volume import ChestVolume, CurrentStudy
from pipeline.compare import PriorLesion, PriorLesions, derived_tracking_uid, tracking_id
from pipeline.errors import PipelineError
from pipeline.findings import DroppedPrior, KnownLesions, PriorStudy
from pipeline.lesions import FoundLesions
from pipeline.lung_checks import coverage_notes
from pipeline.orient import LpsVolume, lps_mask_from_source
from pipeline.plug_points import LungSegmenter
from pipeline.study import Grid, SeriesChoice, StudyFiles, UInt8Array
from pipeline.warp import warp_labels

SECONDS_PER_DAY = 86_400.0

FEWEST_AT_ONCE, MOST_AT_ONCE = 2, 3
"""Earlier studies prepared at the same time, where there is more than one thread: the fit of each runs in one, so that it
gives the same everywhere."""

THREADS_PER_STUDY = 4
"""Of torch, from which one more is prepared at the same time."""

SAME_PLACE_MM = 0.01
"""Largest difference of two grids that are one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UsablePrior:
    """An earlier study that fits."""

    study: PriorStudy
    acquired_at: datetime
    series_instance_uid: str
    aligned: AlignedPrior
    lung_volume_ml: float
    """Of both lungs, as it was acquired."""
    shown_share: float
    """Of these lungs, how much lies on the grid of the current study."""
    qualifications: tuple[str, ...] = ()
    """Plain sentences on how it was read and what limits it, with its date."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EarlierStudies:
    """What became of the studies that were offered."""

    usable: tuple[UsablePrior, ...]
    """Newest first."""
    dropped: tuple[DroppedPrior, ...]


def prepare_earlier(
    current: CurrentStudy,
    priors: Sequence[PriorStudy],
    segmenter: LungSegmenter,
    *,
    alignment: Alignment,
    on_prior: Callable[[int], None],
) -> EarlierStudies:
    """Read, align and check the earlier studies; one that cannot be used costs a reason, never the run.

    Args:
        current: The study they are compared with.
        priors: In any order.
        segmenter: Finds lungs where no earlier run did.
        alignment: How far the earlier studies are bent to fit.
        on_prior: Called before each is waited for, with its number from 0.
    """
    usable: list[UsablePrior] = []
    dropped: list[DroppedPrior] = []
    offered = sorted(priors, key=_newest_first)
    reasons = _unfit_reasons(offered, current.files)
    fixed = None if all(reasons) else chest_of(current.chest)
    with ThreadPoolExecutor(_at_once(torch.get_num_threads())) as pool:
        jobs = [
            pool.submit(_ready, prior, current, fixed, segmenter, alignment) if fixed and not reason else None
            for prior, reason in zip(offered, reasons, strict=True)
        ]
        for number, (prior, reason, job) in enumerate(zip(offered, reasons, jobs, strict=True)):
            on_prior(number)
            ready = reason if job is None else job.result()
            if isinstance(ready, UsablePrior):
                usable.append(ready)
            else:
                dropped.append(DroppedPrior(study_instance_uid=prior.files.study_instance_uid, reason=ready))
    return EarlierStudies(usable=tuple(usable), dropped=tuple(dropped))


def gaps_days(usable: Sequence[UsablePrior], current: StudyFiles) -> list[float]:
    """Days since the study before, oldest study first, the current one last; the first is 0."""
    dates = [prior.acquired_at for prior in reversed(usable)]
    if current.acquired_at is not None:
        dates.append(current.acquired_at)
    return [0.0, *((later - earlier).total_seconds() / SECONDS_PER_DAY for earlier, later in pairwise(dates))]


def known_prior_lesions(known: KnownLesions, aligned: AlignedPrior, grid: Grid) -> PriorLesions:
    """Lesions that an earlier run reported, on the current grid; their numbers and UIDs stand."""
    labels = warp_labels(known.lesion_labels, known.grid, grid, aligned.prior_from_current)
    lesions = tuple(
        PriorLesion(
            number=lesion.number,
            tracking_uid=lesion.tracking_uid,
            tracking_id=lesion.tracking_id,
            kind=lesion.kind,
            side=lesion.side,
            volume_ml=lesion.volume_ml,
        )
        for lesion in known.lesions
    )
    return PriorLesions(
        labels=labels.astype(np.uint16),
        valid=aligned.valid,
        lung_mask=aligned.lung_mask,
        lesions=lesions,
        volume_factor=aligned.volume_change.factor,
    )


def found_prior_lesions(found: FoundLesions, prior: UsablePrior, grid: Grid) -> PriorLesions:
    """Lesions of an earlier study that were found in this run, already on the current grid.

    Their volumes are those before the warp: what a deformation adds to one place it takes from it again here.
    """
    change = prior.aligned.volume_change
    factors = change.by_label(found.labels, grid)
    origin = lesion_origin(prior.study.files.study_instance_uid, prior.series_instance_uid)
    uids = [derived_tracking_uid(origin, lesion) for lesion in found.lesions]
    lesions = tuple(
        PriorLesion(
            number=lesion.number,
            tracking_uid=uid,
            tracking_id=tracking_id(uid),
            kind=lesion.kind,
            side=lesion.side,
            volume_ml=lesion.volume_ml * float(factors[lesion.number]),
        )
        for lesion, uid in zip(found.lesions, uids, strict=True)
    )
    return PriorLesions(
        labels=found.labels,
        valid=prior.aligned.valid,
        lung_mask=prior.aligned.lung_mask,
        lesions=lesions,
        volume_factor=change.factor,
    )


def lesion_origin(study_instance_uid: str, series_instance_uid: str) -> str:
    """What the tracking UIDs of a study's own lesions derive from."""
    return f"{study_instance_uid}/{series_instance_uid}"


def _at_once(threads: int) -> int:
    """Earlier studies prepared at the same time, of as many threads as torch may use."""
    return min(threads, MOST_AT_ONCE, max(FEWEST_AT_ONCE, threads // THREADS_PER_STUDY))


def _newest_first(prior: PriorStudy) -> tuple[float, str]:
    acquired_at = prior.files.acquired_at
    return (-acquired_at.timestamp() if acquired_at else float("inf"), prior.files.study_instance_uid)


def _unfit_reasons(offered: Sequence[PriorStudy], current: StudyFiles) -> list[str]:
    """Why each is no earlier study, as far as their headers tell; empty for those that are."""
    seen = {current.study_instance_uid}
    reasons = []
    for prior in offered:
        reasons.append(_unfit(prior, current, seen))
        seen.add(prior.files.study_instance_uid)
    return reasons


def _unfit(prior: PriorStudy, current: StudyFiles, seen: set[str]) -> str:
    """Why a study is no earlier study; empty when it is one."""
    if prior.files.study_instance_uid in seen:
        return "It was offered twice, or is the current study itself."
    if prior.files.acquired_at is None or current.acquired_at is None:
        return "The acquisition date of one of the two studies is not known, so their order is not either."
    if prior.files.acquired_at >= current.acquired_at:
        return "It was not acquired before the current study."
    return ""


def _ready(
    prior: PriorStudy, current: CurrentStudy, fixed: Chest, segmenter: LungSegmenter, alignment: Alignment
) -> UsablePrior | str:
    """The aligned study, or the reason why there is none."""
    acquired_at = prior.files.acquired_at
    try:
        study, choice, chest = _chest(prior, segmenter)
    except PipelineError as exc:
        return exc.reason
    aligned = align_prior(chest, current.chest, fixed, alignment=alignment)
    if aligned.refusal or acquired_at is None:
        return aligned.refusal
    lung_volume_ml = int(np.count_nonzero(chest.lung_mask)) * chest.lps.grid.voxel_volume_ml
    shown_ml = int(np.count_nonzero(aligned.lung_mask)) * current.chest.lps.grid.voxel_volume_ml
    return UsablePrior(
        study=study,
        acquired_at=acquired_at,
        series_instance_uid=choice.series_instance_uid,
        aligned=aligned,
        lung_volume_ml=lung_volume_ml,
        shown_share=shown_ml * aligned.volume_change.factor / lung_volume_ml,
        qualifications=(
            *(_anew_notes(acquired_at) if study.known is not prior.known else ()),
            *_limits(choice, chest, acquired_at),
        ),
    )


def _anew_notes(acquired_at: datetime) -> tuple[str, ...]:
    """Of a study whose result does not fit what can be read of it."""
    return (
        f"The series that the result of the earlier study of {acquired_at:%Y-%m-%d} was made of cannot be read any more: another "
        "one was, and its lesions were found anew; they do not bear the names of that result. Send the series again.",
    )


def _limits(choice: SeriesChoice, chest: ChestVolume, acquired_at: datetime) -> tuple[str, ...]:
    """What limits the series that was read of a study, and so each comparison with it."""
    notes = (*choice.qualifications, *coverage_notes(chest.lung_mask, chest.lps, chest.imaged))
    return tuple(f"Earlier study of {acquired_at:%Y-%m-%d}: {note}" for note in notes)


def _chest(prior: PriorStudy, segmenter: LungSegmenter) -> tuple[PriorStudy, SeriesChoice, ChestVolume]:
    """The series that its result was made of, else the best one, and what it shows; then nothing is known of the study.

    The volume on the grid of acquisition is let go.
    """
    known = prior.known
    series = (
        read_known_chest(prior.files, known.series_instance_uid, partial(_lungs, known, segmenter)) if known else None
    )
    if series is None:
        prior = replace(prior, known=None)
        series = read_chest(prior.files, lambda lps: segmenter.segment(lps.volume_hu, lps.spacing_mm))
    return prior, series.choice, series.chest


def _lungs(known: KnownLesions, segmenter: LungSegmenter, lps: LpsVolume) -> UInt8Array:
    """The lungs that an earlier run found in a series, unless more or fewer of its slices are here now."""
    if not _is_same_grid(known.grid, lps.source_grid):
        return segmenter.segment(lps.volume_hu, lps.spacing_mm)
    return lps_mask_from_source(known.lung_mask, lps)


def _is_same_grid(first: Grid, second: Grid) -> bool:
    same_place = np.allclose(first.affine_lps_from_kji, second.affine_lps_from_kji, atol=SAME_PLACE_MM)
    return first.shape == second.shape and bool(same_place)
