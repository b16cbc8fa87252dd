"""The last steps of a mapping's value: cleanup, conversion to the target, one or many.

A converter is chosen once, when the rules are compiled; where source and target agree and nothing is to be cleaned there
is none, and the stored value is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from anabranch.engine.values import ConversionProblem, canonical_set, clean, parse_values, to_engine, to_stored
from anabranch.model.configuration import Attribute
from anabranch.model.configuration import Mapping as MappingRecord
from anabranch.model.enums import ValueType, WhenMissing


class Missing(Exception):
    """An input is missing where the mapping says what that means (SYN-38)."""

    def __init__(self, silent: bool) -> None:
        super().__init__("an input of the mapping is missing")
        self._silent = silent

    def tell(self, index: int, failures: list[tuple[int, str, str]]) -> None:
        """Report the missing input, unless the mapping merely yields no value then."""
        if not self._silent:
            failures.append((index, "missing_input", str(self)))


def missing_check(mapping: MappingRecord) -> Callable[[Sequence[Any]], None]:
    """Raises Missing when one of the inputs has no value; whitespace is one (SYN-38)."""
    silent = mapping.when_missing is WhenMissing.NO_VALUE

    def check(inputs: Sequence[Any]) -> None:
        for value in inputs:
            if value is None or value == []:
                raise Missing(silent)

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
    cleanups = mapping.text_cleanup
    from_stored = source.type if source is not None else None

    def finish(value: Any) -> Any:
        if value is None:
            return None
        values = value if isinstance(value, list) else [value]
        if from_stored is not None:
            values = [to_engine(one, from_stored) for one in values]
        if cleanups:
            values = [kept for kept in (clean(one, cleanups) for one in values) if kept is not None]
        if not values:
            return None
        return _fit(values, target)

    return finish


def constant_value(constant: Any, target: Attribute) -> Any:
    """The stored form of a declared constant, read as a source's value would be."""
    return parse_values(constant if isinstance(constant, list) else [constant], target)


def _fit(values: list[Any], target: Attribute) -> Any:
    if target.multi_valued:
        stored = [to_stored(one, target) for one in values if one is not None]
        return canonical_set(stored, target) or None
    if len(values) > 1:
        raise ConversionProblem(
            "multiple_values_for_single", f"{len(values)} values for {target.name!r}, which may hold one"
        )
    one = values[0]
    if one is None or (target.type is ValueType.TEXT and one == ""):
        return None
    return to_stored(one, target)
