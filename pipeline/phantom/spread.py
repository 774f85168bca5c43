"""Where in the lungs lesions and look-alikes lie, how many there are, and what they are made of."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.phantom.axes import Axes
from pipeline.phantom.kinetics import Course, Kinetics, draw_kinetics
from pipeline.phantom.lesions import LesionBody, LesionPlan, build_lesion
from pipeline.study import BoolArray, Float32Array, Float64Array

_COUNTS = {
    Course.HEALTHY: (0, 0),
    Course.EARLY: (1, 6),
    Course.ADVANCED: (6, 16),
    Course.SEVERE: (16, 26),
    Course.ABSORPTION: (5, 14),
}
_RADII_MM = {
    Course.HEALTHY: (0.0, 0.0),
    Course.EARLY: (6.0, 15.0),
    Course.ADVANCED: (9.0, 28.0),
    Course.SEVERE: (22.0, 46.0),
    Course.ABSORPTION: (9.0, 26.0),
}
_STATIC = Kinetics(
    onset_day=-np.inf,
    rise_days=1.0,
    consolidation_lag_days=0.0,
    consolidation_peak=1.0,
    resolution_day=np.inf,
    resolution_days=1.0,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LungSite:
    """The room for lesions: lungs on a coarse grid."""

    axes: Axes
    inside: BoolArray
    pleura_mm: Float32Array
    """Distance to the surface of the lung."""


def build_site(axes: Axes, inside: BoolArray) -> LungSite:
    """The room inside a lung mask."""
    pleura_mm = ndimage.distance_transform_edt(inside, sampling=tuple(axes.step_mm)).astype(np.float32)
    return LungSite(axes=axes, inside=inside, pleura_mm=pleura_mm)


def draw_lesions(site: LungSite, course: Course, rng: np.random.Generator) -> tuple[LesionBody, ...]:
    """Lesions of one patient, numbered from 1; mostly near the pleura, low and at the back."""
    low, high = _COUNTS[course]
    wanted = int(rng.integers(low, high + 1))
    radii_mm = np.sort(rng.uniform(*_RADII_MM[course], wanted))[::-1]
    overlap = 0.25 if course is Course.SEVERE else 0.75
    centres = _draw_centres(site, radii_mm, overlap, rng)
    plans = [
        _draw_plan(number, centre, radius, course, rng)
        for number, (centre, radius) in enumerate(zip(centres, radii_mm, strict=False), start=1)
    ]
    return tuple(build_lesion(plan, rng) for plan in plans)


def draw_look_alikes(site: LungSite, rng: np.random.Generator) -> tuple[LesionBody, ...]:
    """Nodules and scars that never change, in about half of the patients."""
    wanted = int(rng.choice([0, 0, 1, 2, 3]))
    centres = _draw_centres(site, np.full(wanted, 8.0), 2.0, rng)
    draw = (_nodule, _scar)
    return tuple(build_lesion(draw[int(rng.integers(2))](centre, rng), rng) for centre in centres)


def _draw_centres(
    site: LungSite, radii_mm: Float64Array, apart: float, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """One centre per radius, largest first, at least `apart` times the sum of two radii from each other."""
    voxels = np.argwhere(site.inside)
    if not len(voxels) or not len(radii_mm):
        return []
    weights = _weights(site, voxels)
    candidates = (
        site.axes.origin_mm + voxels[rng.choice(len(voxels), 40 * len(radii_mm), p=weights)] * site.axes.step_mm
    )
    placed: list[Float64Array] = []
    for candidate in candidates:
        near = apart * (radii_mm[: len(placed)] + radii_mm[len(placed)])
        if all(np.linalg.norm(candidate - other) > limit for other, limit in zip(placed, near, strict=True)):
            placed.append(candidate)
        if len(placed) == len(radii_mm):
            break
    return [(float(z), float(y), float(x)) for z, y, x in placed]


def _weights(site: LungSite, voxels: np.ndarray[tuple[int, int], np.dtype[np.intp]]) -> Float64Array:
    depth_mm = site.pleura_mm[tuple(voxels.T)].astype(np.float64)
    place = (voxels - voxels.min(axis=0)) / np.maximum(np.ptp(voxels, axis=0), 1)
    low, back = 1.0 - place[:, 0], place[:, 1]
    # Two thirds lie in the outer 15 mm; the lower and the posterior zones are favoured about 4 : 1.
    weights = np.exp(-depth_mm / 12.0) * (0.25 + low) * (0.25 + back)
    weights[depth_mm < 4.0] *= 0.3
    normal: Float64Array = weights / weights.sum()
    return normal


def _draw_plan(
    number: int, centre: tuple[float, float, float], radius_mm: float, course: Course, rng: np.random.Generator
) -> LesionPlan:
    z, y, x = rng.uniform(0.75, 1.3, 3)
    return LesionPlan(
        number=number,
        centre_mm=centre,
        radius_mm=float(radius_mm),
        stretch=(float(z), float(y), float(x)),
        ground_glass_hu=float(rng.uniform(-700.0, -520.0)),
        paved=bool(course is not Course.EARLY and rng.random() < 0.35),
        softness_mm=float(rng.uniform(2.0, 5.0)),
        roughness=float(rng.uniform(0.14, 0.26)),
        kinetics=draw_kinetics(rng, course),
    )


def _nodule(centre: tuple[float, float, float], rng: np.random.Generator) -> LesionPlan:
    return LesionPlan(
        number=0,
        centre_mm=centre,
        radius_mm=float(rng.uniform(2.5, 6.0)),
        stretch=(1.0, 1.0, 1.0),
        ground_glass_hu=20.0,
        paved=False,
        softness_mm=1.0,
        roughness=0.05,
        kinetics=_STATIC,
    )


def _scar(centre: tuple[float, float, float], rng: np.random.Generator) -> LesionPlan:
    long_way = int(rng.integers(3))
    stretch = [0.10, 0.10, 0.10]
    stretch[long_way] = 1.0
    stretch[(long_way + 1) % 3] = float(rng.uniform(0.2, 0.5))
    return LesionPlan(
        number=0,
        centre_mm=centre,
        radius_mm=float(rng.uniform(14.0, 26.0)),
        stretch=(stretch[0], stretch[1], stretch[2]),
        ground_glass_hu=-150.0,
        paved=False,
        softness_mm=1.5,
        roughness=0.10,
        kinetics=_STATIC,
    )
