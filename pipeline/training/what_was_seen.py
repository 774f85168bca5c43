"""What the weights of a run saw, in it and in the packs that they start from: data with their terms, lesions of patients."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.importers.records import Licence
from pipeline.model_pack import ModelPack, TrainingData, load_model_pack
from pipeline.training.cases import Case
from pipeline.training.config import TrainingConfig
from pipeline.training.pack_writer import LICENCE
from pipeline.training.site_cases import shows_lesion, store_training_data

WEIGHTS_LICENCE = "Apache-2.0. The data the weights were trained on keep their own licences; see docs/README.md.\n"

RESTRICTED_LICENCE = (
    "Data in the training set may not be used commercially, or not be passed on in another form: have it checked before "
    "these weights leave the house.\n"
)

PHANTOM_DATA = TrainingData(
    name="phantoms", licence="Apache-2.0", attribution="made-up patients of the generator in this software"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatWasSeen:
    """What a pack has to say of the data behind its weights."""

    data: tuple[TrainingData, ...]
    """Everything that the weights saw, with its terms."""
    synthetic_lesions_only: bool
    """No lesion of a patient was among it."""
    licence: str
    """Text for the weights."""


def what_was_seen(config: TrainingConfig, site_cases: Sequence[Case]) -> WhatWasSeen:
    """Of this run and of the packs that it starts from.

    Args:
        config: Of the run.
        site_cases: All that is trained on of the stores that it names.

    Raises:
        ModelPackError: A pack to start from is damaged.
        StoreError: There is no store where the configuration names one, or it is damaged, or lacks the terms of a study.
    """
    packs = start_packs(config)
    seen_before_is_synthetic = all(pack.synthetic_training_only for pack in packs)
    data = training_data(config)
    return WhatWasSeen(
        data=data,
        synthetic_lesions_only=seen_before_is_synthetic and not any(shows_lesion(case) for case in site_cases),
        licence=_licence(data, [_licence_of(pack) for pack in packs]),
    )


def training_data(config: TrainingConfig) -> tuple[TrainingData, ...]:
    """Everything that the weights saw, with its terms; what several name alike is named once.

    Raises:
        ModelPackError: A pack to start from is damaged.
        StoreError: There is no store where the configuration names one, or it is damaged, or lacks the terms of a study.
    """
    data = [
        PHANTOM_DATA,
        *(
            TrainingData(name=folder.name, licence=folder.licence, attribution=folder.attribution)
            for folder in config.data.real_folders
        ),
        *(item for store in config.data.stores for item in store_training_data(store.path)),
        *(item for pack in start_packs(config) for item in pack.training_data),
    ]
    return tuple(dict.fromkeys(data))


def forbids_commercial_use(data: Iterable[TrainingData]) -> bool:
    """Whether some of it may not be used commercially, or not be passed on in another form, by the name of its terms."""
    terms = [Licence(name=item.licence, attribution=item.attribution) for item in data]
    return any(one.is_non_commercial or one.is_no_derivatives for one in terms)


def start_packs(config: TrainingConfig) -> tuple[ModelPack, ...]:
    """The packs whose weights a run starts from, each once.

    Raises:
        ModelPackError: A pack is damaged.
    """
    named = (config.space_time.start_from, config.lungs.start_from)
    return tuple(load_model_pack(folder) for folder in dict.fromkeys(named) if folder is not None)


def _licence_of(pack: ModelPack) -> tuple[str, str]:
    """What to call the pack, and the text of its licence."""
    path = pack.folder / LICENCE
    return f"{pack.name} {pack.version}", path.read_text(encoding="utf-8") if path.is_file() else ""


def _licence(data: Iterable[TrainingData], given: Iterable[tuple[str, str]]) -> str:
    """Text of the licence: ours, its restrictions, and what the packs before said besides."""
    restricted = forbids_commercial_use(data) or any(RESTRICTED_LICENCE in text for _, text in given)
    parts = [WEIGHTS_LICENCE + (RESTRICTED_LICENCE if restricted else "")]
    for name, text in given:
        other = text.replace(WEIGHTS_LICENCE, "").replace(RESTRICTED_LICENCE, "").strip()
        if other:
            parts.append(f"The weights were trained on from {name}, which came under:\n\n{other}\n")
    return "\n".join(parts)
