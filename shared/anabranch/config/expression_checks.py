"""Expressions of a configuration: is each one sound where it stands?

What an expression sees depends on its place (MOD-38): a mapping sees both sides, a scope the side its rule reads from,
a match condition the system's object, a deletion condition the metaverse object alone. The engine judges the language;
here its verdict gets a place in the file, and what can be told of the result is held against what it is for.
"""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

import msgspec

from anabranch.config.checker import Checker
from anabranch.config.conversions import converts
from anabranch.config.declaration import NodePath
from anabranch.config.expression_reads import reads_of
from anabranch.engine.expressions import CheckedExpression, Environment, ExpressionError
from anabranch.engine.expressions import check as check_expression
from anabranch.model.configuration import Attribute, Mapping, MetaverseType, ObjectType, Rule
from anabranch.model.enums import Direction, ValueType


class Side(msgspec.Struct, frozen=True):
    """A rule with the two types it links: what its expressions can see."""

    rule: Rule
    object_type: ObjectType
    metaverse_type: MetaverseType

    @property
    def inbound(self) -> bool:
        return self.rule.direction is Direction.INBOUND

    def environment(self, checker: Checker, *, cs: bool, mv: bool, mapping: Mapping | None = None) -> Environment:
        """What can be named where the expression stands; only a mapping may draw or ask for the time."""
        return Environment(
            zone=_zone(self.rule.time_zone),
            cs=self.object_type.attributes if cs else None,
            mv=self.metaverse_type.attributes if mv else None,
            sees_metaverse_state=not self.inbound,
            allows_now=mapping is not None and mapping.initial_only,
            allows_draw=mapping is not None and self.inbound,
            lookups=checker.configuration.lookups,
            unique_values=frozenset(checker.configuration.unique_values),
        )

    def owners(self) -> dict[str, NodePath]:
        cs: NodePath = ("systems", self.rule.system, "object-types", self.rule.object_type, "attributes")
        return {"cs": cs, "mv": ("metaverse", self.rule.metaverse_type, "attributes")}


def check_mapping(checker: Checker, side: Side, mapping: Mapping, target: Attribute | None, at: NodePath) -> None:
    """Notes what is wrong with the expression of a mapping, or with its result for the target."""
    environment = side.environment(checker, cs=True, mv=True, mapping=mapping)
    checked = _checked(checker, mapping.source.expression or "", environment, side.owners(), at)
    if checked is not None and target is not None:
        _check_result(checker, checked, target, at)


def check_match(checker: Checker, side: Side, source: str, key: Attribute | None, at: NodePath) -> None:
    """Notes what is wrong with the expression of a match condition, or with its result for the key."""
    environment = side.environment(checker, cs=True, mv=False)
    checked = _checked(checker, source, environment, side.owners(), at)
    if checked is not None and key is not None:
        _check_result(checker, checked, key, at)


def check_scope_expression(checker: Checker, side: Side, source: str, at: NodePath) -> None:
    """Notes what is wrong with a boolean expression used as a scope."""
    environment = side.environment(checker, cs=side.inbound, mv=not side.inbound)
    _check_boolean(checker, _checked(checker, source, environment, side.owners(), at), at)


def check_condition(checker: Checker, metaverse_type: MetaverseType, source: str, at: NodePath) -> None:
    """Notes what is wrong with a deletion condition."""
    environment = Environment(zone=UTC, mv=metaverse_type.attributes, lookups=checker.configuration.lookups)
    owners: dict[str, NodePath] = {"mv": ("metaverse", metaverse_type.key, "attributes")}
    _check_boolean(checker, _checked(checker, source, environment, owners, at), at)


def _checked(
    checker: Checker, source: str, environment: Environment, owners: AnyMapping[str, NodePath], at: NodePath
) -> CheckedExpression | None:
    if _reads_unreadable(checker, source, environment, owners):
        return None
    try:
        return check_expression(source, environment)
    except ExpressionError as error:
        checker.faults.append(checker.places.fault_inside(at, error.line, error.column, str(error)))
        return None


def _reads_unreadable(
    checker: Checker, source: str, environment: Environment, owners: AnyMapping[str, NodePath]
) -> bool:
    """True where the expression names something that is declared with a fault of its own, told already."""
    reads = reads_of(source)
    named = [
        *((owners.get("cs"), environment.cs, name) for name in reads.cs),
        *((owners.get("mv"), environment.mv, name) for name in reads.mv),
        *((("lookups",), environment.lookups, name) for name in reads.tables),
        *((("unique-values",), environment.unique_values, name) for name in reads.unique_values),
    ]
    return any(
        owner is not None and held is not None and name not in held and checker.places.declares((*owner, name))
        for owner, held, name in named
    )


def _check_result(checker: Checker, checked: CheckedExpression, target: Attribute, at: NodePath) -> None:
    result = checked.result
    # Of a reference `cs` gives the raw identifier and `mv` an opaque value; what becomes of it is told by values only.
    if result is None or ValueType.REFERENCE in (result, target.type) or converts(result, target.type):
        return
    checker.fault(at, f"the expression gives {result} and {target.name!r} is {target.type}; convert it by a function")


def _check_boolean(checker: Checker, checked: CheckedExpression | None, at: NodePath) -> None:
    if checked is not None and checked.result not in (None, ValueType.BOOLEAN):
        checker.fault(at, f"a condition is true or false; this expression gives {checked.result}")


def _zone(name: str) -> tzinfo:
    """The zone, or UTC where the name is a fault of its own."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return UTC
