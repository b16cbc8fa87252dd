"""Calendar arithmetic in a time zone: midnights, days and months.

Hours are exact, everything larger follows the calendar of a zone: a day is from midnight to midnight, also when it has 23
or 25 hours, and a month later is the same day of the month, or the last one where there is none. A local time inside a
spring gap moves forward by the gap and a repeated one means its first occurrence: with `fold=0` Python reads both that way
(PEP 495). Instants are aware and in UTC.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

EXACT_UNITS = {
    "microseconds": timedelta(microseconds=1),
    "seconds": timedelta(seconds=1),
    "minutes": timedelta(minutes=1),
    "hours": timedelta(hours=1),
}
CALENDAR_UNITS = frozenset({"days", "weeks", "months", "years"})


def shift_date(day: date, count: int, unit: str) -> date:
    """The date `count` days, weeks, months or years later. Raises OverflowError outside the years 1 to 9999."""
    if unit == "days":
        return day + timedelta(days=count)
    if unit == "weeks":
        return day + timedelta(weeks=count)
    months = day.year * 12 + day.month - 1 + (count * 12 if unit == "years" else count)
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError("outside the years 1 to 9999")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def at_local(day: date, moment: time, zone: tzinfo) -> datetime:
    """The instant of a local date and time. Raises OverflowError outside the years 1 to 9999."""
    return datetime.combine(day, moment, zone).replace(fold=0).astimezone(UTC)


def midnight(day: date, zone: tzinfo) -> datetime:
    """The instant at which a local day begins."""
    return at_local(day, time.min, zone)


@lru_cache(maxsize=64)
def today(now: datetime, zone: tzinfo) -> datetime:
    """The beginning of the local day that `now` belongs to (MOD-44)."""
    return midnight(now.astimezone(zone).date(), zone)


def next_midnight(now: datetime, zone: tzinfo) -> datetime | None:
    """The beginning of the local day after `now`; None past the end of the calendar."""
    try:
        return midnight(now.astimezone(zone).date() + timedelta(days=1), zone)
    except OverflowError:
        return None


def shift(moment: datetime, count: int, unit: str, zone: tzinfo) -> datetime:
    """The instant `count` units later: exact units as they are, the others on the local calendar, keeping the time of
    day. Raises OverflowError outside the years 1 to 9999."""
    if unit in EXACT_UNITS:
        return moment + EXACT_UNITS[unit] * count
    local = moment.astimezone(zone)
    return at_local(shift_date(local.date(), count, unit), local.time(), zone)


@lru_cache(maxsize=256)
def relative_instant(count: int, unit: str, now: datetime, zone: tzinfo) -> datetime:
    """The instant a relative date stands for: hours from `now`, the others from today's midnight (SYN-13).

    A date before the first or after the last year of the calendar is the first or last instant there is.
    """
    try:
        if unit == "hours":
            return now + timedelta(hours=count)
        return midnight(shift_date(now.astimezone(zone).date(), count, unit), zone)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if count > 0 else datetime.min.replace(tzinfo=UTC)
