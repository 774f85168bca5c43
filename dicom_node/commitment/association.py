"""Associations for storage commitment that the node opens."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from socket import socket

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import build_context

from config.settings import Peer
from dicom_node.commitment.datasets import COMMITMENT_CLASS_UID
from dicom_node.commitment.errors import CommitmentRefusedError
from dicom_node.peers import PeerUnreachableError
from dicom_node.tls.calling import tls_arguments, tls_problem
from dicom_node.tls.errors import CertificateError

_CONNECT_TIMEOUT_S = 10
_ANSWER_TIMEOUT_S = 60
_NOBODY = "nobody answers at its address and port, or it aborted the association"

AS_SCP: tuple[SCP_SCU_RoleSelectionNegotiation, ...] = (build_role(COMMITMENT_CLASS_UID, scp_role=True),)
"""For an association on which the node reports: the requestor is the SCP there (PS3.4 J.3.3, PS3.7 D.3.3.4)."""


@contextmanager
def commitment_association(
    peer: Peer,
    *,
    own_aet: str,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[EventHandlerType] = (),
) -> Iterator[Association]:
    """An association with the commitment service of a peer; released at the end.

    Raises:
        PeerUnreachableError: No association.
        CommitmentRefusedError: The peer does not accept the SOP class.
    """
    ae = AE(ae_title=own_aet)
    ae.connection_timeout = ae.acse_timeout = _CONNECT_TIMEOUT_S
    ae.dimse_timeout = ae.network_timeout = _ANSWER_TIMEOUT_S
    sockets: list[socket] = []
    try:
        tls = tls_arguments(peer)
    except CertificateError as error:
        reason = f"{peer.name}: {error.reason}"
        raise PeerUnreachableError(reason) from error
    # pynetdicom 3.0.4 forgets a socket that the peer closed first without closing it.
    keep_socket = (evt.EVT_CONN_OPEN, lambda event: sockets.append(event.assoc.dul.socket.socket))
    association = ae.associate(
        peer.host,
        peer.commitment_port or peer.port,
        [build_context(COMMITMENT_CLASS_UID, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])],
        ae_title=peer.commitment_ae_title or peer.ae_title,
        ext_neg=list(roles),
        tls_args=tls,
        evt_handlers=[keep_socket, *handlers],
    )
    try:
        _require_established(association, peer, tls_problem(tls))
        yield association
    finally:
        if association.is_established:
            association.release()
        for connection in sockets:
            connection.close()


def _require_established(association: Association, peer: Peer, tls_problem_found: str) -> None:
    if association.is_established:
        return
    if association.rejected_contexts:
        reason = f"{peer.name}: does not accept Storage Commitment: let it, or set storage_commitment = false"
        raise CommitmentRefusedError(reason)
    if association.is_rejected:
        reason = f"{peer.name}: rejected the association: check both AE titles and whether it knows this node"
        raise PeerUnreachableError(reason)
    reason = f"{peer.name}: {tls_problem_found or _NOBODY}"
    raise PeerUnreachableError(reason)
