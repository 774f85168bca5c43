"""The exported ONNX graphs, run by ONNX Runtime, say what the networks say."""

import json
from dataclasses import replace

import onnx
import pytest
import torch
from torch import Tensor, nn

from builders.networks import TINY, random_study
from builders.packs import tiny_description
from pipeline.export.onnx_files import export_onnx
from pipeline.export.onnx_network import OnnxGraphs, OnnxLungNet, OnnxSpaceTimeNet
from pipeline.lungs_net import LungNet
from pipeline.model_pack import ModelPack, load_model_pack
from pipeline.space_time import SpaceTimeNet, StudyOutput
from pipeline.training.pack_writer import write_pack

LARGEST_DIFFERENCE = 1e-4

pytestmark = pytest.mark.slow
"""The exporter takes some seconds for each of sixteen graphs."""


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> ModelPack:
    """Tiny networks that use everything a network may use."""
    torch.manual_seed(5)
    net = SpaceTimeNet(replace(TINY, bidirectional_time=True, difference_input=True))
    for layer in (net.time_1, net.time_2):
        assert layer.difference is not None
        nn.init.normal_(layer.difference.weight, std=0.3)
    folder = tmp_path_factory.mktemp("onnx") / "pack"
    return load_model_pack(write_pack(folder, LungNet((8, 8, 8), neighbour_mm=10.0), net, tiny_description()))


@pytest.fixture(scope="module")
def graphs(pack: ModelPack) -> OnnxGraphs:
    """Of that pack."""
    export_onnx(pack, pack.folder.parent / "graphs")
    return OnnxGraphs(pack.folder.parent / "graphs", threads=1)


def tensors(output: StudyOutput) -> list[Tensor]:
    """Everything that a network says of one study."""
    maps = [part for level in output.box_maps for part in (level.class_logits, level.distances, level.quality_logits)]
    return [output.mask_logits, output.slice_logits, *maps]


@pytest.mark.parametrize(("studies", "slices", "height", "width"), [(1, 1, 32, 32), (3, 7, 64, 96), (2, 5, 96, 32)])
def test_the_graphs_say_what_the_network_says(
    pack: ModelPack, graphs: OnnxGraphs, studies: int, slices: int, height: int, width: int
) -> None:
    """For any number of studies and slices, any size, with places that a study does not show."""
    sequence = torch.stack([random_study(n, slices=slices, height=height, width=width) for n in range(studies)])
    valid = torch.ones(studies, slices, 1, height, width)
    valid[0, :, :, : height // 2] = 0.0
    gaps = torch.tensor([0.0, 4.0, 30.0][:studies])
    with torch.inference_mode():
        expected = pack.load_space_time_net("cpu").stream(sequence, valid, gaps, chunk_slices=3)
    found = OnnxSpaceTimeNet(graphs).stream(sequence, valid, gaps, chunk_slices=3)
    pairs = [pair for both in zip(found, expected, strict=True) for pair in zip(*map(tensors, both), strict=True)]
    assert len(pairs) == 11 * studies
    assert max(float((one - other).abs().max()) for one, other in pairs) < LARGEST_DIFFERENCE


def test_the_lung_graph_says_what_the_lung_network_says(pack: ModelPack, graphs: OnnxGraphs) -> None:
    """For any number of slices."""
    slices = torch.rand(3, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = pack.load_lung_net("cpu")(slices)
    assert OnnxLungNet(graphs).neighbour_mm == 10.0
    assert float((OnnxLungNet(graphs)(slices) - expected).abs().max()) < LARGEST_DIFFERENCE


def test_every_graph_is_valid_and_described(pack: ModelPack, graphs: OnnxGraphs) -> None:
    """ONNX's own checker finds nothing; the description names inputs, outputs and the pack."""
    folder = pack.folder.parent / "graphs"
    described = json.loads((folder / "graphs.json").read_text())
    assert described["model_pack"]["sha256"] == pack.sha256
    assert {path.stem for path in folder.glob("*.onnx")} == set(described["graphs"])
    for name, entry in described["graphs"].items():
        model = onnx.load(folder / entry["file"])
        onnx.checker.check_model(model, full_check=True)
        assert [value.name for value in model.graph.input] == entry["inputs"], name
        assert [value.name for value in model.graph.output] == entry["outputs"], name
