"""Made-up lesions set into the lungs of a given CT volume."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipeline.phantom.axes import Axes
from pipeline.phantom.kinetics import Course
from pipeline.phantom.lesions import LesionBody, lay_lesions
from pipeline.phantom.spread import LungSite, build_site, draw_lesions
from pipeline.study import Float32Array, Int16Array, UInt8Array, UInt16Array

_SITE_STEP_MM = 3.0
_TISSUE_BLUR_MM = 1.5
_NOISE_LIMIT_HU = 80.0
"""What is left of the scan's noise and finest vessels on top of a lesion."""
_DAYS = (2.0, 12.0)
"""A single picture is of one of these days: lesions have come and have not gone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Painted:
    """A volume with lesions in its lungs, and their truth; arrays (z, y, x)."""

    volume_hu: Int16Array
    lesion_labels: UInt16Array
    """0 or the number of a lesion, the same on all days."""
    lesion_kind: UInt8Array
    """0, 1 ground-glass, 2 consolidation."""


def paint_lesions(
    volume_hu: Int16Array,
    lung_mask: UInt8Array,
    spacing_mm: tuple[float, float, float],
    *,
    rng: np.random.Generator,
    course: Course,
) -> Painted:
    """Set lesions of one random day into lungs.

    The volume is (z, y, x) with z to the head, y to the back; nothing outside the mask changes and nothing gets darker.
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
    z_mm, y_mm, x_mm = (
        (np.arange(count) * mm).astype(np.float32) for count, mm in zip(lung_mask.shape, spacing_mm, strict=True)
    )
    axes = Axes(z_mm=z_mm, y_mm=y_mm, x_mm=x_mm)
    lesions = draw_lesions(_coarse_site(axes, lung_mask), course, rng)
    return tuple(_paint_day(volume_hu, lung_mask, axes, lesions, day=day) for day in days)


def _coarse_site(axes: Axes, lung_mask: UInt8Array) -> LungSite:
    z, y, x = (slice(None, None, max(1, round(_SITE_STEP_MM / float(step)))) for step in axes.step_mm)
    return build_site(axes.crop((z, y, x)), lung_mask[z, y, x] > 0)


def _paint_day(
    volume_hu: Int16Array, lung_mask: UInt8Array, axes: Axes, lesions: tuple[LesionBody, ...], *, day: float
) -> Painted:
    scanned = volume_hu.astype(np.float32)
    sigma = (0.0, *(_TISSUE_BLUR_MM / float(step) for step in axes.step_mm[1:]))
    tissue: Float32Array = ndimage.gaussian_filter(scanned, sigma)
    layer = lay_lesions(tissue.copy(), axes, lesions, day=day)
    inside = lung_mask > 0
    # Noise stays on top of the lesion; a vessel keeps its own density and is not added to the lesion's.
    noise = np.clip(scanned - tissue, -_NOISE_LIMIT_HU, _NOISE_LIMIT_HU)
    changed = inside & (layer.parenchyma_hu > tissue + 1.0)
    painted = np.where(changed, np.maximum(scanned, layer.parenchyma_hu + noise), scanned)
    return Painted(
        volume_hu=np.clip(np.rint(painted), -1024, 3071).astype(np.int16),
        lesion_labels=np.where(inside, layer.labels, 0).astype(np.uint16),
        lesion_kind=np.where(inside, layer.kind, 0).astype(np.uint8),
    )
