"""CT and masks from NIfTI files, in patient order."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from pipeline.importers.errors import StudyNotImportedError
from pipeline.orient import PATIENT_ORDER, grid_of_image
from pipeline.stack import FEWEST_SLICES, WIDEST_SPACING_MM
from pipeline.study import AIR_HU, Grid, Int16Array

NIFTI_NAME = re.compile(r"(?P<stem>.+)\.nii(\.gz)?")

AIR_BELOW_HU, SMALLEST_AIR_SHARE = -500.0, 0.01
"""Every CT of a chest holds far more air than this: lungs alone are a tenth of it and more."""

LARGEST_OFFSET = 0.5
"""Voxels by which a mask may lie beside its image: headers are rounded differently."""

_LARGEST_HU = int(np.iinfo(np.int16).max)


def stem(path: Path) -> str:
    """Name of a NIfTI file without its endings."""
    match = NIFTI_NAME.fullmatch(path.name)
    return match["stem"] if match else path.stem


def nifti_files(folder: Path) -> list[Path]:
    """NIfTI files right in a folder, by name; none where there is no folder."""
    return [path for path in sorted(folder.glob("*")) if path.is_file() and NIFTI_NAME.fullmatch(path.name)]


def find_nifti(folder: Path, name: str) -> Path | None:
    """The file of this stem, compressed or not."""
    return next((path for path in (folder / f"{name}.nii.gz", folder / f"{name}.nii") if path.is_file()), None)


def read_ct(path: Path) -> tuple[Int16Array, Grid]:
    """HU (z, y, x) in patient order with its grid.

    Raises:
        StudyNotImportedError: It cannot be read, is no volume, or its values are no Hounsfield units.
    """
    image = _oriented(path)
    values = np.nan_to_num(SimpleITK.GetArrayFromImage(image).astype(np.float32), nan=AIR_HU)
    check_is_hu(values)
    grid = grid_of_image(image)
    check_is_volume(grid)
    return np.clip(np.rint(values), AIR_HU, _LARGEST_HU).astype(np.int16), grid


def read_mask(path: Path, grid: Grid) -> Int16Array:
    """Whole numbers (z, y, x) of a mask that was drawn on the image of this grid.

    Raises:
        StudyNotImportedError: It cannot be read, or lies elsewhere than the image.
    """
    image = _oriented(path)
    if grid_of_image(image).shape != grid.shape:
        reason = f"The mask {path.name} is of another size than the image."
        raise StudyNotImportedError(reason)
    if not _lies_on(grid_of_image(image), grid):
        reason = f"The mask {path.name} lies elsewhere than the image."
        raise StudyNotImportedError(reason)
    values: Int16Array = np.rint(SimpleITK.GetArrayFromImage(image)).astype(np.int16)
    return values


def check_is_hu(values: NDArray[Any]) -> None:
    """Nothing for Hounsfield units of a chest.

    Raises:
        StudyNotImportedError: The values are those of a picture, or start at another zero.
    """
    low, high = float(values.min()), float(values.max())
    if low >= 0.0 and high <= 255.0:
        reason = f"Its grey values run from {low:.0f} to {high:.0f}: a display window, not Hounsfield units."
        raise StudyNotImportedError(reason)
    if float(np.mean(values < AIR_BELOW_HU)) < SMALLEST_AIR_SHARE:
        reason = f"Its values begin at {low:.0f} and hold no air, so they are not Hounsfield units of a chest."
        raise StudyNotImportedError(reason)


def check_is_volume(grid: Grid) -> None:
    """Nothing for slices that make a volume.

    Raises:
        StudyNotImportedError: They are too few or too far apart.
    """
    if grid.shape[0] < FEWEST_SLICES:
        reason = f"It has only {grid.shape[0]} slices, at least {FEWEST_SLICES} are needed."
        raise StudyNotImportedError(reason)
    if grid.spacing_mm[0] > WIDEST_SPACING_MM:
        reason = f"Its slices are {grid.spacing_mm[0]:.1f} mm apart, more than {WIDEST_SPACING_MM:.0f} mm."
        raise StudyNotImportedError(reason)


def _oriented(path: Path) -> SimpleITK.Image:
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as exc:
        raise StudyNotImportedError(_unreadable_reason(path, exc)) from exc
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        reason = f"{path.name} is no volume of one value per voxel."
        raise StudyNotImportedError(reason)
    oriented: SimpleITK.Image = SimpleITK.DICOMOrient(image, PATIENT_ORDER)
    return oriented


def _unreadable_reason(path: Path, error: RuntimeError) -> str:
    """Why ITK does not read a file; it says "only supports orthonormal direction cosines" of a sheared one."""
    if "orthonormal" not in str(error):
        return f"{path.name} is damaged or no NIfTI file."
    return (
        f"The axes of {path.name} are not perpendicular to one another (sform in its header). Resample the image and its masks "
        "onto a grid whose axes are."
    )


def _lies_on(first: Grid, second: Grid) -> bool:
    """Whether the corners of two grids of one shape are the same places."""
    corners = np.array([[z, y, x, 1.0] for z in (0, 1) for y in (0, 1) for x in (0, 1)])
    corners[:, :3] *= np.array(second.shape) - 1
    apart = corners @ (first.affine_lps_from_kji - second.affine_lps_from_kji)[:3].T
    return bool(np.linalg.norm(apart, axis=1).max() <= LARGEST_OFFSET * min(second.spacing_mm))
