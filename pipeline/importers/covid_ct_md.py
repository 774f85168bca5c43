"""COVID-CT-MD: DICOM CT of COVID-19, community acquired pneumonia and healthy subjects, labelled by slice and lobe.

    COVID-19 subjects/P001/*.dcm, CAP subjects/cap001/*.dcm, Normal subjects/normal001/*.dcm
    Index.csv                      Label Index, Diagnosis, Relative Path, Folder/ID
    Slice-level-labels.npy         (labelled subjects, slices)
    Lobe-level-labels.npy          (labelled subjects, slices, 5)

Labels follow the slices sorted by Slice Location, not by file name. Index.csv leaves out one number (43); whether the
arrays have a row for it is told from their length.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.importers.dicom_files import (
    DicomCt,
    DicomFile,
    dicom_files,
    read_dicom_ct,
    slice_of_instance,
    study_of_ct,
)
from pipeline.importers.errors import NothingToImportError, StudyNotImportedError
from pipeline.importers.licences import COVID_CT_MD
from pipeline.importers.records import (
    LOBES,
    FoundStudies,
    ImportedStudy,
    Importer,
    ImportOptions,
    SourceStudy,
    StudyLabel,
)
from pipeline.importers.truth import TruthCanvas
from pipeline.study import Int8Array

LABEL_OF_FOLDER = {"covid-19": StudyLabel.COVID_19, "cap": StudyLabel.PNEUMONIA, "normal": StudyLabel.HEALTHY}
"""First word of the folder's name: copies of the set say `subjects`, `Cases` or nothing after it."""

SLICE_LABELS = ("Slice-level-labels-updated-1.npy", "Slice-level-labels.npy")
LOBE_LABELS = ("Lobe-level-labels-updated-1.npy", "Lobe-level-labels.npy")
"""The authors corrected the labels of two patients in September 2021; the first that can be read counts."""

_NO_LOCATION = "A slice has no Slice Location (0020,1041), so labels cannot be told to slices."
_TOO_FEW = "Its labels name slices that it does not have."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubjectLabels:
    """Labels of one subject, slices in the order of their Slice Location."""

    slices: Int8Array
    """(n,), with zeros after the last slice."""
    lobes: Int8Array | None
    """(n, 5)."""


def find(source: Path, options: ImportOptions) -> FoundStudies:
    """Every subject; those that radiologists read have labels of slices, healthy ones have zeros."""
    groups = {path: LABEL_OF_FOLDER.get(path.name.casefold().split(" ")[0]) for path in sorted(source.iterdir())}
    subjects = [
        (subject, label)
        for folder, label in groups.items()
        if label is not None and folder.is_dir()
        for subject in sorted(folder.iterdir())
        if subject.is_dir()
    ]
    if not subjects:
        reason = f"{source} holds no folders of COVID-19, CAP and Normal subjects."
        raise NothingToImportError(reason)
    labels = _labels(source)
    studies = [
        SourceStudy(
            where=str(subject.relative_to(source)),
            read=partial(_read_subject, subject, label, labels.get(subject.name.casefold())),
        )
        for subject, label in subjects
    ]
    return FoundStudies(studies=tuple(studies))


def _labels(source: Path) -> dict[str, SubjectLabels]:
    """Labels by folder of the subject, in small letters."""
    index, slices = source / "Index.csv", _array(source, SLICE_LABELS)
    if not index.exists() or slices is None:
        return {}
    lobes = _array(source, LOBE_LABELS)
    with index.open(newline="", encoding="utf-8-sig") as file:
        numbers = {row["Folder/ID"].strip().casefold(): int(row["Label Index"]) for row in csv.DictReader(file)}
    rows = _rows(numbers, len(slices))
    return {
        name: SubjectLabels(
            slices=slices[row].astype(np.int8), lobes=lobes[row].astype(np.int8) if lobes is not None else None
        )
        for name, row in rows.items()
    }


def _rows(numbers: dict[str, int], length: int) -> dict[str, int]:
    """Row of each subject: its number, or its rank where the array has no rows for numbers that nobody has."""
    if max(numbers.values(), default=0) < length:
        return numbers
    if len(numbers) == length:
        return {name: rank for rank, name in enumerate(sorted(numbers, key=lambda name: numbers[name]))}
    reason = f"Index.csv names {len(numbers)} subjects up to {max(numbers.values())}, the labels have {length} rows."
    raise NothingToImportError(reason)


def _array(source: Path, names: Sequence[str]) -> NDArray[Any] | None:
    """The first array that can be read without running code from it."""
    for path in (source / name for name in names):
        if path.exists():
            try:
                return np.asarray(np.load(path, allow_pickle=False))
            except ValueError:
                continue
    return None


def _read_subject(folder: Path, label: StudyLabel, labels: SubjectLabels | None) -> ImportedStudy:
    files = [file for file in dicom_files(folder) if file.is_ct_image]
    if not files:
        reason = "It holds no DICOM CT."
        raise StudyNotImportedError(reason)
    ct = read_dicom_ct(files)
    study = replace(study_of_ct(ct), patient=folder.name, study="ct", label=label)
    if label is StudyLabel.HEALTHY:
        return _healthy(study)
    if labels is None:
        return study
    lobes = None if labels.lobes is None else _on_slices(labels.lobes, ct, files)
    return replace(study, slice_labels=_on_slices(labels.slices[:, None], ct, files)[:, 0], lobe_labels=lobes)


def _healthy(study: ImportedStudy) -> ImportedStudy:
    canvas = TruthCanvas(study.grid.shape)
    canvas.say_rest_is_no_lesion()
    slices = study.grid.shape[0]
    return replace(
        study,
        truth=canvas.truth(study.volume_hu, study.grid.spacing_mm),
        slice_labels=np.zeros(slices, np.int8),
        lobe_labels=np.zeros((slices, len(LOBES)), np.int8),
    )


def _on_slices(labels: Int8Array, ct: DicomCt, files: Sequence[DicomFile]) -> Int8Array:
    """(z, m) from labels (n, m) in the order of Slice Location; -1 for a slice that has none.

    Raises:
        StudyNotImportedError: Labels and slices do not fit.
    """
    if any(file.slice_location_mm is None for file in files):
        raise StudyNotImportedError(_NO_LOCATION)
    if labels[len(files) :].any() or len(labels) < len(files):
        raise StudyNotImportedError(_TOO_FEW)
    slices = slice_of_instance(ct, files)
    by_slice = np.full((ct.source.grid.shape[0], labels.shape[1]), -1, np.int8)
    ordered = sorted(files, key=lambda file: (file.slice_location_mm or 0.0, file.path.name))
    for number, file in enumerate(ordered):
        if file.sop_instance_uid in slices:
            by_slice[slices[file.sop_instance_uid]] = labels[number]
    return np.stack([ct.slices_in_patient_order(column) for column in by_slice.T], axis=1)


IMPORTER = Importer(
    name="covid-ct-md",
    source="covid-ct-md",
    summary="COVID-CT-MD, DICOM with labels of slices and lobes",
    licence=COVID_CT_MD,
    find=find,
)
