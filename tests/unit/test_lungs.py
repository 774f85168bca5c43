"""Lungs: what morphology adds to the network, and what makes a chest."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.errors import NotAChestError
from pipeline.lung_checks import check_is_chest, coverage_notes
from pipeline.lung_mask import refined_lungs
from pipeline.lungs import NetworkLungSegmenter
from pipeline.lungs_net import lung_net_labels
from pipeline.orient import LpsVolume
from pipeline.padding import imaged_part
from pipeline.study import AIR_HU, LEFT_LUNG, RIGHT_LUNG, BoolArray, Float32Array, Grid, Int16Array, UInt8Array

SHAPE = (60, 100, 140)
SPACING_MM = (4.0, 3.0, 3.0)
RIGHT, LEFT = (30, 50, 40), (30, 50, 100)


def ball(centre: tuple[int, int, int], radius_mm: float) -> BoolArray:
    """Around a voxel."""
    index = np.indices(SHAPE).reshape(3, -1).T
    away = np.linalg.norm((index - centre) * SPACING_MM, axis=1)
    return (away <= radius_mm).reshape(SHAPE)


def build_lungs() -> UInt8Array:
    """Two balls of 2.1 l each."""
    lungs = np.zeros(SHAPE, np.uint8)
    lungs[ball(RIGHT, 80.0)], lungs[ball(LEFT, 80.0)] = RIGHT_LUNG, LEFT_LUNG
    return lungs


def density(lungs: UInt8Array) -> Float32Array:
    """HU of lungs in a body."""
    return np.where(lungs > 0, -850.0, 40.0).astype(np.float32)


def notes_on(lungs: UInt8Array, volume_hu: Int16Array | None = None) -> tuple[str, ...]:
    """On the coverage of lungs of a body that fills the images, or of this volume."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *SPACING_MM, 1.0
    grid = Grid(shape=(lungs.shape[0], lungs.shape[1], lungs.shape[2]), affine_lps_from_kji=affine)
    hu = density(lungs).astype(np.int16) if volume_hu is None else volume_hu
    volume = LpsVolume(volume_hu=hu, grid=grid, source_grid=grid)
    return coverage_notes(lungs, volume, imaged_part(volume))


def circle(radius_mm: float) -> BoolArray:
    """Around the middle of a slice."""
    rows, columns = np.indices(SHAPE[1:])
    inside: BoolArray = np.hypot((rows - 50) * SPACING_MM[1], (columns - 70) * SPACING_MM[2]) <= radius_mm
    return inside


def refined(raw: UInt8Array) -> UInt8Array:
    """With the density of whole lungs."""
    return refined_lungs(raw, density(build_lungs()), SPACING_MM)


def test_clean_lungs_stay_as_they_are() -> None:
    """Morphology moves no edge that needs no moving."""
    lungs = build_lungs()
    assert np.mean(refined(lungs) != lungs) < 0.002


def test_holes_are_filled() -> None:
    """A consolidation that the network left out belongs to the lung it lies in."""
    raw = build_lungs()
    raw[ball(RIGHT, 25.0)] = 0
    assert (refined(raw)[ball(RIGHT, 25.0)] == RIGHT_LUNG).all()


def test_the_dome_of_the_diaphragm_is_no_hole() -> None:
    """Liver that reaches into a lung from below is a disc in its slices, as consolidation is, and stays out."""
    raw = build_lungs()
    dome = ball((20, 50, 40), 40.0)
    dome[:20] = dome[20]
    raw[dome] = 0
    found = refined(raw)
    assert np.mean(found[dome] > 0) < 0.01
    assert (found[build_lungs() == LEFT_LUNG] == LEFT_LUNG).all()


def test_consolidation_that_stands_on_the_dome_is_lung_where_the_network_says_so() -> None:
    """Only what it left out is asked where it stands."""
    raw = build_lungs()
    dome = ball((20, 50, 40), 30.0)
    dome[:20] = dome[20]
    raw[dome] = 0
    on_it = ball((34, 50, 40), 20.0) & ~dome
    assert (refined(raw)[on_it] == RIGHT_LUNG).all()


