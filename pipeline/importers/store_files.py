"""The files of one study in a store."""

import csv
import hashlib
import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.importers.errors import StoreError
from pipeline.importers.records import LOBES, NO_LESION, NOT_KNOWN, ImportedStudy
from pipeline.orient import image_from_array
from pipeline.study import Grid, Int8Array, UInt8Array

CT_FILE, LUNG_FILE, LESION_FILE = "ct.nii.gz", "lung.nii.gz", "lesion.nii.gz"
SLICE_LABELS_FILE, BOXES_FILE = "slice_labels.csv", "boxes.json"


def write_study_files(folder: Path, study: ImportedStudy) -> None:
    """Image, masks, labels and boxes; what is not known has no file."""
    _write_image(folder / CT_FILE, study.volume_hu, study.grid)
    if study.truth.lung_mask is not None:
        _write_image(folder / LUNG_FILE, study.truth.lung_mask, study.grid)
    if study.truth.lesion is not None:
        _write_image(folder / LESION_FILE, study.truth.lesion, study.grid)
        write_text(folder / BOXES_FILE, json.dumps(boxes_of(study.truth.lesion)) + "\n")
    if study.slice_labels is not None:
        write_text(folder / SLICE_LABELS_FILE, _slice_table(study.slice_labels, study.lobe_labels))


def content_of(study: ImportedStudy) -> str:
    """Hash of what `write_study_files` writes."""
    digest = hashlib.sha256()
    arrays = (study.volume_hu, study.truth.lung_mask, study.truth.lesion, study.slice_labels, study.lobe_labels)
    for array in (np.round(study.grid.affine_lps_from_kji, 4), *arrays):
        digest.update(b"none" if array is None else f"{array.shape}{array.dtype}".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def boxes_of(lesion: UInt8Array) -> list[dict[str, int | list[int]]]:
    """Boxes of each lesion in each slice: `slice` from inferior, `lesion` number, `box` x0, y0, x1, y1 in pixel edges.

    A lesion is a connected part (26 neighbours) of what is lesion; what is not known has no boxes.
    """
    numbers, _ = ndimage.label((lesion != NO_LESION) & (lesion != NOT_KNOWN), np.ones((3, 3, 3)))
    boxes: list[dict[str, int | list[int]]] = []
    for index in np.flatnonzero(numbers.any(axis=(1, 2))):
        for number, part in enumerate(ndimage.find_objects(numbers[index]), start=1):
            if part is not None:
                rows, columns = part
                box = [columns.start, rows.start, columns.stop, rows.stop]
                boxes.append({"slice": int(index), "lesion": number, "box": box})
    return boxes


def read_slice_labels(path: Path) -> Int8Array:
    """(z,) from `slice_labels.csv`."""
    with path.open(newline="", encoding="utf-8") as file:
        return np.array([int(row["label"]) for row in csv.DictReader(file)], np.int8)


def read_lobe_labels(path: Path) -> Int8Array | None:
    """(z, 5), one column for each of `LOBES`; None where nobody labelled lobes."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or LOBES[0] not in rows[0]:
        return None
    return np.array([[int(row[lobe]) for lobe in LOBES] for row in rows], np.int8)


def write_text(path: Path, text: str) -> None:
    """A file that is there whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def flush_folder(folder: Path) -> None:
    """Make sure that the folder and its files are on disk."""
    for path in (*(path for path in folder.iterdir() if path.is_file()), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _write_image(path: Path, array: NDArray[Any], grid: Grid) -> None:
    try:
        SimpleITK.WriteImage(image_from_array(array, grid), str(path), useCompression=True)
    except RuntimeError as exc:
        reason = f"{path} could not be written; is the disk full?"
        raise StoreError(reason) from exc


def _slice_table(labels: Int8Array, lobes: Int8Array | None) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = () if lobes is None else LOBES
    writer.writerow(["slice", "label", *heads])
    for index, label in enumerate(labels):
        writer.writerow([index, int(label), *([] if lobes is None else [int(one) for one in lobes[index]])])
    return text.getvalue()
