"""Lesions measured from a detector's maps."""

import numpy as np
import pytest

from builders.grids import cube_grid
from pipeline.findings import LesionKind, Side
from pipeline.lesions import FoundLesions, LesionMaps, find_lesions, lesion_maps, lesion_scores, slices_with_lung
from pipeline.plug_points import Detection, SliceFinding, StudyDetection
from pipeline.study import LEFT_LUNG, RIGHT_LUNG, BoolArray, UInt8Array

SHAPE = (12, 20, 24)
VOXEL_ML = 0.1
LARGE = np.s_[2:6, 4:9, 3:8]
SMALL = np.s_[8:10, 10:12, 15:18]


def build_lungs() -> UInt8Array:
    """Everything is lung, right in the lower half of x."""
    lungs = np.full(SHAPE, RIGHT_LUNG, np.uint8)
    lungs[..., 12:] = LEFT_LUNG
    return lungs


def build_lesions(*places: tuple[slice, ...], consolidation: tuple[slice, ...] | None = None) -> FoundLesions:
    """Boxes of -600 HU in air of -850 HU."""
    lesion, dense = np.zeros(SHAPE, np.bool_), np.zeros(SHAPE, np.bool_)
    volume_hu = np.full(SHAPE, -850, np.int16)
    for place in places:
        lesion[place], volume_hu[place] = True, -600
    if consolidation:
        dense[consolidation] = True
    maps = LesionMaps(lesion=lesion, consolidation=dense & lesion)
    return find_lesions(maps, volume_hu, build_lungs(), VOXEL_ML, smallest_ml=0.5)


def build_detection(probability: BoolArray, *findings: SliceFinding) -> Detection:
    """A detection of one study on the same grid."""
    study = StudyDetection(
        lesion_probability=probability.astype(np.float32) * 0.75,
        consolidation_probability=np.zeros(SHAPE, np.float32),
        slice_findings=findings,
        slice_logits=np.zeros(SHAPE[0], np.float32),
    )
    return Detection(grid=cube_grid(SHAPE), studies=(study,))


def scores(found: FoundLesions, *findings: SliceFinding) -> dict[int, float]:
    """Of the lesions, with these boxes."""
    detection = build_detection(found.labels > 0, *findings)
    return lesion_scores(found, detection.grid, detection, detection.studies[0])


def test_the_largest_lesion_is_number_one() -> None:
    """Numbers follow volume, wherever the lesions lie."""
    found = build_lesions(SMALL, LARGE)
    assert [lesion.number for lesion in found.lesions] == [1, 2]
    assert found.labels[3, 5, 5] == 1
    assert found.labels[8, 10, 15] == 2


def test_volume_is_voxels_times_voxel_volume() -> None:
    """100 voxels of 0.1 ml."""
    lesion = build_lesions(LARGE).lesions[0]
    assert lesion.volume_ml == pytest.approx(4 * 5 * 5 * VOXEL_ML)
    assert (lesion.mean_hu, lesion.sd_hu) == (-600.0, 0.0)


def test_lesions_below_the_limit_are_dropped() -> None:
    """Four voxels are 0.4 ml, less than the 0.5 ml asked for."""
    assert build_lesions(np.s_[2:3, 4:6, 3:5]).lesions == ()


def test_parts_on_neighbouring_slices_are_one_lesion() -> None:
    """A corner is enough to belong together."""
    assert len(build_lesions(np.s_[2:4, 4:8, 4:8], np.s_[4:6, 8:12, 8:12]).lesions) == 1


def test_kind_and_side_are_those_of_the_greater_part() -> None:
    """More than half consolidation; more than half in the left lung."""
    dense = build_lesions(np.s_[2:6, 4:9, 10:16], consolidation=np.s_[2:5]).lesions[0]
    assert dense.kind is LesionKind.CONSOLIDATION
    assert dense.side is Side.LEFT
    assert build_lesions(LARGE, consolidation=np.s_[2:3]).lesions[0].kind is LesionKind.GROUND_GLASS


def test_lesions_lie_in_the_lungs() -> None:
    """What the detector sees outside the lungs is not reported."""
    lungs = build_lungs()
    lungs[:, :, 5:] = 0
    detection = build_detection(build_lesions(LARGE).labels > 0)
    maps = lesion_maps(detection, detection.studies[0], lungs, detection.grid, threshold=0.5)
    assert maps.lesion.any()
    assert not maps.lesion[lungs == 0].any()


def test_the_score_is_the_mean_of_the_three_best_boxes() -> None:
    """Boxes of several slices are linked by the lesion they meet."""
    box = (3.5, 2.5, 8.5, 7.5)
    boxes = [
        SliceFinding(z=z, box=box, score=score) for z, score in zip(range(2, 6), (0.2, 0.9, 0.8, 0.7), strict=True)
    ]
    assert scores(build_lesions(LARGE), *boxes) == {1: pytest.approx(0.8)}


def test_a_box_elsewhere_does_not_count() -> None:
    """Without a box of its own a lesion has its mean probability as score."""
    elsewhere = SliceFinding(z=3, box=(12.5, 12.5, 18.5, 20.5), score=0.99)
    assert scores(build_lesions(LARGE), elsewhere) == {1: pytest.approx(0.75)}


def test_slices_with_lung_are_found_on_the_detectors_grid() -> None:
    """The patient score looks at no slice without lung."""
    lungs = build_lungs()
    lungs[:5] = 0
    assert slices_with_lung(lungs, cube_grid(SHAPE), cube_grid(SHAPE)).tolist() == [False] * 5 + [True] * 7
