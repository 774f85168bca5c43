"""Images that lie about themselves: a reason, no crash, and no memory that they claim."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, JPEG2000Lossless, RLELossless

from builders.ct_series import CtSeries, ct_images, write_images
from pipeline.choose import choose_series
from pipeline.errors import PipelineError
from pipeline.volume import read_volume

SERIES = CtSeries(shape=(20, 32, 32), spacing_mm=(10.0, 10.0, 10.0))
MOST_BYTES = 64 * 2**20


def nested(depth: int) -> Sequence:
    """A sequence within a sequence within..., each of undefined length."""
    inner = Sequence([Dataset()])
    for _ in range(depth):
        item = Dataset()
        item.add_new(0x00400275, "SQ", inner)
        item[0x00400275].is_undefined_length = True
        item.is_undefined_length_sequence_item = True
        inner = Sequence([item])
    return inner


def nest(image: FileDataset, depth: int) -> None:
    """Put the sequences behind everything that the listener looks at."""
    image.add_new(0x00400275, "SQ", nested(depth))
    image[0x00400275].is_undefined_length = True


def label(image: FileDataset, syntax: UID) -> None:
    """Say that the bytes are compressed, which they are not."""
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = encapsulate([image.PixelData])
    image["PixelData"].VR, image["PixelData"].is_undefined_length = "OB", True


LIES: dict[str, Callable[[FileDataset], object]] = {
    "a matrix of 65535 by 65535": lambda image: image.update({"Rows": 65535, "Columns": 65535}),
    "no rows": lambda image: image.update({"Rows": 0}),
    "seven bits": lambda image: image.update({"BitsAllocated": 7}),
    "sixty-four bits": lambda image: image.update({"BitsAllocated": 64}),
    "more bits stored than allocated": lambda image: image.update({"BitsStored": 64}),
    "a high bit beyond all bits": lambda image: image.update({"HighBit": 200}),
    "a hundred thousand frames": lambda image: image.update({"NumberOfFrames": 100_000}),
    "a palette that is not there": lambda image: image.update({"PhotometricInterpretation": "PALETTE COLOR"}),
    "three samples": lambda image: image.update({"SamplesPerPixel": 3}),
    "a thousand samples": lambda image: image.update({"SamplesPerPixel": 1000}),
    "pixels cut off": lambda image: image.update({"PixelData": image.PixelData[:100]}),
    "no pixels": lambda image: image.update({"PixelData": b""}),
    "RLE that is none": lambda image: label(image, RLELossless),
    "JPEG 2000 that is none": lambda image: label(image, JPEG2000Lossless),
    "an endless slope": lambda image: image.update({"RescaleSlope": "1e308"}),
    "no spacing at all": lambda image: image.update({"PixelSpacing": [0, 0]}),
}


def read(folder: Path, change: Callable[[FileDataset], object]) -> str:
    """Why a series cannot be read in which every image was changed; empty where it can."""
    images = ct_images(SERIES)
    for image in images:
        change(image)
    paths = write_images(folder, images)
    try:
        read_volume(choose_series(paths))
    except PipelineError as error:
        return error.reason
    return ""


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ImagePositionPatient", ["0", "0", "1e999"]),
        ("ImagePositionPatient", ["0", "1e308", "1e308"]),
        ("ImageOrientationPatient", ["1e200", "0", "0", "0", "1e200", "0"]),
        ("PixelSpacing", ["1e999", "1"]),
        ("SliceThickness", "1e999"),
    ],
)
def test_numbers_beyond_all_measure_cost_their_own_series_only(
    tmp_path: Path, name: str, value: object, count: int
) -> None:
    """A good series beside it is read."""
    images = ct_images(replace(SERIES, shape=(12, 32, 32), uid="1.2.3.2"))
    with disable_value_validation():
        for image in images[:count]:
            setattr(image, name, value)
        paths = write_images(tmp_path, images, prefix="endless") + write_images(tmp_path, ct_images(SERIES))
    assert choose_series(paths).series_instance_uid == SERIES.uid


def test_the_series_is_read_when_nothing_lies(tmp_path: Path) -> None:
    """So that each refusal below is for the lie."""
    assert read(tmp_path, lambda _: None) == ""


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.filterwarnings("ignore")
def test_an_image_that_lies_about_itself_is_refused_with_a_reason_and_no_memory(tmp_path: Path, lie: str) -> None:
    """The reason is in our words; what the image claims to need is never allocated."""
    tracemalloc.start()
    try:
        reason = read(tmp_path, LIES[lie])
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert reason


@pytest.mark.parametrize("depth", [10, 65])
def test_sequences_as_deep_as_real_ones_do_not_hinder(tmp_path: Path, depth: int) -> None:
    """Behind what the listener looks at anything may be stored."""
    assert read(tmp_path, lambda image: nest(image, depth)) == ""
