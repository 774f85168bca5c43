"""Tissues of a patient in Hounsfield units on the voxels of a scan, before any blur or noise."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.phantom.axes import Axes
from pipeline.phantom.lesions import CONSOLIDATION, LesionLayer, lay_lesions
from pipeline.phantom.patient import Anatomy
from pipeline.phantom.pose import Posed
from pipeline.phantom.scan import Scan
from pipeline.phantom.shapes import cover
from pipeline.phantom.tubes import FULL, Tubes, draw_tubes
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray, Float32Array, UInt8Array, UInt16Array

_AIR_HU = -1000.0
_FAT_HU = -102.0
_SKIN_HU = 10.0
_MUSCLE_HU = 52.0
_BLOOD_HU = 42.0
_SOFT_HU = 35.0
_LIVER_HU = 60.0
_SPLEEN_HU = 50.0
_STOMACH_HU = 22.0
_FLUID_HU = 8.0
_CARTILAGE_HU = 105.0
_CORTEX_HU = 720.0
_MARROW_HU = 190.0
_AIRWAY_WALL_HU = 0.0
_TABLE_HU = -420.0
_FOAM_HU = -930.0
"""Values of the usual textbooks for 120 kV; marrow and cortex are means over partial volumes."""
_HILUM_MM = 3.0
"""How far outside the lungs bronchi of the lobes are drawn: straight branches would else cross the heart."""
_WIDENED_MM = 0.3
_TABLE_RADIUS_MM = 480.0
_TABLE_HALF_WIDTH_MM = 205.0
_TABLE_HEIGHT_MM = 34.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slab:
    """Some slices with their truth."""

    volume_hu: Float32Array
    lung_mask: UInt8Array
    lesion_labels: UInt16Array
    lesion_kind: UInt8Array


def render_slab(posed: Posed, day: float, axes: Axes, scan: Scan, *, thin_mm: float) -> Slab:
    """The ideal picture of a patient on a grid in the patient's own frame, of slices that are each thin_mm thick."""
    anatomy = posed.anatomy
    edge_mm = float(axes.step_mm[2])
    volume_hu = _draw_trunk(anatomy, axes, edge_mm)
    blood = anatomy.blood.sample(axes)
    _draw_soft_organs(volume_hu, anatomy, axes, scan)
    _mix(volume_hu, _BLOOD_HU + scan.contrast_hu, cover(-blood, edge_mm))
    _draw_bones(volume_hu, anatomy, axes, edge_mm)
    if posed.fluid is not None:
        _mix(volume_hu, _FLUID_HU, cover(-posed.fluid.sample(axes), edge_mm))
    right, left = anatomy.right_lung.sample(axes), anatomy.left_lung.sample(axes)
    lung_depth = -np.minimum(right, left)
    lungs = _draw_lungs(posed, day, axes)
    _mix(
        volume_hu,
        lungs.parenchyma_hu,
        _lung_share(lung_depth, blood, anatomy.upright.sample(axes), (edge_mm, thin_mm, scan.pulse_mm)),
    )
    dry = _dry(posed, lung_depth, axes)
    _draw_share(volume_hu, draw_tubes(anatomy.trees.vessels, axes) * dry, _BLOOD_HU + scan.contrast_hu)
    wall_mm = anatomy.traits.airway_wall_mm
    _draw_airway(volume_hu, anatomy.trees.central_airways, np.ones(axes.shape, dtype=np.bool_), axes=axes, wall_mm=0.45)
    _draw_airway(volume_hu, anatomy.trees.airways, dry & (lung_depth > -_HILUM_MM), axes=axes, wall_mm=wall_mm)
    _draw_bronchograms(volume_hu, anatomy.trees.twigs, lungs, axes)
    inside = lung_depth > 0
    lung_mask = np.where(inside, np.where(right < left, RIGHT_LUNG, LEFT_LUNG), 0).astype(np.uint8)
    return Slab(
        volume_hu=volume_hu,
        lung_mask=lung_mask,
        lesion_labels=lungs.labels * inside,
        lesion_kind=lungs.kind * inside,
    )


def _dry(posed: Posed, lung_depth: Float32Array, axes: Axes) -> BoolArray:
    """Where no fluid has taken the place of the lung and its vessels."""
    if posed.fluid is None:
        return np.ones((1, 1, 1), dtype=np.bool_)
    return np.asarray((lung_depth > -1.0) | (posed.fluid.sample(axes) > 0.0))


def _lung_share(
    lung_depth: Float32Array, blood: Float32Array, upright: Float32Array, widths_mm: tuple[float, float, float]
) -> Float32Array:
    """Share of lung in each voxel; its edge is wide where the slice cuts it flat and where the heart beats against it.

    The widths are those of a pixel, of a slice, and of the heart's beat.
    """
    pixel_mm, slice_mm, beat_mm = widths_mm
    edge_mm = np.float32(pixel_mm) + np.float32(slice_mm) * upright * upright
    if beat_mm > 0.0:
        edge_mm += np.float32(beat_mm) * np.clip(1.2 - blood * np.float32(0.1), 0.0, 1.0)
    return cover(lung_depth / edge_mm, 1.0)


