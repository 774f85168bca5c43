"""How much working time passed: Monday to Friday, between two hours of the day, over midnight where the end is not after the beginning."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta

from config.alerts import AlertsSettings

_SATURDAY = 5
_Span = tuple[datetime, datetime]
"""Beginning and end, aware, in the time zone of the machine."""


def is_silent_too_long(rules: AlertsSettings, last: datetime, *, now: datetime) -> bool:
    """Whether more than `nothing_received_hours` of working time passed since an instant.

    What is less than a working day counts within one: where few come in the afternoon, the next morning does not begin with
    an alert. A whole working day or more counts over as many as it needs.

    Args:
        rules: With the working hours.
        last: When the last object came, aware.
        now: Aware.
    """
    limit = timedelta(hours=rules.nothing_received_hours)
    spans = list(_working_spans(rules, last, now))
    if limit < _working_day(rules):
        spans = [(begin, end) for begin, end in spans if begin <= now < end]
    passed = (max(timedelta(), min(end, now) - max(begin, last)) for begin, end in spans)
    return sum(passed, timedelta()) > limit


def _working_day(rules: AlertsSettings) -> timedelta:
    hours = (rules.working_to_hour - rules.working_from_hour) % 24
    return timedelta(hours=hours or 24)


def _working_spans(rules: AlertsSettings, since: datetime, until: datetime) -> Iterator[_Span]:
    """The working days that began between the day before an instant and another one."""
    day = since.astimezone().date() - timedelta(days=1)
    while day <= until.astimezone().date():
        if day.weekday() < _SATURDAY:
            # The clock of the wall: a night in which it is set has an hour more or less.
            begin = datetime.combine(day, time(rules.working_from_hour % 24))
            yield begin.astimezone(), (begin + _working_day(rules)).astimezone()
        day += timedelta(days=1)
