"""Writes the networks of a model pack as ONNX graphs."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from torch.export import Dim

from pipeline.export.graphs import Graph, network_graphs
from pipeline.lungs_net import INPUT_PIXELS, LungNet
from pipeline.model_pack import ModelPack

OPSET = 20
"""Of the ONNX standard operators; ONNX Runtime reads it since 1.17."""

LUNGS = "lungs"
DESCRIPTION = "graphs.json"


def export_onnx(pack: ModelPack, folder: Path) -> tuple[Path, ...]:
    """Both networks as graphs, with `graphs.json` that says how they belong together; gives the files.

    Needs the packages of the extra `onnx`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    graphs = {**network_graphs(pack.load_space_time_net("cpu")), LUNGS: _lungs_graph(pack.load_lung_net("cpu"))}
    files = tuple(write_graph(graph, folder / f"{name}.onnx") for name, graph in graphs.items())
    description = {
        "model_pack": {"name": pack.name, "version": pack.version, "sha256": pack.sha256},
        "space_time": asdict(pack.space_time),
        "input": asdict(pack.contract),
        "lungs": {"neighbour_mm": pack.lung_neighbour_mm},
        "graphs": {
            name: {"file": f"{name}.onnx", "inputs": list(graph.inputs), "outputs": list(graph.outputs)}
            for name, graph in graphs.items()
        },
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    return (*files, folder / DESCRIPTION)


def write_graph(graph: Graph, path: Path) -> Path:
    """One graph with its weights."""
    with _quiet_exporter(), torch.inference_mode(mode=False), torch.no_grad():
        program = torch.onnx.export(
            graph.module,
            tuple(graph.inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=tuple(graph.shapes.values()),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            verbose=False,
        )
    if program is None:
        reason = "torch.onnx.export gave no program"
        raise RuntimeError(reason)
    program.save(path, external_data=False)
    return path


def _lungs_graph(net: LungNet) -> Graph:
    return Graph(
        module=net,
        inputs={"slices": torch.zeros(2, net.slices_seen, INPUT_PIXELS, INPUT_PIXELS)},
        shapes={"slices": {0: Dim("slices", min=1, max=4096)}},
        outputs=("logits",),
    )


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter warns of its own parts that will go, and logs each step."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
