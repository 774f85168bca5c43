"""A model pack is used whole and unchanged, or not at all."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from builders.networks import TINY
from builders.packs import tiny_description, tiny_pack
from pipeline.engine import build_engine
from pipeline.errors import ModelPackError
from pipeline.lungs_net import LungNet
from pipeline.model_input import InputContract
from pipeline.model_pack import (
    LUNG_WEIGHTS,
    SPACE_TIME_WEIGHTS,
    Calibration,
    OperatingPoint,
    PatientOperatingPoints,
    load_model_pack,
)
from pipeline.pack_title import BUNDLED_PACK
from pipeline.patient_score import PatientScoreWeights
from pipeline.space_time import SpaceTimeNet
from pipeline.training.pack_writer import write_pack


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack with tiny networks that nobody changes."""
    return tiny_pack(tmp_path_factory.mktemp("written") / "pack")


@pytest.fixture
def pack(written: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(written, tmp_path / "pack"))


def test_a_written_pack_is_read_back(pack: Path) -> None:
    """Contract, thresholds, and networks of the sizes that were written."""
    loaded = load_model_pack(pack)
    assert (loaded.name, loaded.version) == ("tiny", "1.2.3")
    assert loaded.contract == InputContract(pixel_mm=2.0)
    assert loaded.thresholds.lesion_probability == 0.4
    assert loaded.load_space_time_net("cpu").config == TINY
    assert loaded.load_lung_net("cpu").widths == (8, 8, 8)


@pytest.mark.parametrize("name", [LUNG_WEIGHTS, SPACE_TIME_WEIGHTS, "docs/README.md"])
def test_a_flipped_byte_is_refused(pack: Path, name: str) -> None:
    """The error names the file and says what to do."""
    content = bytearray((pack / name).read_bytes())
    content[-1] ^= 1
    (pack / name).write_bytes(content)
    with pytest.raises(ModelPackError, match=rf"{name}.*install the model pack again"):
        load_model_pack(pack)


def test_a_missing_file_is_refused(pack: Path) -> None:
    """A half-copied pack is not used."""
    (pack / LUNG_WEIGHTS).unlink()
    with pytest.raises(ModelPackError, match=r"lacks its file models/lungs\.safetensors"):
        load_model_pack(pack)


def test_a_folder_without_a_pack_is_refused(tmp_path: Path) -> None:
    """The error names the setting to change."""
    with pytest.raises(ModelPackError, match=r"\[pipeline\]\.model_pack"):
        load_model_pack(tmp_path)


def test_a_pack_of_another_format_is_refused(pack: Path) -> None:
    """Before its weights are touched."""
    change_description(pack, format=3)
    with pytest.raises(ModelPackError, match="format 3 is not 1 or 2; install a model pack made for this version"):
        load_model_pack(pack)


def test_a_pack_without_thresholds_is_refused(pack: Path) -> None:
    """The error names what is missing."""
    change_description(pack, thresholds={})
    with pytest.raises(ModelPackError, match=r"thresholds\.lesion_probability is missing"):
        load_model_pack(pack)


def test_every_mistake_of_a_description_is_named_at_once(pack: Path) -> None:
    """Wrong types, values out of range, and keys that this version would not heed."""
    space_time = json.loads((pack / "stnet.json").read_text())["space_time"]
    change_description(pack, name=7, lungs={"widths": [8, 9]}, space_time={**space_time, "wider_view": True})
    with pytest.raises(ModelPackError) as refusal:
        load_model_pack(pack)
    assert "name must be text (got 7)" in refusal.value.reason
    assert "lungs.widths.1 must be a multiple of 8 (got 9)" in refusal.value.reason
    assert "space_time.wider_view is not known to this version" in refusal.value.reason


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (
            {"window_centre_hu": 40.0},
            r"input\.window_centre_hu must be -500, the only one this version has \(got 40\.0\)",
        ),
        ({"window_width_hu": 400.0}, r"input\.window_width_hu must be 1600"),
        (
            {"channels": ["lung mask", "slice above", "slice", "slice below"]},
            r"input\.channels\.0 must be 'slice below'",
        ),
    ],
)
def test_a_contract_that_is_not_kept_here_is_refused(pack: Path, wanted: dict[str, object], problem: str) -> None:
    """Networks that learned from another window or other channels would see something else than they learned."""
    contract = json.loads((pack / "stnet.json").read_text())["input"]
    change_description(pack, input=contract | wanted)
    with pytest.raises(ModelPackError, match=problem):
        load_model_pack(pack)


