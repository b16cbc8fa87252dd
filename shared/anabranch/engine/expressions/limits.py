"""What an expression may build, so that its cost stays bounded by its inputs (MOD-36).

A value that is merely passed on is not built and has no limit here. Everything that grows is measured, and whatever
could grow beyond all measure (replacing, padding) is measured before it is made.
"""

from __future__ import annotations

from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

from anabranch.engine.expressions.failures import EvaluationError

MAX_SOURCE = 4096
MAX_NODES = 1000
MAX_DEPTH = 32
MAX_TEXT = 64 * 1024
MAX_LIST = 100_000
MAX_PATTERN = 200
MAX_SEARCHED = 4 * 1024

SAFE_LENGTH = MAX_TEXT // 4
"""A text of so many characters is within the limit however it is encoded."""

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
DIGITS = 38

EXACT = Context(prec=DIGITS, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])
"""Sums and products are exact or refused (MOD-4)."""
ROUNDING = Context(prec=DIGITS, traps=[InvalidOperation, Overflow, DivisionByZero])
"""Quotients have 38 digits; the last is rounded half to even."""


def text_size(text: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def bounded(text: str) -> str:
    """The text itself. Raises EvaluationError when it is larger than an expression may build."""
    if len(text) > SAFE_LENGTH and text_size(text) > MAX_TEXT:
        raise too_large()
    return text


def too_large() -> EvaluationError:
    return EvaluationError(f"the text built is larger than {MAX_TEXT // 1024} KiB; shorten its parts with left()")


def bounded_list(values: list[object]) -> list[object]:
    """The list itself. Raises EvaluationError when it has more values than an expression may build."""
    if len(values) > MAX_LIST:
        raise EvaluationError(f"the list built has more than {MAX_LIST:,} values")
    return values


def bounded_integer(number: int) -> int:
    """The number itself. Raises EvaluationError outside the 64-bit range (MOD-3)."""
    if INTEGER_MIN <= number <= INTEGER_MAX:
        return number
    raise EvaluationError("the result is outside the 64-bit range of integers")


def bounded_decimal(number: Decimal) -> Decimal:
    """The number itself, exactly. Raises EvaluationError when it needs more digits than a decimal holds (MOD-4)."""
    try:
        return EXACT.plus(number)
    except (Inexact, InvalidOperation, Overflow):
        raise EvaluationError(f"the number needs more than {DIGITS} significant digits") from None
