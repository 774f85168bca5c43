"""Studies onto the grid of the network, and its answers back to their place."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from builders.grids import cube_grid
from pipeline.boxes import BOX_STRIDES, BoxMaps
from pipeline.detect import SpaceTimeDetector, grid_of_model, model_grid
from pipeline.lesions import lesion_maps
from pipeline.model_input import InputContract
from pipeline.model_pack import Thresholds
from pipeline.plug_points import Detection, StudyOnGrid
from pipeline.space_time import StudyOutput
from pipeline.study import LEFT_LUNG, BoolArray, Grid

CONTRACT = InputContract()
THRESHOLDS = Thresholds(
    lesion_probability=0.5,
    slice_probability=0.5,
    box_score=0.5,
    box_overlap=0.5,
    smallest_lesion_ml=0.1,
    patient_score=0.5,
)
LUNGS = np.s_[10:50, 30:150, 40:170]
LESION = np.s_[20:32, 60:90, 100:140]


class BrightNet:
    """Stands in for Space-Time-Net: what is brighter than the middle of the window is ground-glass."""

    def __init__(self) -> None:
        """Keeps what it was shown."""
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def stream(
        self, sequence: Tensor, valid: Tensor, gap_days: Tensor, *, chunk_slices: int
    ) -> tuple[StudyOutput, ...]:
        """One output per study; one box per slice, over the brightest cell."""
        self.seen.append((sequence, valid, gap_days))
        return tuple(self._output(study) for study in sequence)

    def _output(self, study: Tensor) -> StudyOutput:
        bright = functional.avg_pool2d((study[:, 1:2] > 0.5).float(), 2)
        ground_glass = (bright - 0.5) * 20
        logits = torch.cat([-ground_glass, ground_glass, torch.full_like(bright, -20.0)], dim=1)
        maps = tuple(self._no_boxes(study, stride) for stride in BOX_STRIDES)
        return StudyOutput(mask_logits=logits, box_maps=maps, slice_logits=bright.amax(dim=(1, 2, 3)))

    def _no_boxes(self, study: Tensor, stride: int) -> BoxMaps:
        shape = (len(study), 1, study.shape[2] // stride, study.shape[3] // stride)
        class_logits = torch.full(shape, -20.0)
        if stride == BOX_STRIDES[0]:
            class_logits[3, 0, 4, 6] = 20.0
        distances = torch.full((shape[0], 4, *shape[2:]), 8.0)
        return BoxMaps(class_logits=class_logits, distances=distances, quality_logits=class_logits.abs())


def build_study(shape: tuple[int, int, int]) -> StudyOnGrid:
    """Lungs as a box, a bright lesion in them."""
    volume_hu, lungs = np.full(shape, -1000, np.int16), np.zeros(shape, np.uint8)
    volume_hu[LUNGS], lungs[LUNGS] = -850, LEFT_LUNG
    volume_hu[LESION] = -400
    return StudyOnGrid(volume_hu=volume_hu, lung_mask=lungs, valid=np.ones(shape, np.bool_))


def detect(study: StudyOnGrid, grid: Grid, *, net: BrightNet | None = None, priors: int = 0) -> Detection:
    """With so many copies of the study before it."""
    detector = SpaceTimeDetector(net or BrightNet(), contract=CONTRACT, thresholds=THRESHOLDS)  # type: ignore[arg-type]
    return detector.detect([study] * (priors + 1), grid, [0.0] + [5.0] * priors)


def build_grid(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Grid:
    """In patient order, somewhere in the patient."""
    grid = cube_grid(shape)
    affine = grid.affine_lps_from_kji @ np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = [-80.0, -120.0, 300.0]
    return Grid(shape=shape, affine_lps_from_kji=affine)


def lesion_of(detection: Detection, study: StudyOnGrid, grid: Grid) -> BoolArray:
    """The lesion mask back on the study's grid."""
    return lesion_maps(detection, detection.studies[-1], study.lung_mask, grid, threshold=0.5).lesion


@pytest.mark.parametrize(
    "spacing_mm", [(1.0, 0.7, 0.7), (2.5, 1.5, 1.5), (5.0, 0.84, 0.84), (1.25, 0.66, 0.9), (8.0, 2.0, 2.0)]
)
def test_a_lesion_comes_back_where_it_was(spacing_mm: tuple[float, float, float]) -> None:
    """Through slabs, resampling, cropping and padding, within a voxel of the coarser grid."""
    study, grid = build_study((60, 180, 200)), build_grid((60, 180, 200), spacing_mm)
    found = lesion_of(detect(study, grid), study, grid)
    centre = np.argwhere(found).mean(axis=0) * spacing_mm
    expected = np.array([25.5, 74.5, 119.5]) * spacing_mm
    assert np.abs(centre - expected).max() < 0.5
    assert found.sum() == pytest.approx(12 * 30 * 40, rel=0.2)


def test_the_network_sees_what_the_contract_says() -> None:
    """Slices of about 2.5 mm, pixels of about 1.5 mm, sides a multiple of 32, lungs with their margin."""
    study, grid = build_study((60, 180, 200)), build_grid((60, 180, 200), (1.25, 0.75, 0.75))
    net = BrightNet()
    detection = detect(study, grid, net=net)
    sequence, valid, _ = net.seen[0]
    assert sequence.shape[3] % 32 == sequence.shape[4] % 32 == 0
    assert detection.grid.shape == (sequence.shape[1], *sequence.shape[3:])
    assert detection.grid.spacing_mm == pytest.approx((2.5, 1.5, 1.5))
    assert sequence.shape[1] == 40 // 2 + 2
    assert valid.shape == (1, sequence.shape[1], 1, *sequence.shape[3:])


def test_earlier_studies_come_first_with_the_days_between() -> None:
    """Oldest to newest, one gap per study."""
    study, grid = build_study((60, 180, 200)), build_grid((60, 180, 200), (2.5, 1.5, 1.5))
    net = BrightNet()
    detection = detect(study, grid, net=net, priors=2)
    assert net.seen[0][0].shape[0] == len(detection.studies) == 3
    assert net.seen[0][2].tolist() == [0.0, 5.0, 5.0]


def test_boxes_keep_their_slice_and_place() -> None:
    """A box about cell (4, 6) at stride 8, eight pixels to each side."""
    study, grid = build_study((60, 180, 200)), build_grid((60, 180, 200), (2.5, 1.5, 1.5))
    finding = detect(study, grid).studies[0].slice_findings
    assert [box.z for box in finding] == [3]
    assert finding[0].box == pytest.approx((27.5, 43.5, 43.5, 59.5))


def test_the_model_grid_lies_on_the_study() -> None:
    """The first voxel of a slab lies amid the slices that it averages."""
    study, grid = build_study((60, 180, 200)), build_grid((60, 180, 200), (1.25, 1.5, 1.5))
    place = model_grid(study.lung_mask, grid.spacing_mm, CONTRACT)
    model = grid_of_model(place, grid)
    height = (model.affine_lps_from_kji @ [0, 0, 0, 1])[2]
    assert height == pytest.approx(300.0 + 1.25 * (10 - 2 + 0.5))
