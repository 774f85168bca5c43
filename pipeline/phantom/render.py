"""A study of a phantom patient on one day."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from pipeline.findings import LesionKind
from pipeline.phantom.lesions import CONSOLIDATION
from pipeline.phantom.patient import PhantomPatient
from pipeline.phantom.pose import Posed, pose
from pipeline.phantom.reconstruction import reconstruct
from pipeline.phantom.scan import Scan
from pipeline.phantom.scan_frame import ScanFrame
from pipeline.phantom.tissue import Slab, render_slab
from pipeline.study import Float32Array, Int16Array, UInt8Array, UInt16Array

_VOXELS_AT_ONCE = 1_000_000
_THICK_MM = 1.6
"""Slices above this are averaged from three thin ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionTruth:
    """One lesion as it truly is in one study."""

    number: int
    """Its value in `PhantomStudy.lesion_labels`, the same in all studies of the patient."""
    kind: LesionKind
    """What most of it consists of."""
    volume_ml: float
    centre_lps_mm: tuple[float, float, float]
    """x, y, z of its centre of mass."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhantomStudy:
    """One CT volume with its truth; arrays (z, y, x): z to the head, y to the back, x to the patient's left."""

    volume_hu: Int16Array
    spacing_mm: tuple[float, float, float]
    """z, y, x."""
    origin_lps_mm: tuple[float, float, float]
    """x, y, z of the centre of voxel [0, 0, 0]."""
    lung_mask: UInt8Array
    """0, RIGHT_LUNG, LEFT_LUNG; with vessels and lesions, consolidation included."""
    lesion_labels: UInt16Array
    lesion_kind: UInt8Array
    """0, 1 ground-glass, 2 consolidation."""
    lesions: tuple[LesionTruth, ...]
    """Those that show on this day, by number."""
    day: float
    scan: Scan
    frame: ScanFrame
    """Where each point of the scan lies in the anatomy."""


def render_study(patient: PhantomPatient, day: float, *, scan: Scan) -> PhantomStudy:
    """Scan a patient on a day; the same arguments give the same voxels."""
    (study,) = render_reconstructions(patient, day, scans=(scan,))
    return study


def render_reconstructions(patient: PhantomPatient, day: float, *, scans: Sequence[Scan]) -> tuple[PhantomStudy, ...]:
    """Scan a patient on a day once and reconstruct that in several ways, each as `render_study` gives it.

    Args:
        patient: Who is scanned.
        day: Counted from the first day of symptoms.
        scans: They differ in nothing but kernel and noise.
    """
    scan = scans[0]
    z_mm = _slice_positions(patient, scan)
    across = (np.arange(scan.matrix, dtype=np.float32) - 0.5 * (scan.matrix - 1)) * scan.in_plane_spacing_mm
    posed = pose(patient, day, scan)
    frame = ScanFrame(apex_mm=patient.torso.height_mm(1.0), scan=scan, deformation=posed.deformation)
    at_once = max(6, _VOXELS_AT_ONCE // scan.matrix**2)
    slabs = [
        _render_slices(posed, day, frame, (z_mm[first : first + at_once], across))
        for first in range(0, len(z_mm), at_once)
    ]
    ideal_hu = np.concatenate([slab.volume_hu for slab in slabs])
    labels = np.concatenate([slab.lesion_labels for slab in slabs])
    kind = np.concatenate([slab.lesion_kind for slab in slabs])
    spacing_mm = (scan.slice_spacing_mm, scan.in_plane_spacing_mm, scan.in_plane_spacing_mm)
    origin_lps_mm = (float(across[0]), float(across[0]), float(z_mm[0]))
    study = PhantomStudy(
        volume_hu=_picture(ideal_hu, scan),
        spacing_mm=spacing_mm,
        origin_lps_mm=origin_lps_mm,
        lung_mask=np.concatenate([slab.lung_mask for slab in slabs]),
        lesion_labels=labels,
        lesion_kind=kind,
        lesions=measure_lesions(labels, kind, spacing_mm, origin_lps_mm),
        day=day,
        scan=scan,
        frame=frame,
    )
    others = [
        replace(study, volume_hu=_picture(ideal_hu, other), scan=other, frame=replace(frame, scan=other))
        for other in scans[1:]
    ]
    return (study, *others)


def measure_lesions(
    labels: UInt16Array,
    kind: UInt8Array,
    spacing_mm: tuple[float, float, float],
    origin_lps_mm: tuple[float, float, float],
) -> tuple[LesionTruth, ...]:
    """The truth of each lesion of a label volume, by number."""
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    truths = []
    for number, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if box is None:
            continue
        inside = labels[box] == number
        voxels = np.argwhere(inside).mean(axis=0) + [part.start for part in box]
        centre = [o + v * s for o, v, s in zip(origin_lps_mm, voxels[::-1], spacing_mm[::-1], strict=True)]
        dense = np.count_nonzero(kind[box][inside] == CONSOLIDATION) * 2 > np.count_nonzero(inside)
        truths.append(
            LesionTruth(
                number=number,
                kind=LesionKind.CONSOLIDATION if dense else LesionKind.GROUND_GLASS,
                volume_ml=float(np.count_nonzero(inside)) * voxel_ml,
                centre_lps_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
            )
        )
    return tuple(truths)


def _picture(ideal_hu: Float32Array, scan: Scan) -> Int16Array:
    """What the scan makes of the ideal volume, in whole HU."""
    return np.clip(np.rint(reconstruct(ideal_hu, scan)), -1024, 3071).astype(np.int16)


def _slice_positions(patient: PhantomPatient, scan: Scan) -> Float32Array:
    apex, low = patient.torso.height_mm(1.0), patient.lung_base_mm
    low = apex - (apex - low) * scan.breath
    spacing = scan.slice_spacing_mm
    if scan.start_mm is not None and scan.slices is not None:
        return (scan.start_mm + np.arange(scan.slices) * spacing).astype(np.float32)
    if scan.slices is None:
        first, count = low - scan.margin_mm, int((apex - low + 2 * scan.margin_mm) / spacing) + 1
    else:
        first, count = 0.5 * (low + apex - (scan.slices - 1) * spacing), scan.slices
    return (first + scan.shift_mm[2] + np.arange(count) * spacing).astype(np.float32)


def _render_slices(posed: Posed, day: float, frame: ScanFrame, place: tuple[Float32Array, Float32Array]) -> Slab:
    """Some slices; thick ones are the mean of three thin ones, each in its phase of breath; the middle one's truth."""
    z_mm, across = place
    scan = frame.scan
    thin = 3 if scan.thickness_mm > _THICK_MM or scan.breathing_mm > 0.0 else 1
    phases = np.arange(thin) - (thin - 1) / 2
    thin_mm = scan.thickness_mm / thin
    # Thin slices of neighbours may overlap, so each set is drawn on its own even grid.
    slabs = [
        render_slab(posed, day, frame.axes(z_mm + phase * thin_mm, across, phase=phase), scan, thin_mm=thin_mm)
        for phase in phases
    ]
    middle = slabs[thin // 2]
    volume_hu = np.asarray(np.mean([slab.volume_hu for slab in slabs], axis=0), dtype=np.float32)
    return replace(middle, volume_hu=volume_hu)
