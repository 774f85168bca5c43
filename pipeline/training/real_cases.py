"""Real chests with synthetic lesions set into their lungs, as training cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.model_input import InputContract
from pipeline.phantom.irregular import LungDisease, draw_grain
from pipeline.phantom.kinetics import Course
from pipeline.phantom.look_alikes import draw_bodies
from pipeline.phantom.paint import (
    NOT_KNOWN,
    ScannedLungs,
    paint_day,
    room_for_lesions,
    take_apart,
)
from pipeline.phantom.spread import draw_lesions
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray, Int16Array, UInt8Array
from pipeline.training import augment
from pipeline.training.cases import Case, CaseStudy, lung_window, save_case
from pipeline.training.chest_shapes import draw_shape, shaped
from pipeline.training.phantom_cases import draw_days, draw_training_kinds, save_lung_slices
from pipeline.training.real_lungs import RealStudy
from pipeline.training.scan_changes import (
    DENSEST_LUNG_HU,
    EMPTIEST_LUNG_HU,
    breathed,
    misplaced,
    with_contrast,
    with_dependent_band,
)
from pipeline.warp import dice

WHOLE_CHEST_MM = 100.0
"""Severe disease set into less would leave no lung; and less is painted less often."""

BLOCK_SHARE = 1.0 / 3.0
"""Paintings of a block of slices against those of a whole chest."""

SAME_LUNGS_DICE = 0.95
"""From which the lungs of two series of a patient are those of one scan; in two kernels they hardly differ."""

HEALTHY_SHARE = 0.36
"""Of the paintings: vessels, fissures, domes and dependent lung of real patients, to be left alone."""

COURSES = (Course.EARLY, Course.ADVANCED, Course.SEVERE, Course.ABSORPTION)
COURSE_SHARES = (0.27, 0.43, 0.15, 0.15)
"""Of the others."""

GOLDEN_RATIO = 0.6180339887
"""Its multiples modulo 1 fill 0..1 evenly, so that any number of paintings has the right share of healthy ones."""

EARLIEST_DAYS = 8.0
"""By how much patients may be seen before those of the phantoms: lesions grow and stand in most studies."""

LOOK_ALIKE_SHARE = 0.6
BAND_SHARE = 0.3
CONTRAST_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealChest:
    """One real patient, as scanned; arrays (Z, Y, X), cut to the lungs."""

    name: str
    volumes_hu: tuple[Int16Array, ...]
    """One per series: the same chest, another kernel."""
    lung_mask: UInt8Array
    not_known: BoolArray
    """True where nobody knows whether the disease is there."""
    spacing_mm: tuple[float, float, float]

    @property
    def is_whole(self) -> bool:
        """A chest rather than a block of slices."""
        return len(self.lung_mask) * self.spacing_mm[0] >= WHOLE_CHEST_MM


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Patient:
    """What one painting makes of a chest."""

    scans: tuple[ScannedLungs, ...]
    """One per study."""
    not_known: BoolArray
    spacing_mm: tuple[float, float, float]
    disease: LungDisease
    air_hu: float
    contrast_hu: float


def save_real_cases(studies: Sequence[RealStudy], folder: Path, paintings: int, *, contract: InputContract) -> None:
    """For each series of a whole chest `paintings` courses of a disease, of a block a third; whole slices for the lung network."""
    for study in studies:
        lung_folder = folder / study.name
        lung_folder.mkdir(parents=True, exist_ok=True)
        save_lung_slices(lung_folder / "lungs.npz", study.volume_hu, study.lung_mask, study.spacing_mm)
    for number, series in enumerate(_by_scan(studies)):
        chest = real_chest(series, contract)
        share = 1.0 if chest.is_whole else BLOCK_SHARE
        for painting in range(max(1, round(paintings * len(series) * share))):
            case = paint_case(chest, painting, rng=np.random.default_rng([number, painting, 99]), contract=contract)
            save_case(folder / case.name, case)


def _by_scan(studies: Sequence[RealStudy]) -> list[list[RealStudy]]:
    """The series of each scan of each patient: what the same grid shows in other kernels."""
    scans: list[list[RealStudy]] = []
    for study in studies:
        same = (scan for scan in scans if _is_same_scan(scan[0], study))
        scan = next(same, None)
        if scan is None:
            scans.append([study])
        else:
            scan.append(study)
    return scans


def _is_same_scan(one: RealStudy, other: RealStudy) -> bool:
    """A grid of the same size on another day has its lungs elsewhere."""
    names = {study.name.rsplit("-", 1)[0] for study in (one, other)}
    shapes = {study.volume_hu.shape for study in (one, other)}
    if len(names) > 1 or len(shapes) > 1 or not np.allclose(one.spacing_mm, other.spacing_mm, rtol=1e-3):
        return False
    return dice(one.lung_mask > 0, other.lung_mask > 0) >= SAME_LUNGS_DICE


def real_chest(series: Sequence[RealStudy], contract: InputContract) -> RealChest:
    """The series of one scan, all on one grid, cut to the lungs and what bending may bring in."""
    first = series[0]
    window = lung_window(first.lung_mask > 0, round(2.0 * contract.margin_mm / first.spacing_mm[1]))
    not_known = np.zeros(first.volume_hu.shape, bool)
    for study in series:
        if study.not_known is not None:
            not_known |= study.not_known
    return RealChest(
        name=first.name,
        volumes_hu=tuple(study.volume_hu[window] for study in series),
        lung_mask=first.lung_mask[window],
        not_known=not_known[window],
        spacing_mm=first.spacing_mm,
    )


def paint_case(chest: RealChest, painting: int, *, rng: np.random.Generator, contract: InputContract) -> Case:
    """One course of the disease in a chest that is made another's; every so many are healthy."""
    healthy = (painting * GOLDEN_RATIO + 0.2) % 1.0 < HEALTHY_SHARE
    course = Course.HEALTHY if healthy else COURSES[rng.choice(len(COURSES), p=COURSE_SHARES)]
    if course is Course.SEVERE and not chest.is_whole:
        course = Course.ADVANCED
    ahead = rng.uniform(0.0, EARLIEST_DAYS) + (rng.uniform(0.0, EARLIEST_DAYS) if course is Course.ABSORPTION else 0.0)
    days = [day - ahead for day in draw_days(rng)]
    patient = _patient(chest, course, len(days), rng, contract)
    studies = [_study(patient, scan, day, rng) for scan, day in zip(patient.scans, days, strict=True)]
    earlier = [misplaced(study, patient.spacing_mm, rng) for study in studies[:-1]]
    return Case(
        name=f"{chest.name}-painted-{painting}",
        source="real",
        diseased=course is not Course.HEALTHY,
        slice_spacing_mm=patient.spacing_mm[0],
        pixel_mm=contract.pixel_mm,
        studies=tuple(_rescanned(study, rng) for study in [*earlier, studies[-1]]),
    )


