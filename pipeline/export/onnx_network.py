"""The exported graphs run by ONNX Runtime, with the loops that the graphs leave out."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.boxes import BoxMaps
from pipeline.export.onnx_files import DESCRIPTION, LUNGS
from pipeline.space_time import StudyOutput
from pipeline.study import Float32Array

Maps = Float32Array


class OnnxGraphs:
    """The sessions of a folder of graphs, made when they are first needed."""

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """`threads` on the CPU; 0 is as many as there are cores."""
        self._folder = folder
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        self.description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))

    def run(self, name: str, **inputs: Maps) -> list[Maps]:
        """The outputs of a graph."""
        if name not in self._sessions:
            self._sessions[name] = onnxruntime.InferenceSession(
                str(self._folder / f"{name}.onnx"), self._options, providers=["CPUExecutionProvider"]
            )
        outputs: list[Maps] = self._sessions[name].run(
            None, {key: np.ascontiguousarray(value, dtype=np.float32) for key, value in inputs.items()}
        )
        return outputs


class OnnxLungNet:
    """Stands in for `LungNet`."""

    def __init__(self, graphs: OnnxGraphs) -> None:
        """Runs the graph `lungs`."""
        self._graphs = graphs
        self.neighbour_mm = float(graphs.description["lungs"]["neighbour_mm"])

    def __call__(self, slices: Tensor) -> Tensor:
        """See `LungNet.forward`."""
        return torch.from_numpy(self._graphs.run(LUNGS, slices=slices.numpy())[0])


class OnnxSpaceTimeNet:
    """Stands in for `SpaceTimeNet` in the detector."""

    def __init__(self, graphs: OnnxGraphs) -> None:
        """Runs all graphs but `lungs`."""
        self._graphs = graphs
        self._hidden = int(graphs.description["space_time"]["hidden"])
        self._known = set(graphs.description["graphs"])

    def stream(
        self, sequence: Tensor, valid: Tensor, gap_days: Tensor, *, chunk_slices: int = 16
    ) -> tuple[StudyOutput, ...]:
        """See `SpaceTimeNet.stream`."""
        gaps = np.concatenate([[0.0], gap_days.numpy()[1:]]).astype(np.float32)
        spaces = [self._space(study, chunk_slices) for study in _masked(sequence, valid)]
        known = valid.float().numpy()
        time_1 = self._time("time_1", [study["features"] for study in spaces], _pooled(known, 16), gaps)
        mixed = [
            self._graphs.run("between", first=study["first"], third=study["third"], time_1=one)[0]
            for study, one in zip(spaces, time_1, strict=True)
        ]
        time_2 = self._time("time_2", mixed, _pooled(known, 8), gaps)
        return tuple(
            _output(self._graphs.run("heads", fine=study["fine"], time_1=one, time_2=two))
            for study, one, two in zip(spaces, time_1, time_2, strict=True)
        )

    def _space(self, slices: Maps, chunk_slices: int) -> dict[str, Maps]:
        """One study through encoder and spatial layers."""
        starts = range(0, len(slices), chunk_slices)
        chunks = [self._graphs.run("encoder", slices=slices[start : start + chunk_slices]) for start in starts]
        fine, third, fourth, fifth, gates = (np.concatenate(level) for level in zip(*chunks, strict=True))
        run = self._both_ways("space_1_step", gates)
        first, mixed, gates = self._graphs.run("space_1_join", fourth=fourth, fifth=fifth, run=run)
        run = self._both_ways("space_2_step", gates)
        features = self._graphs.run("space_2_join", first=first, mixed=mixed, run=run)[0]
        return {"fine": fine, "third": third, "first": first, "features": features}

    def _both_ways(self, step: str, gates: Maps) -> Maps:
        """States (Z, 2 * hidden, h, w) of gates (Z, 2, 3, hidden, h, w): up the slices, and down."""
        towards = np.stack([gates[:, 0], gates[::-1, 1]], axis=1)
        state = np.zeros((1, 2, self._hidden, *gates.shape[-2:]), np.float32)
        states: list[Maps] = []
        for one in towards:
            state = self._graphs.run(step, gates=one[None], state=state)[0]
            states.append(state[0])
        run = np.stack(states)
        return np.concatenate([run[:, 0], run[::-1, 1]], axis=1)

    def _time(self, layer: str, features: list[Maps], valid: Maps, gaps: NDArray[np.float32]) -> list[Maps]:
        """A time layer over the studies, the oldest first."""
        if f"{layer}_change" in self._known:
            features = [features[0], *self._changed(layer, features, valid)]
        runs = self._recurrence(f"{layer}_step", features, list(valid), list(gaps))
        if f"{layer}_back_step" in self._known:
            turned = [np.float32(0.0), *gaps[:0:-1]]
            backward = self._recurrence(f"{layer}_back_step", features[::-1], list(valid[::-1]), turned)
            runs = [np.concatenate(pair, axis=1) for pair in zip(runs, backward[::-1], strict=True)]
        return [
            self._graphs.run(f"{layer}_join", features=one, run=run)[0] for one, run in zip(features, runs, strict=True)
        ]

    def _changed(self, layer: str, features: list[Maps], valid: Maps) -> list[Maps]:
        """All studies but the first, with what changed since the one before."""
        return [
            self._graphs.run(f"{layer}_change", features=now, before=before, valid=valid[index] * valid[index - 1])[0]
            for index, (before, now) in enumerate(pairwise(features), start=1)
        ]

    def _recurrence(self, step: str, features: list[Maps], valid: list[Maps], gaps: list[np.float32]) -> list[Maps]:
        state = np.zeros((len(features[0]), self._hidden, *features[0].shape[-2:]), np.float32)
        states: list[Maps] = []
        for one, known, gap in zip(features, valid, gaps, strict=True):
            days = np.full(len(one), gap, np.float32)
            state = self._graphs.run(step, features=one, valid=known, gap_days=days, state=state)[0]
            states.append(state)
        return states


def _masked(sequence: Tensor, valid: Tensor) -> list[Maps]:
    """Each study (Z, 4, H, W) without what its slices, or their neighbours, do not show."""
    below = torch.cat([valid[:, :1], valid[:, :-1]], dim=1)
    above = torch.cat([valid[:, 1:], valid[:, -1:]], dim=1)
    own = valid.expand(-1, -1, sequence.shape[2] - 3, -1, -1)
    known = torch.cat([below, valid, above, own], dim=2)
    return list((sequence * known).float().numpy())


def _pooled(valid: Maps, stride: int) -> Maps:
    """(T, Z, 1, H, W) to the share of each cell that is valid."""
    high, wide = valid.shape[-2] // stride, valid.shape[-1] // stride
    pooled: Maps = valid.reshape(*valid.shape[:3], high, stride, wide, stride).mean(axis=(4, 6), dtype=np.float32)
    return pooled


def _output(heads: list[Maps]) -> StudyOutput:
    mask_logits, slice_logits, *levels = (torch.from_numpy(values) for values in heads)
    return StudyOutput(
        mask_logits=mask_logits,
        box_maps=tuple(
            BoxMaps(class_logits=levels[i], distances=levels[i + 1], quality_logits=levels[i + 2]) for i in (0, 3, 6)
        ),
        slice_logits=slice_logits,
    )
