"""Sync rules: does every name exist on its own side, and can every value become what it flows to?

An inbound rule reads its object type (`cs`) and writes the metaverse type (`mv`), an outbound one the other way round.
What is wrong with a mapping is told at the mapping, with the attribute and the types in the message, because the
person who reads it has both schemas in other files.
"""

from __future__ import annotations

import msgspec

from anabranch.config.checker import Checker
from anabranch.config.conversions import converts, misfit
from anabranch.config.declaration import NodePath
from anabranch.config.expression_checks import Side, check_mapping, check_match, check_scope_expression
from anabranch.config.schema_checks import writable
from anabranch.engine.scope import OPERATORS
from anabranch.model.configuration import (
    Attribute,
    Criterion,
    Mapping,
    MatchCondition,
    MetaverseType,
    ObjectType,
    RelativeDate,
    Rule,
    Scope,
    ScopeExpression,
    ScopeGroup,
    Source,
)
from anabranch.model.enums import Direction, ValueType


class Ends(msgspec.Struct, frozen=True):
    """A rule with the two types it links, each with the path it is declared at."""

    rule: Rule
    object_type: ObjectType
    metaverse_type: MetaverseType

    @property
    def cs_path(self) -> NodePath:
        return ("systems", self.rule.system, "object-types", self.rule.object_type)

    @property
    def mv_path(self) -> NodePath:
        return ("metaverse", self.rule.metaverse_type)

    @property
    def inbound(self) -> bool:
        return self.rule.direction is Direction.INBOUND

    def source_attribute(self, checker: Checker, name: str, at: NodePath) -> Attribute | None:
        """The attribute on the side that the rule reads from."""
        side, path = (self.object_type, self.cs_path) if self.inbound else (self.metaverse_type, self.mv_path)
        return checker.attribute(side.attributes, path, name, at)

    def target_attribute(self, checker: Checker, name: str, at: NodePath) -> Attribute | None:
        """The attribute on the side that the rule writes to."""
        side, path = (self.metaverse_type, self.mv_path) if self.inbound else (self.object_type, self.cs_path)
        return checker.attribute(side.attributes, path, name, at)

    @property
    def side(self) -> Side:
        return Side(self.rule, self.object_type, self.metaverse_type)


def check_rules(checker: Checker) -> None:
    for key, rule in checker.configuration.rules.items():
        here: NodePath = ("rules", key)
        checker.time_zone(rule.time_zone, (*here, "time-zone"))
        ends = _ends(checker, rule, here)
        if ends is None:
            continue
        if rule.scope is not None:
            _check_scope(checker, ends, rule.scope, (*here, "scope"))
        for n, match_rule in enumerate(rule.match):
            for m, condition in enumerate(match_rule.conditions):
                _check_condition(checker, ends, condition, (*here, "match", n, "conditions", m))
        _check_targets_differ(checker, rule, here)
        _check_anchor(checker, ends, here)
        for mapping in rule.mappings.values():
            _check_mapping(checker, ends, mapping, (*here, "mappings", mapping.key))


def _ends(checker: Checker, rule: Rule, here: NodePath) -> Ends | None:
    configuration = checker.configuration
    mvo_type = checker.named(
        configuration.metaverse, ("metaverse",), rule.metaverse_type, (*here, "metaverse-type"), "the metaverse type"
    )
    system = checker.named(configuration.systems, ("systems",), rule.system, (*here, "system"), "the system")
    if system is None:
        return None
    owner: NodePath = ("systems", system.key, "object-types")
    object_type = checker.named(
        system.object_types, owner, rule.object_type, (*here, "object-type"), "the object type", f" of {system.key}"
    )
    if object_type is None or mvo_type is None:
        return None
    return Ends(rule, object_type, mvo_type)


def _check_scope(checker: Checker, ends: Ends, scope: Scope, at: NodePath) -> None:
    match scope:
        case ScopeGroup(kind="not"):
            _check_scope(checker, ends, scope.members[0], (*at, "not"))
        case ScopeGroup():
            if scope.kind == "any" and not scope.members:
                checker.fault((*at, "any"), "an empty 'any' is never true; name at least one condition")
            for n, member in enumerate(scope.members):
                _check_scope(checker, ends, member, (*at, scope.kind, n))
        case ScopeExpression():
            check_scope_expression(checker, ends.side, scope.expression, (*at, "expression"))
        case Criterion():
            attribute = ends.source_attribute(checker, scope.attribute, (*at, "attribute"))
            if attribute is not None:
                _check_criterion(checker, scope, attribute, at)


