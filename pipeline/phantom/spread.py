"""Where in the lungs lesions and look-alikes lie, how many there are, and what they are made of."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.phantom.axes import Axes, Field
from pipeline.phantom.kinetics import Course, draw_kinetics
from pipeline.phantom.lesions import LesionBody, LesionPlan, Pattern, build_lesion
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

Place = tuple[float, float, float]
"""z, y, x in mm."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LungSite:
    """The room for lesions: lungs on a coarse grid."""

    axes: Axes
    inside: BoolArray
    pleura_mm: Float32Array
    """Distance to the surface of the lung."""

    @property
    def pleura(self) -> Field:
        """`pleura_mm` to be read on other grids."""
        return Field(values=self.pleura_mm, axes=self.axes)


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
    centres = draw_centres(site, radii_mm, apart=overlap, rng=rng)
    plans = [
        _draw_plan(number, centre, radius, course, rng)
        for number, (centre, radius) in enumerate(zip(centres, radii_mm, strict=False), start=1)
    ]
    return tuple(build_lesion(plan, rng, site.pleura) for plan in plans)


def draw_centres(
    site: LungSite, radii_mm: Float64Array, *, apart: float, rng: np.random.Generator, at_random: bool = False
) -> list[Place]:
    """One centre per radius, largest first, at least `apart` times the sum of two radii from each other.

    They lie where the disease prefers, or, at random, anywhere in the lungs.
    """
    voxels = np.argwhere(site.inside)
    if not len(voxels) or not len(radii_mm):
        return []
    weights = None if at_random else _weights(site, voxels)
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


def _draw_plan(number: int, centre: Place, radius_mm: float, course: Course, rng: np.random.Generator) -> LesionPlan:
    z, y, x = rng.uniform(0.75, 1.3, 3)
    return LesionPlan(
        number=number,
        centre_mm=centre,
        radius_mm=float(radius_mm),
        stretch=(float(z), float(y), float(x)),
        ground_glass_hu=float(rng.uniform(-700.0, -520.0)),
        pattern=Pattern.PAVED if course is not Course.EARLY and rng.random() < 0.35 else Pattern.SMOOTH,
        softness_mm=float(rng.uniform(2.0, 5.0)),
        roughness=float(rng.uniform(0.14, 0.26)),
        kinetics=draw_kinetics(rng, course),
    )
