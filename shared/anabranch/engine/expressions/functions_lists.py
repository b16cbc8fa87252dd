"""Functions on lists, and the choice among values. Comparing is by keys, so cost is linear in the lists (MOD-12)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from anabranch.engine.expressions.failures import EvaluationError
from anabranch.engine.expressions.kinds import name_of
from anabranch.engine.expressions.limits import bounded_list
from anabranch.engine.expressions.operators import equal, less, member_key
from anabranch.engine.expressions.registry import function
from anabranch.engine.values import fold

_RANK: dict[type, int] = {str: 0, int: 1, Decimal: 1, bool: 2, datetime: 3, bytes: 4}
"""The order of types in MOD-10; integers and decimals meet as numbers."""


@function("list", gives="any")
def first(values: list[Any]) -> Any:
    return values[0] if values else None


@function("list", gives="any")
def last(values: list[Any]) -> Any:
    return values[-1] if values else None


@function("list", gives="integer*")
def count(values: list[Any]) -> int:
    return len(values)


@function("list", "any", gives="boolean*")
def list_contains(values: list[Any], value: Any) -> bool:
    return any(equal(value, one) for one in values)


def _distinct(values: Iterable[Any]) -> list[Any]:
    kept: dict[Any, Any] = {}
    for value in values:
        kept.setdefault(member_key(value), value)
    return list(kept.values())


@function("list", gives="list*")
def distinct(values: list[Any]) -> list[Any]:
    """The list without repetitions; of equal values the first stays, in its place."""
    return _distinct(values)


@function("list", gives="list*")
def sort_values(values: list[Any]) -> list[Any]:
    """The values in canonical order (MOD-10), null dropped."""
    return sorted((one for one in values if one is not None), key=lambda one: (_RANK.get(type(one), 5), one))


@function("list", "list", gives="list*", variadic=True)
def union(*lists: list[Any]) -> list[Any]:
    """The values of all lists, each once, in the order in which they first occur."""
    return bounded_list(_distinct(value for one in lists for value in one))


@function("list", "list", gives="list*")
def intersect(one: list[Any], other: list[Any]) -> list[Any]:
    """The values of the first list that the second holds too, each once."""
    held = {member_key(value) for value in other}
    return [value for value in _distinct(one) if member_key(value) in held]


@function("list", "list", gives="list*")
def difference(one: list[Any], other: list[Any]) -> list[Any]:
    """The values of the first list that the second does not hold, each once."""
    held = {member_key(value) for value in other}
    return [value for value in _distinct(one) if member_key(value) not in held]


# ----------------------------------------------------------------- logic


@function("value?", gives="boolean!")
def is_null(value: Any) -> bool:
    """Whether there is no value; an empty list is none (MOD-43)."""
    return value is None or value == []


@function("value?", gives="boolean!")
def is_blank(value: Any) -> bool:
    """Whether there is no value but white space; of a list, in none of its members."""
    if value is None:
        return True
    if type(value) is list:
        return all(is_blank(one) for one in value)
    return type(value) is str and not value.strip()


@function("value?", "value?", "boolean?", gives="boolean!", optional=1)
def same(one: Any, other: Any, ignore_case: bool | None = False) -> bool:
    """Equality that null may take part in; lists compare as sets. Case is ignored on request."""
    if type(one) is list and type(other) is list:
        return {_key(value, ignore_case) for value in one} == {_key(value, ignore_case) for value in other}
    if ignore_case and type(one) is str and type(other) is str:
        return fold(one) == fold(other)
    return equal(one, other)


def _key(value: Any, ignore_case: bool | None) -> Any:
    return fold(value) if ignore_case and type(value) is str else member_key(value)


# ----------------------------------------------------------------- extremes


def _candidates(values: tuple[Any, ...], name: str) -> list[Any]:
    if len(values) == 1 and type(values[0]) is list:
        return [value for value in values[0] if value is not None]
    for value in values:
        if type(value) is list:
            raise EvaluationError(f"{name}() takes one list or several single values, not {name_of(value)} among them")
    return list(values)


@function("value", gives="any", variadic=True)
def lowest(*values: Any) -> Any:
    """The lowest of the values, or of one list's members; null when there is none."""
    found = None
    for value in _candidates(values, "lowest"):
        if found is None or less(value, found):
            found = value
    return found


@function("value", gives="any", variadic=True)
def highest(*values: Any) -> Any:
    """The highest of the values, or of one list's members; null when there is none."""
    found = None
    for value in _candidates(values, "highest"):
        if found is None or less(found, value):
            found = value
    return found
