"""An evaluation on the validation and test splits of a site's own store."""

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from builders.ct_series import chest_hu
from builders.evaluation import STORE_CONFIG
from builders.site_data import lesion_at, nothing_at, right_is_one_at, write_nifti
from builders.site_store import imported, rows_of
from dicom_node.cli.app import app
from pipeline.evaluation.config import load_evaluation_config
from pipeline.evaluation.errors import EvaluationError
from pipeline.evaluation.run import evaluate
from pipeline.importers.errors import StoreError
from pipeline.importers.records import ImportOptions
from pipeline.importers.splits import Split, split_of
from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet
from pipeline.training.epochs import save_epoch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def patients_in(split: Split) -> list[str]:
    """Four whom the hash puts into a split."""
    return list(islice((f"p{n}" for n in range(1000) if split_of(f"ours p{n}") is split), 4))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two diseased and two healthy patients in either split, a network, a configuration."""
    folder = tmp_path_factory.mktemp("site")
    for split in (Split.VALIDATION, Split.TEST):
        for number, name in enumerate(patients_in(split)):
            write_nifti(folder / "in" / f"{name}.nii.gz", chest_hu)
            write_nifti(folder / "in" / f"{name}_lung.nii.gz", right_is_one_at)
            write_nifti(folder / "in" / f"{name}_mask.nii.gz", lesion_at if number % 2 else nothing_at)
    imported("nifti-dir", folder / "in", folder / "store", options=ImportOptions(name="ours"))
    torch.manual_seed(1)
    shape = SpaceTimeConfig(widths=(8, 8, 16, 16), hidden=8, mask_width=8)
    save_epoch(folder / "space-time", 1, SpaceTimeNet(shape), 0.3)
    (folder / "evaluation.toml").write_text(STORE_CONFIG)
    return folder


def test_detectors_are_compared_on_the_splits_that_nobody_was_trained_on(site: Path, tmp_path: Path) -> None:
    """Each set has the patients of its own split, and the results call nobody a phantom."""
    outcome = CliRunner().invoke(
        app, ["evaluate", "--config", str(site / "evaluation.toml"), "--out", str(tmp_path)], catch_exceptions=False
    )
    assert outcome.exit_code == 0, outcome.output
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert (found["patients"], found["diseased"], found["validation_patients"]) == (4, 2, 4)
    assert not found["phantoms"]
    hashed = {row["patient"] for row in rows_of(site / "store")}
    assert {folder.name.split("-")[0] for folder in (tmp_path / "cases").iterdir()} == hashed


def test_a_split_without_patients_is_refused(site: Path, tmp_path: Path) -> None:
    """By its name."""
    (site / "train.toml").write_text(STORE_CONFIG.replace("[validation]", 'split = "train"\n[validation]'))
    config = load_evaluation_config(site / "train.toml")
    with pytest.raises(EvaluationError, match=r"test\.store: the split 'train' of .*store has no patient"):
        evaluate(config, out=tmp_path, only=[], on_progress=lambda *_: None)


def test_a_folder_that_is_no_store_is_refused(site: Path, tmp_path: Path) -> None:
    """With how one is made."""
    (site / "none.toml").write_text(STORE_CONFIG.replace('"store"', '"in"'))
    with pytest.raises(StoreError, match="is no store"):
        evaluate(load_evaluation_config(site / "none.toml"), out=tmp_path, only=[], on_progress=lambda *_: None)


def test_several_cases_of_one_patient_are_one_patient(site: Path, tmp_path: Path) -> None:
    """Studies without a day are cases of their own, of patients who are counted, and held out, once."""
    for split in (Split.VALIDATION, Split.TEST):
        for number, name in enumerate(patients_in(split)[:2]):
            for scan in "ab":
                write_nifti(tmp_path / "in" / f"{name}_{scan}.nii.gz", chest_hu)
                write_nifti(tmp_path / "in" / f"{name}_{scan}_lung.nii.gz", right_is_one_at)
                write_nifti(tmp_path / "in" / f"{name}_{scan}_mask.nii.gz", lesion_at if number else nothing_at)
    options = ImportOptions(name="ours", patient=r"(p\d+)_.*")
    imported("nifti-dir", tmp_path / "in", tmp_path / "store", options=options)
    (tmp_path / "evaluation.toml").write_text(STORE_CONFIG.replace('"space-time"', f'"{site / "space-time"}"'))
    config = load_evaluation_config(tmp_path / "evaluation.toml")
    table = evaluate(config, out=tmp_path / "out", only=[], on_progress=lambda *_: None)
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (found["patients"], found["cases"], found["diseased"], found["validation_patients"]) == (2, 4, 2, 2)
    assert "4 cases of 2 patients, 2 diseased and 2 not, 4 studies" in table.read_text()
    assert found["models"][0]["stages"][0]["sensitivity"]["n"] == 2
