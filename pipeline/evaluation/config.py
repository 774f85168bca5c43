"""What an evaluation is told: patients, models, lengths."""

import tomllib
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pipeline.evaluation.errors import EvaluationConfigError
from pipeline.importers.splits import Split

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


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

    folder: Path | None = None
    """Of the cases; those of a store are made in it, None: beside the readings."""
    store: Path | None = None
    """That `dicom-node import` made; None: the patients are phantoms, or cases that lie in the folder."""
    split: Split | None = None
    """Of the store's patients."""
    diseased: int = 0
    """Phantoms to render into the folder; 0 of both: the cases that are there are taken as they are."""
    not_diseased: int = 0
    first_seed: int = 2_000_000
    """Of the diseased phantoms; the others come right after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkShape:
    """Shape of a network whose weights do not come in a model pack; baselines take the encoder's widths from it."""

    widths: tuple[int, int, int, int] = (24, 48, 96, 160)
    hidden: int = 64
    mask_width: int = 32
    difference_input: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One detector with its checkpoints."""

    name: str
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

    title: str = "Evaluation"
    test: CaseSet
    validation: CaseSet
    """Never trained on: scores, thresholds and calibration are chosen here, for every detector alike."""
    models: tuple[ModelConfig, ...]
    checkpoint_patients: int = 0
    """Test patients of each class on which the checkpoints other than the best are read; 0: all of them."""
    controls: bool = True
    """The first Space-Time1 is also read with earlier studies that cannot help."""
    bootstrap_samples: int = 2000
    seed: int = 1
    processes: int = 1
    """That render and read at the same time, each with one thread."""
    device: str = "cpu"
    """Where the networks compute, as torch names it."""

    @property
    def controlled(self) -> str:
        """Name of the model whose earlier studies are also shuffled; "" for none."""
        first = next((model.name for model in self.models if model.kind is ModelKind.SPACE_TIME_1), "")
        return first if self.controls else ""


def load_evaluation_config(path: Path) -> EvaluationConfig:
    """The evaluation configuration in a TOML file; relative paths count from the file.

    Raises:
        EvaluationConfigError: The file cannot be read, or a key is unknown, missing or wrong.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        reason = f"{path}: {exc}"
        raise EvaluationConfigError(reason) from exc
    base = path.parent
    sets = {name: _case_set(name, content.pop(name, None), base) for name in ("test", "validation")}
    tables = content.pop("models", [])
    models = tuple(_model(f"models[{index}]", table, base) for index, table in enumerate(tables))
    config = _built(EvaluationConfig, "evaluation", {**content, **sets, "models": models})
    _refuse_unusable(config)
    return config


def _refuse_unusable(config: EvaluationConfig) -> None:
    names = [model.name for model in config.models]
    if not names:
        _refuse("models", "name at least one", "none")
    if len(set(names)) < len(names):
        _refuse("models.name", "two models have the same name", ", ".join(names))
    for key in ("checkpoint_patients", "bootstrap_samples", "processes"):
        value, least = getattr(config, key), 0 if key == "checkpoint_patients" else 1
        if not isinstance(value, int) or value < least:
            _refuse(key, f"a whole number from {least} on", value)
    place = "store" if config.test.store else "folder"
    if _whereabouts(config.test) == _whereabouts(config.validation):
        _refuse(f"validation.{place}", "must not be the test set", getattr(config.validation, place))


def _whereabouts(patients: CaseSet) -> tuple[Path | None, Split | None]:
    """What no other set may have."""
    return (patients.store or patients.folder, patients.split)


def _case_set(key: str, table: object, base: Path) -> CaseSet:
    if not isinstance(table, dict) or not {"folder", "store"} & table.keys():
        _refuse(f"{key}.folder", "the folder of the cases, or their store, is missing", table)
    paths = {name: base / table[name] for name in ("folder", "store") if name in table}
    found = _built(CaseSet, key, {**table, **paths, "split": _split(key, table)})
    if min(found.diseased, found.not_diseased) < 0:
        _refuse(f"{key}.diseased", "numbers of patients from 0 on", (found.diseased, found.not_diseased))
    if found.store and (found.diseased or found.not_diseased):
        _refuse(f"{key}.diseased", "phantoms are not rendered into a store", (found.diseased, found.not_diseased))
    return found


def _split(key: str, table: dict[str, Any]) -> Split | None:
    """Of a store; what is not said is the split of the set's own name."""
    if "store" not in table:
        return None if "split" not in table else _refuse(f"{key}.split", "only a store has splits", table["split"])
    known = [split.value for split in Split]
    given = table.get("split", key)
    return Split(given) if given in known else _refuse(f"{key}.split", f"one of {', '.join(known)}", given)


def _model(key: str, table: dict[str, Any], base: Path) -> ModelConfig:
    values = dict(table)
    kind = values.pop("kind", None)
    if kind not in list(ModelKind):
        _refuse(f"{key}.kind", f"one of {', '.join(ModelKind)}", kind)
    if ("epochs" in values) == ("pack" in values):
        _refuse(f"{key}.epochs", "give either epochs or pack", sorted(values))
    if "pack" in values and not ModelKind(kind).looks_back:
        _refuse(f"{key}.pack", "only Space-Time-Net comes in model packs", kind)
    paths: dict[str, Any] = {name: base / values.pop(name) for name in ("epochs", "pack") if name in values}
    shape = {name: tuple(item) if isinstance(item, list) else item for name, item in values.pop("network", {}).items()}
    network = _built(NetworkShape, f"{key}.network", shape)
    return _built(ModelConfig, key, {**values, **paths, "kind": ModelKind(kind), "network": network})


def _built(record: type[Record], table: str, values: dict[str, Any]) -> Record:
    known = {item.name for item in fields(record)}
    unknown = sorted(values.keys() - known)
    if unknown:
        _refuse(f"{table}.{unknown[0]}", f"unknown key (known: {', '.join(sorted(known))})", values[unknown[0]])
    try:
        return record(**values)
    except TypeError as exc:
        reason = f"{table}: {exc}"
        raise EvaluationConfigError(reason) from exc


def _refuse(key: str, problem: str, got: object) -> NoReturn:
    reason = f"{key}: {problem} (got {got})"
    raise EvaluationConfigError(reason)
