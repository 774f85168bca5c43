"""Instants from DICOM dates and times (PS3.5 6.2: DA, TM, DT)."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone

# YYYYMMDD; with dots in data sets older than DICOM 3.0, which readers are still to take (PS3.5 6.2, DA).
_DA = re.compile(r"(\d{4})(\.?)(\d{2})\2(\d{2})", re.ASCII)
# HH[MM[SS[.F]]]; with colons in older data sets (PS3.5 6.2, TM).
_TM = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?", re.ASCII)
# YYYYMMDD[HH...][&ZZXX]; a year or a month alone is legal too, but no instant.
_DT = re.compile(r"(\d{8})([\d.]*)([+-]\d{4})?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})", re.ASCII)
# PS3.3 C.12.1.1.8: -1200 to +1400.
_EARLIEST_OFFSET, _LATEST_OFFSET = timedelta(hours=-12), timedelta(hours=14)


def date_from_da(text: str) -> date | None:
    """The date; None where there is none that the calendar knows."""
    match = _DA.fullmatch(text.strip(" \0"))
    if not match:
        return None
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None


def day_from_da(text: str) -> str:
    """The date as YYYYMMDD; empty where there is none that the calendar knows."""
    day = date_from_da(text)
    return f"{day:%Y%m%d}".rjust(8, "0") if day else ""


def time_from_tm(text: str) -> time | None:
    """The time of day, to the microsecond; a leap second counts as the one before it. None where there is none."""
    match = _TM.fullmatch(text.strip(" \0"))
    if not match:
        return None
    second = min(int(match[3] or 0), 59) if match[3] != "60" else 59
    if match[3] and int(match[3]) > 60:
        return None
    try:
        return time(int(match[1]), int(match[2] or 0), second, int((match[4] or "").ljust(6, "0")))
    except ValueError:
        return None


def zone_from_offset(text: str) -> timezone | None:
    """Zone of a Timezone Offset From UTC (0008,0201); None where there is none in the allowed range."""
    match = _OFFSET.fullmatch(text.strip(" \0"))
    if not match or int(match[3]) > 59:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    offset = -offset if match[1] == "-" else offset
    return timezone(offset) if _EARLIEST_OFFSET <= offset <= _LATEST_OFFSET else None


def instant_from_dt(text: str, *, zone: timezone) -> datetime | None:
    """The instant of a DT value, in the zone of its own offset, else in `zone`."""
    match = _DT.fullmatch(text.strip(" \0"))
    if not match:
        return None
    day, moment = date_from_da(match[1]), time_from_tm(match[2]) if match[2] else time()
    own_zone = zone_from_offset(match[3]) if match[3] else None
    return _instant(day, moment, own_zone or zone)


def first_instant(pairs: Iterable[tuple[str, str]], *, zone: timezone) -> datetime | None:
    """Instant of the first pair of DA and TM that is complete, else midnight of the first date; in `zone`."""
    midnights = []
    for day_text, moment_text in pairs:
        day, moment = date_from_da(day_text), time_from_tm(moment_text)
        if moment and (instant := _instant(day, moment, zone)):
            return instant
        midnights.append(_instant(day, time(), zone))
    return next((midnight for midnight in midnights if midnight), None)


def _instant(day: date | None, moment: time | None, zone: timezone) -> datetime | None:
    if day is None or moment is None:
        return None
    instant = datetime.combine(day, moment, zone)
    try:
        instant.astimezone(UTC)
    except OverflowError:
        # At the ends of the calendar: it cannot be kept.
        return None
    return instant