def test_labels_that_the_mask_does_not_have_are_refused(pack: Path) -> None:
    """Else a result would name them the wrong way round."""
    swapped = [{"value": 2, "name": "ground_glass"}, {"value": 1, "name": "consolidation"}]
    change_description(pack, labels=swapped)
    with pytest.raises(ModelPackError, match="labels must be 1 ground_glass and 2 consolidation"):
        load_model_pack(pack)


@pytest.mark.parametrize("value", ["NaN", "1e999", '"0.5"', "-0.1"])
def test_a_threshold_that_is_no_share_is_refused(pack: Path, value: str) -> None:
    """Not a number, infinite, text or negative: none of them would ever be reached, or always."""
    path = pack / "stnet.json"
    path.write_text(path.read_text().replace('"box_score": 0.3', f'"box_score": {value}'))
    with pytest.raises(ModelPackError, match=r"thresholds\.box_score must be"):
        load_model_pack(pack)


def test_a_description_that_is_no_json_is_refused(pack: Path) -> None:
    """For instance one that was cut off."""
    (pack / "stnet.json").write_text('{"format": 2,')
    with pytest.raises(ModelPackError, match="not valid JSON"):
        load_model_pack(pack)


def test_format_2_is_not_read_without_what_it_adds(pack: Path) -> None:
    """A pack that claims format 2 and holds format 1 was put together by hand."""
    path = pack / "stnet.json"
    content = json.loads(path.read_text())
    del content["calibration"], content["operating_points"]
    path.write_text(json.dumps(content))
    with pytest.raises(ModelPackError, match="format 2 needs calibration and operating_points"):
        load_model_pack(pack)


def test_format_2_is_not_read_without_its_golden_case(pack: Path) -> None:
    """Else nobody could try the pack out."""
    files = json.loads((pack / "stnet.json").read_text())["files"]
    change_description(pack, files={name: digest for name, digest in files.items() if "golden" not in name})
    with pytest.raises(ModelPackError, match=r"does not name golden/phantom\.npz, golden/expected\.json"):
        load_model_pack(pack)


def test_calibration_and_operating_points_are_read_back(tmp_path: Path) -> None:
    """With the temperature where the patient score takes it from."""
    calibration = Calibration(
        method="temperature",
        patient_temperature=1.7,
        calibrated_on="held-out phantoms",
        population="phantoms",
        studies=9,
    )
    point = OperatingPoint(threshold=0.5, sensitivity=0.96, specificity=0.9, diseased=4, healthy=5)
    points = PatientOperatingPoints(default=point, sensitivity_95=replace(point, threshold=0.4), specificity_95=None)
    description = replace(tiny_description(), calibration=calibration, operating_points=points)
    loaded = load_model_pack(tiny_pack(tmp_path / "pack", description))
    assert (loaded.calibration, loaded.operating_points) == (calibration, points)
    assert loaded.calibration.is_calibrated
    assert loaded.patient_score.temperature == 1.7


def test_a_default_operating_point_other_than_the_threshold_in_use_is_refused(tmp_path: Path) -> None:
    """The figures would belong to a threshold that is not the one in use."""
    point = OperatingPoint(threshold=0.3, sensitivity=0.96, specificity=0.9, diseased=4, healthy=5)
    description = replace(tiny_description(), operating_points=PatientOperatingPoints(default=point))
    with pytest.raises(ModelPackError, match=r"default\.threshold must be thresholds\.patient_score"):
        tiny_pack(tmp_path / "pack", description)


