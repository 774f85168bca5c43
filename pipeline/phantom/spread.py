"""Where in the lungs lesions and look-alikes lie, how many there are, and what they are made of."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.phantom.axes import Axes, Field
from pipeline.phantom.kinetics import Course, Kinetics, draw_kinetics
from pipeline.phantom.lesions import LesionBody, LesionPlan, Pattern, build_lesion
from pipeline.study import BoolArray, Float32Array, Float64Array

_CENTRAL_SHARE = 0.1
"""Of the patients, whose lesions lie anywhere in the lungs, about vessels and bronchi too."""
_PLAQUE_RADIUS_MM = 9.0
"""Smaller lesions have no texture that shows, and no flat side."""
_MOTTLED_SHARE = 0.25
"""Of the lesions, so uneven that lung shows through: the patchy opacity that readers describe at the back of the bases."""
_BAND_DAYS = 8.0
"""Bands of absorption stay this long after they formed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extent:
    """How much disease a course brings."""

    count: tuple[int, int]
    radius_mm: tuple[float, float]
    tiny_share: float
    """Of the lesions, with a radius of 2 to 4 mm."""
    apart: tuple[float, float]
    """Least distance of two lesions as a share of the sum of their radii: below 1 they merge."""
    bands: int
    """Most bands that absorption leaves."""


_EXTENTS = {
    Course.HEALTHY: _Extent(count=(0, 0), radius_mm=(0.0, 0.0), tiny_share=0.0, apart=(1.0, 1.0), bands=0),
    Course.EARLY: _Extent(count=(1, 6), radius_mm=(5.0, 15.0), tiny_share=0.25, apart=(0.6, 1.2), bands=0),
    Course.ADVANCED: _Extent(count=(5, 18), radius_mm=(7.0, 27.0), tiny_share=0.15, apart=(0.4, 0.9), bands=4),
    Course.SEVERE: _Extent(count=(16, 30), radius_mm=(20.0, 46.0), tiny_share=0.05, apart=(0.2, 0.35), bands=2),
    Course.ABSORPTION: _Extent(count=(4, 15), radius_mm=(7.0, 25.0), tiny_share=0.1, apart=(0.4, 0.9), bands=6),
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
    extent = _EXTENTS[course]
    wanted = int(rng.integers(extent.count[0], extent.count[1] + 1))
    tiny = rng.random(wanted) < extent.tiny_share
    radii_mm = np.sort(np.where(tiny, rng.uniform(2.0, 4.0, wanted), rng.uniform(*extent.radius_mm, wanted)))[::-1]
    central = rng.random() < _CENTRAL_SHARE
    centres = draw_centres(site, radii_mm, apart=float(rng.uniform(*extent.apart)), rng=rng, at_random=central)
    plans = [
        _draw_plan(number, centre, radius, course, rng)
        for number, (centre, radius) in enumerate(zip(centres, radii_mm, strict=False), start=1)
    ]
    plans += _draw_bands(extent, plans, rng)
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
    aside = np.abs(2.0 * place[:, 2] - 1.0)
    # Two thirds lie in the outer 15 mm; the lower, the posterior and the lateral zones are favoured about 4 : 1.
    weights = np.exp(-depth_mm / 12.0) * (0.25 + low) * (0.25 + back) * (0.25 + aside)
    weights[depth_mm < 4.0] *= 0.3
    normal: Float64Array = weights / weights.sum()
    return normal


def _draw_plan(number: int, centre: Place, radius_mm: float, course: Course, rng: np.random.Generator) -> LesionPlan:
    z, y, x = rng.uniform(0.7, 1.35, 3)
    round_one = rng.random() < 0.35
    faint = course is Course.EARLY and rng.random() < 0.4
    return LesionPlan(
        number=number,
        centre_mm=centre,
        radius_mm=float(radius_mm),
        stretch=(float(z), float(y), float(x)),
        ground_glass_hu=float(rng.uniform(-780.0, -650.0) if faint else rng.uniform(-720.0, -500.0)),
        pattern=_draw_pattern(course, radius_mm, rng),
        softness_mm=float(rng.uniform(1.5, 3.0) if round_one else rng.uniform(2.0, 6.5)),
        roughness=float(rng.uniform(0.04, 0.12) if round_one else rng.uniform(0.14, 0.30)),
        kinetics=draw_kinetics(rng, course),
        mottle_hu=_draw_mottle_hu(rng) * (0.5 if faint else 1.0),
        hug_mm=float(rng.uniform(8.0, 22.0)) if radius_mm > _PLAQUE_RADIUS_MM and rng.random() < 0.35 else None,
    )


def _draw_mottle_hu(rng: np.random.Generator) -> float:
    mottled = rng.random() < _MOTTLED_SHARE
    return float(rng.uniform(60.0, 115.0) if mottled else rng.uniform(15.0, 60.0))


def _draw_pattern(course: Course, radius_mm: float, rng: np.random.Generator) -> Pattern:
    if course is Course.EARLY or radius_mm < _PLAQUE_RADIUS_MM:
        return Pattern.SMOOTH
    drawn = rng.random()
    if drawn < 0.32:
        return Pattern.PAVED
    return Pattern.RETICULAR if drawn < 0.38 else Pattern.REVERSED_HALO if drawn < 0.48 else Pattern.SMOOTH


def _draw_bands(extent: _Extent, plans: list[LesionPlan], rng: np.random.Generator) -> list[LesionPlan]:
    """Bands and reticulation under the pleura, which form where lesions are absorbed and outlast them."""
    healing = [plan for plan in plans if np.isfinite(plan.kinetics.resolution_day) and plan.radius_mm > 8.0]
    count = min(len(healing), int(rng.integers(0, extent.bands + 1)))
    return [
        _band(len(plans) + place + 1, healing[chosen], rng)
        for place, chosen in enumerate(rng.choice(len(healing), count, replace=False) if count else ())
    ]


def _band(number: int, healed: LesionPlan, rng: np.random.Generator) -> LesionPlan:
    reticular = rng.random() < 0.4
    begins = healed.kinetics.resolution_day - 2.0
    stretch = rng.permutation([1.0, float(rng.uniform(0.4, 0.8)), float(rng.uniform(0.12, 0.22))])
    return LesionPlan(
        number=number,
        centre_mm=healed.centre_mm,
        radius_mm=float(np.clip(0.8 * healed.radius_mm, 8.0, 20.0)),
        stretch=(1.0, 1.0, 1.0) if reticular else (float(stretch[0]), float(stretch[1]), float(stretch[2])),
        ground_glass_hu=float(rng.uniform(-760.0, -680.0) if reticular else rng.uniform(-550.0, -250.0)),
        pattern=Pattern.RETICULAR if reticular else Pattern.SMOOTH,
        softness_mm=2.0,
        roughness=0.12,
        kinetics=Kinetics(
            onset_day=begins,
            rise_days=4.0,
            consolidation_lag_days=0.0,
            consolidation_peak=0.0,
            resolution_day=begins + _BAND_DAYS,
            resolution_days=float(rng.uniform(4.0, 10.0)),
        ),
        hug_mm=float(rng.uniform(5.0, 10.0)) if reticular else None,
    )