def test_small_dense_slices_at_the_ends_are_no_lung() -> None:
    """Muscle above the apex, diaphragm below the base; a lung that is white throughout keeps its ends."""
    raw, volume_hu = build_lungs(), density(build_lungs())
    apex = int(np.flatnonzero((raw == LEFT_LUNG).any(axis=(1, 2)))[-1])
    raw[apex + 1 : apex + 4, 47:54, 97:104] = LEFT_LUNG
    found = refined_lungs(raw, volume_hu, SPACING_MM)
    assert not found[apex + 1 :].any()
    assert (found[apex - 2] == LEFT_LUNG).any()
    white = np.where(build_lungs() == LEFT_LUNG, 35.0, density(build_lungs())).astype(np.float32)
    kept = refined_lungs(build_lungs(), white, SPACING_MM) == LEFT_LUNG
    assert np.count_nonzero(kept) > 0.99 * np.count_nonzero(build_lungs() == LEFT_LUNG)


def test_lungs_do_not_go_on_for_long_without_air_on_either_side() -> None:
    """In strong noise the network took kidneys and spleen for lungs; a consolidated base stays, and so do white lungs."""
    lungs = build_lungs()
    raw, volume_hu = lungs.copy(), density(lungs)
    raw[:30] = np.maximum(raw[:30], raw[30])
    lowest = int(np.flatnonzero(lungs.any(axis=(1, 2)))[0])
    found = refined_lungs(raw, volume_hu, SPACING_MM)
    assert not found[: lowest - 5].any()
    assert found[lowest].any()
    base = volume_hu.copy()
    base[: lowest + 4] = 40.0
    assert refined_lungs(lungs, base, SPACING_MM)[lowest + 1 : lowest + 4].any(axis=(1, 2)).all()
    white = np.full_like(volume_hu, 40.0)
    assert np.count_nonzero(refined_lungs(lungs, white, SPACING_MM)) > 0.98 * np.count_nonzero(lungs)


def test_narrow_bays_are_closed() -> None:
    """Subpleural consolidation of less than twice the closing radius is taken in."""
    raw = build_lungs()
    raw[27:33, 48:51, :30] = 0
    assert (refined(raw)[30, 49, 20:29] == RIGHT_LUNG).all()


def test_pieces_apart_from_the_lungs_are_dropped() -> None:
    """Bowel gas or a pocket of air outside the body is no lung."""
    raw = build_lungs()
    raw[ball((4, 90, 70), 14.0)] = LEFT_LUNG
    assert not refined(raw)[ball((4, 90, 70), 14.0)].any()


def test_an_island_of_the_wrong_side_takes_the_side_around_it() -> None:
    """Right is where the right lung is, even where the network wavers."""
    raw = build_lungs()
    raw[ball(RIGHT, 20.0)] = LEFT_LUNG
    assert (refined(raw)[ball(RIGHT, 20.0)] == RIGHT_LUNG).all()


def test_closing_does_not_take_in_airways() -> None:
    """Air beside the lung that the network calls background stays out: trachea and main bronchi."""
    raw, volume_hu = build_lungs(), density(build_lungs())
    tube = np.s_[20:40, 49:52, 67:70]
    raw[tube], volume_hu[tube] = 0, -1000.0
    assert not refined_lungs(raw, volume_hu, SPACING_MM)[tube].any()


def test_no_lungs_stay_no_lungs() -> None:
    """An empty answer of the network is an empty mask."""
    assert not refined(np.zeros(SHAPE, np.uint8)).any()


class TruthNet:
    """Stands in for the lung network: knows the answer on its grid."""

    def __init__(self, lungs: UInt8Array, spacing_mm: tuple[float, float]) -> None:
        """Answers for the slices in order."""
        self.neighbour_mm = 0.0
        self._labels = lung_net_labels(torch.from_numpy(lungs), spacing_mm)
        self._next = 0

    def __call__(self, slices: Tensor) -> Tensor:
        """Logits of the next slices."""
        labels = self._labels[self._next : self._next + len(slices)]
        self._next += len(slices)
        return (torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).float() - 0.5) * 8.0


