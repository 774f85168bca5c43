"""Padding within the images is told from what was imaged."""

from pathlib import Path

import numpy as np
import pytest

from builders.ct_series import CORONAL, CtSeries, ct_images, write_images
from builders.grids import cube_grid
from pipeline.choose import choose_series
from pipeline.orient import LpsVolume, lps_from_source, slice_axis
from pipeline.padding import NOT_IMAGED_HU, imaged_part, padding_marked
from pipeline.study import AIR_HU, BoolArray, Int16Array
from pipeline.volume import read_volume

SHAPE = (6, 40, 40)


def placed(volume_hu: Int16Array) -> LpsVolume:
    """In patient order."""
    grid = cube_grid((volume_hu.shape[0], volume_hu.shape[1], volume_hu.shape[2]))
    return LpsVolume(volume_hu=volume_hu, grid=grid, source_grid=grid)


def circle(radius: float) -> BoolArray:
    """Around the middle of a slice."""
    rows, columns = np.indices(SHAPE[1:]) - 19.5
    return np.hypot(rows, columns) <= radius


@pytest.mark.parametrize("padding_hu", [AIR_HU, -1000])
def test_what_lies_around_the_circle_was_not_imaged(padding_hu: int) -> None:
    """As far as the circle exactly, also where the scale of the scanner begins at -1000 HU; air within it was imaged."""
    volume_hu = np.where(circle(16.0), -800, padding_hu).astype(np.int16) * np.ones(SHAPE, np.int16)
    volume_hu[:, 15:20, 15:20] = padding_hu
    assert np.array_equal(imaged_part(placed(volume_hu)), np.broadcast_to(circle(16.0), SHAPE))


def test_a_slice_of_padding_alone_was_not_imaged() -> None:
    """Put before a series to make it longer."""
    volume_hu = np.full(SHAPE, 40, np.int16)
    volume_hu[:2] = AIR_HU
    assert imaged_part(placed(volume_hu)).all(axis=(1, 2)).tolist() == [False, False, True, True, True, True]


def test_air_with_noise_was_imaged() -> None:
    """Values cut off at the lowest that can be stored lie among others, so they reach no more than a little inwards."""
    noise = np.random.default_rng(1).normal(-1000.0, 30.0, (30, 200, 200))
    assert imaged_part(placed(np.clip(noise, AIR_HU, None).astype(np.int16))).mean() > 0.99


def test_a_series_without_air_has_no_padding() -> None:
    """Its lowest value is tissue."""
    assert imaged_part(placed(np.full(SHAPE, -850, np.int16))).all()


def test_the_circle_of_coronal_slices_lies_in_their_plane(tmp_path: Path) -> None:
    """Rows and columns of the images, not of the body's cross-section."""
    images = ct_images(CtSeries(orientation=CORONAL, shape=(12, *SHAPE[1:]), spacing_mm=(10.0, 10.0, 10.0)))
    for image in images:
        stored = np.where(circle(16.0), 900, 0)
        stored[20, :] = 900
        image.PixelData = stored.astype("<u2").tobytes()
    volume = lps_from_source(read_volume(choose_series(write_images(tmp_path, images))))
    assert slice_axis(volume) == 1
    expected = np.flip(circle(16.0) | (np.arange(40) == 20)[:, None], axis=0)
    assert all(np.array_equal(part, expected) for part in imaged_part(volume).transpose(1, 0, 2))


def test_padding_is_marked_by_what_no_scanner_measures() -> None:
    """Everything else stays as it is."""
    volume_hu = np.full(SHAPE, 40, np.int16)
    volume_hu[:, :, :3] = AIR_HU
    marked = padding_marked(volume_hu, imaged_part(placed(volume_hu)))
    assert (marked[:, :, :3] == NOT_IMAGED_HU).all()
    assert (marked[:, :, 3:] == 40).all()
