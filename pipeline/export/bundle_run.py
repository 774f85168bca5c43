"""What a MONAI bundle runs: the networks of a model pack on one volume, read from and written to a file."""

from pathlib import Path
from typing import TypeVar

import numpy as np
import SimpleITK
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from pipeline.detect import SpaceTimeDetector
from pipeline.lesions import lesion_maps
from pipeline.lungs import NetworkLungSegmenter
from pipeline.lungs_net import LungNet
from pipeline.model_input import InputContract
from pipeline.model_pack import Thresholds
from pipeline.plug_points import StudyOnGrid
from pipeline.space_time import SpaceTimeConfig, SpaceTimeNet
from pipeline.study import AIR_HU, Grid, Int16Array, UInt8Array

Net = TypeVar("Net", bound=nn.Module)

GROUND_GLASS, CONSOLIDATION = 1, 2
"""Values of the written mask."""


def load_lung_net(widths: list[int], neighbour_mm: float, weights: str, device: str) -> LungNet:
    """The lung network with its weights."""
    return _ready(LungNet(tuple(widths), neighbour_mm=neighbour_mm), weights, device)


def load_space_time_net(config: SpaceTimeConfig, weights: str, device: str) -> SpaceTimeNet:
    """Space-Time-Net with its weights."""
    return _ready(SpaceTimeNet(config), weights, device)


class StudyNet(nn.Module):
    """Space-Time-Net for one study alone, in the shape that MONAI's tools expect of a network."""

    def __init__(self, net: SpaceTimeNet) -> None:
        """Shares the weights."""
        super().__init__()
        self.net = net

    def forward(self, slices: Tensor) -> Tensor:
        """All slices of a study (Z, 4, H, W) to probabilities (Z, 3, H, W): background, ground-glass, consolidation."""
        valid = torch.ones_like(slices[:, :1])
        (output,) = self.net(slices.unsqueeze(0), valid.unsqueeze(0), torch.zeros(1, device=slices.device))
        probabilities = output.mask_logits.softmax(dim=1)
        return functional.interpolate(probabilities, scale_factor=2.0, mode="bilinear", align_corners=False)


class Predictor:
    """Lungs, then lesions, of a chest CT volume in HU."""

    def __init__(
        self, lung_net: LungNet, space_time_net: SpaceTimeNet, contract: InputContract, thresholds: Thresholds
    ) -> None:
        """Both networks lie on one device."""
        device = next(lung_net.parameters()).device
        self._segmenter = NetworkLungSegmenter(lung_net, device)
        self._detector = SpaceTimeDetector(space_time_net, contract=contract, thresholds=thresholds, device=device)
        self._threshold = thresholds.lesion_probability

    def __call__(self, image: str, output: str) -> dict[str, float]:
        """Writes the lesion mask of a volume, gives the volumes in ml.

        Args:
            image: A file that SimpleITK reads, for instance NIfTI or NRRD.
            output: Takes the mask in patient order: 0, `GROUND_GLASS`, `CONSOLIDATION`.

        Raises:
            ValueError: There are no lungs in the volume.
        """
        volume = SimpleITK.DICOMOrient(SimpleITK.ReadImage(image), "LPS")
        volume_hu = _hu_of(volume)
        grid = _grid_of(volume)
        lungs = self._segmenter.segment(volume_hu, grid.spacing_mm)
        if not lungs.any():
            reason = f"no lungs were found in {Path(image).name}"
            raise ValueError(reason)
        mask = self._lesions(volume_hu, lungs, grid)
        _write(mask, volume, output)
        amounts = {"lungs": lungs > 0, "ground_glass": mask == GROUND_GLASS, "consolidation": mask == CONSOLIDATION}
        return {f"{name}_ml": float(np.count_nonzero(part)) * grid.voxel_volume_ml for name, part in amounts.items()}

    def _lesions(self, volume_hu: Int16Array, lungs: UInt8Array, grid: Grid) -> UInt8Array:
        study = StudyOnGrid(volume_hu=volume_hu, lung_mask=lungs, valid=np.ones(lungs.shape, np.bool_))
        detection = self._detector.detect([study], grid, [0.0])
        maps = lesion_maps(detection, detection.studies[0], lungs, grid, threshold=self._threshold)
        mask: UInt8Array = np.where(maps.consolidation, CONSOLIDATION, maps.lesion * GROUND_GLASS).astype(np.uint8)
        return mask


def _ready(net: Net, weights: str, device: str) -> Net:
    net.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    return net.to(device).eval().requires_grad_(requires_grad=False)


def _hu_of(image: SimpleITK.Image) -> Int16Array:
    """As the node reads a volume: padding below air, such as -3024 outside of the field of view, is air."""
    values = np.nan_to_num(SimpleITK.GetArrayFromImage(image), nan=AIR_HU)
    volume_hu: Int16Array = np.clip(np.rint(values), AIR_HU, np.iinfo(np.int16).max).astype(np.int16)
    return volume_hu


def _grid_of(image: SimpleITK.Image) -> Grid:
    """Where the voxels of an image in patient order lie."""
    columns, rows, slices = image.GetSize()
    direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = direction[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return Grid(shape=(slices, rows, columns), affine_lps_from_kji=affine)


def _write(mask: UInt8Array, like: SimpleITK.Image, path: str) -> None:
    image = SimpleITK.GetImageFromArray(mask)
    image.CopyInformation(like)
    SimpleITK.WriteImage(image, path)
