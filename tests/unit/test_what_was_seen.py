"""A pack says what its weights saw, also before its own run, and no more."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from builders.ct_series import chest_hu
from builders.packs import tiny_description, tiny_pack
from builders.site_data import Drawing, lesion_at, nothing_at, right_is_one_at, write_nifti
from builders.site_store import imported, name_in
from builders.training_cases import save_small_cases
from pipeline.importers.errors import StoreError
from pipeline.importers.splits import Split
from pipeline.lungs_net import LungNet
from pipeline.model_input import InputContract
from pipeline.model_pack import TrainingData, file_sha256, load_model_pack
from pipeline.space_time import SpaceTimeNet
from pipeline.training.config import (
    DataConfig,
    LungTraining,
    RealFolder,
    SiteStore,
    SpaceTimeTraining,
    TrainingConfig,
    TrainingConfigError,
)
from pipeline.training.pack_writer import write_pack
from pipeline.training.run import load_store_cases, train
from pipeline.training.train_space_time import network_config
from pipeline.training.what_was_seen import (
    PHANTOM_DATA,
    RESTRICTED_LICENCE,
    WEIGHTS_LICENCE,
    training_data,
    what_was_seen,
)

CHESTS = TrainingData(name="chests", licence="CC BY 4.0", attribution="Them et al.")
RESTRICTED = TrainingData(name="nodules", licence="CC BY-NC 4.0; non-commercial", attribution="Others et al.")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


PackMaker = Callable[..., Path]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack whose weights nobody asks for."""
    return tiny_pack(tmp_path_factory.mktemp("packs") / "tiny")


@pytest.fixture
def pack_that_saw(tiny: Path, tmp_path: Path) -> PackMaker:
    """Makes packs of other runs."""

    def made(name: str, *data: TrainingData, licence: str = WEIGHTS_LICENCE, synthetic: bool = True) -> Path:
        folder = shutil.copytree(tiny, tmp_path / name)
        (folder / "LICENSE").write_text(licence)
        told = json.loads((folder / "stnet.json").read_text())
        told |= {
            "name": name,
            "training_data": [asdict(one) for one in data],
            "synthetic_training_only": synthetic,
            "files": told["files"] | {"LICENSE": file_sha256(folder / "LICENSE")},
        }
        (folder / "stnet.json").write_text(json.dumps(told))
        return folder

    return made


def started_from(cache: Path, *, space_time: Path | None = None, lungs: Path | None = None) -> TrainingConfig:
    """A run of seconds that goes on from packs."""
    return TrainingConfig(
        cache=cache,
        threads=1,
        device="cpu",
        data=DataConfig(phantom_patients=0, validation_patients=0),
        lungs=LungTraining(steps=1, batch=1, start_from=lungs),
        space_time=SpaceTimeTraining(
            steps=1, batch=1, slices=3, crop=(32, 32), hidden=8, widths=(8, 8, 16, 16), start_from=space_time
        ),
    )


def with_store(config: TrainingConfig, store: Path) -> TrainingConfig:
    """The same with a store."""
    return replace(config, data=replace(config.data, stores=(SiteStore(path=store),)))


def store_of(folder: Path, lesion: Drawing) -> Path:
    """A store of one training patient whose lesions somebody drew."""
    name = name_in(Split.TRAIN, "in")
    write_nifti(folder / "in" / f"{name}.nii.gz", chest_hu)
    write_nifti(folder / "in" / f"{name}_lung.nii.gz", right_is_one_at)
    write_nifti(folder / "in" / f"{name}_mask.nii.gz", lesion)
    imported("nifti-dir", folder / "in", folder / "store", licence="internal")
    return folder / "store"


def label_only_store(folder: Path) -> Path:
    """A store of one training patient of whom a label is known."""
    write_nifti(folder / "in" / "CT-2" / f"{name_in(Split.TRAIN, 'mosmed')}.nii.gz", chest_hu)
    imported("mosmed", folder / "in", folder / "store")
    return folder / "store"


def synthetic_only(config: TrainingConfig) -> bool:
    """What the pack of a run will say."""
    cases = load_store_cases(config, InputContract(pixel_mm=4.0), on_progress=lambda *_: None)
    return what_was_seen(config, cases).synthetic_lesions_only


def test_a_pack_names_what_the_packs_saw_that_it_started_from(tmp_path: Path, pack_that_saw: PackMaker) -> None:
    """Each entry once, attributions kept."""
    first = pack_that_saw("first", PHANTOM_DATA, CHESTS)
    second = pack_that_saw("second", CHESTS, RESTRICTED)
    config = started_from(tmp_path, space_time=first, lungs=second)
    assert training_data(config) == (PHANTOM_DATA, CHESTS, RESTRICTED)
    assert training_data(started_from(tmp_path)) == (PHANTOM_DATA,)


