"""Readings of many patients, kept on disk so that an evaluation that stopped goes on."""

import re
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline.evaluation.checkpoints import Checkpoint, load_detector
from pipeline.evaluation.detector import Detector
from pipeline.evaluation.parallel import Workers
from pipeline.evaluation.readings import KeptReading, kept_reading, load_reading, save_reading
from pipeline.evaluation.truth import CaseTruth, case_truth
from pipeline.evaluation.views import View, Views, shown_studies
from pipeline.training.cases import DESCRIPTION, load_case


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patient:
    """A case that is evaluated; a patient whose studies could not be aligned has several."""

    folder: Path
    identity: str
    """The same for all cases of one patient."""
    source: str
    """"phantom", "real" or "site"."""
    truth: CaseTruth
    fingerprint: str
    """Changes with the images and the truth, so that a case made anew is read anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingJob:
    """One patient, one checkpoint, some views."""

    checkpoint: Checkpoint
    device: str
    case: Path
    stranger: Path
    """The case whose studies stand in for the patient's own in the control."""
    views: tuple[View, ...]
    target: Path
    """Folder of the readings."""

    @property
    def missing_views(self) -> tuple[View, ...]:
        """Those that were not read yet."""
        return tuple(view for view in self.views if not (self.target / view.file_name).is_file())


def load_patient(folder: Path) -> Patient:
    """A case with its truth."""
    case = load_case(folder)
    check = zlib.crc32((folder / DESCRIPTION).read_bytes())
    for study in case.studies:
        for array in (study.volume_hu, study.truth):
            check = zlib.crc32(array.tobytes(), check)
    return Patient(
        folder=folder,
        identity=case.patient or case.name,
        source=case.source,
        truth=case_truth(case),
        fingerprint=f"{check:08x}",
    )


def patient_numbers(patients: Sequence[Patient]) -> list[int]:
    """Of each case the number of its patient, from 0 in the order they come."""
    known: dict[str, int] = {}
    return [known.setdefault(patient.identity, len(known)) for patient in patients]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reader:
    """Makes readings and finds them again."""

    folder: Path
    """Of all readings."""
    device: str
    strangers: dict[Path, Path]
    """Whose studies stand in for whose in the control."""
    workers: Workers

    def read(self, checkpoint: Checkpoint, patients: Sequence[Patient], stages: Collection[Views]) -> None:
        """Makes the readings of one checkpoint that are not there yet."""
        jobs = [
            ReadingJob(
                checkpoint=checkpoint,
                device=self.device,
                case=patient.folder,
                stranger=self.strangers.get(patient.folder, patient.folder),
                views=_views(patient, stages),
                target=self._target(checkpoint, patient),
            )
            for patient in patients
        ]
        missing = [job for job in jobs if job.missing_views]
        phase = f"{checkpoint.model.name}: reading {len(missing)} patients with {checkpoint.label}"
        self.workers.do(read_patient, missing, phase=phase)

    def load(self, checkpoint: Checkpoint, patient: Patient, stages: Collection[Views]) -> dict[View, KeptReading]:
        """The kept readings of one patient that the stages rest on."""
        folder = self._target(checkpoint, patient)
        return {view: load_reading(folder / view.file_name) for view in _views(patient, stages)}

    def _target(self, checkpoint: Checkpoint, patient: Patient) -> Path:
        model = re.sub(r"[^a-z0-9]+", "-", checkpoint.model.name.lower())
        return self.folder / model / checkpoint.label / f"{patient.truth.name}-{patient.fingerprint}"


def read_patient(job: ReadingJob) -> None:
    """Makes the readings that are not there yet."""
    detector = _detector(job.checkpoint, job.device)
    case, stranger = load_case(job.case), load_case(job.stranger)
    voxel_ml = case.slice_spacing_mm * case.pixel_mm**2 / 1000.0
    for view in job.missing_views:
        studies = shown_studies(case, view, stranger, seed=zlib.crc32(case.name.encode()))
        save_reading(job.target / view.file_name, kept_reading(detector.read(studies), studies[-1], voxel_ml))


def _views(patient: Patient, stages: Collection[Views]) -> tuple[View, ...]:
    """Of all stages together, each once."""
    return tuple(dict.fromkeys(view for views in stages for view in views(len(patient.truth.studies))))


@lru_cache(maxsize=1)
def _detector(checkpoint: Checkpoint, device: str) -> Detector:
    return load_detector(checkpoint, device)
