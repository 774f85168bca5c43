"""The slices that a result was made of, with the contours of its lesions, for people who scroll."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from threading import Semaphore
from zipfile import BadZipFile

import contourpy
import numpy as np
from PIL import Image

from dicom_node.results.directions import direction_letter
from dicom_node.web.limits import LARGEST_OBJECT_BYTES, LARGEST_VOXELS, TooLargeError
from pipeline.study import Int16Array
from pipeline.volume import read_slice

WINDOWS_HU = {"lung": (-1350.0, 150.0), "soft": (-160.0, 240.0)}
"""Level -600 width 1500, level 40 width 400: the usual ones."""

_AT_ONCE = 2
_WAITING = 8
"""Requests that wait for their turn; each holds one of the 40 threads that answer all requests, the probes among them."""
_KEPT_SLICES = 600
_KEPT_CONTOURS = 4
_QUALITY = 88


@dataclass(frozen=True, slots=True)
class Slice:
    """Which picture."""

    path: Path
    """Of the CT image; its name is the hash of its content, so what is kept is never stale."""
    frame_number: int | None
    window: str
    """A key of `WINDOWS_HU`."""


class TooManyWaitError(RuntimeError):
    """Too many slices are being drawn; ask for this one again in a second."""


class SliceShelf:
    """Draws slices on demand and keeps the last ones."""

    def __init__(self, read: Callable[[Path, int | None], Int16Array] = read_slice) -> None:
        """Nothing is drawn yet.

        Args:
            read: Gives one slice of a file, as `pipeline.volume.read_slice` does.
        """
        self._read = read
        self._places = Semaphore(_AT_ONCE)
        self._admitted = Semaphore(_AT_ONCE + _WAITING)
        self.picture = lru_cache(maxsize=_KEPT_SLICES)(self._picture)
        self.contours = lru_cache(maxsize=_KEPT_CONTOURS)(self._contours)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._admitted.acquire(blocking=False):
            raise TooManyWaitError
        try:
            with self._places:
                yield
        finally:
            self._admitted.release()

    def _picture(self, wanted: Slice) -> bytes:
        """A JPEG as large as the slice.

        Raises:
            TooLargeError: The file is larger than what is shown here.
            TooManyWaitError: So many are waited for that this one is not.
            UnreadableStudyError: It is gone or damaged.
            OSError: It cannot be read.
        """
        if wanted.path.stat().st_size > LARGEST_OBJECT_BYTES:
            raise TooLargeError
        low, high = WINDOWS_HU[wanted.window]
        with self._turn():
            slice_hu = self._read(wanted.path, wanted.frame_number)
        grey = np.clip((slice_hu.astype(np.float32) - low) / (high - low), 0, 1) * 255
        buffer = BytesIO()
        Image.fromarray(grey.astype(np.uint8)).save(buffer, "JPEG", quality=_QUALITY)
        return buffer.getvalue()

    def _contours(self, masks_path: Path) -> bytes:
        """JSON of how the slices lie and what is drawn on them.

        `slices` has for each one that shows lesions `{slice: [[lesion number, [[x, y], ...]], ...]}`, in pixels, of which there
        are `width` and `height`; `width_mm` and `height_mm` are the size of a slice, `edges` the side of the patient at its
        `left`, `right`, `top` and `bottom` edge.

        Raises:
            TooLargeError: The masks are larger than what is shown here.
            TooManyWaitError: So much is waited for that this is not.
            OSError: They cannot be read, or are damaged.
        """
        with self._turn():
            labels, affine_lps_from_kji = _labels(masks_path)
            found = {str(k): _lines(labels[k]) for k in np.flatnonzero(labels.any(axis=(1, 2))).tolist()}
        _, height, width = labels.shape
        document = {"height": height, "width": width, "slices": found} | _laid(affine_lps_from_kji, height, width)
        return json.dumps(document, separators=(",", ":")).encode()


def _laid(affine_lps_from_kji: np.ndarray, height: int, width: int) -> dict[str, object]:
    """The size of a slice in mm, and the side of the patient at each edge of it."""
    down, right = affine_lps_from_kji[:3, 1], affine_lps_from_kji[:3, 2]
    edges = {"left": -right, "right": right, "top": -down, "bottom": down}
    return {
        "height_mm": round(height * float(np.linalg.norm(down)), 3),
        "width_mm": round(width * float(np.linalg.norm(right)), 3),
        "edges": {edge: direction_letter(direction) for edge, direction in edges.items()},
    }


def _labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Number of the lesion at each voxel (k, j, i), and the matrix from (k, j, i, 1) to LPS in mm."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels: np.ndarray = arrays["lesion_labels"]
            affine_lps_from_kji: np.ndarray = arrays["affine_lps_from_kji"]
    except (ValueError, KeyError, EOFError, BadZipFile) as exc:
        message = "the masks of the result are damaged"
        raise OSError(message) from exc
    if labels.size > LARGEST_VOXELS:
        raise TooLargeError
    return labels, affine_lps_from_kji


def _lines(labels: np.ndarray) -> list[tuple[int, list[list[float]]]]:
    """Borders of each lesion of a slice, corners of pixels at whole numbers."""
    lines = []
    for number in np.unique(labels[labels > 0]).tolist():
        mask = labels == number
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        shift = np.array([columns[0] - 0.5, rows[0] - 0.5])
        for line in contourpy.contour_generator(z=np.pad(cut.astype(np.float64), 1), name="serial").lines(0.5):
            lines.append((int(number), np.round(np.asarray(line) + shift, 1).tolist()))
    return lines
