"""Loss by a compression that may lose something or nothing."""

import base64
import json
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2K, JPEG2000, JPEG2000Lossless

from builders.ct_series import CtSeries, ct_images, write_images
from pipeline.compression import Loss
from pipeline.survey import survey_series

SERIES = CtSeries(shape=(10, 64, 64))


def series(*, is_irreversible: bool, flag: str | None) -> list[FileDataset]:
    """JPEG 2000 by either wavelet, in the syntax that allows both."""
    images = ct_images(SERIES)
    for image in images:
        image.BitsStored, image.HighBit = 12, 11
        if is_irreversible:
            image.compress(JPEG2000, j2k_cr=[20], generate_instance_uid=False)
        else:
            image.compress(JPEG2000Lossless, generate_instance_uid=False)
            image.file_meta.TransferSyntaxUID = JPEG2000
        for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            image.pop(keyword, None)
        if flag is not None:
            image.LossyImageCompression = flag
    return images


@pytest.mark.parametrize(
    ("is_irreversible", "flag", "loss"),
    [
        (True, None, Loss.CERTAIN),
        (True, "00", Loss.CERTAIN),
        (True, "01", Loss.CERTAIN),
        (False, None, Loss.POSSIBLE),
        (False, "00", Loss.NONE),
        (False, "01", Loss.CERTAIN),
    ],
)
def test_the_wavelet_tells_what_the_header_does_not(
    tmp_path: Path, *, is_irreversible: bool, flag: str | None, loss: Loss
) -> None:
    """The 9-7 filter always loses something; the 5-3 filter may have been cut short."""
    (judged,) = survey_series(write_images(tmp_path, series(is_irreversible=is_irreversible, flag=flag))).judged
    assert judged.notes == ((loss.value,) if loss.value else ())
    assert judged.is_lossy == (loss is Loss.CERTAIN)


@pytest.mark.parametrize("damage", [b"", b"\xff\x4f\xff\x51", b"\xff\x4f\xff\x51" + bytes(100)])
def test_a_codestream_that_tells_nothing_may_have_lost_something(tmp_path: Path, damage: bytes) -> None:
    """Whether it can be decoded is found later."""
    images = series(is_irreversible=False, flag=None)
    for image in images:
        start = image.PixelData.index(b"\xff\x4f\xff\x51")
        image.PixelData = image.PixelData[:start] + damage.ljust(len(image.PixelData) - start, b"\0")
        image["PixelData"].is_undefined_length = True
    (judged,) = survey_series(write_images(tmp_path, images)).judged
    assert judged.notes == (Loss.POSSIBLE.value,)


@pytest.mark.parametrize(("kind", "loss"), [("lossless", Loss.POSSIBLE), ("lossy", Loss.CERTAIN)])
def test_htj2k_tells_it_as_jpeg_2000_does(tmp_path: Path, kind: str, loss: Loss) -> None:
    """By the same marker (ITU-T T.814)."""
    coded = json.loads((Path(__file__).parents[1] / "builders" / "htj2k.json").read_text())[kind]
    images = ct_images(CtSeries(shape=(12, 48, 64)))
    for image in images:
        image.PixelData = encapsulate([base64.b64decode(coded)])
        image["PixelData"].is_undefined_length = True
        image.file_meta.TransferSyntaxUID = HTJ2K
    (judged,) = survey_series(write_images(tmp_path, images)).judged
    assert judged.notes == ((loss.value,) if loss.value else ())
