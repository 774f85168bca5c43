"""The pipeline on folders, without a network."""

import dataclasses
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from config.settings import Settings
from dicom_node.errors import NodeError
from dicom_node.folders import FolderStudy
from dicom_node.pack_store import chosen_pack
from dicom_node.priors import choose_priors, contradiction, why_left_out
from dicom_node.result_folders import check_result_folders, result_folder
from dicom_node.result_plan import result_plan
from dicom_node.results.context import ResultContext
from dicom_node.results.errors import ResultsError
from dicom_node.results.write import read_known_lesions, write_result_set
from pipeline.align import Alignment
from pipeline.device import choose_device, limit_threads
from pipeline.engine import EngineParts, build_engine
from pipeline.errors import PipelineError, StudyRefusedError
from pipeline.findings import Analysis, DroppedPrior, Findings, PriorStudy
from pipeline.model_pack import load_model_pack
from pipeline.precision import Precision
from pipeline.run import analyse_with
from pipeline.study import StudyFiles
from storage.records import ResultFile

_NEVER = datetime.min.replace(tzinfo=UTC)


class MixedPatientsError(StudyRefusedError):
    """The study holds images of more than one patient; send it again with one patient ID and issuer."""


class OtherPatientError(NodeError):
    """An earlier study carries another patient ID or issuer, or none; compare only studies of one patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredStudy:
    """What came of one study; either findings with files, or the reason why there are none."""

    study_instance_uid: str
    acquired_at: datetime | None
    folder: Path | None
    files: tuple[ResultFile, ...] = ()
    findings: Findings | None = None
    refused_because: str = ""


Progress = Callable[[FolderStudy, str, float], None]
"""Called with the study, the stage and how much of the study is done, 0..1."""


class FolderInference:
    """Analyses studies one after the other, oldest first, so that a later one is compared with the earlier ones."""

    def __init__(self, settings: Settings, *, out: Path, on_progress: Progress) -> None:
        """Load the networks.

        Args:
            settings: For device, model pack and what the results say about the site.
            out: Gets one folder per study.
            on_progress: Told how far it is.

        Raises:
            ModelPackError: The pack is missing or damaged.
            PlugInError: A plug-in is not installed or cannot be loaded.
        """
        limit_threads(settings.pipeline.threads)
        self._settings = settings
        self._maximum_priors = settings.priors.maximum_count
        self._engine = build_engine(
            load_model_pack(chosen_pack(settings)), choose_device(settings.pipeline.device), engine_parts(settings)
        )
        self._out = out
        self._on_progress = on_progress
        self._unreadable: dict[str, str] = {}
        """By Study Instance UID, why the pipeline refused a study; it takes no place among the earlier ones."""

    def run(self, studies: Sequence[FolderStudy], *, priors: Sequence[FolderStudy]) -> Iterator[InferredStudy]:
        """Analyse each study; a refused one does not stop the rest.

        Args:
            studies: Oldest first; each is a prior of those of the same patient that follow.
            priors: Earlier studies that are only compared with.

        Raises:
            OtherPatientError: A prior is of another patient than every study.
            ResultsBesideImagesError: The folder of a result holds images of a study or a prior.
        """
        for prior in priors:
            if not any(is_same_patient(study, prior) for study in studies):
                raise OtherPatientError
        check_result_folders(self._out, studies, sources=[*studies, *priors])
        earlier: list[tuple[FolderStudy, Path | None]] = [(prior, None) for prior in priors]
        for study in studies:
            inferred = self._infer(study, earlier)
            earlier.append((study, inferred.folder))
            yield inferred

    def _infer(self, study: FolderStudy, earlier: Sequence[tuple[FolderStudy, Path | None]]) -> InferredStudy:
        """Analyse one study and write its results; a refusal is an outcome too."""
        try:
            if not study.is_of_one_patient:
                raise MixedPatientsError
            return self._write(self._analyse(study, earlier), study)
        except (PipelineError, ResultsError) as error:
            if isinstance(error, PipelineError):
                self._unreadable[study.files.study_instance_uid] = f"{error.reason} Not compared with."
            return InferredStudy(
                study_instance_uid=study.files.study_instance_uid,
                acquired_at=study.files.acquired_at,
                folder=None,
                refused_because=error.reason,
            )

    def _analyse(self, study: FolderStudy, earlier: Sequence[tuple[FolderStudy, Path | None]]) -> Analysis:
        """Run the pipeline; the earlier studies that are not linked join those that it dropped."""
        linked, refused = link_earlier(study, [prior for prior, _ in earlier], self._unreadable)
        folders = {prior.files.study_instance_uid: folder for prior, folder in earlier}
        chosen = choose_priors(
            linked,
            study.files.acquired_at,
            at=lambda prior: prior.files.acquired_at or _NEVER,
            maximum_count=self._maximum_priors,
        )
        analysis = analyse_with(
            self._engine,
            self._files(study),
            [self._prior(prior, folders[prior.files.study_instance_uid]) for prior in chosen],
            alignment=Alignment(self._settings.pipeline.alignment),
            on_progress=lambda stage, fraction: self._on_progress(study, stage, fraction),
        )
        left_out = _left_out(study, linked, chosen, maximum_count=self._maximum_priors)
        return _with_refused(analysis, (*refused, *left_out))

    def _files(self, study: FolderStudy) -> StudyFiles:
        """The files of a study, with how the site reads them."""
        return dataclasses.replace(study.files, corrects_tilt=self._settings.pipeline.correct_gantry_tilt)

    def _prior(self, prior: FolderStudy, result_folder: Path | None) -> PriorStudy:
        """An earlier study, with what this run already reported of it."""
        known = read_known_lesions(result_folder) if result_folder else None
        return PriorStudy(files=self._files(prior), known=known)

    def _write(self, analysis: Analysis, study: FolderStudy) -> InferredStudy:
        """Write the result set of one study into its folder."""
        self._on_progress(study, "Writing results", 1.0)
        folder = result_folder(self._out, study.files.study_instance_uid)
        folder.mkdir(parents=True, exist_ok=True)
        return InferredStudy(
            study_instance_uid=study.files.study_instance_uid,
            acquired_at=study.files.acquired_at,
            folder=folder,
            files=tuple(write_result_set(analysis, context_of(self._settings, at=datetime.now(UTC)), folder=folder)),
            findings=analysis.findings,
        )


def engine_parts(settings: Settings) -> EngineParts:
    """What the engine is made of beside the pack."""
    return EngineParts(
        precision=Precision(settings.pipeline.precision),
        lung_segmenter=settings.pipeline.lung_segmenter,
        lesion_detector=settings.pipeline.lesion_detector,
    )


def link_earlier(
    study: FolderStudy, earlier: Sequence[FolderStudy], unreadable: Mapping[str, str] = MappingProxyType({})
) -> tuple[list[FolderStudy], tuple[DroppedPrior, ...]]:
    """Split the patient's other studies into those to compare with, newest first, and those refused with the reason.

    Studies of other patients are in neither: their UIDs have no place in the results of this one. Nor is the study itself,
    and one that is named twice is there once.

    Args:
        study: The current one.
        earlier: Others.
        unreadable: By Study Instance UID, why a study shows nothing to compare with.
    """
    others = {prior.files.study_instance_uid: prior for prior in earlier if is_same_patient(study, prior)}
    others.pop(study.files.study_instance_uid, None)
    of_patient = list(others.values())
    reasons = {
        prior.files.study_instance_uid: _why_not(study, prior) or unreadable.get(prior.files.study_instance_uid, "")
        for prior in of_patient
    }
    linked = [prior for prior in of_patient if not reasons[prior.files.study_instance_uid]]
    linked.sort(key=lambda prior: prior.files.acquired_at or _NEVER, reverse=True)
    refused = [DroppedPrior(study_instance_uid=uid, reason=reason) for uid, reason in reasons.items() if reason]
    return linked, tuple(refused)


def is_same_patient(one: FolderStudy, other: FolderStudy) -> bool:
    """Whether two studies carry the same patient ID and issuer; an absent ID says nothing about who it is."""
    return bool(one.patient.patient_id) and one.patient == other.patient


def _why_not(study: FolderStudy, prior: FolderStudy) -> str:
    """Why an earlier study of the patient is not linked; empty when it is."""
    if not prior.is_of_one_patient:
        return "holds images of more than one patient: not linked"
    if not _is_earlier(prior.files.acquired_at, study.files.acquired_at):
        return "not acquired before the current study: not linked"
    return contradiction(study.demographics, prior.demographics)


def _is_earlier(one: datetime | None, other: datetime | None) -> bool:
    """Whether one instant is before another; an unknown one is not."""
    return one is not None and other is not None and one < other


def _left_out(
    study: FolderStudy, linked: Sequence[FolderStudy], chosen: Sequence[FolderStudy], *, maximum_count: int
) -> Iterator[DroppedPrior]:
    """The earlier studies that could be compared with and are not."""
    compared = [study.files.acquired_at, *(prior.files.acquired_at for prior in chosen)]
    for prior in linked:
        if prior not in chosen:
            at = prior.files.acquired_at or _NEVER
            reason = why_left_out(at, compared, maximum_count=maximum_count)
            yield DroppedPrior(study_instance_uid=prior.files.study_instance_uid, reason=reason)


def _with_refused(analysis: Analysis, refused: tuple[DroppedPrior, ...]) -> Analysis:
    """The analysis that also names the studies that were never linked."""
    dropped = (*analysis.findings.priors_dropped, *refused)
    return dataclasses.replace(analysis, findings=dataclasses.replace(analysis.findings, priors_dropped=dropped))


def context_of(settings: Settings, *, at: datetime) -> ResultContext:
    """What the results say beside the findings.

    Args:
        settings: For what the results say about the site.
        at: When they are made; they say it in the time zone of this machine.
    """
    return ResultContext(
        software_version=importlib.metadata.version("dicom-node"),
        device_serial_number=settings.results.device_serial_number,
        institution=settings.results.institution,
        created_at=at.astimezone(),
        revision=1,
        plan=result_plan(settings),
        predecessor=None,
    )
