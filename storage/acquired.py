"""When a study was acquired, by the clock of its scanner.

Instants are kept without a zone. Beside those of a study stands how far the clock of its scanner was ahead of UTC, as its
images say it, so that its day is the one on the screens of the site.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Protocol

from storage.records import CT, ReceivedInstance

_MINUTE = timedelta(minutes=1)


class Acquired(Protocol):
    """Columns of a study."""

    @property
    def acquired_at(self) -> datetime | None:
        """Of the earliest instance."""

    @property
    def ct_acquired_at(self) -> datetime | None:
        """Of the earliest CT instance."""

    @property
    def acquired_offset_minutes(self) -> int:
        """Of the scanner's clock from UTC."""


def acquired_by_clock(study: Acquired) -> datetime | None:
    """When the first CT image was taken, else the first instance of any kind; None where nothing says when."""
    instant = study.ct_acquired_at or study.acquired_at
    return instant and in_own_zone(instant, study.acquired_offset_minutes)


def in_own_zone(instant: datetime, offset_minutes: int) -> datetime:
    """The same instant, aware, by a clock that is so far ahead of UTC."""
    return instant.astimezone(timezone(offset_minutes * _MINUTE))


def acquired_columns(known: Acquired, instances: Sequence[ReceivedInstance]) -> dict[str, object]:
    """Columns of a study that has these instances too."""
    offset = known.acquired_offset_minutes
    ct_images = [instance for instance in instances if instance.modality == CT]
    first = _earliest(known.acquired_at, offset, instances)
    first_ct = _earliest(known.ct_acquired_at, offset, ct_images)
    shown = first_ct or first
    return {
        "acquired_at": first,
        "ct_acquired_at": first_ct,
        "acquired_offset_minutes": _offset_minutes(shown) if shown else 0,
    }


def _earliest(known: datetime | None, offset_minutes: int, instances: Sequence[ReceivedInstance]) -> datetime | None:
    """When the first of them was taken, in its own zone; None where nothing says when."""
    instants = [known and in_own_zone(known, offset_minutes), *(instance.acquired_at for instance in instances)]
    return min((instant for instant in instants if instant), default=None)


def _offset_minutes(instant: datetime) -> int:
    return (instant.utcoffset() or timedelta()) // _MINUTE
