"""What is known about a value before it exists: its type, whether it is a list, whether it may be null.

Attributes are typed, so most of an expression is typed before it runs. Knowledge serves twice: a mistake is reported
when the configuration is read instead of at the ten-thousandth object, and code whose types are certain runs without
asking. Where nothing is known (`type` or `is_list` is None) the same questions are asked at run time.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from anabranch.model.enums import ValueType


class Kind(NamedTuple):
    """`type` is that of the value, or of the members of a list; `nullable` is false where null cannot occur."""

    type: ValueType | None
    is_list: bool | None
    nullable: bool = True

    @property
    def is_number(self) -> bool:
        return self.is_list is False and self.type in NUMBERS

    @property
    def is_known(self) -> bool:
        """True for a single value of a known type."""
        return self.is_list is False and self.type is not None

    def is_one(self, type_: ValueType) -> bool:
        """True when the value is certain to be a single one of this type, or null."""
        return self.is_list is False and self.type is type_

    def __str__(self) -> str:
        if self.is_list:
            return "a list"
        return self.type.value if self.type is not None else "a value"


NUMBERS = frozenset({ValueType.INTEGER, ValueType.DECIMAL})
UNKNOWN = Kind(None, None)
NULL = Kind(None, False)
"""The literal null: a single value of no type."""
BOOLEAN = Kind(ValueType.BOOLEAN, False, nullable=False)


def either(one: Kind, other: Kind) -> Kind:
    """What is known of a value that is one of the two."""
    return Kind(
        one.type if one.type is other.type else None,
        one.is_list if one.is_list is other.is_list else None,
        one.nullable or other.nullable,
    )


_NAMES: dict[type, str] = {
    str: "text",
    int: "integer",
    Decimal: "decimal",
    bool: "boolean",
    datetime: "datetime",
    bytes: "binary",
    list: "a list",
    type(None): "null",
}


def name_of(value: Any) -> str:
    """What to call a value's type in a message."""
    return _NAMES.get(type(value), "an opaque value")
