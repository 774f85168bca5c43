"""What a PACS says about a study or a series, read without believing it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timezone

from pydicom.dataset import Dataset

from dicom_node.listen.instants import day_from_da, first_instant, zone_from_offset
from dicom_node.listen.text import sex_from_cs
from storage.records import Demographics, PatientKey

_UID = re.compile(r"[0-9.]{1,64}", re.ASCII)
"""PS3.5 9.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyAnswer:
    """A study as a PACS answers to C-FIND at study level (PS3.4 C.6.2.1.2)."""

    study_instance_uid: str
    """Empty where it named none, or what is no UID."""
    patient: PatientKey
    demographics: Demographics
    study_date: str
    """YYYYMMDD or empty."""
    acquired_at: datetime | None
    """Study date and time, aware, in the zone that the answer names, else in that of who asks; midnight where only the date is said."""
    description: str
    modalities: tuple[str, ...]
    """Modalities in Study; empty where the PACS does not say."""
    accession_number: str
    """Empty where it was not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesAnswer:
    """A series as a PACS answers to C-FIND at series level (PS3.4 C.6.2.1.3)."""

    series_instance_uid: str
    modality: str
    description: str
    protocol: str
    body_part: str
    instance_count: int | None
    """Number of Series Related Instances; None where the PACS does not say."""


def study_answer_from(identifier: Dataset, *, zone: timezone = UTC) -> StudyAnswer:
    """The study of one response; what is not as DICOM has it is empty.

    Args:
        identifier: Of the response.
        zone: Of the clock by which the study is compared; UTC where that is not known, as in the index. Then two clocks on
            the wall are compared, and what the response names as its Timezone Offset From UTC (0008,0201) is of no use.

    Raises:
        ArithmeticError, LookupError, TypeError, ValueError: pydicom cannot read it; `conversation` says so of the PACS.
    """
    study_date = day_from_da(_text(identifier, "StudyDate"))
    own_zone = zone_from_offset(_text(identifier, "TimezoneOffsetFromUTC")) if zone.utcoffset(None) else None
    return StudyAnswer(
        study_instance_uid=_uid(identifier, "StudyInstanceUID"),
        patient=PatientKey(patient_id=_text(identifier, "PatientID"), issuer=_text(identifier, "IssuerOfPatientID")),
        demographics=Demographics(
            patient_name=_text(identifier, "PatientName"),
            birth_date=day_from_da(_text(identifier, "PatientBirthDate")),
            sex=sex_from_cs(_text(identifier, "PatientSex")),
        ),
        study_date=study_date,
        acquired_at=first_instant([(study_date, _text(identifier, "StudyTime"))], zone=own_zone or zone),
        description=_text(identifier, "StudyDescription"),
        modalities=_several(identifier, "ModalitiesInStudy"),
        accession_number=_text(identifier, "AccessionNumber"),
    )


def series_answer_from(identifier: Dataset) -> SeriesAnswer:
    """The series of one response; what is not as DICOM has it is empty.

    Raises:
        ArithmeticError, LookupError, TypeError, ValueError: pydicom cannot read it; `conversation` says so of the PACS.
    """
    count = _text(identifier, "NumberOfSeriesRelatedInstances")
    return SeriesAnswer(
        series_instance_uid=_uid(identifier, "SeriesInstanceUID"),
        modality=_text(identifier, "Modality"),
        description=_text(identifier, "SeriesDescription"),
        protocol=_text(identifier, "ProtocolName"),
        body_part=_text(identifier, "BodyPartExamined"),
        instance_count=int(count) if count.isascii() and count.isdecimal() and len(count) < 8 else None,
    )


def _uid(identifier: Dataset, keyword: str) -> str:
    text = _text(identifier, keyword)
    return text if _UID.fullmatch(text) else ""


def _text(identifier: Dataset, keyword: str) -> str:
    value = identifier.get(keyword)
    return "" if value is None else str(value).strip(" \0")


def _several(identifier: Dataset, keyword: str) -> tuple[str, ...]:
    value = identifier.get(keyword)
    if not value:
        return ()
    values = [value] if isinstance(value, str) else list(value)
    return tuple(str(one).strip(" \0").upper() for one in values)
