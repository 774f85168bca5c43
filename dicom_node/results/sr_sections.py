"""Sections of the report below its measurements: intended use, limits, comparison studies, lesions no longer seen."""

from collections.abc import Sequence
from datetime import datetime

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DateContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom.sr.coding import Code

from dicom_node.results import codes
from dicom_node.results.encode import ascii_text
from dicom_node.results.sentences import (
    INTENDED_USE,
    LESION_SCORES,
    conclusion,
    decision,
    limits,
    score_meaning,
    searched,
    series_analysed,
)
from dicom_node.results.sr_groups import patient_codes
from pipeline.findings import Analysis, Change, DroppedPrior, Findings, GoneLesion, UsedPrior

CONTAINS = RelationshipTypeValues.CONTAINS
HAS_CONCEPT_MOD = RelationshipTypeValues.HAS_CONCEPT_MOD


def build_sections(analysis: Analysis) -> list[ContainerContentItem]:
    """The sections that this study needs, in reading order."""
    findings = analysis.findings
    sections = [_evaluations(analysis)]
    if findings.priors_used or findings.priors_dropped:
        sections.append(_comparisons(findings))
    if findings.gone_lesions:
        sections.append(_previous_findings(findings))
    return sections


def _evaluations(analysis: Analysis) -> ContainerContentItem:
    """What was found in words and codes, and what the whole report must be read with."""
    findings = analysis.findings
    decided = decision(findings)
    items = [
        _text(codes.INTENDED_USE, INTENDED_USE),
        _text(codes.CONCLUSION, conclusion(findings)),
        *(CodeContentItem(name, value, relationship_type=CONTAINS) for name, value in patient_codes(findings)),
        *(_text(codes.OPERATING_POINT, sentence) for sentence in (decided,) if sentence),
        _text(codes.SCORE_MEANING, score_meaning(findings)),
        _text(codes.SEARCHED, searched(analysis)),
        *(_text(codes.LIMITATION, sentence) for sentence in limits(findings)),
        _text(codes.SERIES_ANALYSED, series_analysed(findings)),
        _text(codes.COMMENT, LESION_SCORES),
    ]
    return _container(codes.QUALITATIVE_EVALUATIONS, items)


def _comparisons(findings: Findings) -> ContainerContentItem:
    items = [
        *(
            _used_prior(prior, order=len(findings.priors_used) - place)
            for place, prior in enumerate(findings.priors_used)
        ),
        *(_dropped_prior(prior) for prior in findings.priors_dropped),
    ]
    return _container(codes.PRIOR_PROCEDURES, items)


def _used_prior(prior: UsedPrior, *, order: int) -> ContainerContentItem:
    """One study; `order` is 1 for the oldest, and the study of the report comes after the newest."""
    items = [
        _uid(codes.STUDY_INSTANCE_UID, prior.study_instance_uid),
        _uid(codes.SERIES_INSTANCE_UID, prior.series_instance_uid),
        *_dates(prior.acquired_at),
        _number(codes.TIME_POINT_ORDER, order, codes.NO_UNITS),
    ]
    if prior.interval_days is not None:
        items.append(_number(codes.INTERVAL, round(prior.interval_days, 2), codes.DAY))
    items.append(_number(codes.LUNG_OVERLAP, round(prior.lung_overlap_dice, 3), codes.ZERO_TO_ONE))
    return _container(codes.USED_PRIOR, items)


def _dropped_prior(prior: DroppedPrior) -> ContainerContentItem:
    items = [_uid(codes.STUDY_INSTANCE_UID, prior.study_instance_uid), _text(codes.REASON, prior.reason)]
    return _container(codes.DROPPED_PRIOR, items)


def _previous_findings(findings: Findings) -> ContainerContentItem:
    return _container(codes.PREVIOUS_FINDINGS, [_gone(lesion) for lesion in findings.gone_lesions])


def _gone(lesion: GoneLesion) -> ContainerContentItem:
    finding = CodeContentItem(codes.FINDING, codes.LESION_KIND[lesion.kind], relationship_type=CONTAINS)
    side = CodeContentItem(codes.LATERALITY, codes.SIDE[lesion.side], relationship_type=CONTAINS)
    change = CodeContentItem(codes.QUALITATIVE_DIFFERENCE, codes.CHANGE[Change.GONE], relationship_type=CONTAINS)
    items = [
        _text(codes.TRACKING_IDENTIFIER, lesion.tracking_id),
        _uid(codes.TRACKING_UID, lesion.tracking_uid),
        finding,
        side,
        _number(codes.PRIOR_VOLUME, round(lesion.prior_volume_ml, 3), codes.CUBIC_CENTIMETER),
        change,
    ]
    return _container(codes.PREVIOUS_FINDING, items)


def _dates(acquired_at: datetime | None) -> list[ContentItem]:
    """The date that the study has in the archive, where its scanner says when it was."""
    if acquired_at is None:
        return []
    return [DateContentItem(codes.STUDY_DATE, f"{acquired_at:%Y%m%d}", relationship_type=CONTAINS)]


def _container(name: Code, items: Sequence[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(name, relationship_type=CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container


def _text(name: Code, text: str) -> TextContentItem:
    return TextContentItem(name, ascii_text(text), relationship_type=CONTAINS)


def _uid(name: Code, uid: str) -> UIDRefContentItem:
    return UIDRefContentItem(name, uid, relationship_type=CONTAINS)


def _number(name: Code, value: float, unit: Code) -> NumContentItem:
    return NumContentItem(name, value, unit, relationship_type=CONTAINS)
