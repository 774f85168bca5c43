"""The golden case: a small phantom kept in a model pack with what its networks said of it when the pack was written.

    golden/phantom.npz      an earlier and a current study, on one grid, with the true lungs
    golden/expected.json    the figures, with how far each may be off

A pack whose networks say something else here (other weights, another input contract, another torch that computes
something else) is not the pack that was measured.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from pipeline.detect import SpaceTimeDetector
from pipeline.errors import ModelPackError
from pipeline.lesions import lesion_maps
from pipeline.lungs_net import FIELD_OF_VIEW_MM, INPUT_PIXELS, LungNet, lung_net_input, with_neighbours
from pipeline.model_pack import GOLDEN_CASE, GOLDEN_EXPECTATION, DecisionFlips, Thresholds
from pipeline.plug_points import Detection, StudyOnGrid
from pipeline.precision import running_in
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray, Float32Array, Grid, Int16Array, UInt8Array

_LUNG_SLICE_STEP = 3
"""The lung network looks at every third slice."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GoldenCase:
    """Two studies of one phantom patient, arrays (study, z, y, x) in patient order, the older study first."""

    volumes_hu: Int16Array
    lung_masks: UInt8Array
    spacing_mm: tuple[float, float, float]
    gap_days: float

    @property
    def grid(self) -> Grid:
        """Of both studies."""
        affine = np.eye(4)
        affine[:3, :3] = np.fliplr(np.diag(self.spacing_mm[::-1]))
        slices, rows, columns = self.volumes_hu.shape[1:]
        return Grid(shape=(slices, rows, columns), affine_lps_from_kji=affine)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GoldenNetworks:
    """Both networks of a pack, on one device."""

    lung_net: LungNet
    detector: SpaceTimeDetector
    device: torch.device


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenTolerance:
    """How far each figure may be off: a little more than other processors and GPUs differ in float32."""

    lung_ml: float = 5.0
    probability_mean: float = 5e-4
    slice_logit: float = 0.02
    boxes: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenFigures:
    """What the networks of a pack say of the golden case."""

    right_lung_ml: float
    left_lung_ml: float
    """Of the slices that the lung network is shown."""
    lesion_probability_means: tuple[float, ...]
    """Per study, the older first."""
    consolidation_probability_means: tuple[float, ...]
    slice_logits: tuple[float, ...]
    """Of every slice of the current study."""
    boxes: int
    """On all slices of the current study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenExpectation:
    """The content of `golden/expected.json`."""

    figures: GoldenFigures
    tolerance: GoldenTolerance


def read_golden(folder: Path) -> tuple[GoldenCase, GoldenExpectation]:
    """The golden case in the folder of a pack, with what is expected of it.

    Raises:
        ModelPackError: There is none, or it cannot be read.
    """
    try:
        expectation = TypeAdapter(GoldenExpectation).validate_json((folder / GOLDEN_EXPECTATION).read_bytes())
        with np.load(folder / GOLDEN_CASE, allow_pickle=False) as arrays:
            z_mm, y_mm, x_mm = arrays["spacing_mm"].tolist()
            case = GoldenCase(
                volumes_hu=arrays["volumes_hu"].astype(np.int16, casting="safe"),
                lung_masks=arrays["lung_masks"].astype(np.uint8, casting="safe"),
                spacing_mm=(z_mm, y_mm, x_mm),
                gap_days=float(arrays["gap_days"]),
            )
    except (OSError, KeyError, TypeError, ValueError, ValidationError) as exc:
        reason = "the golden case of the model pack cannot be read; install a model pack made for this version"
        raise ModelPackError(reason) from exc
    return case, expectation


def golden_figures(networks: GoldenNetworks, case: GoldenCase) -> GoldenFigures:
    """What the networks say of a case, in float32."""
    with torch.inference_mode(), running_in(torch.float32, networks.device):
        right_ml, left_ml = _lung_volumes_ml(networks, case)
        studies = _detected(networks.detector, case).studies
    return GoldenFigures(
        right_lung_ml=right_ml,
        left_lung_ml=left_ml,
        lesion_probability_means=tuple(_mean(study.lesion_probability) for study in studies),
        consolidation_probability_means=tuple(_mean(study.consolidation_probability) for study in studies),
        slice_logits=tuple(round(float(logit), 5) for logit in studies[-1].slice_logits),
        boxes=len(studies[-1].slice_findings),
    )


def decision_flips(networks: GoldenNetworks, case: GoldenCase, thresholds: Thresholds) -> DecisionFlips:
    """How many decisions about a case bfloat16 turns."""
    exact, coarse = (_decisions(networks, case, thresholds, dtype) for dtype in (torch.float32, torch.bfloat16))
    lungs_flipped, lesions_flipped, slices_flipped = (
        int(np.count_nonzero(one != other)) for one, other in zip(exact, coarse, strict=True)
    )
    lungs, lesions, slices = exact
    return DecisionFlips(
        lung_pixels=int(np.count_nonzero((lungs > 0) | (coarse[0] > 0))),
        lung_pixel_flips=lungs_flipped,
        lesion_voxels=lesions.size,
        lesion_voxel_flips=lesions_flipped,
        slices=slices.size,
        slice_flips=slices_flipped,
    )


def deviations(found: GoldenFigures, expectation: GoldenExpectation) -> tuple[str, ...]:
    """What is off by more than the tolerance, each in a few words; empty when all is as it was."""
    expected, tolerance = expectation.figures, expectation.tolerance
    compared = [
        ("right lung in ml", (found.right_lung_ml,), (expected.right_lung_ml,), tolerance.lung_ml),
        ("left lung in ml", (found.left_lung_ml,), (expected.left_lung_ml,), tolerance.lung_ml),
        (
            "mean lesion probability",
            found.lesion_probability_means,
            expected.lesion_probability_means,
            tolerance.probability_mean,
        ),
        (
            "mean consolidation probability",
            found.consolidation_probability_means,
            expected.consolidation_probability_means,
            tolerance.probability_mean,
        ),
        ("slice logit", found.slice_logits, expected.slice_logits, tolerance.slice_logit),
        ("boxes", (found.boxes,), (expected.boxes,), tolerance.boxes),
    ]
    return tuple(text for row in compared if (text := _deviation(*row)))


def _deviation(name: str, found: tuple[float, ...], expected: tuple[float, ...], tolerance: float) -> str:
    """The worst value of a row in a few words; empty within the tolerance, never for what is not a number."""
    if len(found) != len(expected):
        return f"{len(found)} values of {name} instead of {len(expected)}"
    off = [abs(one - other) if math.isfinite(one) else math.inf for one, other in zip(found, expected, strict=True)]
    worst = max(range(len(off)), key=off.__getitem__)
    if off[worst] <= tolerance:
        return ""
    return f"{name} {found[worst]:.5g} instead of {expected[worst]:.5g} (tolerance {tolerance:g})"


def _lung_classes(networks: GoldenNetworks, case: GoldenCase) -> Tensor:
    """(Z, 256, 256): background, right or left, as the lung network alone draws them."""
    slices = case.volumes_hu[-1, ::_LUNG_SLICE_STEP]
    alone = lung_net_input(slices, case.spacing_mm[1:])
    inputs = with_neighbours(alone, case.spacing_mm[0] * _LUNG_SLICE_STEP, networks.lung_net.neighbour_mm)
    logits: Tensor = networks.lung_net(inputs.to(networks.device))
    return logits.argmax(dim=1)


def _lung_volumes_ml(networks: GoldenNetworks, case: GoldenCase) -> tuple[float, float]:
    """Right and left."""
    classes = _lung_classes(networks, case)
    pixel_mm = FIELD_OF_VIEW_MM / INPUT_PIXELS
    voxel_ml = pixel_mm * pixel_mm * case.spacing_mm[0] * _LUNG_SLICE_STEP / 1000.0
    right, left = (round(float((classes == side).sum()) * voxel_ml, 3) for side in (RIGHT_LUNG, LEFT_LUNG))
    return right, left


def _detected(detector: SpaceTimeDetector, case: GoldenCase) -> Detection:
    studies = [
        StudyOnGrid(volume_hu=volume, lung_mask=lungs, valid=np.ones(volume.shape, np.bool_))
        for volume, lungs in zip(case.volumes_hu, case.lung_masks, strict=True)
    ]
    return detector.detect(studies, case.grid, [0.0, case.gap_days])


def _decisions(
    networks: GoldenNetworks, case: GoldenCase, thresholds: Thresholds, dtype: torch.dtype
) -> tuple[NDArray[np.int64], BoolArray, BoolArray]:
    """Lung pixels, lesion voxels within the lungs, and slices of the current study."""
    with torch.inference_mode(), running_in(dtype, networks.device):
        classes = _lung_classes(networks, case).cpu().numpy()
        detection = _detected(networks.detector, case)
    newest, lungs = detection.studies[-1], case.lung_masks[-1]
    maps = lesion_maps(detection, newest, lungs, case.grid, threshold=thresholds.lesion_probability)
    shows = 1.0 / (1.0 + np.exp(-newest.slice_logits)) >= thresholds.slice_probability
    return classes, maps.lesion[lungs > 0], shows


def _mean(probability: Float32Array) -> float:
    return round(float(probability.mean(dtype=np.float64)), 7)
