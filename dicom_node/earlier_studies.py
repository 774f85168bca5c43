"""What an attempt is told about the earlier studies of a patient."""

from collections.abc import Sequence
from dataclasses import dataclass

from config.settings import Settings
from dicom_node.job_records import RefusedPriorSpec
from dicom_node.priors import RefusedPrior, chest_words, select_priors, why_not_linked
from dicom_node.retrieve.waiting import not_fetched
from storage.fetch_records import FetchState, PriorFetchView
from storage.index import Index
from storage.prior_records import PriorCandidate

_ANY_AGE_DAYS = 36_525.0
"""A century."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierOfStudy:
    """The earlier studies of one study."""

    linked: tuple[PriorCandidate, ...]
    """To compare with, newest first."""
    refused: tuple[RefusedPriorSpec, ...]
    """All others that are known, each with the reason."""
    were_searched: bool
    """Whether each place that the node was told to look in was looked in to the end."""


def earlier_of_study(
    settings: Settings, index: Index, study_instance_uid: str, searches: Sequence[PriorFetchView]
) -> EarlierOfStudy:
    """What the index and the PACS that were asked know.

    Args:
        settings: Of the node.
        index: With the study.
        study_instance_uid: The study to be analysed.
        searches: What each PACS was asked for.
    """
    view, current = index.study(study_instance_uid), index.demographics_of(study_instance_uid)
    within = index.prior_candidates(study_instance_uid, maximum_age_days=settings.priors.maximum_age_days)
    chest = chest_words(settings.priors)
    selection = select_priors(
        current,
        within,
        acquired_at=view.acquired_at if view else None,
        maximum_count=settings.priors.maximum_count,
        chest=chest,
    )
    told = [*selection.refused, *selection.left_out]
    if not selection.linked:
        known = {candidate.study_instance_uid for candidate in within}
        of_any_age = index.prior_candidates(study_instance_uid, maximum_age_days=_ANY_AGE_DAYS)
        too_old = f"older than {settings.priors.maximum_age_days:g} days, see [priors].maximum_age_days"
        told += [
            RefusedPrior(
                study_instance_uid=one.study_instance_uid,
                reason=why_not_linked(current, one, chest=chest) or too_old,
            )
            for one in of_any_age
            if one.study_instance_uid not in known
        ]
    reasons = {prior.study_instance_uid: prior.reason for prior in told}
    linked = {prior.study_instance_uid for prior in selection.linked}
    reasons |= {missing: why for missing, why in not_fetched(searches) if missing not in {*reasons, *linked}}
    has_identity = bool(view and view.patient.patient_id and view.acquired_at)
    return EarlierOfStudy(
        linked=selection.linked,
        refused=tuple(RefusedPriorSpec(study_instance_uid=uid, reason=why) for uid, why in reasons.items()),
        were_searched=has_identity and settings.priors.maximum_count > 0 and _are_done(settings, searches),
    )


def _are_done(settings: Settings, searches: Sequence[PriorFetchView]) -> bool:
    """Whether each PACS that is to be asked was, and answered; one that is asked no more may have had something too."""
    asked = {search.peer for search in searches}
    is_planned = asked >= {peer.name for peer in settings.archives}
    return is_planned and all(search.state is FetchState.DONE for search in searches)
