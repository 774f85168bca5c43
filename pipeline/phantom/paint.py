"""Made-up lesions set into the lungs of a given CT volume.

A voxel of a scan is a mixture of parenchyma, of what is denser (vessels, walls, the pleura's edge), and of air. Disease
changes the parenchyma alone, so a voxel changes by its share of parenchyma: vessels stay as they are and stay in sight
until the lung around them is as dense, bronchi stay open, and the noise of the scan stays on top.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from pipeline.phantom.axes import Axes
from pipeline.phantom.irregular import LungDisease, draw_grain, draw_rise
from pipeline.phantom.kinetics import Course
from pipeline.phantom.lesions import CONSOLIDATION, GROUND_GLASS
from pipeline.phantom.spread import LungSite, build_site, draw_lesions
from pipeline.study import BoolArray, Float32Array, Int16Array, UInt8Array, UInt16Array

NOT_KNOWN = 255
"""Lesion kind where a lesion is too faint for a reader to draw, or where nobody has looked."""

_SITE_STEP_MM = 3.0
_DAYS = (2.0, 12.0)
"""A single picture is of one of these days: lesions have come and have not gone."""

_DENSE_HU = 45.0
"""Blood without contrast medium; what is as dense as this holds no parenchyma."""

_AIR_HU = -1000.0
_VESSEL_RISE_HU = 110.0
"""A voxel this much denser than the lung around it is no sample of parenchyma."""

_BASE_BLUR_MM = 7.0
_QUIET_BLUR_PIXELS = 0.9
"""Takes the noise out of the share of parenchyma, else denser lung would be less noisy."""

_PLEURA_MM = 2.0
_SOLID_FROM_HU = -450.0
"""What stays less dense is ground glass."""

_NOISE_HU = 45.0
"""What is blurred away beyond this is no noise but a border."""

_SUBSLICE_MM = 2.5
"""A thick slice is the mean of lesions drawn about this finely."""

_POINT_SPREAD_MM = 0.7
"""Standard deviation in the plane: a full width of 1.6 mm, between soft and sharp kernels."""

FAINT_HU = 45.0
"""Rise of the lung's density below which readers do not draw a lesion."""

SEEN_HU = 90.0
"""Rise above which they would."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Painted:
    """A volume with lesions in its lungs, and their truth; arrays (z, y, x)."""

    volume_hu: Int16Array
    lesion_labels: UInt16Array
    """0 or the number of a lesion, the same on all days."""
    lesion_kind: UInt8Array
    """0, 1 ground-glass, 2 consolidation, NOT_KNOWN at faint borders, whose label is 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScannedLungs:
    """A scanned chest, its lungs taken apart; arrays (z, y, x)."""

    volume_hu: Float32Array
    lung_mask: UInt8Array
    axes: Axes
    parenchyma_hu: Float32Array
    """Smooth density of the lung between the vessels."""
    share: Float32Array
    """0..1, how much of each voxel is parenchyma; 0 outside the lungs and the 2 mm about them."""


def paint_lesions(
    volume_hu: Int16Array,
    lung_mask: UInt8Array,
    spacing_mm: tuple[float, float, float],
    *,
    rng: np.random.Generator,
    course: Course,
) -> Painted:
    """Set lesions of one random day into lungs.

    The volume is (z, y, x) with z to the head, y to the back; nothing more than 2 mm outside the mask changes and
    nothing gets darker.
    """
    day = float(rng.uniform(*_DAYS))
    days = [day - 14.0 if course is Course.ABSORPTION else day]
    return paint_lesions_over_time(volume_hu, lung_mask, spacing_mm, rng=rng, course=course, days=days)[0]


def paint_lesions_over_time(
    volume_hu: Int16Array,
    lung_mask: UInt8Array,
    spacing_mm: tuple[float, float, float],
    *,
    rng: np.random.Generator,
    course: Course,
    days: Sequence[float],
) -> tuple[Painted, ...]:
    """The same lungs on several days of one course of the disease."""
    lungs = take_apart(volume_hu, lung_mask, spacing_mm)
    lesions = draw_lesions(room_for_lesions(lungs), course, rng)
    disease = LungDisease(lesions=lesions, grain=draw_grain(rng))
    return tuple(paint_day(lungs, disease, day=day) for day in days)


def take_apart(
    volume_hu: Int16Array | Float32Array, lung_mask: UInt8Array, spacing_mm: tuple[float, float, float]
) -> ScannedLungs:
    """The lungs of a scan (z, y, x) as parenchyma and the rest."""
    scanned, inside = volume_hu.astype(np.float32), lung_mask > 0
    parenchyma_hu = _parenchyma(scanned, inside, spacing_mm)
    blurred = ndimage.gaussian_filter(scanned, (0.0, _QUIET_BLUR_PIXELS, _QUIET_BLUR_PIXELS))
    quiet = scanned + np.clip(blurred - scanned, -_NOISE_HU, _NOISE_HU)
    below_dense = (_DENSE_HU - quiet) / (_DENSE_HU - parenchyma_hu)
    above_air = (quiet - _AIR_HU) / (parenchyma_hu - _AIR_HU)
    # A mask ends where a voxel is half lung: the other half changes too.
    reach = np.ones([1, *(2 * max(1, round(_PLEURA_MM / mm)) + 1 for mm in spacing_mm[1:])], bool)
    share = np.clip(np.minimum(below_dense, above_air), 0.0, 1.0) * ndimage.binary_dilation(inside, reach)
    z_mm, y_mm, x_mm = (
        (np.arange(count) * mm).astype(np.float32) for count, mm in zip(scanned.shape, spacing_mm, strict=True)
    )
    return ScannedLungs(
        volume_hu=scanned,
        lung_mask=lung_mask,
        axes=Axes(z_mm=z_mm, y_mm=y_mm, x_mm=x_mm),
        parenchyma_hu=parenchyma_hu,
        share=share.astype(np.float32),
    )


