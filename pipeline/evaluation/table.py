"""The results as JSON, and as Markdown for people."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.evaluation.resampling import Estimate
from pipeline.evaluation.results import CheckpointFigures, Difference, EvaluationResult, ModelResult, StageFigures

PHANTOM_NOTE = (
    "**Phantoms verify software, not clinical performance.** The patients of this test set are made up by a program; "
    "what a detector finds in them says that it learned what the program draws and that the software around it works. "
    "It says nothing about how it does on people."
)

DEFINITIONS = """\
* **Stage I** reads the newest study alone. **Stage II** has all dates: a detector that looks back reads the newest study
  with up to three earlier ones in view, never a later one; one that does not reads every study for itself, and the
  patient is as ill as the worst of them looks (any positive). Lesions, Dice and involvement are always those of the
  newest study, so a detector that does not look back has the same in both stages.
* **Controls** of the detector that looks back: *shuffled-in-time* shows it the patient's earlier studies in reverse order
  with made-up gaps, *shuffled-in-place* the patient's earlier studies with their slices in random order, *other-patient*
  somebody else's earlier studies on the patient's grid. What stage II gains by comparing studies, the last two must lose.
* **Diseased**: at least 0.1 ml of lesion in the newest study. **Patient score**: a logistic function of the mean of the
  three highest slice logits and of log(0.01 + involvement in per cent), fitted with its temperature on the validation set
  for every detector alike; so is its threshold, for each stage (Youden). A detector that draws no mask has for involvement
  the share of the lungs in the ellipses inscribed in its boxes.
* **Lungs** of a store's studies are those that somebody drew, else those that the lung network finds; a detector is shown
  them and answers in them. A lesion that was drawn beside them is lesion all the same, and missed.
* **Lesions**: boxes of neighbouring slices that are each other's best match (IoU >= 0.2) are one candidate, scored by the
  mean of its three best boxes; boxes of which less than a fifth lies in the lungs are dropped. A candidate hits a lesion of
  at least 0.1 ml where the IoU of their stacks of boxes is at least 0.1.
* **Accuracy of target detection**, which the paper does not define: correct / (correct + false + missed) lesions, a lesion
  being found once, at the candidate score of the highest F1 on the validation set. **CPM**: mean sensitivity to lesions at
  1/8, 1/4, 1/2, 1, 2, 4, 8 false positives per scan. **AP**: average precision of the candidates.
* **Intervals** are of 95 %: DeLong's for the AUC, Wilson's for sensitivity and specificity, bootstrap over patients for
  the rest. A patient whose studies could not be aligned has several cases, which are fitted, held out and drawn together;
  where one has, all intervals are bootstrapped. Differences are paired: both sides see the same patients drawn. DeLong's interval of an AUC of 1 has no width.
  The best detector that does not look back is the one with the highest AUC on this test set, which is in its favour.