@pytest.mark.parametrize("z_mm", [1.0, 4.0])
def test_the_mask_comes_back_on_the_grid_of_the_study(z_mm: float) -> None:
    """Resampling there and back, with slices skipped where they are thin, costs less than 2 % of overlap."""
    lungs, spacing_mm = build_lungs(), (z_mm, 3.0, 3.0)
    step = 2 if z_mm == 1.0 else 1
    net = TruthNet(lungs[::step], (3.0, 3.0))
    segmenter = NetworkLungSegmenter(net, torch.device("cpu"))  # type: ignore[arg-type]
    found = segmenter.segment(density(lungs).astype(np.int16), spacing_mm)
    for side in (RIGHT_LUNG, LEFT_LUNG):
        overlap = 2 * np.sum((found == side) & (lungs == side)) / np.sum((found == side).astype(int) + (lungs == side))
        assert overlap > 0.98


def test_a_chest_passes() -> None:
    """Two lungs of two litres."""
    lungs = build_lungs()
    check_is_chest(density(lungs).astype(np.int16), lungs, SPACING_MM)
    assert notes_on(lungs) == ()


def test_the_chest_of_a_child_is_refused_as_one() -> None:
    """Not as none at all: the lungs are there."""
    lungs = ball(RIGHT, 40.0).astype(np.uint8) + 2 * ball(LEFT, 40.0).astype(np.uint8)
    with pytest.raises(NotAChestError) as refusal:
        check_is_chest(np.full(SHAPE, -850, np.int16), lungs, SPACING_MM)
    assert refusal.value.finding.endswith("children are not analysed.")
    assert "No lungs" not in refusal.value.reason


@pytest.mark.parametrize(
    ("lungs", "hu", "reason"),
    [
        (np.zeros(SHAPE, np.uint8), -850, "No lungs"),
        (ball(RIGHT, 20.0).astype(np.uint8), -850, r"No lungs were found \(34 ml"),
        (ball(RIGHT, 40.0).astype(np.uint8), -850, r"too small for an adult's \(269 ml, at least 800 ml are needed"),
        (np.ones(SHAPE, np.uint8), -850, "too large"),
        (build_lungs(), 30, "too dense"),
    ],
)
def test_what_cannot_be_lungs_is_not_a_chest(lungs: UInt8Array, hu: int, reason: str) -> None:
    """None, too little, too much, too dense."""
    spacing_mm = (5.0, 5.0, 5.0) if reason == "too large" else SPACING_MM
    with pytest.raises(NotAChestError, match=reason):
        check_is_chest(np.full(SHAPE, hu, np.int16), lungs, spacing_mm)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (np.s_[:30], "the top:"),
        (np.s_[20:40], "the bottom and the top:"),
        (np.s_[:, 50:], "the front:"),
        (np.s_[:, :60], "the back:"),
        (np.s_[:, :, 50:], "the right side:"),
        (np.s_[:, :, :-50], "the left side:"),
    ],
)
def test_lungs_that_leave_the_images_are_said_with_the_side(part: tuple[slice, ...], words: str) -> None:
    """Also at the sides, where a small field of view cuts them."""
    notes = notes_on(build_lungs()[part])
    assert any(f"end outside the images at {words}" in note for note in notes)


@pytest.mark.parametrize(
    ("part", "sides"),
    [
        (np.s_[20:40], ""),
        (np.s_[:, :, 50:], "the right side"),
        (np.s_[20:, 50:, 50:], "the front and the right side"),
    ],
)
def test_lungs_that_are_cut_within_the_slices_say_what_may_be_missed(part: tuple[slice, ...], sides: str) -> None:
    """The networks find few lesions beside such a cut; missing slices alone do not have that effect."""
    (note,) = (note for note in notes_on(build_lungs()[part]) if "outside the images" in note)
    said = f"Lesions within 12 mm of where the images cut the lungs at {sides} may be missed"
    assert (said in note) == bool(sides)
    assert ("Lesions within" in note and "wide enough for both lungs" in note) == bool(sides)


