"""A whole evaluation: patients, readings, figures, tables. Read this first."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.device import NoSuchDeviceError, choose_device
from pipeline.evaluation.answers import Answers
from pipeline.evaluation.case_sets import prepare_patients
from pipeline.evaluation.checkpoints import checkpoints_of, load_detector
from pipeline.evaluation.config import EvaluationConfig, ModelConfig
from pipeline.evaluation.errors import EvaluationConfigError, EvaluationError
from pipeline.evaluation.evaluate_model import EvaluatedModel, PatientSets, evaluate_model, read_model
from pipeline.evaluation.figures import draw_figures
from pipeline.evaluation.measure import Resampling, area, differences
from pipeline.evaluation.parallel import Progress, Workers
from pipeline.evaluation.read_cases import Patient, Reader, patient_numbers
from pipeline.evaluation.results import Difference, EvaluationResult
from pipeline.evaluation.strangers import strangers_of
from pipeline.evaluation.table import write_json, write_markdown
from pipeline.evaluation.views import STAGE_ONE, STAGE_TWO


def evaluate(config: EvaluationConfig, *, out: Path, only: Sequence[str], on_progress: Progress) -> Path:
    """Tables and figures in `out`; an evaluation that stopped goes on from the readings it made.

    Args:
        config: From `load_evaluation_config`.
        out: Folder of the results, made if it is not there; readings lie in `out/readings`, cases of a store in
            `out/cases`.
        only: Names of the models; all of them if empty.
        on_progress: Called with what is being done and how far it is, 0..1.

    Returns:
        The table in Markdown.

    Raises:
        EvaluationConfigError: `only` names a model that the configuration does not, or the device is not there.
        EvaluationError: Something is missing, or weights do not fit.
        ModelPackError: A pack is damaged.
    """
    models = _wanted_models(config, only)
    device = _device(config)
    for model in models:
        # What does not fit is told before hours of rendering.
        load_detector(checkpoints_of(model)[0], "cpu")
    with Workers(config.processes, on_progress) as workers:
        sets = _patient_sets(config, workers, out / "cases")
        strangers = strangers_of(sets.test, config.seed)
        reader = Reader(folder=out / "readings", device=device, strangers=strangers, workers=workers)
        for model in models:
            read_model(model, sets, reader, controls=model.name == config.controlled)
    resampling = Resampling(samples=config.bootstrap_samples, seed=config.seed)
    evaluated: list[EvaluatedModel] = []
    for model in models:
        on_progress("measuring", len(evaluated) / (len(models) + 1))
        controls = model.name == config.controlled
        evaluated.append(evaluate_model(model, sets, reader, resampling, controls=controls))
    on_progress("measuring", len(models) / (len(models) + 1))
    return write_results(_result(config, sets, evaluated, resampling), out)


def write_results(result: EvaluationResult, out: Path) -> Path:
    """Tables and figures; gives the table in Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(result, out / "evaluation.json")
    pictures = draw_figures(result, out)
    return write_markdown(result, out / "evaluation.md", pictures)


def _wanted_models(config: EvaluationConfig, only: Sequence[str]) -> list[ModelConfig]:
    unknown = [name for name in only if name not in {model.name for model in config.models}]
    if unknown:
        reason = f"models.name: no model {unknown[0]!r} (known: {', '.join(model.name for model in config.models)})"
        raise EvaluationConfigError(reason)
    return [model for model in config.models if not only or model.name in only]


def _device(config: EvaluationConfig) -> str:
    """As torch names it."""
    try:
        return str(choose_device(config.device))
    except NoSuchDeviceError as exc:
        reason = f'device: this machine has no "{config.device}"; set it to "auto" or "cpu"'
        raise EvaluationConfigError(reason) from exc


def _patient_sets(config: EvaluationConfig, workers: Workers, cache: Path) -> PatientSets:
    prepared = {
        name: prepare_patients(name, wanted, workers, cache)
        for name, wanted in (("validation", config.validation), ("test", config.test))
    }
    for name, patients in prepared.items():
        if {True, False} - {patient.truth.diseased for patient in patients}:
            reason = (
                f"the {name} set needs patients with and without lesions in their newest study; render or import more"
            )
            raise EvaluationError(reason)
        if len({patient.identity for patient in patients if patient.truth.diseased is not None}) == 1:
            reason = f"the {name} set is of one patient alone; import more patients"
            raise EvaluationError(reason)
    both = {patient.identity for patient in prepared["test"]} & {each.identity for each in prepared["validation"]}
    if both:
        reason = f"{min(both)} is in the test and in the validation set; take this patient's cases out of one of them"
        raise EvaluationError(reason)
    known = [patient for patient in prepared["test"] if patient.truth.diseased is not None]
    return PatientSets(
        validation=prepared["validation"],
        test=known,
        set_aside=len(prepared["test"]) - len(known),
        subset=_subset(known, config.checkpoint_patients, config.seed),
    )


def _subset(patients: Sequence[Patient], of_each: int, seed: int) -> list[Patient]:
    """So many at random of the diseased and of the others, in the order they have."""
    if not of_each:
        return list(patients)
    ranks = np.random.default_rng(seed).permutation(len(patients))
    chosen: set[int] = set()
    for diseased in (True, False):
        members = [index for index in ranks if patients[index].truth.diseased is diseased]
        chosen.update(int(index) for index in members[:of_each])
    return [patient for index, patient in enumerate(patients) if index in chosen]


def _result(
    config: EvaluationConfig, sets: PatientSets, evaluated: Sequence[EvaluatedModel], resampling: Resampling
) -> EvaluationResult:
    return EvaluationResult(
        title=config.title,
        patients=len(set(patient_numbers(sets.test))),
        cases=len(sets.test),
        diseased=sum(bool(patient.truth.diseased) for patient in sets.test),
        set_aside=sets.set_aside,
        studies=sum(len(patient.truth.studies) for patient in sets.test),
        validation_patients=len(set(patient_numbers(sets.validation))),
        validation_cases=len(sets.validation),
        bootstrap_samples=resampling.samples,
        phantoms=any(patient.source == "phantom" for patient in sets.test),
        models=tuple(each.result for each in evaluated),
        differences=tuple(_differences(evaluated, resampling)),
    )


def _differences(evaluated: Sequence[EvaluatedModel], resampling: Resampling) -> list[Difference]:
    """Stage II against stage I and the controls of each detector; the first that looks back against the best that does not."""
    found: list[Difference] = []
    for each in evaluated:
        second = _named(each, STAGE_TWO)
        for stage in each.answers:
            if stage != STAGE_TWO:
                found += differences(second, _named(each, stage), resampling)
    single = [each for each in evaluated if not each.looks_back]
    looking = [each for each in evaluated if each.looks_back]
    if single and looking:
        for stage in (STAGE_ONE, STAGE_TWO):
            best = max((_named(each, stage) for each in single), key=_area)
            found += differences(_named(looking[0], stage), best, resampling)
    return found


def _named(each: EvaluatedModel, stage: str) -> tuple[str, Answers]:
    return f"{each.result.name}, stage {stage}", each.answers[stage]


def _area(named: tuple[str, Answers]) -> float:
    return area(named[1])
