"""Airways, arteries and veins that fill the lobes of the lungs."""

from dataclasses import dataclass

import numpy as np

from pipeline.phantom.axes import Axes
from pipeline.phantom.torso import Torso
from pipeline.phantom.tubes import Tubes, join_tubes, tubes_along
from pipeline.study import BoolArray, Float64Array, UInt8Array

_MURRAY = 1.0 / 3.0
"""Radius grows with the number of ends supplied to this power (Murray 1926)."""
_END_RADIUS_MM = 0.43
"""Of the last branch drawn, about the 14th generation."""
_ARTERY_MM3, _VEIN_MM3 = 800.0, 1100.0
"""Volume that one end supplies: a little less than a secondary lobule of 1 cm."""
_SMALLEST_SHOWN_MM, _SMALLEST_MM = 0.75, 0.5
"""Lumen of the smallest bronchi that show in aerated and in consolidated lung."""
_FORWARD_SHARE = 0.42
"""How far a branch runs towards the middle of what it supplies (Tawhai et al. 2000)."""

LOBES = ("right upper", "right middle", "right lower", "left upper", "left lower")
"""Lobe n of the lobe map is LOBES[n - 1]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LungTrees:
    """All tubes in and towards the lungs."""

    vessels: Tubes
    central_airways: Tubes
    """Lumen of the trachea and main bronchi, which lie outside the lungs."""
    airways: Tubes
    """Lumen of the bronchi of the lobes."""
    twigs: Tubes
    """Lumen of smaller bronchi, which shows in consolidated lung only."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Branch:
    start_mm: Float64Array
    ends_mm: Float64Array
    """Points this branch supplies."""


def grow_trees(axes: Axes, torso: Torso, lobes: UInt8Array, rng: np.random.Generator) -> LungTrees:
    """Trees for a lobe map on a grid; the lobes must be eroded where vessels end before the pleura."""
    vessels, airways, twigs = [], [], []
    for lobe in range(1, len(LOBES) + 1):
        inside = lobes == lobe
        ends = _draw_points(axes, inside, rng, volume_per_point_mm3=_ARTERY_MM3)
        if len(ends) < 2:
            continue
        artery, airway = _artery_with_airway(torso, lobe, ends, rng)
        vein_ends = _draw_points(axes, inside, rng, volume_per_point_mm3=_VEIN_MM3)
        vessels += [artery, _fill(_vein_root(torso, lobe), vein_ends, rng)]
        airways.append(airway.keep(airway.radius_mm >= _SMALLEST_SHOWN_MM))
        twigs.append(airway.keep(airway.radius_mm < _SMALLEST_SHOWN_MM))
    return LungTrees(
        vessels=join_tubes(vessels),
        central_airways=_central_airways(torso),
        airways=join_tubes(airways),
        twigs=join_tubes(twigs),
    )


def _central_airways(torso: Torso) -> Tubes:
    before = torso.before_spine
    carina = before(0.60, 36.0, 0.0)
    trachea = np.array([before(1.20, 34.0, 0.0), before(0.85, 37.0, 1.0), carina])
    right = np.array([carina, before(0.545, 33.0, -22.0), before(0.51, 31.0, -36.0)])
    left = np.array([carina, before(0.55, 32.0, 24.0), before(0.515, 28.0, 42.0)])
    return join_tubes([tubes_along(trachea, 8.2), tubes_along(right, 6.4), tubes_along(left, 5.6)])


def _airway_root(torso: Torso, lobe: int) -> Float64Array:
    points = {
        1: torso.before_spine(0.56, 33.0, -28.0),
        2: torso.before_spine(0.49, 36.0, -38.0),
        3: torso.before_spine(0.48, 28.0, -38.0),
        4: torso.before_spine(0.53, 31.0, 42.0),
        5: torso.before_spine(0.49, 24.0, 42.0),
    }
    return np.array(points[lobe])


