"""List, logic and conversion functions."""

from __future__ import annotations

import base64
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import blake2b, sha256
from typing import Any

from anabranch.engine.expressions.operators import equals, is_number, kind
from anabranch.engine.expressions.problems import EvaluationError
from anabranch.engine.expressions.registry import expect, function
from anabranch.engine.values import ValueProblem, datetime_text, decimal_text, fold, parse_value
from anabranch.model.configuration import Attribute
from anabranch.model.enums import ValueType

_INTEGER = Attribute(name="value", type=ValueType.INTEGER)
_DECIMAL = Attribute(name="value", type=ValueType.DECIMAL)
_BOOLEAN = Attribute(name="value", type=ValueType.BOOLEAN)
_UUID = Attribute(name="value", type=ValueType.UUID)
_NOTHING = object()


@function(1, result=None)
def first(values: Any) -> Any:
    return expect(values, list)[0] if expect(values, list) else None


@function(1, result=None)
def last(values: Any) -> Any:
    return expect(values, list)[-1] if expect(values, list) else None


@function(1, result=ValueType.INTEGER)
def count(values: Any) -> int:
    return len(expect(values, list))


@function(2, result=ValueType.BOOLEAN)
def list_contains(values: Any, value: Any) -> bool:
    return any(equals(one, value) for one in expect(values, list))


def _unique(values: list[Any]) -> list[Any]:
    seen: set[Any] = set()
    kept: list[Any] = []
    for value in values:
        key = (isinstance(value, bool), type(value) is str, value)
        if key not in seen:
            seen.add(key)
            kept.append(value)
    return kept


@function(1, result=None, gives_list=True)
def distinct(values: Any) -> list[Any]:
    return _unique(expect(values, list))


@function(1, result=None, gives_list=True)
def sort_values(values: Any) -> list[Any]:
    return sorted(expect(values, list))


@function(2, result=None, gives_list=True)
def union(left: Any, right: Any) -> list[Any]:
    return _unique([*expect(left, list), *expect(right, list)])


@function(2, result=None, gives_list=True)
def intersect(left: Any, right: Any) -> list[Any]:
    there = set(expect(right, list))
    return [value for value in _unique(expect(left, list)) if value in there]


@function(2, result=None, gives_list=True)
def difference(left: Any, right: Any) -> list[Any]:
    there = set(expect(right, list))
    return [value for value in _unique(expect(left, list)) if value not in there]


@function(1, None, result=None, takes_null=True)
def coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None and value != []), None)


@function(1, result=ValueType.BOOLEAN, takes_null=True)
def is_null(value: Any) -> bool:
    return value is None


@function(1, result=ValueType.BOOLEAN, takes_null=True)
def is_blank(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


@function(2, 3, result=ValueType.BOOLEAN, takes_null=True)
def same(left: Any, right: Any, ignore_case: Any = False) -> bool:
    if ignore_case is True and isinstance(left, str) and isinstance(right, str):
        return fold(left) == fold(right)
    return equals(left, right)


@function(2, None, result=None, takes_null=True)
def choose(value: Any, *rest: Any) -> Any:
    """The result beside the first equal key; with an odd number of further arguments the last is the default."""
    pairs, default = (rest[:-1], rest[-1]) if len(rest) % 2 else (rest, None)
    for key, outcome in zip(pairs[::2], pairs[1::2], strict=True):
        if equals(value, key):
            return outcome
    return default


def _read(value: Any, attribute: Attribute, default: Any) -> Any:
    if value is None:
        return None
    try:
        read = parse_value(value, attribute)
    except ValueProblem as problem:
        if default is _NOTHING:
            raise EvaluationError(str(problem)) from None
        return default
    if read is None and default is not _NOTHING:
        return default
    return read


@function(1, takes_null=False)
def to_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return datetime_text(value)
    if type(value) is int:
        return str(value)
    raise EvaluationError(f"{kind(value)} has no text; name the conversion")


@function(1, 2, result=ValueType.INTEGER, takes_null=True)
def to_integer(value: Any, default: Any = _NOTHING) -> Any:
    return _read(value, _INTEGER, default)


@function(1, 2, result=ValueType.DECIMAL, takes_null=True)
def to_decimal(value: Any, default: Any = _NOTHING) -> Any:
    read = _read(value, _DECIMAL, default)
    return Decimal(read) if isinstance(read, str) else read


@function(1, 2, result=ValueType.BOOLEAN, takes_null=True)
def to_boolean(value: Any, default: Any = _NOTHING) -> Any:
    return _read(value, _BOOLEAN, default)


@function(1, 2, takes_null=True)
def to_uuid(value: Any, default: Any = _NOTHING) -> Any:
    return _read(value, _UUID, default)


@function(2, result=ValueType.DECIMAL)
def round_decimal(value: Any, places: Any) -> Decimal:
    """Rounded half to even."""
    if not is_number(value):
        raise EvaluationError(f"needs a number, not {kind(value)}")
    return Decimal(value).quantize(Decimal(1).scaleb(-expect(places, int)), rounding=ROUND_HALF_EVEN)


@function(1, result=None)
def abs_value(value: Any) -> Any:
    if not is_number(value):
        raise EvaluationError(f"needs a number, not {kind(value)}")
    return abs(value)


def _comparable(values: tuple[Any, ...]) -> list[Any]:
    flat = values[0] if len(values) == 1 and isinstance(values[0], list) else list(values)
    if not (all(is_number(one) for one in flat) or len({type(one) for one in flat}) <= 1):
        raise EvaluationError("needs values of one type")
    return list(flat)


@function(1, None, result=None)
def lowest(*values: Any) -> Any:
    found = _comparable(values)
    return min(found) if found else None


@function(1, None, result=None)
def highest(*values: Any) -> Any:
    found = _comparable(values)
    return max(found) if found else None


@function(1)
def to_base64(value: Any) -> str:
    data = value.encode() if isinstance(value, str) else expect(value, bytes)
    return base64.b64encode(data).decode("ascii")


@function(1, result=ValueType.BINARY)
def from_base64(value: Any) -> bytes:
    return base64.b64decode(expect(value, str), validate=True)


@function(1)
def sha256_hex(value: Any) -> str:
    return sha256(value.encode() if isinstance(value, str) else expect(value, bytes)).hexdigest()


@function(2, result=ValueType.INTEGER)
def stable_number(text: Any, n: Any) -> int:
    """The same number from 0 to n - 1 for the same text, for ever."""
    if expect(n, int) < 1:
        raise EvaluationError("needs a number of 1 or more")
    return int.from_bytes(blake2b(expect(text, str).encode(), digest_size=8).digest(), "big") % int(n)


@function(3, gives_list=True)
def numbered(base: Any, start: Any, end: Any) -> list[str]:
    """The base itself, then the base with each number; before an `@` where there is one (SYN-64)."""
    if expect(end, int) - expect(start, int) > 10_000:
        raise EvaluationError("numbers at most 10,000 candidates")
    head, at, tail = expect(base, str).partition("@")
    return [base, *(f"{head}{n}{at}{tail}" for n in range(start, end + 1))]
