"""Sends DICOM files as a scanner or PACS would."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from config.settings import Peer
from dicom_node.checkpoint import guard_answers
from dicom_node.errors import NodeError

_CONNECT_TIMEOUT_S = 10
_CONTEXT_LIMIT = 128
"""Presentation context IDs are the odd numbers 1 to 255 (PS3.8 9.3.2.2)."""


class SendError(NodeError):
    """The node did not take the study; see node.log."""


def send_files(paths: Sequence[Path], receiver: Peer, *, own_aet: str, on_sent: Callable[[int], None]) -> None:
    """Send each file as it is, in its own transfer syntax, over one association.

    Args:
        paths: DICOM files (PS3.10).
        receiver: Takes them.
        own_aet: Calling AE title.
        on_sent: Called after each with how many are sent.

    Raises:
        SendError: The association or one object was refused.
    """
    association = _associate(paths, receiver, own_aet=own_aet)
    try:
        for count, path in enumerate(paths, start=1):
            _send(association, path)
            on_sent(count)
    finally:
        if association.is_established:
            association.release()


def _associate(paths: Sequence[Path], receiver: Peer, *, own_aet: str) -> Association:
    """An association that offers what the files need, each transfer syntax in a context of its own (PS3.8 9.3.2.2)."""
    pairs = dict.fromkeys(_class_and_syntax(path) for path in paths)
    contexts = [build_context(sop_class_uid, syntax_uid) for sop_class_uid, syntax_uid in pairs]
    ae = AE(ae_title=own_aet)
    ae.connection_timeout = _CONNECT_TIMEOUT_S
    association = ae.associate(
        receiver.host,
        receiver.port,
        contexts[:_CONTEXT_LIMIT],
        ae_title=receiver.ae_title,
        evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: guard_answers(event.assoc))],
    )
    if not association.is_established:
        reason = f"{receiver.ae_title} at port {receiver.port} did not accept the association; see node.log"
        raise SendError(reason)
    return association


def _class_and_syntax(path: Path) -> tuple[str, str]:
    """SOP class and transfer syntax of a file."""
    meta = dcmread(path, specific_tags=[], stop_before_pixels=True).file_meta
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)


def _send(association: Association, path: Path) -> None:
    """Send one file; anything but Success ends the sending."""
    try:
        status = association.send_c_store(path)
    except (ValueError, RuntimeError) as exc:
        reason = f"{path.name} could not be sent: {exc}"
        raise SendError(reason) from exc
    answer = f"status 0x{status.Status:04X}" if "Status" in status else "nothing"
    if answer != "status 0x0000":
        reason = f"{path.name} was answered with {answer}; see node.log"
        raise SendError(reason)