* **Found by the mask**: at least a tenth of the lesion lies in it; a false piece of at least 0.1 ml holds no lesion.
* **Calibration**: expected calibration error in ten bins; it also shows where the share of diseased patients differs
  between the validation and the test set."""


def write_json(result: EvaluationResult, path: Path) -> None:
    """All numbers; what is not known is null."""
    path.write_text(json.dumps(_plain(asdict(result)), indent=1), encoding="utf-8")


def write_markdown(result: EvaluationResult, path: Path, pictures: Sequence[Path]) -> Path:
    """What matters of them, with the pictures; gives `path`."""
    rows = [(model, figures) for model in result.models for figures in model.stages]
    parts = [
        f"# {result.title}",
        *([PHANTOM_NOTE] if result.phantoms else []),
        _test_set(result),
        "## Patients and lesions",
        "The checkpoint of each detector with the lowest validation loss.",
        _table(MAIN_HEAD, (_main_row(model, figures) for model, figures in rows)),
        "## Over checkpoints",
        _checkpoint_note(result),
        _table(
            CHECKPOINT_HEAD, (_checkpoint_row(model, each) for model in result.models for each in model.checkpoints)
        ),
        "## Differences",
        _table(DIFFERENCE_HEAD, (_difference_row(each) for each in result.differences)),
        "## Sensitivity to lesions by false positives per scan",
        _table(FROC_HEAD, (_froc_row(model, figures) for model, figures in rows)),
        "## Masks, involvement, calibration",
        _table(INVOLVEMENT_HEAD, (_involvement_row(model, figures) for model, figures in rows)),
        "## What was chosen on the validation set",
        _table(CHOICES_HEAD, (_choices_row(model) for model in result.models)),
        *(f"![{picture.stem}]({picture.name})" for picture in pictures),
        "## How it is measured",
        DEFINITIONS,
    ]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


MAIN_HEAD = (
    "detector", "stage", "AUC", "sensitivity at 95 % specificity", "sensitivity", "specificity",
    "accuracy of target detection", "CPM", "AP at IoU 0.1", "lesion Dice",
)  # fmt: skip
CHECKPOINT_HEAD = (
    "detector", "stage", "checkpoints", "AUC", "sensitivity at 95 % specificity", "sensitivity", "specificity",
    "accuracy of target detection", "CPM", "AP at IoU 0.1", "lesion Dice",
)  # fmt: skip
DIFFERENCE_HEAD = ("first", "minus second", "figure", "difference")
FROC_HEAD = ("detector", "stage", "1/8", "1/4", "1/2", "1", "2", "4", "8")
INVOLVEMENT_HEAD = (
    "detector", "stage", "involvement error, points", "mean absolute", "limits of agreement",
    "not diseased below 1 %", "lesions found by the mask", "false pieces per scan", "calibration error", "Brier",
)  # fmt: skip
CHOICES_HEAD = ("detector", "checkpoint", "validation loss", "boxes linked from", "candidate score", "mask probability")


def _test_set(result: EvaluationResult) -> str:
    aside = (
        f" {result.set_aside} more were set aside: free of lesions now, but not before, or not known to be free."
        if result.set_aside
        else ""
    )
    return (
        f"Test set: {_people(result.patients, result.cases)}, {result.diseased} diseased and "
        f"{result.cases - result.diseased} not, {result.studies} studies.{aside} Validation set: "
        f"{_people(result.validation_patients, result.validation_cases)}. Bootstrap: {result.bootstrap_samples} samples."
    )


def _people(patients: int, cases: int) -> str:
    return f"{patients} patients" if cases == patients else f"{cases} cases of {patients} patients"


def _checkpoint_note(result: EvaluationResult) -> str:
    sizes = {(each.cases, each.diseased) for model in result.models for each in model.checkpoints}
    cases, diseased = max(sizes)
    which = "all test patients" if cases == result.cases else "a fixed random part of the test patients"
    return (
        f"Mean and standard deviation over the saved checkpoints, each with its own choices on the validation set, on "
        f"{which}: {diseased} diseased, {cases - diseased} not."
    )


def _main_row(model: ModelResult, figures: StageFigures) -> list[str]:
    estimates = (
        figures.area,
        figures.sensitivity_at_specificity,
        figures.sensitivity,
        figures.specificity,
        figures.target_accuracy,
        figures.competition_metric,
        figures.average_precision,
        figures.dice,
    )
    return [model.name, figures.stage, *(_interval(estimate) for estimate in estimates)]


def _checkpoint_row(model: ModelResult, figures: CheckpointFigures) -> list[str]:
    means, sds = asdict(figures.mean), asdict(figures.sd)
    cells = [_spread(means[name], sds[name]) for name in means]
    return [model.name, figures.stage, str(figures.checkpoints), *cells]


def _difference_row(each: Difference) -> list[str]:
    estimate = each.difference
    cell = f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"
    return [each.first, each.second, each.figure, cell]


def _froc_row(model: ModelResult, figures: StageFigures) -> list[str]:
    return [model.name, figures.stage, *(_number(value) for value in figures.froc_sensitivities)]


def _involvement_row(model: ModelResult, figures: StageFigures) -> list[str]:
    found = figures.involvement
    return [
        model.name,
        figures.stage,
        f"{found.mean:+.2f}",
        f"{found.mean_absolute:.2f}",
        f"{found.lower_limit:+.2f} to {found.upper_limit:+.2f}",
        _interval(figures.little_involvement),
        _interval(figures.found_by_mask),
        _number(figures.false_pieces),
        _number(figures.calibration_error),
        _number(figures.brier),
    ]


def _choices_row(model: ModelResult) -> list[str]:
    choices = model.choices
    return [
        model.name,
        model.checkpoint,
        _number(math.nan if model.validation_loss is None else model.validation_loss),
        f"{choices.link_floor:.2f}",
        f"{choices.box_score:.2f}",
        "-" if choices.mask_probability is None else f"{choices.mask_probability:.1f}",
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _interval(estimate: Estimate) -> str:
    if math.isnan(estimate.value) or math.isnan(estimate.low):
        return _number(estimate.value)
    return f"{estimate.value:.3f} ({estimate.low:.3f}-{estimate.high:.3f})"


def _spread(mean: float, sd: float) -> str:
    return _number(mean) if math.isnan(mean) or math.isnan(sd) else f"{mean:.3f} ± {sd:.3f}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _plain(value: object) -> object:
    """For JSON, which has no nan."""
    if isinstance(value, float):
        return None if not math.isfinite(value) else value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
