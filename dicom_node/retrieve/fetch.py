"""Fetches the earlier studies of one study after the other from one PACS."""

import logging
import random
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from config.settings import PriorsSettings, Settings
from dicom_node.clock import Clock
from dicom_node.errors import NodeError
from dicom_node.outbox import BackOff
from dicom_node.priors import chest_words
from dicom_node.retrieve.archive import Archive
from dicom_node.retrieve.errors import ArchiveSilentError
from dicom_node.retrieve.find import find_series, find_studies
from dicom_node.retrieve.judge import missing_series, verdict_on
from dicom_node.retrieve.survey import Limits, Survey, Surveyor, Wanted, found_from
from dicom_node.retrieve.transfer import SubOperations
from storage.fetch_records import FetchState, FoundPriorView, FoundState
from storage.fetch_tasks import FetchTask
from storage.index import Index

logger = logging.getLogger(__name__)

_LATE_LIMIT_S = 86_400.0
"""With [priors].rerun_when_late a PACS that was down over night still gives its studies."""
_MAXIMUM_TRIES = 4
"""Without it: the current study waits, and a fault that lasts does not go away by asking on."""
_FIRST_RETRY_S = 5.0
_MAXIMUM_RETRY_S = 600.0

_SEVERITY = (FoundState.FAILED, FoundState.TIMED_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How a retrieval ended."""

    found: FoundPriorView
    may_help_to_retry: bool = False


def horizon_s(priors: PriorsSettings) -> float:
    """How long after it was planned a search is begun, or tried again."""
    return max(_LATE_LIMIT_S if priors.rerun_when_late else 0.0, priors.maximum_wait_s)


class Fetcher:
    """Asks one PACS, over one association at a time; what it knows is in the index, so a restart goes on."""

    def __init__(self, settings: Settings, index: Index, archive: Archive, *, clock: Clock) -> None:
        """Fetch from one PACS until it is stopped."""
        self.peer = archive.peer
        self._archive = archive
        self._priors = settings.priors
        self._limits = Limits(
            maximum_count=settings.priors.maximum_count,
            maximum_age_days=settings.priors.maximum_age_days,
            chest=chest_words(settings.priors),
        )
        self._index = index
        self._clock = clock
        self._is_interrupted = True
        self._horizon_s = horizon_s(settings.priors)
        self._back_off = BackOff(first_s=_FIRST_RETRY_S, maximum_s=_MAXIMUM_RETRY_S, give_up_after_s=self._horizon_s)
        self._random = random.Random()  # spreads retries, hides nothing

    def fetch_due(self) -> bool:
        """Run the search that is due for longest; False when none is."""
        if self._is_interrupted:
            self._index.fetches.release_running(self.peer.name)
        self._is_interrupted = False
        if self._priors.rerun_when_late:
            for _ in self._index.fetches.rerun_late():
                logger.info("a study is run again: an earlier study was fetched after its analysis had begun")
        latest = self._back_off.latest_from(self._clock.now())
        task = None if self._archive.is_stopped else self._index.fetches.take_due(self.peer.name, latest=latest)
        if task is None:
            return False
        # Until the search is settled or postponed: a fault of the index between must not leave it running for ever.
        self._is_interrupted = True
        self._run(task)
        self._is_interrupted = self._archive.is_stopped
        return True

    def stop(self) -> None:
        """End what is under way; it is begun again when the worker starts."""
        self._archive.stop()

    def _run(self, task: FetchTask) -> None:
        """One search, to an end that is written down."""
        if self._is_too_late(task):
            self._settle(task, FetchState.TIMED_OUT, f"{self.peer.name}: not asked in time, it was busy or silent")
            return
        try:
            survey = self._survey(task)
        except NodeError as error:
            self._end_badly(task, error.reason, state=_state_after(error), may_help=error.retryable)
            return
        self._index.fetches.note_found(task.fetch_id, survey.others)
        ends = [self._retrieve(task, wanted) for wanted in survey.wanted]
        wrong = [end for end in ends if end.found.state in _SEVERITY]
        if wrong:
            words = f"{self.peer.name}: {self._counted(task)}"
            # One that failed says more than one that took too long.
            state = min((end.found.state for end in wrong), key=_SEVERITY.index)
            self._end_badly(task, words, state=state, may_help=any(end.may_help_to_retry for end in wrong))
            return
        self._settle(task, FetchState.DONE, f"{self.peer.name}: {self._counted(task)}")

    def _survey(self, task: FetchTask) -> Survey:
        """Ask what there is."""
        age_days = self._limits.maximum_age_days
        with self._archive.queried() as talk:
            surveyor = Surveyor(
                task,
                self._limits,
                held=self._index.fetches.held,
                candidates=self._index.prior_candidates(task.study_instance_uid, maximum_age_days=age_days),
                ask_series=lambda uid: find_series(talk, uid),
            )
            return surveyor.decide(find_studies(talk, task, maximum_age_days=age_days))

    def _retrieve(self, task: FetchTask, wanted: Wanted) -> _End:
        """Fetch one study; how it ended is in the index before the next begins."""
        if self._is_too_late(task) or self._archive.is_stopped:
            end = found_from(wanted.study, FoundState.TIMED_OUT, "not begun in time")
            self._index.fetches.note_found(task.fetch_id, [end])
            return _End(found=end)
        self._index.fetches.note_found(task.fetch_id, [found_from(wanted.study, FoundState.FETCHING, "")])
        ended = self._get(task, wanted)
        self._index.fetches.end_retrieval(task.fetch_id, ended.found, rerun_when_late=self._priors.rerun_when_late)
        return ended

    def _get(self, task: FetchTask, wanted: Wanted) -> _End:
        """Get what is missing of one study, and look at what came."""
        uid = wanted.study.study_instance_uid
        missing = missing_series(wanted.series, self._index.fetches.held(uid))
        told = SubOperations(completed=0, failed=0)
        try:
            if missing:
                told = self._archive.retrieve(uid, missing)
        except NodeError as error:
            found = found_from(wanted.study, _state_after(error), error.reason)
            return _End(found=found, may_help_to_retry=error.retryable)
        patients = [one.patient for one in task.sought]
        found = verdict_on(wanted, told, self._index.fetches.held(uid), patients=patients)
        return _End(found=found, may_help_to_retry=True)

    def _end_badly(self, task: FetchTask, words: str, *, state: FoundState, may_help: bool) -> None:
        """Put the search off, or end it where no time or no hope is left."""
        if self._archive.is_stopped:
            return
        wait_s = self._back_off.wait_s(task.tries, jitter=self._random.random())
        next_try_at = self._clock.now() + timedelta(seconds=wait_s)
        is_last = task.tries >= _MAXIMUM_TRIES and not self._priors.rerun_when_late
        is_out_of_time = next_try_at >= task.planned_at + timedelta(seconds=self._horizon_s)
        if is_last or is_out_of_time or not may_help:
            self._settle(task, FetchState(state), words)
            return
        self._index.fetches.postpone(task.fetch_id, words, next_try_at=next_try_at)
        logger.warning("search for earlier studies is tried again: %s", words)

    def _settle(self, task: FetchTask, state: FetchState, words: str) -> None:
        """The search is over; said in the log only when the index says so."""
        self._index.fetches.settle(task.fetch_id, state, words)
        logger.info("search for earlier studies %s: %s", state, words)

    def _is_too_late(self, task: FetchTask) -> bool:
        return self._clock.now() >= task.planned_at + timedelta(seconds=self._horizon_s)

    def _counted(self, task: FetchTask) -> str:
        """How many earlier studies were found, and how many ended how."""
        searches = self._index.fetches.of_study(task.study_instance_uid)
        states = Counter(found.state for one in searches if one.peer == self.peer.name for found in one.found)
        ends = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(states.items()))
        return f"{states.total()} earlier studies found" + (f": {ends}" if ends else "")


def _state_after(error: NodeError) -> FoundState:
    return FoundState.TIMED_OUT if isinstance(error, ArchiveSilentError) else FoundState.FAILED