def room_for_lesions(lungs: ScannedLungs) -> LungSite:
    """The lungs on a coarse grid, to place lesions in."""
    z, y, x = (slice(None, None, max(1, round(_SITE_STEP_MM / float(step)))) for step in lungs.axes.step_mm)
    return build_site(lungs.axes.crop((z, y, x)), lungs.lung_mask[z, y, x] > 0)


def with_parenchyma(lungs: ScannedLungs, parenchyma_hu: Float32Array) -> ScannedLungs:
    """The same lungs with another density between the vessels."""
    volume_hu = lungs.volume_hu + lungs.share * (parenchyma_hu - lungs.parenchyma_hu)
    return replace(lungs, volume_hu=volume_hu, parenchyma_hu=parenchyma_hu)


def paint_day(lungs: ScannedLungs, disease: LungDisease, *, day: float) -> Painted:
    """The lungs with the disease of one day."""
    parts = max(1, round(float(lungs.axes.step_mm[0]) / _SUBSLICE_MM))
    healthy_hu = np.repeat(lungs.parenchyma_hu, parts, axis=0)
    drawn = draw_rise(healthy_hu, _subsliced(lungs.axes, parts), disease, day=day)
    rise_hu, lesion_rise_hu = (_as_scanned(part, lungs.axes, parts) for part in (drawn.rise_hu, drawn.lesion_rise_hu))
    room_hu = np.maximum(_DENSE_HU - lungs.parenchyma_hu, 0.0)
    painted = lungs.volume_hu + lungs.share * np.clip(rise_hu, _AIR_HU - lungs.parenchyma_hu, room_hu)
    kind = _scanned_kind(drawn.kind, parts, lesion_rise_hu) * (lungs.lung_mask > 0)
    kind[(kind == CONSOLIDATION) & (lungs.parenchyma_hu + rise_hu < _SOLID_FROM_HU)] = GROUND_GLASS
    labels = drawn.labels.reshape(-1, parts, *drawn.labels.shape[1:]).max(axis=1)
    return Painted(
        volume_hu=np.clip(np.rint(painted), -1024, 3071).astype(np.int16),
        lesion_labels=np.where((kind > 0) & (kind != NOT_KNOWN), labels, 0).astype(np.uint16),
        lesion_kind=kind,
    )


def _parenchyma(scanned: Float32Array, inside: BoolArray, spacing_mm: tuple[float, float, float]) -> Float32Array:
    """Mean of the lung's own voxels nearby; vessels, walls and opacities are left out."""
    if not inside.any():
        return np.full(scanned.shape, -850.0, np.float32)
    typical = float(np.percentile(scanned[inside], 35))
    sparse = scanned[:, ::2, ::2]
    sigma = [_BASE_BLUR_MM / spacing_mm[0], *(_BASE_BLUR_MM / mm / 2.0 for mm in spacing_mm[1:])]
    base = np.full(sparse.shape, typical, np.float32)
    for _ in range(2):
        lung = (inside[:, ::2, ::2] & (np.abs(sparse - base) < _VESSEL_RISE_HU)).astype(np.float32)
        weight = ndimage.gaussian_filter(lung, sigma) + np.float32(0.02)
        base = typical + ndimage.gaussian_filter(lung * (sparse - typical), sigma) / weight
    grown = np.repeat(np.repeat(base, 2, axis=1), 2, axis=2)[:, : scanned.shape[1], : scanned.shape[2]]
    return np.asarray(np.clip(ndimage.uniform_filter(grown, (1, 3, 3)), -985.0, -500.0), dtype=np.float32)


def _subsliced(axes: Axes, parts: int) -> Axes:
    """Each slice cut into `parts` thinner ones."""
    step = float(axes.step_mm[0]) / parts
    offset = 0.5 * (parts - 1) * step
    z_mm = axes.z_mm[0] - offset + np.arange(axes.z_mm.size * parts) * step
    return Axes(z_mm=z_mm.astype(np.float32), y_mm=axes.y_mm, x_mm=axes.x_mm)


def _as_scanned(rise_hu: Float32Array, axes: Axes, parts: int) -> Float32Array:
    """Averaged over the thickness of a slice, blurred in the plane."""
    thick = rise_hu.reshape(-1, parts, *rise_hu.shape[1:]).mean(axis=1)
    sigma = (0.0, *(_POINT_SPREAD_MM / float(step) for step in axes.step_mm[1:]))
    return np.asarray(ndimage.gaussian_filter(thick, sigma), dtype=np.float32)


def _scanned_kind(fine_kind: UInt8Array, parts: int, lesion_rise_hu: Float32Array) -> UInt8Array:
    """Kind of what fills half a slice; not known where a reader would have to guess."""
    slabs = fine_kind.reshape(-1, parts, *fine_kind.shape[1:])
    kind = np.where(2 * (slabs > 0).sum(axis=1) >= parts, GROUND_GLASS, 0).astype(np.uint8)
    kind[2 * (slabs == CONSOLIDATION).sum(axis=1) >= parts] = CONSOLIDATION
    kind[(kind > 0) & (lesion_rise_hu < FAINT_HU)] = NOT_KNOWN
    kind[(kind == 0) & (lesion_rise_hu > SEEN_HU)] = NOT_KNOWN
    return kind
