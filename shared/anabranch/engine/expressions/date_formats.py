"""Dates as text by a format, the same in every locale.

A format is a literal in which `yyyy MM dd HH mm ss` (besides `yy`, `ffffff` for microseconds and `XXX` for the offset
from UTC) stand for numbers and everything else for itself; the word `iso` is ISO 8601. Names of months and days are
left out on purpose: they depend on a language. A format is taken apart once, when the rule is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import msgspec

from anabranch.engine.instants import at_local


def _offset_text(local: datetime) -> str:
    offset = local.utcoffset() or timedelta(0)
    if not offset:
        return "Z"
    minutes = round(abs(offset) / timedelta(minutes=1))
    return f"{'-' if offset < timedelta(0) else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


_READ = {
    "yyyy": r"(?P<yyyy>\d{4})",
    "yy": r"(?P<yy>\d{2})",
    "MM": r"(?P<MM>\d{1,2})",
    "dd": r"(?P<dd>\d{1,2})",
    "HH": r"(?P<HH>\d{1,2})",
    "mm": r"(?P<mm>\d{1,2})",
    "ss": r"(?P<ss>\d{1,2})",
    "ffffff": r"(?P<ffffff>\d{1,9})",
    "XXX": r"(?P<XXX>[Zz]|[+-]\d\d:?\d\d)",
}
_WRITE: dict[str, Callable[[datetime], str]] = {
    "yyyy": lambda local: f"{local.year:04d}",
    "yy": lambda local: f"{local.year % 100:02d}",
    "MM": lambda local: f"{local.month:02d}",
    "dd": lambda local: f"{local.day:02d}",
    "HH": lambda local: f"{local.hour:02d}",
    "mm": lambda local: f"{local.minute:02d}",
    "ss": lambda local: f"{local.second:02d}",
    "ffffff": lambda local: f"{local.microsecond:06d}",
    "XXX": _offset_text,
}
_PART = re.compile("|".join(sorted(_READ, key=len, reverse=True)))


class BadFormat(Exception):
    """The format cannot be used; the message says why."""


class DateFormat(msgspec.Struct, frozen=True):
    """A format taken apart. `pattern` is None for `iso`, whose reading belongs to the values."""

    pattern: re.Pattern[str] | None
    pieces: tuple[str | Callable[[datetime], str], ...]

    def write(self, moment: datetime, zone: tzinfo) -> str:
        """The local time of `zone` in this format."""
        local = moment.astimezone(zone)
        return "".join([piece if isinstance(piece, str) else piece(local) for piece in self.pieces])


def writing_format(text: str) -> DateFormat:
    """The format for writing. Raises BadFormat."""
    if text == "iso":
        text = "yyyy-MM-ddTHH:mm:ssXXX"
    _refuse_directives(text)
    pieces: list[str | Callable[[datetime], str]] = []
    end = 0
    for match in _PART.finditer(text):
        pieces += [text[end : match.start()], _WRITE[match[0]]]
        end = match.end()
    pieces.append(text[end:])
    return DateFormat(None, tuple(piece for piece in pieces if piece != ""))


def _refuse_directives(text: str) -> None:
    if "%" in text:
        raise BadFormat("a date format is written with yyyy MM dd HH mm ss, not with %")


def reading_format(text: str) -> DateFormat:
    """The format for reading: each part once, a whole date at least. Raises BadFormat."""
    if text == "iso":
        return DateFormat(None, ())
    _refuse_directives(text)
    parts = _PART.findall(text)
    if len(parts) != len(set(parts)):
        raise BadFormat("the date format names a part twice")
    if ("yyyy" in parts) is ("yy" in parts) or not {"MM", "dd"} <= set(parts):
        raise BadFormat("reading a date needs a year (yyyy or yy), a month (MM) and a day (dd)")
    source, end = "", 0
    for match in _PART.finditer(text):
        source += re.escape(text[end : match.start()]) + _READ[match[0]]
        end = match.end()
    return DateFormat(re.compile(source + re.escape(text[end:]), re.ASCII), ())


def read_date(text: str, pattern: re.Pattern[str], zone: tzinfo) -> datetime | None:
    """The instant the text names in this format; without an offset, in `zone`. None where it is no such date."""
    match = pattern.fullmatch(text)
    if match is None:
        return None
    part = match.groupdict()
    year = int(part["yyyy"]) if part.get("yyyy") else _full_year(int(part["yy"]))
    try:
        day = date(year, int(part["MM"]), int(part["dd"]))
        fraction = int((part.get("ffffff") or "0")[:6].ljust(6, "0"))
        moment = time(int(part.get("HH") or 0), int(part.get("mm") or 0), int(part.get("ss") or 0), fraction)
        if (offset := part.get("XXX")) is None:
            return at_local(day, moment, zone)
        return datetime.combine(day, moment, UTC) - _offset(offset)
    except (ValueError, OverflowError):
        return None


def _full_year(two_digits: int) -> int:
    """69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068 (POSIX)."""
    return two_digits + (1900 if two_digits >= 69 else 2000)


def _offset(text: str) -> timedelta:
    if text in "Zz":
        return timedelta(0)
    span = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return -span if text[0] == "-" else span
