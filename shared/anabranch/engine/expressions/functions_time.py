"""Time and directory functions; nothing here depends on a locale or on the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from anabranch.engine.expressions.operators import kind
from anabranch.engine.expressions.problems import EvaluationError
from anabranch.engine.expressions.registry import expect, function
from anabranch.engine.instants import shift, today
from anabranch.engine.values import ValueProblem, parse_value, to_engine
from anabranch.model.configuration import Attribute
from anabranch.model.enums import ValueType

_DATETIME = Attribute(name="value", type=ValueType.DATETIME)
_NOTHING = object()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_UNITS = ("minutes", "hours", "days", "weeks", "months", "years")
_FILETIME_NEVER = (0, 2**63 - 1)
_NAMES = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise EvaluationError(f"needs a datetime, not {kind(value)}; use parse_date()")
    return value


def _format(pattern: str) -> str:
    if "%" in pattern:
        raise EvaluationError("formats are written with yyyy MM dd HH mm ss")
    for name, code in _NAMES.items():
        pattern = pattern.replace(name, code)
    return pattern


@function(1, 3, result=ValueType.DATETIME, takes_null=True)
def parse_date(text: Any, pattern: Any = None, default: Any = _NOTHING) -> Any:
    """ISO 8601, or a pattern of yyyy MM dd HH mm ss; UTC where the text names no zone."""
    if text is None:
        return None
    try:
        if pattern is None:
            return to_engine(parse_value(expect(text, str), _DATETIME), ValueType.DATETIME)
        return datetime.strptime(expect(text, str).strip(), _format(expect(pattern, str))).replace(tzinfo=UTC)
    except (ValueProblem, ValueError, TypeError) as problem:
        if default is _NOTHING:
            raise EvaluationError(f"cannot be read as a date: {problem}") from None
        return default


@function(2)
def format_date(moment: Any, pattern: Any) -> str:
    return _moment(moment).astimezone(UTC).strftime(_format(expect(pattern, str)))


@function(3, result=ValueType.DATETIME)
def add_time(moment: Any, amount: Any, unit: Any) -> datetime:
    """A moment some hours, days, weeks, months or years later; months clamp to the last day."""
    return shifted(_moment(moment), expect(amount, int), expect(unit, str))


def shifted(moment: datetime, amount: int, unit: str) -> datetime:
    """The moment `amount` units later; raises EvaluationError for an unknown unit or a year outside 1 to 9999."""
    if unit not in _UNITS:
        raise EvaluationError(f"unknown unit {unit!r}; use {', '.join(_UNITS[:-1])} or {_UNITS[-1]}")
    try:
        return shift(moment, amount, unit, UTC)
    except OverflowError as problem:
        raise EvaluationError("the result is outside the years 1 to 9999") from problem


@function(2, result=ValueType.INTEGER)
def days_between(start: Any, end: Any) -> int:
    """Whole days from one moment to another; negative when the second is earlier."""
    return (_moment(end) - _moment(start)).days


@function(1, result=ValueType.DATETIME)
def start_of_day(moment: Any) -> datetime:
    return today(_moment(moment), UTC)


@function(1, result=ValueType.INTEGER)
def to_filetime(moment: Any) -> int:
    """100-nanosecond steps since 1601."""
    span = _moment(moment).astimezone(UTC) - _FILETIME_EPOCH
    return (span.days * 86_400 + span.seconds) * 10_000_000 + span.microseconds * 10


@function(1, result=ValueType.DATETIME)
def from_filetime(value: Any) -> datetime | None:
    """The instant of a file time; 0 and the greatest number mean never, which is null."""
    number = expect(value, int)
    if number in _FILETIME_NEVER:
        return None
    return _FILETIME_EPOCH + timedelta(microseconds=number // 10)


@function(1, result=ValueType.INTEGER)
def to_epoch(moment: Any) -> int:
    span = _moment(moment) - _EPOCH
    return span.days * 86_400 + span.seconds


@function(1, result=ValueType.DATETIME)
def from_epoch(value: Any) -> datetime:
    return _EPOCH + timedelta(seconds=expect(value, int))


# ----------------------------------------------------------------- directory

_DN_SPECIAL = frozenset('",+;<>\\=')


@function(1)
def escape_dn(text: Any) -> str:
    """A value ready to stand in a distinguished name (RFC 4514, section 2.4)."""
    body = "".join(
        "\\" + char if char in _DN_SPECIAL else ("\\00" if char == "\0" else char) for char in expect(text, str)
    )
    if body.startswith(("#", " ")):
        body = "\\" + body
    if body.endswith(" ") and len(text) > 1:
        body = body[:-1] + "\\ "
    return body


def _first_comma(name: str) -> int:
    escaped = False
    for place, char in enumerate(name):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            return place
    return -1


@function(1)
def dn_parent(name: Any) -> str | None:
    """The name above; null for a name of one component."""
    place = _first_comma(expect(name, str))
    return name[place + 1 :].lstrip() if place >= 0 else None


@function(1)
def dn_first_value(name: Any) -> str | None:
    """The value of the first component, unescaped."""
    place = _first_comma(expect(name, str))
    component = name[:place] if place >= 0 else name
    _, sign, value = component.partition("=")
    if not sign:
        return None
    result: list[str] = []
    rest = iter(value.strip() if not value.endswith("\\ ") else value.lstrip())
    for char in rest:
        result.append(next(rest, "") if char == "\\" else char)
    return "".join(result)


def _bits(value: Any) -> int:
    return 0 if value is None else int(expect(value, int))


@function(2, result=ValueType.BOOLEAN, takes_null=True)
def has_bit(value: Any, bit: Any) -> bool:
    return bool(_bits(value) & _bits(bit))


@function(2, result=ValueType.INTEGER, takes_null=True)
def set_bit(value: Any, bit: Any) -> int:
    return _bits(value) | _bits(bit)


@function(2, result=ValueType.INTEGER, takes_null=True)
def clear_bit(value: Any, bit: Any) -> int:
    return _bits(value) & ~_bits(bit)
