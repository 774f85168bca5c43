"""Lesions found by Space-Time-Net: studies onto the grid of the network, its answers back with their place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.boxes import decode_boxes
from pipeline.model_input import (
    InputContract,
    averaged_slabs,
    model_grid_size,
    resampled_in_plane,
    slices_per_slab,
    stacked_channels,
)
from pipeline.model_pack import Thresholds
from pipeline.plug_points import Detection, SliceFinding, StudyDetection, StudyOnGrid
from pipeline.space_time import SpaceTimeNet, StudyOutput
from pipeline.study import Float64Array, Grid, UInt8Array

CPU = torch.device("cpu")

AIR_HU = -1000.0
SLICES_PER_CHUNK = 8
"""Full-size features of so many slices are in memory at a time; the answer does not depend on it."""

SLICES_PER_CUDA_CHUNK = 32
"""On a GPU, where starting many small convolutions may take longer than the convolutions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGrid:
    """Which part of a study the network sees, and at what size."""

    slices: slice
    """Of the study."""
    slab: int
    """Slices averaged into one."""
    size: tuple[int, int]
    """Rows and columns of a whole slice at the network's pixel size."""
    rows: slice
    columns: slice
    """Of such a slice; they may reach beyond it, into air."""


class SpaceTimeDetector:
    """`LesionDetector` around Space-Time-Net."""

    def __init__(
        self, net: SpaceTimeNet, *, contract: InputContract, thresholds: Thresholds, device: torch.device = CPU
    ) -> None:
        """The network lies on the device."""
        self._net = net
        self._device = device
        self._chunk_slices = SLICES_PER_CUDA_CHUNK if device.type == "cuda" else SLICES_PER_CHUNK
        self._contract = contract
        self._thresholds = thresholds

    def detect(self, studies: Sequence[StudyOnGrid], grid: Grid, gaps_days: Sequence[float]) -> Detection:
        """See `LesionDetector.detect`."""
        place = model_grid(studies[-1].lung_mask, grid.spacing_mm, self._contract)
        sequence, valid = self._inputs(studies, place, grid)
        with torch.inference_mode():
            outputs = self._net.stream(
                sequence,
                valid,
                torch.tensor(list(gaps_days), dtype=torch.float32),
                chunk_slices=self._chunk_slices,
            )
            found = tuple(self._study_detection(output) for output in outputs)
        return Detection(grid=grid_of_model(place, grid), studies=found)

    def _inputs(self, studies: Sequence[StudyOnGrid], place: ModelGrid, grid: Grid) -> tuple[Tensor, Tensor]:
        """Channels (T, Z, 4, Y, X) and validity (T, Z, 1, Y, X) of all studies."""
        slices, rows, columns = grid_of_model(place, grid).shape
        sequence = torch.empty((len(studies), slices, len(self._contract.channels), rows, columns))
        valid = torch.empty((len(studies), slices, 1, rows, columns), dtype=torch.bool)
        for number, study in enumerate(studies):
            volume_hu = self._on_model_grid(torch.from_numpy(study.volume_hu[place.slices]), place, grid, AIR_HU)
            lungs = self._on_model_grid(torch.from_numpy(study.lung_mask[place.slices] > 0), place, grid, 0.0)
            shown = self._on_model_grid(torch.from_numpy(study.valid[place.slices]), place, grid, 0.0)
            sequence[number] = stacked_channels(volume_hu.numpy(), (lungs >= 0.5).numpy())
            valid[number] = (shown >= 0.5).unsqueeze(1)
        return sequence, valid

    def _on_model_grid(self, slices: Tensor, place: ModelGrid, grid: Grid, outside: float) -> Tensor:
        """(Z, Y, X) averaged in slabs, resampled, cut out and padded; float32 on the CPU, some slabs at a time."""
        _, row_mm, column_mm = grid.spacing_mm
        padding = [*_overhang(place.columns, place.size[1]), *_overhang(place.rows, place.size[0])]
        parts: list[Tensor] = []
        for part in torch.split(slices, place.slab * SLICES_PER_CHUNK):
            slabs = averaged_slabs(part.to(self._device), place.slab)
            whole = resampled_in_plane(slabs, (row_mm, column_mm), self._contract)
            parts.append(functional.pad(whole, padding, value=outside).cpu())
        return torch.cat(parts)

    def _study_detection(self, output: StudyOutput) -> StudyDetection:
        probabilities = output.mask_logits.float().softmax(dim=1)[:, 1:]
        upsampled = functional.interpolate(probabilities, scale_factor=2.0, mode="bilinear", align_corners=False).cpu()
        boxes = decode_boxes(
            output.box_maps,
            score_threshold=self._thresholds.box_score,
            iou_threshold=self._thresholds.box_overlap,
        )
        findings = tuple(
            SliceFinding(z=z, box=(y0 - 0.5, x0 - 0.5, y1 - 0.5, x1 - 0.5), score=score)
            for z, found in enumerate(boxes)
            for (x0, y0, x1, y1), score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True)
        )
        return StudyDetection(
            lesion_probability=upsampled.sum(dim=1).numpy(),
            consolidation_probability=upsampled[:, 1].numpy(),
            slice_findings=findings,
            slice_logits=output.slice_logits.float().cpu().numpy(),
        )


