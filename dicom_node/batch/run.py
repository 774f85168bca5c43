"""Asks a PACS for the studies of its batches, one after the other."""

import logging
import random
from datetime import timedelta

from config.settings import Settings
from dicom_node.batch.standstill import full_disk, why_not_now
from dicom_node.calling import PeerUnreachableError
from dicom_node.clock import Clock
from dicom_node.errors import NodeError
from dicom_node.outbox import BackOff
from dicom_node.retrieve.answers import SeriesAnswer
from dicom_node.retrieve.archive import Archive
from dicom_node.retrieve.errors import ArchiveFailedError, ArchiveSilentError
from dicom_node.retrieve.find import find_series
from dicom_node.retrieve.judge import missing_series
from storage.batch_records import BatchLine, BatchStudyState, BatchView
from storage.index import Index

logger = logging.getLogger(__name__)

_MAXIMUM_TRIES = 4
"""Failed answers of a PACS about one study; what is not its fault costs no study a try."""
_BACK_OFF = BackOff(first_s=30.0, maximum_s=1800.0, give_up_after_s=float("inf"))


class BatchRunner:
    """Runs the batches over one PACS, one retrieval at a time; all that it knows is in the index."""

    def __init__(self, settings: Settings, index: Index, archive: Archive, *, clock: Clock) -> None:
        """Ask one PACS until it is stopped."""
        self._settings = settings
        self.peer = archive.peer
        self._archive = archive
        self._index = index
        self._ledger = index.batches
        self._clock = clock
        self._is_interrupted = True
        self._random = random.Random()  # spreads retries, hides nothing

    def run_due(self) -> None:
        """Ask for one study of the oldest batch that may have one."""
        if self._is_interrupted:
            self._ledger.release_running(self.peer.name)
        self._is_interrupted = False
        for batch in self._ledger.running(self.peer.name):
            if self._may_ask(batch) and self._ask_next(batch):
                return

    def stop(self) -> None:
        """End what is under way; it is asked for again when the worker starts."""
        self._archive.stop()

    def _may_ask(self, batch: BatchView) -> bool:
        now = self._clock.now()
        return (
            not self._archive.is_stopped
            and not now < batch.next_try_at <= _BACK_OFF.latest_from(now)
            and batch.in_flight < batch.plan.in_flight
            and not why_not_now(batch, self._settings, now=now)
        )

    def _ask_next(self, batch: BatchView) -> bool:
        """Get the study whose turn it is; False when none is due."""
        latest = _BACK_OFF.latest_from(self._clock.now())
        for line in self._ledger.in_state(batch.number, BatchStudyState.WAITING, latest=latest):
            self._is_interrupted = True
            self._get(batch, line)
            self._is_interrupted = self._archive.is_stopped
            return True
        return False

    def _get(self, batch: BatchView, line: BatchLine) -> None:
        """Have one study here as a whole; one that came by itself is as it is, and nothing is fetched to it."""
        study = self._index.study(line.study_instance_uid)
        is_here_by_itself = study is not None and study.origin == "received" and study.batch is None
        if is_here_by_itself:
            self._ledger.asked(line, is_own=False)
            self._ledger.fetched(line)
            return
        # Before the first image: the study is of the batch from its birth on, whatever becomes of this process.
        self._ledger.asked(line, is_own=True)
        try:
            words = self._fetch(line)
        except NodeError as error:
            self._after_failure(batch, line, error.reason, error=error)
            return
        if words:
            self._after_failure(batch, line, words, error=ArchiveFailedError())
            return
        self._ledger.fetched(line)
        logger.info("batch %d: a study is here", batch.number)

    def _fetch(self, line: BatchLine) -> str:
        """Get what is missing; what is still missing then in words, empty where nothing is.

        Raises:
            NodeError: The PACS was not reached, did not answer in time, or failed.
        """
        uid = line.study_instance_uid
        series = self._ct_series(uid)
        missing = missing_series(series, self._index.fetches.held(uid))
        if not missing:
            return "" if series else f"{self.peer.name}: names no CT series of the study"
        self._archive.retrieve(uid, missing)
        held = self._index.fetches.held(uid)
        here = held.images_by_series if held else {}
        lacking = sum(max((one.instance_count or 1) - here.get(one.series_instance_uid, 0), 0) for one in series)
        return f"{self.peer.name}: {lacking} images of the study did not come" if lacking else ""

    def _ct_series(self, study_instance_uid: str) -> tuple[SeriesAnswer, ...]:
        with self._archive.queried() as talk:
            return tuple(one for one in find_series(talk, study_instance_uid) if one.modality in {"CT", ""})

    def _after_failure(self, batch: BatchView, line: BatchLine, words: str, *, error: NodeError) -> None:
        """Leave the PACS alone for a while, longer each time; give a study up that it fails to give again and again."""
        if self._archive.is_stopped:
            return
        is_reached = not isinstance(error, PeerUnreachableError | ArchiveSilentError)
        # What our own listener refused meanwhile comes back as a failure of the PACS.
        tries = line.tries + (is_reached and not full_disk(self._settings))
        wait_s = _BACK_OFF.wait_s(batch.failures + 1, jitter=self._random.random())
        next_try_at = self._clock.now() + timedelta(seconds=wait_s)
        self._ledger.put_off(line, words, tries=tries, next_try_at=next_try_at)
        logger.warning("batch %d: the PACS is left alone for %.0f s: %s", batch.number, wait_s, words)
        if tries >= _MAXIMUM_TRIES:
            self._ledger.end(line, BatchStudyState.FAILED, words)
        elif not error.retryable:
            self._ledger.pause_itself(batch.number)
            logger.error("batch %d is paused, nothing changes by itself: %s", batch.number, words)