def _patient(
    chest: RealChest, course: Course, studies: int, rng: np.random.Generator, contract: InputContract
) -> _Patient:
    """The chest in another shape, each study from one of its series, with a disease and look-alikes drawn for it."""
    shape = draw_shape(rng, contract, native_mm=chest.spacing_mm[0], slices=len(chest.lung_mask))
    chosen = rng.integers(len(chest.volumes_hu), size=studies)
    used, order = np.unique(chosen, return_inverse=True)
    sides = (LEFT_LUNG, RIGHT_LUNG) if shape.mirrored else (RIGHT_LUNG, LEFT_LUNG)
    masks = [*(chest.lung_mask == side for side in sides), chest.not_known]
    volumes = [chest.volumes_hu[index] for index in used]
    right, left, not_known, *volumes_hu = shaped([*masks, *volumes], chest.spacing_mm, shape)
    lungs = np.where(right > 0.5, RIGHT_LUNG, np.where(left > 0.5, LEFT_LUNG, 0)).astype(np.uint8)
    window = lung_window(lungs > 0, round(contract.margin_mm / contract.pixel_mm))
    spacing = (shape.slice_spacing_mm, contract.pixel_mm, contract.pixel_mm)
    scans = [take_apart(volume_hu[window], lungs[window], spacing) for volume_hu in volumes_hu]
    return _Patient(
        scans=tuple(scans[index] for index in order),
        not_known=not_known[window] > 0.1,
        spacing_mm=spacing,
        disease=_disease(scans[0], course, rng),
        air_hu=float(rng.uniform(EMPTIEST_LUNG_HU, DENSEST_LUNG_HU)),
        contrast_hu=float(rng.uniform(60.0, 260.0)) if rng.random() < CONTRAST_SHARE else 0.0,
    )


def _disease(lungs: ScannedLungs, course: Course, rng: np.random.Generator) -> LungDisease:
    """Lesions of a course, and what may be taken for them."""
    site = room_for_lesions(lungs)
    kinds = draw_training_kinds(rng) if rng.random() < LOOK_ALIKE_SHARE else frozenset()
    return LungDisease(
        lesions=draw_lesions(site, course, rng), look_alikes=draw_bodies(site, kinds, rng), grain=draw_grain(rng)
    )


def _study(patient: _Patient, scan: ScannedLungs, day: float, rng: np.random.Generator) -> CaseStudy:
    """One scan of the patient with a breath of its own."""
    scan = breathed(scan, patient.air_hu + rng.normal(0.0, 20.0), rng)
    if rng.random() < BAND_SHARE:
        scan = with_dependent_band(scan, rng)
    painted = paint_day(scan, patient.disease, day=day)
    volume_hu = painted.volume_hu.astype(np.float32)
    if patient.contrast_hu and rng.random() < 0.6:
        volume_hu = with_contrast(volume_hu, scan.lung_mask > 0, patient.contrast_hu)
    kind = np.where(patient.not_known, NOT_KNOWN, painted.lesion_kind)
    number = np.where(kind == NOT_KNOWN, 0, painted.lesion_labels)
    return CaseStudy(
        day=day,
        volume_hu=np.rint(volume_hu).astype(np.int16),
        truth=np.stack([scan.lung_mask, number, kind]).astype(np.uint8),
    )


def _rescanned(study: CaseStudy, rng: np.random.Generator) -> CaseStudy:
    """Another kernel and noise of its own, so that two studies share neither."""
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 31)))
    volume = torch.from_numpy(study.volume_hu.astype(np.float32))
    noise = augment.scanner_noise(generator, (volume.shape[0], volume.shape[1], volume.shape[2]))
    volume = volume + float(rng.uniform(3.0, 22.0)) * noise
    volume_hu = volume.clamp(-1024, 3071).round().to(torch.int16).numpy()
    return CaseStudy(day=study.day, volume_hu=volume_hu, truth=study.truth)
