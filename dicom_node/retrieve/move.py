"""C-MOVE: the PACS sends series to the listener of this node (PS3.4 C.4.2)."""

from collections.abc import Sequence

from pydicom.uid import UID
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import by pynetdicom
    StudyRootQueryRetrieveInformationModelMove,
)

from config.settings import Peer
from dicom_node.retrieve.association import Offer, StopSwitch, conversation
from dicom_node.retrieve.transfer import SubOperations, end_of_transfer, series_identifier

MOVE_MODEL = UID(StudyRootQueryRetrieveInformationModelMove)
MOVE_OFFER = Offer(model=MOVE_MODEL, contexts=[build_context(MOVE_MODEL)])


class MoveRetriever:
    """Has series sent to our own AE title; the listener makes them durable as everything else that comes."""

    def __init__(self, peer: Peer, *, own_aet: str, switch: StopSwitch) -> None:
        """Ask one PACS."""
        self._peer = peer
        self._own_aet = own_aet
        self._switch = switch

    def retrieve(self, study_instance_uid: str, series_uids: Sequence[str], *, limit_s: float) -> SubOperations:
        """Have series sent, one request each; returns when the PACS says that all are.

        Raises:
            NodeError: The PACS was not reached, did not answer in time, or failed.
        """
        total = SubOperations(completed=0, failed=0)
        with conversation(self._peer, MOVE_OFFER, own_aet=self._own_aet, limit_s=limit_s, switch=self._switch) as talk:
            for series_uid in series_uids:
                identifier = series_identifier(study_instance_uid, series_uid)
                responses = talk.association.send_c_move(identifier, self._own_aet, MOVE_MODEL)
                total += end_of_transfer(talk, responses, own_aet=self._own_aet)
        return total
