"""Presentation contexts that the listener accepts."""

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import by pynetdicom

from config.settings import Settings
from dicom_node.commitment.datasets import COMMITMENT_CLASS_UID
from dicom_node.listen.notices import NOTICE_CLASSES

# The acceptor chooses where a sender offers several (PS3.8 9.3.3.2). Explicit VR keeps the VRs of private elements;
# deflated and big endian (retired) cost every later reader, so they come last.
_FIRST = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_LAST = (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)

STORAGE_CLASSES = frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)
"""Every storage SOP class that pynetdicom names (PS3.4 B.5)."""


def accepted_transfer_syntaxes() -> list[str]:
    """All that pynetdicom names, the preferred first: objects are kept as they come, nothing is decoded."""
    others = [uid for uid in ALL_TRANSFER_SYNTAXES if uid not in {*_FIRST, *_LAST}]
    return [str(uid) for uid in (*_FIRST, *others, *_LAST)]


def contexts_of(settings: Settings) -> list[PresentationContext]:
    """What the listener accepts with these settings."""
    return build_contexts(
        with_notices=settings.listen.accept_notifications,
        with_commitment=settings.listen.answer_storage_commitment or bool(settings.committers),
    )


def build_contexts(*, with_notices: bool = False, with_commitment: bool = False) -> list[PresentationContext]:
    """Verification and every storage SOP class that pynetdicom names, on request those of notices and of commitment.

    A router sends a whole study, dose report and scouts included; refusing one makes the sender fail with the study.
    """
    syntaxes = accepted_transfer_syntaxes()
    storage = [build_context(str(context.abstract_syntax), syntaxes) for context in AllStoragePresentationContexts]
    services = (str(Verification), *(NOTICE_CLASSES if with_notices else ()))
    others = [build_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for uid in services]
    return [*others, *(build_commitment_contexts() if with_commitment else ()), *storage]


def build_commitment_contexts() -> list[PresentationContext]:
    """Storage commitment in both roles: callers ask us as SCU, destinations report to us as SCP (PS3.7 D.3.3.4)."""
    context = build_context(COMMITMENT_CLASS_UID, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    context.scu_role = context.scp_role = True
    return [context]


def build_report_contexts() -> list[PresentationContext]:
    """What a destination is offered that may report and not send: Verification and storage commitment."""
    verification = build_context(str(Verification), [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    return [verification, *build_commitment_contexts()]
