"""Phantom patients as training and test cases."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.lungs_net import NEIGHBOUR_MM, lung_net_input, lung_net_labels, neighbour_numbers
from pipeline.model_input import InputContract
from pipeline.phantom import Course, LookAlike, PhantomPatient, PhantomStudy, build_patient, render_study
from pipeline.phantom.look_alikes import draw_kinds
from pipeline.study import Int16Array, UInt8Array
from pipeline.training.cases import Case, CaseStudy, load_case, lung_window, rendering_of, save_case
from pipeline.training.phantom_scans import draw_posture, draw_scan, misplaced, model_spacing

RENDERING = 2
"""Raise it when the same seed makes another case, or other slices of it: what lies in folders is then rendered anew."""

COURSES = (Course.HEALTHY, Course.EARLY, Course.ADVANCED, Course.SEVERE, Course.ABSORPTION)
COURSE_SHARES = (0.30, 0.24, 0.26, 0.08, 0.12)

SLICE_SPACINGS_MM = (1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 5.0, 6.0, 8.0)
TEST_SPACINGS_MM = (5.0, 6.5, 8.0)

LUNG_SLICES_PER_PATIENT = 14
"""Kept whole for the lung network."""

TRAINING_MIMICS = {LookAlike.OLD_GROUND_GLASS: 0.30, LookAlike.OLD_CONSOLIDATION: 0.15}
"""Share of the training patients that are given these besides what they have."""

LEAST_DISEASE_ML = 1.0
"""In the newest study of a diseased test patient; less is hardly seen on slices of 5 to 8 mm."""

_TRIES = 40


class PhantomCaseError(PipelineError):
    """A phantom patient could not be made as was asked; take another seed."""


class Status(StrEnum):
    """What a test patient is."""

    DISEASED = "diseased"
    FREE = "free"
    """Healthy, or with look-alikes only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A patient and the days of the studies."""

    patient: PhantomPatient
    days: list[float]
    slice_spacing_mm: float


def is_rendered(folder: Path) -> bool:
    """Whether a folder holds a whole phantom as this program draws it; one of another `RENDERING` is not taken for it."""
    return rendering_of(folder) == RENDERING


def is_rendered_as(folder: Path, status: Status) -> bool:
    """Whether a folder holds a whole test phantom of this status: of what number a patient is, another test set may say else."""
    return is_rendered(folder) and load_case(folder).diseased is (status is Status.DISEASED)


def render_phantom_case(seed: int, folder: Path, contract: InputContract) -> None:
    """Renders one patient into `folder` (the case) and `folder/lungs.npz` (whole slices), unless it is there."""
    if is_rendered(folder):
        return
    rng = np.random.default_rng([seed, 77])
    course = COURSES[rng.choice(len(COURSES), p=COURSE_SHARES)]
    plan = _Plan(
        patient=build_patient(seed, course=course, look_alikes=draw_training_kinds(rng)),
        days=draw_days(rng),
        slice_spacing_mm=float(rng.choice(SLICE_SPACINGS_MM)),
    )
    studies = _render(plan, contract, rng)
    folder.mkdir(parents=True, exist_ok=True)
    _save_lung_slices(folder / "lungs.npz", studies[-1], rng)
    save_case(folder, _case(plan, studies, contract))


def render_test_case(seed: int, folder: Path, contract: InputContract, *, status: Status) -> None:
    """Renders one patient of a test set into `folder`, unless it is there in this status.

    Two studies, of every fifth patient three; a diseased patient has at least LEAST_DISEASE_ML of lesion in the newest.
    """
    if is_rendered_as(folder, status):
        return
    rng = np.random.default_rng([seed, 78])
    for _ in range(_TRIES):
        plan = _diseased_plan(seed, rng) if status is Status.DISEASED else _free_plan(seed, rng)
        studies = _render(plan, contract, rng)
        if status is Status.FREE or sum(lesion.volume_ml for lesion in studies[-1].lesions) >= LEAST_DISEASE_ML:
            save_case(folder, _case(plan, studies, contract))
            return
    reason = f"no study of phantom patient {seed} shows {LEAST_DISEASE_ML} ml of disease"
    raise PhantomCaseError(reason)


def draw_training_kinds(rng: np.random.Generator) -> frozenset[LookAlike]:
    """What may be taken for the disease in a patient that is trained on.

    What only time tells from the disease is shown more often than it occurs, else time is not learned.
    """
    kinds = set(draw_kinds(rng))
    drawn = rng.random(len(TRAINING_MIMICS))
    kinds |= {kind for (kind, share), number in zip(TRAINING_MIMICS.items(), drawn, strict=True) if number < share}
    return frozenset(kinds)


def _free_plan(seed: int, rng: np.random.Generator) -> _Plan:
    days = draw_days(rng, count=_test_studies(rng))
    patient = build_patient(seed, course=Course.HEALTHY)
    return _Plan(patient=patient, days=days, slice_spacing_mm=float(rng.choice(TEST_SPACINGS_MM)))


def _diseased_plan(seed: int, rng: np.random.Generator) -> _Plan:
    """Days on the last of which the patient is ill beyond doubt."""
    ill = np.array(COURSE_SHARES[1:]) / sum(COURSE_SHARES[1:])
    patient = build_patient(seed, course=COURSES[1:][rng.choice(len(ill), p=ill)])
    count = _test_studies(rng)
    days = draw_days(rng, count=count)
    for _ in range(_TRIES):
        if _disease_ml(patient, days[-1]) >= 2.0 * LEAST_DISEASE_ML:
            break
        days = draw_days(rng, count=count)
    return _Plan(patient=patient, days=days, slice_spacing_mm=float(rng.choice(TEST_SPACINGS_MM)))


def _test_studies(rng: np.random.Generator) -> int:
    return 3 if rng.random() < 0.2 else 2


def _disease_ml(patient: PhantomPatient, day: float) -> float:
    return sum(body.volume_ml(day) for body in patient.lesions)


def draw_days(rng: np.random.Generator, *, count: int | None = None) -> list[float]:
    """Two to four studies, one to three weeks of illness; the first may be from before it."""
    drawn = int(rng.integers(2, 5))
    count = drawn if count is None else count
    first = rng.uniform(-5.0, 9.0)
    gaps = rng.gamma(3.0, 1.8, size=count - 1) + 1.0
    return [float(day) for day in np.concatenate([[first], first + np.cumsum(gaps)])]


def _render(plan: _Plan, contract: InputContract, rng: np.random.Generator) -> list[PhantomStudy]:
    """All studies on the grid of the newest, oldest first."""
    spacing = model_spacing(plan.slice_spacing_mm, contract)
    newest = render_study(plan.patient, plan.days[-1], scan=draw_posture(rng, draw_scan(rng, spacing, contract)))
    earlier = [
        render_study(plan.patient, day, scan=misplaced(rng, draw_scan(rng, spacing, contract), newest))
        for day in plan.days[:-1]
    ]
    return [*earlier, newest]


def _case(plan: _Plan, studies: list[PhantomStudy], contract: InputContract) -> Case:
    patient, newest = plan.patient, studies[-1]
    window = lung_window(newest.lung_mask > 0, round(contract.margin_mm / contract.pixel_mm))
    return Case(
        name=f"phantom-{patient.seed}",
        source="phantom",
        diseased=patient.course is not Course.HEALTHY,
        slice_spacing_mm=newest.spacing_mm[0],
        pixel_mm=contract.pixel_mm,
        studies=tuple(_case_study(study, window) for study in studies),
        course=patient.course.value,
        look_alikes=tuple(sorted(kind.value for kind in patient.look_alike_kinds)),
        rendering=RENDERING,
    )


def _case_study(study: PhantomStudy, window: tuple[slice, slice, slice]) -> CaseStudy:
    truth = np.stack([study.lung_mask, np.minimum(study.lesion_labels, 255).astype(np.uint8), study.lesion_kind])
    return CaseStudy(
        day=study.day,
        volume_hu=np.ascontiguousarray(study.volume_hu[window]),
        truth=np.ascontiguousarray(truth[(slice(None), *window)]),
    )


def _save_lung_slices(path: Path, study: PhantomStudy, rng: np.random.Generator) -> None:
    """Some whole slices of a study on the lung network's grid."""
    slices = len(study.volume_hu)
    chosen = np.sort(rng.choice(slices, size=min(LUNG_SLICES_PER_PATIENT, slices), replace=False))
    save_lung_slices(path, study.volume_hu, study.lung_mask, study.spacing_mm, chosen=chosen)


def save_lung_slices(
    path: Path,
    volume_hu: Int16Array,
    lung_mask: UInt8Array,
    spacing_mm: tuple[float, float, float],
    *,
    chosen: NDArray[np.int64] | None = None,
) -> None:
    """Training slices of the lung network, each with its neighbours; of all slices, or of those that are chosen.

    `images` are float16 in 0..1 and `labels` uint8, both (n, 3, 256, 256): slice below, slice, slice above.
    """
    numbers = torch.arange(len(volume_hu)) if chosen is None else torch.from_numpy(chosen)
    below, above = neighbour_numbers(len(volume_hu), spacing_mm[0], NEIGHBOUR_MM)
    shown = torch.stack([below[numbers], numbers, above[numbers]], dim=1)
    needed, place = torch.unique(shown, return_inverse=True)
    images = lung_net_input(volume_hu[needed.numpy()], spacing_mm[1:]).squeeze(1).half()
    labels = lung_net_labels(torch.from_numpy(lung_mask[needed.numpy()]), spacing_mm[1:]).to(torch.uint8)
    np.savez(path, images=images[place].numpy(), labels=labels[place].numpy())
