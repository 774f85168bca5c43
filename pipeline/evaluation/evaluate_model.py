"""One detector, all its checkpoints: readings, choices on validation, answers on the test set, figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.evaluation.answers import Answers, answers_of
from pipeline.evaluation.checkpoints import Checkpoint, checkpoints_of
from pipeline.evaluation.choices import Choices, best_threshold, choose
from pipeline.evaluation.config import ModelConfig, ModelKind
from pipeline.evaluation.measure import Resampling, mean_and_sd, plain_figures, stage_figures
from pipeline.evaluation.read_cases import Patient, Reader, patient_numbers
from pipeline.evaluation.readings import KeptReading
from pipeline.evaluation.results import CheckpointFigures, ModelResult, PlainFigures
from pipeline.evaluation.truth import StudyTruth
from pipeline.evaluation.views import STAGE_TWO, Views, control_stages, paper_stages


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatientSets:
    """Everybody who is read; of the test patients it is known whether they are diseased."""

    validation: Sequence[Patient]
    test: Sequence[Patient]
    subset: Sequence[Patient]
    """Of the test patients, on whom the checkpoints are compared."""
    set_aside: int
    """Test patients about whom neither answer would be wrong."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluatedModel:
    """One detector, with what comparing it with others takes."""

    result: ModelResult
    answers: dict[str, Answers]
    """Of the best checkpoint, by stage."""

    @property
    def looks_back(self) -> bool:
        """It has the earlier studies in view."""
        return ModelKind(self.result.kind).looks_back


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chosen:
    """What one checkpoint's readings of the validation patients led to."""

    choices: Choices
    thresholds: dict[str, float] = field(default_factory=dict)
    """Of the patient score, by stage of the paper."""


def read_model(model: ModelConfig, sets: PatientSets, reader: Reader, *, controls: bool) -> None:
    """Makes all readings of a detector that are not there yet."""
    plain = paper_stages(looks_back=model.kind.looks_back)
    for rank, checkpoint in enumerate(checkpoints_of(model)):
        reader.read(checkpoint, sets.validation, plain.values())
        stages = {**plain, **control_stages()} if controls and rank == 0 else plain
        reader.read(checkpoint, sets.test if rank == 0 else sets.subset, stages.values())


def evaluate_model(
    model: ModelConfig, sets: PatientSets, reader: Reader, resampling: Resampling, *, controls: bool
) -> EvaluatedModel:
    """Figures of a detector whose readings are there."""
    plain = paper_stages(looks_back=model.kind.looks_back)
    all_chosen = {
        checkpoint: _chosen(checkpoint, sets.validation, plain, reader) for checkpoint in checkpoints_of(model)
    }
    best, chosen = next(iter(all_chosen.items()))
    stages = {**plain, **control_stages()} if controls else plain
    answers = {stage: _answers(best, sets.test, views, chosen.choices, reader) for stage, views in stages.items()}
    figures = [
        stage_figures(
            stage,
            given,
            resampling,
            threshold=chosen.thresholds.get(stage, chosen.thresholds[STAGE_TWO]),
            box_score=chosen.choices.box_score,
        )
        for stage, given in answers.items()
    ]
    result = ModelResult(
        name=model.name,
        kind=model.kind,
        checkpoint=best.label,
        validation_loss=best.validation_loss,
        choices=chosen.choices,
        stages=tuple(figures),
        checkpoints=_over_checkpoints(all_chosen, sets.subset, plain, reader),
    )
    return EvaluatedModel(result=result, answers=answers)


def _over_checkpoints(
    all_chosen: dict[Checkpoint, _Chosen], patients: Sequence[Patient], stages: dict[str, Views], reader: Reader
) -> tuple[CheckpointFigures, ...]:
    """Mean and spread of each stage, every checkpoint with its own choices."""
    found: dict[str, list[PlainFigures]] = {stage: [] for stage in stages}
    for checkpoint, chosen in all_chosen.items():
        for stage, views in stages.items():
            answers = _answers(checkpoint, patients, views, chosen.choices, reader)
            threshold = chosen.thresholds[stage]
            found[stage].append(plain_figures(answers, threshold=threshold, box_score=chosen.choices.box_score))
    return tuple(_checkpoint_figures(stage, figures, patients) for stage, figures in found.items())


def _checkpoint_figures(stage: str, figures: list[PlainFigures], patients: Sequence[Patient]) -> CheckpointFigures:
    mean, sd = mean_and_sd(figures)
    return CheckpointFigures(
        stage=stage,
        checkpoints=len(figures),
        patients=len(set(patient_numbers(patients))),
        cases=len(patients),
        diseased=sum(bool(patient.truth.diseased) for patient in patients),
        mean=mean,
        sd=sd,
    )


def _chosen(checkpoint: Checkpoint, validation: Sequence[Patient], stages: dict[str, Views], reader: Reader) -> _Chosen:
    samples: list[tuple[KeptReading, StudyTruth]] = []
    patients: list[int] = []
    for number, patient in zip(patient_numbers(validation), validation, strict=True):
        held = reader.load(checkpoint, patient, stages.values())
        samples += [(reading, patient.truth.studies[-1 - view.studies_back]) for view, reading in held.items()]
        patients += [number] * len(held)
    choices = choose(samples, patients)
    chosen = _Chosen(choices=choices)
    clear = [patient for patient in validation if patient.truth.diseased is not None]
    for stage, views in stages.items():
        answers = _answers(checkpoint, clear, views, choices, reader)
        chosen.thresholds[stage] = best_threshold(answers.scores, answers.diseased)
    return chosen


def _answers(
    checkpoint: Checkpoint, patients: Sequence[Patient], views: Views, choices: Choices, reader: Reader
) -> Answers:
    readings = [reader.load(checkpoint, patient, [views]) for patient in patients]
    return answers_of(patients, readings, views, choices)
