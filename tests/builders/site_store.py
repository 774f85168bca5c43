"""Stores read by a stranger: csv and SimpleITK alone."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from pipeline.importers.records import ImportOptions
from pipeline.importers.run import ImportReport, import_data
from pipeline.importers.splits import Split, split_of


def imported(
    name: str, source: Path, store: Path, *, options: ImportOptions | None = None, licence: str = ""
) -> ImportReport:
    """An import whose progress nobody watches."""
    return import_data(
        name, source, store, options=options or ImportOptions(), licence=licence, on_progress=lambda *_: None
    )


def name_in(split: Split, source: str) -> str:
    """A patient whom the hash puts into a split."""
    return next(f"P{number}" for number in range(1000) if split_of(f"{source} P{number}") is split)


def rows_of(store: Path) -> list[dict[str, str]]:
    """Lines of `patients.csv`."""
    with (store / "patients.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def folder_of(store: Path, row: dict[str, str]) -> Path:
    """Folder of a study."""
    return store / "studies" / row["study"]


def only_study(store: Path) -> Path:
    """Folder of the one study of a store."""
    (row,) = rows_of(store)
    return folder_of(store, row)


def value_at(path: Path, point_mm: Sequence[float]) -> int:
    """Value of an image at a place in the patient, LPS in mm."""
    image = SimpleITK.ReadImage(str(path))
    return int(image[image.TransformPhysicalPointToIndex([float(value) for value in point_mm])])


def values_of(path: Path) -> NDArray[np.int64]:
    """All values of an image, (z, y, x)."""
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).astype(np.int64)


def axes_of(path: Path) -> str:
    """Where the axes of an image run, for instance LPS."""
    image = SimpleITK.ReadImage(str(path))
    code: str = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    return code


def slice_rows(folder: Path) -> list[dict[str, str]]:
    """Lines of `slice_labels.csv`."""
    with (folder / "slice_labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))
