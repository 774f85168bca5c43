"""Lesions of the lungs: their shape, their density, and their picture on any day and grid."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from pipeline.phantom.axes import Axes, Field, build_axes
from pipeline.phantom.kinetics import Kinetics
from pipeline.phantom.shapes import cover
from pipeline.phantom.textures import cut_texture, fractal_noise, paving_walls
from pipeline.study import Float32Array, Float64Array, UInt8Array, UInt16Array

GROUND_GLASS = 1
CONSOLIDATION = 2
"""Values of a lesion kind array; 0 is no lesion."""

_CONSOLIDATED_HU = 10.0
_AERATED_HU = -860.0
"""Of the lung that the ground glass of a plan is meant for."""
_FILLED_HU = 40.0
_MOST_DENSE_HU = -650.0
"""Denser places are no aerated lung and do not make a lesion in them denser."""
_LEAST_CONTRAST_HU = 40.0
"""Below this a fading lesion is gone."""
_CORE_SOFTNESS_MM = 4.0
_CORE_MOTTLE = 0.35
"""Of its density above the ground glass: consolidation is patchy."""


class Pattern(StrEnum):
    """Texture of the ground glass."""

    SMOOTH = "smooth"
    PAVED = "paved"
    """Crazy paving: thickened septa."""
    RETICULAR = "reticular"
    """Irregular lines and little between them."""
    REVERSED_HALO = "reversed halo"
    """Consolidated in a ring about ground glass."""
    HONEYCOMB = "honeycomb"
    """Thick walls about air."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionPlan:
    """What one lesion will be, before its shape is made."""

    number: int
    """1..N within the patient, the same on all days; 0 for a look-alike, which no truth array shows."""
    centre_mm: tuple[float, float, float]
    """z, y, x."""
    radius_mm: float
    stretch: tuple[float, float, float]
    """Radius along z, y, x as a multiple of radius_mm."""
    ground_glass_hu: float
    softness_mm: float
    """Width of the border."""
    roughness: float
    """Standard deviation of the border as a share of the radius."""
    kinetics: Kinetics
    pattern: Pattern = Pattern.SMOOTH
    mottle_hu: float = 45.0
    """Standard deviation of the density."""
    hug_mm: float | None = None
    """How deep under the pleura it reaches; None: as deep as its radius lets it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionBody:
    """One lesion with its fixed shape."""

    plan: LesionPlan
    reach: Field
    """Share of the final radius at which the growing lesion takes a place in; 0 in the middle, above 1 never."""
    core: Field
    """The same for the consolidated core."""
    density_hu: Field
    """HU of the full ground glass."""

    def size(self, day: float) -> float:
        """Radius on a day as a share of the final radius; 0 when there is nothing to see."""
        kinetics = self.plan.kinetics
        seen_hu = kinetics.opacity(day) * (self.plan.ground_glass_hu - _AERATED_HU)
        return kinetics.radius_share(day) if seen_hu >= _LEAST_CONTRAST_HU else 0.0

    def volume_ml(self, day: float) -> float:
        """How large it is on a day, as if it lay wholly inside the lungs."""
        voxels = np.count_nonzero(self.reach.values < self.size(day))
        return float(voxels * np.prod(self.reach.axes.step_mm)) / 1000.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionLayer:
    """Lungs with lesions on one day, all arrays of one shape (z, y, x)."""

    parenchyma_hu: Float32Array
    labels: UInt16Array
    kind: UInt8Array


def build_lesion(plan: LesionPlan, rng: np.random.Generator, pleura: Field) -> LesionBody:
    """The shape of a lesion in lungs whose depth below the pleura in mm is given."""
    radii = plan.radius_mm * np.array(plan.stretch)
    margin = radii * (1.0 + 2.2 * plan.roughness) + 2.0
    centre = np.array(plan.centre_mm)
    axes = build_axes(centre - margin, centre + margin, 1.5 if plan.radius_mm < 16.0 else 2.2)
    z, y, x = axes.broadcast()
    distance = np.sqrt(
        ((z - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 + ((x - centre[2]) / radii[2]) ** 2
    )
    if plan.hug_mm is not None:
        distance = np.maximum(distance, pleura.sample(axes) / np.float32(plan.hug_mm))
    border = cut_texture(fractal_noise(1.9), axes.shape, rng)
    texture = cut_texture(fractal_noise(1.1), axes.shape, rng)
    reach = distance + plan.roughness * np.clip(border, -2.2, 2.2)
    innermost = 0.2 + 2.2 * np.abs(reach - 0.72) if plan.pattern is Pattern.REVERSED_HALO else reach
    core = innermost + 0.34 * np.clip(cut_texture(fractal_noise(1.7), axes.shape, rng), -2.0, 2.0)
    density = plan.ground_glass_hu + plan.mottle_hu * np.clip(texture, -2.0, 2.0) + _lines(plan.pattern, axes, rng)
    return LesionBody(
        plan=plan,
        reach=Field(values=reach.astype(np.float32), axes=axes),
        core=Field(values=core.astype(np.float32), axes=axes),
        density_hu=Field(values=density.astype(np.float32), axes=axes),
    )


def lay_lesions(parenchyma_hu: Float32Array, axes: Axes, lesions: tuple[LesionBody, ...], *, day: float) -> LesionLayer:
    """Lungs without vessels, with the lesions of one day set in; the given array is changed."""
    layer = LesionLayer(
        parenchyma_hu=parenchyma_hu,
        labels=np.zeros(parenchyma_hu.shape, dtype=np.uint16),
        kind=np.zeros(parenchyma_hu.shape, dtype=np.uint8),
    )
    before = _Before(
        air=np.float32(_FILLED_HU) - np.minimum(parenchyma_hu, np.float32(_MOST_DENSE_HU)),
        deepest_mm=np.zeros(parenchyma_hu.shape, dtype=np.float32),
    )
    for lesion in lesions:
        if lesion.size(day) > 0.0:
            _lay_lesion(layer, before, axes, lesion, day=day)
    return layer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Before:
    """What lesions are laid upon."""

    air: Float32Array
    """HU that are missing to solid tissue, without lesions."""
    deepest_mm: Float32Array
    """Depth inside the lesion that is numbered there; grows as lesions are laid."""

    def filled(self, density_hu: Float32Array, box: tuple[slice, slice, slice]) -> Float32Array:
        """Ground glass that takes the same share of the air everywhere: in dense lungs it is denser than planned."""
        left = (np.float32(_FILLED_HU) - density_hu) * np.float32(1.0 / (_FILLED_HU - _AERATED_HU))
        return np.asarray(np.float32(_FILLED_HU) - left * self.air[box], dtype=np.float32)


def _lay_lesion(layer: LesionLayer, before: _Before, axes: Axes, lesion: LesionBody, *, day: float) -> None:
    kinetics, plan = lesion.plan.kinetics, lesion.plan
    box = axes.box_around(*_corners(lesion))
    if box is None:
        return
    part = axes.crop(box)
    size = lesion.size(day)
    depth_mm = (size - lesion.reach.sample(part)) * np.float32(plan.radius_mm)
    core_size = size * float(np.cbrt(kinetics.consolidation_share(day)))
    core_mm = (core_size - lesion.core.sample(part)) * np.float32(plan.radius_mm)
    np.minimum(core_mm, depth_mm if core_size > 0.0 else np.float32(-np.inf), out=core_mm)
    density_hu = lesion.density_hu.sample(part)
    target_hu = density_hu if plan.pattern is Pattern.HONEYCOMB else before.filled(density_hu, box)
    mix = _mix_over if plan.pattern is Pattern.HONEYCOMB else _mix_in
    mix(layer.parenchyma_hu[box], target_hu, cover(depth_mm, plan.softness_mm) * np.float32(kinetics.opacity(day)))
    core_hu = _CONSOLIDATED_HU + _CORE_MOTTLE * (density_hu - plan.ground_glass_hu)
    _mix_in(layer.parenchyma_hu[box], core_hu, cover(core_mm, _CORE_SOFTNESS_MM))
    if plan.number:
        mine = depth_mm > before.deepest_mm[box]
        layer.labels[box][mine] = plan.number
        layer.kind[box][mine & (layer.kind[box] == 0)] = GROUND_GLASS
        layer.kind[box][core_mm > 0] = CONSOLIDATION
        np.maximum(before.deepest_mm[box], depth_mm, out=before.deepest_mm[box])


def _mix_in(base_hu: Float32Array, target_hu: Float32Array, share: Float32Array) -> None:
    """Raise the base towards the target where the target is denser."""
    base_hu += share * np.maximum(target_hu - base_hu, np.float32(0.0))


def _mix_over(base_hu: Float32Array, target_hu: Float32Array, share: Float32Array) -> None:
    """Move the base towards the target, up or down."""
    base_hu += share * (target_hu - base_hu)


def _corners(lesion: LesionBody) -> tuple[Float64Array, Float64Array]:
    axes = lesion.reach.axes
    return axes.origin_mm, np.array([axes.z_mm[-1], axes.y_mm[-1], axes.x_mm[-1]], dtype=np.float64)


def _lines(pattern: Pattern, axes: Axes, rng: np.random.Generator) -> Float32Array:
    """HU that septa add to the ground glass."""
    if pattern in {Pattern.SMOOTH, Pattern.REVERSED_HALO}:
        return np.zeros((1, 1, 1), dtype=np.float32)
    walls = paving_walls()
    step = max(1, round(float(axes.step_mm[0])))
    distance_mm = cut_texture(walls[::step, ::step, ::step], axes.shape, rng)
    if pattern is Pattern.HONEYCOMB:
        added = 620.0 * np.clip(1.9 - distance_mm, 0.0, 1.0) - 150.0
    elif pattern is Pattern.PAVED:
        added = 190.0 * np.clip(1.4 - distance_mm, 0.0, 1.0)
    else:
        patchy = np.clip(0.6 + 0.6 * cut_texture(fractal_noise(1.7), axes.shape, rng), 0.0, 1.5)
        added = 330.0 * np.clip(1.2 - distance_mm, 0.0, 1.0) * patchy
    return np.asarray(added, dtype=np.float32)
