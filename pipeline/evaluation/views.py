"""Ways to show a detector the studies of a patient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch.nn import functional

from pipeline.study import Int16Array, UInt8Array
from pipeline.training.cases import Case, CaseStudy

MOST_STUDIES = 4
"""Of one patient: the newest with up to three earlier ones, as Space-Time-Net is trained."""


class Way(StrEnum):
    """What else is in view when a study is read."""

    ALONE = "alone"
    """Nothing."""
    ALL_DATES = "all-dates"
    """The patient's earlier studies."""
    SHUFFLED_IN_TIME = "shuffled-in-time"
    """Control: the patient's earlier studies in wrong order, with wrong gaps."""
    SHUFFLED_IN_PLACE = "shuffled-in-place"
    """Control: the patient's earlier studies, the slices of each in random order."""
    OTHER_PATIENT = "other-patient"
    """Control: earlier studies of somebody else, resized to the patient's grid."""


CONTROLS = (Way.SHUFFLED_IN_TIME, Way.SHUFFLED_IN_PLACE, Way.OTHER_PATIENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One reading of one patient."""

    way: Way
    studies_back: int = 0
    """Which study is read: 0 is the newest."""

    @property
    def file_name(self) -> str:
        """Of the kept reading."""
        return f"{self.way}-{self.studies_back}.npz"


NEWEST_ALONE = View(way=Way.ALONE)


STAGE_ONE = "I"
STAGE_TWO = "II"

Views: TypeAlias = Callable[[int], tuple[View, ...]]
"""The readings that a stage rests on of a patient with so many studies; the first is that of the newest study."""


def paper_stages(*, looks_back: bool) -> dict[str, Views]:
    """One date per patient; all dates."""
    return {STAGE_ONE: _newest_alone, STAGE_TWO: _all_dates_at_once if looks_back else _every_study}


def control_stages() -> dict[str, Views]:
    """Stage II with earlier studies that cannot help."""
    return {f"{STAGE_TWO}, {way}": partial(_newest_with, way) for way in CONTROLS}


def _newest_alone(studies: int) -> tuple[View, ...]:
    del studies
    return (NEWEST_ALONE,)


def _every_study(studies: int) -> tuple[View, ...]:
    """Each for itself: the patient is as ill as the worst of them looks."""
    return tuple(View(way=Way.ALONE, studies_back=back) for back in range(min(studies, MOST_STUDIES)))


def _all_dates_at_once(studies: int) -> tuple[View, ...]:
    return _newest_with(Way.ALL_DATES, studies)


def _newest_with(way: Way, studies: int) -> tuple[View, ...]:
    """Alone where there is nothing else to show."""
    return (View(way=way),) if studies > 1 else (NEWEST_ALONE,)


def shown_studies(case: Case, view: View, stranger: Case, *, seed: int) -> list[CaseStudy]:
    """The studies that a detector gets, the one that is read last.

    Args:
        case: The patient.
        view: How the patient is read.
        stranger: Whose studies stand in for the patient's in `Way.OTHER_PATIENT`.
        seed: Of what is shuffled; the same for the same patient every time.
    """
    studies = case.studies[: len(case.studies) - view.studies_back]
    *earlier, newest = studies[-MOST_STUDIES:]
    generator = np.random.default_rng(seed)
    match view.way:
        case Way.ALONE:
            return [newest]
        case Way.ALL_DATES:
            return [*earlier, newest]
        case Way.SHUFFLED_IN_TIME:
            return [*_mistimed(earlier, newest.day, generator), newest]
        case Way.SHUFFLED_IN_PLACE:
            return [*(_with_shuffled_slices(study, generator) for study in earlier), newest]
        case Way.OTHER_PATIENT:
            return [*_stand_ins(earlier, newest, stranger), newest]


def _mistimed(earlier: Sequence[CaseStudy], newest_day: float, generator: np.random.Generator) -> list[CaseStudy]:
    """In reverse order, on days drawn anew between one day and two months before the newest study."""
    days = np.sort(newest_day - generator.uniform(1.0, 60.0, size=len(earlier)))
    return [replace(study, day=float(day)) for study, day in zip(reversed(earlier), days, strict=True)]


def _with_shuffled_slices(study: CaseStudy, generator: np.random.Generator) -> CaseStudy:
    order = generator.permutation(len(study.volume_hu))
    return replace(study, volume_hu=study.volume_hu[order], truth=study.truth[:, order])


def _stand_ins(earlier: Sequence[CaseStudy], newest: CaseStudy, stranger: Case) -> list[CaseStudy]:
    """Studies of the stranger on the days of the patient's; grids end at the lungs, so that these come to lie on these."""
    shape = newest.volume_hu.shape
    return [
        _resized(stranger.studies[index % len(stranger.studies)], (shape[0], shape[1], shape[2]), study.day)
        for index, study in enumerate(earlier)
    ]


def _resized(study: CaseStudy, shape: tuple[int, int, int], day: float) -> CaseStudy:
    volume = torch.from_numpy(np.asarray(study.volume_hu, np.float32))[None, None]
    truth = torch.from_numpy(np.asarray(study.truth, np.float32))[None]
    volume_hu: Int16Array = functional.interpolate(volume, size=shape, mode="trilinear")[0, 0].numpy().astype(np.int16)
    labels: UInt8Array = functional.interpolate(truth, size=shape, mode="nearest")[0].numpy().astype(np.uint8)
    return CaseStudy(day=day, volume_hu=volume_hu, truth=labels)
