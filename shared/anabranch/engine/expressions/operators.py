"""Operators at run time: null propagates, types do not mix, sizes are bounded (MOD-36, MOD-40, MOD-41)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Context, Decimal, DecimalException
from typing import Any

from anabranch.engine.expressions.problems import EvaluationError

MAX_TEXT = 64 * 1024
MAX_LIST = 100_000
_CONTEXT = Context(prec=38)


def bounded(value: Any) -> Any:
    """The value, if an expression may build one that large; raises EvaluationError otherwise."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise EvaluationError(f"the text is longer than {MAX_TEXT} characters")
    if isinstance(value, list) and len(value) > MAX_LIST:
        raise EvaluationError(f"the list is longer than {MAX_LIST} values")
    return value


def kind(value: Any) -> str:
    """The name of a value's type, for messages."""
    names = {bool: "boolean", int: "integer", Decimal: "decimal", str: "text", list: "list", bytes: "binary"}
    return names.get(type(value), "datetime" if isinstance(value, datetime) else type(value).__name__)


def is_number(value: Any) -> bool:
    """True for integers and decimals; a boolean is neither (MOD-3)."""
    return type(value) is int or isinstance(value, Decimal)


def _numbers(left: Any, right: Any, sign: str) -> tuple[Any, Any]:
    if not (is_number(left) and is_number(right)):
        raise EvaluationError(f"{kind(left)} {sign} {kind(right)} is not possible; convert one of them")
    if type(left) is type(right):
        return left, right
    return Decimal(left), Decimal(right)


def _computed(value: Any) -> Any:
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise EvaluationError("the result is outside the 64-bit range")
    return value


def add(left: Any, right: Any) -> Any:
    """Sum of numbers, text after text, list after list; null with null."""
    if left is None or right is None:
        return None
    if type(left) is str and type(right) is str:
        return bounded(left + right)
    if type(left) is list and type(right) is list:
        return bounded([*left, *right])
    one, other = _numbers(left, right, "+")
    return _computed(_CONTEXT.add(one, other) if isinstance(one, Decimal) else one + other)


def subtract(left: Any, right: Any) -> Any:
    """Difference of numbers."""
    return _arithmetic(left, right, "-", lambda a, b: a - b, _CONTEXT.subtract)


def multiply(left: Any, right: Any) -> Any:
    """Product of numbers; text is never repeated (MOD-35)."""
    return _arithmetic(left, right, "*", lambda a, b: a * b, _CONTEXT.multiply)


def divide(left: Any, right: Any) -> Any:
    """Quotient, always a decimal (MOD-41)."""
    if left is None or right is None:
        return None
    one, other = _numbers(left, right, "/")
    if other == 0:
        raise EvaluationError("division by zero")
    return _CONTEXT.divide(Decimal(one), Decimal(other))


def floor_divide(left: Any, right: Any) -> Any:
    """Quotient rounded towards minus infinity."""
    if right == 0 and left is not None:
        raise EvaluationError("division by zero")
    return _arithmetic(left, right, "//", lambda a, b: a // b, _floor)


def modulo(left: Any, right: Any) -> Any:
    """Remainder with the sign of the divisor, for integers and decimals alike."""
    if right == 0 and left is not None:
        raise EvaluationError("division by zero")
    return _arithmetic(left, right, "%", lambda a, b: a % b, lambda a, b: a - b * _floor(a, b))


def _floor(left: Decimal, right: Decimal) -> Decimal:
    return _CONTEXT.divide(left, right).to_integral_value(rounding="ROUND_FLOOR")


def _arithmetic(
    left: Any,
    right: Any,
    sign: str,
    whole: Callable[[int, int], int],
    exact: Callable[[Decimal, Decimal], Decimal],
) -> Any:
    if left is None or right is None:
        return None
    one, other = _numbers(left, right, sign)
    try:
        return _computed(exact(one, other) if isinstance(one, Decimal) else whole(one, other))
    except DecimalException as problem:
        raise EvaluationError(f"the result of {sign} cannot be represented") from problem


def negate(value: Any) -> Any:
    """The number with the other sign."""
    if value is None:
        return None
    if not is_number(value):
        raise EvaluationError(f"-{kind(value)} is not possible")
    return _computed(-value)


def equals(left: Any, right: Any) -> bool:
    """Equality; false across types except integer with decimal; null equals only null."""
    if left is None or right is None:
        return left is right
    if is_number(left) and is_number(right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def differs(left: Any, right: Any) -> bool:
    """The complement of `equals`."""
    return not equals(left, right)


def _ordered(left: Any, right: Any, sign: str, holds: Callable[[Any, Any], bool]) -> bool:
    if left is None or right is None:
        return False
    comparable = (is_number(left) and is_number(right)) or (
        type(left) is type(right) and isinstance(left, str | datetime | bytes)
    )
    if not comparable:
        raise EvaluationError(f"{kind(left)} {sign} {kind(right)} is not possible; convert one of them")
    return holds(left, right)


def less(left: Any, right: Any) -> bool:
    """Less than; false with null."""
    return _ordered(left, right, "<", lambda a, b: bool(a < b))


def less_or_equal(left: Any, right: Any) -> bool:
    """At most; false with null."""
    return _ordered(left, right, "<=", lambda a, b: bool(a <= b))


def greater(left: Any, right: Any) -> bool:
    """Greater than; false with null."""
    return _ordered(left, right, ">", lambda a, b: bool(a > b))


def greater_or_equal(left: Any, right: Any) -> bool:
    """At least; false with null."""
    return _ordered(left, right, ">=", lambda a, b: bool(a >= b))


def contained(value: Any, values: Any) -> bool:
    """Membership in a list."""
    if values is None:
        return False
    if not isinstance(values, list):
        raise EvaluationError(f"`in` needs a list, not {kind(values)}; use contains() for text")
    return any(equals(value, one) for one in values)


def not_contained(value: Any, values: Any) -> bool:
    """The complement of membership."""
    return not contained(value, values)


def truth(value: Any) -> bool:
    """A boolean as a condition; null counts as false."""
    if value is None:
        return False
    if value is True or value is False:
        return bool(value)
    raise EvaluationError(f"a condition must be true or false, not {kind(value)}")


def item(values: Any, index: Any) -> Any:
    """The list's value at an index; null outside the list."""
    if values is None or index is None:
        return None
    if not isinstance(values, list) or type(index) is not int:
        raise EvaluationError(f"only a list can be indexed, by an integer, not {kind(values)}[{kind(index)}]")
    return values[index] if -len(values) <= index < len(values) else None
