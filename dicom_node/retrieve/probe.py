"""Whether a PACS answers queries and offers a retrieval, found out without fetching anything."""

from pydicom.dataset import Dataset

from config.settings import Peer
from dicom_node.retrieve.association import Offer, StopSwitch, conversation
from dicom_node.retrieve.errors import ArchiveFailedError
from dicom_node.retrieve.find import FIND_MODEL, FIND_OFFER
from dicom_node.retrieve.get import GET_OFFER
from dicom_node.retrieve.move import MOVE_OFFER

_PENDING = frozenset({0xFF00, 0xFF01})
_NO_PATIENT = "DICOMNODE^CHECK^NOBODY"
"""A patient ID that no site gives out."""


def probe(peer: Peer, *, own_aet: str, limit_s: float) -> str:
    """What a PACS offers, in words.

    Whether it knows our AE title as the destination of a C-MOVE shows only when something is moved.

    Raises:
        NodeError: It does not answer a query, or does not offer the retrieval that the configuration names.
    """
    with conversation(peer, FIND_OFFER, own_aet=own_aet, limit_s=limit_s, switch=StopSwitch()) as talk:
        for status, _ in talk.answers(talk.association.send_c_find(_query(), FIND_MODEL)):
            if status.Status not in {0x0000, *_PENDING}:
                reason = f"{peer.name}: C-FIND failed with status 0x{status.Status:04X}"
                raise ArchiveFailedError(reason)
    if peer.query_retrieve == "move":
        _require(peer, MOVE_OFFER, own_aet=own_aet, limit_s=limit_s)
        return (
            f"answers C-FIND, offers C-MOVE; whether it knows {own_aet} as a destination shows with the first study: "
            "configure our AE title, address and port there"
        )
    _require(peer, GET_OFFER, own_aet=own_aet, limit_s=limit_s)
    return "answers C-FIND, offers C-GET"


def _require(peer: Peer, offer: Offer, *, own_aet: str, limit_s: float) -> None:
    """Open an association for it and close it again."""
    with conversation(peer, offer, own_aet=own_aet, limit_s=limit_s, switch=StopSwitch()):
        pass


def _query() -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.PatientID = _NO_PATIENT
    query.StudyInstanceUID = ""
    return query
