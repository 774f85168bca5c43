"""Codestreams within whole files: they may have been cut before the file was written."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from builders.ct_series import CtSeries, ct_images, write_images
from builders.jpeg_lossless import compress_jpeg_lossless
from pipeline.choose import choose_series
from pipeline.errors import UnreadableStudyError
from pipeline.volume import read_slice, read_volume

SERIES = CtSeries(shape=(10, 64, 64))


def compressed(syntax: UID) -> list[FileDataset]:
    """A series in a syntax."""
    images = ct_images(SERIES)
    for image in images:
        if syntax == JPEGLosslessSV1:
            compress_jpeg_lossless(image)
        else:
            image.compress(syntax, generate_instance_uid=False)
    return images


def with_codestream(path: Path, codestream: bytes) -> None:
    """Put another codestream into a file, which stays whole."""
    image = dcmread(path)
    image.PixelData = encapsulate([codestream])
    image["PixelData"].is_undefined_length = True
    image.save_as(path)


def codestream_of(path: Path) -> bytes:
    """The one frame of a file."""
    return next(generate_frames(dcmread(path).PixelData, number_of_frames=1))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_codestream_that_was_cut_names_the_file(tmp_path: Path, syntax: UID, share: float) -> None:
    """Some decoders fill what is missing of a slice and say nothing."""
    paths = write_images(tmp_path, compressed(syntax))
    whole = codestream_of(paths[4])
    with_codestream(paths[4], whole[: int(share * len(whole)) // 2 * 2])
    with pytest.raises(
        UnreadableStudyError, match=r"image-0004\.dcm cannot be read: its pixels are damaged or cut off"
    ):
        read_volume(choose_series(paths))
    with pytest.raises(UnreadableStudyError, match="damaged or cut off"):
        read_slice(paths[4], None)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("padding", [b"\0\0", b"\xff\xff", b"  "])
def test_what_follows_the_end_of_a_codestream_is_no_damage(tmp_path: Path, syntax: UID, padding: bytes) -> None:
    """Fragments are padded to an even length, with whatever the encoder has."""
    paths = write_images(tmp_path, compressed(syntax))
    with_codestream(paths[4], codestream_of(paths[4]) + padding)
    assert read_volume(choose_series(paths)).grid.shape == SERIES.shape
