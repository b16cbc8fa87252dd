"""Conversions between types, numbers, and bytes. Whatever cannot be read fails, or gives the default (MOD-46).

What counts as a number, a truth or a uuid is what it is for a source's values, so a text that imports as an integer
also converts to one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from hashlib import sha256
from typing import Any

from anabranch.engine.expressions.failures import EvaluationError
from anabranch.engine.expressions.kinds import name_of
from anabranch.engine.expressions.limits import DIGITS, bounded, bounded_decimal, bounded_integer
from anabranch.engine.expressions.registry import function
from anabranch.engine.values import ValueProblem, datetime_text, decimal_text, parse_value
from anabranch.model.configuration import Attribute
from anabranch.model.enums import ValueType

_FAIL = object()
_INTEGER = Attribute(name="to_integer", type=ValueType.INTEGER, sensitive=True)
_DECIMAL = Attribute(name="to_decimal", type=ValueType.DECIMAL, sensitive=True)
_BOOLEAN = Attribute(name="to_boolean", type=ValueType.BOOLEAN, sensitive=True)
_UUID = Attribute(name="to_uuid", type=ValueType.UUID, sensitive=True)


def _read(value: Any, attribute: Attribute, default: Any, make: Callable[[Any], Any] | None = None) -> Any:
    try:
        stored = parse_value(value.strip() if type(value) is str else value, attribute)
        if stored is None:
            raise ValueProblem("attribute_value_error", "it is empty")
    except ValueProblem as problem:
        if default is not _FAIL:
            return default
        reason = str(problem).removeprefix(f"{attribute.name!r}: ")
        raise EvaluationError(f"{attribute.name}() cannot read its argument: {reason}") from None
    return stored if make is None else make(stored)


@function("any", gives="text*")
def to_text(value: Any) -> str:
    """The value as text, in the one form it is stored in."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case Decimal():
            return decimal_text(value)
        case datetime():
            return datetime_text(value)
    raise EvaluationError(f"to_text() has no text for {name_of(value)}; use to_base64() for binary")


@function("text|number|boolean", "any?", gives="integer", optional=1)
def to_integer(value: Any, default: Any = _FAIL) -> Any:
    return _read(value, _INTEGER, default)


@function("text|number|boolean", "any?", gives="decimal", optional=1)
def to_decimal(value: Any, default: Any = _FAIL) -> Any:
    return _read(value, _DECIMAL, default, Decimal)


@function("text|number|boolean", "any?", gives="boolean", optional=1)
def to_boolean(value: Any, default: Any = _FAIL) -> Any:
    return _read(value, _BOOLEAN, default)


@function("text|uuid", "any?", gives="uuid", optional=1)
def to_uuid(value: Any, default: Any = _FAIL) -> Any:
    return _read(value, _UUID, default)


@function("number", "integer", gives="decimal*", optional=1)
def round_decimal(number: Decimal | int, digits: int = 0) -> Decimal:
    """The number with so many digits behind the point, halves to the even one."""
    if not -DIGITS <= digits <= DIGITS:
        raise EvaluationError(f"round_decimal() takes -{DIGITS} to {DIGITS} digits")
    exact = Decimal(number)
    if exact.as_tuple().exponent >= -digits:  # type: ignore[operator] # finite, so the exponent is a number
        return exact
    rounded = exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN, context=_WIDE)
    return bounded_decimal(rounded)


_WIDE = Context(prec=3 * DIGITS)


@function("number", gives="number*")
def abs_value(number: Decimal | int) -> Decimal | int:
    return bounded_integer(abs(number)) if isinstance(number, int) else number.copy_abs()


# ----------------------------------------------------------------- binary


def _bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8")


@function("binary|text", gives="text*")
def to_base64(value: bytes | str) -> str:
    """Base64 of the bytes; of a text, of its UTF-8 bytes."""
    return bounded(base64.b64encode(_bytes(value)).decode("ascii"))


@function("text", "any?", gives="binary", optional=1)
def from_base64(text: str, default: Any = _FAIL) -> Any:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        if default is not _FAIL:
            return default
        raise EvaluationError("from_base64() cannot read its argument: not base64") from None


@function("binary|text", gives="text*")
def sha256_hex(value: bytes | str) -> str:
    """The SHA-256 digest of the bytes, or of a text's UTF-8 bytes, in lower-case hexadecimal."""
    return sha256(_bytes(value)).hexdigest()
