"""Phantom patients as training cases."""

from pathlib import Path

import numpy as np
import torch

from pipeline.lungs_net import lung_net_input, lung_net_labels
from pipeline.model_input import InputContract
from pipeline.phantom import Course, Kernel, PhantomStudy, Scan, build_patient, render_study
from pipeline.study import Int16Array, UInt8Array
from pipeline.training.cases import DESCRIPTION, Case, CaseStudy, lung_window, save_case

COURSES = (Course.HEALTHY, Course.EARLY, Course.ADVANCED, Course.SEVERE, Course.ABSORPTION)
COURSE_SHARES = (0.25, 0.22, 0.28, 0.12, 0.13)

SLICE_SPACINGS_MM = (2.5, 3.0, 4.0, 5.0, 6.0, 8.0)

MATRIX = 256
"""With the contract's pixel size the phantom is rendered straight onto the model grid."""

LUNG_SLICES_PER_PATIENT = 14
"""Kept whole for the lung network."""


def render_phantom_case(seed: int, folder: Path, contract: InputContract) -> None:
    """Renders one patient into `folder` (the case) and `folder/lungs.npz` (whole slices), unless it is there."""
    if (folder / DESCRIPTION).is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 77])
    course = COURSES[rng.choice(len(COURSES), p=COURSE_SHARES)]
    patient = build_patient(seed, course=course)
    spacing = float(rng.choice(SLICE_SPACINGS_MM))
    days = draw_days(rng)
    studies = [render_study(patient, day, scan=_scan(rng, spacing, contract)) for day in days]
    _save_lung_slices(folder / "lungs.npz", studies[-1], rng)
    window = lung_window(studies[-1].lung_mask > 0, round(contract.margin_mm / contract.pixel_mm))
    case = Case(
        name=f"phantom-{seed}",
        source="phantom",
        diseased=course is not Course.HEALTHY,
        slice_spacing_mm=spacing,
        pixel_mm=contract.pixel_mm,
        studies=tuple(_case_study(study, window) for study in studies),
    )
    save_case(folder, case)


def draw_days(rng: np.random.Generator) -> list[float]:
    """Two to four studies, one to three weeks of illness."""
    count = int(rng.integers(2, 5))
    first = rng.uniform(0.0, 9.0)
    gaps = rng.gamma(3.0, 1.8, size=count - 1) + 1.0
    return [float(day) for day in np.concatenate([[first], first + np.cumsum(gaps)])]


def _scan(rng: np.random.Generator, spacing_mm: float, contract: InputContract) -> Scan:
    kernel = Kernel.LUNG if rng.random() < 0.5 else Kernel.SOFT
    noise = rng.uniform(8.0, 40.0) if kernel is Kernel.LUNG else rng.uniform(4.0, 18.0)
    return Scan(
        seed=int(rng.integers(1 << 30)),
        matrix=MATRIX,
        fov_mm=MATRIX * contract.pixel_mm,
        slice_spacing_mm=spacing_mm,
        slice_thickness_mm=float(rng.uniform(0.5, 1.2)) * spacing_mm,
        kernel=kernel,
        noise_hu=float(noise),
        contrast_hu=float(rng.uniform(100.0, 300.0)) if rng.random() < 0.3 else 0.0,
        offset_hu=float(rng.normal(0.0, 6.0)),
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
    save_lung_slices(path, study.volume_hu[chosen], study.lung_mask[chosen], study.spacing_mm[1:])


def save_lung_slices(path: Path, slices_hu: Int16Array, lung_mask: UInt8Array, spacing_mm: tuple[float, float]) -> None:
    """Training slices of the lung network: `images` float16 in 0..1 and `labels` uint8, both (n, 256, 256)."""
    images = lung_net_input(slices_hu, spacing_mm).squeeze(1).half().numpy()
    labels = lung_net_labels(torch.from_numpy(lung_mask), spacing_mm).to(torch.uint8).numpy()
    np.savez(path, images=images, labels=labels)
