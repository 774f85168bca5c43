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
from dicom_node.retention_report import Outlook, Removed, RetentionReport, ToRemove, read_report, write_report
from storage.disk import free_bytes_of
from storage.errors import StorageError
from storage.files import ResultStore
from storage.index import Index
from storage.locks import lock_data_dir
from storage.removals import bytes_to_be_removed, remove_files
from storage.retention import FAILED, OldStudy, delete_study, old_studies

logger = logging.getLogger(__name__)

_FILES_AFTER = 10
"""Studies: to see whether files have rows again reads the whole index."""

SOON_DAYS = 7.0

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
        self._results = ResultStore(settings.data_dir)

    def decisions(self) -> Iterator[Decision]:
        """What is deleted now and what is kept, the oldest first; nothing is changed.

        Raises:
            StorageError: The index cannot be read.
        """
        yield from self._decisions(before=self._clock.now() - self._least_age)

    def _decisions(self, *, before: datetime) -> Iterator[Decision]:
        now = self._clock.now()
        missing = self._missing_bytes()
        for study in old_studies(self._engine, before=before):
            too_old = self._too_old(study, now)
            wanted = too_old or (FOR_SPACE if missing > 0 and study.state not in FAILED else "")
            if study.kept_because:
                yield Decision(study=study, is_deleted=False, why=study.kept_because)
            elif not wanted:
                yield Decision(study=study, is_deleted=False, why=self._not_yet(study))
            else:
                if missing > 0:
                    missing -= self.size_of(study)
                yield Decision(study=study, is_deleted=True, why=wanted)

    def size_of(self, study: OldStudy) -> int:
        """Bytes that go with a study: its received objects and its results of every revision."""
        return study.size_bytes + self._results.size_of(study.study_instance_uid)

    def run(self) -> int:
        """Delete; returns how many studies that were.

        Raises:
            DataFolderInUseError: Another process deletes.
            StorageError: Disk or index refuse; the rest is deleted the next time.
        """
        data_dir = self._settings.data_dir
        with lock_data_dir(data_dir, "retention"):
            removed = self._run()
            before = read_report(data_dir)
            last = removed if removed.studies else before.last if before else None
            if last or self._rules.is_on:
                write_report(data_dir, RetentionReport(last=last, outlook=self.outlook()))
        return removed.studies

    def outlook(self, *, days: float = SOON_DAYS) -> Outlook:
        """What is due now, and what will be in so many days; nothing is changed.

        Raises:
            StorageError: The index cannot be read.
        """
        now = self._clock.now()
        until = now + timedelta(days=days)
        due, soon, kept = ToRemove(), ToRemove(), 0
        for study, at in self._due(until):
            if study.kept_because:
                kept += 1
            elif at <= now:
                due = self._with(due, study)
            else:
                soon = self._with(soon, study)
        return Outlook(
            at=now, due=due, soon_days=days, soon=soon, kept=kept, missing_bytes=max(0, self._missing_bytes())
        )

    def _due(self, until: datetime) -> Iterator[tuple[OldStudy, datetime]]:
        """Studies that the rules of age delete until then, the oldest first, each with when."""
        shortest = self._shortest_age
        for study in old_studies(self._engine, before=until - shortest) if shortest else ():
            _, days = self._days_for(study)
            at = study.last_at + max(timedelta(days=days), self._least_age)
            if days and at <= until:
                yield study, at

    @property
    def _least_age(self) -> timedelta:
        """Nothing younger is deleted."""
        return timedelta(hours=self._rules.keep_at_least_hours)

    @property
    def _shortest_age(self) -> timedelta | None:
        """Nothing younger is deleted by age; it may be most of the index. None: nothing ever is."""
        days = [days for days in (self._rules.days, self._rules.fetched_days, self._rules.failed_days) if days]
        return max(timedelta(days=min(days)), self._least_age) if days else None

    def _deletions(self) -> tuple[Decision, ...]:
        """Those that delete."""
        age = self._least_age if self._missing_bytes() > 0 else self._shortest_age
        found = self._decisions(before=self._clock.now() - age) if age else ()
        return tuple(decision for decision in found if decision.is_deleted)

    def _run(self) -> Removed:
        # What a process that ended had still to remove.
        self._remove_files()
        deleted, size_bytes = 0, 0
        for decision in self._deletions():
            study_bytes = self.size_of(decision.study)
            if not self._delete(decision):
                continue
            deleted, size_bytes = deleted + 1, size_bytes + study_bytes
            if deleted % _FILES_AFTER == 0:
                self._remove_files()
        self._remove_files()
        if deleted:
            logger.info("%d studies deleted by the rules of [retention]", deleted)
        return Removed(at=self._clock.now(), studies=deleted, size_bytes=size_bytes)

    def look(self) -> None:
        """`run`, as a duty: what fails is said, and tried again the next time."""
        try:
            self.run()
        except StorageError as error:
            logger.warning("nothing further is deleted for now: %s", error.detail)

    def _delete(self, decision: Decision) -> bool:
        study, now = decision.study, self._clock.now()
        audited = study_from(self._index.study(study.study_instance_uid), study.study_instance_uid)
        folder_of = self._results.folder_of
        if not delete_study(self._engine, study, data_dir=self._settings.data_dir, results_folder=folder_of, at=now):
            return False
        self._trail.record(StudyDeleted(by=self._by, study=audited, what=decision.why))
        return True

    def _remove_files(self) -> None:
        remove_files(self._engine, self._settings.data_dir, now=self._clock.now)

    def _missing_bytes(self) -> int:
        """How much is to be freed beside what is free soon: files that were put off go without a further study."""
        data_dir = self._settings.data_dir
        free = free_bytes_of(data_dir)
        if free >= self._rules.free_below_bytes:
            return 0
        free += bytes_to_be_removed(self._engine, data_dir)
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

    def _with(self, removed: ToRemove, study: OldStudy) -> ToRemove:
        return removed.and_also(study.study_instance_uid, last_at=study.last_at, size_bytes=self.size_of(study))
