"""Whether the time of what was put off has come."""

from datetime import datetime

from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import InstrumentedAttribute


def is_due(
    next_try_at: InstrumentedAttribute[datetime], *, at: datetime, latest: datetime | None
) -> ColumnElement[bool]:
    """Whether an instant has come, or lies where no pause reaches: a clock was set back since it was written.

    Args:
        next_try_at: Of the rows.
        at: Now.
        latest: Further than the longest pause reaches that begins now; None where clocks are believed.
    """
    has_come = next_try_at <= at
    return has_come if latest is None else or_(has_come, next_try_at > latest)
