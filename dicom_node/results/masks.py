"""The masks of a result as one compressed NumPy file, for the comparison with later studies."""

import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np

from dicom_node.results.errors import UnreadableResultError
from pipeline.findings import Analysis
from pipeline.study import Grid, UInt8Array, UInt16Array

COMPRESSION: Final = 1
"""Of 9. Masks are nearly all zeros: numpy's 6 takes three times as long to save half of two megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masks:
    """Lungs and lesions on the grid of the series they were found in."""

    grid: Grid
    lung_mask: UInt8Array
    lesion_labels: UInt16Array


def masks_bytes(analysis: Analysis) -> bytes:
    """`lung_mask`, `lesion_labels` (both k, j, i) and `affine_lps_from_kji`, as .npz; up to 255 lesions as bytes."""
    labels = analysis.lesion_labels
    arrays = {
        "lung_mask": analysis.lung_mask,
        "lesion_labels": labels.astype(np.uint8 if len(analysis.findings.lesions) < 256 else np.uint16),
        "affine_lps_from_kji": analysis.volume.grid.affine_lps_from_kji.astype(np.float64),
    }
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return buffer.getvalue()


def read_masks(path: Path) -> Masks:
    """What `masks_bytes` wrote.

    Raises:
        UnreadableResultError: the file is missing or damaged.
    """
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            lung_mask, lesion_labels = arrays["lung_mask"], arrays["lesion_labels"]
            affine = arrays["affine_lps_from_kji"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as exc:
        raise UnreadableResultError from exc
    if lung_mask.ndim != 3 or lung_mask.shape != lesion_labels.shape or affine.shape != (4, 4):
        raise UnreadableResultError
    depth, height, width = lung_mask.shape
    grid = Grid(shape=(depth, height, width), affine_lps_from_kji=affine)
    return Masks(grid=grid, lung_mask=lung_mask, lesion_labels=lesion_labels.astype(np.uint16, copy=False))
