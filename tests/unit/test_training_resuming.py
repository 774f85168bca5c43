"""A training goes on from its cache only where configuration and data are those it was begun with."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from builders.packs import tiny_pack
from builders.site_data import lesion_at, write_nifti
from builders.site_store import imported
from builders.training_cases import save_small_cases
from pipeline.model_pack import SPACE_TIME_WEIGHTS
from pipeline.training.config import (
    ComparisonTraining,
    DataConfig,
    LungTraining,
    RealFolder,
    SiteStore,
    SpaceTimeTraining,
    TrainingConfig,
    TrainingConfigError,
)
from pipeline.training.epochs import load_epochs
from pipeline.training.real_data import real_folders_fingerprint
from pipeline.training.resuming import TrainingCacheError
from pipeline.training.run import train

TINY = SpaceTimeTraining(
    steps=2, batch=1, slices=3, crop=(32, 32), learning_rate=5e-3, epoch_steps=1, hidden=8, widths=(8, 8, 16, 16)
)

Change = Callable[[TrainingConfig], TrainingConfig]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """A run of two steps that came to its end, its pack in `pack`."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("finished")
    save_small_cases(folder / "cache" / "train", 2)
    save_small_cases(folder / "cache" / "validation", 2)
    config = TrainingConfig(
        cache=folder / "cache",
        threads=1,
        device="cpu",
        checkpoint_every=1,
        data=DataConfig(phantom_patients=0, validation_patients=0),
        lungs=LungTraining(steps=1, batch=1),
        space_time=TINY,
    )
    run(config, folder / "pack")
    return config


@pytest.fixture
def trained(finished: TrainingConfig, tmp_path: Path) -> TrainingConfig:
    """A copy of that run, for one test alone."""
    shutil.copytree(finished.cache.parent, tmp_path, dirs_exist_ok=True)
    return replace(finished, cache=tmp_path / "cache")


def run(config: TrainingConfig, out: Path) -> list[str]:
    """The phases of a run."""
    phases: list[str] = []
    train(config, out=out, on_progress=lambda what, _: phases.append(what))
    return phases


def with_store(config: TrainingConfig) -> TrainingConfig:
    """The same with a store of one patient."""
    folder = config.cache.parent
    write_nifti(folder / "in" / "p1.nii.gz", lesion_at)
    write_nifti(folder / "in" / "p1_mask.nii.gz", lesion_at)
    imported("nifti-dir", folder / "in", folder / "store")
    return replace(config, data=replace(config.data, stores=(SiteStore(path=folder / "store"),)))


def with_start(config: TrainingConfig) -> TrainingConfig:
    """The same from the weights of a pack."""
    return replace(config, space_time=replace(config.space_time, start_from=tiny_pack(config.cache.parent / "start")))


def with_real_folder(config: TrainingConfig) -> TrainingConfig:
    """The same with real CT."""
    return replace(config, data=replace(config.data, real_folders=(real_folder(config.cache.parent / "ct"),)))


def real_folder(path: Path) -> RealFolder:
    """A folder with a file."""
    path.mkdir(exist_ok=True)
    (path / "1.dcm").write_text("a slice")
    return RealFolder(path=path, name="ours", licence="own", attribution="us")


CHANGES: dict[str, Change] = {
    "seed": lambda config: replace(config, seed=2),
    "[space_time].learning_rate": lambda config: replace(config, space_time=replace(TINY, learning_rate=1e-3)),
    "[space_time].hidden": lambda config: replace(config, space_time=replace(TINY, hidden=16)),
    "[space_time].start_from": with_start,
    "[lungs].batch": lambda config: replace(config, lungs=replace(config.lungs, batch=2)),
    "[data].phantom_patients": lambda config: replace(config, data=replace(config.data, phantom_patients=1)),
    "[data].real_folders": with_real_folder,
    "[data].stores": with_store,
}


