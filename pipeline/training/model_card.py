"""The model card: what the weights saw, what they were measured to do, what they are not for."""

from collections.abc import Sequence

from pipeline.model_pack import TrainingData
from pipeline.training.config import TrainingConfig
from pipeline.training.operating_points import OperatingPoints, ReadingFigures

_TEMPLATE = """# {name} {version}

**Demo weights. Not for diagnosis.** Every lesion these networks ever saw was synthetic. They show that the node works;
they do not show that it finds disease in people. Scores are not calibrated for any population.

## What is inside

- `models/lungs.safetensors`: 2D U-Net, right and left lung, {lung_steps} steps of {lung_batch} slices.
- `models/space_time.safetensors`: Space-Time-Net{direction}, lesions in a study with 0..N earlier studies in view,
  {steps} steps of {batch} patients.

Both are stored in half precision, trained with a fixed seed ({seed}) in bfloat16 on a CPU.

## What they saw

{data}

Lung masks of the real scans are classical pseudo-masks (threshold and morphology), looked at, not drawn by experts.
Tumours in these scans are not lesions to this network. Lesions were set into the real lungs by the generator of the
phantoms. Earlier studies were shown misaligned by a few pixels, cut off, left out ({alone:.0%} of the steps) or swapped
for a stranger's ({wrong:.0%}).

## What was measured

On {patients} phantom patients of other seeds, newest study of each, true lung masks, on the network's own grid. This is
a check of the software, not of medicine.

{table}

A lesion is found when a tenth of it lies in the mask; a box hits at an overlap (IoU) of 0.3; Dice over studies with at
least 0.5 ml of lesion. Thresholds and the patient score were chosen on the same cases, so the figures are a little kind.

{notes}
## Limits

Axial chest CT, slices 1 to 10 mm apart. Never tried: children, other diseases as a control group, expert masks.
"""

_ROWS: tuple[tuple[str, str], ...] = (
    ("Studies (with a lesion)", "{studies} ({diseased})"),
    ("Lesion mask, Dice", "{dice_mean:.3f} ± {dice_sd:.3f}"),
    ("Lesions found", "{lesion_sensitivity:.1%}"),
    ("False regions per study", "{false_components_per_study:.2f}"),
    ("False volume in studies without lesions", "{healthy_false_ml:.2f} ml"),
    ("Patient with against without lesion, AUC", "{patient_auc:.3f}"),
    ("Kind right, of lesion voxels found", "{kind_agreement:.1%}"),
    ("Boxes, recall", "{box_recall:.1%}"),
    ("Boxes, precision", "{box_precision:.1%}"),
)


def model_card(config: TrainingConfig, data: Sequence[TrainingData], points: OperatingPoints, patients: int) -> str:
    """Markdown of a trained pack."""
    return _TEMPLATE.format(
        name=config.name,
        version=config.version,
        seed=config.seed,
        lung_steps=config.lungs.steps,
        lung_batch=config.lungs.batch,
        steps=config.space_time.steps,
        batch=config.space_time.batch,
        direction=" (time both ways)" if config.space_time.bidirectional_time else "",
        data="\n".join(f"- {item.name}: {item.attribution} ({item.licence})" for item in data),
        alone=config.space_time.no_prior_share,
        wrong=config.space_time.wrong_patient_share,
        patients=patients,
        table=_table(points.readings),
        notes=f"{config.card_notes.strip()}\n\n" if config.card_notes else "",
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
