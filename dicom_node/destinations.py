"""What a peer that receives results is sent, best first, as its settings say."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from config.settings import Peer
from storage.records import Alternative, Destination, Role

SR_CLASS_UIDS = {
    "comprehensive": str(ComprehensiveSRStorage),
    "comprehensive_3d": str(Comprehensive3DSRStorage),
    "enhanced": str(EnhancedSRStorage),
    "basic_text": str(BasicTextSRStorage),
}
_SEGMENTATIONS = Alternative(kinds=("seg-lungs", "seg-lesions"), sop_class_uid=str(SegmentationStorage))
_CAPTURE = Alternative(kinds=("capture",), sop_class_uid=str(SecondaryCaptureImageStorage))
_PDF = Alternative(kinds=("pdf",), sop_class_uid=str(EncapsulatedPDFStorage))
_STATE = Alternative(kinds=("presentation_state",), sop_class_uid=str(GrayscaleSoftcopyPresentationStateStorage))
_KEY_OBJECTS = Alternative(kinds=("key_objects",), sop_class_uid=str(KeyObjectSelectionDocumentStorage))

TOLD_BY_REPORT = frozenset({"pdf", "presentation_state", "key_objects"})
"""Roles that a peer may decline where it gets the report, which says the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChoice:
    """What a peer takes in one role, as it negotiates."""

    role: str
    takes: str
    """SOP class that it is sent; empty when it takes none."""
    refuses: tuple[str, ...]
    """Better SOP classes that it refuses, best first."""
    may_be_declined: bool = False
    """Another role makes up for this one."""

    @property
    def is_filled(self) -> bool:
        """Whether the peer gets something in this role, or in the one that makes up for it."""
        return bool(self.takes) or self.may_be_declined

    @property
    def words(self) -> str:
        """For people: `report as Comprehensive SR`."""
        role = role_in_words(self.role)
        refused = ", ".join(class_name(uid) for uid in self.refuses)
        if not self.takes:
            return f"{role} declined (refuses {refused})"
        return f"{role} as {class_name(self.takes)}" + (f" (refuses {refused})" if refused else "")


def destination_of(peer: Peer) -> Destination:
    """What the outbox plans for a peer."""
    return Destination(name=peer.name, roles=tuple(_roles(peer)))


def classes_of(peer: Peer) -> tuple[str, ...]:
    """Every SOP class that a peer may be sent, best first: all are offered, what it accepts decides."""
    alternatives = [alternative for role in _roles(peer) for alternative in role.alternatives]
    return tuple(dict.fromkeys(alternative.sop_class_uid for alternative in alternatives))


def choices_of(peer: Peer, accepted: Collection[str]) -> tuple[RoleChoice, ...]:
    """What a peer would be sent in each role.

    Args:
        peer: Of the configuration.
        accepted: Of the SOP classes that it may be sent, those that it accepts.
    """
    choices = []
    for role in _roles(peer):
        classes = [alternative.sop_class_uid for alternative in role.alternatives]
        takes = next((uid for uid in classes if uid in accepted), "")
        refused = classes[: classes.index(takes)] if takes else classes
        choices.append(
            RoleChoice(role=role.name, takes=takes, refuses=tuple(refused), may_be_declined=bool(role.covered_by))
        )
    return tuple(choices)


def class_name(sop_class_uid: str) -> str:
    """Name of a storage SOP class without the word that they all end in."""
    return UID(sop_class_uid).name.removesuffix(" Storage")


def role_in_words(role: str) -> str:
    """A role as people read it."""
    return "PDF" if role == "pdf" else role.replace("_", " ")


def _roles(peer: Peer) -> Iterator[Role]:
    """The roles that the settings of a peer ask for."""
    if "sr" in peer.results:
        reports = [Alternative(kinds=("sr",), sop_class_uid=SR_CLASS_UIDS[name]) for name in peer.sr_classes]
        yield Role(name="report", alternatives=tuple(reports))
    if "seg" in peer.results:
        yield _segmentations(peer)
    plain = {"pdf": _PDF, "capture": _CAPTURE, "presentation_state": _STATE, "key_objects": _KEY_OBJECTS}
    for name, alternative in plain.items():
        if name in peer.results:
            covered_by = "report" if name in TOLD_BY_REPORT and "sr" in peer.results else ""
            yield Role(name=name, alternatives=(alternative,), covered_by=covered_by)


def _segmentations(peer: Peer) -> Role:
    """Segmentations, with the capture in their place where the peer is not sent it anyway."""
    if not peer.capture_without_seg:
        return Role(name="segmentations", alternatives=(_SEGMENTATIONS,))
    if "capture" in peer.results:
        return Role(name="segmentations", alternatives=(_SEGMENTATIONS,), covered_by="capture")
    return Role(name="segmentations", alternatives=(_SEGMENTATIONS, _CAPTURE))
