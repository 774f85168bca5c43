"""What source images say about their acquisition stands in the results as it must be written, or not at all."""

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from builders.analysis import StudyPlan, build_analysis, build_context
from builders.programs import complaints
from dicom_node.results.acquisition import acquisition_date_time, settle_lossy_compression
from dicom_node.results.plan import ResultPlan
from dicom_node.results.write import write_result_set

pytestmark = pytest.mark.filterwarnings(
    "ignore:Invalid value for VR:UserWarning", "ignore:The value length:UserWarning"
)


def saying(**values: object) -> Callable[[Dataset], None]:
    """Puts values into a source image as they are, valid or not."""

    def put(image: Dataset) -> None:
        for keyword, value in values.items():
            image[keyword] = DataElement(keyword, dictionary_VR(keyword), value, validation_mode=IGNORE)

    return put


def results_of(folder: Path, change: Callable[[Dataset], None], *, multi_frame: bool = False) -> dict[str, Dataset]:
    """The DICOM results of a study of such images, by file name."""
    analysis = build_analysis(folder / "ct", StudyPlan(change_header=change, multi_frame=multi_frame))
    plan = ResultPlan(capture=True, presentation_state=True, key_objects=True)
    written = write_result_set(analysis, build_context(plan=plan), folder=folder / "out")
    return {file.path.name: pydicom.dcmread(file.path) for file in written if file.sop_class_uid}


ODD_HEADERS = {
    "offset out of range": saying(TimezoneOffsetFromUTC="+2600"),
    "offset of 99 minutes": saying(TimezoneOffsetFromUTC="+0199"),
    "offset in words": saying(TimezoneOffsetFromUTC="GMT+1"),
    "two offsets": saying(TimezoneOffsetFromUTC=["+0100", "+0200"]),
    "no offset": saying(TimezoneOffsetFromUTC=""),
    "time with colons": saying(AcquisitionTime="10:15:00"),
    "date with dots": saying(AcquisitionDate="2024.03.05", StudyDate="2024.03.05"),
    "two dates": saying(AcquisitionDate=["20240305", "20240306"]),
    "ISO 8601": saying(AcquisitionDateTime="2024-03-05T10:15:00"),
    "impossible offset": saying(AcquisitionDateTime="20240305101500+2600"),
}


@pytest.mark.parametrize("change", ODD_HEADERS.values(), ids=ODD_HEADERS)
def test_odd_dates_and_offsets_make_no_result_invalid(tmp_path: Path, change: Callable[[Dataset], None]) -> None:
    """A stranger finds nothing to complain about, and no result names an offset that is none."""
    for name, result in results_of(tmp_path, change).items():
        assert "TimezoneOffsetFromUTC" not in result
        assert complaints("dciodvfy", "-new", tmp_path / "out" / name) == []


@pytest.mark.parametrize("change", [ODD_HEADERS["two offsets"], ODD_HEADERS["ISO 8601"]])
def test_frames_are_settled_as_single_images_are(tmp_path: Path, change: Callable[[Dataset], None]) -> None:
    """A frame has its own date and time of acquisition."""
    for name, result in results_of(tmp_path, change, multi_frame=True).items():
        assert "TimezoneOffsetFromUTC" not in result
        assert complaints("dciodvfy", "-new", tmp_path / "out" / name) == []


def test_an_offset_that_is_one_stands_in_every_result(tmp_path: Path) -> None:
    """Times are those of its zone."""
    results = results_of(tmp_path, saying(TimezoneOffsetFromUTC="-0330"))
    assert {result.TimezoneOffsetFromUTC for result in results.values()} == {"-0330"}
    assert {result.InstanceCreationTime for result in results.values()} == {"090015.000000"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"AcquisitionDateTime": "20240305101500.5+0100"}, "20240305101500.5+0100"),
        ({"AcquisitionDateTime": "20240305"}, "20240305"),
        ({"AcquisitionDate": "20240305", "AcquisitionTime": "101500.25"}, "20240305101500.25"),
        ({"AcquisitionDate": "2024.03.05", "AcquisitionTime": "10:15:00"}, "20240305101500"),
        ({"AcquisitionDate": "20240305", "AcquisitionTime": "noon"}, "20240305"),
        ({"AcquisitionDateTime": "today", "AcquisitionDate": "20240305", "AcquisitionTime": "10"}, "2024030510"),
        ({"AcquisitionDateTime": "20240305101500+2600", "AcquisitionDate": "20240306"}, "20240306"),
        ({"AcquisitionDate": "20240230", "AcquisitionTime": "101500"}, ""),
        ({"AcquisitionTime": "101500"}, ""),
        ({}, ""),
    ],
)
def test_acquisition_date_time_is_made_of_what_is_valid(said: dict[str, str], expected: str) -> None:
    """From the DateTime, else from date and time; a time alone is no instant."""
    image = Dataset()
    saying(**said)(image)
    assert acquisition_date_time(image) == expected


def test_a_capture_of_a_lossy_image_is_lossy(tmp_path: Path) -> None:
    """Once compressed with loss, always (PS3.3 C.7.6.1.1.5), with how, and how much."""
    lossy = saying(
        LossyImageCompression="01", LossyImageCompressionRatio="10", LossyImageCompressionMethod="ISO_15444_1"
    )
    results = results_of(tmp_path, lossy)
    captures = [result for name, result in results.items() if name.startswith("capture")]
    assert len(captures) == 2
    for capture in captures:
        assert capture.LossyImageCompression == "01"
        assert float(capture.LossyImageCompressionRatio) == 10
        assert capture.LossyImageCompressionMethod == "ISO_15444_1"
        assert complaints("dciodvfy", "-new", tmp_path / "out" / "capture-001.dcm") == []


def test_a_lossy_image_that_does_not_say_how_makes_valid_captures(tmp_path: Path) -> None:
    """Nothing is made up."""
    results = results_of(tmp_path, saying(LossyImageCompression="01"))
    assert results["capture-001.dcm"].LossyImageCompression == "01"
    assert "LossyImageCompressionRatio" not in results["capture-001.dcm"]
    for name in results:
        assert complaints("dciodvfy", "-new", tmp_path / "out" / name) == []


def test_a_capture_of_an_image_without_loss_says_so(tmp_path: Path) -> None:
    """Nothing was lost before, and nothing is by drawing on it."""
    capture = results_of(tmp_path, lambda _: None)["capture-001.dcm"]
    assert capture.LossyImageCompression == "00"
    assert "LossyImageCompressionRatio" not in capture


@pytest.mark.parametrize(
    ("syntax", "method"),
    [(JPEGBaseline8Bit, "ISO_10918_1"), (JPEGExtended12Bit, "ISO_10918_1"), (JPEGLSNearLossless, "ISO_14495_1")],
)
def test_an_image_in_a_lossy_transfer_syntax_is_lossy_whatever_it_says(syntax: str, method: str) -> None:
    """Senders forget the attribute, or leave the value of before."""
    image = Dataset()
    image.LossyImageCompression = "00"
    settle_lossy_compression(image, syntax)
    assert (image.LossyImageCompression, image.LossyImageCompressionMethod) == ("01", method)
