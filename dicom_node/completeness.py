"""Finds the studies that are complete now, each by the rule of the source that sends it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from config.settings import CompletenessSettings, Settings
from dicom_node.carried import CarriedStudies
from dicom_node.clock import Clock
from dicom_node.completion import ActivityWatch, CompletionRule, Silence
from dicom_node.counts import PeerCounts
from dicom_node.evidence import (
    SILENT,
    Evidence,
    evidence_of_associations,
    evidence_of_count,
    evidence_of_notices,
    evidence_of_slices,
)
from storage.evidence_records import CarryingAssociation, SeriesHoldings
from storage.index import Index
from storage.lifecycle import State
from storage.records import StudyActivity

_Known = tuple[datetime, datetime, int, tuple[SeriesHoldings, ...]]
"""When the study opened, its last image and the number of its images, then what is here of each series."""


class CompletenessCheck:
    """Looks at every study that is being received, with a memory that a restart may lose."""

    def __init__(self, settings: Settings, index: Index, *, counts: PeerCounts, clock: Clock) -> None:
        """Look at the studies of the index."""
        self.follow(settings)
        self._index = index
        self._counts = counts
        self._clock = clock
        self._watch = ActivityWatch()
        self._carried = CarriedStudies()
        self._holdings: dict[str, _Known] = {}

    def follow(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        self._settings = settings

    def completed(self) -> tuple[tuple[str, str], ...]:
        """Study Instance UIDs of what is complete now, each with the reason in words."""
        # Associations first: one that begins to carry a study after this look has left an image that is seen below.
        associations = self._index.carrying_associations()
        activities = self._index.studies_in(State.RECEIVING)
        self._forget_others([activity.study_instance_uid for activity in activities])
        held = self._carried.held(associations, monotonic_s=self._clock.monotonic())
        verdicts = ((one.study_instance_uid, self._verdict(one, associations, held)) for one in activities)
        return tuple((uid, why) for uid, why in verdicts if why)

    def _forget_others(self, study_instance_uids: Sequence[str]) -> None:
        self._watch.forget_others(study_instance_uids)
        self._counts.forget_others(study_instance_uids)
        self._holdings = {uid: known for uid, known in self._holdings.items() if uid in study_instance_uids}

    def _verdict(
        self, activity: StudyActivity, associations: Iterable[CarryingAssociation], held: frozenset[str]
    ) -> str:
        """Why the study is complete; empty when it is not."""
        own = [one for one in associations if one.study_instance_uid == activity.study_instance_uid]
        chosen = self._settings.completeness_of(own[-1].calling_aet if own else "")
        silence = self._watch.silence(
            activity,
            quiet_period_s=chosen.quiet_period_s,
            now=self._clock.now(),
            monotonic_s=self._clock.monotonic(),
        )
        is_carried = activity.study_instance_uid in held
        if not is_carried:
            self._ask_early(activity, silence, chosen)
        rule = CompletionRule(quiet_period_s=chosen.quiet_period_s, cap_s=chosen.cap_s, settle_s=chosen.settle_s)
        return rule.verdict(silence, is_carried=is_carried, evidence=lambda: self._evidence(activity, own, chosen))

    def _ask_early(self, activity: StudyActivity, silence: Silence, chosen: CompletenessSettings) -> None:
        """Have the peer asked before its answer is needed."""
        if chosen.count_peer and silence.quiet_s >= chosen.settle_s / 2:
            self._counts.heard(
                activity.study_instance_uid, peer_name=chosen.count_peer, instance_count=activity.instance_count
            )

    def _evidence(
        self, activity: StudyActivity, associations: Sequence[CarryingAssociation], chosen: CompletenessSettings
    ) -> Iterator[Evidence]:
        """What the configuration lets speak."""
        uid = activity.study_instance_uid
        if chosen.count_peer:
            yield self._evidence_of_count(activity, chosen.count_peer)
        if chosen.notifications:
            yield evidence_of_notices(self._index.notice_holdings(uid))
        if chosen.slice_positions:
            yield evidence_of_slices(self._series(activity))
        if chosen.association_release:
            yield evidence_of_associations(associations)

    def _evidence_of_count(self, activity: StudyActivity, peer_name: str) -> Evidence:
        heard = self._counts.heard(
            activity.study_instance_uid, peer_name=peer_name, instance_count=activity.instance_count
        )
        return SILENT if heard is None else evidence_of_count(heard, self._series(activity), peer=peer_name)

    def _series(self, activity: StudyActivity) -> tuple[SeriesHoldings, ...]:
        """What is here, read again only when something came."""
        stands = (activity.first_instance_at, activity.last_instance_at, activity.instance_count)
        known = self._holdings.get(activity.study_instance_uid)
        if known and known[:3] == stands:
            return known[3]
        series = self._index.series_holdings(activity.study_instance_uid)
        self._holdings[activity.study_instance_uid] = (*stands, series)
        return series
