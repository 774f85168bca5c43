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
        (MODEL, "test: is missing; validation: is missing"),
        ("[test]\n[validation]\n" + MODEL, r"test\.folder: .*missing"),
        (SETS, "models: is missing"),
        ("models = []\n" + SETS, "models: name at least one"),
        (SETS + MODEL + MODEL, "models.name: two models"),
        (SETS + MODEL.replace("yolov3", "yolov9"), r"models\[0\]\.kind: must be .*'yolov3'.*\(got 'yolov9'\)"),
        (SETS + MODEL + 'pack = "pack"\n', r"models\[0\]\.epochs: give either"),
        (SETS + MODEL.replace("epochs =", "pack ="), r"models\[0\]\.pack: only Space-Time-Net"),
        (SETS + MODEL + "size = 3\n", r"models\[0\]\.size: unknown key \(known: epochs, kind"),
        (SETS + MODEL + "network = { width = 3 }\n", r"models\[0\]\.network\.width: unknown key .*widths"),
        (SETS + MODEL + "network = { hidden = 9 }\n", r"models\[0\]\.network\.hidden: must be a multiple of 8"),
        (
            'processes = 0\nseed = "a"\n' + SETS + MODEL,
            r"seed: must be a whole number \(got 'a'\); processes: must be at least 1 \(got 0\)",
        ),
        ("processes = true\n" + SETS + MODEL, "processes: must be a whole number"),
        ("title = 5\n" + SETS + MODEL, "title: must be text"),
        ("device = 3\n" + SETS + MODEL, "device: must be text"),
        ('device = "gpu"\n' + SETS + MODEL, 'device: must be "auto", "cpu"'),
        ("speed = 1\n" + SETS + MODEL, r"speed: unknown key"),
        (SETS.replace("= 3", "= 1.5") + MODEL, r"validation\.diseased: must be a whole number"),
        (SETS.replace("= 3", "= -1") + MODEL, r"validation\.diseased: must be at least 0"),
        (SETS.replace('"validation"', '"test"') + MODEL, r"validation\.folder: must not be the test set"),
        ("[test", "evaluation.toml"),
        (STORES.replace('"validation"', '"half"') + MODEL, r"validation\.split: must be 'train', .* \(got 'half'\)"),
        (STORES.replace('"validation"', '"test"') + MODEL, r"validation\.store: must not be the test set"),
        (STORES + "diseased = 3\n" + MODEL, r"validation\.diseased: phantoms are not rendered into a store"),
        (SETS.replace("diseased = 3", 'split = "test"') + MODEL, r"validation\.split: only a store has splits"),
        (
            SETS.replace('"test"\n', '"test"\ndiseased = 9\n') + "first_seed = 2_000_008\n" + MODEL,
            r"validation\.first_seed: .* the seeds 2000000 to 2000008 \(got 2000008\)",
        ),
        (SETS + "first_seed = 500_000\n" + MODEL, r"first_seed: must be at least 1e\+06.*trained on"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    """With what was found there."""
    with pytest.raises(EvaluationConfigError, match=message):
        load(tmp_path, text)


def test_nobody_is_in_both_sets_where_no_seed_is_given(tmp_path: Path) -> None:
    """Sets of the size of the published comparison, and far larger ones."""
    path = tmp_path / "evaluation.toml"
    path.write_text(SETS.replace("= 3", "= 99_000").replace('"test"\n', '"test"\nnot_diseased = 99_000\n') + MODEL)
    config = load_evaluation_config(path)
    assert not set(config.test.seeds) & set(config.validation.seeds)
    assert (len(config.test.seeds), len(config.validation.seeds)) == (99_000, 99_000)
