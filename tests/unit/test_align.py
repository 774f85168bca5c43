"""Earlier studies on the grid of the current one."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from builders.ct_series import LEFT_LUNG_CENTRE, RIGHT_LUNG_CENTRE, chest_hu
from builders.fake_engine import ShapeSegmenter
from pipeline.affine_fit import chest_of
from pipeline.align import AlignedPrior, Alignment, VolumeChange, align_prior
from pipeline.chest_volume import ChestVolume, chest_volume
from pipeline.orient import LpsVolume, sub_grid
from pipeline.study import AIR_HU, Float64Array, Grid, UInt8Array
from pipeline.warp import dice, warp_labels

SHIFT_MM = np.array([14.0, -9.0, 22.0])
SCALE = np.array([1.0, 1.0, 1.08])


def build_grid(shape: tuple[int, int, int] = (50, 68, 68), step_mm: float = 5.0) -> Grid:
    """Centred on the LPS origin, in patient order."""
    affine = np.eye(4) * step_mm
    affine[:3, :3] = affine[:3, :3][:, ::-1]
    affine[:3, 3] = [-(size - 1) * step_mm / 2 for size in shape[::-1]]
    affine[3, 3] = 1.0
    return Grid(shape=shape, affine_lps_from_kji=affine)


def build_chest(grid: Grid, *, shift: Float64Array | None = None, scale: Float64Array | None = None) -> LpsVolume:
    """The chest of shapes, its points at scale * p + shift."""
    index = np.stack(np.meshgrid(*(np.arange(size) for size in grid.shape), indexing="ij"), axis=-1)
    points = index @ grid.affine_lps_from_kji[:3, :3].T + grid.affine_lps_from_kji[:3, 3]
    moved = (points - (np.zeros(3) if shift is None else shift)) / (np.ones(3) if scale is None else scale)
    return LpsVolume(volume_hu=chest_hu(moved), grid=grid, source_grid=grid)


def lungs_of(volume: LpsVolume) -> UInt8Array:
    """Right and left."""
    return ShapeSegmenter().segment(volume.volume_hu, volume.spacing_mm)


def chest_with_lungs(volume: LpsVolume) -> ChestVolume:
    """With lungs by shape."""
    return chest_volume(volume, lungs_of(volume))


def aligned(prior: LpsVolume, current: LpsVolume, alignment: Alignment = Alignment.AFFINE) -> AlignedPrior:
    """With lungs by shape."""
    seen = chest_with_lungs(current)
    return align_prior(chest_with_lungs(prior), seen, chest_of(seen), alignment=alignment)


@pytest.fixture(scope="module")
def moved() -> AlignedPrior:
    """An earlier study in another place, at another breath."""
    return aligned(build_chest(build_grid(), shift=SHIFT_MM, scale=SCALE), build_chest(build_grid()))


def test_shift_and_breath_are_found(moved: AlignedPrior) -> None:
    """A place in the current study leads to the same place in the earlier one, within 2 mm."""
    for centre in (RIGHT_LUNG_CENTRE, LEFT_LUNG_CENTRE):
        found = np.array(moved.prior_from_current.TransformPoint(centre.tolist()))
        assert np.abs(found - (SCALE * centre + SHIFT_MM)).max() < 2.0
    assert moved.volume_change.factor == pytest.approx(1.08, abs=0.03)


def test_a_good_match_is_not_refused(moved: AlignedPrior) -> None:
    """Lungs lie on lungs after the warp."""
    assert moved.lung_dice > 0.95
    assert moved.refusal == ""


def test_alignment_is_reproducible(moved: AlignedPrior) -> None:
    """The same input gives the same transform, to the last bit."""
    again = aligned(build_chest(build_grid(), shift=SHIFT_MM, scale=SCALE), build_chest(build_grid()))
    assert again.prior_from_current.GetParameters() == moved.prior_from_current.GetParameters()
    assert np.array_equal(again.volume_hu, moved.volume_hu)


def cut(volume: LpsVolume, slices: slice) -> LpsVolume:
    """A series of these slices only."""
    box = (slices, slice(0, volume.grid.shape[1]), slice(0, volume.grid.shape[2]))
    grid = sub_grid(volume.grid, box)
    return LpsVolume(volume_hu=volume.volume_hu[box], grid=grid, source_grid=grid)


def circled(volume: LpsVolume, *, middle_mm: float, radius_mm: float) -> LpsVolume:
    """The same slices, reconstructed in a circle whose middle lies so far to the left."""
    middles = [(size - 1) / 2 for size in volume.grid.shape[1:]]
    rows, columns = (np.indices(volume.grid.shape[1:]) - np.reshape(middles, (2, 1, 1))) * 5.0
    shown = np.hypot(rows, columns - middle_mm) <= radius_mm
    return replace(volume, volume_hu=np.where(shown, volume.volume_hu, np.int16(AIR_HU)))


def errors_mm(found: AlignedPrior, current: LpsVolume) -> Float64Array:
    """Of places of the lungs that both studies show, their way in the patient being `SHIFT_MM`."""
    inside = np.argwhere((lungs_of(current) > 0) & found.valid)[::20]
    points = inside @ current.grid.affine_lps_from_kji[:3, :3].T + current.grid.affine_lps_from_kji[:3, 3]
    moved = np.array([found.prior_from_current.TransformPoint(point) for point in points.tolist()])
    return np.linalg.norm(moved - points - SHIFT_MM, axis=1)


def test_places_the_earlier_study_does_not_show_are_not_valid() -> None:
    """A study of the upper half says nothing about the lower half."""
    whole = build_chest(build_grid())
    result = aligned(cut(whole, slice(15, 50)), whole)
    assert result.valid[40][lungs_of(whole)[40] > 0].all()
    assert not result.valid[3].any()
    assert 0.5 < result.shared_share < 1.0


SHOWN: dict[str, tuple[Callable[[LpsVolume], LpsVolume], float]] = {
    "base cut off": (partial(cut, slices=slice(26, 50)), 0.03),
    "apex cut off": (partial(cut, slices=slice(0, 31)), 0.03),
    "middle": (partial(cut, slices=slice(20, 38)), 0.03),
    "narrow circle": (partial(circled, middle_mm=0.0, radius_mm=96.0), 0.05),
    "narrower circle": (partial(circled, middle_mm=0.0, radius_mm=90.0), 0.05),
    "circle to the left": (partial(circled, middle_mm=40.0, radius_mm=110.0), 0.05),
    "circle to the right": (partial(circled, middle_mm=-50.0, radius_mm=115.0), 0.05),
}
"""Of 50 slices of 340 mm, where the lungs reach from slice 8 to 45 and are 250 mm wide; with the share of the lungs that
lies at the border, where half of a voxel is not imaged."""


@pytest.mark.parametrize("alignment", list(Alignment))
@pytest.mark.parametrize(("part_of", "border"), SHOWN.values(), ids=SHOWN)
def test_a_study_that_is_cut_is_laid_where_it_belongs(
    part_of: Callable[[LpsVolume], LpsVolume], border: float, alignment: Alignment
) -> None:
    """Not stretched over all of the lungs: what it shows keeps its size, whichever of the two is cut."""
    moved, still = build_chest(build_grid(), shift=SHIFT_MM), build_chest(build_grid())
    for prior, current in ((part_of(moved), still), (moved, part_of(still))):
        found = aligned(prior, current, alignment)
        shown = np.count_nonzero(lungs_of(prior)) / np.count_nonzero(lungs_of(moved))
        truly_shared = shown if current is still else 1.0
        assert found.refusal == ""
        assert errors_mm(found, current).max() < 2.5
        assert found.shared_share == pytest.approx(truly_shared, abs=border)
        assert found.volume_change.factor == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(("of_prior", "of_current"), [("apex", "base"), ("base", "apex")])
def test_studies_that_are_cut_at_opposite_ends_are_not_stretched_onto_each_other(
    of_prior: str, of_current: str
) -> None:
    """Each lacks a third of the lungs; what both show is laid on each other, no more."""
    moved, still = build_chest(build_grid(), shift=SHIFT_MM), build_chest(build_grid())
    parts = {"apex": slice(0, 33), "base": slice(20, 50)}
    current = cut(still, parts[of_current])
    found = aligned(cut(moved, parts[of_prior]), current)
    assert found.is_opposite_part
    assert errors_mm(found, current).max() < 3.0
    assert found.volume_change.factor == pytest.approx(1.0, abs=0.03)
    assert found.refusal == ""


def test_opposite_parts_that_only_match_when_stretched_are_refused(moved: AlignedPrior) -> None:
    """Lungs of one that were pulled onto more than they are."""
    for affine_factor, is_refused in ((0.6, True), (0.9, False), (1.5, True)):
        change = VolumeChange(factor=affine_factor, affine_factor=affine_factor)
        assert replace(moved, volume_change=change).refusal == ""
        refusal = replace(moved, volume_change=change, is_opposite_part=True).refusal
        assert ("share too little to be aligned" in refusal) is is_refused


@pytest.mark.parametrize("alignment", list(Alignment))
def test_a_series_thinner_than_the_working_grid_is_answered(alignment: Alignment) -> None:
    """Ten slices of 0.3 mm: as an earlier study refused, as the current one compared with what shows its place."""
    affine = build_grid().affine_lps_from_kji.copy()
    affine[:3, 0], affine[2, 3] = (0.0, 0.0, 0.3), -1.35
    whole, thin = build_chest(build_grid()), build_chest(Grid(shape=(10, 68, 68), affine_lps_from_kji=affine))
    for prior, current, refused in ((thin, whole, True), (whole, thin, False)):
        found = aligned(prior, current, alignment)
        assert ("shows only" in found.refusal) is refused


def test_a_study_of_less_than_half_of_the_lungs_is_refused() -> None:
    """However well it could be stretched onto them."""
    whole = build_chest(build_grid())
    assert "shows only" in aligned(cut(whole, slice(29, 50)), whole).refusal


def test_lungs_that_do_not_match_are_refused() -> None:
    """Another shape of lungs is another place, or another patient: the reason gives the overlap."""
    current, prior = chest_with_lungs(build_chest(build_grid())), build_chest(build_grid())
    lungs = lungs_of(prior)
    lungs[:, :, ::3] = 0
    result = align_prior(chest_volume(prior, lungs), current, chest_of(current))
    assert "do not match" in result.refusal


def test_labels_are_warped_without_new_values(moved: AlignedPrior) -> None:
    """Nearest neighbour: numbers of lesions stay numbers of lesions."""
    labels = np.zeros((50, 68, 68), np.uint16)
    labels[20:30, 30:40, 15:25] = 7
    warped = warp_labels(labels, build_grid(), build_grid(), moved.prior_from_current)
    assert set(np.unique(warped)) == {0, 7}


def test_dice_of_nothing_is_nothing() -> None:
    """Two empty masks do not match."""
    assert dice(np.zeros(4, np.bool_), np.zeros(4, np.bool_)) == 0.0
