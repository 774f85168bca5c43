"""The patients that are evaluated: rendered phantoms, or whatever lies in a folder."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.evaluation.config import CaseSet
from pipeline.evaluation.errors import EvaluationError
from pipeline.evaluation.parallel import Workers
from pipeline.evaluation.read_cases import Patient, load_patient
from pipeline.model_input import InputContract
from pipeline.training.cases import DESCRIPTION
from pipeline.training.phantom_cases import Status, render_test_case


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderJob:
    """One phantom."""

    seed: int
    folder: Path
    status: Status


def prepare_patients(name: str, wanted: CaseSet, workers: Workers) -> list[Patient]:
    """The patients of a set by name; phantoms that are wanted and missing are rendered first.

    Args:
        name: What progress calls the set.
        wanted: Which patients.
        workers: Who render and read.

    Raises:
        EvaluationError: There are none.
    """
    jobs = _render_jobs(wanted)
    missing = [job for job in jobs if not (job.folder / DESCRIPTION).is_file()]
    workers.do(render, missing, phase=f"rendering {name} phantoms")
    folders = [job.folder for job in jobs] or sorted(path.parent for path in wanted.folder.glob(f"*/{DESCRIPTION}"))
    if not folders:
        reason = f"{name}.folder: no cases in {wanted.folder}; render some with {name}.diseased and {name}.not_diseased"
        raise EvaluationError(reason)
    return workers.do(load_patient, folders, phase=f"reading the truth of the {name} set")


def render(job: RenderJob) -> None:
    """One phantom patient into its folder."""
    render_test_case(job.seed, job.folder, InputContract(), status=job.status)


def _render_jobs(wanted: CaseSet) -> list[RenderJob]:
    return [
        RenderJob(
            seed=wanted.first_seed + number,
            folder=wanted.folder / f"phantom-{wanted.first_seed + number}",
            status=Status.DISEASED if number < wanted.diseased else Status.FREE,
        )
        for number in range(wanted.diseased + wanted.not_diseased)
    ]
