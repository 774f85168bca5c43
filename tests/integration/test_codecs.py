"""Every compressed transfer syntax that CT comes in, coded by strangers and read back."""

import base64
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from builders.ct_series import CtSeries, ct_images, write_images
from builders.programs import program
from pipeline.choose import choose_series
from pipeline.errors import UnreadableStudyError
from pipeline.inflate import InflatesTooFarError, check_inflated_size
from pipeline.study import Volume
from pipeline.syntaxes import SHORT_NAMES, is_readable
from pipeline.volume import read_volume

SERIES = CtSeries(shape=(12, 48, 64), spacing_mm=(4.0, 5.0, 4.5))
CODED_BY_OPENJPH = json.loads((Path(__file__).parents[1] / "builders" / "htj2k.json").read_text())
"""One slice of the series: nothing that is installed codes HTJ2K."""

Coder = Callable[[list[FileDataset], Path], list[Path]]


def read(paths: Sequence[Path]) -> Volume:
    """As the pipeline does."""
    return read_volume(choose_series(paths))


def plain(folder: Path) -> Volume:
    """The series as it was before."""
    return read(write_images(folder / "plain", ct_images(SERIES)))


def by_dcmtk(name: str, *options: str) -> Coder:
    """A program of DCMTK, image by image, which keeps the SOP Instance UIDs."""

    def code(images: list[FileDataset], folder: Path) -> list[Path]:
        command = program(name, "apt-get install dcmtk")
        coded = []
        for path in write_images(folder, images):
            coded.append(path.with_suffix(".coded"))
            subprocess.run([command, *options, str(path), str(coded[-1])], check=True, capture_output=True, timeout=60)
        return coded

    return code


def by_pydicom(syntax: UID, **options: object) -> Coder:
    """pydicom's own encoders."""

    def code(images: list[FileDataset], folder: Path) -> list[Path]:
        for image in images:
            image.compress(syntax, generate_instance_uid=False, **options)
            if options:
                image.LossyImageCompression = "01"
        return write_images(folder, images)

    return code


def deflated(images: list[FileDataset], folder: Path) -> list[Path]:
    """The whole data set, as pydicom writes it."""
    for image in images:
        image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return write_images(folder, images)


def by_openjph(syntax: UID, kind: str) -> Coder:
    """One slice of the series; the others stay as they are."""

    def code(images: list[FileDataset], folder: Path) -> list[Path]:
        images[6].PixelData = encapsulate([base64.b64decode(CODED_BY_OPENJPH[kind])])
        images[6]["PixelData"].is_undefined_length = True
        images[6].file_meta.TransferSyntaxUID = syntax
        if kind == "lossy":
            images[6].LossyImageCompression = "01"
        return write_images(folder, images)

    return code


UNCHANGED = ("--uid-never",)
LOSSLESS: dict[UID, Coder] = {
    JPEGLossless: by_dcmtk("dcmcjpeg", "--encode-lossless", "--selection-value", "4", *UNCHANGED),
    JPEGLosslessSV1: by_dcmtk("dcmcjpeg", "--encode-lossless-sv1", *UNCHANGED),
    JPEGLSLossless: by_dcmtk("dcmcjpls", "--encode-lossless", *UNCHANGED),
    JPEG2000Lossless: by_pydicom(JPEG2000Lossless),
    HTJ2KLossless: by_openjph(HTJ2KLossless, "lossless"),
    HTJ2KLosslessRPCL: by_openjph(HTJ2KLosslessRPCL, "lossless"),
    RLELossless: by_dcmtk("dcmcrle", *UNCHANGED),
    DeflatedExplicitVRLittleEndian: deflated,
}
LOSSY: dict[UID, Coder] = {
    JPEGBaseline8Bit: by_dcmtk("dcmcjpeg", "--encode-baseline", "--quality", "95", *UNCHANGED),
    JPEGExtended12Bit: by_dcmtk("dcmcjpeg", "--encode-extended", "--quality", "95", *UNCHANGED),
    JPEGLSNearLossless: by_dcmtk("dcmcjpls", "--encode-nearlossless", "--max-deviation", "3", *UNCHANGED),
    JPEG2000: by_pydicom(JPEG2000, j2k_cr=[3]),
    HTJ2K: by_openjph(HTJ2K, "lossy"),
}
BITS = {JPEGBaseline8Bit: 8, JPEGExtended12Bit: 12}


