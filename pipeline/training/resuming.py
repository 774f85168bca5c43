"""Whether the trainings of a cache may go on from their checkpoints: what each was begun with is kept beside it."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.model_pack import LUNG_WEIGHTS, SPACE_TIME_WEIGHTS, file_sha256, load_model_pack
from pipeline.training.compared import SPACE_TIME_2
from pipeline.training.config import TrainingConfig
from pipeline.training.loop import LUNGS, checkpoint_path
from pipeline.training.train_space_time import space_time_plan

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TRAINING = 1
"""Raise it when the same configuration and data train otherwise."""

BASELINE_SLICES = 2
"""Raise it when the baselines alone learn from other slices of the same batches."""


class TrainingCacheError(PipelineError):
    """The cache holds trainings of something else; name another cache folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingDataFingerprints:
    """What a run trains on; other data have other fingerprints, wherever they lie."""

    phantoms: str
    real_folders: str
    stores: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingGrounds:
    """What the weights of one network depend on."""

    name: str
    """Of its checkpoint."""
    steps: int
    """May become more: the training then goes on."""
    settings: dict[str, str]
    """By what the configuration calls them; none may change."""


def go_on_or_refuse(config: TrainingConfig, data: TrainingDataFingerprints) -> None:
    """Before hours of rendering and training: every checkpoint in the cache is of this configuration and these data.

    What is trained from now on is noted, each network beside its checkpoint.

    Args:
        config: Of the run.
        data: What it will be trained on.

    Raises:
        TrainingCacheError: A checkpoint is of something else; the sentence names it, and what differs.
        ModelPackError: A pack to start from is damaged.
    """
    wanted = _all_grounds(config, data)
    problems = [problem for grounds in wanted if (problem := _problem(config.cache, grounds))]
    if problems:
        reason = (
            f"the cache {config.cache} holds trainings of something else: {'; '.join(problems)}. Name another cache "
            f"folder in the configuration, or remove the named files to train these networks anew."
        )
        raise TrainingCacheError(reason)
    for grounds in wanted:
        _note(config.cache, grounds)


def _all_grounds(config: TrainingConfig, data: TrainingDataFingerprints) -> list[TrainingGrounds]:
    shared = {"the version of dicom-node": repr(TRAINING), "seed": repr(config.seed)}
    seen_by_lungs = {"[data].phantom_patients": data.phantoms, "[data].real_folders": data.real_folders}
    lungs = {**shared, **seen_by_lungs, **_settings("lungs", config.lungs, LUNG_WEIGHTS)}
    painted = {
        "[data].paintings_per_real_study": repr(config.data.paintings_per_real_study),
        "[data].stores": data.stores,
    }
    space_time = {
        **shared,
        **seen_by_lungs,
        **painted,
        **_settings("space_time", config.space_time, SPACE_TIME_WEIGHTS),
    }
    # A share of the weights of the start is mixed in after the training, for those who learn from its result.
    share = space_time.pop("[space_time].start_share")
    taught = {**space_time, "[space_time].start_share": share, "[space_time].steps": repr(config.space_time.steps)}
    return [
        TrainingGrounds(name=LUNGS, steps=config.lungs.steps, settings=lungs),
        TrainingGrounds(name=space_time_plan(config).name, steps=config.space_time.steps, settings=space_time),
        *(
            TrainingGrounds(name=name, steps=config.comparison.steps, settings=taught | _read_by(name))
            for name in config.comparison.models
        ),
    ]


def _read_by(name: str) -> dict[str, str]:
    """What only the networks that read slices depend on."""
    return {} if name == SPACE_TIME_2 else {"the slices that the baselines learn from": repr(BASELINE_SLICES)}


def _settings(table: str, record: "DataclassInstance", weights: str) -> dict[str, str]:
    """All keys of a table but its steps; of a pack to start from counts what is in it, not where it lies."""
    values = {item.name: getattr(record, item.name) for item in fields(record) if item.name != "steps"}
    start: Path | None = values["start_from"]
    values["start_from"] = None if start is None else file_sha256(load_model_pack(start).folder / weights)
    return {f"[{table}].{name}": repr(value) for name, value in values.items()}


def _note_path(cache: Path, name: str) -> Path:
    return checkpoint_path(cache, name).with_suffix(".json")


def _problem(cache: Path, wanted: TrainingGrounds) -> str:
    """What speaks against going on with a network; "" for nothing."""
    checkpoint, note = checkpoint_path(cache, wanted.name), _note_path(cache, wanted.name)
    if not checkpoint.exists():
        return ""
    try:
        begun = TrainingGrounds(**json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return f"of {checkpoint} nobody noted what it was trained on"
    names = wanted.settings.keys() | begun.settings.keys()
    other = sorted(name for name in names if wanted.settings.get(name) != begun.settings.get(name))
    if other:
        return f"{checkpoint} differs in {', '.join(other)}"
    if wanted.steps < begun.steps:
        return f"{checkpoint} is of {begun.steps} steps, more than the {wanted.steps} that are wanted"
    return ""


def _note(cache: Path, grounds: TrainingGrounds) -> None:
    path = _note_path(cache, grounds.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".json.unfinished")
    unfinished.write_text(json.dumps(asdict(grounds), indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)