def test_two_temperatures_are_not_written(tmp_path: Path) -> None:
    """It would not be known which one the thresholds were measured with."""
    weights = PatientScoreWeights(bias=0.0, slice_weight=1.0, involvement_weight=1.0, temperature=2.0)
    with pytest.raises(ModelPackError, match="temperature 2, its calibration 1"):
        tiny_pack(tmp_path / "pack", replace(tiny_description(), patient_score=weights))


def test_a_site_may_train_a_network_as_large_as_it_likes(tmp_path: Path) -> None:
    """Only the bundled pack travels in a wheel; a network of more than 40 MB is written and read."""
    net = SpaceTimeNet(replace(TINY, widths=(8, 8, 16, 896)))
    loaded = load_model_pack(write_pack(tmp_path / "pack", LungNet((8, 8, 8)), net, tiny_description()))
    assert (loaded.folder / SPACE_TIME_WEIGHTS).stat().st_size > 40e6
    assert loaded.space_time == net.config


def test_what_else_lies_in_the_folder_is_no_part_of_a_pack(tmp_path: Path) -> None:
    """Somebody's notes may change or go without the pack being damaged."""
    notes = tmp_path / "pack" / "docs" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("tried twice")
    loaded = load_model_pack(tiny_pack(tmp_path / "pack"))
    assert notes.exists()
    assert "docs/notes.txt" not in loaded.files
    assert set(loaded.files) == set(load_model_pack(None).files)


def test_a_network_that_sees_differences_comes_back_as_one(tmp_path: Path) -> None:
    """The shape of the network travels with it."""
    torch.manual_seed(1)
    net = SpaceTimeNet(replace(TINY, difference_input=True))
    path = write_pack(tmp_path / "pack", LungNet((8, 8, 8)), net, tiny_description())
    assert load_model_pack(path).load_space_time_net("cpu").config.difference_input


def test_a_pack_from_before_the_network_saw_differences_has_them_off(pack: Path) -> None:
    """Its description does not know the key."""
    shape = json.loads((pack / "stnet.json").read_text())["space_time"]
    change_description(pack, space_time={key: value for key, value in shape.items() if key != "difference_input"})
    assert not load_model_pack(pack).space_time.difference_input


def test_weights_of_another_shape_are_refused(pack: Path) -> None:
    """The description and the weights must belong together."""
    change_description(pack, lungs={"widths": [8, 16, 8]})
    with pytest.raises(ModelPackError, match="do not fit the network"):
        load_model_pack(pack).load_lung_net("cpu")


def test_a_file_outside_the_pack_is_refused(pack: Path) -> None:
    """A description cannot point elsewhere."""
    files = json.loads((pack / "stnet.json").read_text())["files"]
    change_description(pack, files={**files, "../../etc/passwd": "0" * 64})
    with pytest.raises(ModelPackError, match=r"lacks its file \.\./"):
        load_model_pack(pack)


def test_the_engine_knows_how_far_apart_slices_may_lie(pack: Path) -> None:
    """Of the pack's own lesion network."""
    contract = json.loads((pack / "stnet.json").read_text())["input"]
    change_description(pack, input=contract | {"thickest_slice_spacing_mm": 4.0})
    assert build_engine(load_model_pack(pack), torch.device("cpu")).thickest_slice_spacing_mm == 4.0


def test_the_bundled_pack_is_small_and_says_that_it_is_synthetic() -> None:
    """The wheel carries demo weights of at most 20 MB."""
    loaded = load_model_pack(None)
    assert loaded.synthetic_training_only
    assert sum(path.stat().st_size for path in BUNDLED_PACK.rglob("*") if path.is_file()) <= 20e6
    assert loaded.training_data


def change_description(pack: Path, **changes: object) -> None:
    """Rewrites values of `stnet.json`."""
    path = pack / "stnet.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
