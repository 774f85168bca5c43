"""What a training run is told: data, lengths, seeds."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


class TrainingConfigError(PipelineError):
    """The training configuration is wrong; the message names the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealFolder:
    """A folder of real chest CT in DICOM, whose licence allows training."""

    path: Path
    name: str
    licence: str
    attribution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStore:
    """A store of a site's own studies that `dicom-node import` made; its terms are read from it."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What is trained on; rendered once into the cache."""

    phantom_patients: int = 120
    validation_patients: int = 60
    """Phantoms of other seeds, never trained on."""
    paintings_per_real_study: int = 24
    """Series of synthetic lesions set into each real chest; blocks of slices get a third."""
    real_folders: tuple[RealFolder, ...] = ()
    stores: tuple[SiteStore, ...] = ()
    """Patients of their training split are trained on beside the painted real lungs."""
    processes: int = 1
    """That render at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LungTraining:
    """Training of the lung network."""

    steps: int = 2300
    batch: int = 8
    learning_rate: float = 2e-3
    real_share: float = 0.5
    """Of the slices of a batch; the rest are phantoms."""
    start_from: Path | None = None
    """A model pack whose weights are trained on; None starts from random ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceTimeTraining:
    """Training of Space-Time-Net."""

    steps: int = 24_000
    batch: int = 2
    """Patients per step."""
    learning_rate: float = 1e-3
    slices: int = 6
    """Per patient and step."""
    crop: tuple[int, int] = (112, 128)
    """Rows and columns."""
    real_share: float = 0.5
    """Of the patients that are painted real lungs."""
    no_prior_share: float = 0.35
    """Steps without an earlier study: without them the network fails where there is none."""
    wrong_patient_share: float = 0.04
    """Earlier studies that are somebody else's, to be ignored."""
    epoch_steps: int = 500
    """After each, the averaged weights and their validation loss are saved."""
    start_from: Path | None = None
    """A model pack whose weights are trained on; None starts from random ones."""
    start_share: float = 0.0
    """Of the weights of `start_from` in the result, 0..1: the mean of what was known and what was learned is often better
    than either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models")."""
    bidirectional_time: bool = False
    """False is Space-Time1, True is Space-Time2."""
    difference_input: bool = True
    hidden: int = 64
    widths: tuple[int, int, int, int] = (24, 48, 96, 160)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonTraining:
    """Training of the models that Space-Time1 is compared with."""

    models: tuple[str, ...] = ()
    """Of "space-time-2", "faster-rcnn", "ssd", "yolov3"."""
    steps: int = 2500
    """Of each; all start from what Space-Time1 has learned to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """A training run of both networks."""

    name: str = "demo"
    version: str = "0.1.0"
    seed: int = 1
    cache: Path
    """Folder for rendered data and checkpoints; a run that stopped goes on from here, one of other data is refused."""
    threads: int = 2
    loaders: int = 0
    """Processes that draw batches ahead of the network, with a thread each; 0 draws between its steps. A GPU may wait for them
    with fewer than the machine has cores."""
    device: str = "auto"
    """"cpu", "cuda", or "auto": CUDA where there is one."""
    checkpoint_every: int = 250
    card_notes: str = ""
    """Markdown for the model card: what was measured elsewhere."""
    data: DataConfig = field(default_factory=DataConfig)
    lungs: LungTraining = field(default_factory=LungTraining)
    space_time: SpaceTimeTraining = field(default_factory=SpaceTimeTraining)
    comparison: ComparisonTraining = field(default_factory=ComparisonTraining)


def load_training_config(path: Path) -> TrainingConfig:
    """The training configuration in a TOML file; relative paths count from the file.

    Raises:
        TrainingConfigError: The file cannot be read, or a key is unknown or missing.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        message = f"{path}: {exc}"
        raise TrainingConfigError(message) from exc
    base = path.parent
    data = dict(content.pop("data", {}))
    folders = [dict(folder) for folder in data.pop("real_folders", [])]
    real = tuple(_built(RealFolder, "data.real_folders", _with_path(folder, "path", base)) for folder in folders)
    entries = [dict(store) for store in data.pop("stores", [])]
    stores = tuple(_built(SiteStore, "data.stores", _with_path(entry, "path", base)) for entry in entries)
    tables = {
        "data": _built(DataConfig, "data", {**data, "real_folders": real, "stores": stores}),
        "lungs": _built(LungTraining, "lungs", _with_path(content.pop("lungs", {}), "start_from", base)),
        "space_time": _built(
            SpaceTimeTraining,
            "space_time",
            _with_tuples(_with_path(content.pop("space_time", {}), "start_from", base)),
        ),
        "comparison": _built(ComparisonTraining, "comparison", _with_tuples(content.pop("comparison", {}))),
    }
    return _built(TrainingConfig, "training", {**_with_path(content, "cache", base), **tables})


def _built(record: type[Record], table: str, values: dict[str, Any]) -> Record:
    known = {item.name for item in fields(record)}
    unknown = sorted(values.keys() - known)
    if unknown:
        message = f"[{table}].{unknown[0]}: unknown key (known: {', '.join(sorted(known))})"
        raise TrainingConfigError(message)
    try:
        return record(**values)
    except TypeError as exc:
        message = f"[{table}]: {exc}"
        raise TrainingConfigError(message) from exc


def _with_path(values: dict[str, Any], key: str, base: Path) -> dict[str, Any]:
    return {**values, key: base / values[key]} if key in values else values


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
