"""Lesions of the lungs: their shape, their density, and their picture on any day and grid."""

from dataclasses import dataclass

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
_CORE_SOFTNESS_MM = 4.0
_CORE_MOTTLE = 0.35
"""Of its density above the ground glass: consolidation is patchy."""


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
    paved: bool
    """Crazy paving: thickened septa in the ground glass."""
    softness_mm: float
    """Width of the border."""
    roughness: float
    """Standard deviation of the border as a share of the radius."""
    kinetics: Kinetics


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionLayer:
    """Lungs with lesions on one day, all arrays of one shape (z, y, x)."""

    parenchyma_hu: Float32Array
    labels: UInt16Array
    kind: UInt8Array


def build_lesion(plan: LesionPlan, rng: np.random.Generator) -> LesionBody:
    """The shape of a lesion."""
    radii = plan.radius_mm * np.array(plan.stretch)
    margin = radii * (1.0 + 2.2 * plan.roughness) + 2.0
    centre = np.array(plan.centre_mm)
    axes = build_axes(centre - margin, centre + margin, 1.5 if plan.radius_mm < 16.0 else 2.2)
    z, y, x = axes.broadcast()
    distance = np.sqrt(
        ((z - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 + ((x - centre[2]) / radii[2]) ** 2
    )
    border = cut_texture(fractal_noise(1.9), axes.shape, rng)
    texture = cut_texture(fractal_noise(1.1), axes.shape, rng)
    reach = distance + plan.roughness * np.clip(border, -2.2, 2.2)
    core = reach + 0.34 * np.clip(cut_texture(fractal_noise(1.7), axes.shape, rng), -2.0, 2.0)
    density = plan.ground_glass_hu + 45.0 * np.clip(texture, -2.0, 2.0)
    if plan.paved:
        density += 190.0 * _septa(axes, rng)
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
    deepest_mm = np.zeros(parenchyma_hu.shape, dtype=np.float32)
    for lesion in lesions:
        if lesion.plan.kinetics.radius_share(day) > 0.0:
            _lay_lesion(layer, deepest_mm, axes, lesion, day=day)
    return layer


def _lay_lesion(layer: LesionLayer, deepest_mm: Float32Array, axes: Axes, lesion: LesionBody, *, day: float) -> None:
    kinetics, plan = lesion.plan.kinetics, lesion.plan
    box = axes.box_around(*_corners(lesion))
    if box is None:
        return
    part = axes.crop(box)
    size = kinetics.radius_share(day)
    depth_mm = (size - lesion.reach.sample(part)) * np.float32(plan.radius_mm)
    core_size = size * float(np.cbrt(kinetics.consolidation_share(day)))
    core_mm = (core_size - lesion.core.sample(part)) * np.float32(plan.radius_mm)
    np.minimum(core_mm, depth_mm, out=core_mm)
    target_hu = lesion.density_hu.sample(part)
    _mix_in(layer.parenchyma_hu[box], target_hu, cover(depth_mm, plan.softness_mm) * np.float32(kinetics.opacity(day)))
    core_hu = _CONSOLIDATED_HU + _CORE_MOTTLE * (target_hu - plan.ground_glass_hu)
    _mix_in(layer.parenchyma_hu[box], core_hu, cover(core_mm, _CORE_SOFTNESS_MM))
    if plan.number:
        mine = depth_mm > deepest_mm[box]
        layer.labels[box][mine] = plan.number
        layer.kind[box][mine & (layer.kind[box] == 0)] = GROUND_GLASS
        layer.kind[box][core_mm > 0] = CONSOLIDATION
        np.maximum(deepest_mm[box], depth_mm, out=deepest_mm[box])


def _mix_in(base_hu: Float32Array, target_hu: Float32Array | np.float32, share: Float32Array) -> None:
    """Raise the base towards the target where the target is denser."""
    base_hu += share * np.maximum(target_hu - base_hu, np.float32(0.0))


def _corners(lesion: LesionBody) -> tuple[Float64Array, Float64Array]:
    axes = lesion.reach.axes
    return axes.origin_mm, np.array([axes.z_mm[-1], axes.y_mm[-1], axes.x_mm[-1]], dtype=np.float64)


def _septa(axes: Axes, rng: np.random.Generator) -> Float32Array:
    """Walls of the lobules, 0..1."""
    walls = paving_walls()
    step = max(1, round(float(axes.step_mm[0])))
    return np.asarray(
        np.clip(1.4 - cut_texture(walls[::step, ::step, ::step], axes.shape, rng), 0.0, 1.0), dtype=np.float32
    )
