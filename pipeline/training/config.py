"""What a training run is told: data, lengths, seeds."""

import json
import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pipeline.errors import PipelineError
from pipeline.pack_schema import Channels, Count, Share, Text
from pipeline.schema_words import problem_in_words

Number = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=10**12)]
"""A million of them and the number of a step fit the 64 bits of torch's generators."""
CropSide = Annotated[int, Field(ge=16, multiple_of=16)]
"""Space-Time-Net has features at a sixteenth of it."""
FIRST_TRAINING_SEED: Final = 1000
FIRST_VALIDATION_SEED: Final = 500_000
FIRST_FREE_SEED: Final = 1_000_000
"""Of the phantoms that are trained on, of those that thresholds are chosen on, of all others. No patient is in two sets."""

Processes = Annotated[int, Field(ge=1, le=1024)]
Loaders = Annotated[int, Field(ge=0, le=1024)]


def _is_device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", name):
        reason = 'must be "auto", "cpu", "cuda" or "cuda:0"'
        raise ValueError(reason)
    return name


Device = Annotated[str, AfterValidator(_is_device)]

_STRICT: Final = ConfigDict(extra="forbid", strict=True)


class TrainingConfigError(PipelineError):
    """The training configuration is wrong; the message names the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealFolder:
    """A folder of real chest CT in DICOM, whose licence allows training."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    path: Path
    name: Text
    licence: Text
    attribution: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStore:
    """A store of a site's own studies that `dicom-node import` made; its terms are read from it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What is trained on; rendered once into the cache."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    phantom_patients: Annotated[int, Field(ge=1, le=FIRST_VALIDATION_SEED - FIRST_TRAINING_SEED)] = 120
    validation_patients: Annotated[int, Field(ge=2, le=FIRST_FREE_SEED - FIRST_VALIDATION_SEED)] = 60
    """Phantoms of other seeds, never trained on."""
    paintings_per_real_study: Number = 24
    """Series of synthetic lesions set into each real chest; blocks of slices get a third."""
    real_folders: tuple[RealFolder, ...] = ()
    stores: tuple[SiteStore, ...] = ()
    """Patients of their training split are trained on beside the painted real lungs."""
    processes: Processes = 1
    """That render at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LungTraining:
    """Training of the lung network."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    steps: Count = 2300
    batch: Number = 8
    learning_rate: Rate = 2e-3
    real_share: Share = 0.5
    """Of the slices of a batch; the rest are phantoms."""
    start_from: Path | None = None
    """A model pack whose weights are trained on; None starts from random ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceTimeTraining:
    """Training of Space-Time-Net."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    steps: Count = 24_000
    batch: Number = 2
    """Patients per step."""
    learning_rate: Rate = 1e-3
    slices: Number = 6
    """Per patient and step."""
    crop: tuple[CropSide, CropSide] = (112, 128)
    """Rows and columns."""
    real_share: Share = 0.5
    """Of the patients that are painted real lungs."""
    no_prior_share: Share = 0.35
    """Steps without an earlier study: without them the network fails where there is none."""
    wrong_patient_share: Share = 0.04
    """Earlier studies that are somebody else's, to be ignored."""
    epoch_steps: Number = 500
    """After each, the averaged weights and their validation loss are saved."""
    start_from: Path | None = None
    """A model pack whose weights are trained on; None starts from random ones."""
    start_share: Share = 0.0
    """Of the weights of `start_from` in the result, 0..1: the mean of what was known and what was learned is often better
    than either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models")."""
    bidirectional_time: bool = False
    """False is Space-Time1, True is Space-Time2."""
    difference_input: bool = True
    hidden: Channels = 64
    widths: tuple[Channels, Channels, Channels, Channels] = (24, 48, 96, 160)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonTraining:
    """Training of the models that Space-Time1 is compared with."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    models: tuple[str, ...] = ()
    """Of "space-time-2", "faster-rcnn", "ssd", "yolov3"."""
    steps: Number = 2500
    """Of each; all start from what Space-Time1 has learned to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """A training run of both networks."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: Text = "demo"
    version: Text = "0.1.0"
    seed: Seed = 1
    cache: Path
    """Folder for rendered data and checkpoints; a run that stopped goes on from here, one of other data is refused."""
    threads: Processes = 2
    loaders: Loaders = 0
    """Processes that draw batches ahead of the network, with a thread each; 0 draws between its steps. A GPU may wait for them
    with fewer than the machine has cores."""
    device: Device = "auto"
    """"cpu", "cuda", or "auto": CUDA where there is one."""
    checkpoint_every: Number = 250
    card_notes: str = ""
    """Markdown for the model card: what was measured elsewhere."""
    data: DataConfig = field(default_factory=DataConfig)
    lungs: LungTraining = field(default_factory=LungTraining)
    space_time: SpaceTimeTraining = field(default_factory=SpaceTimeTraining)
    comparison: ComparisonTraining = field(default_factory=ComparisonTraining)


_TABLES: Final[dict[int | str, type[Any]]] = {
    "data": DataConfig,
    "lungs": LungTraining,
    "space_time": SpaceTimeTraining,
    "comparison": ComparisonTraining,
}

_LISTS: Final[dict[tuple[int | str, ...], type[Any]]] = {
    ("data", "real_folders"): RealFolder,
    ("data", "stores"): SiteStore,
}

_PATHS: Final = frozenset({"cache", "path", "start_from"})
"""Keys that name files or folders, in whichever table."""

_REASONS: Final = {
    "[data].phantom_patients": (
        "steps with more earlier studies than a patient of yours has, and those with a stranger's, are drawn from phantoms "
        "(with [space_time].real_share = 1.0 all others are of your own data)"
    ),
    "[data].validation_patients": "thresholds are chosen on them, each fitted on the others",
    "[space_time].crop[0]": "Space-Time-Net has features at a sixteenth of it",
    "[space_time].crop[1]": "Space-Time-Net has features at a sixteenth of it",
}
"""Why a range is what it is, where that is not plain."""


def load_training_config(path: Path) -> TrainingConfig:
    """The training configuration in a TOML file; relative paths count from the file.

    Raises:
        TrainingConfigError: The file cannot be read, or keys are unknown, missing, of the wrong type or out of range; the
            message names every one.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        message = f"{path}: {exc}"
        raise TrainingConfigError(message) from exc
    try:
        # As JSON, where strict checks take a list for a tuple and a text for a path, and nothing else.
        config = TypeAdapter(TrainingConfig).validate_json(json.dumps(_with_paths(content, path.parent), default=str))
    except ValidationError as exc:
        problems = [_problem(error) for error in exc.errors(include_url=False)]
        raise TrainingConfigError("; ".join(problems)) from exc
    _refuse_random_networks(config)
    return config


