"""The way from the grid of acquisition to patient order, and back."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.ct_series import CtSeries, chest_hu, ct_images, write_images
from pipeline.choose import choose_series
from pipeline.orient import LpsVolume, lps_from_source, lps_mask_from_source, orientation_code, source_from_lps
from pipeline.study import Float64Array, Grid, Volume
from pipeline.volume import read_volume

AXES = np.eye(3)


def build_volume(row: Float64Array, column: Float64Array, shape: tuple[int, int, int]) -> Volume:
    """A volume of different numbers with the given in-plane directions and unequal steps."""
    affine = np.eye(4)
    affine[:3, :3] = np.stack([np.cross(row, column) * 5.0, column * 2.0, row * 3.0], axis=1)
    affine[:3, 3] = [10.0, -20.0, 30.0]
    grid = Grid(shape=shape, affine_lps_from_kji=affine)
    numbers = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    return Volume(volume_hu=numbers, grid=grid, slice_headers=())


def place_of(index: tuple[int, ...], grid: Grid) -> Float64Array:
    """LPS in mm of a voxel."""
    return grid.affine_lps_from_kji[:3] @ [*index, 1]


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Any of the 24 right-handed placements of the axes, some turned a little."""
    first, second = draw(st.permutations([0, 1, 2]))[:2]
    row = AXES[first] * draw(st.sampled_from([-1.0, 1.0]))
    column = AXES[second] * draw(st.sampled_from([-1.0, 1.0]))
    angle = draw(st.sampled_from([0.0, 0.1, 0.3]))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    return build_volume(turn @ row, turn @ column, draw(st.tuples(*[st.integers(2, 4)] * 3)))


@given(volumes())
def test_there_and_back_is_exact_in_every_orientation(volume: Volume) -> None:
    """A mask made in patient order lies on the source voxels it was made for."""
    lps = lps_from_source(volume)
    assert np.array_equal(source_from_lps(lps.volume_hu, lps), volume.volume_hu)
    assert np.array_equal(lps_mask_from_source(volume.volume_hu, lps), lps.volume_hu)


@given(volumes())
def test_every_voxel_keeps_its_place_in_the_patient(volume: Volume) -> None:
    """Voxels are moved in the array, never in the patient."""
    lps = lps_from_source(volume)
    for index in [(0, 0, 0), tuple(size - 1 for size in volume.grid.shape)]:
        moved = np.argwhere(lps.volume_hu == volume.volume_hu[index])[0]
        assert np.allclose(place_of(tuple(moved), lps.grid), place_of(index, volume.grid), atol=1e-6)


@given(volumes())
def test_patient_order_grows_to_superior_posterior_left(volume: Volume) -> None:
    """z, y, x of the array are z, y, x of the patient, up to the turn of an oblique grid."""
    lps = lps_from_source(volume)
    steps = lps.grid.affine_lps_from_kji[:3, :3]
    assert steps[2, 0] > 0
    assert steps[1, 1] > 0
    assert steps[0, 2] > 0
    assert orientation_code(lps.grid) == "LPS"


def test_a_volume_in_patient_order_is_not_copied() -> None:
    """Most series are axial from the feet up: their voxels stay where they are in memory."""
    volume = build_volume(AXES[0], AXES[1], (3, 4, 5))
    assert np.shares_memory(lps_from_source(volume).volume_hu, volume.volume_hu)


@pytest.mark.parametrize(
    "orientation",
    [(1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0), (0, 1, 0, -1, 0, 0)],
    ids=["head first", "feet first", "prone", "rotated rows"],
)
def test_the_same_patient_looks_the_same_in_every_position(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    """However the scanner stored the slices, patient order shows the same chest."""
    series = CtSeries(orientation=orientation, shape=(24, 32, 32), spacing_mm=(10.0, 10.0, 10.0))
    lps = lps_from_source(read_volume(choose_series(write_images(tmp_path, ct_images(series)))))
    assert np.array_equal(lps.volume_hu, chest_hu(voxel_places(lps)))


def voxel_places(lps: LpsVolume) -> Float64Array:
    """(z, y, x, 3): LPS in mm of every voxel."""
    index = np.stack(np.meshgrid(*(np.arange(size) for size in lps.grid.shape), indexing="ij"), axis=-1)
    return index @ lps.grid.affine_lps_from_kji[:3, :3].T + lps.grid.affine_lps_from_kji[:3, 3]
