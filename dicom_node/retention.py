"""Deletes what need not be kept any longer: by age, and for want of space."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from config.settings import Settings
from dicom_node.audit.deliveries import study_from
from dicom_node.audit.events import Party, StudyDeleted
from dicom_node.audit.trail import Recorder
from dicom_node.clock import Clock
from storage.disk import free_bytes_of
from storage.errors import StorageError
from storage.files import ResultStore, lock_data_dir
from storage.index import Index
from storage.removals import remove_files
from storage.retention import FAILED, OldStudy, delete_study, old_studies

logger = logging.getLogger(__name__)

_FILES_AFTER = 10
"""Studies: to see whether files have rows again reads the whole index."""

FOR_SPACE = "the disk has less free space than [retention].free_below_bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of one study."""

    study: OldStudy
    is_deleted: bool
    why: str
    """Why it is deleted, or why it is kept."""


class Retention:
    """Looks through the studies now and then; nothing that is still to be sent or compared with is deleted."""

    def __init__(self, settings: Settings, engine: Engine, *, clock: Clock, trail: Recorder, by: Party) -> None:
        """Delete nothing yet.

        Args:
            settings: Of the node.
            engine: Of its index.
            clock: For ages.
            trail: Takes what is deleted.
            by: In whose name.
        """
        self._settings = settings
        self._rules = settings.retention
        self._engine = engine
        self._clock = clock
        self._trail = trail
        self._by = by
        self._index = Index(engine, now=clock.now)

    def decisions(self) -> Iterator[Decision]:
        """What is deleted now and what is kept, the oldest first; nothing is changed.

        Raises:
            StorageError: The index cannot be read.
        """
        now = self._clock.now()
        missing = self._missing_bytes()
        youngest = now - timedelta(hours=self._rules.keep_at_least_hours)
        for study in old_studies(self._engine, before=youngest):
            too_old = self._too_old(study, now)
            wanted = too_old or (FOR_SPACE if missing > 0 and study.state not in FAILED else "")
            if study.kept_because:
                yield Decision(study=study, is_deleted=False, why=study.kept_because)
            elif not wanted:
                yield Decision(study=study, is_deleted=False, why=self._not_yet(study))
            else:
                missing -= study.size_bytes
                yield Decision(study=study, is_deleted=True, why=wanted)

    def run(self) -> int:
        """Delete; returns how many studies that were.

        Raises:
            DataFolderInUseError: Another process deletes.
            StorageError: Disk or index refuse; the rest is deleted the next time.
        """
        with lock_data_dir(self._settings.data_dir, "retention"):
            return self._run()

    def _run(self) -> int:
        # What a process that ended had still to remove.
        self._remove_files()
        deleted = 0
        for decision in [decision for decision in self.decisions() if decision.is_deleted]:
            deleted += self._delete(decision)
            if deleted % _FILES_AFTER == 0:
                self._remove_files()
        self._remove_files()
        if deleted:
            logger.info("%d studies deleted by the rules of [retention]", deleted)
        return deleted

    def look(self) -> None:
        """`run`, as a duty: what fails is said, and tried again the next time."""
        try:
            self.run()
        except StorageError as error:
            logger.warning("nothing further is deleted for now: %s", error.detail)

    def _delete(self, decision: Decision) -> bool:
        study, now = decision.study, self._clock.now()
        audited = study_from(self._index.study(study.study_instance_uid), study.study_instance_uid)
        results = ResultStore(self._settings.data_dir)
        if not delete_study(
            self._engine, study, data_dir=self._settings.data_dir, results_folder=results.folder_of, at=now
        ):
            return False
        self._trail.record(StudyDeleted(by=self._by, study=audited, what=decision.why))
        return True

    def _remove_files(self) -> None:
        remove_files(self._engine, self._settings.data_dir, now=self._clock.now)

    def _missing_bytes(self) -> int:
        """How much is to be freed."""
        free = free_bytes_of(self._settings.data_dir)
        return self._rules.free_until_bytes - free if free < self._rules.free_below_bytes else 0

    def _days_for(self, study: OldStudy) -> tuple[str, float]:
        """The rule that a study falls under, and its days."""
        if study.state in FAILED:
            return "failed_days", self._rules.failed_days
        return ("fetched_days", self._rules.fetched_days) if study.was_fetched else ("days", self._rules.days)

    def _too_old(self, study: OldStudy, now: datetime) -> str:
        key, days = self._days_for(study)
        is_over = days > 0 and now - study.last_at > timedelta(days=days)
        return f"older than [retention].{key} = {days:g}" if is_over else ""

    def _not_yet(self, study: OldStudy) -> str:
        key, days = self._days_for(study)
        return f"younger than [retention].{key} = {days:g}" if days else f"[retention].{key} is 0: for ever"