@pytest.mark.parametrize("key", CHANGES)
def test_another_training_in_the_same_cache_is_refused_before_anything_is_made(
    key: str, trained: TrainingConfig, tmp_path: Path
) -> None:
    """The sentence names what differs and the file; no pack claims what was not trained on."""
    before = sorted(trained.cache.rglob("*"))
    network = "lungs" if "lungs" in key else "space-time-1"
    with pytest.raises(TrainingCacheError, match=r"another cache folder") as refused:
        run(CHANGES[key](trained), tmp_path / "pack-2")
    assert key in refused.value.reason
    assert f"checkpoints/{network}.pt" in refused.value.reason
    assert sorted(trained.cache.rglob("*")) == before
    assert not (tmp_path / "pack-2").exists()


def test_more_steps_of_the_same_training_go_on(trained: TrainingConfig, tmp_path: Path) -> None:
    """From the checkpoint, not from the first step; fewer are refused."""
    longer = replace(trained, space_time=replace(TINY, steps=3))
    phases = run(longer, tmp_path / "pack-2")
    assert phases.count("training Space-Time1") == 1
    with pytest.raises(TrainingCacheError, match=r"is of 3 steps, more than the 2"):
        run(trained, tmp_path / "pack-3")


def test_the_same_run_again_makes_the_same_pack(trained: TrainingConfig, tmp_path: Path) -> None:
    """Nothing is trained twice, whatever the cache was called when it was made."""
    assert "training Space-Time1" not in run(trained, tmp_path / "pack-2")
    packs = [(tmp_path / name / SPACE_TIME_WEIGHTS).read_bytes() for name in ("pack", "pack-2")]
    assert packs[0] == packs[1]


def test_a_network_whose_checkpoint_was_removed_is_trained_anew(trained: TrainingConfig, tmp_path: Path) -> None:
    """And the epochs of the longer training before are not taken for its own."""
    other = replace(trained, space_time=replace(TINY, learning_rate=1e-3, steps=1))
    (trained.cache / "checkpoints" / "space-time-1.pt").unlink()
    phases = run(other, tmp_path / "pack-2")
    assert "training Space-Time1" in phases
    assert "training the lung network" not in phases
    assert [saved.epoch for saved in load_epochs(trained.cache / "epochs" / "space-time-1")] == [1]


def test_a_checkpoint_of_which_nothing_was_noted_is_refused(trained: TrainingConfig, tmp_path: Path) -> None:
    """As the versions before left them."""
    (trained.cache / "checkpoints" / "lungs.json").unlink()
    with pytest.raises(TrainingCacheError, match=r"lungs\.pt nobody noted"):
        run(trained, tmp_path / "pack-2")


def test_models_that_learn_from_a_longer_training_are_not_taken_from_a_shorter(
    trained: TrainingConfig, tmp_path: Path
) -> None:
    """Space-Time2 starts from the result of Space-Time1."""
    compared = replace(trained, comparison=ComparisonTraining(models=("space-time-2",), steps=1))
    run(compared, tmp_path / "pack-2")
    with pytest.raises(TrainingCacheError, match=r"space-time-2\.pt differs in \[space_time\]\.steps"):
        run(replace(compared, space_time=replace(TINY, steps=3)), tmp_path / "pack-3")


def test_a_model_is_not_trained_as_the_main_one_and_as_the_compared_one(
    trained: TrainingConfig, tmp_path: Path
) -> None:
    """Both would go on from one checkpoint."""
    both = replace(
        trained,
        space_time=replace(TINY, bidirectional_time=True),
        comparison=ComparisonTraining(models=("space-time-2",), steps=1),
    )
    with pytest.raises(TrainingConfigError, match="is trained anyway"):
        run(both, tmp_path / "pack-2")


def test_real_folders_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    """Moving or naming them otherwise changes nothing, one other byte does."""
    folder = real_folder(tmp_path / "ct")
    told = real_folders_fingerprint([folder])
    moved = replace(folder, path=Path(shutil.move(folder.path, tmp_path / "elsewhere")), name="theirs")
    assert real_folders_fingerprint([moved]) == told
    (moved.path / "1.dcm").write_text("a slicf")
    assert real_folders_fingerprint([moved]) != told


def test_a_folder_of_real_ct_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It would be in the model card all the same."""
    missing = RealFolder(path=tmp_path / "none", name="ours", licence="own", attribution="us")
    with pytest.raises(TrainingConfigError, match=r"real_folders.*no folder"):
        real_folders_fingerprint([missing])