def _check_criterion(checker: Checker, criterion: Criterion, attribute: Attribute, at: NodePath) -> None:
    operators = OPERATORS[attribute.type]
    if criterion.operator not in operators:
        known = ", ".join(sorted(operator.replace("_", "-") for operator in operators))
        word = criterion.operator.replace("_", "-")
        checker.fault(
            (*at, "operator"),
            f"{word!r} is not defined for {attribute.name!r} of type {attribute.type}; its operators: {known}",
        )
        return
    if criterion.ignore_case and attribute.type is not ValueType.TEXT:
        checker.fault((*at, "ignore-case"), f"{attribute.name!r} is of type {attribute.type}; only text has case")
    if criterion.operator == "present":
        return
    if isinstance(criterion.value, RelativeDate):
        if attribute.type is not ValueType.DATETIME:
            checker.fault((*at, "value"), f"a relative date needs a datetime; {attribute.name!r} is {attribute.type}")
        elif criterion.operator == "in":
            checker.fault((*at, "value"), "the operator in takes a list of values")
        return
    values = criterion.value if isinstance(criterion.value, list) else [criterion.value]
    for n, value in enumerate(values):
        wrong = misfit(value, attribute)
        if wrong is not None:
            where = (*at, "value", n) if isinstance(criterion.value, list) else (*at, "value")
            checker.fault(where, f"{wrong} ({attribute.name!r} is {attribute.type})")


def _check_condition(checker: Checker, ends: Ends, condition: MatchCondition, at: NodePath) -> None:
    key = checker.attribute(ends.metaverse_type.attributes, ends.mv_path, condition.equals, (*at, "equals"))
    if key is not None and key.type is ValueType.REFERENCE:
        checker.fault((*at, "equals"), f"{key.name!r} is a reference; objects match by values only")
        return
    if condition.ignore_case and key is not None and key.type is not ValueType.TEXT:
        checker.fault((*at, "ignore-case"), f"{key.name!r} is of type {key.type}; only text has case")
    source = condition.source
    if source.expression is not None:
        check_match(checker, ends.side, source.expression, key, (*at, "from", "expression"))
    if source.attribute is not None:
        where = (*at, "from", "attribute")
        attribute = checker.attribute(ends.object_type.attributes, ends.cs_path, source.attribute, where)
        if attribute is not None and key is not None and not converts(attribute.type, key.type):
            checker.fault(
                where,
                f"{attribute.name!r} is {attribute.type} and {key.name!r} is {key.type}; they can never be equal",
            )


def _check_targets_differ(checker: Checker, rule: Rule, here: NodePath) -> None:
    first: dict[str, str] = {}
    for key, mapping in rule.mappings.items():
        other = first.setdefault(mapping.to, key)
        if other != key:
            checker.fault(
                (*here, "mappings", key, "to"), f"the mapping {other!r} of this rule already computes {mapping.to!r}"
            )


def _check_anchor(checker: Checker, ends: Ends, here: NodePath) -> None:
    """What a rule provisions needs an anchor, from this rule or from another one that links the same two types. Where a
    mapping leads nowhere, that is told, and it may have been meant."""
    rule, known = ends.rule, ends.object_type
    if ends.inbound or not (rule.provision and rule.enabled):
        return
    types = (rule.direction, rule.system, rule.object_type, rule.metaverse_type)
    mapped = {
        mapping.to
        for one in checker.configuration.rules.values()
        if one.enabled and (one.direction, one.system, one.object_type, one.metaverse_type) == types
        for mapping in one.mappings.values()
        if mapping.enabled
    }
    if known.anchor not in mapped and mapped <= known.attributes.keys():
        checker.fault(
            (*here, "provision"),
            f"nothing is mapped to {known.anchor!r}, the anchor of {rule.object_type!r} in {rule.system}, so that none "
            "could ever be created; add a mapping to it, or leave out 'provision'",
        )


def _check_mapping(checker: Checker, ends: Ends, mapping: Mapping, at: NodePath) -> None:
    target = ends.target_attribute(checker, mapping.to, (*at, "to"))
    if target is not None and not ends.inbound and not writable(target):
        checker.fault((*at, "to"), f"{target.name!r} is read-only in {ends.rule.system}; nothing can be exported to it")
    if target is not None and not ends.inbound and not target.selected:
        checker.fault((*at, "to"), f"{target.name!r} of {ends.rule.system} is not selected; select it or drop this")
    source = mapping.source
    if source.expression is not None:
        check_mapping(checker, ends.side, mapping, target, (*at, "from", "expression"))
    elif source.attribute is not None:
        where = (*at, "from", "attribute")
        attribute = ends.source_attribute(checker, source.attribute, where)
        if attribute is not None and target is not None and not converts(attribute.type, target.type):
            checker.fault(
                where,
                f"{attribute.name!r} is {attribute.type} and {target.name!r} is {target.type}; "
                "nothing converts the one to the other without loss, use a function in an expression",
            )
    elif target is not None:
        _check_constant(checker, source, target, (*at, "from", "constant"))


def _check_constant(checker: Checker, source: Source, target: Attribute, at: NodePath) -> None:
    if isinstance(source.constant, list) and not target.multi_valued:
        checker.fault(at, f"{target.name!r} holds one value; a list needs a multi-valued attribute")
    values = source.constant if isinstance(source.constant, list) else [source.constant]
    for n, value in enumerate(values):
        wrong = misfit(value, target)
        if wrong is not None:
            where = (*at, n) if isinstance(source.constant, list) else at
            checker.fault(where, f"{wrong} ({target.name!r} is {target.type})")
