"""Reads from the first bytes of an encoded data set what the index needs."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from dicom_node.listen.elements import Found, encoding_of, find_elements, is_deflated
from dicom_node.listen.errors import DamagedDataSetError, NotUnderstoodError, UnreasonableDataSetError
from dicom_node.listen.geometry import axial_position_mm
from dicom_node.listen.instants import day_from_da, first_instant, instant_from_dt, zone_from_offset
from dicom_node.listen.text import code_from, name_from, sex_from_cs, terms_from, text_from, uid_from
from storage.records import PatientKey

HEAD_BYTES = 2 * 1024 * 1024
"""How much of a data set is looked at in one go, inflated or not: nothing wanted stands behind group 0020."""
_MAXIMUM_WINDOWS = 16
"""So many elements longer than that may stand before what is wanted."""

_SPECIFIC_CHARACTER_SET = 0x00080005
_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_STUDY_DATE, _STUDY_TIME = 0x00080020, 0x00080030
_SERIES_DATE, _SERIES_TIME = 0x00080021, 0x00080031
_ACQUISITION_DATE, _ACQUISITION_TIME = 0x00080022, 0x00080032
_ACQUISITION_DATE_TIME = 0x0008002A
_ACCESSION_NUMBER = 0x00080050
_MODALITY = 0x00080060
_TIMEZONE_OFFSET_FROM_UTC = 0x00080201
_MANUFACTURER = 0x00080070
_STUDY_DESCRIPTION = 0x00081030
_MANUFACTURER_MODEL_NAME = 0x00081090
_SERIES_DESCRIPTION = 0x0008103E
_PATIENT_NAME = 0x00100010
_PATIENT_ID = 0x00100020
_ISSUER_OF_PATIENT_ID = 0x00100021
_PATIENT_BIRTH_DATE = 0x00100030
_PATIENT_SEX = 0x00100040
_BODY_PART_EXAMINED = 0x00180015
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
_INSTANCE_NUMBER = 0x00200013
_IMAGE_POSITION_PATIENT = 0x00200032
_IMAGE_ORIENTATION_PATIENT = 0x00200037
_LAST = _IMAGE_ORIENTATION_PATIENT
_WANTED = frozenset(
    {
        _SPECIFIC_CHARACTER_SET,
        _SOP_CLASS_UID,
        _SOP_INSTANCE_UID,
        _STUDY_DATE,
        _STUDY_TIME,
        _SERIES_DATE,
        _SERIES_TIME,
        _ACQUISITION_DATE,
        _ACQUISITION_TIME,
        _ACQUISITION_DATE_TIME,
        _ACCESSION_NUMBER,
        _MODALITY,
        _TIMEZONE_OFFSET_FROM_UTC,
        _MANUFACTURER,
        _STUDY_DESCRIPTION,
        _MANUFACTURER_MODEL_NAME,
        _SERIES_DESCRIPTION,
        _PATIENT_NAME,
        _PATIENT_ID,
        _ISSUER_OF_PATIENT_ID,
        _PATIENT_BIRTH_DATE,
        _PATIENT_SEX,
        _BODY_PART_EXAMINED,
        _STUDY_INSTANCE_UID,
        _SERIES_INSTANCE_UID,
        _INSTANCE_NUMBER,
        _IMAGE_POSITION_PATIENT,
        _IMAGE_ORIENTATION_PATIENT,
    }
)

_OF_SERIES = (
    _SPECIFIC_CHARACTER_SET,
    _SOP_CLASS_UID,
    _ACCESSION_NUMBER,
    _MODALITY,
    _MANUFACTURER,
    _STUDY_DESCRIPTION,
    _MANUFACTURER_MODEL_NAME,
    _SERIES_DESCRIPTION,
    _PATIENT_NAME,
    _PATIENT_ID,
    _ISSUER_OF_PATIENT_ID,
    _PATIENT_BIRTH_DATE,
    _PATIENT_SEX,
    _BODY_PART_EXAMINED,
    _STUDY_INSTANCE_UID,
    _SERIES_INSTANCE_UID,
)
"""What hardly differs within a series: it is decoded once for all of it."""
# Of so many series, and only where no value is of absurd length.
_REMEMBERED, _REMEMBERED_BYTES = 128, 2048

_OUR_NAME = "dicom-node"
"""Manufacturer and model of what we make (PS3.3 C.7.5.1); our phantoms have another model name."""

# PS3.5 6.2: an IS is a number of 32 bits.
_IS_RANGE = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an instance says about itself; the fields are those of storage.records.ReceivedInstance."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient: PatientKey
    patient_name: str
    birth_date: str
    sex: str
    accession_number: str
    study_description: str
    series_description: str
    modality: str
    body_part: str
    instance_number: int | None
    acquired_at: datetime | None
    """In the zone that it names, else as if its clock went by UTC."""
    slice_position_mm: float | None
    is_of_our_make: bool = False
    """By its equipment, which a PACS leaves alone when it changes patient, study or UIDs."""


class _Shared(NamedTuple):
    """Fields of a Header that hardly differ within a series."""

    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient: PatientKey
    patient_name: str
    birth_date: str
    sex: str
    accession_number: str
    study_description: str
    series_description: str
    modality: str
    body_part: str
    is_of_our_make: bool


def read_header(head: bytes, transfer_syntax_uid: str, *, more: Callable[[int], bytes] = lambda _: b"") -> Header:
    """The header of an instance.

    Args:
        head: The data set as encoded on the wire, at least its first HEAD_BYTES if it has as many.
        transfer_syntax_uid: Of the presentation context.
        more: Gives so many bytes from a place of the data set on, where an element that is not wanted is longer.

    Raises:
        NotUnderstoodError: The data set is damaged, or is no instance of a study.
    """
    if is_deflated(transfer_syntax_uid):
        return _header_from_values(_values(_inflated(head), transfer_syntax_uid))
    return _header_from_values(_values(head, transfer_syntax_uid, more=more))


def read_header_within(start: bytes, transfer_syntax_uid: str) -> Header | None:
    """The header of an instance from its very first bytes; None where these do not decide it, `read_header` then does.

    Args:
        start: Of the data set as encoded on the wire.
        transfer_syntax_uid: Of the presentation context.

    Raises:
        NotUnderstoodError: The data set is no instance of a study.
    """
    if is_deflated(transfer_syntax_uid):
        return None
    try:
        found = _find(start, transfer_syntax_uid)
    except NotUnderstoodError:
        return None
    return _header_from_values(found.values) if found.is_complete else None


def _values(head: bytes, transfer_syntax_uid: str, *, more: Callable[[int], bytes] = lambda _: b"") -> dict[int, bytes]:
    """What is wanted, in the head and beyond long elements."""
    values: dict[int, bytes] = {}
    at = 0
    for _ in range(_MAXIMUM_WINDOWS):
        found = _find(head[:HEAD_BYTES], transfer_syntax_uid)
        values = found.values | values
        if not found.goes_on_at:
            return values
        at += found.goes_on_at
        head = more(at)
        if not head:
            raise DamagedDataSetError
    raise UnreasonableDataSetError


def _find(head: bytes, transfer_syntax_uid: str) -> Found:
    return find_elements(_WANTED, last_tag=_LAST, data=head, encoding=encoding_of(transfer_syntax_uid))


def _inflated(head: bytes) -> bytes:
    """The first HEAD_BYTES of a deflated data set (PS3.5 A.5: raw deflate), never more, whatever a bomb would give."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, HEAD_BYTES)
    except zlib.error as exc:
        raise DamagedDataSetError from exc