@pytest.mark.parametrize("key", ["space_time", "lungs"])
def test_lesions_of_patients_are_not_forgotten(tmp_path: Path, key: str, pack_that_saw: PackMaker) -> None:
    """Whichever network saw them in an earlier run."""
    real = pack_that_saw("real", CHESTS, synthetic=False)
    made_up = pack_that_saw("made-up", PHANTOM_DATA)
    assert not what_was_seen(started_from(tmp_path, **{key: real}), []).synthetic_lesions_only
    assert what_was_seen(started_from(tmp_path, **{key: made_up}), []).synthetic_lesions_only


def test_restrictions_go_on_with_the_weights(tmp_path: Path, pack_that_saw: PackMaker) -> None:
    """Those of the data, and what the licence of the pack says besides; each once."""
    words = f"{WEIGHTS_LICENCE}{RESTRICTED_LICENCE}\nNot to leave the hospital.\n"
    first = pack_that_saw("first", RESTRICTED)
    second = pack_that_saw("second", CHESTS, licence=words)
    assert what_was_seen(started_from(tmp_path, space_time=first), []).licence == WEIGHTS_LICENCE + RESTRICTED_LICENCE
    licence = what_was_seen(started_from(tmp_path, lungs=second), []).licence
    assert licence.startswith(WEIGHTS_LICENCE + RESTRICTED_LICENCE)
    assert licence.endswith("from second 1.2.3, which came under:\n\nNot to leave the hospital.\n")
    assert licence.count(RESTRICTED_LICENCE) == 1


def test_the_bundled_pack_adds_no_words_to_the_licence(tmp_path: Path) -> None:
    """Its attributions are in the data."""
    bundled = load_model_pack(None)
    seen = what_was_seen(started_from(tmp_path, space_time=bundled.folder), [])
    assert seen.licence == WEIGHTS_LICENCE
    assert set(bundled.training_data) <= set(seen.data)
    assert len(seen.data) == len(bundled.training_data)


def test_terms_of_real_folders_restrict_as_well(tmp_path: Path) -> None:
    """They were written by hand."""
    folder = RealFolder(path=tmp_path, name="ours", licence="Attribution-NonCommercial 4.0", attribution="us")
    config = started_from(tmp_path)
    config = replace(config, data=replace(config.data, real_folders=(folder,)))
    assert RESTRICTED_LICENCE in what_was_seen(config, []).licence


def test_a_whole_run_says_what_the_start_saw(tmp_path: Path) -> None:
    """In description, card and licence."""
    for number, name in enumerate(("train", "validation")):
        save_small_cases(tmp_path / "cache" / name, 1 + number)
    config = started_from(tmp_path / "cache", space_time=tmp_path / "start")
    description = replace(tiny_description(), training_data=(PHANTOM_DATA, RESTRICTED), synthetic_training_only=False)
    write_pack(tmp_path / "start", LungNet((8, 8, 8)), SpaceTimeNet(network_config(config.space_time)), description)
    pack = load_model_pack(train(config, out=tmp_path / "pack", on_progress=lambda *_: None))
    card = (pack.folder / "docs" / "README.md").read_text()
    assert pack.training_data == (PHANTOM_DATA, RESTRICTED)
    assert not pack.synthetic_training_only
    assert "only" not in pack.intended_use
    assert "- nodules: Others et al. (CC BY-NC 4.0; non-commercial)" in card
    assert "Every lesion these networks ever saw was synthetic" not in card
    assert "may not be used commercially" in (pack.folder / "LICENSE").read_text()


def test_a_store_without_terms_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """Nobody waits hours for it."""
    config = with_store(started_from(tmp_path / "cache"), store_of(tmp_path, lesion_at))
    (tmp_path / "store" / "sources.json").unlink()
    with pytest.raises(StoreError, match="no terms"):
        train(config, out=tmp_path / "pack", on_progress=lambda *_: None)
    assert not (tmp_path / "cache").exists()


def test_a_store_that_teaches_nothing_is_refused_before_training(tmp_path: Path) -> None:
    """Card and pack would say that it was learned from."""
    config = with_store(started_from(tmp_path / "cache"), label_only_store(tmp_path))
    phases: list[str] = []
    with pytest.raises(TrainingConfigError, match=rf"{tmp_path / 'store'} teaches nothing.*slice labels"):
        train(config, out=tmp_path / "pack", on_progress=lambda what, _: phases.append(what))
    assert set(phases) == {"reading stores"}


@pytest.mark.parametrize(("lesion", "synthetic"), [(lesion_at, False), (nothing_at, True)], ids=["ill", "healthy"])
def test_only_a_store_that_shows_lesions_ends_the_warning(tmp_path: Path, lesion: Drawing, synthetic: bool) -> None:
    """From healthy patients nobody learns what a lesion looks like."""
    config = with_store(started_from(tmp_path / "cache"), store_of(tmp_path, lesion))
    assert synthetic_only(config) is synthetic
