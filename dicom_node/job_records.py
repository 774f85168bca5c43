"""What the worker hands to the process of an attempt, what it gets back; kept as JSON in the folder of the job."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from dicom_node.results.context import Predecessor
from dicom_node.results.plan import ResultPlan
from pipeline.series_rules import SourceRules
from storage.records import ResultFile


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One received file with the hash it had when it was acknowledged."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """The files of a study."""

    study_instance_uid: str
    acquired_at: datetime | None
    inputs: tuple[InputFile, ...]
    rules: tuple[SourceRules, ...] = ()
    """Of the site, for the choice of the series."""
    corrects_tilt: bool = False
    """Whether a gantry tilt is straightened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorSpec:
    """An earlier study, with the folder of its own result when it has one."""

    study: StudySpec
    result_folder: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPriorSpec:
    """An earlier study that is not linked, with the reason."""

    study_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """Everything one attempt needs."""

    study: StudySpec
    priors: tuple[PriorSpec, ...]
    refused_priors: tuple[RefusedPriorSpec, ...]
    reported_folder: Path | None = None
    """Of the result of an earlier revision of the study: its lesions keep their names."""
    priors_were_searched: bool = False
    """Whether each place that the node was told to look in for earlier studies was looked in to the end."""
    revision: int
    created_at: datetime
    """Goes into the results, the same in every retry; in the time zone of the node, which another machine may not have."""
    device: str
    threads: int
    model_pack: Path | None
    """None: the one in the package."""
    precision: str = "auto"
    lung_segmenter: str = ""
    """Name of a plug-in; empty is the pack's network."""
    lesion_detector: str = ""
    """The same."""
    alignment: str = "affine"
    """How far earlier studies are bent."""
    qualifications: tuple[str, ...] = ()
    """Sentences on what limits the findings, known before the analysis."""
    results: ResultPlan
    device_serial_number: str
    institution: str
    predecessor: Predecessor | None
    """Report of an earlier result, which the new one supersedes."""
    further_predecessors: tuple[Predecessor, ...] = ()
    """Its other reports, see `ResultContext`."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The job of a folder."""
        return TypeAdapter(cls).validate_json((folder / "job.json").read_bytes())

    def write(self, folder: Path) -> None:
        """Put the job into its folder."""
        (folder / "job.json").write_bytes(TypeAdapter(JobSpec).dump_json(self, indent=1))


class OutcomeKind(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """The end of an attempt."""

    kind: OutcomeKind
    reason: str
    retryable: bool = False
    files: tuple[ResultFile, ...] = field(default=())

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The outcome in the folder; None when the process left none that is whole."""
        try:
            return cls.from_json((folder / "outcome.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """The outcome that `to_json` gave; ValidationError where it is none."""
        return TypeAdapter(cls).validate_json(text)

    def to_json(self) -> bytes:
        """The outcome as it is kept."""
        return TypeAdapter(JobOutcome).dump_json(self)

    def write(self, folder: Path) -> None:
        """Put the outcome into the folder, whole or not at all."""
        part = folder / "outcome.part"
        part.write_bytes(self.to_json())
        part.replace(folder / "outcome.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """How far an attempt is."""

    stage: str
    fraction: float
    """0..1 of the whole attempt."""

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The progress in the folder; None before the first."""
        try:
            return TypeAdapter(cls).validate_json((folder / "progress.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write(self, folder: Path) -> None:
        """Put the progress into the folder."""
        part = folder / "progress.part"
        part.write_bytes(TypeAdapter(JobProgress).dump_json(self))
        part.replace(folder / "progress.json")
