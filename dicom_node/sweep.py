"""Moves studies on that wait: for more images, for earlier studies under way."""

import logging

from config.settings import Settings
from dicom_node.clock import Clock
from dicom_node.completeness import CompletenessCheck
from dicom_node.counts import PeerCounts
from dicom_node.priors import candidates_in_words, chest_words
from dicom_node.retrieve.waiting import FetchWatch, searches_in_words
from dicom_node.rules_decision import decision_for
from storage.errors import IllegalTransitionError
from storage.failpoints import reach
from storage.index import Index
from storage.lifecycle import Event, State

logger = logging.getLogger(__name__)


class CompletenessSweep:
    """Moves studies on: received to complete, complete to ready."""

    def __init__(self, settings: Settings, index: Index, *, counts: PeerCounts, clock: Clock) -> None:
        """Watch the studies of the index; `counts` knows what peers have."""
        self._check = CompletenessCheck(settings, index, counts=counts, clock=clock)
        self._index = index
        self._clock = clock
        self._waiting_since_s: dict[str, float] = {}
        self.follow(settings)

    def follow(self, settings: Settings) -> None:
        """Go by these settings from now on; how long a study waits already is not forgotten."""
        self._settings = settings
        self._check.follow(settings)
        self._maximum_wait_s = settings.priors.maximum_wait_s
        self._maximum_age_days = settings.priors.maximum_age_days
        self._fetches = FetchWatch(settings, self._index)

    def run(self) -> None:
        """Look once at every study that waits for something."""
        for study_instance_uid, why in self._check.completed():
            self._apply(study_instance_uid, Event.COMPLETED, why=why)
        self._fetches.tidy()
        self._settle_priors()

    def _settle_priors(self) -> None:
        """Let studies go on whose earlier studies are no longer under way, or that waited long enough."""
        waiting = {activity.study_instance_uid for activity in self._index.studies_in(State.WAITING_FOR_PRIORS)}
        self._waiting_since_s = {uid: at for uid, at in self._waiting_since_s.items() if uid in waiting}
        for study_instance_uid in sorted(waiting):
            if self._is_ruled_out(study_instance_uid):
                continue
            why = self._settled(study_instance_uid)
            if why:
                self._apply(study_instance_uid, Event.PRIORS_SETTLED, why=why)
                reach("trigger.after_job_commit")

    def _is_ruled_out(self, study_instance_uid: str) -> bool:
        """Whether the rules of the site, asked once, say that the study is not run; it is skipped then."""
        try:
            return not decision_for(self._settings, self._index, study_instance_uid).runs
        except IllegalTransitionError:
            logger.info("a study moved on by itself before the rules were asked")
            return True

    def _apply(self, study_instance_uid: str, event: Event, *, why: str) -> None:
        """Move a study on, unless it went elsewhere since it was looked at."""
        try:
            self._index.apply(study_instance_uid, event, why=why)
        except IllegalTransitionError:
            logger.info("a study moved on by itself before %s", event)

    def _settled(self, study_instance_uid: str) -> str:
        """Why the study waits no longer; empty while an earlier one is under way."""
        now_s = self._clock.monotonic()
        since_s = self._waiting_since_s.setdefault(study_instance_uid, now_s)
        candidates = self._index.prior_candidates(study_instance_uid, maximum_age_days=self._maximum_age_days)
        under_way = [candidate for candidate in candidates if candidate.state in _UNDER_WAY]
        searches = self._fetches.look(study_instance_uid)
        has_waited = now_s - since_s >= self._maximum_wait_s
        if not has_waited and (under_way or self._fetches.waits(searches, now=self._clock.now())):
            return ""
        current = self._index.demographics_of(study_instance_uid)
        why = candidates_in_words(current, candidates, chest=chest_words(self._settings.priors))
        if under_way:
            why = f"{len(under_way)} earlier studies still under way after {self._maximum_wait_s:g} s"
        return "; ".join(part for part in (why, searches_in_words(searches)) if part)


_UNDER_WAY = frozenset({State.RECEIVING, State.WAITING_FOR_PRIORS, State.READY, State.PROCESSING})
"""An earlier study in one of these states may soon have a result to compare with."""
