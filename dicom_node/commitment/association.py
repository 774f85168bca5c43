"""Associations for storage commitment that the node opens."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_role
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import build_context

from config.settings import Peer
from dicom_node.calling import Call, Line, PeerUnreachableError, called
from dicom_node.commitment.datasets import COMMITMENT_CLASS_UID
from dicom_node.commitment.errors import CommitmentRefusedError

AS_SCP: tuple[SCP_SCU_RoleSelectionNegotiation, ...] = (build_role(COMMITMENT_CLASS_UID, scp_role=True),)
"""For an association on which the node reports: the requestor is the SCP there (PS3.4 J.3.3, PS3.7 D.3.3.4)."""


@contextmanager
def commitment_association(
    peer: Peer,
    *,
    own_aet: str,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[EventHandlerType] = (),
) -> Iterator[Line]:
    """A line to the commitment service of a peer, with an association; it is released at the end.

    Raises:
        PeerUnreachableError: No association.
        CommitmentRefusedError: The peer does not accept the SOP class.
    """
    call = Call(
        own_aet=own_aet,
        contexts=[build_context(COMMITMENT_CLASS_UID, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])],
        called_aet=peer.commitment_ae_title,
        port=peer.commitment_port,
        roles=roles,
        handlers=handlers,
    )
    with called(peer, call) as line:
        _require_established(line, peer)
        yield line


def _require_established(line: Line, peer: Peer) -> None:
    if line.association.is_established:
        return
    if line.association.rejected_contexts:
        reason = f"{peer.name}: does not accept Storage Commitment: let it, or set storage_commitment = false"
        raise CommitmentRefusedError(reason)
    reason = f"{peer.name}: {line.failure}"
    raise PeerUnreachableError(reason)
