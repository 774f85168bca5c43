"""Made-up answers of detectors, for what is measured, drawn and written down."""

import numpy as np

from pipeline.evaluation.answers import Answers
from pipeline.evaluation.choices import Choices
from pipeline.evaluation.lesion_boxes import BoxStack, Candidate
from pipeline.evaluation.lesion_matching import claims_of
from pipeline.evaluation.measure import Resampling, differences, mean_and_sd, plain_figures, stage_figures
from pipeline.evaluation.results import CheckpointFigures, EvaluationResult, ModelResult
from pipeline.evaluation.truth import TrueLesion
from pipeline.patient_score import PatientScoreWeights

STORE_CONFIG = """
bootstrap_samples = 10
[test]
store = "store"
[validation]
store = "store"
[[models]]
name = "Space-Time1"
kind = "space-time-1"
epochs = "space-time"
network = { widths = [8, 8, 16, 16], hidden = 8, mask_width = 8 }
"""
"""evaluation.toml beside a store and the saved epochs of a small Space-Time1."""

RESAMPLING = Resampling(samples=60, seed=1)

CHOICES = Choices(
    link_floor=0.1,
    box_score=0.5,
    mask_probability=0.5,
    patient_score=PatientScoreWeights(bias=0.0, slice_weight=1.0, involvement_weight=1.0),
)


def cube(corner: int, side: int = 10, *, first_slice: int = 0, slices: int = 3) -> BoxStack:
    """The same square on some slices."""
    box = [corner, corner, corner + side, corner + side]
    return BoxStack(
        slices=np.arange(first_slice, first_slice + slices, dtype=np.int32),
        boxes=np.array([box] * slices, np.float32),
    )


def candidate(score: float, boxes: BoxStack) -> Candidate:
    """A claim."""
    return Candidate(boxes=boxes, score=score)


def lesion(boxes: BoxStack, volume_ml: float = 1.0) -> TrueLesion:
    """A true lesion."""
    return TrueLesion(boxes=boxes, volume_ml=volume_ml)


def random_answers(seed: int, separation: float, *, patients: int = 60) -> Answers:
    """A third diseased, each with three lesions; scores further apart the larger the separation."""
    rng = np.random.default_rng(seed)
    diseased = np.arange(patients) % 3 == 0
    scores = 1.0 / (1.0 + np.exp(-(separation * (diseased - 0.5) + rng.normal(size=patients))))
    scans = []
    for ill in diseased:
        true = [lesion(cube(30 * number)) for number in range(3)] if ill else []
        hits = [candidate(_share(rng, separation), each.boxes) for each in true if rng.random() < 0.9]
        alarms = [candidate(_share(rng, -separation), cube(200 + 20 * number)) for number in range(rng.poisson(3.0))]
        scans.append(([*hits, *alarms], true))
    involvement = np.where(diseased, rng.uniform(0.5, 20.0, patients), 0.0)
    return Answers(
        patients=np.arange(patients),
        scores=scores,
        diseased=diseased,
        claims=claims_of(scans),
        dice=np.where(diseased, rng.uniform(0.5, 0.95, patients), np.nan),
        found_by_mask=2.0 * diseased,
        lesions=3.0 * diseased,
        false_pieces=np.ones(patients),
        involvement_percent=involvement + rng.normal(0.0, 0.3, patients),
        true_involvement_percent=involvement,
    )


def random_model(name: str, kind: str, seed: int, separations: dict[str, float]) -> tuple[ModelResult, Answers]:
    """A detector with three checkpoints, and its answers in stage II."""
    answers = {stage: random_answers(seed, separation) for stage, separation in separations.items()}
    checkpoints = []
    for stage in ("I", "II"):
        runs = [
            plain_figures(random_answers(seed + n, separations[stage]), threshold=0.5, box_score=0.5) for n in range(3)
        ]
        mean, sd = mean_and_sd(runs)
        checkpoints.append(
            CheckpointFigures(stage=stage, checkpoints=3, patients=60, cases=60, diseased=20, mean=mean, sd=sd)
        )
    result = ModelResult(
        name=name,
        kind=kind,
        checkpoint="epoch-0007-0123abcd",
        validation_loss=0.42,
        choices=CHOICES,
        stages=tuple(
            stage_figures(stage, each, RESAMPLING, threshold=0.5, box_score=0.5) for stage, each in answers.items()
        ),
        checkpoints=tuple(checkpoints),
    )
    return result, answers["II"]


def random_result() -> EvaluationResult:
    """Two detectors, one of them with a control."""
    single, single_answers = random_model("YOLOv3", "yolov3", 1, {"I": 1.0, "II": 1.4})
    looking, looking_answers = random_model(
        "Space-Time1", "space-time-1", 2, {"I": 1.5, "II": 3.0, "II, other-patient": 1.3}
    )
    return result_of([single, looking], ("Space-Time1", looking_answers), ("YOLOv3", single_answers))


def result_of(models: list[ModelResult], first: tuple[str, Answers], second: tuple[str, Answers]) -> EvaluationResult:
    """Models with one comparison."""
    return EvaluationResult(
        title="Made up",
        patients=60,
        cases=60,
        diseased=20,
        set_aside=2,
        studies=120,
        validation_patients=20,
        validation_cases=20,
        bootstrap_samples=60,
        phantoms=True,
        models=tuple(models),
        differences=tuple(differences(first, second, RESAMPLING)),
    )


def _share(rng: np.random.Generator, centre: float) -> float:
    return float(1.0 / (1.0 + np.exp(-rng.normal(centre / 2))))
