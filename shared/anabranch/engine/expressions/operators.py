"""Operators at run time: null propagates, types never mix, results stay within their limits (MOD-36, MOD-40, MOD-41).

Python's own operators would repeat text, compare a boolean with a number and round a quotient; these do none of that.
The generated code calls them wherever it cannot be certain of both types.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from decimal import Decimal, DecimalException
from typing import Any

from anabranch.engine.expressions.failures import EvaluationError
from anabranch.engine.expressions.kinds import name_of
from anabranch.engine.expressions.limits import (
    DIGITS,
    EXACT,
    MAX_TEXT,
    ROUNDING,
    SAFE_LENGTH,
    bounded_integer,
    text_size,
    too_large,
)

_NUMBERS = frozenset({int, Decimal})
_ORDERED = frozenset({str, datetime})


def add_texts(*parts: str | None) -> str | None:
    """The parts, certain to be text or null, one after the other."""
    if None in parts:
        return None
    text = "".join(parts)  # type: ignore[arg-type] # no part is null here
    if len(text) > SAFE_LENGTH and text_size(text) > MAX_TEXT:
        raise too_large()
    return text


def add(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    if type(left) is str and type(right) is str:
        return add_texts(left, right)
    return _calculate("+", left, right, int.__add__, EXACT.add)


def subtract(left: Any, right: Any) -> Any:
    return _calculate("-", left, right, int.__sub__, EXACT.subtract)


def multiply(left: Any, right: Any) -> Any:
    return _calculate("*", left, right, int.__mul__, EXACT.multiply)


def divide(left: Any, right: Any) -> Any:
    """The quotient as a decimal, rounded to 38 digits."""
    if left is not None and right is not None and type(left) is int and type(right) is int:
        left = Decimal(left)
    return _calculate("/", left, right, None, ROUNDING.divide)


def floor_divide(left: Any, right: Any) -> Any:
    """The quotient rounded towards minus infinity, for integers and decimals alike."""
    return _calculate("//", left, right, int.__floordiv__, _floor_quotient)


def remainder(left: Any, right: Any) -> Any:
    """What the floor quotient leaves; it has the sign of the divisor."""
    return _calculate("%", left, right, int.__mod__, _floor_remainder)


def _floor_quotient(left: Decimal, right: Decimal) -> Decimal:
    quotient = EXACT.divide_int(left, right)
    exact = EXACT.multiply(quotient, right) == left
    return quotient if exact or left.is_signed() == right.is_signed() else quotient - 1


def _floor_remainder(left: Decimal, right: Decimal) -> Decimal:
    rest = EXACT.remainder(left, right)
    return rest if not rest or rest.is_signed() == right.is_signed() else EXACT.add(rest, right)


def _calculate(
    sign: str,
    left: Any,
    right: Any,
    of_integers: Callable[[int, int], int] | None,
    of_decimals: Callable[[Decimal, Decimal], Decimal],
) -> Any:
    if left is None or right is None:
        return None
    if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
        raise EvaluationError(f"{sign} cannot join {name_of(left)} and {name_of(right)}; convert one of them first")
    if right == 0 and sign in {"/", "//", "%"}:
        raise EvaluationError(f"division by zero in {sign}")
    if of_integers is not None and type(left) is int and type(right) is int:
        return bounded_integer(of_integers(left, right))
    try:
        return of_decimals(Decimal(left), Decimal(right))
    except DecimalException:
        raise EvaluationError(f"the result of {sign} needs more than {DIGITS} significant digits") from None


def negate(value: Any) -> Any:
    if value is None:
        return None
    if type(value) is int:
        return bounded_integer(-value)
    if type(value) is Decimal:
        return value.copy_negate() if value else value
    raise EvaluationError(f"- cannot negate {name_of(value)}")


def positive(value: Any) -> Any:
    if value is None or type(value) in _NUMBERS:
        return value
    raise EvaluationError(f"+ takes a number, not {name_of(value)}")


def equal(left: Any, right: Any) -> bool:
    """Equality: across types false except integer with decimal; the empty list equals null, because it is no value."""
    if left is None or right is None:
        other = right if left is None else left
        return other is None or (type(other) is list and not other)
    if type(left) is list or type(right) is list:
        if type(left) is not type(right) or len(left) != len(right):
            return False
        return all(equal(one, other) for one, other in zip(left, right, strict=True))
    if type(left) is type(right):
        return bool(left == right)
    return type(left) in _NUMBERS and type(right) in _NUMBERS and left == right


def not_equal(left: Any, right: Any) -> bool:
    return not equal(left, right)


def _comparable(left: Any, right: Any) -> bool:
    """True when both have a value to compare, false with null. Raises EvaluationError across types."""
    if left is None or right is None:
        return False
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return True
    if type(left) is type(right) and type(left) in _ORDERED:
        return True
    raise EvaluationError(f"{name_of(left)} and {name_of(right)} have no order; convert one of them first")


def less(left: Any, right: Any) -> bool:
    return _comparable(left, right) and bool(left < right)


def less_or_equal(left: Any, right: Any) -> bool:
    return _comparable(left, right) and bool(left <= right)


def greater(left: Any, right: Any) -> bool:
    return _comparable(left, right) and bool(left > right)


def greater_or_equal(left: Any, right: Any) -> bool:
    return _comparable(left, right) and bool(left >= right)


def member_key(value: Any) -> Hashable:
    """What equal values have in common; numbers meet as numbers, a boolean meets only booleans."""
    return (bool, value) if type(value) is bool else value


def is_member(value: Any, values: Any) -> bool:
    """Whether the list holds the value; a missing list holds nothing."""
    if values is None:
        return False
    if type(values) is not list:
        raise EvaluationError(f"in looks into a list, not into {name_of(values)}; use contains() for text")
    if type(value) is list:
        raise EvaluationError("in looks for a single value, not for a list")
    if type(value) is str:
        return value in values
    return any(equal(value, one) for one in values)


def is_no_member(value: Any, values: Any) -> bool:
    return not is_member(value, values)


def truth(value: Any) -> bool:
    """A boolean as a condition; null counts as false (MOD-40)."""
    if value is True:
        return True
    if value is False or value is None:
        return False
    raise EvaluationError(f"a condition must be true, false or null, not {name_of(value)}; compare it with something")


def pick(values: Any, index: Any) -> Any:
    """The value of a list at an index, from the end where negative; null out of range (MOD-34)."""
    if values is None or index is None:
        return None
    if type(values) is not list:
        raise EvaluationError(f"an index needs a list, not {name_of(values)}; use substring() for text")
    if type(index) is not int:
        raise EvaluationError(f"an index is an integer, not {name_of(index)}")
    return values[index] if -len(values) <= index < len(values) else None


def make_list(*values: Any) -> list[Any]:
    """The values as a list."""
    for value in values:
        if type(value) is list:
            raise EvaluationError("a list cannot hold a list; join them with union()")
    return list(values)
