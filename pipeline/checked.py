"""Plug-ins of other packages held to their contract: what they return is checked before anything is made of it, and what
they are given stays as it is.
"""

import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.errors import PipelineError, PlugInError
from pipeline.plug_points import Detection, SliceFinding, StudyDetection, StudyOnGrid
from pipeline.study import LEFT_LUNG, BoolArray, Float32Array, Float64Array, Grid, Int16Array, UInt8Array

Answer = TypeVar("Answer")
Scalar = TypeVar("Scalar", bound=np.generic)

ROUNDING = 1e-4
"""A probability may leave 0..1 by this much, as float16 does, and is put back."""

_WROTE = "broke its contract: it wrote into an array that it was given; let it work on a copy"


class CheckedSegmenter:
    """`LungSegmenter` around a plug-in."""

    def __init__(self, plug_in: Any, title: str) -> None:
        """`title` says in errors which plug-in is at fault."""
        self._plug_in = plug_in
        self._title = f"the lung segmenter {title}"
        self._turn = threading.Lock()

    def segment(self, volume_hu: Int16Array, spacing_mm: tuple[float, float, float]) -> UInt8Array:
        """See `LungSegmenter.segment`; studies that are read at the same time wait for their turn.

        Raises:
            PlugInError: The plug-in failed, or returned something else than a mask.
        """
        shown = _read_only(volume_hu)
        with self._turn:
            found = _asked(self._title, lambda: self._plug_in.segment(shown, spacing_mm), [shown])
            _blame(self._title, _mask_problems(found, volume_hu.shape))
            # A copy: the plug-in may answer for every study in one array of its own.
            mask: UInt8Array = np.array(found, dtype=np.uint8, order="C")
        return mask


class CheckedDetector:
    """`LesionDetector` around a plug-in."""

    def __init__(self, plug_in: Any, title: str) -> None:
        """`title` says in errors which plug-in is at fault."""
        self._plug_in = plug_in
        self._title = f"the lesion detector {title}"

    def detect(self, studies: Sequence[StudyOnGrid], grid: Grid, gaps_days: Sequence[float]) -> Detection:
        """See `LesionDetector.detect`.

        Raises:
            PlugInError: The plug-in failed, or returned something else than a detection of these studies.
        """
        shown = [_read_only_study(study) for study in studies]
        placed = Grid(shape=grid.shape, affine_lps_from_kji=_read_only(grid.affine_lps_from_kji))
        arrays = [array for study in shown for array in (study.volume_hu, study.lung_mask, study.valid)]
        found = _asked(
            self._title,
            lambda: self._plug_in.detect(shown, placed, list(gaps_days)),
            [*arrays, placed.affine_lps_from_kji],
        )
        if not isinstance(found, Detection):
            _blame(self._title, [f"returned {type(found).__name__} instead of Detection"])
        _blame(self._title, _grid_problems(found.grid, studies[-1].lung_mask > 0, grid))
        if len(found.studies) != len(studies):
            _blame(self._title, [f"answered for {len(found.studies)} studies instead of {len(studies)}"])
        for study in found.studies:
            _blame(self._title, _study_problems(study, found.grid))
        return Detection(grid=found.grid, studies=tuple(_tidy(study) for study in found.studies))


def _asked(title: str, ask: Callable[[], Answer], given: Sequence[NDArray[Any]]) -> Answer:
    """The answer; whatever goes wrong in the plug-in becomes an error that names it.

    Args:
        title: Of the plug-in.
        ask: Asks it.
        given: The node's own arrays, which it sees.
    """
    before = [_content(array) for array in given]
    try:
        answer = ask()
    except (PipelineError, MemoryError):
        raise
    except Exception as exc:
        # The words of numpy: "assignment destination is read-only", "output array is read-only".
        wrote = isinstance(exc, ValueError) and "read-only" in str(exc)
        reason = f"{title} {_WROTE if wrote else f'failed with {type(exc).__name__}; see the log of the attempt'}"
        raise PlugInError(reason) from exc
    if [_content(array) for array in given] != before:
        reason = f"{title} {_WROTE}"
        raise PlugInError(reason)
    return answer