def wide_images(air_on_the_right_mm: int) -> UInt8Array:
    """The lungs in images of 660 mm, so far from the middle as this; 120 mm is in the middle."""
    before = air_on_the_right_mm // 3
    return np.pad(build_lungs(), ((0, 0), (0, 0), (before, 80 - before)))


@pytest.mark.parametrize(("air_mm", "side"), [(0, "right"), (240, "left")])
def test_lungs_cut_by_the_field_of_view_of_the_network_are_said_with_the_side(air_mm: int, side: str) -> None:
    """Its 480 mm lie around the middle of the images; the images themselves show the lungs as a whole."""
    whole = wide_images(air_mm)
    seen = np.abs(np.arange(whole.shape[2]) + 0.5 - whole.shape[2] / 2) * SPACING_MM[2] < 240.0
    (note,) = notes_on(np.where(seen, whole, 0).astype(np.uint8))
    assert f"more than 240 mm from the middle of the images at the {side} side, where" in note
    assert notes_on(whole) == ()


def test_lungs_within_the_field_of_view_of_the_network_are_not_called_cut() -> None:
    """Wide images of a body in the middle."""
    assert notes_on(wide_images(120)) == ()


def test_lungs_that_reach_into_padding_are_said_with_the_side() -> None:
    """Those of a circle, which is round, at its oblique parts too; the images themselves are large enough."""
    narrow = np.indices(SHAPE)[2] < 110
    lungs = np.where(narrow, build_lungs(), 0).astype(np.uint8)
    (note,) = notes_on(lungs, np.where(narrow, density(lungs), AIR_HU).astype(np.int16))
    assert "end outside the images at the left side:" in note
    lungs = np.where(circle(150.0), build_lungs(), 0).astype(np.uint8)
    (note,) = notes_on(lungs, np.where(circle(150.0), density(lungs), AIR_HU).astype(np.int16))
    assert "end outside the images at the front and the back and the right side and the left side:" in note
    assert "cut the lungs at the front and the back and the right side and the left side may be missed" in note


@pytest.mark.parametrize("air_hu", [AIR_HU, -1000])
def test_a_body_in_air_of_one_value_is_shown_as_a_whole(air_hu: int) -> None:
    """Some scanners write all air around the body as one value, as they write padding."""
    lungs = build_lungs()
    volume_hu = np.where(circle(185.0), density(lungs), air_hu).astype(np.int16)
    assert notes_on(lungs, volume_hu) == ()


def test_lungs_that_end_at_a_slice_of_padding_are_cut() -> None:
    """The slice that follows shows nothing."""
    lungs = build_lungs()
    volume_hu = density(lungs).astype(np.int16)
    lungs[35:], volume_hu[35:] = 0, AIR_HU
    (note,) = notes_on(lungs, volume_hu)
    assert "end outside the images at the top:" in note


def test_cut_lungs_and_a_missing_lung_are_said() -> None:
    """Each in its own sentence."""
    lungs = build_lungs()
    lungs[lungs == LEFT_LUNG] = 0
    notes = notes_on(lungs[30:])
    assert any("end outside the images at the bottom:" in note for note in notes)
    assert any("left lung" in note for note in notes)


def test_white_lungs_are_a_chest() -> None:
    """Lungs that are consolidated nearly as a whole are what a node like this must not turn away."""
    lungs = build_lungs()
    check_is_chest(np.full(SHAPE, -100, np.int16), lungs, SPACING_MM)


def test_a_lung_of_which_half_was_found_is_said() -> None:
    """Volumes and shares leave out what was not found."""
    lungs = build_lungs()
    left = np.flatnonzero((lungs == LEFT_LUNG).any(axis=(1, 2)))
    lungs[: int(np.quantile(left, 0.65))][lungs[: int(np.quantile(left, 0.65))] == LEFT_LUNG] = 0
    notes = notes_on(lungs)
    assert any("left lung that was found is less than half as large" in note for note in notes)
