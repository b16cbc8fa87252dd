"""Instants: how they are read, and calendar arithmetic in a time zone.

A source writes a time in ISO 8601 or as an LDAP generalized time, with or without an offset (MOD-5, MOD-6). A local
time inside a spring gap moves forward by the gap and a repeated one means its first occurrence: with `fold=0` Python
reads both that way (PEP 495). Hours are exact, everything larger follows the calendar of a zone: a day is from midnight
to midnight, also when it has 23 or 25 hours, and a month later is the same day of the month, or the last one where
there is none. Instants are aware and in UTC.
"""

from __future__ import annotations

import re
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
CALENDAR_UNITS = frozenset({"days", "weeks", "months", "years"})

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?\Z",
    re.ASCII | re.IGNORECASE,
)
_ISO_BASIC = re.compile(
    r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(?:(\d\d)(?:[.,](\d+))?)?(Z|[+-]\d\d(?:\d\d)?)?)?\Z",
    re.ASCII | re.IGNORECASE,
)
_GENERALIZED = re.compile(
    r"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d+))?(Z|[+-]\d\d(?:\d\d)?)?\Z", re.ASCII | re.IGNORECASE
)


def read_instant(text: str, zone: tzinfo) -> datetime:
    """The instant a text names, in UTC; without an offset it is a local time of `zone`.

    ISO 8601 dates and times, extended and basic, and generalized time (RFC 4517 section 3.3.13). Raises ValueError
    where the text is none of these, OverflowError outside the years 1 to 9999.
    """
    match = _ISO.match(text) or _ISO_BASIC.match(text) or _GENERALIZED.match(text)
    if match is None or (match.re is _GENERALIZED and match[6] is None and match[8] is None):
        # Ten digits without a zone may as well be a count of seconds; RFC 4517 demands the zone.
        raise ValueError("not a date and time (ISO 8601 or LDAP generalized time)")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        moment = datetime(  # noqa: DTZ001 - the zone is applied below
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0)
        )
        span = _offset(offset) if offset else None
    except ValueError:
        raise ValueError("not a date and time of the calendar") from None
    if fraction:  # of the smallest unit written; what is finer than a microsecond is dropped
        unit = 1_000_000 if second else 60_000_000 if minute else 3_600_000_000
        moment += timedelta(microseconds=int(fraction[:12].ljust(12, "0")) * unit // 10**12)
    return from_local(moment, zone) if span is None else moment.replace(tzinfo=UTC) - span


def _offset(text: str) -> timedelta:
    if text in {"Z", "z"}:
        return timedelta(0)
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("no offset from UTC")
    span = timedelta(hours=hours, minutes=minutes)
    return -span if text[0] == "-" else span


def from_local(moment: datetime, zone: tzinfo) -> datetime:
    """The instant of a local time of `zone` (MOD-6). Raises OverflowError outside the years 1 to 9999."""
    return moment.replace(tzinfo=zone, fold=0).astimezone(UTC)


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
