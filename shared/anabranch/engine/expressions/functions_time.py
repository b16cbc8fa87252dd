"""Functions on time. Days, months and formats follow the rule's time zone, hours and smaller units are exact."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from anabranch.engine import instants
from anabranch.engine.expressions.date_formats import DateFormat, read_date, reading_format, writing_format
from anabranch.engine.expressions.failures import EvaluationError
from anabranch.engine.expressions.registry import function
from anabranch.engine.values import ValueProblem, parse_value, to_engine
from anabranch.model.configuration import Attribute
from anabranch.model.enums import ValueType

_FAIL = object()
_ISO = reading_format("iso")
_DATETIME = Attribute(name="parse_date", type=ValueType.DATETIME, sensitive=True)
_FILE_TIME_ZERO = datetime(1601, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = 2**63 - 1
_MICROSECOND = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
_OUTSIDE = "the result is outside the years 1 to 9999"


@function(gives="datetime!", inject=("now",))
def now(moment: datetime) -> datetime:
    """The pinned instant of the run (MOD-44)."""
    return moment


@function(gives="datetime!", inject=("now", "zone"))
def today(moment: datetime, zone: tzinfo) -> datetime:
    """The beginning of the run's day in the rule's time zone (MOD-44)."""
    return instants.today(moment, zone)


@function("text", "text", "any?", gives="datetime", optional=2, inject=("zone",), literals={1: reading_format})
def parse_date(zone: tzinfo, text: str, form: DateFormat = _ISO, default: Any = _FAIL) -> Any:
    """The instant a text names, in ISO 8601 unless a format is given; without an offset, in the rule's time zone."""
    found: datetime | None = None
    if form.pattern is not None:
        found = read_date(text.strip(), form.pattern, zone)
    else:
        try:
            stored = parse_value(text.strip(), _DATETIME, zone)
            found = None if stored is None else to_engine(stored, ValueType.DATETIME)
        except ValueProblem:
            found = None
    if found is not None:
        return found
    if default is not _FAIL:
        return default
    raise EvaluationError("parse_date() cannot read its argument: it is no date of the given format")


@function("datetime", "text", gives="text*", inject=("zone",), literals={1: writing_format})
def format_date(zone: tzinfo, moment: datetime, form: DateFormat) -> str:
    """The instant as text, in the rule's time zone."""
    try:
        return form.write(moment, zone)
    except OverflowError:
        raise EvaluationError(_OUTSIDE) from None


def _unit(text: str) -> str:
    unit = text if text.endswith("s") else text + "s"
    if unit not in instants.EXACT_UNITS and unit not in instants.CALENDAR_UNITS:
        raise ValueError(f"{text!r} is no unit of time; known: seconds, minutes, hours, days, weeks, months, years")
    return unit


@function("datetime", "integer", "text", gives="datetime*", inject=("zone",), literals={2: _unit})
def add_time(zone: tzinfo, moment: datetime, count: int, unit: str) -> datetime:
    """The instant `count` units later; days and larger keep the local time of day, months clamp to the last day."""
    try:
        return instants.shift(moment, count, unit, zone)
    except OverflowError:
        raise EvaluationError(_OUTSIDE) from None


@function("datetime", "datetime", gives="integer*", inject=("zone",))
def days_between(zone: tzinfo, start: datetime, end: datetime) -> int:
    """The calendar days from `start` to `end`, negative when `end` is the earlier."""
    try:
        return (end.astimezone(zone).date() - start.astimezone(zone).date()).days
    except OverflowError:
        raise EvaluationError(_OUTSIDE) from None


@function("datetime", gives="datetime*", inject=("zone",))
def start_of_day(zone: tzinfo, moment: datetime) -> datetime:
    """The beginning of the local day that the instant belongs to."""
    try:
        return instants.midnight(moment.astimezone(zone).date(), zone)
    except OverflowError:
        raise EvaluationError(_OUTSIDE) from None


@function("datetime", gives="integer*")
def to_filetime(moment: datetime) -> int:
    """Units of 100 nanoseconds since 1601 (MS-DTYP 2.3.3)."""
    return (moment - _FILE_TIME_ZERO) // _MICROSECOND * 10


@function("integer", gives="datetime")
def from_filetime(number: int) -> datetime | None:
    """The instant of a file time; 0 and the largest mean never and are null."""
    if number in (0, _NEVER):
        return None
    try:
        return _FILE_TIME_ZERO + _MICROSECOND * (number // 10)
    except OverflowError:
        raise EvaluationError(_OUTSIDE) from None


@function("datetime", gives="integer*")
def to_epoch(moment: datetime) -> int:
    """Whole seconds since 1970, what is smaller dropped."""
    return (moment - _EPOCH) // _SECOND


@function("number", gives="datetime*")
def from_epoch(seconds: int | Decimal) -> datetime:
    """The instant so many seconds after the beginning of 1970; digits finer than a microsecond are dropped."""
    try:
        return _EPOCH + _MICROSECOND * int(Decimal(seconds).scaleb(6) // 1)
    except (OverflowError, ArithmeticError):
        raise EvaluationError(_OUTSIDE) from None