def _header_from_values(values: dict[int, bytes]) -> Header:
    encoded = tuple(values.get(tag, b"") for tag in _OF_SERIES)
    is_short = sum(map(len, encoded)) <= _REMEMBERED_BYTES
    shared = _remembered(encoded) if is_short else _shared_from(encoded)
    return Header(
        sop_instance_uid=uid_from(values.get(_SOP_INSTANCE_UID, b""), "SOP Instance UID"),
        instance_number=_instance_number(values),
        acquired_at=_acquired_at(values),
        slice_position_mm=axial_position_mm(
            _code(values, _IMAGE_POSITION_PATIENT), _code(values, _IMAGE_ORIENTATION_PATIENT)
        ),
        **shared._asdict(),
    )


def _shared_from(encoded: tuple[bytes, ...]) -> _Shared:
    """From the values of _OF_SERIES, empty where there is none."""
    values = dict(zip(_OF_SERIES, encoded, strict=True))
    terms = terms_from(values[_SPECIFIC_CHARACTER_SET])

    def uid(tag: int, name: str) -> str:
        return uid_from(values[tag], name)

    def text(tag: int) -> str:
        return text_from(values[tag], terms)

    return _Shared(
        sop_class_uid=uid(_SOP_CLASS_UID, "SOP Class UID"),
        study_instance_uid=uid(_STUDY_INSTANCE_UID, "Study Instance UID"),
        series_instance_uid=uid(_SERIES_INSTANCE_UID, "Series Instance UID"),
        patient=PatientKey(patient_id=text(_PATIENT_ID), issuer=text(_ISSUER_OF_PATIENT_ID)),
        patient_name=name_from(values[_PATIENT_NAME], terms),
        birth_date=day_from_da(_code(values, _PATIENT_BIRTH_DATE)),
        sex=sex_from_cs(_code(values, _PATIENT_SEX)),
        accession_number=text(_ACCESSION_NUMBER),
        study_description=text(_STUDY_DESCRIPTION),
        series_description=text(_SERIES_DESCRIPTION),
        modality=_code(values, _MODALITY),
        body_part=_code(values, _BODY_PART_EXAMINED),
        is_of_our_make={text(_MANUFACTURER), text(_MANUFACTURER_MODEL_NAME)} == {_OUR_NAME},
    )


_remembered = lru_cache(maxsize=_REMEMBERED)(_shared_from)


def _code(values: dict[int, bytes], tag: int) -> str:
    return code_from(values.get(tag, b""))


def _instance_number(values: dict[int, bytes]) -> int | None:
    text = _code(values, _INSTANCE_NUMBER)
    # PS3.5 6.2: at most 12 characters; a longer run of digits is not even read.
    if len(text) > 12 or not text.lstrip("+-").isdecimal():
        return None
    try:
        number = int(text)
    except ValueError:
        return None
    return number if number in _IS_RANGE else None


def _acquired_at(values: dict[int, bytes]) -> datetime | None:
    """When the images were taken: Acquisition DateTime, else Acquisition, Series, Study date with time.

    Aware, in the zone of Timezone Offset From UTC (0008,0201), so that day and time are those on the screens of the
    site. Where a sender gives none, they are taken as UTC: the same site then keeps the order of its studies.
    """
    zone = zone_from_offset(_code(values, _TIMEZONE_OFFSET_FROM_UTC)) or UTC
    acquired_at = instant_from_dt(_code(values, _ACQUISITION_DATE_TIME), zone=zone)
    if acquired_at:
        return acquired_at
    pairs = (
        (_ACQUISITION_DATE, _ACQUISITION_TIME),
        (_SERIES_DATE, _SERIES_TIME),
        (_STUDY_DATE, _STUDY_TIME),
    )
    return first_instant(((_code(values, day), _code(values, moment)) for day, moment in pairs), zone=zone)
