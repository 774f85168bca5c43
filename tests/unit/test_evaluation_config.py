"""A wrong evaluation configuration is refused with the key at fault."""

from pathlib import Path

import pytest

from pipeline.evaluation.config import ModelKind, load_evaluation_config
from pipeline.evaluation.errors import EvaluationConfigError
from pipeline.importers.splits import Split

SETS = '[test]\nfolder = "test"\n[validation]\nfolder = "validation"\ndiseased = 3\n'
STORES = '[test]\nstore = "store"\n[validation]\nstore = "store"\nsplit = "validation"\n'
MODEL = '[[models]]\nname = "A"\nkind = "yolov3"\nepochs = "epochs"\n'


def load(tmp_path: Path, text: str) -> object:
    """The configuration in a text."""
    path = tmp_path / "evaluation.toml"
    path.write_text(text)
    return load_evaluation_config(path)


def test_paths_count_from_the_file_and_the_rest_has_defaults(tmp_path: Path) -> None:
    """What is not written keeps its default."""
    path = tmp_path / "evaluation.toml"
    path.write_text(SETS + MODEL + "[models.network]\nwidths = [8, 8, 16, 16]\n")
    config = load_evaluation_config(path)
    assert config.test.folder == tmp_path / "test"
    assert config.validation.diseased == 3
    assert config.models[0].epochs == tmp_path / "epochs"
    assert config.models[0].kind is ModelKind.YOLOV3
    assert config.models[0].network.widths == (8, 8, 16, 16)
    assert (config.processes, config.bootstrap_samples) == (1, 2000)


def test_a_split_of_a_store_stands_in_the_place_of_a_folder(tmp_path: Path) -> None:
    """What is not said is the split of the set's own name."""
    path = tmp_path / "evaluation.toml"
    path.write_text(STORES + MODEL)
    config = load_evaluation_config(path)
    assert (config.test.store, config.test.split) == (tmp_path / "store", Split.TEST)
    assert (config.validation.store, config.validation.split) == (tmp_path / "store", Split.VALIDATION)
    assert config.test.folder is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MODEL, r"test\.folder: .*missing"),
        (SETS, "models: name at least one"),
        (SETS + MODEL + MODEL, "models.name: two models"),
        (SETS + MODEL.replace("yolov3", "yolov9"), r"models\[0\]\.kind: one of .*yolov3.*\(got yolov9\)"),
        (SETS + MODEL + 'pack = "pack"\n', r"models\[0\]\.epochs: give either"),
        (SETS + MODEL.replace("epochs =", "pack ="), r"models\[0\]\.pack: only Space-Time-Net"),
        (SETS + MODEL + "size = 3\n", r"models\[0\]\.size: unknown key"),
        ("processes = 0\n" + SETS + MODEL, r"processes: a whole number from 1 on \(got 0\)"),
        ("speed = 1\n" + SETS + MODEL, r"evaluation\.speed: unknown key"),
        (SETS.replace('"validation"', '"test"') + MODEL, r"validation\.folder: must not be the test set"),
        ("[test", "evaluation.toml"),
        (
            STORES.replace('"validation"', '"half"') + MODEL,
            r"validation\.split: one of train, validation, test \(got half",
        ),
        (STORES.replace('"validation"', '"test"') + MODEL, r"validation\.store: must not be the test set"),
        (STORES + "diseased = 3\n" + MODEL, r"validation\.diseased: phantoms are not rendered into a store"),
        (SETS.replace("diseased = 3", 'split = "test"') + MODEL, r"validation\.split: only a store has splits"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    """With what was found there."""
    with pytest.raises(EvaluationConfigError, match=message):
        load(tmp_path, text)
