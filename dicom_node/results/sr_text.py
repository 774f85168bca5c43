"""The report as plain text, for Basic Text SR (TID 2000 of PS3.16): no numbers, no coordinates."""

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    ObservationContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.coding import Code

from dicom_node.results import codes, sentences
from dicom_node.results.encode import ascii_text
from dicom_node.results.sr_groups import ReportMaterial, patient_codes
from pipeline.findings import Findings, Lesion

CONTAINS = RelationshipTypeValues.CONTAINS
MODIFIER = RelationshipTypeValues.HAS_CONCEPT_MOD
TEMPLATE = "2000"
"""Basic Diagnostic Imaging Report."""


def build_text(material: ReportMaterial, observer: ObservationContext) -> ContainerContentItem:
    """The root of the report: conclusions first."""
    root = ContainerContentItem(codes.CT_CHEST_REPORT, is_content_continuous=False, template_id=TEMPLATE)
    findings = material.analysis.findings
    sections = [
        _section(codes.CONCLUSIONS, _conclusions(findings)),
        _section(codes.FINDINGS, _findings(material)),
        _section(codes.PRIOR_PROCEDURES, _priors(findings)),
        _section(codes.PREVIOUS_FINDINGS, _gone(findings)),
        _section(codes.CURRENT_PROCEDURE, _procedure(material)),
    ]
    root.ContentSequence = ContentSequence(
        [
            CodeContentItem(codes.LANGUAGE, codes.ENGLISH, relationship_type=MODIFIER),
            CodeContentItem(codes.PROCEDURE_REPORTED, codes.CT_UNSPECIFIED_REGION, relationship_type=MODIFIER),
            *observer,
            *(section for section in sections if section.ContentSequence),
        ]
    )
    return root


def _conclusions(findings: Findings) -> Sequence[ContentItem]:
    spoken = (
        sentences.INTENDED_USE,
        sentences.conclusion(findings),
        sentences.decision(findings),
        sentences.score_meaning(findings),
    )
    return [
        *(_text(codes.CONCLUSION, sentence) for sentence in spoken if sentence),
        *(CodeContentItem(name, value, relationship_type=CONTAINS) for name, value in patient_codes(findings)),
    ]


def _findings(material: ReportMaterial) -> Sequence[ContentItem]:
    """Each lesion with its key image, then the lungs."""
    findings = material.analysis.findings
    lesions = [_lesion(lesion, material) for lesion in findings.lesions]
    return [*lesions, *(_text(codes.FINDING, sentence) for sentence in sentences.describe_lungs(findings))]


def _lesion(lesion: Lesion, material: ReportMaterial) -> ContentItem:
    item = _text(codes.FINDING, sentences.describe_lesion(lesion, material.analysis.findings))
    sop_class_uid, sop_instance_uid, frame_number = material.images.reference(lesion.key_slice)
    key_image = ImageContentItem(
        codes.KEY_IMAGE,
        sop_class_uid,
        sop_instance_uid,
        referenced_frame_numbers=None if frame_number is None else [frame_number],
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )
    item.ContentSequence = ContentSequence([key_image])
    return item


def _priors(findings: Findings) -> Sequence[ContentItem]:
    used = [sentences.describe_used(prior) for prior in findings.priors_used]
    dropped = [sentences.describe_dropped(prior) for prior in findings.priors_dropped]
    return [_text(codes.PRIOR_PROCEDURE, sentence) for sentence in (*used, *dropped)]


def _gone(findings: Findings) -> Sequence[ContentItem]:
    return [_text(codes.PREVIOUS_FINDING, sentences.describe_gone(lesion)) for lesion in findings.gone_lesions]


def _procedure(material: ReportMaterial) -> Sequence[ContentItem]:
    """What was read, by what, and with what limits."""
    findings = material.analysis.findings
    told = (
        f"Series analysed: {sentences.series_analysed(findings)}",
        sentences.searched(material.analysis),
        *sentences.limits(findings),
        sentences.LESION_SCORES,
        sentences.made_by(findings.algorithm),
    )
    return [_text(codes.PROCEDURE_DESCRIPTION, sentence) for sentence in told]


def _section(name: Code, items: Sequence[ContentItem]) -> ContainerContentItem:
    section = ContainerContentItem(name, is_content_continuous=False, relationship_type=CONTAINS)
    section.ContentSequence = ContentSequence(items)
    return section


def _text(name: Code, text: str) -> TextContentItem:
    return TextContentItem(name, ascii_text(text), relationship_type=CONTAINS)
