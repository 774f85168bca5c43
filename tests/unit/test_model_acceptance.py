"""A model pack is tried out before it is used: it must say of its golden case what it said when it was written."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from builders.packs import tiny_pack
from pipeline.acceptance import accept_pack
from pipeline.errors import ModelPackError
from pipeline.model_pack import GOLDEN_EXPECTATION, SPACE_TIME_WEIGHTS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack with tiny networks that nobody changes."""
    return tiny_pack(tmp_path_factory.mktemp("written") / "pack")


@pytest.fixture
def pack(written: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(written, tmp_path / "pack"))


def test_a_whole_pack_is_accepted(pack: Path) -> None:
    """Its golden case was run, and the time taken."""
    accepted = accept_pack(pack, CPU)
    assert accepted.pack.name == "tiny"
    assert accepted.dry_run_s is not None


def test_the_bundled_pack_is_accepted() -> None:
    """What comes with the package can be used."""
    assert accept_pack(None, CPU).pack.name


def test_weights_that_say_something_else_are_refused(pack: Path) -> None:
    """Even where somebody made all hashes fit."""
    weights = load_file(pack / SPACE_TIME_WEIGHTS)
    weights["slice_head.logits.bias"] += 0.1
    save_file(weights, pack / SPACE_TIME_WEIGHTS)
    rehash(pack)
    with pytest.raises(ModelPackError, match=r"golden case.*slice logit .* instead of .* \(tolerance 0\.02\)"):
        accept_pack(pack, CPU)


def test_weights_that_give_no_numbers_are_refused(pack: Path) -> None:
    """Not a number is never within a tolerance."""
    weights = load_file(pack / SPACE_TIME_WEIGHTS)
    weights["slice_head.logits.bias"][:] = float("nan")
    save_file(weights, pack / SPACE_TIME_WEIGHTS)
    rehash(pack)
    with pytest.raises(ModelPackError, match="slice logit nan"):
        accept_pack(pack, CPU)


def test_another_input_contract_is_refused(pack: Path) -> None:
    """The same weights on another grid are another detector."""
    description = json.loads((pack / "stnet.json").read_text())
    description["input"]["pixel_mm"] = 1.0
    (pack / "stnet.json").write_text(json.dumps(description))
    with pytest.raises(ModelPackError, match="golden case"):
        accept_pack(pack, CPU)


@pytest.mark.parametrize("text", ["{}", "no", '{"figures": {}, "tolerance": {}}'])
def test_an_unreadable_expectation_is_refused(pack: Path, text: str) -> None:
    """Without it the pack cannot be tried out."""
    (pack / GOLDEN_EXPECTATION).write_text(text)
    rehash(pack)
    with pytest.raises(ModelPackError, match="golden case of the model pack cannot be read"):
        accept_pack(pack, CPU)


def rehash(pack: Path) -> None:
    """Names the files as they are now."""
    path = pack / "stnet.json"
    description = json.loads(path.read_text())
    description["files"] = {
        name: hashlib.sha256((pack / name).read_bytes()).hexdigest() for name in description["files"]
    }
    path.write_text(json.dumps(description))
