"""What a site may put in the place of the bundled networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.study import BoolArray, Float32Array, Grid, Int16Array, UInt8Array


class LungSegmenter(Protocol):
    """Finds the lungs.

    A plug-in is asked for one study at a time. The node's own is asked for several at once.
    """

    def segment(self, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
        """Right and left lung with what lies in them, without trachea and main bronchi.

        Args:
            volume_hu: HU, (z, y, x) in patient order: to superior, posterior, left. It is the node's own: not to be
                written into, read-only to plug-ins.
            spacing_mm: Along z, y, x.

        Returns:
            A mask of whole numbers of the same shape: 0, `RIGHT_LUNG`, `LEFT_LUNG`; empty where there are no lungs.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyOnGrid:
    """One study of a patient as a detector sees it: arrays (z, y, x) in patient order."""

    volume_hu: Int16Array
    lung_mask: UInt8Array
    valid: BoolArray
    """Where an earlier study was really imaged. Everywhere in the newest one, whose padding is air here: with it left out the
    bundled networks found up to 3 % less of the lesions of phantoms in a circle of 190 mm, and as much in whole slices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceFinding:
    """A box that a detector drew on one slice."""

    z: int
    """Slice of `Detection.grid`."""
    box: tuple[float, float, float, float]
    """y0, x0, y1, x1 in voxels of `Detection.grid`, where voxel i covers i - 0.5 to i + 0.5."""
    score: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyDetection:
    """What a detector says of one study of the sequence."""

    lesion_probability: Float32Array
    """0..1, on `Detection.grid`: a voxel is ground-glass or consolidation."""
    consolidation_probability: Float32Array
    """0..1, on `Detection.grid`."""
    slice_findings: tuple[SliceFinding, ...]
    slice_logits: Float32Array
    """(z,) of `Detection.grid`: the slice shows a lesion."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detection:
    """What a detector says of a patient, all on one grid that covers the lungs of the newest study."""

    grid: Grid
    studies: tuple[StudyDetection, ...]
    """Oldest first; the last one is the newest study."""


class LesionDetector(Protocol):
    """Finds lesions in the newest study, with the earlier ones in view."""

    def detect(self, studies: Sequence[StudyOnGrid], grid: Grid, gaps_days: Sequence[float]) -> Detection:
        """Lesions of every study of the sequence.

        Args:
            studies: Oldest first, all on the grid of the newest, which comes last. Their arrays are the node's own: not
                to be written into, read-only to plug-ins.
            grid: That grid.
            gaps_days: Days since the study before, one per study; the first is 0.
        """
        ...