def _with_paths(content: dict[str, Any], base: Path) -> dict[str, Any]:
    """The same, paths counted from a folder; what is no table or no text stays, to be refused by the schema."""
    return {name: _counted(name, value, base) for name, value in content.items()}


def _counted(name: str, value: object, base: Path) -> object:
    if isinstance(value, dict):
        return _with_paths(value, base)
    if isinstance(value, list):
        return [_counted("", item, base) for item in value]
    return str(base / value) if name in _PATHS and isinstance(value, str) else value


def _problem(error: ErrorDetails) -> str:
    """`[data].processes: must be at least 1 (got 0)`."""
    path = error["loc"]
    place = _place(path)
    if error["type"] == "unexpected_keyword_argument":
        return f"{place}: unknown key (known: {', '.join(sorted(item.name for item in fields(_record_at(path))))})"
    reason = _REASONS.get(place) if error["type"] in {"greater_than_equal", "multiple_of"} else None
    return f"{place}: {problem_in_words(error)}{f', since {reason}' if reason else ''}"


def _place(path: tuple[int | str, ...]) -> str:
    """As the file has it: `seed`, `[data].processes`, `[space_time].crop[1]`, `[[data.stores]] 2.path`."""
    names = [part for part in path if isinstance(part, str)]
    if path[:2] in _LISTS and len(path) > 2:
        return ".".join([f"[[{path[0]}.{path[1]}]] {int(path[2]) + 1}", *names[2:]])
    index = "".join(f"[{part}]" for part in path if isinstance(part, int))
    table = f"[{names[0]}]." if len(names) > 1 else ""
    return f"{table}{names[-1]}{index}"


def _record_at(path: tuple[int | str, ...]) -> type[Any]:
    """What the keys beside the last one of a path belong to."""
    if path[:2] in _LISTS:
        return _LISTS[path[:2]]
    return _TABLES[path[0]] if len(path) > 1 else TrainingConfig


def _refuse_random_networks(config: TrainingConfig) -> None:
    """No steps leave the weights as they are: there must be some."""
    tables: dict[str, LungTraining | SpaceTimeTraining] = {"lungs": config.lungs, "space_time": config.space_time}
    problems = [
        f"[{name}].steps: must be at least 1 (got 0) without [{name}].start_from, since random weights would remain"
        for name, table in tables.items()
        if table.steps == 0 and table.start_from is None
    ]
    if problems:
        raise TrainingConfigError("; ".join(problems))