def _read_only(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """The same memory, to be read."""
    view = array.view()
    view.setflags(write=False)
    return view


def _read_only_study(study: StudyOnGrid) -> StudyOnGrid:
    return StudyOnGrid(
        volume_hu=_read_only(study.volume_hu), lung_mask=_read_only(study.lung_mask), valid=_read_only(study.valid)
    )


def _content(array: NDArray[Any]) -> int:
    """Changes where the array does: torch and compiled code write into memory that numpy holds read-only."""
    return zlib.crc32(np.ascontiguousarray(array).data)


def _blame(title: str, problems: Sequence[str] | Iterator[str]) -> None:
    """Nothing without problems."""
    told = list(problems)
    if told:
        reason = f"{title} broke its contract: {'; '.join(told)}"
        raise PlugInError(reason)


def _mask_problems(mask: object, shape: tuple[int, ...]) -> Iterator[str]:
    if not isinstance(mask, np.ndarray):
        yield f"returned {type(mask).__name__} instead of an array"
    elif mask.shape != shape:
        yield f"returned a mask of shape {mask.shape} for a volume of shape {shape}"
    elif mask.dtype.kind == "b":
        yield "returned a mask of bool, which does not tell the right lung from the left"
    elif mask.dtype.kind not in "iu":
        yield f"returned a mask of {mask.dtype} instead of whole numbers"
    elif mask.size and not 0 <= int(mask.min()) <= int(mask.max()) <= LEFT_LUNG:
        yield f"returned values from {mask.min()} to {mask.max()} instead of 0, 1 and 2"


def _grid_problems(found: object, lungs: BoolArray, grid: Grid) -> Iterator[str]:
    """A grid is needed whose voxels have a volume and which covers the lungs, else lesions would be lost unnoticed."""
    if not isinstance(found, Grid):
        yield f"returned {type(found).__name__} instead of Grid"
        return
    affine = np.asarray(found.affine_lps_from_kji, dtype=np.float64)
    if len(found.shape) != 3 or min(found.shape) < 1:
        yield f"returned a grid of shape {found.shape}"
    elif not _is_placement(affine):
        yield "returned a grid without a place in the patient"
    elif not _covers(found.shape, affine, lungs, grid):
        yield "returned a grid that does not cover the lungs"


def _is_placement(affine: Float64Array) -> bool:
    """Whether the matrix puts voxels into the patient, each with a volume."""
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        return False
    return bool((affine[3] == (0.0, 0.0, 0.0, 1.0)).all() and abs(np.linalg.det(affine)) >= 1e-9)


def _covers(shape: tuple[int, ...], affine: Float64Array, lungs: BoolArray, grid: Grid) -> bool:
    """Whether the centres of the lungs' corner voxels lie within half a voxel of the grid, with one voxel to spare."""
    boxes = ndimage.find_objects(lungs.view(np.uint8))
    if not boxes:
        return True
    ends = [(part.start, part.stop - 1) for part in boxes[0]]
    corners = np.array([[k, j, i, 1.0] for k in ends[0] for j in ends[1] for i in ends[2]]).T
    places = (np.linalg.inv(affine) @ grid.affine_lps_from_kji @ corners)[:3]
    return bool((places >= -1.5).all() and (places <= np.array(shape)[:, None] + 0.5).all())


def _study_problems(study: object, grid: Grid) -> Iterator[str]:
    if not isinstance(study, StudyDetection):
        yield f"returned {type(study).__name__} instead of StudyDetection"
        return
    yield from _probability_problems("lesion_probability", study.lesion_probability, grid)
    yield from _probability_problems("consolidation_probability", study.consolidation_probability, grid)
    yield from _array_problems("slice_logits", study.slice_logits, grid.shape[:1])
    for number, finding in enumerate(study.slice_findings):
        problem = _finding_problem(finding, grid.shape[0])
        if problem:
            yield f"slice_findings[{number}] {problem}"
            return


def _array_problems(name: str, array: object, shape: tuple[int, ...]) -> Iterator[str]:
    """Of an array that should hold finite numbers."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        yield f"{name} is {kind} instead of an array of floats"
    elif array.shape != shape:
        yield f"{name} has shape {array.shape} instead of {shape}"
    elif not np.isfinite(array).all():
        yield f"{name} holds values that are no numbers"


def _probability_problems(name: str, array: Float32Array, grid: Grid) -> Iterator[str]:
    problems = list(_array_problems(name, array, grid.shape))
    yield from problems
    if not problems and not -ROUNDING <= float(array.min()) <= float(array.max()) <= 1.0 + ROUNDING:
        yield f"{name} reaches from {array.min():.4g} to {array.max():.4g} instead of 0 to 1"


def _finding_problem(finding: object, slices: int) -> str:
    if not isinstance(finding, SliceFinding):
        return f"is {type(finding).__name__} instead of SliceFinding"
    y0, x0, y1, x1 = finding.box
    if not 0 <= finding.z < slices:
        return f"is on slice {finding.z} of {slices}"
    if not np.isfinite(finding.box).all() or y1 <= y0 or x1 <= x0:
        return f"has no box: {finding.box}"
    if not 0.0 <= finding.score <= 1.0:
        return f"has score {finding.score:.4g} instead of 0 to 1"
    return ""


def _tidy(study: StudyDetection) -> StudyDetection:
    """The same in float32, probabilities within 0..1."""
    return StudyDetection(
        lesion_probability=np.clip(study.lesion_probability, 0.0, 1.0).astype(np.float32),
        consolidation_probability=np.clip(study.consolidation_probability, 0.0, 1.0).astype(np.float32),
        slice_findings=tuple(study.slice_findings),
        slice_logits=study.slice_logits.astype(np.float32),
    )
