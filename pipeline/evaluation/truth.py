"""What a case really shows."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.evaluation.lesion_boxes import BoxStack
from pipeline.study import BoolArray, UInt8Array
from pipeline.training.cases import Case, CaseStudy

SMALLEST_LESION_ML = 0.1
"""Smaller lesions are neither asked for nor held against who claims them."""

LEAST_DICE_ML = 0.5

UNKNOWN_KIND = 255
"""Of a voxel about which the truth says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrueLesion:
    """One lesion of one study."""

    boxes: BoxStack
    volume_ml: float

    @property
    def counts(self) -> bool:
        """It is large enough to be asked for."""
        return self.volume_ml >= SMALLEST_LESION_ML


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyTruth:
    """One study, within the part of its lungs and lesions about which the truth is known."""

    lesions: tuple[TrueLesion, ...]
    lesion_ml: float
    involvement_percent: float
    is_known: bool
    """Something of it is; of any other study every answer could be right."""

    @property
    def diseased(self) -> bool:
        """There is enough lesion to be found."""
        return self.lesion_ml >= SMALLEST_LESION_ML

    @property
    def has_dice(self) -> bool:
        """There is enough lesion for a Dice worth averaging."""
        return self.lesion_ml >= LEAST_DICE_ML


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseTruth:
    """All studies of a patient, oldest first."""

    name: str
    studies: tuple[StudyTruth, ...]
    diseased: bool | None
    """By the newest study; None where neither answer would be wrong: nothing is known of it, or it is free of lesions but
    the patient had some."""


def case_truth(case: Case) -> CaseTruth:
    """The truth of every study of a case."""
    voxel_ml = case.slice_spacing_mm * case.pixel_mm**2 / 1000.0
    studies = tuple(study_truth(study, voxel_ml) for study in case.studies)
    once = case.diseased or any(study.lesion_ml > 0.0 for study in studies)
    healthy = studies[-1].is_known and not once
    diseased = True if studies[-1].diseased else (False if healthy else None)
    return CaseTruth(name=case.name, studies=studies, diseased=diseased)


def study_truth(study: CaseStudy, voxel_ml: float) -> StudyTruth:
    """Lesions by their number, each with its box on every slice that shows it, also beside the lungs that were found."""
    known = known_region(study)
    numbers = np.where(known, study.truth[1], 0)
    lesions = [
        TrueLesion(boxes=_stack(numbers, number, place), volume_ml=_voxels(numbers, number, place) * voxel_ml)
        for number, place in enumerate(ndimage.find_objects(numbers), start=1)
        if place
    ]
    voxels, known_voxels = int(np.count_nonzero(numbers)), int(known.sum())
    return StudyTruth(
        lesions=tuple(lesions),
        lesion_ml=voxels * voxel_ml,
        involvement_percent=100.0 * voxels / max(1, known_voxels),
        is_known=known_voxels > 0,
    )


def known_lung(study: CaseStudy) -> BoolArray:
    """(Z, Y, X): lung as found whose truth is known: where answers count."""
    known: BoolArray = study.lungs & (study.truth[2] != UNKNOWN_KIND)
    return known


def known_region(study: CaseStudy) -> BoolArray:
    """(Z, Y, X): the same with the lesions that were drawn beside the lungs: what there is to find.

    Nothing where nothing is known of the lungs: there no answer counts.
    """
    lungs = known_lung(study)
    known: BoolArray = lungs.any() & study.lungs_with_lesions & (study.truth[2] != UNKNOWN_KIND)
    return known


def _voxels(numbers: UInt8Array, number: int, place: tuple[slice, ...]) -> int:
    return int(np.count_nonzero(numbers[place] == number))


def _stack(numbers: UInt8Array, number: int, place: tuple[slice, ...]) -> BoxStack:
    """A box per slice around everything of this number there, as the detectors are trained on."""
    rows: list[tuple[float, ...]] = []
    slices: list[int] = []
    for offset, plane in enumerate(numbers[place] == number):
        y, x = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
        if len(y):
            top, left = place[1].start, place[2].start
            rows.append((left + x[0], top + y[0], left + x[-1] + 1, top + y[-1] + 1))
            slices.append(place[0].start + offset)
    return BoxStack(slices=np.array(slices, np.int32), boxes=np.array(rows, np.float32))