def _draw_trunk(anatomy: Anatomy, axes: Axes, edge_mm: float) -> Float32Array:
    """Air, skin, fat, muscle, and the fat that fills the chest and abdomen between organs."""
    volume_hu = np.full(axes.shape, _AIR_HU, dtype=np.float32)
    _draw_table(volume_hu, anatomy, axes)
    body = anatomy.body.sample(axes)
    _mix(volume_hu, _SKIN_HU, cover(-body, edge_mm))
    _mix(volume_hu, _FAT_HU, cover(-body - 1.8, edge_mm))
    muscle, cavity = anatomy.muscle.sample(axes), anatomy.cavity.sample(axes)
    _mix(volume_hu, _MUSCLE_HU, cover(-np.maximum(muscle, body + 2.0), edge_mm))
    # A sheet of fat divides the ribs' own muscles from those of arms and shoulders.
    sheet = 1.1 - np.abs(cavity - 13.5)
    _mix(volume_hu, _FAT_HU, 0.8 * cover(np.minimum(sheet, -muscle - 4.0), edge_mm))
    _mix(volume_hu, _FAT_HU, cover(-cavity, edge_mm))
    return volume_hu


def _draw_table(volume_hu: Float32Array, anatomy: Anatomy, axes: Axes) -> None:
    """A trough of carbon fibre filled with foam, below the back."""
    _, y, x = axes.broadcast()
    body = anatomy.body
    back_mm = body.axes.y_mm[np.flatnonzero((body.values < 0).any(axis=(0, 2)))[-1]]
    top = y - (back_mm + 3.0 - x * x / np.float32(2 * _TABLE_RADIUS_MM))
    bottom = y - (back_mm + 3.0 + _TABLE_HEIGHT_MM - x * x / np.float32(1.1 * _TABLE_RADIUS_MM))
    depth = np.minimum(np.minimum(top, -bottom), _TABLE_HALF_WIDTH_MM - np.abs(x)).astype(np.float32)
    edge_mm = float(axes.step_mm[2])
    _mix(volume_hu, _TABLE_HU, cover(depth, edge_mm))
    _mix(volume_hu, _FOAM_HU, cover(depth - 1.8, edge_mm))


def _draw_soft_organs(volume_hu: Float32Array, anatomy: Anatomy, axes: Axes, scan: Scan) -> None:
    edge_mm = float(axes.step_mm[2])
    organs = (
        (anatomy.liver, _LIVER_HU + 0.3 * scan.contrast_hu),
        (anatomy.spleen, _SPLEEN_HU + 0.4 * scan.contrast_hu),
        (anatomy.stomach, _STOMACH_HU),
        (anatomy.stomach_gas, _AIR_HU),
        (anatomy.soft, _SOFT_HU),
    )
    for solid, tissue_hu in organs:
        _mix(volume_hu, tissue_hu, cover(-solid.sample(axes), edge_mm))


def _draw_bones(volume_hu: Float32Array, anatomy: Anatomy, axes: Axes, edge_mm: float) -> None:
    solid = anatomy.bone.sample(axes)
    _mix(volume_hu, _CORTEX_HU, cover(-solid, edge_mm))
    _mix(volume_hu, _MARROW_HU, cover(-solid - 1.6, 1.5))
    _draw_tube(volume_hu, anatomy.bones.cartilage, axes, _CARTILAGE_HU)
    for tubes in (anatomy.bones.ribs, anatomy.bones.clavicles):
        _draw_tube(volume_hu, tubes, axes, _CORTEX_HU)
        _draw_tube(volume_hu, tubes.widened(-1.4), axes, _MARROW_HU)


def _draw_lungs(posed: Posed, day: float, axes: Axes) -> LesionLayer:
    """Parenchyma with fissures, lesions and look-alikes."""
    anatomy, traits = posed.anatomy, posed.anatomy.traits
    tissue_hu = anatomy.tissue_hu.sample(axes)
    thin_mm = float(axes.step_mm[2])
    near = cover(traits.fissure_half_mm - anatomy.fissure.sample(axes), thin_mm)
    tissue_hu += np.float32(traits.fissure_hu) * near
    return lay_lesions(tissue_hu, axes, posed.bodies, day=day)


def _draw_airway(volume_hu: Float32Array, airways: Tubes, room: BoolArray, *, axes: Axes, wall_mm: float) -> None:
    """Wall, of 0.1 to 0.2 of the radius plus wall_mm, and lumen, where there is room for them."""
    wall = replace(airways, radius_mm=airways.radius_mm * 1.12 + wall_mm)
    _draw_share(volume_hu, draw_tubes(wall, axes) * room, _AIRWAY_WALL_HU)
    _draw_share(volume_hu, draw_tubes(airways, axes) * room, _AIR_HU)


def _draw_tube(volume_hu: Float32Array, tubes: Tubes, axes: Axes, tissue_hu: float) -> None:
    _draw_share(volume_hu, draw_tubes(tubes, axes), tissue_hu)


def _draw_bronchograms(volume_hu: Float32Array, twigs: Tubes, lungs: LesionLayer, axes: Axes) -> None:
    """Small bronchi stay open in consolidated lung, somewhat widened."""
    solid = lungs.kind == CONSOLIDATION
    if solid.any():
        _draw_share(volume_hu, draw_tubes(twigs.widened(_WIDENED_MM), axes) * solid, _AIR_HU)


def _draw_share(volume_hu: Float32Array, share: UInt8Array, tissue_hu: float) -> None:
    drawn = share > 0
    part = share[drawn].astype(np.float32) * np.float32(1.0 / FULL)
    volume_hu[drawn] += part * (np.float32(tissue_hu) - volume_hu[drawn])


def _mix(volume_hu: Float32Array, tissue_hu: Float32Array | float, share: Float32Array) -> None:
    """Replace a share of each voxel by a tissue, in place."""
    change = np.subtract(np.float32(tissue_hu) if isinstance(tissue_hu, float) else tissue_hu, volume_hu)
    change *= share
    volume_hu += change
