"""One study from files to findings: the stages, in order."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.align import Alignment
from pipeline.burden import Burden, found_burden, known_burden
from pipeline.chest_series import ChestSeries, read_chest
from pipeline.chest_volume import CurrentStudy
from pipeline.compare import Comparison, PriorLesion, PriorLesions, compare_lesions, without_prior
from pipeline.device import choose_device
from pipeline.earlier import (
    EarlierStudies,
    UsablePrior,
    found_prior_lesions,
    gaps_days,
    known_prior_lesions,
    lesion_origin,
    prepare_earlier,
)
from pipeline.engine import Engine, build_engine
from pipeline.findings import Analysis, KnownLesions, PriorStudy
from pipeline.heap import trim_heap
from pipeline.kept_names import keep_names
from pipeline.lesions import FoundLesions, find_lesions, lesion_maps, lesion_scores, slices_with_lung
from pipeline.model_pack import ModelPack
from pipeline.orient import LpsVolume, source_from_lps
from pipeline.plug_points import Detection, StudyOnGrid
from pipeline.precision import repeatable_convolutions
from pipeline.report import Measured, build_findings
from pipeline.slice_scores import slice_scores
from pipeline.study import Grid, StudyFiles, UInt8Array

Progress = Callable[[str, float], None]
"""Called with what is being done, and how much of the whole is behind, 0..1."""


def analyse(
    current: StudyFiles,
    priors: Sequence[PriorStudy],
    *,
    pack: ModelPack,
    device: str,
    alignment: Alignment = Alignment.AFFINE,
    on_progress: Progress,
) -> Analysis:
    """Everything the pipeline says about a study; the same input gives the same answer, in whatever order files come.

    Args:
        current: The study.
        priors: Earlier studies of the same patient, in any order.
        pack: Weights and what belongs to them.
        device: "auto", "cpu" or "cuda".
        alignment: How far earlier studies are bent to fit the current one.
        on_progress: Told before each stage.

    Raises:
        StudyRefusedError: The study cannot be analysed: no series, no even volume, no chest.
        UnreadableStudyError: Its images could not be read.
        ModelPackError: The weights do not fit.
        NoSuchDeviceError: The device is not there.
    """
    on_progress("Loading the networks", 0.0)
    engine = build_engine(pack, choose_device(device))
    with repeatable_convolutions():
        return analyse_with(engine, current, priors, alignment=alignment, on_progress=on_progress)


def analyse_with(
    engine: Engine,
    current: StudyFiles,
    priors: Sequence[PriorStudy],
    *,
    reported: KnownLesions | None = None,
    alignment: Alignment = Alignment.AFFINE,
    on_progress: Progress,
) -> Analysis:
    """`analyse` with any lung segmenter and lesion detector; what was `reported` of the study before keeps its names."""
    on_progress("Choosing the series", 0.02)
    series = _read(engine, current, on_progress)
    study = CurrentStudy(
        files=current, choice=series.choice, volume=series.volume, chest=series.chest, reported=reported
    )
    earlier = prepare_earlier(
        study,
        priors,
        engine.segmenter,
        alignment=alignment,
        on_prior=lambda number: on_progress("Aligning earlier studies", 0.3 + 0.3 * number / len(priors)),
    )
    on_progress("Finding lesions", 0.6)
    detection = engine.detector.detect(
        _sequence(study, earlier), study.chest.lps.grid, gaps_days(earlier.usable, current)
    )
    trim_heap()
    on_progress("Measuring lesions", 0.9)
    found = _found(engine, detection, study)
    comparison, burdens = _compared(engine, detection, study, earlier, found=found)
    analysis = _analysis(engine, detection, study, earlier, result=(found, comparison, burdens))
    on_progress("Done", 1.0)
    return analysis


def _read(engine: Engine, current: StudyFiles, on_progress: Progress) -> ChestSeries:
    """The series that is analysed; looking for lungs in another one takes the progress no further."""

    def found_lungs(lps: LpsVolume) -> UInt8Array:
        on_progress("Finding the lungs", 0.1)
        return engine.segmenter.segment(lps.volume_hu, lps.spacing_mm)

    return read_chest(
        current, found_lungs, on_series=lambda number: on_progress("Reading the volume", 0.1 if number else 0.05)
    )


def _sequence(study: CurrentStudy, earlier: EarlierStudies) -> list[StudyOnGrid]:
    """All studies on the grid of the current one, oldest first; see `StudyOnGrid.valid`."""
    chest = study.chest
    now = StudyOnGrid(
        volume_hu=chest.lps.volume_hu, lung_mask=chest.lung_mask, valid=np.ones(chest.lung_mask.shape, np.bool_)
    )
    before = [
        StudyOnGrid(volume_hu=prior.aligned.volume_hu, lung_mask=prior.aligned.lung_mask, valid=prior.aligned.valid)
        for prior in reversed(earlier.usable)
    ]
    return [*before, now]


def _found(engine: Engine, detection: Detection, study: CurrentStudy) -> FoundLesions:
    """Lesions of the current study."""
    threshold, smallest_ml = engine.thresholds.lesion_probability, engine.thresholds.smallest_lesion_ml
    lps, lung_mask = study.chest.lps, study.chest.lung_mask
    maps = lesion_maps(detection, detection.studies[-1], lung_mask, lps.grid, threshold=threshold)
    return find_lesions(maps, lps.volume_hu, lung_mask, lps.grid.voxel_volume_ml, smallest_ml=smallest_ml)


def _compared(
    engine: Engine, detection: Detection, study: CurrentStudy, earlier: EarlierStudies, *, found: FoundLesions
) -> tuple[Comparison, tuple[Burden | None, ...]]:
    """The lesions against those of the newest earlier study, and the burden of every earlier one.

    Both are as the earlier study's own run reported them, or as this run finds them.
    """
    if not earlier.usable:
        return _named(without_prior(found, _origin(study)), found, study), ()
    comparison, burden = _compared_with_newest(engine, detection, study, earlier.usable[0], found=found)
    older = tuple(
        _burden(engine, detection, older, place=place, grid=study.chest.lps.grid)
        for place, older in enumerate(earlier.usable[1:], start=1)
    )
    return comparison, (burden, *older)


def _compared_with_newest(
    engine: Engine, detection: Detection, study: CurrentStudy, newest: UsablePrior, *, found: FoundLesions
) -> tuple[Comparison, Burden | None]:
    prior, burden = _newest_prior(engine, detection, newest, study.chest.lps.grid)
    prior = replace(prior, labels=np.where(study.chest.imaged, prior.labels, np.uint16(0)))
    comparison = compare_lesions(found, prior, study.chest, _origin(study))
    return _named(comparison, found, study, prior=prior.lesions), burden


def _named(
    comparison: Comparison, found: FoundLesions, study: CurrentStudy, *, prior: Sequence[PriorLesion] = ()
) -> Comparison:
    if study.reported is None:
        return comparison
    return keep_names(comparison, found, study.reported, grid=study.chest.lps.grid, prior=prior)


def _origin(study: CurrentStudy) -> str:
    return lesion_origin(study.files.study_instance_uid, study.choice.series_instance_uid)


def _newest_prior(
    engine: Engine, detection: Detection, newest: UsablePrior, grid: Grid
) -> tuple[PriorLesions, Burden | None]:
    known = newest.study.known
    if known is not None:
        return known_prior_lesions(known, newest.aligned, grid), known_burden(known)
    prior = _found_in_prior(engine, detection, newest, place=0, grid=grid)
    return prior, found_burden(prior, newest.lung_volume_ml, shown_share=newest.shown_share)


def _burden(engine: Engine, detection: Detection, prior: UsablePrior, *, place: int, grid: Grid) -> Burden | None:
    if prior.study.known is not None:
        return known_burden(prior.study.known)
    found = _found_in_prior(engine, detection, prior, place=place, grid=grid)
    return found_burden(found, prior.lung_volume_ml, shown_share=prior.shown_share)


def _found_in_prior(
    engine: Engine, detection: Detection, prior: UsablePrior, *, place: int, grid: Grid
) -> PriorLesions:
    """Lesions of an earlier study, 0 being the newest, on the grid of the current one."""
    threshold, smallest_ml = engine.thresholds.lesion_probability, engine.thresholds.smallest_lesion_ml
    aligned = prior.aligned
    maps = lesion_maps(detection, detection.studies[-2 - place], aligned.lung_mask, grid, threshold=threshold)
    smallest_here_ml = smallest_ml / aligned.volume_change.factor
    found = find_lesions(maps, aligned.volume_hu, aligned.lung_mask, grid.voxel_volume_ml, smallest_ml=smallest_here_ml)
    return found_prior_lesions(found, prior, grid)


def _analysis(
    engine: Engine,
    detection: Detection,
    study: CurrentStudy,
    earlier: EarlierStudies,
    *,
    result: tuple[FoundLesions, Comparison, tuple[Burden | None, ...]],
) -> Analysis:
    """Everything on the grid of acquisition, with the findings."""
    found, comparison, burdens = result
    newest = detection.studies[-1]
    measured = Measured(
        study=study,
        lung_mask=source_from_lps(study.chest.lung_mask, study.chest.lps),
        lesion_labels=source_from_lps(found.labels, study.chest.lps),
        comparison=comparison,
        lesion_scores=lesion_scores(found, study.chest.lps.grid, detection, newest),
        slice_logits=newest.slice_logits[slices_with_lung(study.chest.lung_mask, study.chest.lps.grid, detection.grid)],
        slice_scores=slice_scores(detection, newest, study.chest.lps),
        earlier=earlier,
        burdens=burdens,
    )
    return Analysis(
        findings=build_findings(measured, engine),
        volume=study.volume,
        lung_mask=measured.lung_mask,
        lesion_labels=measured.lesion_labels,
    )
