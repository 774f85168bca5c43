"""The patients that are evaluated: rendered phantoms, whatever lies in a folder, or a split of a store."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.evaluation.config import CaseSet
from pipeline.evaluation.errors import EvaluationError
from pipeline.evaluation.parallel import Workers
from pipeline.evaluation.read_cases import Patient, load_patient
from pipeline.importers.splits import Split
from pipeline.model_input import InputContract
from pipeline.training.cases import case_folders
from pipeline.training.phantom_cases import Status, is_rendered_as, render_test_case
from pipeline.training.site_cases import site_case_folders


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderJob:
    """One phantom."""

    seed: int
    folder: Path
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreJob:
    """A split of a store."""

    store: Path
    split: Split
    cache: Path


def prepare_patients(name: str, wanted: CaseSet, workers: Workers, cache: Path) -> list[Patient]:
    """The patients of a set by name; phantoms that are wanted and missing, and cases of a store, are made first.

    Args:
        name: What progress calls the set.
        wanted: Which patients.
        workers: Who render and read.
        cache: Folder for cases of a store, where the set names none.

    Raises:
        EvaluationError: There are none.
        StoreError: There is no store, or it is damaged.
    """
    if wanted.store is not None and wanted.split is not None:
        job = StoreJob(store=wanted.store, split=wanted.split, cache=wanted.folder or cache)
        folders = _from_store(name, job, workers)
    else:
        folders = _from_folder(name, wanted, wanted.folder or cache, workers)
    return workers.do(load_patient, folders, phase=f"reading the truth of the {name} set")


def render(job: RenderJob) -> None:
    """One phantom patient into its folder."""
    render_test_case(job.seed, job.folder, InputContract(), status=job.status)


def make_site_cases(job: StoreJob) -> list[Path]:
    """Folders of the cases of a split."""
    return site_case_folders(job.store, job.split, job.cache, InputContract())


def _from_store(name: str, job: StoreJob, workers: Workers) -> list[Path]:
    (folders,) = workers.do(make_site_cases, [job], phase=f"reading the store of the {name} set")
    if not folders:
        reason = f"{name}.store: the split {job.split.value!r} of {job.store} has no patient of whom anything is known"
        raise EvaluationError(reason)
    return folders


def _from_folder(name: str, wanted: CaseSet, folder: Path, workers: Workers) -> list[Path]:
    jobs = _render_jobs(wanted, folder)
    missing = [job for job in jobs if not is_rendered_as(job.folder, job.status)]
    workers.do(render, missing, phase=f"rendering {name} phantoms")
    folders = [job.folder for job in jobs] or case_folders(folder)
    if not folders:
        reason = (
            f"{name}.folder: no cases in {folder}; render some with {name}.diseased and {name}.not_diseased, or name a "
            f"store as {name}.store"
        )
        raise EvaluationError(reason)
    return folders


def _render_jobs(wanted: CaseSet, folder: Path) -> list[RenderJob]:
    return [
        RenderJob(
            seed=wanted.first_seed + number,
            folder=folder / f"phantom-{wanted.first_seed + number}",
            status=Status.DISEASED if number < wanted.diseased else Status.FREE,
        )
        for number in range(wanted.diseased + wanted.not_diseased)
    ]
