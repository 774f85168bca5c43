"""One attempt at one study, in a process of its own: files in, a result set out.

`dicom_node.fork_server` forks it. The folder holds `job.json`; the process writes `progress.json` as it goes, the result set
into `out`, and last `outcome.json`. A process that ends without an outcome has crashed.
"""

import dataclasses
import importlib.metadata
import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dicom_node.disk_refusals import refusal_code
from dicom_node.folders import by_own_clock
from dicom_node.job_inputs import verify_inputs
from dicom_node.job_records import JobOutcome, JobProgress, JobSpec, OutcomeKind, PriorSpec, StudySpec
from dicom_node.log import quieten_libraries
from dicom_node.results.context import ResultContext
from dicom_node.results.errors import ResultsError, UnreadableResultError
from dicom_node.results.write import read_known_lesions, write_result_set
from dicom_node.wording import compared_in_words, lesions_in_words, read_in_words
from pipeline.align import Alignment
from pipeline.device import choose_device, limit_threads
from pipeline.engine import Engine, EngineParts, build_engine
from pipeline.errors import PipelineError, StudyRefusedError
from pipeline.findings import Analysis, DroppedPrior, KnownLesions, PriorStudy
from pipeline.model_pack import load_model_pack
from pipeline.precision import Precision
from pipeline.run import analyse_with
from pipeline.study import StudyFiles
from storage.failpoints import arm_from_environment, reach

logger = logging.getLogger(__name__)


def engine_of(spec: JobSpec) -> Engine:
    """The networks that the job names, loaded.

    Raises:
        PipelineError: See `build_engine` and `choose_device`.
    """
    return build_engine(load_model_pack(spec.model_pack), choose_device(spec.device), _parts(spec))


EngineSource = Callable[[JobSpec], Engine]
"""Gives the networks of a job."""


def finish_job(folder: Path, engine_source: EngineSource = engine_of) -> JobOutcome:
    """Do the job in the folder; whatever happens but a crash is an outcome, which is written last.

    Args:
        folder: Holds `job.json`, takes what is written.
        engine_source: Loads the networks, or has them.

    Raises:
        OSError: The disk takes nothing, for which the study is not at fault.
    """
    try:
        outcome = run_job(folder, engine_source)
    except Exception as exc:
        if refusal_code(exc):
            raise
        logger.exception("the attempt ended in an unexpected error")
        outcome = JobOutcome(
            kind=OutcomeKind.FAILED,
            reason=f"unexpected {type(exc).__name__}: see job.log of the attempt",
            retryable=True,
        )
    outcome.write(folder)
    return outcome


def run_job(folder: Path, engine_source: EngineSource = engine_of) -> JobOutcome:
    """Do the job in the folder; every foreseen end is an outcome.

    Args:
        folder: Holds `job.json`, takes what is written.
        engine_source: Loads the networks, or has them.
    """
    spec = JobSpec.read(folder)
    try:
        verify_inputs(spec)
        reach("job.inputs_verified")
        analysis = _analyse(spec, folder, engine_source)
        files = write_result_set(analysis, _context(spec), folder=folder / "out")
    except StudyRefusedError as refusal:
        return JobOutcome(kind=OutcomeKind.REFUSED, reason=refusal.reason)
    except (PipelineError, ResultsError) as error:
        return JobOutcome(kind=OutcomeKind.FAILED, reason=error.reason, retryable=error.retryable)
    except MemoryError:
        return JobOutcome(kind=OutcomeKind.FAILED, reason="out of memory", retryable=True)
    return JobOutcome(kind=OutcomeKind.SUCCEEDED, reason=_summary(analysis), files=tuple(files))


def _analyse(spec: JobSpec, folder: Path, engine_source: EngineSource) -> Analysis:
    """Run the pipeline; the priors that the node itself refused join those that the pipeline dropped."""
    limit_threads(spec.threads)
    JobProgress(stage="Loading the networks", fraction=0.0).write(folder)
    analysis = analyse_with(
        engine_source(spec),
        _files(spec.study),
        [_prior(prior) for prior in spec.priors],
        reported=_known(spec.reported_folder),
        alignment=Alignment(spec.alignment),
        on_progress=partial(_note_progress, folder),
    )
    refused = tuple(
        DroppedPrior(study_instance_uid=prior.study_instance_uid, reason=prior.reason) for prior in spec.refused_priors
    )
    findings = analysis.findings
    findings = dataclasses.replace(
        findings,
        priors_dropped=(*findings.priors_dropped, *refused),
        priors_were_searched=spec.priors_were_searched,
        qualifications=(*findings.qualifications, *spec.qualifications),
    )
    return dataclasses.replace(analysis, findings=findings)


def _note_progress(folder: Path, stage: str, fraction: float) -> None:
    """Leave word of how far the analysis is."""
    JobProgress(stage=stage, fraction=fraction).write(folder)
    reach("job.mid_inference")


def _parts(spec: JobSpec) -> EngineParts:
    """What the engine is made of beside the pack."""
    return EngineParts(
        precision=Precision(spec.precision),
        lung_segmenter=spec.lung_segmenter,
        lesion_detector=spec.lesion_detector,
    )


def _files(study: StudySpec) -> StudyFiles:
    """The study as the pipeline takes it."""
    return StudyFiles(
        study_instance_uid=study.study_instance_uid,
        acquired_at=study.acquired_at,
        paths=tuple(input_file.path for input_file in study.inputs),
        rules=study.rules,
        corrects_tilt=study.corrects_tilt,
    )


def _prior(prior: PriorSpec) -> PriorStudy:
    """An earlier study with what was reported of it."""
    return PriorStudy(files=_by_own_clock(_files(prior.study)), known=_known(prior.result_folder))


def _known(result_folder: Path | None) -> KnownLesions | None:
    """What a result reported; None where there is none, or it can no longer be read."""
    if result_folder is None:
        return None
    try:
        return read_known_lesions(result_folder)
    except UnreadableResultError:
        logger.warning("a stored result is unreadable: its lesions are found and named anew")
        return None


def _by_own_clock(files: StudyFiles) -> StudyFiles:
    """The study with the day and time that its own scanner shows: by them people know it."""
    if files.acquired_at is None:
        return files
    return dataclasses.replace(files, acquired_at=by_own_clock(files.acquired_at, files.paths))


def _context(spec: JobSpec) -> ResultContext:
    """What the results say beside the findings."""
    return ResultContext(
        software_version=importlib.metadata.version("dicom-node"),
        device_serial_number=spec.device_serial_number,
        institution=spec.institution,
        created_at=spec.created_at,
        revision=spec.revision,
        plan=spec.results,
        predecessor=spec.predecessor,
        further_predecessors=spec.further_predecessors,
    )


def _summary(analysis: Analysis) -> str:
    """The result in one line without patient data."""
    findings = analysis.findings
    counts = f"{lesions_in_words(len(findings.lesions))}, {compared_in_words(len(findings.priors_used))}"
    return f"{counts}; {read_in_words(findings.series_number, len(findings.passed_over))}"


def attempt(folder: Path) -> int:
    """Do the job of a folder in a process of its own; its exit code, which says where the disk refused."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    quieten_libraries()
    arm_from_environment()
    try:
        finish_job(folder)
    except OSError as error:
        logger.exception("the disk refused")
        return refusal_code(error) or 1
    return 0
