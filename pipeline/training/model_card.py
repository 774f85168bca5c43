"""The model card: what the weights saw, what they were measured to do, what they are not for."""

from collections.abc import Sequence

from pipeline.model_pack import PatientOperatingPoints
from pipeline.training.config import TrainingConfig
from pipeline.training.operating_points import OperatingPoints, ReadingFigures
from pipeline.training.what_was_seen import WhatWasSeen

_TEMPLATE = """# {name} {version}

**Not for diagnosis.** {lesions} Figures on phantoms verify the software; they
say nothing of clinical performance.

## What is inside

- `models/lungs.safetensors`: 2D U-Net, right and left lung, {lung_steps} steps of {lung_batch} slices.
- `models/space_time.safetensors`: Space-Time-Net{direction}, lesions in a study with 0..3 earlier studies in view,
  {steps} steps of {batch} patients.

Both are stored in half precision, trained with a fixed seed ({seed}) in bfloat16.

## What they saw

{data}

Lung masks of the real scans are classical pseudo-masks (threshold and morphology), looked at, not drawn by experts.
What is marked in them as not known, such as tumours, is left out of the loss. Lesions were set into the real lungs by the generator of the
phantoms. Earlier studies were shown misaligned by a few pixels, cut off, left out ({alone:.0%} of the steps) or swapped
for a stranger's ({wrong:.0%}).

## What was measured when the thresholds were chosen

On {patients} phantom patients of other seeds, newest study of each, true lung masks, on the network's own grid; 95 %
intervals in brackets.

{table}

A lesion is found when a tenth of it lies in the mask; a box hits at an overlap (IoU) of 0.3; Dice over studies with at
least 0.5 ml of lesion. Thresholds were chosen on the same cases, so the figures are a little kind.{stores}

## The patient score

A logistic function of the most suspicious slices and the involvement. Its temperature is {temperature:.2f}, fitted on
held-out folds of the same phantoms: the score is a probability among such phantoms, not among people. The shares below are
of all readings of these phantoms, alone and with earlier studies.

| Operating point | Score from | Sensitivity | Specificity |
|---|---|---|---|
{points}

{notes}
## Limits

Axial chest CT, slices 1 to 10 mm apart. Never tried: children, other diseases as a control group, expert masks.
"""

_SYNTHETIC_LESIONS = "Every lesion these networks ever saw was synthetic."
_SITE_LESIONS = (
    "Beside synthetic lesions these networks saw those that readers drew or labelled in data that are named below."
)

_STORES_UNSEEN = """

**No patient of the stores was looked at here**: thresholds, temperature and operating points are those of phantoms. Measure
them on the stores' own validation and test splits with `dicom-node evaluate` before anything is decided by them."""

_ROWS: tuple[tuple[str, str], ...] = (
    ("Studies (with a lesion)", "{studies} ({diseased})"),
    ("Lesion mask, Dice", "{dice.value:.3f} [{dice.low:.3f}, {dice.high:.3f}], SD {dice_sd:.3f}"),
    (
        "Lesions found",
        "{lesion_sensitivity.value:.1%} [{lesion_sensitivity.low:.1%}, {lesion_sensitivity.high:.1%}]",
    ),
    ("False regions per study", "{false_components_per_study:.2f}"),
    ("False volume in studies without lesions", "{healthy_false_ml:.2f} ml"),
    (
        "Patient with against without lesion, AUC",
        "{patient_auc.value:.3f} [{patient_auc.low:.3f}, {patient_auc.high:.3f}]",
    ),
    ("Kind right, of lesion voxels found", "{kind_agreement:.1%}"),
    ("Boxes, recall", "{box_recall:.1%}"),
    ("Boxes, precision", "{box_precision:.1%}"),
)


def model_card(config: TrainingConfig, seen: WhatWasSeen, points: OperatingPoints, patients: int) -> str:
    """Markdown of a trained pack.

    Args:
        config: Of the run.
        seen: By the weights.
        points: Measured on the validation cases.
        patients: Number of the validation cases.
    """
    return _TEMPLATE.format(
        name=config.name,
        version=config.version,
        seed=config.seed,
        lesions=_SYNTHETIC_LESIONS if seen.synthetic_lesions_only else _SITE_LESIONS,
        lung_steps=config.lungs.steps,
        lung_batch=config.lungs.batch,
        steps=config.space_time.steps,
        batch=config.space_time.batch,
        direction=" (time both ways)" if config.space_time.bidirectional_time else "",
        data="\n".join(f"- {item.name}: {item.attribution} ({item.licence})" for item in seen.data),
        alone=config.space_time.no_prior_share,
        wrong=config.space_time.wrong_patient_share,
        patients=patients,
        table=_table(points.readings),
        stores=_STORES_UNSEEN if config.data.stores else "",
        temperature=points.patient.weights.temperature,
        points=_points(points.patient.operating_points),
        notes=f"{config.card_notes.strip()}\n\n" if config.card_notes else "",
    )


def _points(points: PatientOperatingPoints) -> str:
    named = {
        "default": points.default,
        "95 % sensitivity": points.sensitivity_95,
        "95 % specificity": points.specificity_95,
    }
    return "\n".join(
        f"| {name} | {point.threshold:.2f} | {point.sensitivity:.1%} | {point.specificity:.1%} |"
        for name, point in named.items()
        if point is not None
    )


def _table(readings: Sequence[ReadingFigures]) -> str:
    heads = " | ".join(_heading(reading.priors) for reading in readings)
    lines = [f"| | {heads} |", "|---|" + "---|" * len(readings)]
    for title, pattern in _ROWS:
        cells = " | ".join(_cell(reading, pattern) for reading in readings)
        lines.append(f"| {title} | {cells} |")
    return "\n".join(lines)


def _heading(priors: int) -> str:
    return "alone" if priors == 0 else f"with {priors} earlier"


def _cell(reading: ReadingFigures, pattern: str) -> str:
    values = {name: getattr(reading, name) for name in ReadingFigures.__dataclass_fields__}
    return pattern.format(**values)
