"""The command `evaluate` from cases to tables and figures."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from builders.evaluation import random_result
from builders.training_cases import small_case
from dicom_node.cli.app import app
from pipeline.baselines.build import BaselineKind, build_baseline
from pipeline.evaluation.config import ModelKind, load_evaluation_config
from pipeline.evaluation.errors import EvaluationConfigError, EvaluationError
from pipeline.evaluation.read_cases import load_patient
from pipeline.evaluation.run import evaluate, write_results
from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet
from pipeline.training.cases import Case, save_case
from pipeline.training.epochs import save_epoch

SHAPE = SpaceTimeConfig(widths=(8, 8, 16, 16), hidden=8, mask_width=8)

CONFIG = """
title = "Small"
bootstrap_samples = 10
checkpoint_patients = 1
[test]
folder = "test"
[validation]
folder = "validation"
[[models]]
name = "YOLOv3"
kind = "yolov3"
epochs = "yolo"
network = { widths = [8, 8, 16, 16] }
[[models]]
name = "Space-Time1"
kind = "space-time-1"
epochs = "space-time"
network = { widths = [8, 8, 16, 16], hidden = 8, mask_width = 8 }
"""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cases of both kinds, two checkpoints of two detectors with random weights, a configuration."""
    folder = tmp_path_factory.mktemp("site")
    for name, first in (("test", 0), ("validation", 100)):
        for seed in range(first, first + 3):
            save_case(folder / name / f"ill-{seed}", small_case(seed, studies=2))
            save_case(folder / name / f"well-{seed}", healthy_case(seed))
    torch.manual_seed(1)
    for epoch, loss in ((1, 0.4), (2, 0.3)):
        save_epoch(folder / "yolo", epoch, build_baseline(BaselineKind.YOLO_V3, SHAPE), loss)
        save_epoch(folder / "space-time", epoch, SpaceTimeNet(SHAPE), loss)
    (folder / "evaluation.toml").write_text(CONFIG)
    return folder


def healthy_case(seed: int) -> Case:
    """The lungs of the small case without its lesion."""
    case = small_case(seed, studies=2)
    lungs_only = np.array([1, 0, 0], np.uint8)[:, None, None, None]
    quiet = np.random.default_rng(seed).normal(-850.0, 30.0, case.studies[0].volume_hu.shape).astype(np.int16)
    studies = tuple(replace(study, truth=study.truth * lungs_only, volume_hu=quiet) for study in case.studies)
    return replace(case, name=f"well-{seed}", diseased=False, studies=studies)


def nobody_listens(what: str, share: float) -> None:
    """Progress that nobody reads."""


def work_begins(what: str, share: float) -> None:
    """Progress that must not come."""
    raise AssertionError(what)


def test_command_compares_detectors_in_both_stages(site: Path, tmp_path: Path) -> None:
    """One table as Markdown and JSON, and the figures."""
    outcome = CliRunner().invoke(
        app, ["evaluate", "--config", str(site / "evaluation.toml"), "--out", str(tmp_path)], catch_exceptions=False
    )
    assert outcome.exit_code == 0, outcome.output
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert (found["patients"], found["diseased"], found["studies"]) == (6, 3, 12)
    stages = {model["name"]: [stage["stage"] for stage in model["stages"]] for model in found["models"]}
    assert stages["YOLOv3"] == ["I", "II"]
    assert stages["Space-Time1"] == ["I", "II", "II, shuffled-in-time", "II, shuffled-in-place", "II, other-patient"]
    assert found["models"][0]["checkpoint"].startswith("epoch-0002")
    assert found["models"][0]["checkpoints"][0]["checkpoints"] == 2
    assert found["models"][0]["checkpoints"][0]["patients"] == 2
    assert found["models"][0]["stages"][0]["dice"]["value"] is None
    pairs = {(each["first"], each["second"]) for each in found["differences"]}
    assert ("Space-Time1, stage II", "YOLOv3, stage II") in pairs
    assert ("Space-Time1, stage II", "Space-Time1, stage I") in pairs
    assert all((tmp_path / name).read_bytes()[:4] == b"\x89PNG" for name in ("figure-4-bars.png", "figure-5-roc.png"))
    assert "Phantoms verify software, not clinical performance" in (tmp_path / "evaluation.md").read_text()


def test_the_example_configuration_is_valid() -> None:
    """It names every detector of the paper."""
    config = load_evaluation_config(Path(__file__).parents[2] / "docs" / "evaluation.toml")
    assert {model.kind for model in config.models} == set(ModelKind)


def test_a_stopped_evaluation_goes_on_from_its_readings(site: Path, tmp_path: Path) -> None:
    """What was read is not read again, what is missing is."""
    config = load_evaluation_config(site / "evaluation.toml")
    evaluate(config, out=tmp_path, only=["YOLOv3"], on_progress=nobody_listens)
    readings = sorted(tmp_path.rglob("*.npz"))
    readings[0].unlink()
    before = {path: path.stat().st_mtime_ns for path in readings[1:]}
    evaluate(config, out=tmp_path, only=["YOLOv3"], on_progress=nobody_listens)
    assert readings[0].is_file()
    assert {path: path.stat().st_mtime_ns for path in readings[1:]} == before


