"""Asks a peer by C-FIND how many images it has of a study (PS3.4 C.4.1, Study Root; keys of table C.6-5)."""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from config.settings import Peer
from dicom_node.evidence import WHOLE_STUDY, SeriesCount
from dicom_node.retrieve.association import Conversation, StopSwitch, conversation
from dicom_node.retrieve.auditing import RetrieveAudit
from dicom_node.retrieve.errors import ArchiveFailedError
from dicom_node.retrieve.find import FIND_OFFER, answers_of
from storage.records import CT

TIME_LIMIT_S = 30.0
"""Of everything that one question takes."""
_MAXIMUM_ANSWERS = 50_000
_PER_SERIES, _PER_STUDY = "NumberOfSeriesRelatedInstances", "NumberOfStudyRelatedInstances"


def count_images(
    peer: Peer, study_instance_uid: str, *, own_aet: str, switch: StopSwitch, audit: RetrieveAudit | None = None
) -> tuple[SeriesCount, ...]:
    """How many instances a peer has of each series of a study; of CT series exactly, of others as it says.

    Series are counted by Number of Series Related Instances (0020,1209), by asking for each image where the peer does
    not give it, and as one by Number of Study Related Instances (0020,1208) where it does not list series.

    Raises:
        PeerUnreachableError: No association.
        RetrieveError: It does not offer queries, answered with a failure, with nonsense, or not in time.
    """
    with conversation(peer, FIND_OFFER, own_aet=own_aet, limit_s=TIME_LIMIT_S, switch=switch, audit=audit) as talk:
        try:
            return _counts(talk, study_instance_uid)
        except (AttributeError, TypeError, ValueError, RuntimeError) as exc:
            reason = f"{peer.name}: the answer could not be read [{type(exc).__name__}]"
            raise ArchiveFailedError(reason) from exc


def _counts(talk: Conversation, study: str) -> tuple[SeriesCount, ...]:
    series = _series_of(talk, study)
    if series:
        return tuple(_count_of_series(talk, study, one) for one in series)
    studies = _answers(talk, _identifier("STUDY", study, "ModalitiesInStudy", _PER_STUDY))
    return tuple(
        SeriesCount(series_instance_uid=WHOLE_STUDY, modality=CT, instance_count=int(one[_PER_STUDY].value))
        for one in list(studies)
        # Together with what is no image the number cannot be compared.
        if one.get(_PER_STUDY) and _values(one.get("ModalitiesInStudy")) == [CT]
    )


def _series_of(talk: Conversation, study: str) -> list[Dataset]:
    """The series that the peer lists; none where it cannot."""
    try:
        return list(_answers(talk, _identifier("SERIES", study, "SeriesInstanceUID", "Modality", _PER_SERIES)))
    except ArchiveFailedError:
        return []


def _count_of_series(talk: Conversation, study: str, series: Dataset) -> SeriesCount:
    uid, modality = str(series.SeriesInstanceUID), str(series.get("Modality") or "")
    said = series.get(_PER_SERIES)
    if said is None and modality == CT:
        identifier = _identifier("IMAGE", study, "SOPInstanceUID", SeriesInstanceUID=uid)
        said = len({str(image.SOPInstanceUID) for image in _answers(talk, identifier)})
    return SeriesCount(series_instance_uid=uid, modality=modality, instance_count=int(said or 0))


def _identifier(level: str, study: str, *wanted: str, **matched: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.StudyInstanceUID = study
    for keyword in wanted:
        setattr(identifier, keyword, None)
    for keyword, value in matched.items():
        setattr(identifier, keyword, value)
    return identifier


def _answers(talk: Conversation, identifier: Dataset) -> Iterator[Dataset]:
    """Identifiers of the answers that are about the study and series asked for."""
    found = answers_of(talk, identifier, maximum=_MAXIMUM_ANSWERS)
    return (answer for answer in found if _is_about(answer, identifier))


def _is_about(answer: Dataset, identifier: Dataset) -> bool:
    """Some peers ignore keys of a higher level and answer with everything they have."""
    keys = ("StudyInstanceUID", "SeriesInstanceUID")
    asked = {key: identifier.get(key) for key in keys if identifier.get(key)}
    return all(answer.get(key, value) in {value, None, ""} for key, value in asked.items())


def _values(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, MultiValue) else [str(value)]
