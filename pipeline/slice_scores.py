"""What the detector says of each slice, for the slices as they were acquired."""

import numpy as np

from pipeline.orient import LpsVolume
from pipeline.plug_points import Detection, StudyDetection
from pipeline.study import Float32Array

WITHIN_SLICES = 0.5
"""A slice farther than this from the detector's outermost one, in its slices, shows no lung."""


def slice_scores(detection: Detection, study: StudyDetection, lps: LpsVolume) -> tuple[float, ...]:
    """For each source slice k, 0..1: it shows a lesion; 0 where there is no lung.

    The detector looks at axial slices, thin ones averaged in slabs: a source slice is read between the nearest two. Empty
    for a series that was acquired sagittally or coronally, whose slices are none of the detector's.

    Args:
        detection: Of the patient.
        study: The one that `lps` is the volume of.
        lps: Says how the source slices lie.
    """
    places = _places(detection, lps)
    if places is None:
        return ()
    logits = np.interp(places, np.arange(len(study.slice_logits)), study.slice_logits.astype(np.float64))
    shown = (places >= -WITHIN_SLICES) & (places <= len(study.slice_logits) - 1 + WITHIN_SLICES)
    scores = np.where(shown, 1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0))), 0.0)
    return tuple(scores.tolist())


def _places(detection: Detection, lps: LpsVolume) -> Float32Array | None:
    """(K,): where the middle of each source slice lies among the detector's slices; None for slices that are not axial."""
    source = lps.source_grid
    normal = source.affine_lps_from_kji[:3, 0]
    if int(np.argmax(np.abs(normal))) != 2:
        return None
    count, rows, columns = source.shape
    middles = np.stack(
        [np.arange(count), *(np.full(count, (size - 1) / 2) for size in (rows, columns)), np.ones(count)]
    )
    kji = np.linalg.inv(detection.grid.affine_lps_from_kji) @ source.affine_lps_from_kji @ middles
    return np.asarray(kji[0], dtype=np.float32)