def _vein_root(torso: Torso, lobe: int) -> Float64Array:
    side = -24.0 if lobe <= 3 else 36.0
    low = lobe in (3, 5)
    return np.array(torso.before_spine(0.42 if low else 0.47, 38.0 if low else 50.0, side))


def _artery_with_airway(
    torso: Torso, lobe: int, ends_mm: Float64Array, rng: np.random.Generator
) -> tuple[Tubes, Tubes]:
    airway = _fill(_airway_root(torso, lobe), ends_mm, rng)
    # An artery runs beside its bronchus, on the outer upper side, and is about as wide.
    outward = np.array([0.55, -0.25, -0.8 if lobe <= 3 else 0.8])
    start_gap, end_gap = _node_gap(airway)
    artery = Tubes(
        start_mm=airway.start_mm + start_gap * outward,
        end_mm=airway.end_mm + end_gap * outward,
        radius_mm=airway.radius_mm,
    )
    return artery, airway.widened(-0.1).thicker_than(_SMALLEST_MM)


def _node_gap(tubes: Tubes) -> tuple[Float64Array, Float64Array]:
    """Distance of a companion at the start and end of each piece, the same for all pieces that meet at a point."""
    gap: dict[tuple[float, ...], float] = {}
    for point, radius in zip(tubes.end_mm, tubes.radius_mm, strict=True):
        gap[tuple(point)] = 2.1 * float(radius) + 0.6
    starts = [gap.get(tuple(point), 2.1 * float(tubes.radius_mm[0])) for point in tubes.start_mm]
    ends = [gap[tuple(point)] for point in tubes.end_mm]
    return np.array(starts)[:, None], np.array(ends)[:, None]


def _draw_points(
    axes: Axes, inside: BoolArray, rng: np.random.Generator, *, volume_per_point_mm3: float
) -> Float64Array:
    voxels = np.argwhere(inside)
    wanted = int(len(voxels) * float(np.prod(axes.step_mm)) / volume_per_point_mm3)
    chosen = voxels[rng.choice(len(voxels), size=min(wanted, len(voxels)), replace=False)] if len(voxels) else voxels
    return axes.origin_mm + (chosen + rng.uniform(-0.5, 0.5, chosen.shape)) * axes.step_mm


def _fill(root_mm: Float64Array, ends_mm: Float64Array, rng: np.random.Generator) -> Tubes:
    """A tree from the root to all ends: halve what a branch supplies, walk part of the way to each half."""
    starts, stops, supplied = [], [], []
    queue = [_Branch(start_mm=root_mm, ends_mm=ends_mm)]
    while queue:
        branch = queue.pop()
        count = len(branch.ends_mm)
        middle = branch.ends_mm.mean(axis=0)
        stop = middle if count == 1 else branch.start_mm + _FORWARD_SHARE * (middle - branch.start_mm)
        bend = branch.start_mm + 0.5 * (stop - branch.start_mm)
        bend = bend + rng.normal(0.0, 0.07, 3) * float(np.linalg.norm(stop - branch.start_mm))
        starts += [branch.start_mm, bend]
        stops += [bend, stop]
        supplied += [count, count]
        if count > 1:
            queue += [_Branch(start_mm=stop, ends_mm=half) for half in _halves(branch.ends_mm, stop - branch.start_mm)]
    radius = _END_RADIUS_MM * np.array(supplied, dtype=np.float64) ** _MURRAY
    return Tubes(start_mm=np.array(starts), end_mm=np.array(stops), radius_mm=radius)


def _halves(ends_mm: Float64Array, along: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Split points at their median across the direction, other than the branch's own, in which they spread most."""
    centred = ends_mm - ends_mm.mean(axis=0)
    along = along / max(float(np.linalg.norm(along)), 1e-6)
    flat = centred - np.outer(centred @ along, along)
    spread = np.linalg.eigh(flat.T @ flat)[1][:, -1]
    order = np.argsort(centred @ spread)
    cut = len(order) // 2
    return ends_mm[order[:cut]], ends_mm[order[cut:]]
