"""A model pack is used whole and unchanged, or not at all."""

import json
from pathlib import Path

import pytest
import torch

from builders.networks import TINY
from pipeline.errors import ModelPackError
from pipeline.lungs_net import LungNet
from pipeline.model_input import InputContract
from pipeline.model_pack import (
    BUNDLED_PACK,
    LUNG_WEIGHTS,
    SPACE_TIME_WEIGHTS,
    Thresholds,
    TrainingData,
    load_model_pack,
)
from pipeline.patient_score import PatientScoreWeights
from pipeline.space_time import SpaceTimeNet
from pipeline.training.pack_writer import PackDescription, write_pack


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack with tiny networks."""
    torch.manual_seed(1)
    thresholds = Thresholds(
        lesion_probability=0.4,
        slice_probability=0.6,
        box_score=0.3,
        box_overlap=0.5,
        smallest_lesion_ml=0.1,
        patient_score=0.5,
    )
    description = PackDescription(
        name="tiny",
        version="1.2.3",
        contract=InputContract(pixel_mm=2.0),
        thresholds=thresholds,
        patient_score=PatientScoreWeights(bias=0.0, slice_weight=1.0, involvement_weight=1.0),
        training_data=(TrainingData(name="nothing", licence="none", attribution="nobody"),),
        model_card="# Tiny\n",
        licence="none\n",
    )
    return write_pack(tmp_path / "pack", LungNet((8, 8, 8)), SpaceTimeNet(TINY), description)


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
    change_description(pack, format=2)
    with pytest.raises(ModelPackError, match="format 2 is not 1"):
        load_model_pack(pack)


def test_a_pack_without_thresholds_is_refused(pack: Path) -> None:
    """The error names what is missing."""
    change_description(pack, thresholds={})
    with pytest.raises(ModelPackError, match="lesion_probability"):
        load_model_pack(pack)


def test_weights_of_another_shape_are_refused(pack: Path) -> None:
    """The description and the weights must belong together."""
    change_description(pack, lungs={"widths": [8, 16, 8]})
    with pytest.raises(ModelPackError, match="do not fit the network"):
        load_model_pack(pack).load_lung_net("cpu")


def test_a_file_outside_the_pack_is_refused(pack: Path) -> None:
    """A description cannot point elsewhere."""
    files = json.loads((pack / "stnet.json").read_text())["files"]
    change_description(pack, files={**files, "../../etc/passwd": "0"})
    with pytest.raises(ModelPackError, match=r"lacks its file \.\./"):
        load_model_pack(pack)


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
