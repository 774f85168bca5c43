"""Asks a peer by C-FIND how many images it has of a study (PS3.4 C.4.1, Study Root; keys of table C.6-5)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socket import socket
from time import monotonic

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    StudyRootQueryRetrieveInformationModelFind,
)

from config.settings import Peer
from dicom_node.errors import NodeError
from dicom_node.evidence import WHOLE_STUDY, SeriesCount
from dicom_node.peers import PeerUnreachableError
from storage.parents import CT

_CONNECT_TIMEOUT_S = 5
_ANSWER_TIMEOUT_S = 15
_TIME_LIMIT_S = 30.0
"""Of everything that one question takes."""
_MAXIMUM_ANSWERS = 50_000

# PS3.4 C.4.1.1.4: these two go with an identifier, 0x0000 ends the answers.
_PENDING = frozenset({0xFF00, 0xFF01})
_SUCCESS = 0x0000


class QueryFailedError(NodeError):
    """The peer did not answer a C-FIND as PS3.4 C.4.1 wants it; see its log, or set count_peer to "" for its studies."""

    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """An open association, and when the answer must be there."""

    association: Association
    peer_name: str
    ends_at_s: float


def count_images(peer: Peer, study_instance_uid: str, *, own_aet: str) -> tuple[SeriesCount, ...]:
    """How many instances a peer has of each series of a study; of CT series exactly, of others as it says.

    Series are counted by Number of Series Related Instances (0020,1209), by asking for each image where the peer does
    not give it, and as one by Number of Study Related Instances (0020,1208) where it does not list series.

    Raises:
        PeerUnreachableError: No association.
        QueryFailedError: It answered with a failure, with nonsense, or not in time.
    """
    with _find_association(peer, own_aet=own_aet) as association:
        question = _Question(association=association, peer_name=peer.name, ends_at_s=monotonic() + _TIME_LIMIT_S)
        try:
            return _counts(question, study_instance_uid)
        except (AttributeError, TypeError, ValueError, RuntimeError) as exc:
            reason = f"{peer.name}: the answer could not be read [{type(exc).__name__}]"
            raise QueryFailedError(reason) from exc


def _counts(question: _Question, study: str) -> tuple[SeriesCount, ...]:
    series = _series_of(question, study)
    if series:
        return tuple(_count_of_series(question, study, one) for one in series)
    studies = list(_answers(question, _identifier("STUDY", study, "ModalitiesInStudy", _PER_STUDY)))
    return tuple(
        SeriesCount(series_instance_uid=WHOLE_STUDY, modality=CT, instance_count=int(one[_PER_STUDY].value))
        for one in studies
        # Together with what is no image the number cannot be compared.
        if one.get(_PER_STUDY) and _values(one.get("ModalitiesInStudy")) == [CT]
    )


def _series_of(question: _Question, study: str) -> list[Dataset]:
    """The series that the peer lists; none where it cannot."""
    try:
        return list(_answers(question, _identifier("SERIES", study, "SeriesInstanceUID", "Modality", _PER_SERIES)))
    except QueryFailedError:
        return []


_PER_SERIES, _PER_STUDY = "NumberOfSeriesRelatedInstances", "NumberOfStudyRelatedInstances"


def _count_of_series(question: _Question, study: str, series: Dataset) -> SeriesCount:
    uid, modality = str(series.SeriesInstanceUID), str(series.get("Modality") or "")
    said = series.get(_PER_SERIES)
    if said is None and modality == CT:
        identifier = _identifier("IMAGE", study, "SOPInstanceUID", SeriesInstanceUID=uid)
        said = len({str(image.SOPInstanceUID) for image in _answers(question, identifier)})
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


def _answers(question: _Question, identifier: Dataset) -> Iterator[Dataset]:
    """Identifiers of the pending answers that are about the study and series asked for."""
    found = question.association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind)
    for number, (status, answer) in enumerate(found):
        code = status.get("Status")
        if code == _SUCCESS:
            return
        if code not in _PENDING or number >= _MAXIMUM_ANSWERS or monotonic() > question.ends_at_s:
            what = (
                "no answer: too slow, too long, or refused"
                if code is None or code in _PENDING
                else f"status 0x{code:04X}"
            )
            reason = f"{question.peer_name}: {what}"
            raise QueryFailedError(reason)
        if answer is not None and _is_about(answer, identifier):
            yield answer


def _is_about(answer: Dataset, identifier: Dataset) -> bool:
    """Some peers ignore keys of a higher level and answer with everything they have."""
    keys = ("StudyInstanceUID", "SeriesInstanceUID")
    asked = {key: identifier.get(key) for key in keys if identifier.get(key)}
    return all(answer.get(key, value) in {value, None, ""} for key, value in asked.items())


def _values(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, MultiValue) else [str(value)]


@contextmanager
def _find_association(peer: Peer, *, own_aet: str) -> Iterator[Association]:
    """An association for C-FIND; released at the end, aborted when answers are still coming.

    Raises:
        PeerUnreachableError: No association, or not for this.
    """
    ae = AE(ae_title=own_aet)
    ae.connection_timeout = ae.acse_timeout = _CONNECT_TIMEOUT_S
    ae.dimse_timeout = ae.network_timeout = _ANSWER_TIMEOUT_S
    ae.add_requested_context(
        StudyRootQueryRetrieveInformationModelFind, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    )
    sockets: list[socket] = []
    # pynetdicom 3.0.4 forgets a socket that the peer closed first without closing it.
    association = ae.associate(
        peer.host,
        peer.port,
        ae_title=peer.ae_title,
        evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: sockets.append(event.assoc.dul.socket.socket))],
    )
    try:
        if not association.is_established:
            reason = f"{peer.name}: no association for C-FIND, Study Root"
            raise PeerUnreachableError(reason)
        yield association
        association.release()
    finally:
        if association.is_established:
            association.abort()
        for connection in sockets:
            connection.close()
