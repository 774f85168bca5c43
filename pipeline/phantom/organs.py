"""The soft organs of one patient as solids on the coarse grid: trunk, mediastinum, heart, lungs, upper abdomen."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.axes import Axes
from pipeline.phantom.shapes import (
    Point,
    capsule,
    ellipsoid,
    path_tube,
    smooth_cut,
    smooth_union,
    true_distance,
)
from pipeline.phantom.torso import ATLAS_STEP_MM, Torso
from pipeline.study import Float32Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trunk:
    """Outline of the body, from the skin to the inner rib cage."""

    body: Float32Array
    muscle: Float32Array
    cavity: Float32Array
    """Inner surface of the rib cage, closed at the apex, open below."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mediastinum:
    """What lies between the lungs."""

    blood: Float32Array
    """Heart and great vessels."""
    soft: Float32Array
    """Other soft tissue: oesophagus, thymus, nodes, the tissue along the spine."""
    space: Float32Array
    """All of it with its fat; no lung in here."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Abdomen:
    """Organs below the diaphragm."""

    liver: Float32Array
    spleen: Float32Array
    stomach: Float32Array
    stomach_gas: Float32Array


def build_trunk(axes: Axes, torso: Torso, wobble: Float32Array) -> Trunk:
    """The trunk; wobble (z, y, x), standard deviation 1, makes the surfaces irregular."""
    _, y, x = axes.broadcast()
    width = torso.half_widths_mm(axes.z_mm)[:, None, None]
    depth = torso.half_depths_mm(axes.z_mm)[:, None, None]
    y0 = torso.centres_y_mm(axes.z_mm)[:, None, None]
    cavity = true_distance(_ring(y - y0, x, width, depth) + 0.8 * wobble, ATLAS_STEP_MM)
    # Above the apex the cavity is gone, and its distance would no longer tell the wall's thickness.
    outer_width, outer_depth = (
        np.maximum(width, 0.72 * torso.half_width_mm),
        np.maximum(depth, 0.74 * torso.half_depth_mm),
    )
    outside = true_distance(_ring(y - 0.7 * y0, x, outer_width, outer_depth), ATLAS_STEP_MM)
    muscle_mm = _muscle_thickness(axes, torso)
    muscle = outside - muscle_mm + 0.7 * wobble
    body = smooth_union(outside - muscle_mm - torso.fat_mm * _fat_share(y, x, torso), _breasts(axes, torso), 22.0)
    return Trunk(body=body, muscle=muscle, cavity=cavity)


def build_mediastinum(axes: Axes, torso: Torso) -> Mediastinum:
    """Heart, great vessels, oesophagus, and the space they lie in."""
    heart = _heart(axes, torso)
    vessels = _great_vessels(axes, torso)
    blood = smooth_union(heart, vessels, 5.0)
    esophagus = path_tube(
        axes,
        [torso.before_spine(share, 25.0, x) for share, x in ((-0.2, 14.0), (0.3, 8.0), (0.6, 5.0), (1.1, 4.0))],
        7.0,
    )
    soft = np.minimum(esophagus, _thymus(axes, torso))
    space = smooth_union(heart - 4.0, vessels - 3.5, 9.0)
    space = smooth_union(space, _midline(axes, torso), 9.0)
    space = smooth_union(space, esophagus - 3.0, 6.0)
    return Mediastinum(blood=blood, soft=soft, space=space)


def build_lungs(axes: Axes, torso: Torso, trunk: Trunk, mediastinum: Mediastinum) -> tuple[Float32Array, Float32Array]:
    """Right lung and left lung."""
    _, _, x = axes.broadcast()
    both = smooth_cut(trunk.cavity + 1.5, -mediastinum.space, 6.0)
    both = smooth_cut(both, diaphragm(axes, torso), 4.0)
    middle = np.float32(torso.mediastinum_x_mm)
    right, left = np.maximum(both, x - middle), np.maximum(both, middle - x)
    return true_distance(right, ATLAS_STEP_MM), true_distance(left, ATLAS_STEP_MM)


def diaphragm(axes: Axes, torso: Torso) -> Float32Array:
    """The two domes: negative above them, positive below."""
    z, y, x = axes.broadcast()
    right = _dome(y + 6.0, x + 0.52 * torso.half_width_mm, torso)
    left = _dome(y + 2.0, x - 0.54 * torso.half_width_mm, torso)
    right = np.float32(torso.height_mm(torso.right_dome)) - right
    left = np.float32(torso.height_mm(torso.left_dome)) - left
    top = -smooth_union(-right, -left, 14.0)
    return true_distance((top - z).astype(np.float32), ATLAS_STEP_MM)


def build_abdomen(axes: Axes, torso: Torso, trunk: Trunk) -> Abdomen:
    """Liver on the right and across the midline, stomach and spleen on the left."""
    z, _, x = axes.broadcast()
    inside = smooth_cut(trunk.cavity + 4.0, -diaphragm(axes, torso) + 2.5, 5.0)
    low = torso.height_mm(0.0)
    # The left lobe tapers to the left and ends above the stomach.
    slope = np.broadcast_to(
        np.float32(0.8) * (x - np.float32(0.62) * (z - np.float32(low)) - np.float32(2.0)), inside.shape
    )
    edge = true_distance(slope, ATLAS_STEP_MM)
    liver = smooth_cut(inside, edge, 12.0)
    spleen_y, stomach_y = 0.50 * torso.half_depth_mm, -0.28 * torso.half_depth_mm
    side = 0.62 * torso.half_width_mm
    spleen = np.maximum(ellipsoid(axes, (low - 8.0, spleen_y, side + 8.0), (55.0, 30.0, 34.0)), inside)
    stomach = np.maximum(ellipsoid(axes, (low - 2.0, stomach_y, side - 14.0), (60.0, 42.0, 40.0)), inside + 1.0)
    stomach = np.maximum(np.maximum(stomach, -liver + 2.0), -spleen + 4.0)
    y = axes.broadcast()[1]
    gas = np.maximum(stomach + 4.0, y - np.float32(stomach_y - 8.0))
    return Abdomen(liver=liver, spleen=spleen, stomach=stomach, stomach_gas=gas)


def _ring(y: Float32Array, x: Float32Array, width: Float32Array, depth: Float32Array) -> Float32Array:
    power = 2.4
    scaled = (np.abs(x) / width) ** power + (np.abs(y) / depth) ** power
    return ((scaled ** (1.0 / power) - 1.0) * depth).astype(np.float32)


def _bump(share: Float32Array, centre: float, width: float) -> Float32Array:
    return np.asarray(np.exp(-(((share - centre) / width) ** 2)), dtype=np.float32)


def _muscle_thickness(axes: Axes, torso: Torso) -> Float32Array:
    z, y, x = axes.broadcast()
    share, angle = z / torso.lung_height_mm + 0.5, np.arctan2(y, np.abs(x)).astype(np.float32)
    pectoral = 17.0 * _bump(angle, -0.95, 0.38) * _bump(share, 0.75, 0.24)
    serratus = 13.0 * _bump(angle, 0.15, 0.40) * _bump(share, 0.45, 0.35)
    shoulder = 26.0 * _bump(angle, 0.72, 0.42) * _bump(share, 0.86, 0.30)
    spinal = 19.0 * _bump(angle, 1.36, 0.28)
    return np.asarray(10.0 + np.float32(torso.muscle) * (pectoral + serratus + shoulder + spinal), dtype=np.float32)


def _fat_share(y: Float32Array, x: Float32Array, torso: Torso) -> Float32Array:
    angle = np.arctan2(y, np.abs(x)).astype(np.float32)
    # Over the sternum the skin lies close to the bone.
    return np.asarray(1.0 - 0.45 * _bump(angle, -1.57, 0.30), dtype=np.float32)


def _breasts(axes: Axes, torso: Torso) -> Float32Array:
    z_mm, y_mm = torso.height_mm(0.38), -torso.half_depth_mm - 8.0
    side = 0.55 * torso.half_width_mm
    size = torso.breast_mm + 1.0
    pair = [ellipsoid(axes, (z_mm, y_mm, x), (55.0, 16.0 + size, 62.0)) for x in (-side, side)]
    # Too far away to show: smooth_union then leaves the chest as it is.
    far = np.float32(500.0 if torso.breast_mm == 0.0 else 0.0)
    return np.minimum(pair[0], pair[1]) + far


def _dome(y: Float32Array, x: Float32Array, torso: Torso) -> Float32Array:
    depth = np.where(y > 0, 0.98 * torso.half_depth_mm, 1.22 * torso.half_depth_mm)
    squared = (x / (0.60 * torso.half_width_mm)) ** 2 + (y / depth) ** 2
    return (66.0 * np.minimum(squared, 4.0) ** 1.25).astype(np.float32)


def _heart(axes: Axes, torso: Torso) -> Float32Array:
    size, shift = torso.heart, torso.mediastinum_x_mm

    def chamber(centre: Point, radii: Point) -> Float32Array:
        place = (torso.height_mm(0.5) + centre[0], centre[1] - 4.0, centre[2] * size + shift + 3.0)
        return ellipsoid(axes, place, (radii[0] * size, radii[1] * size, radii[2] * size))

    right_atrium = chamber((-44.0, -18.0, -14.0), (44.0, 31.0, 29.0))
    right_ventricle = chamber((-52.0, -42.0, 12.0), (40.0, 28.0, 40.0))
    left_ventricle = chamber((-50.0, -20.0, 42.0), (36.0, 33.0, 37.0))
    apex = chamber((-58.0, -38.0, 58.0), (26.0, 24.0, 26.0))
    left_atrium = chamber((-14.0, 14.0, 6.0), (24.0, 20.0, 32.0))
    heart = smooth_union(right_atrium, right_ventricle, 14.0)
    heart = smooth_union(heart, left_ventricle, 12.0)
    heart = smooth_union(heart, apex, 20.0)
    return smooth_union(heart, left_atrium, 8.0)


def _great_vessels(axes: Axes, torso: Torso) -> Float32Array:
    shift = torso.mediastinum_x_mm
    z = torso.height_mm

    def at(share: float, y: float, x: float) -> Point:
        return (z(share), y, x + shift)

    before = torso.before_spine
    ascending = path_tube(axes, [at(0.46, -22.0, 0.0), at(0.60, -24.0, -12.0), at(0.68, -18.0, -6.0)], 16.0)
    arch = path_tube(
        axes, [at(0.68, -18.0, -6.0), at(0.725, -4.0, 6.0), before(0.70, 28.0, 20.0), before(0.62, 16.0, 25.0)], 13.0
    )
    descending = path_tube(axes, [before(0.62, 16.0, 25.0), before(0.30, 20.0, 24.0), before(-0.3, 26.0, 12.0)], 11.5)
    trunk = path_tube(axes, [at(0.46, -38.0, 20.0), at(0.56, -26.0, 20.0), before(0.57, 44.0, 20.0)], 13.5)
    right_artery = path_tube(
        axes, [before(0.56, 46.0, 16.0), before(0.545, 42.0, -24.0), before(0.52, 34.0, -46.0)], 10.0
    )
    left_artery = path_tube(axes, [before(0.57, 44.0, 20.0), before(0.58, 34.0, 40.0), before(0.54, 24.0, 50.0)], 10.0)
    upper_cava = path_tube(axes, [at(0.45, -8.0, -24.0), at(0.68, -10.0, -27.0), at(0.84, -2.0, -22.0)], 9.0)
    lower_cava = path_tube(axes, [at(0.32, -4.0, -18.0), before(-0.2, 38.0, -22.0)], 11.0)
    branches = [
        path_tube(axes, [at(0.71, -16.0, -6.0), at(0.82, -2.0, -14.0), before(1.12, 34.0, -22.0)], 5.0),
        path_tube(axes, [at(0.72, -8.0, 3.0), at(0.85, 4.0, 12.0), before(1.12, 34.0, 22.0)], 4.0),
        path_tube(axes, [before(0.72, 38.0, 14.0), before(0.90, 26.0, 26.0), before(0.99, 26.0, 60.0)], 4.8),
        path_tube(axes, [at(0.80, -16.0, -24.0), at(0.76, -26.0, 0.0), at(0.84, -12.0, 24.0)], 6.0),
    ]
    tubes = [ascending, arch, descending, trunk, right_artery, left_artery, upper_cava, lower_cava, *branches]
    joined = tubes[0]
    for tube in tubes[1:]:
        joined = smooth_union(joined, tube, 3.0)
    return joined


def _thymus(axes: Axes, torso: Torso) -> Float32Array:
    nodes = [
        torso.before_spine(0.585, 30.0, 2.0),
        torso.before_spine(0.66, 36.0, -18.0),
        torso.before_spine(0.63, 40.0, 22.0),
    ]
    pieces = [ellipsoid(axes, node, (7.0, 4.0, 6.0)) for node in nodes]
    return np.minimum(np.minimum(pieces[0], pieces[1]), pieces[2])


def _midline(axes: Axes, torso: Torso) -> Float32Array:
    z, y, x = axes.broadcast()
    x = x - np.float32(torso.mediastinum_x_mm)
    share = z / torso.lung_height_mm + 0.5
    spine_y = torso.spine_y_mm(axes.z_mm)[:, None, None]
    spine = np.sqrt((x / 25.0) ** 2 + (np.maximum(spine_y - y, 0.0) / 21.0) ** 2) * 21.0 - 21.0
    # The lungs meet behind the sternum in a thin septum, thicker at the top where the great veins cross.
    half_mm = 4.0 + 20.0 * np.clip((share - 0.58) / 0.2, 0.0, 1.0) + 14.0 * np.clip((0.30 - share) / 0.2, 0.0, 1.0)
    septum = np.maximum(np.abs(x + 0.02 * z) - half_mm, y - spine_y)
    front = torso.centres_y_mm(axes.z_mm)[:, None, None] - torso.half_depths_mm(axes.z_mm)[:, None, None]
    upper = np.sqrt((x / 31.0) ** 2 + ((y - front - 34.0) / 36.0) ** 2) * 31.0 - 31.0 * np.clip(
        (share - 0.5) / 0.2, 0.0, 1.0
    )
    joined = smooth_union(spine.astype(np.float32), septum.astype(np.float32), 10.0)
    hilum = np.minimum(
        capsule(axes, torso.before_spine(0.55, 38.0, 0.0), torso.before_spine(0.50, 34.0, -44.0), 11.0),
        capsule(axes, torso.before_spine(0.55, 38.0, 0.0), torso.before_spine(0.51, 28.0, 48.0), 11.0),
    )
    return smooth_union(smooth_union(joined, upper.astype(np.float32), 8.0), hilum, 10.0)
