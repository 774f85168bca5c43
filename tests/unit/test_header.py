"""What the index learns from the first bytes of an instance."""

import struct
import tracemalloc
import zlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from builders.instances import compressed_ct_instance, ct_instance, dose_report, encoded, enhanced_ct_instance
from dicom_node.listen.errors import (
    DamagedDataSetError,
    NotUnderstoodError,
    UidInvalidError,
    UidMissingError,
    UnreasonableDataSetError,
)
from dicom_node.listen.header import HEAD_BYTES, Header, read_header
from storage.records import PatientKey

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
SEQUENCE = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff"


def header_of(**changes: object) -> Header:
    """Header of a CT image with changed attributes."""
    return read_header(encoded(ct_instance(**changes)), ExplicitVRLittleEndian)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_header_is_read_in_every_encoding(syntax: str) -> None:
    """The same data set gives the same header, whatever its transfer syntax."""
    header = read_header(encoded(ct_instance(7), syntax), syntax)
    assert header == Header(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=ct_instance(7).SOPInstanceUID,
        study_instance_uid="1.2.3.4",
        series_instance_uid="1.2.3.4.1",
        patient=PatientKey(patient_id="P1", issuer="HOSPITAL"),
        patient_name="Phantom^Petra",
        birth_date="19700101",
        sex="F",
        accession_number="A1",
        study_description="Chest",
        series_description="LUNG 1.25",
        modality="CT",
        body_part="CHEST",
        instance_number=7,
        acquired_at=datetime(2026, 1, 2, 10, 17, 0, 500_000, tzinfo=UTC),
        slice_position_mm=None,
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_enhanced_ct_has_the_header_of_its_images(syntax: str) -> None:
    """Modality, patient and acquisition date stand where single images have them; it counts as one instance."""
    enhanced, single = (
        read_header(encoded(instance, syntax), syntax) for instance in (enhanced_ct_instance(), ct_instance(1))
    )
    assert enhanced.sop_class_uid == "1.2.840.10008.5.1.4.1.1.2.1"
    assert replace(enhanced, sop_class_uid="", sop_instance_uid="", body_part="") == replace(
        single, sop_class_uid="", sop_instance_uid="", body_part=""
    )


def test_compressed_pixels_are_not_looked_at() -> None:
    """Fragments that no decoder would take do not disturb."""
    data = encoded(compressed_ct_instance(b"no image at all"), JPEG2000Lossless)
    assert read_header(data, JPEG2000Lossless).modality == "CT"


def test_report_without_pixels_has_a_header() -> None:
    """An SR is indexed like an image."""
    assert read_header(encoded(dose_report()), ExplicitVRLittleEndian).modality == "SR"


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("depth", [1, 5, 60])
def test_sequences_before_the_wanted_elements_are_stepped_over(syntax: str, depth: int) -> None:
    """Nested sequences of defined and undefined length hide nothing behind them."""
    data = encoded(ct_instance(ReferencedImageSequence=nested(depth)), syntax)
    assert read_header(data, syntax).study_instance_uid == "1.2.3.4"


def nested(depth: int) -> Sequence:
    """A sequence within a sequence within..., every second of undefined length."""
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3.99"
    item.is_undefined_length_sequence_item = bool(depth % 2)
    if depth > 1:
        item.ReferencedImageSequence = nested(depth - 1)
        item["ReferencedImageSequence"].is_undefined_length = bool(depth % 3)
    return Sequence([item])


def test_unknown_sequence_is_stepped_over() -> None:
    """UN of undefined length holds implicit VR (PS3.5 6.2.2)."""
    inner = b"\x20\x00\x0d\x00" + struct.pack("<L", 4) + b"9.9\0"
    unknown = (
        b"\x09\x00\x01\x10UN\x00\x00\xff\xff\xff\xff"
        + ITEM
        + inner
        + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    )
    data = encoded(ct_instance())
    position = data.index(b"\x10\x00\x10\x00PN")
    header = read_header(data[:position] + unknown + data[position:], ExplicitVRLittleEndian)
    assert header.study_instance_uid == "1.2.3.4"


def with_element(element: bytes, *, before: bytes = b"\x10\x00\x10\x00PN") -> bytes:
    """A CT image with one more element, as encoded."""
    data = encoded(ct_instance())
    position = data.index(before)
    return data[:position] + element + data[position:]


@pytest.mark.parametrize("vr", [b"??", b"  ", b"\0\0"])
def test_an_element_whose_vr_nobody_knew_is_stepped_over(vr: bytes) -> None:
    """With a length of 16 bits, as other toolkits read it."""
    element = b"\x09\x00\x01\x10" + vr + b"\x04\x00abcd"
    assert read_header(with_element(element), ExplicitVRLittleEndian).study_instance_uid == "1.2.3.4"


def test_an_unknown_sequence_of_explicit_elements_is_stepped_over() -> None:
    """Against PS3.5 6.2.2, and written all the same."""
    inner = b"\x20\x00\x0d\x00UI\x04\x009.9\0"
    ends = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    element = b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\xff" + ITEM + inner + ends
    assert read_header(with_element(element), ExplicitVRLittleEndian).study_instance_uid == "1.2.3.4"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("count", [1, 7, 8, 12])
def test_zeros_behind_the_last_element_are_filling(syntax: str, count: int) -> None:
    """Of an object in which nothing follows what is wanted."""
    report = dose_report()
    for element in [element for element in report if element.tag.group > 0x20]:
        del report[element.tag]
    data = encoded(report, syntax)
    assert read_header(data + bytes(count), syntax) == read_header(data, syntax)


def test_what_is_wanted_is_found_behind_elements_longer_than_the_head() -> None:
    """Read from where they end; not more of it than is looked at."""
    element = b"\x09\x00\x01\x10OB\0\0" + struct.pack("<L", 3 * HEAD_BYTES) + bytes(3 * HEAD_BYTES)
    data = with_element(element + element)
    header = read_header(data, ExplicitVRLittleEndian, more=lambda at: data[at : at + HEAD_BYTES])
    assert header == read_header(encoded(ct_instance()), ExplicitVRLittleEndian)


def test_so_many_long_elements_stand_in_no_real_object() -> None:
    """The walk ends."""
    element = b"\x09\x00\x01\x10OB\0\0" + struct.pack("<L", HEAD_BYTES) + bytes(HEAD_BYTES)
    with pytest.raises(UnreasonableDataSetError):
        read_header(element, ExplicitVRLittleEndian, more=lambda _: element)


@pytest.mark.parametrize("levels", [65, 300, 100_000])
def test_nesting_beyond_reason_is_refused(levels: int) -> None:
    """Deep sequences end in a refusal, not in a crash of the stack."""
    data = (SEQUENCE + ITEM) * levels
    with pytest.raises(UnreasonableDataSetError):
        read_header(data, ExplicitVRLittleEndian)


def test_flood_of_elements_is_refused() -> None:
    """A data set of empty elements is not walked to its end."""
    with pytest.raises(UnreasonableDataSetError):
        read_header(b"\x08\x00\x00\x00UL\x00\x00" * 200_000, ExplicitVRLittleEndian)


@pytest.mark.parametrize("length", [b"\xff\xff\xff\x7f", b"\xfe\xff\xff\xff", b"\x00\x10\x00\x00"])
def test_length_beyond_the_data_is_refused(length: bytes) -> None:
    """A lie about a length allocates nothing."""
    with pytest.raises(DamagedDataSetError):
        read_header(b"\x08\x00\x05\x00UN\x00\x00" + length, ExplicitVRLittleEndian)


def test_deflate_bomb_inflates_no_further_than_the_head() -> None:
    """256 MiB of zeros behind a few bytes cost no more memory than the limit."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(compressor.compress(bytes(2**20)) for _ in range(256)) + compressor.flush()
    tracemalloc.start()
    with pytest.raises(NotUnderstoodError):
        read_header(bomb, DeflatedExplicitVRLittleEndian)
    assert tracemalloc.get_traced_memory()[1] < 4 * HEAD_BYTES
    tracemalloc.stop()


def test_deflated_garbage_is_refused() -> None:
    """Bytes that do not inflate are damage."""
    with pytest.raises(DamagedDataSetError):
        read_header(b"\xff" * 50, DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_instance_without_one_of_its_uids_is_refused(keyword: str) -> None:
    """What belongs nowhere is not stored."""
    with pytest.raises(UidMissingError):
        header_of(**{keyword: None})


@pytest.mark.parametrize(
    "uid",
    [
        b"../../etc/x",
        b"/etc/passwd",
        b"..",
        b".",
        b"1",
        b"1.2.3/../..",
        b"1..2",
        b".1.2",
        b"1.2.",
        b"1.2.3\n4",
        b"1.2.3\x004",
        b"1." + b"2" * 64,
        "1.٢".encode(),
        b"1.2a",
    ],
)
def test_uid_outside_the_grammar_is_refused(uid: bytes) -> None:
    """PS3.5 9.1: digits and dots, nothing else, and nothing is repaired."""
    data = encoded(ct_instance())
    element = b"\x20\x00\x0d\x00UI"
    start = data.index(element)
    end = start + 8 + struct.unpack_from("<H", data, start + 6)[0]
    changed = data[:start] + element + struct.pack("<H", len(uid)) + uid + data[end:]
    with pytest.raises(UidInvalidError) as caught:
        read_header(changed, ExplicitVRLittleEndian)
    assert uid.decode() not in str(caught.value)


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "Müller^Jörg=山田^太郎"),
        ("ISO_IR 144", "Люк^Дэн"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_name_is_decoded_from_its_character_set(character_set: str | list[str], name: str) -> None:
    """Names arrive in Unicode, all component groups kept (examples of PS3.5 H to K)."""
    assert header_of(SpecificCharacterSet=character_set, PatientName=name).patient_name == name


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_text_is_decoded_somehow(character_set: bytes, name: bytes) -> None:
    """Neither a wrong character set nor wrong bytes refuse an instance, nor do controls reach the index."""
    prefix = b"\x08\x00\x05\x00CS" + struct.pack("<H", len(character_set)) + character_set
    data = encoded(ct_instance(PatientName=None))
    position = data.index(b"\x10\x00\x20\x00LO")
    element = b"\x10\x00\x10\x00PN" + struct.pack("<H", len(name)) + name
    decoded = read_header(prefix + data[:position] + element + data[position:], ExplicitVRLittleEndian).patient_name
    assert decoded.isprintable() or not any(ord(letter) < 0x20 for letter in decoded)


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES))
def test_garbage_is_refused_in_our_words(data: bytes, syntax: str) -> None:
    """Random bytes raise nothing but a refusal."""
    with pytest.raises(NotUnderstoodError):
        read_header(data, syntax)


@given(st.data())
def test_damaged_instance_is_read_or_refused(data: st.DataObject) -> None:
    """A flipped byte anywhere gives a header or a refusal, never another exception."""
    head = bytearray(encoded(ct_instance())[:600])
    position = data.draw(st.integers(0, len(head) - 1))
    head[position] = data.draw(st.integers(0, 255))
    try:
        read_header(bytes(head), ExplicitVRLittleEndian)
    except NotUnderstoodError as refusal:
        assert refusal.status == 0xC000


@pytest.mark.parametrize(
    ("changes", "instant"),
    [
        ({"AcquisitionDateTime": "20260102030405.25"}, datetime(2026, 1, 2, 3, 4, 5, 250_000, tzinfo=UTC)),
        ({"AcquisitionDateTime": "20260102030405+0530"}, datetime(2026, 1, 1, 21, 34, 5, tzinfo=UTC)),
        ({"TimezoneOffsetFromUTC": "-0500"}, datetime(2026, 1, 2, 15, 17, 0, 500_000, tzinfo=UTC)),
        ({"TimezoneOffsetFromUTC": "+9999"}, datetime(2026, 1, 2, 10, 17, 0, 500_000, tzinfo=UTC)),
        ({"AcquisitionDate": ""}, datetime(2026, 1, 2, 10, 15, tzinfo=UTC)),
        ({"AcquisitionTime": ""}, datetime(2026, 1, 2, 10, 15, tzinfo=UTC)),
        (
            {"AcquisitionDate": "", "SeriesDate": "20260103", "SeriesTime": "0809"},
            datetime(2026, 1, 3, 8, 9, tzinfo=UTC),
        ),
        ({"AcquisitionTime": "", "StudyTime": ""}, datetime(2026, 1, 2, tzinfo=UTC)),
        ({"AcquisitionTime": "235960"}, datetime(2026, 1, 2, 23, 59, 59, tzinfo=UTC)),
        ({"AcquisitionTime": "10"}, datetime(2026, 1, 2, 10, tzinfo=UTC)),
    ],
)
def test_acquisition_instant_falls_back(changes: dict[str, str], instant: datetime) -> None:
    """Acquisition DateTime, else Acquisition, Series, Study; the offset counts; a date alone is its midnight."""
    assert header_of(**changes).acquired_at == instant


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("day", ["", "20260230", "00000000", "2026", "tomorrow", "99999999"])
def test_instance_without_a_real_date_has_no_instant(day: str) -> None:
    """A date that the calendar does not know is no date; the instance is still taken."""
    assert header_of(AcquisitionDate=day, StudyDate=day).acquired_at is None


def test_date_with_dots_is_understood() -> None:
    """The form from before DICOM 3.0 is still read (PS3.5 6.2, DA)."""
    data = encoded(ct_instance()).replace(b"DA\x08\x0020260102", b"DA\x0a\x002026.01.02")
    header = read_header(data, ExplicitVRLittleEndian)
    assert header.acquired_at == datetime(2026, 1, 2, 10, 17, 0, 500_000, tzinfo=UTC)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_odd_values_become_empty_rather_than_wrong() -> None:
    """Birth date, sex and number outside their grammar are left out."""
    header = header_of(PatientBirthDate="1970", PatientSex="X", InstanceNumber="2147483648")
    assert (header.birth_date, header.sex, header.instance_number) == ("", "", None)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_position_of_an_axial_slice_is_read_in_every_encoding(syntax: str) -> None:
    """It stands behind Instance Number."""
    image = ct_instance(
        ImagePositionPatient=[-100, -120.5, 33.25], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[1, 1]
    )
    assert read_header(encoded(image, syntax), syntax).slice_position_mm == 33.25
