"""Ribs, clavicles, spine, sternum and shoulder blades of one patient."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.axes import Axes
from pipeline.phantom.shapes import smooth_union
from pipeline.phantom.torso import Torso
from pipeline.phantom.tubes import Tubes, join_tubes, tubes_along
from pipeline.study import Float32Array, Float64Array

_RIB_PAIRS = 12
_RIB_FLATNESS = 1.75


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bones:
    """The skeleton of the chest."""

    ribs: Tubes
    cartilage: Tubes
    clavicles: Tubes
    solid: Float32Array
    """Spine, sternum and shoulder blades as a solid on the coarse grid."""


def build_bones(axes: Axes, torso: Torso, cavity: Float32Array) -> Bones:
    """The skeleton around a rib cage."""
    ribs, cartilage = [], []
    for number in range(_RIB_PAIRS):
        for side in (-1.0, 1.0):
            bone, tip = _rib(torso, number, side)
            ribs.append(bone)
            cartilage.append(tip)
    solid = np.minimum(np.minimum(_spine(axes, torso), _sternum(axes, torso)), _shoulder_blades(axes, torso, cavity))
    return Bones(ribs=join_tubes(ribs), cartilage=join_tubes(cartilage), clavicles=_clavicles(torso), solid=solid)


def _rib(torso: Torso, number: int, side: float) -> tuple[Tubes, Tubes]:
    """Bone and cartilage of one rib: from the spine around the cage, falling towards the front."""
    head = torso.height_mm(0.985 - 0.082 * number)
    reach = min(1.0, 0.80 + 0.05 * number) if number < 7 else 1.0 - 0.11 * (number - 6)
    turn = np.linspace(0.0, reach, 30)
    fall_mm = (0.10 + 0.22 * min(number, 7) / 7.0) * torso.lung_height_mm
    z_mm = head - fall_mm * (turn * turn * (3.0 - 2.0 * turn)) * 0.9 - 0.05 * torso.lung_height_mm * turn
    angle = np.radians(68.0 - 142.0 * turn)
    points = _on_cage(torso, z_mm, angle, side)
    bony = 22 if number < 10 else 30
    bone = tubes_along(points[:bony], 3.3, _RIB_FLATNESS)
    return bone, tubes_along(points[bony - 1 :] if number < 10 else points[-2:], 3.4, _RIB_FLATNESS)


def _on_cage(torso: Torso, z_mm: Float64Array, angle: Float64Array, side: float) -> Float64Array:
    """Points in the wall of the rib cage at angles from the side: positive to the back, negative to the front."""
    z32 = z_mm.astype(np.float32)
    width, depth = torso.half_widths_mm(z32) + 5.5, torso.half_depths_mm(z32) + 5.5
    cosine, sine = np.cos(angle), np.sin(angle)
    radius = (np.abs(cosine / width) ** 2.4 + np.abs(sine / depth) ** 2.4) ** (-1.0 / 2.4)
    y_mm = torso.centres_y_mm(z32) + radius * sine
    return np.stack([z_mm, y_mm, side * radius * cosine], axis=1)


def _clavicles(torso: Torso) -> Tubes:
    z = torso.height_mm
    chains = []
    for side in (-1.0, 1.0):
        points = [
            (z(0.84), -0.42 * torso.half_depth_mm, side * 20.0),
            (z(0.90), -0.48 * torso.half_depth_mm, side * 55.0),
            (z(0.97), -0.20 * torso.half_depth_mm, side * 95.0),
            (z(1.04), 0.05 * torso.half_depth_mm, side * 130.0),
        ]
        chains.append(tubes_along(np.array(points), 5.5))
    return join_tubes(chains)


def _spine(axes: Axes, torso: Torso) -> Float32Array:
    z, y, x = axes.broadcast()
    y = y - torso.spine_y_mm(axes.z_mm)[:, None, None]
    x = x - np.float32(0.3 * torso.mediastinum_x_mm)
    level_mm = torso.lung_height_mm * 0.082
    phase = np.abs(np.mod(z, level_mm) / level_mm - 0.5)
    body = np.sqrt((x / 17.5) ** 2 + (y / 14.5) ** 2) * 14.5 - (14.0 - 1.5 * np.cos(2 * np.pi * phase))
    disc = (phase - 0.40) * level_mm
    body = np.maximum(body, disc)
    arch = np.abs(np.sqrt((x / 1.15) ** 2 + (y - 22.0) ** 2) - 11.5) - 2.6
    arch = np.maximum(arch, (0.20 - phase) * level_mm)
    spinous = np.maximum(np.abs(x) - 3.2, np.abs(y - 39.0) - 12.0)
    spinous = np.maximum(spinous, (np.abs(np.mod(z + 0.8 * y, level_mm) / level_mm - 0.5) - 0.27) * level_mm)
    across = np.sqrt((y - 20.0 - 0.28 * np.abs(x)) ** 2 + ((0.5 - phase) * level_mm) ** 2) - 5.2
    across = np.maximum(np.maximum(across, np.abs(x) - 33.0), 11.0 - np.abs(x))
    joined = smooth_union(body.astype(np.float32), arch.astype(np.float32), 3.0)
    return np.asarray(np.minimum(np.minimum(joined, spinous), across), dtype=np.float32)


def _sternum(axes: Axes, torso: Torso) -> Float32Array:
    z, y, x = axes.broadcast()
    share = z / torso.lung_height_mm + 0.5
    front = torso.centres_y_mm(axes.z_mm)[:, None, None] - torso.half_depths_mm(axes.z_mm)[:, None, None]
    width = 15.0 + 9.0 * np.clip((share - 0.66) / 0.1, 0.0, 1.0)
    plate = np.sqrt((x / width) ** 2 + ((y - front + 9.0) / 5.6) ** 2) * 5.6 - 5.6
    ends = np.maximum(share - 0.82, 0.25 - share) * torso.lung_height_mm
    return np.asarray(np.maximum(plate, ends), dtype=np.float32)


def _shoulder_blades(axes: Axes, torso: Torso, cavity: Float32Array) -> Float32Array:
    """A thin plate in each shoulder's muscles, parallel to the rib cage, with its spine."""
    z, y, x = axes.broadcast()
    share, angle = z / torso.lung_height_mm + 0.5, np.degrees(np.arctan2(y, np.abs(x)))
    plate = np.abs(cavity - 19.0) - 2.3
    outline = np.maximum(np.abs(angle - 36.0) - 8.0 - 18.0 * np.clip(share - 0.5, 0.0, 0.5) * 2.0, 0.0) * 2.0
    height = np.maximum(share - 0.98, 0.52 - share) * torso.lung_height_mm
    return np.asarray(np.maximum(np.maximum(plate, outline - 1.0), height), dtype=np.float32)
