"""The last steps of a mapping's value: cleanup, conversion to the target, one or many.

A converter is chosen once, when the rules are compiled; where source and target agree and nothing is to be cleaned
there is none, and the stored value is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from anabranch.engine.expressions import EvaluationError
from anabranch.engine.values import (
    ConversionProblem,
    StoredValue,
    canonical_set,
    cleaner,
    parse_values,
    to_engine,
    to_stored,
)
from anabranch.model.configuration import Attribute
from anabranch.model.configuration import Mapping as MappingRecord
from anabranch.model.enums import ValueType, WhenMissing

MISSING_INPUT = "missing_input"
"""The failure kind of a mapping that does without no input (SYN-38)."""


class Missing(Exception):
    """An input is missing and the mapping yields no value then (SYN-38)."""


class MissingFails(Exception):
    """An input is missing and the mapping, or its object, fails then (SYN-38)."""


def missing_check(mapping: MappingRecord) -> Callable[[Sequence[Any]], None]:
    """Raises Missing when one of the inputs has no value; whitespace is one (SYN-38)."""
    raised = Missing if mapping.when_missing is WhenMissing.NO_VALUE else MissingFails

    def check(inputs: Sequence[Any]) -> None:
        for value in inputs:
            if value is None or value == []:
                raise raised("an input of the mapping is missing")

    return check


def finisher(mapping: MappingRecord, target: Attribute, source: Attribute | None) -> Callable[[Any], Any] | None:
    """What turns a mapping's raw outcome into the target's stored value, or None where nothing is to be done."""
    if (
        source is not None
        and source.type is target.type
        and source.multi_valued == target.multi_valued
        and source.case_sensitive == target.case_sensitive
        and not mapping.text_cleanup
    ):
        return None
    if mapping.source.expression is None and source is None:
        constant = constant_value(mapping.source.constant, target)
        return lambda _value: constant
    clean = cleaner(mapping.text_cleanup) if mapping.text_cleanup else None
    from_stored = source.type if source is not None else None

    def finish(value: Any) -> Any:
        if value is None:
            return None
        values = value if isinstance(value, list) else [value]
        if from_stored is not None:
            values = [to_engine(one, from_stored) for one in values]
        if clean is not None:
            values = [kept for kept in (clean(one) for one in values) if kept is not None]
        if not values:
            return None
        return _fit(values, target)

    if target.type is ValueType.TEXT and not target.multi_valued and from_stored in (None, ValueType.TEXT):
        return _text_finisher(clean, finish)
    return finish


def _text_finisher(
    clean: Callable[[Any], Any] | None, otherwise: Callable[[Any], Any]
) -> Callable[[Any], StoredValue | None]:
    """Plain text into an attribute that holds one text, which is what most mappings do, is passed on as it is; the rest
    goes the long way."""

    def finish(value: Any) -> Any:
        if type(value) is str and value.isascii() and "\0" not in value:
            return (clean(value) if clean is not None else value) or None
        return otherwise(value)

    return finish


def key_finisher(target: Attribute, source: Attribute | None) -> Callable[[Any], Any] | None:
    """What turns a match condition's value into stored values of the attribute it must equal (SYN-27), or None where
    it is one already. What it returns raises EvaluationError for a value that cannot be compared with the target."""
    if source is not None and source.type is target.type:
        return None

    def finish(value: Any) -> Any:
        values = value if isinstance(value, list) else [value]
        if source is not None:
            values = [None if one is None else to_engine(one, source.type) for one in values]
        try:
            return [to_stored(one, target) for one in values if one is not None]
        except ConversionProblem as problem:
            raise EvaluationError(f"the match condition cannot be compared: {problem}") from problem

    return finish


def constant_value(constant: Any, target: Attribute) -> Any:
    """The stored form of a declared constant, read as a source's value would be."""
    return parse_values(constant if isinstance(constant, list) else [constant], target)


def _fit(values: list[Any], target: Attribute) -> Any:
    """The stored value or set; null and empty text are no value, and equal values are one (MOD-9, SYN-40)."""
    given = [one for one in values if one is not None and not (target.type is ValueType.TEXT and one == "")]
    stored = canonical_set([to_stored(one, target) for one in given], target)
    if target.multi_valued:
        return stored or None
    if len(stored) > 1:
        raise ConversionProblem(
            "multiple_values_for_single", f"{len(stored)} values for {target.name!r}, which may hold one"
        )
    return stored[0] if stored else None
