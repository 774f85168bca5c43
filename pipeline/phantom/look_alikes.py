"""What looks like a lesion of the disease, wholly or for a reader of one study, and is none."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pipeline.phantom.kinetics import STATIC, STATIC_GROUND_GLASS
from pipeline.phantom.lesions import LesionBody, LesionPlan, Pattern, build_lesion
from pipeline.phantom.spread import LungSite, Place, draw_centres
from pipeline.study import Float64Array


class LookAlike(StrEnum):
    """Something in the lungs that no truth array shows."""

    NODULES = "nodules"
    MASS = "mass"
    SCARS = "scars"
    """Lines and bands."""
    FIBROSIS = "fibrosis"
    """Reticulation and honeycombs under the pleura of the bases."""
    BRONCHIECTASIS = "bronchiectasis"
    CAPS = "caps"
    """Scarred apices."""
    EMPHYSEMA = "emphysema"
    MOSAIC = "mosaic"
    """Lobules with more air beside lobules with less."""
    ATELECTASIS = "atelectasis"
    """A broad dependent band, another one in every scan."""
    OEDEMA = "oedema"
    """Of the heart: comes and goes."""
    EFFUSION = "effusion"
    """Fluid in the pleural space: comes and goes."""
    OLD_GROUND_GLASS = "old ground glass"
    """Looks like the disease; that it never changes tells it apart."""
    OLD_CONSOLIDATION = "old consolidation"
    """The same, dense."""


_SHARES = {
    LookAlike.NODULES: 0.30,
    LookAlike.MASS: 0.04,
    LookAlike.SCARS: 0.30,
    LookAlike.FIBROSIS: 0.07,
    LookAlike.BRONCHIECTASIS: 0.08,
    LookAlike.CAPS: 0.25,
    LookAlike.EMPHYSEMA: 0.22,
    LookAlike.MOSAIC: 0.12,
    LookAlike.ATELECTASIS: 0.22,
    LookAlike.OEDEMA: 0.07,
    LookAlike.EFFUSION: 0.04,
    LookAlike.OLD_GROUND_GLASS: 0.09,
    LookAlike.OLD_CONSOLIDATION: 0.04,
}
"""Of all patients. What imitates the disease stays rare, so that one study remains worth reading for itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """Something that comes, stays and goes."""

    first_day: float
    last_day: float
    ramp_days: float

    def amount(self, day: float) -> float:
        """How much of it there is, 0..1."""
        inside = min(day - self.first_day, self.last_day - day) / self.ramp_days
        return float(np.clip(inside, 0.0, 1.0))


def draw_kinds(rng: np.random.Generator) -> frozenset[LookAlike]:
    """What one patient has."""
    drawn = rng.random(len(_SHARES))
    return frozenset(kind for (kind, share), number in zip(_SHARES.items(), drawn, strict=True) if number < share)


def draw_episode(rng: np.random.Generator) -> Episode:
    """Days of an illness of the heart, about the time of the studies."""
    first_day = float(rng.uniform(-10.0, 12.0))
    return Episode(first_day=first_day, last_day=first_day + float(rng.uniform(4.0, 14.0)), ramp_days=1.5)


def draw_bodies(site: LungSite, kinds: frozenset[LookAlike], rng: np.random.Generator) -> tuple[LesionBody, ...]:
    """Everything with a place and a shape, which never changes."""
    bodies: list[LesionBody] = []
    for (kind, (low, high, build)), stream in zip(_BODIES.items(), rng.spawn(len(_BODIES)), strict=True):
        if kind in kinds:
            count = int(stream.integers(low, high + 1))
            centres = draw_centres(site, np.full(count, 8.0), apart=1.2, rng=stream, at_random=kind in _ANYWHERE)
            bodies += [build_lesion(build(centre, stream), stream, site.pleura) for centre in centres]
    return tuple(bodies)


def _nodule(centre: Place, rng: np.random.Generator) -> LesionPlan:
    calcified = rng.random() < 0.2
    return LesionPlan(
        number=0,
        centre_mm=centre,
        radius_mm=float(rng.uniform(1.5, 6.0)),
        stretch=(1.0, 1.0, float(rng.uniform(0.8, 1.25))),
        ground_glass_hu=300.0 if calcified else float(rng.uniform(-150.0, 60.0)),
        softness_mm=1.0,
        roughness=float(rng.uniform(0.03, 0.12)),
        kinetics=STATIC_GROUND_GLASS,
        mottle_hu=10.0,
    )