def images_of(bits: int) -> list[FileDataset]:
    """The series in so many bits: of 8 with a slope that still spans lung and tissue."""
    images = ct_images(SERIES)
    for image in images:
        image.BitsStored, image.HighBit = bits, bits - 1
        if bits == 8:
            stored = np.frombuffer(image.PixelData, "<u2") // 8
            image.PixelData, image.BitsAllocated, image.RescaleSlope = stored.astype(np.uint8).tobytes(), 8, 8
            image["PixelData"].VR = "OB"
    return images


def test_no_syntax_of_the_table_is_untried() -> None:
    """What `check` lists is what is tested here."""
    assert set(SHORT_NAMES) == set(LOSSLESS) - {DeflatedExplicitVRLittleEndian} | set(LOSSY)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_lossless_images_are_read_back_equal(tmp_path: Path, syntax: UID) -> None:
    """Value for value, and nothing is said about loss."""
    paths = LOSSLESS[syntax](ct_images(SERIES), tmp_path)
    assert syntax in {dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID for path in paths}
    volume = read(paths)
    assert np.array_equal(volume.volume_hu, plain(tmp_path).volume_hu)
    assert not any("loss" in note for note in volume.qualifications)


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda syntax: syntax.name)
def test_lossy_images_are_read_and_said_to_be(tmp_path: Path, syntax: UID) -> None:
    """Close to what they were, in Hounsfield units; the findings are qualified."""
    paths = LOSSY[syntax](images_of(BITS.get(syntax, 16)), tmp_path)
    assert syntax in {dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID for path in paths}
    volume = read(paths)
    away = np.abs(volume.volume_hu.astype(int) - plain(tmp_path).volume_hu)
    assert away.mean() < 15
    assert any("compressed with loss" in note for note in volume.qualifications)


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2"),
        ("1.2.840.10008.1.2.4.110", "JPEG XL lossless"),
        ("1.2.840.113619.5.2", "an unknown transfer syntax"),
    ],
)
def test_a_syntax_that_no_codec_reads_is_a_named_failure(tmp_path: Path, uid: str, name: str) -> None:
    """The administrator learns which, and what to do: the study fails, it is not skipped."""
    assert not is_readable(uid)
    images = ct_images(SERIES)
    for image in images:
        image.compress(JPEG2000Lossless, generate_instance_uid=False)
    paths = write_images(tmp_path, images)
    for path in paths:
        rename_syntax(path, uid)
    with pytest.raises(UnreadableStudyError, match=rf"come as {name}.*no installed codec reads.*uncompressed"):
        choose_series(paths)


def rename_syntax(path: Path, uid: str) -> None:
    """Another Transfer Syntax UID over the same bytes."""
    image = dcmread(path)
    image.file_meta.TransferSyntaxUID = UID(uid)
    image.save_as(path, implicit_vr=False, little_endian=True)


def test_a_readable_series_is_preferred_to_one_that_no_codec_reads(tmp_path: Path) -> None:
    """A better kernel does not help."""
    images = ct_images(SERIES)
    for image in images:
        image.compress(JPEG2000Lossless, generate_instance_uid=False)
        image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.92"
    soft = CtSeries(shape=SERIES.shape, spacing_mm=SERIES.spacing_mm, uid="1.2.3.2", number=2, kernel="STANDARD")
    choice = choose_series([*write_images(tmp_path / "a", images), *write_images(tmp_path / "b", ct_images(soft))])
    assert choice.series_instance_uid == "1.2.3.2"
    assert "no installed codec reads" in choice.passed_over[0].reason


def test_values_of_eight_bits_that_cannot_tell_lung_from_tissue_are_refused(tmp_path: Path) -> None:
    """A picture in grey levels is no CT."""
    images = images_of(8)
    for image in images:
        image.RescaleSlope = 1
    with pytest.raises(Exception, match="span 255 HU only"):
        choose_series(write_images(tmp_path, images))


def test_a_deflated_bomb_is_named_and_not_inflated(tmp_path: Path) -> None:
    """One mebibyte of zeros stands for the gigabyte of an attack."""
    images = ct_images(SERIES)
    images[3].add_new(0x00091001, "OB", bytes(2**20))
    paths = deflated(images, tmp_path)
    check_inflated_size(paths[3])
    with pytest.raises(InflatesTooFarError, match="beyond 1 MiB"):
        check_inflated_size(paths[3], most_bytes=2**20)
