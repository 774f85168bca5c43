"""What a source image says of itself may be malformed: the result is made all the same, and repeats none of it."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from builders.analysis import StudyPlan, build_analysis, build_context
from builders.programs import complaints
from dicom_node.results.plan import ResultPlan
from dicom_node.results.readable import drop_unreadable
from dicom_node.results.write import write_result_set

pytestmark = pytest.mark.filterwarnings(
    "ignore:Invalid value for VR:UserWarning", "ignore:The value length:UserWarning"
)

Change = Callable[[Dataset], None]


def raw(keyword: str, vr: str, value: bytes) -> Change:
    """Images with these very bytes."""

    def put(image: Dataset) -> None:
        image[keyword] = RawDataElement(
            Tag(keyword), vr, len(value), value, 0, is_implicit_VR=False, is_little_endian=True
        )

    return put


def lossy(keyword: str, vr: str, value: bytes) -> Change:
    """Images with loss, and these very bytes."""

    def put(image: Dataset) -> None:
        image.LossyImageCompression = "01"
        raw(keyword, vr, value)(image)

    return put


def with_nul_between(keyword: str) -> Change:
    """Images with a NUL after each number of a decimal string."""

    def put(image: Dataset) -> None:
        numbers = image[keyword].value
        texts = [numbers] if isinstance(numbers, float | str) else list(numbers)
        value = "\\".join(f"{text}\0" for text in texts).encode()
        raw(keyword, "DS", value + b" " * (len(value) % 2))(image)

    return put


def results_of(folder: Path, change: Change, *, multi_frame: bool = False) -> dict[str, Dataset]:
    """The DICOM results of a study of such images, by file name."""
    analysis = build_analysis(folder / "ct", StudyPlan(change_header=change, multi_frame=multi_frame))
    plan = ResultPlan(capture=True, presentation_state=True, key_objects=True)
    written = write_result_set(analysis, build_context(plan=plan), folder=folder / "out")
    return {file.path.name: pydicom.dcmread(file.path) for file in written if file.sop_class_uid}


MALFORMED = {
    "two frames of reference": raw("FrameOfReferenceUID", "UI", b"1.2.3.4\\1.2.3.5\0"),
    "a second frame of reference alone": raw("FrameOfReferenceUID", "UI", b"\\1.2.3.5"),
    "frame of reference as a number": raw("FrameOfReferenceUID", "US", b"ab"),
    "ratio with a comma": lossy("LossyImageCompressionRatio", "DS", b"12,5"),
    "ratio in words": lossy("LossyImageCompressionRatio", "DS", b"12:1"),
    "ratio that is no number": lossy("LossyImageCompressionRatio", "DS", b"NaN "),
    "ratio of many digits": lossy("LossyImageCompressionRatio", "DS", b"0.1234567890123456789 "),
    "method in words": lossy("LossyImageCompressionMethod", "CS", b"jpeg, baseline"),
    "two names": raw("PatientName", "PN", b"Smith^Ann\\Jones^Ann"),
    "name as a number": raw("PatientName", "US", b"ab"),
    "referring physician as a number": raw("ReferringPhysicianName", "US", b"ab"),
    "position indicator of the wrong kind": raw("PositionReferenceIndicator", "US", b"ab"),
    "sequence that is text": raw("OtherPatientIDsSequence", "LO", b"abcd"),
    "position with NULs": with_nul_between("ImagePositionPatient"),
    "orientation with NULs": with_nul_between("ImageOrientationPatient"),
    "spacing with NULs": with_nul_between("PixelSpacing"),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_element_costs_no_result(tmp_path: Path, change: Change) -> None:
    """All objects are made, and a stranger finds nothing to complain about."""
    assert len(results_of(tmp_path, change)) == 8
    for name in ("sr.dcm", "seg-lungs.dcm", "capture-001.dcm"):
        assert complaints("dciodvfy", "-new", tmp_path / "out" / name) == []


UNREADABLE = {
    "a number of three bytes": (b"\x10\x00\xc0\x21US\2\0\4\0", b"\x10\x00\xc0\x21US\3\0\4\0\0"),
    "a date of a kind that does not exist": (b"\x08\x00\x20\x00DA", b"\x08\x00\x20\x00NO"),
}


@pytest.mark.parametrize(("written", "hostile"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_element_that_cannot_be_decoded_costs_no_result(tmp_path: Path, written: bytes, hostile: bytes) -> None:
    """pydicom raises BytesLengthException and NotImplementedError over them."""
    analysis = build_analysis(tmp_path / "ct", StudyPlan(change_header=raw("PregnancyStatus", "US", b"\4\0")))
    for path in {header.path for header in analysis.volume.slice_headers}:
        whole = path.read_bytes()
        assert written in whole
        path.write_bytes(whole.replace(written, hostile, 1))
    write_result_set(analysis, build_context(), folder=tmp_path / "out")
    assert pydicom.dcmread(tmp_path / "out" / "seg-lungs.dcm").PatientID


@pytest.mark.parametrize("name", ["two frames of reference", "ratio with a comma"])
def test_a_malformed_element_of_frames_costs_no_result(tmp_path: Path, name: str) -> None:
    """Nor where the source is one multi-frame image."""
    assert results_of(tmp_path, MALFORMED[name], multi_frame=True)


def test_the_first_of_several_values_is_repeated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Frame of reference and name are one each, and the log says what was passed over."""

    def change(image: Dataset) -> None:
        MALFORMED["two frames of reference"](image)
        MALFORMED["two names"](image)

    results = results_of(tmp_path, change)
    assert {str(result.PatientName) for result in results.values()} == {"Smith^Ann"}
    assert results["seg-lungs.dcm"].FrameOfReferenceUID == "1.2.3.4"
    assert "several values of FrameOfReferenceUID" in caplog.text
    assert "Smith" not in caplog.text


@pytest.mark.parametrize("value", [b" 01 ", b"01\\01 ", b"00\\01 "])
def test_loss_is_said_however_carelessly_the_source_says_it(tmp_path: Path, value: bytes) -> None:
    """In one value, and without what is no ratio (PS3.3 C.7.6.1.1.5)."""

    def change(image: Dataset) -> None:
        raw("LossyImageCompression", "CS", value)(image)
        raw("LossyImageCompressionRatio", "DS", b"12,5")(image)

    results = results_of(tmp_path, change)
    for name in ("seg-lungs.dcm", "capture-001.dcm"):
        assert results[name].LossyImageCompression == "01"
        assert "LossyImageCompressionRatio" not in results[name]


def test_unreadable_elements_of_items_are_dropped_alone() -> None:
    """The rest of the item stays, and so does text, however it is filled."""
    item = Dataset()
    item.PatientID, item.TypeOfPatientID = "7", "TEXT"
    item.PregnancyStatus = 4
    image = Dataset()
    image.OtherPatientIDsSequence = [item]
    raw("PatientSize", "DS", b"1,80")(image)
    encoded = BytesIO()
    image.save_as(encoded, implicit_vr=False, little_endian=True)
    written, hostile = b"\xc0\x21US\2\0\4\0", b"\xc0\x21NO\2\0\4\0"
    assert written in encoded.getvalue()
    read = pydicom.dcmread(BytesIO(encoded.getvalue().replace(written, hostile)), force=True)
    drop_unreadable(read)
    assert list(read.OtherPatientIDsSequence[0].keys()) == [Tag("PatientID"), Tag("TypeOfPatientID")]
    assert read.PatientSize == "1,80"
