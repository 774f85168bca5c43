"""Real chests with synthetic lesions set into their lungs, as training cases."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from pipeline.model_input import InputContract, averaged_slabs, resampled_in_plane, slices_per_slab
from pipeline.phantom.axes import Axes
from pipeline.phantom.kinetics import Course
from pipeline.phantom.lesions import LesionBody, lay_lesions
from pipeline.phantom.spread import build_site, draw_lesions
from pipeline.study import Float32Array, Int16Array, UInt8Array
from pipeline.training.cases import Case, CaseStudy, lung_window, save_case
from pipeline.training.phantom_cases import COURSE_SHARES, COURSES, draw_days, save_lung_slices
from pipeline.training.real_lungs import RealStudy

TISSUE_BLUR_MM = 1.5
"""Lesions are mixed into the blurred lung, so that the noise of the scan stays on top of them."""


WHOLE_CHEST_MM = 100.0
"""Severe disease set into less would leave no lung."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chest:
    """One real patient on the model grid."""

    name: str
    volumes_hu: tuple[Int16Array, ...]
    """One per series: the same chest, another kernel."""
    lungs: UInt8Array
    axes: Axes
    spacing_mm: tuple[float, float, float]


def save_real_cases(studies: Sequence[RealStudy], folder: Path, paintings: int, *, contract: InputContract) -> None:
    """For each patient `paintings` courses of a disease per series, and the whole slices for the lung network."""
    by_patient: dict[tuple[str, tuple[int, ...]], list[RealStudy]] = defaultdict(list)
    for study in studies:
        by_patient[(study.name.rsplit("-", 1)[0], study.volume_hu.shape)].append(study)
        lung_folder = folder / study.name
        lung_folder.mkdir(parents=True, exist_ok=True)
        save_lung_slices(lung_folder / "lungs.npz", study.volume_hu, study.lung_mask, study.spacing_mm[1:])
    for number, series in enumerate(by_patient.values()):
        chest = _chest(series, contract)
        for painting in range(paintings * len(series)):
            rng = np.random.default_rng([number, painting, 99])
            case = paint_case(chest, f"{chest.name}-painted-{painting}", rng)
            save_case(folder / case.name, case)


def paint_case(chest: _Chest, name: str, rng: np.random.Generator) -> Case:
    """One course of the disease in a real chest."""
    course = COURSES[rng.choice(len(COURSES), p=COURSE_SHARES)]
    if course is Course.SEVERE and len(chest.axes.z_mm) * chest.spacing_mm[0] < WHOLE_CHEST_MM:
        course = Course.ADVANCED
    lesions = draw_lesions(build_site(chest.axes, chest.lungs > 0), course, rng)
    studies = tuple(
        paint_study(chest, chest.volumes_hu[rng.integers(len(chest.volumes_hu))], lesions, day=day)
        for day in draw_days(rng)
    )
    return Case(
        name=name,
        source="real",
        diseased=course is not Course.HEALTHY,
        slice_spacing_mm=chest.spacing_mm[0],
        pixel_mm=chest.spacing_mm[1],
        studies=studies,
    )


def paint_study(chest: _Chest, volume_hu: Int16Array, lesions: tuple[LesionBody, ...], *, day: float) -> CaseStudy:
    """The lesions of one day, inside the lungs only."""
    tissue = _blurred(volume_hu, chest.spacing_mm)
    layer = lay_lesions(tissue.copy(), chest.axes, lesions, day=day)
    inside = chest.lungs > 0
    painted = volume_hu + np.where(inside, layer.parenchyma_hu - tissue, 0.0)
    truth = np.stack([chest.lungs, np.where(inside, layer.labels, 0), np.where(inside, layer.kind, 0)])
    painted_hu = np.clip(np.rint(painted), -1024, 3071).astype(np.int16)
    return CaseStudy(day=day, volume_hu=painted_hu, truth=truth.astype(np.uint8))


def _blurred(volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> Float32Array:
    sigma = (0.0, *(TISSUE_BLUR_MM / mm for mm in spacing_mm[1:]))
    return np.asarray(ndimage.gaussian_filter(volume_hu.astype(np.float32), sigma))


def _chest(series: Sequence[RealStudy], contract: InputContract) -> _Chest:
    """A patient's series brought onto the model grid and cut to the lungs."""
    first = series[0]
    lungs = _on_grid(first, contract, first.lung_mask == 1) + 2 * _on_grid(first, contract, first.lung_mask == 2)
    window = lung_window(lungs > 0, round(contract.margin_mm / contract.pixel_mm))
    volumes = [np.rint(_gridded(study, contract, study.volume_hu)).astype(np.int16)[window] for study in series]
    spacing = (
        first.spacing_mm[0] * slices_per_slab(first.spacing_mm[0], contract),
        contract.pixel_mm,
        contract.pixel_mm,
    )
    z_mm, y_mm, x_mm = (
        (np.arange(count) * mm).astype(np.float32) for count, mm in zip(volumes[0].shape, spacing, strict=True)
    )
    return _Chest(
        name=first.name,
        volumes_hu=tuple(volumes),
        lungs=lungs[window],
        axes=Axes(z_mm=z_mm, y_mm=y_mm, x_mm=x_mm),
        spacing_mm=spacing,
    )


def _on_grid(study: RealStudy, contract: InputContract, mask: np.ndarray) -> UInt8Array:
    return (_gridded(study, contract, mask.astype(np.int16)) > 0.5).astype(np.uint8)


def _gridded(study: RealStudy, contract: InputContract, array: Int16Array) -> Float32Array:
    slabs = averaged_slabs(torch.from_numpy(array).float(), slices_per_slab(study.spacing_mm[0], contract))
    return np.asarray(resampled_in_plane(slabs, study.spacing_mm[1:], contract).numpy())
