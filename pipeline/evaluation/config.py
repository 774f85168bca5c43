"""What an evaluation is told: patients, models, lengths."""

import json
import tomllib
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, NoReturn

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pipeline.evaluation.errors import EvaluationConfigError
from pipeline.importers.splits import Split
from pipeline.pack_schema import Channels, Count, Text
from pipeline.schema_words import problem_in_words
from pipeline.training.config import FIRST_FREE_SEED, Device, Number, Processes, Seed

_STRICT: Final = ConfigDict(extra="forbid", strict=True)

FIRST_SEEDS: Final = {"test": 2_000_000, "validation": 1_900_000}
"""Of the phantoms of a set that names no seed: nobody is in both."""


class ModelKind(StrEnum):
    """Detectors that can be evaluated."""

    FASTER_RCNN = "faster-rcnn"
    SSD = "ssd"
    YOLOV3 = "yolov3"
    SPACE_TIME_1 = "space-time-1"
    SPACE_TIME_2 = "space-time-2"

    @property
    def looks_back(self) -> bool:
        """It has the earlier studies in view."""
        return self in (ModelKind.SPACE_TIME_1, ModelKind.SPACE_TIME_2)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSet:
    """Patients in a folder of rendered cases, or of a split of a store."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    folder: Path | None = None
    """Of the cases; those of a store are made in it, None: beside the readings."""
    store: Path | None = None
    """That `dicom-node import` made; None: the patients are phantoms, or cases that lie in the folder."""
    split: Split | None = None
    """Of the store's patients."""
    diseased: Count = 0
    """Phantoms to render into the folder; 0 of both: the cases that are there are taken as they are."""
    not_diseased: Count = 0
    first_seed: Annotated[int, Field(ge=FIRST_FREE_SEED, le=10**12)] = FIRST_SEEDS["test"]
    """Of the diseased phantoms; the others come right after them. The seeds below are those of patients who are trained on."""

    @property
    def seeds(self) -> range:
        """Of all phantoms that are rendered."""
        return range(self.first_seed, self.first_seed + self.diseased + self.not_diseased)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkShape:
    """Shape of a network whose weights do not come in a model pack; baselines take the encoder's widths from it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    widths: tuple[Channels, Channels, Channels, Channels] = (24, 48, 96, 160)
    hidden: Channels = 64
    mask_width: Channels = 32
    difference_input: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One detector with its checkpoints."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: Text
    """What tables and figures call it."""
    kind: ModelKind
    epochs: Path | None = None
    """Folder of saved epochs."""
    pack: Path | None = None
    """A model pack instead: one checkpoint."""
    network: NetworkShape = field(default_factory=NetworkShape)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """An evaluation of some detectors on one test set."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    title: Text = "Evaluation"
    test: CaseSet
    validation: CaseSet
    """Never trained on: scores, thresholds and calibration are chosen here, for every detector alike."""
    models: tuple[ModelConfig, ...]
    checkpoint_patients: Count = 0
    """Test patients of each class on which the checkpoints other than the best are read; 0: all of them."""
    controls: bool = True
    """The first Space-Time1 is also read with earlier studies that cannot help."""
    bootstrap_samples: Number = 2000
    seed: Seed = 1
    processes: Processes = 1
    """That render and read at the same time, each with one thread."""
    device: Device = "cpu"
    """Where the networks compute: "cpu", "cuda", or "auto": CUDA where there is one."""

    @property
    def controlled(self) -> str:
        """Name of the model whose earlier studies are also shuffled; "" for none."""
        first = next((model.name for model in self.models if model.kind is ModelKind.SPACE_TIME_1), "")
        return first if self.controls else ""


_PATHS: Final = frozenset({"folder", "store", "epochs", "pack"})
"""Keys that name files or folders, in whichever table."""

_REASONS: Final = {"first_seed": "patients who are trained on have the seeds below"}
"""Why a range is what it is, where that is not plain."""


