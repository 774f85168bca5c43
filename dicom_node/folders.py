"""DICOM files in folders, grouped by study."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

from pydicom.errors import InvalidDicomError

from dicom_node.errors import NodeError
from dicom_node.file_header import read_file_header
from dicom_node.listen.errors import NotUnderstoodError
from dicom_node.listen.header import Header
from pipeline.study import StudyFiles
from storage.identity import contradicting_demographics, contradicting_keys
from storage.records import Demographics, PatientKey

_UID = re.compile(r"[0-9][0-9.]{0,63}")
"""Characters and length of a UID (PS3.5 9.1)."""


class NoStudyFoundError(NodeError):
    """No DICOM file was found; name the folder that holds the study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderStudy:
    """One study found in folders."""

    files: StudyFiles
    patient: PatientKey
    demographics: Demographics
    is_of_one_patient: bool
    """False when its files contradict each other about the patient; such a study is not to be analysed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderContent:
    """What was found in folders."""

    studies: tuple[FolderStudy, ...]
    """Oldest first, those without a date before the others."""
    passed_over: int
    """Files that are no DICOM file of a study."""


def find_studies(folders: Iterable[Path]) -> FolderContent:
    """The studies in the DICOM files at or below the folders.

    Raises:
        NoStudyFoundError: There is none.
    """
    paths = sorted({path for folder in folders for path in _files_below(folder)})
    found: dict[str, list[tuple[Path, Header]]] = defaultdict(list)
    for path in paths:
        header = _header(path)
        if header:
            found[header.study_instance_uid].append((path, header))
    if not found:
        raise NoStudyFoundError
    studies = [_study(uid, files) for uid, files in found.items()]
    studies.sort(key=lambda study: study.files.acquired_at or datetime.min.replace(tzinfo=UTC))
    return FolderContent(studies=tuple(studies), passed_over=len(paths) - sum(map(len, found.values())))


def by_own_clock(acquired_at: datetime, paths: Iterable[Path]) -> datetime:
    """When a study was acquired, in the zone that its images name.

    Args:
        acquired_at: Aware.
        paths: Files of the study; the earliest CT image decides, in whatever order they come.

    Returns:
        The same instant; as it was where no file says when it was acquired.
    """
    instant = _acquired_at([header for header in map(_header, paths) if header])
    return acquired_at.astimezone(instant.tzinfo) if instant else acquired_at


def folder_name_from_uid(uid: str) -> str:
    """The UID itself where it is one, else a hash of it: nothing from a file may steer where we write."""
    return uid if _UID.fullmatch(uid) else hashlib.sha256(uid.encode()).hexdigest()[:32]


def _files_below(folder: Path) -> Iterator[Path]:
    """Every file at or below a path."""
    if folder.is_file():
        yield folder
    yield from (path for path in folder.rglob("*") if path.is_file())


def _header(path: Path) -> Header | None:
    """What the file says about itself; None for what is no DICOM file of a study."""
    try:
        return read_file_header(path)[1]
    except (InvalidDicomError, NotUnderstoodError, OSError):
        return None


def _study(study_instance_uid: str, found: Sequence[tuple[Path, Header]]) -> FolderStudy:
    """One study; who the patient is says its first file, when it was acquired its earliest CT image."""
    _, first = found[0]
    return FolderStudy(
        files=StudyFiles(
            study_instance_uid=study_instance_uid,
            acquired_at=_acquired_at([header for _, header in found]),
            paths=tuple(path for path, _ in found),
        ),
        patient=first.patient,
        demographics=_demographics(first),
        is_of_one_patient=_are_of_one_patient([header for _, header in found]),
    )


def _acquired_at(headers: Sequence[Header]) -> datetime | None:
    """Of the earliest CT image, else of the earliest object."""
    instants = [header.acquired_at for header in headers if header.acquired_at and header.modality == "CT"]
    return min(instants or [header.acquired_at for header in headers if header.acquired_at], default=None)


def _are_of_one_patient(headers: Sequence[Header]) -> bool:
    """Whether no two files contradict each other about the patient."""
    named = {(header.patient, _demographics(header)) for header in headers}
    return not any(
        contradicting_keys(one[0], other[0]) or contradicting_demographics(one[1], other[1])
        for one, other in combinations(named, 2)
    )


def _demographics(header: Header) -> Demographics:
    """What a file says about the patient beside the ID."""
    return Demographics(patient_name=header.patient_name, birth_date=header.birth_date, sex=header.sex)
