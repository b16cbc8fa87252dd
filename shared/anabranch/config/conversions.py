"""Which types a mapping turns into which by itself, and what a written value may stand for.

A mapping converts only where nothing is lost (MOD-11); everything else needs a function in an expression, so that the
person who wants it says so.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from anabranch.engine.values import ValueProblem, parse_value
from anabranch.model.configuration import Attribute
from anabranch.model.enums import ValueType

_LOSSLESS = {
    (ValueType.INTEGER, ValueType.DECIMAL),
    (ValueType.DECIMAL, ValueType.INTEGER),
    (ValueType.UUID, ValueType.TEXT),
    (ValueType.TEXT, ValueType.UUID),
}


def converts(source: ValueType, target: ValueType) -> bool:
    """Whether a value of one type may flow to the other without a function (MOD-11)."""
    return source is target or (source, target) in _LOSSLESS


def misfit(value: Any, attribute: Attribute) -> str | None:
    """What keeps a value of the configuration from being one of that attribute; None where it is one.

    Instants, uuids and bytes are written as text and read as a source's would be. Text, numbers and booleans must be
    what they are in the file: `12` for a text is more often a forgotten pair of quotes than a wish.
    """
    kind = attribute.type
    match kind:
        case ValueType.TEXT:
            good, hint = isinstance(value, str), "; write it in quotes"
        case ValueType.INTEGER:
            good, hint = isinstance(value, int) and not isinstance(value, bool), ""
        case ValueType.DECIMAL:
            good, hint = isinstance(value, int | Decimal) and not isinstance(value, bool), ""
        case ValueType.BOOLEAN:
            good, hint = isinstance(value, bool), "; write true or false"
        case ValueType.DATETIME:
            good, hint = _readable(value, attribute), "; write it as 2026-03-01 or 2026-03-01T12:00:00Z"
        case ValueType.UUID:
            good, hint = _readable(value, attribute), ""
        case ValueType.BINARY:
            good, hint = _readable(value, attribute), "; write it in base64"
        case ValueType.REFERENCE:
            return "a reference cannot be written down; take it from an attribute"
    shown = str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)
    return None if good else f"{shown} is no value of type {kind}{hint}"


def _readable(value: Any, attribute: Attribute) -> bool:
    try:
        return isinstance(value, str) and parse_value(value, attribute) is not None
    except ValueProblem:
        return False
