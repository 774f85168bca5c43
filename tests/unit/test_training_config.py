"""A training configuration is refused for all that is wrong with it, before anything is rendered."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from builders.packs import tiny_pack
from pipeline.training.config import SpaceTimeTraining, TrainingConfig, TrainingConfigError, load_training_config
from pipeline.training.run import train


def test_a_training_configuration_is_read(tmp_path: Path) -> None:
    """Relative paths count from the file."""
    (tmp_path / "train.toml").write_text(
        'cache = "cache"\nseed = 7\n[space_time]\ncrop = [64, 96]\n'
        '[[data.real_folders]]\npath = "ct"\nname = "Ours"\nlicence = "own"\nattribution = "us"\n'
    )
    config = load_training_config(tmp_path / "train.toml")
    assert (config.cache, config.seed) == (tmp_path / "cache", 7)
    assert config.space_time.crop == (64, 96)
    assert config.data.real_folders[0].path == tmp_path / "ct"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("cache = 'c'\n[lungs]\nstep = 3\n", r"\[lungs\]\.step: unknown key"),
        ("seed = 3\n", "cache"),
        ("seed = \n", r"train\.toml"),
    ],
)
def test_a_wrong_training_configuration_names_the_key(tmp_path: Path, content: str, problem: str) -> None:
    """Before anything is rendered."""
    (tmp_path / "train.toml").write_text(content)
    with pytest.raises(TrainingConfigError, match=problem):
        load_training_config(tmp_path / "train.toml")


def test_the_example_configuration_in_the_docs_loads() -> None:
    """What the README tells to copy is accepted, its folders counted from the file."""
    path = Path(__file__).resolve().parents[2] / "docs" / "training.toml"
    config = load_training_config(path)
    assert config.data.real_folders[0].path == path.parent / "real-ct"
    assert config.space_time.steps == SpaceTimeTraining().steps


def problems_of(folder: Path, content: str) -> list[str]:
    """What a configuration is refused for."""
    (folder / "train.toml").write_text(content)
    with pytest.raises(TrainingConfigError) as refused:
        load_training_config(folder / "train.toml")
    return refused.value.reason.split("; ")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[data]\nphantom_patients = 0", "[data].phantom_patients: must be at least 1 (got 0), since steps with more"),
        ("[data]\nvalidation_patients = 0", "[data].validation_patients: must be at least 2 (got 0), since thresholds"),
        ("[data]\nprocesses = 0", "[data].processes: must be at least 1 (got 0)"),
        ("[data]\nstores = 3", "[data].stores: must be a list (got 3)"),
        ("[[data.stores]]\npath = 3", "[[data.stores]] 1.path: must be text (got 3)"),
        ("[space_time]\ncrop = [128.5, 128]", "[space_time].crop[0]: must be a whole number (got 128.5)"),
        ("[space_time]\ncrop = [128, 100]", "[space_time].crop[1]: must be a multiple of 16 (got 100)"),
        ("[space_time]\nwidths = [8, 8, 16]", "[space_time].widths[3]: is missing"),
        ("[space_time]\nhidden = 12", "[space_time].hidden: must be a multiple of 8 (got 12)"),
        ("[space_time]\nreal_share = 2", "[space_time].real_share: must be at most 1 (got 2)"),
        ("[space_time]\nsteps = 0", "[space_time].steps: must be at least 1 (got 0) without [space_time].start_from"),
        ("[lungs]\nlearning_rate = nan", "[lungs].learning_rate: must be a finite number (got nan)"),
        ("[lungs]\nbatch = true", "[lungs].batch: must be a whole number (got True)"),
        ('threads = "two"', "threads: must be a whole number (got 'two')"),
        ('device = "gpu"', 'device: must be "auto", "cpu", "cuda" or "cuda:0" (got \'gpu\')'),
        ('name = ""', "name: must not be empty (got '')"),
        ("lungs = 3", "lungs: must be a table (got 3)"),
    ],
)
def test_values_that_nothing_can_be_trained_with_are_named(tmp_path: Path, content: str, problem: str) -> None:
    """With their key, what they must be, and what they are."""
    (found,) = problems_of(tmp_path, f"cache = 'c'\n{content}\n")
    assert found.startswith(problem)


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    """Nobody starts a training five times to find five of them."""
    folders = "[[data.real_folders]]\npath = 'a'\nname = 'A'\nlicence = 'own'\n"
    found = problems_of(
        tmp_path, f"threads = 0\n{folders}attribution = 'us'\n{folders}attribution = ''\nlicense = 'x'\n"
    )
    keys = [problem.split(":")[0] for problem in found]
    second = "[[data.real_folders]] 2"
    assert sorted(keys) == sorted(["cache", "threads", f"{second}.attribution", f"{second}.license"])


def test_no_steps_keep_the_network_that_is_started_from(tmp_path: Path) -> None:
    """To train the other one alone."""
    (tmp_path / "train.toml").write_text("cache = 'c'\n[lungs]\nsteps = 0\nstart_from = 'pack'\n")
    lungs = load_training_config(tmp_path / "train.toml").lungs
    assert (lungs.steps, lungs.start_from) == (0, tmp_path / "pack")


@pytest.mark.parametrize("table", ["lungs", "space_time"])
def test_a_start_of_another_shape_is_refused_before_anything_is_rendered(tmp_path: Path, table: str) -> None:
    """Networks of a test are smaller than those that are trained."""
    start = tiny_pack(tmp_path / "start")
    config = TrainingConfig(cache=tmp_path / "cache", device="cpu")
    changed = replace(config, **{table: replace(getattr(config, table), start_from=start)})
    phases: list[str] = []
    with pytest.raises(TrainingConfigError, match=rf"\[{table}\]\.start_from: {start} does not do"):
        train(changed, out=tmp_path / "pack", on_progress=lambda what, _: phases.append(what))
    assert phases == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_named_before_anything_is_rendered(tmp_path: Path) -> None:
    """In the words of this file, not in those of the node's."""
    config = TrainingConfig(cache=tmp_path / "cache", device="cuda")
    with pytest.raises(TrainingConfigError, match=r'device: this machine has no "cuda"'):
        train(config, out=tmp_path / "pack", on_progress=lambda *_: None)
    assert not (tmp_path / "cache").exists()
