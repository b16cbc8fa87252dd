"""Scopes and sources as a file spells them: a tree of conditions, and where a value comes from.

A person writes `not-equals`; the record holds the positive operator and the mark that its exact complement is meant
(SYN-11), so that the engine knows one half of the operators only. A date may be said relative to the run: `{ago: 30,
unit: days}` is a count of minus thirty days.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from anabranch.config.record_shape import Field, Given, Record
from anabranch.config.shape import FAULTY, Choice, Flag, ListOf, Name, Reading, Shape, Text, Value, Whole, did_you_mean
from anabranch.config.yaml12 import MappingNode, Node, ScalarNode, kind_of
from anabranch.model.configuration import Criterion, RelativeDate, Scope, ScopeExpression, ScopeGroup, Source

OPERATORS = (
    "equals",
    "starts_with",
    "ends_with",
    "contains",
    "less_than",
    "less_or_equal",
    "greater_than",
    "greater_or_equal",
    "in",
    "present",
)
"""The positive operators of SYN-10; each has an exact complement with `not_` before it."""


class Unit(StrEnum):
    """What a relative date counts (SYN-13)."""

    HOURS = "hours"
    DAYS = "days"
    WEEKS = "weeks"
    MONTHS = "months"
    YEARS = "years"


class _Operator(Shape):
    """An operator, `not_` included; the criterion takes it apart."""

    words = tuple(prefix + operator for operator in OPERATORS for prefix in ("", "not_"))

    def read(self, node: Node, reading: Reading) -> Any:
        word = node.text.replace("-", "_") if isinstance(node, ScalarNode) else ""
        if word in self.words:
            return word
        shown = repr(node.text) if isinstance(node, ScalarNode) else kind_of(node)
        near = did_you_mean(word.replace("_", "-"), [known.replace("_", "-") for known in self.words])
        return reading.fault(node, f"{shown} is no operator{near}")

    def schema(self) -> dict[str, Any]:
        return {"enum": [spelling for word in self.words for spelling in dict.fromkeys((word.replace("_", "-"), word))]}


class _RelativeDate(Shape):
    """`{ago: 30, unit: days}` or `{ahead: 2, unit: weeks}`."""

    count = Whole(0, 100_000)
    unit = Choice(Unit)

    def read(self, node: Node, reading: Reading) -> Any:
        if not isinstance(node, MappingNode):
            return reading.fault(node, f"expected a relative date, found {kind_of(node)}")
        entries = node.entries
        direction = [key for key in ("ago", "ahead") if key in entries]
        if len(direction) != 1 or "unit" not in entries or len(entries) != 2:
            return reading.fault(node, "a relative date is {ago: COUNT, unit: UNIT} or {ahead: COUNT, unit: UNIT}")
        count = self.count.read(entries[direction[0]].node, reading)
        unit = self.unit.read(entries["unit"].node, reading)
        if FAULTY in (count, unit):
            return FAULTY
        return RelativeDate(count=-count if direction == ["ago"] else count, unit=str(unit))

    def write(self, value: Any) -> Any:
        return {"ago" if value.count < 0 else "ahead": abs(value.count), "unit": value.unit}

    def schema(self) -> dict[str, Any]:
        def one(direction: str) -> dict[str, Any]:
            return {
                "type": "object",
                "properties": {direction: self.count.schema(), "unit": self.unit.schema()},
                "required": [direction, "unit"],
                "additionalProperties": False,
            }

        return {"oneOf": [one("ago"), one("ahead")]}


class _CriterionValue(Shape):
    """A value, a list of values, or a relative date."""

    value = Value()
    relative = _RelativeDate()

    def read(self, node: Node, reading: Reading) -> Any:
        return (self.relative if isinstance(node, MappingNode) else self.value).read(node, reading)

    def write(self, value: Any) -> Any:
        return self.relative.write(value) if isinstance(value, RelativeDate) else value

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.value.schema(), self.relative.schema()]}


def _take_operator_apart(given: Given, reading: Reading) -> None:
    word = given.values.get("operator")
    if word is None:
        return
    operator = word.removeprefix("not_")
    given.values["operator"] = operator
    given.values["negated"] = word != operator
    entry = given.entries.get("value")
    if operator == "present":
        if entry is not None:
            reading.fault(entry.node, "the operator present takes no value")
    elif entry is None:
        reading.fault(given.node, f"the key 'value' is missing: what the operator {operator} compares with")
    elif operator == "in" and not isinstance(given.values.get("value", []), list):
        reading.fault(entry.node, "the operator in takes a list of values")
    elif operator != "in" and isinstance(given.values.get("value"), list):
        reading.fault(entry.node, f"the operator {operator} takes one value; a list goes with the operator in")


class _Criterion(Record):
    def write(self, value: Any) -> Any:
        written = super().write(value)
        prefix = "not-" if value.negated else ""
        written["operator"] = prefix + value.operator.replace("_", "-")
        return written


_CRITERION = _Criterion(
    Criterion,
    (
        Field("attribute", Name(), "the attribute that is tested"),
        Field("operator", _Operator(), "the test"),
        Field("value", _CriterionValue(), "what it is compared with"),
        Field("ignore-case", Flag(), "whether text compares by folded key"),
    ),
    review=_take_operator_apart,
)
_GROUPS = ("all", "any", "not")


class ScopeShape(Shape):
    """`{all: [...]}`, `{any: [...]}`, `{not: {...}}`, `{expression: ...}` or a criterion (SYN-9)."""

    def read(self, node: Node, reading: Reading) -> Any:
        if not isinstance(node, MappingNode):
            return reading.fault(node, f"expected a condition (all, any, not, a criterion), found {kind_of(node)}")
        kinds = [key for key in (*_GROUPS, "expression") if key in node.entries]
        if not kinds:
            return _CRITERION.read(node, reading)
        if len(node.entries) > 1:
            return reading.fault(node, f"{kinds[0]!r} stands alone in its condition; found {', '.join(node.entries)}")
        inner = node.entries[kinds[0]].node
        if kinds[0] == "expression":
            text = Text().read(inner, reading)
            return text if text is FAULTY else ScopeExpression(expression=text)
        if kinds[0] == "not":
            members = self.read(inner, reading)
            return members if members is FAULTY else ScopeGroup(kind="not", members=(members,))
        members = ListOf(self, distinct=False).read(inner, reading)
        if members == () and kinds[0] == "any":
            return reading.fault(inner, "an empty 'any' is never true; name at least one condition")
        return members if members is FAULTY else ScopeGroup(kind=kinds[0], members=members)

    def write(self, value: Scope) -> Any:
        match value:
            case Criterion():
                return _CRITERION.write(value)
            case ScopeExpression():
                return {"expression": value.expression}
            case ScopeGroup(kind="not"):
                return {"not": self.write(value.members[0])}
            case ScopeGroup():
                return {value.kind: [self.write(member) for member in value.members]}

    def schema(self) -> dict[str, Any]:
        return {"$ref": "#/$defs/scope"}

    def definition(self) -> dict[str, Any]:
        """What `#/$defs/scope` stands for."""

        def group(kind: str, inner: dict[str, Any]) -> dict[str, Any]:
            return {"type": "object", "properties": {kind: inner}, "required": [kind], "additionalProperties": False}

        here = self.schema()
        members = {"type": "array", "items": here}
        return {
            "oneOf": [
                group("all", members),
                group("any", {**members, "minItems": 1}),
                group("not", here),
                group("expression", Text().schema()),
                _CRITERION.schema(),
            ]
        }


def _exactly_one(given: Given, reading: Reading) -> None:
    if len(given.entries) != 1:
        reading.fault(given.node, f"exactly one source is needed; found {', '.join(given.entries) or 'none'}")


_ATTRIBUTE = Field("attribute", Name(), "the attribute a value is taken from, as it is")
_EXPRESSION = Field("expression", Text(), "the expression that computes it")

SOURCE = Record(Source, (_ATTRIBUTE, _EXPRESSION, Field("constant", Value(), "the value itself")), review=_exactly_one)
MATCH_SOURCE = Record(Source, (_ATTRIBUTE, _EXPRESSION), review=_exactly_one)
