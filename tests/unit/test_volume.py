"""The volume read from a series: values in HU, voxels in their place."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from builders.ct_series import CtSeries, ct_images, slice_positions, write_images
from builders.jpeg_lossless import compress_jpeg_lossless
from pipeline.choose import choose_series
from pipeline.errors import UnreadableStudyError
from pipeline.study import AIR_HU, Volume
from pipeline.volume import read_volume

SERIES = CtSeries(shape=(12, 48, 64), spacing_mm=(4.0, 5.0, 4.5))


def read(folder: Path, images: list[FileDataset]) -> Volume:
    """The images written and read."""
    return read_volume(choose_series(write_images(folder, images)))


def test_every_slice_has_its_own_rescale(tmp_path: Path) -> None:
    """Slope and intercept may differ from slice to slice (GE, PET-CT)."""
    expected = read(tmp_path / "even", ct_images(SERIES)).volume_hu
    images = ct_images(SERIES)
    stored = np.frombuffer(images[5].PixelData, "<u2")
    images[5].PixelData = (stored * 2 + 100).astype("<u2").tobytes()
    images[5].RescaleSlope, images[5].RescaleIntercept = 0.5, -1074
    assert np.array_equal(read(tmp_path / "mixed", images).volume_hu, expected)


@pytest.mark.parametrize(("value", "signed"), [(63536, 1), (-2000, 1), (5, 0)])
def test_padding_becomes_air(tmp_path: Path, value: int, signed: int) -> None:
    """Whatever stands outside the scanned circle, as a signed or an unsigned number, is not tissue."""
    images = ct_images(SERIES)
    for image in images:
        stored = np.frombuffer(image.PixelData, "<u2").astype("<i4")
        stored[:64] = value - 65536 if value > 32767 else value
        image.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
        image.PixelRepresentation = signed
        image.add_new("PixelPaddingValue", "SS" if value < 0 else "US", value)
    assert (read(tmp_path, images).volume_hu[:, 0] == AIR_HU).all()


def test_a_range_of_padding_becomes_air(tmp_path: Path) -> None:
    """Pixel Padding Value to Pixel Padding Range Limit, both ends with it, in whichever order they are written."""
    images = ct_images(SERIES)
    for image in images:
        stored = np.frombuffer(image.PixelData, "<u2").copy()
        stored[:64] = np.linspace(3000, 3063, 64)
        image.PixelData = stored.tobytes()
        image.add_new("PixelPaddingValue", "US", 3063)
        image.add_new("PixelPaddingRangeLimit", "US", 3000)
    volume_hu = read(tmp_path, images).volume_hu
    assert (volume_hu[:, 0] == AIR_HU).all()
    assert np.array_equal(volume_hu[:, 1:], read(tmp_path / "plain", ct_images(SERIES)).volume_hu[:, 1:])


@pytest.mark.parametrize("limit", [None, 63537])
def test_a_range_of_padding_without_both_ends_is_its_value(tmp_path: Path, limit: int | None) -> None:
    """Pixel Padding Range Limit may be there and empty; without Pixel Padding Value it says nothing."""
    images = ct_images(SERIES)
    for image in images:
        stored = np.frombuffer(image.PixelData, "<u2").copy()
        stored[:64] = 3063
        image.PixelData = stored.tobytes()
        image.add_new("PixelPaddingValue", "US", None if limit else 3063)
        image.add_new("PixelPaddingRangeLimit", "US", limit)
    assert (read(tmp_path, images).volume_hu[:, 0] == (3063 - 1024 if limit else AIR_HU)).all()


@pytest.mark.parametrize(
    ("padding", "signed", "vr", "named"),
    [(-2000, 0, "US", 63536), (-2000, 0, "SS", -2000), (-3024, 1, "SS", -3024)],
)
def test_padding_beyond_the_stored_bits_becomes_air(
    tmp_path: Path, padding: int, signed: int, vr: str, named: int
) -> None:
    """12 bits are stored; the value that the header names stands in the 16 that are allocated."""
    expected = read(tmp_path / "plain", ct_images(SERIES)).volume_hu
    images = ct_images(SERIES)
    for image in images:
        stored = np.frombuffer(image.PixelData, "<u2").astype("<i2")
        stored[:64] = padding
        image.PixelData, image.PixelRepresentation = stored.tobytes(), signed
        image.BitsStored, image.HighBit = 12, 11
        image.add_new("PixelPaddingValue", vr, named)
    volume_hu = read(tmp_path / "padded", images).volume_hu
    assert (volume_hu[:, 0] == AIR_HU).all()
    assert np.array_equal(volume_hu[:, 1:], expected[:, 1:])


def test_bits_beyond_those_stored_are_no_part_of_a_value(tmp_path: Path) -> None:
    """Old scanners draw in them (PS3.5 8.1.1)."""
    expected = read(tmp_path / "plain", ct_images(SERIES)).volume_hu
    images = ct_images(SERIES)
    for image in images:
        image.PixelData = (np.frombuffer(image.PixelData, "<u2") | 0x1000).astype("<u2").tobytes()
        image.BitsStored, image.HighBit = 12, 11
    assert np.array_equal(read(tmp_path / "drawn", images).volume_hu, expected)


@pytest.mark.parametrize("padding_hu", [-3024, -2000, -2048])
def test_padding_that_no_element_names_becomes_air(tmp_path: Path, padding_hu: int) -> None:
    """Some scanners write far less than air around the circle and no Pixel Padding Value."""
    images = ct_images(SERIES)
    for image in images:
        stored = np.frombuffer(image.PixelData, "<u2").astype("<i4")
        stored[:64] = padding_hu + 1024
        image.PixelData, image.PixelRepresentation = stored.astype("<i2").tobytes(), 1
    volume_hu = read(tmp_path, images).volume_hu
    assert (volume_hu[:, 0] == AIR_HU).all()
    assert volume_hu.min() == AIR_HU


def test_negative_padding_in_unsigned_pixels_becomes_air(tmp_path: Path) -> None:
    """-2000 is 63536 there: more than any scale of CT reaches, and it would be the densest bone."""
    images = ct_images(SERIES)
    for image in images:
        stored = np.frombuffer(image.PixelData, "<u2").copy()
        stored[:64] = 63536
        image.PixelData = stored.tobytes()
    volume_hu = read(tmp_path, images).volume_hu
    assert (volume_hu[:, 0] == AIR_HU).all()
    assert np.array_equal(volume_hu[:, 1:], read(tmp_path / "plain", ct_images(SERIES)).volume_hu[:, 1:])


@pytest.mark.parametrize("spacing_mm", [1.25, 2.0, 2.5, 3.0, 5.0])
def test_slices_of_every_usual_distance_make_a_volume(tmp_path: Path, spacing_mm: float) -> None:
    """From thin to thick, with the distance that they have."""
    volume = read(tmp_path, ct_images(CtSeries(shape=(14, 16, 16), spacing_mm=(spacing_mm, 20.0, 20.0))))
    assert volume.grid.spacing_mm == pytest.approx((spacing_mm, 20.0, 20.0))


def test_the_affine_leads_to_the_position_of_every_slice(tmp_path: Path) -> None:
    """Voxel (k, 0, 0) lies where Image Position (Patient) says."""
    volume = read(tmp_path, ct_images(SERIES))
    corners = np.array([[k, 0, 0, 1] for k in range(12)]) @ volume.grid.affine_lps_from_kji.T
    assert np.allclose(corners[:, :3], slice_positions(SERIES), atol=1e-6)
    assert np.allclose(volume.grid.spacing_mm, SERIES.spacing_mm)


def test_each_slice_keeps_its_own_header(tmp_path: Path) -> None:
    """Results refer to images by slice, so slice k and header k belong together."""
    volume = read(tmp_path, ct_images(SERIES)[::-1])
    assert [header.sop_instance_uid for header in volume.slice_headers] == [f"1.2.3.1.{k + 1}" for k in range(12)]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_images_give_the_same_values(tmp_path: Path, syntax: UID) -> None:
    """Lossless compression on the way changes nothing."""
    images = ct_images(SERIES)
    for image in images:
        image.compress(syntax, generate_instance_uid=False)
    expected = read(tmp_path / "plain", ct_images(SERIES)).volume_hu
    assert np.array_equal(read(tmp_path / "compressed", images).volume_hu, expected)


def test_jpeg_lossless_gives_the_same_values(tmp_path: Path) -> None:
    """What many archives store CT in (PS3.5 A.4.1)."""
    images = ct_images(SERIES)
    for image in images:
        compress_jpeg_lossless(image)
    expected = read(tmp_path / "plain", ct_images(SERIES)).volume_hu
    assert np.array_equal(read(tmp_path / "compressed", images).volume_hu, expected)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_pixels_that_are_cut_off_name_the_file(tmp_path: Path, syntax: UID) -> None:
    """A file that ends too early fails the study instead of filling the slice with something."""
    images = ct_images(SERIES)
    for image in images:
        if syntax.is_compressed:
            image.compress(syntax, generate_instance_uid=False)
    paths = write_images(tmp_path, images)
    choice = choose_series(paths)
    whole = paths[6].read_bytes()
    paths[6].write_bytes(whole[: len(whole) - 200])
    with pytest.raises(UnreadableStudyError, match=r"image-0006\.dcm"):
        read_volume(choice)


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    """Between choosing and reading anything can happen to a disk."""
    paths = write_images(tmp_path, ct_images(SERIES))
    choice = choose_series(paths)
    paths[3].unlink()
    with pytest.raises(UnreadableStudyError, match=r"image-0003\.dcm"):
        read_volume(choice)