def test_a_patient_whose_images_were_corrected_is_read_anew(tmp_path: Path) -> None:
    """With the same truth: a corrected CT, or a phantom drawn otherwise."""
    case = small_case(1, studies=2)
    save_case(tmp_path / "case", case)
    before = load_patient(tmp_path / "case").fingerprint
    assert load_patient(tmp_path / "case").fingerprint == before
    newest = replace(case.studies[-1], volume_hu=case.studies[-1].volume_hu + np.int16(250))
    save_case(tmp_path / "case", replace(case, studies=(case.studies[0], newest)))
    assert load_patient(tmp_path / "case").fingerprint != before


def test_only_the_best_checkpoint_reads_everybody(site: Path, tmp_path: Path) -> None:
    """The other one reads the validation set and one test patient of each class."""
    config = load_evaluation_config(site / "evaluation.toml")
    evaluate(config, out=tmp_path, only=["YOLOv3"], on_progress=nobody_listens)
    patients = {folder.name[:10]: len(list(folder.iterdir())) for folder in (tmp_path / "readings/yolov3").iterdir()}
    assert patients == {"epoch-0002": 12, "epoch-0001": 8}


def test_a_model_that_is_not_configured_is_refused(site: Path, tmp_path: Path) -> None:
    """With the names there are."""
    config = load_evaluation_config(site / "evaluation.toml")
    with pytest.raises(EvaluationConfigError, match=r"no model 'YOLO' \(known: YOLOv3, Space-Time1\)"):
        evaluate(config, out=tmp_path, only=["YOLO"], on_progress=nobody_listens)


def test_a_model_without_checkpoints_is_refused(site: Path, tmp_path: Path) -> None:
    """Before anything is rendered or read."""
    config = load_evaluation_config(site / "evaluation.toml")
    untrained = replace(config.models[0], epochs=tmp_path / "none")
    with pytest.raises(EvaluationError, match="YOLOv3: no saved epochs"):
        evaluate(replace(config, models=(config.models[1], untrained)), out=tmp_path, only=[], on_progress=work_begins)


def test_weights_of_another_shape_are_refused(site: Path, tmp_path: Path) -> None:
    """The configuration names the network that was trained."""
    config = load_evaluation_config(site / "evaluation.toml")
    mistaken = replace(config.models[1], network=replace(config.models[1].network, hidden=16))
    with pytest.raises(EvaluationError, match=r"Space-Time1: epoch-0002\.pt does not fit the network"):
        evaluate(replace(config, models=(mistaken,)), out=tmp_path, only=[], on_progress=work_begins)


@pytest.mark.parametrize("content", [b"", b"not weights"], ids=["empty", "other"])
def test_damaged_weights_are_refused(site: Path, tmp_path: Path, content: bytes) -> None:
    """By the name of their file."""
    config = load_evaluation_config(site / "evaluation.toml")
    save_epoch(tmp_path / "epochs", 1, SpaceTimeNet(SHAPE), 0.4)
    (weights,) = (tmp_path / "epochs").glob("*.pt")
    weights.write_bytes(content)
    damaged = replace(config.models[1], epochs=tmp_path / "epochs")
    with pytest.raises(EvaluationError, match=r"Space-Time1: epoch-0001\.pt does not fit the network"):
        evaluate(replace(config, models=(damaged,)), out=tmp_path, only=[], on_progress=work_begins)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_refused(site: Path, tmp_path: Path) -> None:
    """Before anything is rendered or read."""
    config = replace(load_evaluation_config(site / "evaluation.toml"), device="cuda")
    with pytest.raises(EvaluationConfigError, match='device: this machine has no "cuda"'):
        evaluate(config, out=tmp_path, only=[], on_progress=work_begins)


def test_a_patient_in_both_sets_is_refused(site: Path, tmp_path: Path) -> None:
    """Whatever folder they lie in."""
    config = load_evaluation_config(site / "evaluation.toml")
    save_case(tmp_path / "test" / "ill", small_case(100))
    save_case(tmp_path / "test" / "well", healthy_case(1))
    with pytest.raises(EvaluationError, match="small-100 is in the test and in the validation set"):
        mixed = replace(config, test=replace(config.test, folder=tmp_path / "test"))
        evaluate(mixed, out=tmp_path / "out", only=[], on_progress=nobody_listens)


def test_one_class_alone_cannot_be_evaluated(site: Path, tmp_path: Path) -> None:
    """Nor can its readings be made in vain."""
    config = load_evaluation_config(site / "evaluation.toml")
    save_case(tmp_path / "ill", small_case(1))
    with pytest.raises(EvaluationError, match="patients with and without lesions"):
        alone = replace(config, test=replace(config.test, folder=tmp_path))
        evaluate(alone, out=tmp_path / "out", only=[], on_progress=nobody_listens)


def test_results_are_written_without_numbers_that_are_none(tmp_path: Path) -> None:
    """JSON knows no nan; Markdown shows a dash."""
    write_results(random_result(), tmp_path)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    json.loads((tmp_path / "evaluation.json").read_text(), parse_constant=refuse)
    assert "nan" not in (tmp_path / "evaluation.md").read_text()
