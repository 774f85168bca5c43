"""Hours of the day in which a batch asks a PACS, in the time zone of the machine."""

import re
from dataclasses import dataclass
from datetime import datetime, time

from dicom_node.batch.errors import BatchPlanError

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
HOURS_FORM = "must be HH:MM-HH:MM as 19:00-06:30"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """From a time of day until another, over midnight where the end is not after the beginning."""

    begin: time
    end: time

    def contain(self, local: datetime) -> bool:
        """Whether a moment in local time is within them; the end is not."""
        moment = local.time()
        if self.begin < self.end:
            return self.begin <= moment < self.end
        return moment >= self.begin or moment < self.end

    @property
    def per_day(self) -> float:
        """How many hours a day they are."""
        minutes = (self.end.hour - self.begin.hour) * 60 + self.end.minute - self.begin.minute
        return (minutes % 1440 or 1440) / 60


ALWAYS = Hours(begin=time(0), end=time(0))


def hours_from(text: str) -> Hours:
    """The hours that a text such as 19:00-06:30 names; always for an empty one.

    Raises:
        BatchPlanError: The text is nothing of the kind.
    """
    if not text:
        return ALWAYS
    found = _HOURS.fullmatch(text)
    if found is None:
        reason = f"hours: {HOURS_FORM} (got {text!r})"
        raise BatchPlanError(reason)
    begin_hour, begin_minute, end_hour, end_minute = map(int, found.groups())
    return Hours(begin=time(begin_hour, begin_minute), end=time(end_hour, end_minute))