def model_grid(lung_mask: UInt8Array, spacing_mm: tuple[float, float, float], contract: InputContract) -> ModelGrid:
    """The lungs with the contract's margin, one more slab at each end, sides a multiple of the contract's."""
    slab = slices_per_slab(spacing_mm[0], contract)
    size = model_grid_size(lung_mask.shape[1:], (spacing_mm[1], spacing_mm[2]), contract)
    filled = [np.flatnonzero((lung_mask > 0).any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    low, high = int(filled[0][0]), int(filled[0][-1]) + 1
    rows, columns = (
        _window((int(found[0]), int(found[-1]) + 1), whole / count, contract)
        for found, whole, count in zip(filled[1:], size, lung_mask.shape[1:], strict=True)
    )
    return ModelGrid(
        slices=slice(max(0, low - slab), min(len(lung_mask), high + slab)),
        slab=slab,
        size=size,
        rows=rows,
        columns=columns,
    )


def grid_of_model(place: ModelGrid, grid: Grid) -> Grid:
    """Where the voxels of the network's answers lie."""
    scale = [1.0, *(count / whole for count, whole in zip(grid.shape[1:], place.size, strict=True))]
    affine = np.eye(4)
    affine[0, 0] = place.slab
    affine[0, 3] = place.slices.start + (place.slab - 1) / 2
    for axis, window in ((1, place.rows), (2, place.columns)):
        affine[axis, axis] = scale[axis]
        affine[axis, 3] = (window.start + 0.5) * scale[axis] - 0.5
    slabs = -((place.slices.start - place.slices.stop) // place.slab)
    shape = (slabs, place.rows.stop - place.rows.start, place.columns.stop - place.columns.start)
    placed: Float64Array = grid.affine_lps_from_kji @ affine
    return Grid(shape=shape, affine_lps_from_kji=placed)


def _window(lungs: tuple[int, int], scale: float, contract: InputContract) -> slice:
    """Pixels of the network's size around lungs that span pixels of the study, as many as the network likes."""
    margin = round(contract.margin_mm / contract.pixel_mm)
    low, high = int(np.floor(lungs[0] * scale)) - margin, int(np.ceil(lungs[1] * scale)) + margin
    missing = -(high - low) % contract.size_multiple
    return slice(low - missing // 2, high + missing - missing // 2)


def _overhang(window: slice, size: int) -> tuple[int, int]:
    """How far the window reaches beyond an axis before and after; negative where it cuts."""
    return -window.start, window.stop - size
