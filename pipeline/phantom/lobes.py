"""Lobes of the lungs and the fissures between them."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.axes import Axes
from pipeline.phantom.torso import Torso
from pipeline.study import Float32Array, UInt8Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lobes:
    """Where each lobe is."""

    lobe_map: UInt8Array
    """0 outside, n inside `LOBES[n - 1]` of the tree module."""
    fissure: Float32Array
    """Distance in mm to the nearest fissure, smooth across it."""


def build_lobes(axes: Axes, torso: Torso, lungs: tuple[Float32Array, Float32Array], wobble: Float32Array) -> Lobes:
    """Split both lungs: an oblique fissure on each side, a horizontal one in front on the right."""
    right_oblique = _oblique(axes, torso, top=0.73, bottom=0.10) + 2.0 * wobble
    left_oblique = _oblique(axes, torso, top=0.77, bottom=0.08) + 2.0 * wobble
    horizontal = _horizontal(axes, torso) + 2.0 * wobble
    right = np.where(right_oblique > 0, 3, np.where(horizontal > 0, 2, 1))
    left = np.where(left_oblique > 0, 5, 4)
    inside_right, inside_left = lungs[0] < 0, lungs[1] < 0
    lobe_map = np.where(inside_right, right, np.where(inside_left, left, 0)).astype(np.uint8)
    # The horizontal fissure ends at the oblique one.
    front = np.maximum(np.abs(horizontal), right_oblique)
    on_right = np.minimum(np.abs(right_oblique), front)
    _, _, x = axes.broadcast()
    fissure = np.where(x < torso.mediastinum_x_mm, on_right, np.abs(left_oblique))
    return Lobes(lobe_map=lobe_map, fissure=fissure.astype(np.float32))


def _oblique(axes: Axes, torso: Torso, *, top: float, bottom: float) -> Float32Array:
    """Positive behind and below a surface from high at the back to low at the front."""
    z, y, x = axes.broadcast()
    rise_mm, depth_mm = (top - bottom) * torso.lung_height_mm, 1.75 * torso.half_depth_mm
    middle_mm = torso.height_mm(0.5 * (top + bottom))
    length = float(np.hypot(rise_mm, depth_mm))
    slanted = (y * rise_mm - (z - middle_mm) * depth_mm) / length
    return np.asarray(slanted - 6.0 * np.cos(x / 45.0) + 3.0, dtype=np.float32)


def _horizontal(axes: Axes, torso: Torso) -> Float32Array:
    """Positive below a slightly domed surface at mid-height."""
    z, y, x = axes.broadcast()
    dome_mm = 8.0 * np.exp(-(((x + 75.0) / 60.0) ** 2 + ((y + 30.0) / 60.0) ** 2))
    return (np.float32(torso.height_mm(0.46)) + dome_mm - z).astype(np.float32)