def _mass(centre: Place, rng: np.random.Generator) -> LesionPlan:
    return LesionPlan(
        number=0,
        centre_mm=centre,
        radius_mm=float(rng.uniform(10.0, 22.0)),
        stretch=_stretch(rng, 0.8, 1.25),
        ground_glass_hu=30.0,
        softness_mm=1.5,
        roughness=float(rng.uniform(0.06, 0.16)),
        kinetics=STATIC_GROUND_GLASS,
        mottle_hu=12.0,
    )


def _scar(centre: Place, rng: np.random.Generator) -> LesionPlan:
    """A line or, less often, a band: thin one way, long another."""
    band = rng.random() < 0.35
    stretch = [float(rng.uniform(0.12, 0.25) if band else rng.uniform(0.05, 0.10))] * 3
    long_way = int(rng.integers(3))
    stretch[long_way] = 1.0
    stretch[(long_way + 1) % 3] = float(rng.uniform(0.2, 0.6))
    return LesionPlan(
        number=0,
        centre_mm=centre,
        radius_mm=float(rng.uniform(12.0, 30.0)),
        stretch=(stretch[0], stretch[1], stretch[2]),
        ground_glass_hu=float(rng.uniform(-450.0, -50.0)),
        softness_mm=1.5,
        roughness=0.10,
        kinetics=STATIC_GROUND_GLASS,
    )


def _fibrosis(centre: Place, rng: np.random.Generator) -> LesionPlan:
    hollow = rng.random() < 0.5
    return LesionPlan(
        number=0,
        centre_mm=centre,
        radius_mm=float(rng.uniform(22.0, 45.0)),
        stretch=_stretch(rng, 0.8, 1.3),
        ground_glass_hu=float(rng.uniform(-800.0, -680.0)),
        pattern=Pattern.HONEYCOMB if hollow else Pattern.RETICULAR,
        softness_mm=4.0,
        roughness=0.16,
        kinetics=STATIC_GROUND_GLASS,
        hug_mm=float(rng.uniform(8.0, 20.0)),
    )


def _old_ground_glass(centre: Place, rng: np.random.Generator) -> LesionPlan:
    """Small in most patients."""
    return LesionPlan(
        number=0,
        centre_mm=centre,
        radius_mm=float(5.0 + 13.0 * rng.random() ** 2),
        stretch=_stretch(rng, 0.75, 1.3),
        ground_glass_hu=float(rng.uniform(-720.0, -520.0)),
        pattern=Pattern.PAVED if rng.random() < 0.15 else Pattern.SMOOTH,
        softness_mm=float(rng.uniform(2.0, 5.0)),
        roughness=float(rng.uniform(0.12, 0.26)),
        kinetics=STATIC_GROUND_GLASS,
    )


def _old_consolidation(centre: Place, rng: np.random.Generator) -> LesionPlan:
    return LesionPlan(
        number=0,
        centre_mm=centre,
        radius_mm=float(rng.uniform(5.0, 15.0)),
        stretch=_stretch(rng, 0.5, 1.3),
        ground_glass_hu=float(rng.uniform(-650.0, -480.0)),
        softness_mm=2.5,
        roughness=0.2,
        kinetics=STATIC,
        hug_mm=float(rng.uniform(8.0, 20.0)) if rng.random() < 0.5 else None,
    )


def _stretch(rng: np.random.Generator, low: float, high: float) -> tuple[float, float, float]:
    z, y, x = rng.uniform(low, high, 3)
    return (float(z), float(y), float(x))


_BODIES: dict[LookAlike, tuple[int, int, Callable[[Place, np.random.Generator], LesionPlan]]] = {
    LookAlike.NODULES: (1, 5, _nodule),
    LookAlike.MASS: (1, 1, _mass),
    LookAlike.SCARS: (1, 4, _scar),
    LookAlike.FIBROSIS: (2, 6, _fibrosis),
    LookAlike.OLD_GROUND_GLASS: (1, 2, _old_ground_glass),
    LookAlike.OLD_CONSOLIDATION: (1, 1, _old_consolidation),
}
"""Fewest, most, and what one of them is like."""
_ANYWHERE = frozenset({LookAlike.NODULES, LookAlike.MASS, LookAlike.SCARS})
"""The others lie where the disease does: outside, low and at the back."""


def widening(points_mm: Float64Array, site: LungSite, rng: np.random.Generator) -> Float64Array:
    """By how much bronchiectasis multiplies the radius of bronchi at points (n, 3): about a few places, 1 elsewhere."""
    factor = np.ones(len(points_mm))
    for centre in draw_centres(site, np.full(int(rng.integers(1, 4)), 20.0), apart=1.0, rng=rng):
        distance = np.linalg.norm(points_mm - np.array(centre), axis=1)
        factor = np.maximum(factor, 1.0 + rng.uniform(0.8, 1.6) * np.exp(-((distance / rng.uniform(25.0, 45.0)) ** 2)))
    return factor
