"""A fuzz target over the association request: its items, its user information, who is let in, what is negotiated."""

import struct
from functools import cache
from pathlib import Path
from typing import Any

from pydicom.uid import CTImageStorage
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

from builders.listener import listener_settings
from builders.raw_peer import associate_request, pdu
from dicom_node.clock import SystemClock
from dicom_node.listen.admission import Admission, Caller
from dicom_node.listen.contexts import contexts_of


@cache
def _node() -> tuple[Admission, list[PresentationContext]]:
    """A node that knows one sender; nothing is written."""
    settings = listener_settings(Path("/nonexistent"))
    return Admission(settings, clock=SystemClock()), contexts_of(settings)


def take_association_request(data: bytes) -> None:
    """A whole PDU; what pynetdicom can read is admitted or rejected, and its contexts are answered, one for each."""
    request: Any = A_ASSOCIATE_RQ()
    try:
        request.decode(data)
        primitive = request.to_primitive()
    except Exception:  # noqa: BLE001  # the guarded state machine aborts over it
        return
    caller = Caller(
        calling_aet=str(primitive.calling_ae_title),
        called_aet=str(primitive.called_ae_title),
        address="127.0.0.1",
        has_tls=False,
        certificate=None,
    )
    admission, contexts = _node()
    rejection = admission.rejection_of(caller, is_over=lambda: True)
    if rejection is not None:
        admission.log(rejection, caller)
        return
    asked = primitive.presentation_context_definition_list
    if any(context.abstract_syntax is None or not context.transfer_syntax for context in asked):
        # pynetdicom fails over it, and the guard aborts (integration/test_listen_request.py).
        return
    answered, _ = negotiate_as_acceptor(asked, contexts, {})
    assert {context.context_id for context in answered} == {context.context_id for context in asked}


def association_requests() -> list[bytes]:
    """A plain request, and with each item of user information (PS3.7 D.3.3), also under a title that is not ours."""
    plain = associate_request()
    return [
        plain,
        associate_request(called=b"ELSEWHERE"),
        *(_with(plain, item) for item in (*_ITEMS, b"".join(_ITEMS))),
    ]


def _with(request: bytes, item: bytes) -> bytes:
    """The request with a further item of user information, which comes last."""
    content = bytearray(request[6:])
    start = content.rindex(b"\x50\x00", 0, content.rindex(b"\x51\x00\x00\x04"))
    (length,) = struct.unpack_from(">H", content, start + 2)
    struct.pack_into(">H", content, start + 2, length + len(item))
    return pdu(1, bytes(content) + item)


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def _text(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


_CT = _text(CTImageStorage.encode())
# Asynchronous operations, role, implementation version, extended and common extended negotiation, user identity.
_ITEMS = (
    _item(0x53, struct.pack(">HH", 5, 5)),
    _item(0x54, _CT + b"\1\1"),
    _item(0x55, b"MODALITY_1"),
    _item(0x56, _CT + b"\2\0\1\0\0\0"),
    _item(0x57, _CT + _text(b"1.2.840.10008.4.2") + _text(_CT)),
    _item(0x58, b"\2\1" + _text(b"user") + _text(b"secret")),
)
