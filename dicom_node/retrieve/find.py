"""C-FIND: which studies of a patient a PACS has, which series a study has (PS3.4 C.4.1, Study Root)."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    StudyRootQueryRetrieveInformationModelFind,
)

from dicom_node.retrieve.answers import SeriesAnswer, StudyAnswer, series_answer_from, study_answer_from
from dicom_node.retrieve.association import Conversation, Offer
from dicom_node.retrieve.errors import ArchiveFailedError, TooManyAnswersError
from storage.fetch_tasks import FetchTask

MAXIMUM_ANSWERS = 200
"""A patient with more CT studies or a study with more series is a PACS that matches nothing and lists everything."""

FIND_MODEL = UID(StudyRootQueryRetrieveInformationModelFind)
FIND_OFFER = Offer(model=FIND_MODEL, contexts=[build_context(FIND_MODEL)])

_PENDING = frozenset({0xFF00, 0xFF01})
"""PS3.4 table C.4-1."""
_SUCCESS = 0x0000
_GAVE_UP = frozenset({0xA700, 0xFE00})
"""PS3.4 table C.4-1: out of resources; matching ended by a cancel, which Orthanc says where it reaches its own limit."""
_MESSAGE_ID = 1


def find_studies(talk: Conversation, task: FetchTask, *, maximum_age_days: float) -> tuple[StudyAnswer, ...]:
    """The CT studies that a PACS has under each ID of the patient, in the years that count; one may come more than once.

    The issuer is asked for and not matched: many a PACS does not know this key, and one that does would hide a study of
    the same ID and another issuer, which is to be shown. What comes is to be checked.

    Raises:
        RetrieveError: The PACS did not answer, failed, or lists more than `MAXIMUM_ANSWERS` under one ID.
    """
    # A PACS shows the time on the wall of the scanner, and seldom names its zone.
    zone = timezone(task.acquired_at.utcoffset() or timedelta())
    found: list[StudyAnswer] = []
    for patient_id in dict.fromkeys(one.patient.patient_id for one in task.sought):
        query = _study_query(patient_id, task.acquired_at, maximum_age_days=maximum_age_days)
        answers = answers_of(talk, query, maximum=MAXIMUM_ANSWERS)
        found += [study_answer_from(answer, zone=zone) for answer in answers]
    return tuple(found)


def find_series(talk: Conversation, study_instance_uid: str) -> tuple[SeriesAnswer, ...]:
    """The series of a study that a PACS has.

    Raises:
        RetrieveError: The PACS did not answer, failed, or lists more than `MAXIMUM_ANSWERS`.
    """
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = study_instance_uid
    query.SeriesInstanceUID = ""
    query.Modality = ""
    query.SeriesDescription = ""
    query.ProtocolName = ""
    query.BodyPartExamined = ""
    query.NumberOfSeriesRelatedInstances = ""
    return tuple(series_answer_from(answer) for answer in answers_of(talk, query, maximum=MAXIMUM_ANSWERS))


def _study_query(patient_id: str, acquired_at: datetime, *, maximum_age_days: float) -> Dataset:
    # A day more on each side: the PACS counts in its own time zone, the index in UTC.
    since = acquired_at - timedelta(days=maximum_age_days + 1)
    until = acquired_at + timedelta(days=1)
    query = Dataset()
    query.SpecificCharacterSet = "ISO_IR 192"
    query.QueryRetrieveLevel = "STUDY"
    query.PatientID = patient_id
    query.IssuerOfPatientID = ""
    query.PatientName = ""
    query.PatientBirthDate = ""
    query.PatientSex = ""
    query.StudyInstanceUID = ""
    query.StudyDate = f"{since:%Y%m%d}-{until:%Y%m%d}"
    query.StudyTime = ""
    query.StudyDescription = ""
    query.ModalitiesInStudy = "CT"
    return query


def answers_of(talk: Conversation, query: Dataset, *, maximum: int) -> Iterator[Dataset]:
    """Identifiers of the pending responses to a query, as they come.

    Raises:
        RetrieveError: The PACS did not answer, failed, or lists more than `maximum`.
    """
    if talk.audit:
        talk.audit.note_query(query, FIND_MODEL)
    responses = talk.association.send_c_find(query, FIND_MODEL, msg_id=_MESSAGE_ID)
    count = 0
    for status, identifier in talk.answers(responses):
        if status.Status not in _PENDING and status.Status != _SUCCESS:
            reason = f"{talk.peer.name}: C-FIND failed with status 0x{status.Status:04X}"
            raise (TooManyAnswersError if status.Status in _GAVE_UP else ArchiveFailedError)(reason)
        if identifier is None or status.Status == _SUCCESS:
            continue
        count += 1
        if count > maximum:
            talk.association.send_c_cancel(_MESSAGE_ID, query_model=FIND_MODEL)
            reason = f"{talk.peer.name}: lists more than {maximum} answers: it does not match what is asked"
            raise TooManyAnswersError(reason)
        yield identifier
