"""What retention did last and does next, as the worker leaves it for the pages: they are too quick to look themselves."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from storage.disk import disk_errors, sync_file, sync_folder

_NAME = "retention.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What one run deleted."""

    at: datetime
    studies: int
    size_bytes: int
    """Of their received objects and their results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToRemove:
    """Studies that are to be deleted."""

    studies: int = 0
    size_bytes: int = 0
    """Of their received objects and their results."""
    oldest_at: datetime | None = None
    """When the last thing happened to the oldest of them; null for none."""
    first_study_instance_uid: str = ""
    """Of the oldest; empty for none."""

    def and_also(self, study_instance_uid: str, *, last_at: datetime, size_bytes: int) -> "ToRemove":
        """With one study more, which is not older than these."""
        return ToRemove(
            studies=self.studies + 1,
            size_bytes=self.size_bytes + size_bytes,
            oldest_at=self.oldest_at or last_at,
            first_study_instance_uid=self.first_study_instance_uid or study_instance_uid,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the rules delete next."""

    at: datetime
    """When it was looked."""
    due: ToRemove
    """Now."""
    soon_days: float
    """How far `soon` looks ahead."""
    soon: ToRemove
    """By age, until then, beside those that are due."""
    kept: int
    """Studies that are old enough and stay: on their way, not delivered, or needed by another one."""
    missing_bytes: int
    """That are to be freed for want of space; 0: there is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionReport:
    """What the file holds."""

    last: Removed | None
    """The last run that deleted something; null where none did yet."""
    outlook: Outlook


_REPORT = TypeAdapter(RetentionReport)


def read_report(data_dir: Path) -> RetentionReport | None:
    """What was left last; None where there is none, or none that can be read."""
    with suppress(OSError, ValidationError):
        return _REPORT.validate_json((data_dir / _NAME).read_bytes())
    return None


def write_report(data_dir: Path, report: RetentionReport) -> None:
    """Leave it for who reads next; whole or not at all.

    Raises:
        DiskError: It cannot be written; the one of before stays.
    """
    partial = data_dir / f"{_NAME}.partial"
    with disk_errors():
        partial.write_bytes(_REPORT.dump_json(report))
        sync_file(partial)
        partial.replace(data_dir / _NAME)
        sync_folder(data_dir)