def load_evaluation_config(path: Path) -> EvaluationConfig:
    """The evaluation configuration in a TOML file; relative paths count from the file.

    Raises:
        EvaluationConfigError: The file cannot be read, or keys are unknown, missing, of the wrong type, out of range or at odds
            with one another; the message names every one that the schema refuses.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        reason = f"{path}: {exc}"
        raise EvaluationConfigError(reason) from exc
    counted = _counted("", _with_defaults(content), path.parent)
    try:
        # As JSON, where strict checks take a list for a tuple and a text for a path, and nothing else.
        config = TypeAdapter(EvaluationConfig).validate_json(json.dumps(counted, default=str))
    except ValidationError as exc:
        problems = [_problem(error) for error in exc.errors(include_url=False)]
        raise EvaluationConfigError("; ".join(problems)) from exc
    for name, patients in (("test", config.test), ("validation", config.validation)):
        _refuse_set(name, patients)
    for index, model in enumerate(config.models):
        _refuse_model(f"models[{index}]", model)
    _refuse_unusable(config)
    return config


def _with_defaults(content: dict[str, Any]) -> dict[str, Any]:
    """What a set does not say and its name decides: the first seed, and of a store the split."""
    found = dict(content)
    for name in FIRST_SEEDS:
        table = content.get(name)
        if isinstance(table, dict):
            split = {"split": name} if "store" in table else {}
            found[name] = {"first_seed": FIRST_SEEDS[name], **split, **table}
    return found


def _counted(name: str, value: object, base: Path) -> object:
    """The same, paths counted from a folder; what is no table or no text stays, to be refused by the schema."""
    if isinstance(value, dict):
        return {key: _counted(key, item, base) for key, item in value.items()}
    if isinstance(value, list):
        return [_counted("", item, base) for item in value]
    return str(base / value) if name in _PATHS and isinstance(value, str) else value


def _problem(error: ErrorDetails) -> str:
    """`models[0].network.widths[2]: must be at least 1 (got 0)`."""
    path = error["loc"]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    if error["type"] == "unexpected_keyword_argument":
        return f"{place}: unknown key (known: {', '.join(sorted(item.name for item in fields(_record_at(path))))})"
    reason = _REASONS.get(str(path[-1])) if error["type"] == "greater_than_equal" else None
    return f"{place}: {problem_in_words(error)}{f', since {reason}' if reason else ''}"


def _record_at(path: tuple[int | str, ...]) -> type[Any]:
    """What the keys beside the last one of a path belong to."""
    if "network" in path[:-1]:
        return NetworkShape
    if len(path) == 1:
        return EvaluationConfig
    return ModelConfig if path[0] == "models" else CaseSet


def _refuse_set(name: str, patients: CaseSet) -> None:
    if patients.folder is None and patients.store is None:
        _refuse(f"{name}.folder", "the folder of the cases, or their store, is missing", "none")
    if patients.store is None and patients.split is not None:
        _refuse(f"{name}.split", "only a store has splits", patients.split)
    if patients.store and patients.seeds:
        _refuse(f"{name}.diseased", "phantoms are not rendered into a store", len(patients.seeds))


def _refuse_model(key: str, model: ModelConfig) -> None:
    if (model.epochs is None) == (model.pack is None):
        _refuse(f"{key}.epochs", "give either epochs or pack", "none" if model.epochs is None else "both")
    if model.pack and not model.kind.looks_back:
        _refuse(f"{key}.pack", "only Space-Time-Net comes in model packs", model.kind)


def _refuse_unusable(config: EvaluationConfig) -> None:
    names = [model.name for model in config.models]
    if not names:
        _refuse("models", "name at least one", "none")
    if len(set(names)) < len(names):
        _refuse("models.name", "two models have the same name", ", ".join(names))
    place = "store" if config.test.store else "folder"
    if _whereabouts(config.test) == _whereabouts(config.validation):
        _refuse(f"validation.{place}", "must not be the test set", getattr(config.validation, place))
    first, other = config.test.seeds, config.validation.seeds
    if max(first.start, other.start) < min(first.stop, other.stop):
        _refuse(
            "validation.first_seed",
            f"its phantoms must not be those of the test set, which has the seeds {first.start} to {first.stop - 1}",
            other.start,
        )


def _whereabouts(patients: CaseSet) -> tuple[Path | None, Split | None]:
    """What no other set may have."""
    return (patients.store or patients.folder, patients.split)


def _refuse(key: str, problem: str, got: object) -> NoReturn:
    reason = f"{key}: {problem} (got {got})"
    raise EvaluationConfigError(reason)
