"""What the pipeline is given: the files of a study, the volume read from them."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.series_rules import SourceRules

Int8Array: TypeAlias = NDArray[np.int8]
Int16Array: TypeAlias = NDArray[np.int16]
Float32Array: TypeAlias = NDArray[np.float32]
Float64Array: TypeAlias = NDArray[np.float64]
UInt8Array: TypeAlias = NDArray[np.uint8]
UInt16Array: TypeAlias = NDArray[np.uint16]
BoolArray: TypeAlias = NDArray[np.bool_]

AIR_HU = -1024
"""What padding and everything below becomes: less than air does not exist, and -1024 is where most CT scales begin."""

RIGHT_LUNG = 1
LEFT_LUNG = 2
"""Values of a lung mask; 0 is everything else."""


_ROUNDING_MM = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFiles:
    """One study as files on disk, in any order, of any modality."""

    study_instance_uid: str
    acquired_at: datetime | None
    """When it was acquired, aware, in the zone that its images name, else as if their clock went by UTC; None when no
    date is known."""
    paths: tuple[Path, ...]
    rules: tuple[SourceRules, ...] = ()
    """Of the site, for the choice of the series."""
    corrects_tilt: bool = False
    """Whether a series with a gantry tilt is straightened; else it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceHeader:
    """What the pipeline needs of one slice, a single-frame image or a frame of a multi-frame one, without its pixels."""

    path: Path
    sop_instance_uid: str
    frame_number: int | None = None
    """Counted from 1, as Referenced Frame Number (0008,1160) does; None for a single-frame image."""
    instance_number: int | None
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float]
    """Distance between rows, then between columns (PS3.3 10.7.1.3)."""
    image_orientation: tuple[float, ...]
    """Six direction cosines, row then column, LPS (PS3.3 C.7.6.2.1.1)."""
    image_position_mm: tuple[float, float, float]
    """Centre of the first pixel, LPS (PS3.3 C.7.6.2.1.1)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Where the voxels of an array lie in the patient."""

    shape: tuple[int, int, int]
    """Slices k, rows j, columns i."""
    affine_lps_from_kji: Float64Array
    """4 x 4: (k, j, i, 1) to millimetres in LPS, voxel centres. Of a tilted gantry k is not perpendicular to j and i."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along k, j, i in mm."""
        steps = np.linalg.norm(self.affine_lps_from_kji[:3, :3], axis=0)
        return (float(steps[0]), float(steps[1]), float(steps[2]))

    @property
    def slice_spacing_mm(self) -> float:
        """Distance between the planes of neighbouring slices; less than along k where the slices lean."""
        _, down, across = self.affine_lps_from_kji[:3, :3].T
        normal = np.cross(down, across) / np.linalg.norm(np.cross(down, across))
        apart_mm = float(abs(self.affine_lps_from_kji[:3, 0] @ normal))
        return self.spacing_mm[0] if abs(apart_mm - self.spacing_mm[0]) < _ROUNDING_MM else apart_mm

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in ml, true for oblique axes too."""
        return float(abs(np.linalg.det(self.affine_lps_from_kji[:3, :3]))) / 1000.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """One CT series as a volume on the grid it was acquired on."""

    volume_hu: Int16Array
    """HU, shape (k, j, i); k runs along the slice normal (row x column cosines), j over rows, i over columns, as stored."""
    grid: Grid
    slice_headers: tuple[SliceHeader, ...]
    """The k-th is the image or frame that slice k was read from."""
    qualifications: tuple[str, ...] = field(default=())
    """Plain sentences on what limits the volume, for instance thick slices; empty when nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOverSeries:
    """A series that was not analysed."""

    series_instance_uid: str
    description: str
    reason: str
    """One plain sentence: what decided."""
    number: int | None = None
    """Series Number."""
    speaks_for: tuple[str, ...] = ()
    """By what it would have been the better choice."""
    speaks_against: tuple[str, ...] = ()
    """Everything that makes it the worse one, what decided first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesChoice:
    """The series that is analysed, with what was said for and against each."""

    series_instance_uid: str
    description: str
    reason: str
    slice_headers: tuple[SliceHeader, ...]
    """Sorted along the slice normal, one per position."""
    passed_over: tuple[PassedOverSeries, ...]
    qualifications: tuple[str, ...] = field(default=())
    number: int | None = None
    """Series Number."""
    speaks_for: tuple[str, ...] = ()
    """By what it is better than another usable series; empty where it is the only one."""
    speaks_against: tuple[str, ...] = ()
    """By what another usable series would be better."""
