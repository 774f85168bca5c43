"""Geometry that source images say senselessly or at length costs no result, and is not repeated in one."""

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from builders.analysis import SLICE_SPACING_MM, StudyPlan, build_analysis, build_context
from builders.programs import complaints
from dicom_node.results.source import read_source_images
from dicom_node.results.write import write_result_set

pytestmark = pytest.mark.filterwarnings(
    "ignore:Invalid value for VR:UserWarning", "ignore:The value length:UserWarning"
)

SENSELESS = (b"NaN ", b"1,0 ", b"-5 ", b"0 ", b"5\\5 ", b"1e999 ", b"thin")


def saying(keyword: str, raw: bytes) -> Callable[[Dataset], None]:
    """Images with these very bytes."""

    def put(image: Dataset) -> None:
        image[keyword] = RawDataElement(
            Tag(keyword), "DS", len(raw), raw, 0, is_implicit_VR=False, is_little_endian=True
        )

    return put


def lengthened(image: Dataset) -> None:
    """All decimal strings of the geometry with twenty digits after the point."""
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        texts = [f"{float(number):.20f}" for number in image[keyword].value]
        image[keyword] = DataElement(keyword, "DS", texts, validation_mode=IGNORE)


@pytest.mark.parametrize("multi_frame", [False, True])
@pytest.mark.parametrize("raw", SENSELESS)
def test_a_senseless_thickness_is_the_distance_of_the_slices(tmp_path: Path, raw: bytes, multi_frame: bool) -> None:
    """As where there is none."""
    plan = StudyPlan(change_header=saying("SliceThickness", raw), multi_frame=multi_frame)
    for image in read_source_images(build_analysis(tmp_path / "ct", plan).volume).datasets:
        assert float(image.SliceThickness) == SLICE_SPACING_MM


@pytest.mark.parametrize("raw", SENSELESS)
def test_a_senseless_spacing_is_dropped(tmp_path: Path, raw: bytes) -> None:
    """The positions say it."""
    plan = StudyPlan(change_header=saying("SpacingBetweenSlices", raw))
    for image in read_source_images(build_analysis(tmp_path / "ct", plan).volume).datasets:
        assert "SpacingBetweenSlices" not in image


@pytest.mark.parametrize("keyword", ["SliceThickness", "SpacingBetweenSlices"])
@pytest.mark.parametrize("raw", [b"NaN ", b"1,0 ", b"-5 "])
def test_whole_results_are_written_all_the_same(tmp_path: Path, keyword: str, raw: bytes) -> None:
    """A stranger finds nothing to complain about."""
    analysis = build_analysis(tmp_path / "ct", StudyPlan(change_header=saying(keyword, raw)))
    written = [file.path for file in write_result_set(analysis, build_context(), folder=tmp_path / "out")]
    for path in written:
        if path.suffix == ".dcm":
            assert complaints("dciodvfy", "-new", path) == []


@pytest.mark.parametrize("multi_frame", [False, True])
def test_no_result_repeats_a_decimal_string_that_is_too_long(tmp_path: Path, multi_frame: bool) -> None:
    """At most 16 characters (PS3.5 6.2), and the same place."""
    plan = StudyPlan(change_header=lengthened, multi_frame=multi_frame)
    analysis = build_analysis(tmp_path / "ct", plan)
    write_result_set(analysis, build_context(), folder=tmp_path / "out")
    segmentation = pydicom.dcmread(tmp_path / "out" / "seg-lungs.dcm")
    frames = segmentation.PerFrameFunctionalGroupsSequence
    texts = [str(value) for frame in frames for value in frame.PlanePositionSequence[0].ImagePositionPatient]
    assert texts
    assert max(map(len, texts)) <= 16
    assert complaints("dciodvfy", "-new", tmp_path / "out" / "seg-lungs.dcm") == []
    assert complaints("dciodvfy", "-new", tmp_path / "out" / "sr.dcm") == []


def test_the_digits_of_the_source_are_kept_where_they_fit(tmp_path: Path) -> None:
    """Viewers match frames and images by them."""

    def say(image: Dataset) -> None:
        z = f"{float(image.ImagePositionPatient[2]):.4f}"
        image["ImagePositionPatient"] = DataElement("ImagePositionPatient", "DS", ["-141.7500", "-147.50", z])

    analysis = build_analysis(tmp_path / "ct", StudyPlan(change_header=say))
    write_result_set(analysis, build_context(), folder=tmp_path / "out")
    frame = pydicom.dcmread(tmp_path / "out" / "seg-lungs.dcm").PerFrameFunctionalGroupsSequence[0]
    assert str(frame.PlanePositionSequence[0].ImagePositionPatient[0]) == "-141.7500"
