"""Rule stamps: when must an object be evaluated again although nothing about it changed (MOD-29)?

Every evaluation stores the stamp of the rules it followed. The stamp covers everything that can alter its result and
nothing else: a renamed label, a page size or a tighter guard leaves it as it was, while a new contributor of another
system, a changed table or a different case rule does not. Where the effect of something is in doubt it is counted in:
an evaluation too many costs time, one too few hides a change.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from anabranch.config.expression_reads import reads_of
from anabranch.model.configuration import Attribute, Configuration, ObjectType, Rule, Scope, ScopeExpression, ScopeGroup
from anabranch.model.enums import Direction

_EDITION = 1
"""Raised when the engine itself comes to decide differently from the same configuration."""

_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")


class Stamps(msgspec.Struct, frozen=True):
    """A number below 2**63 for each (system, object type) inbound and each metaverse type outbound."""

    inbound: dict[tuple[str, str], int]
    outbound: dict[str, int]


def rule_stamps(configuration: Configuration) -> Stamps:
    """The stamps of a configuration: equal wherever no result can differ."""
    inbound = {
        (system.key, object_type.key): _stamp(_inbound(configuration, system.key, object_type))
        for system in configuration.systems.values()
        for object_type in system.object_types.values()
    }
    outbound = {key: _stamp(_outbound(configuration, key)) for key in configuration.metaverse}
    return Stamps(inbound, outbound)


def _stamp(content: Any) -> int:
    digest = blake2b(_ENCODER.encode([_EDITION, content]), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _inbound(configuration: Configuration, system: str, object_type: ObjectType) -> list[Any]:
    here = _rules_of(configuration, system, object_type.key)
    inbound = [rule for rule in here if rule.direction is Direction.INBOUND]
    types = sorted({rule.metaverse_type for rule in here})
    fed = sorted({(rule.metaverse_type, mapping.to) for rule in inbound for mapping in rule.mappings.values()})
    return [
        _object_type(object_type),
        configuration.systems[system].unresolved_reference_policy,
        inbound,
        [
            [rule.key, rule.enabled, rule.order, rule.metaverse_type, rule.scope, rule.time_zone, rule.provision]
            for rule in here
            if rule.direction is Direction.OUTBOUND
        ],
        [_metaverse_type(configuration, key) for key in types],
        [[type_key, name, _contributors(configuration, type_key, name)] for type_key, name in fed],
        _named_in(configuration, [source for rule in here for source in _inbound_expressions(rule)]),
    ]


def _outbound(configuration: Configuration, type_key: str) -> list[Any]:
    rules = [
        rule
        for rule in _sorted(configuration.rules.values())
        if rule.direction is Direction.OUTBOUND and rule.metaverse_type == type_key
    ]
    targets = sorted({(rule.system, rule.object_type) for rule in rules})
    return [
        rules,
        _metaverse_type(configuration, type_key),
        [
            [
                system,
                _object_type(configuration.systems[system].object_types[object_type]),
                # A provisioning first looks for what an inbound rule would have matched (SYN-78), and drift is left
                # alone where the target itself contributes (SYN-87).
                [rule for rule in _rules_of(configuration, system, object_type) if rule.direction is Direction.INBOUND],
            ]
            for system, object_type in targets
        ],
        _named_in(configuration, [source for rule in rules for source in _expressions(rule)]),
    ]


def _sorted(rules: Any) -> list[Rule]:
    return sorted(rules, key=lambda rule: (rule.order, rule.key))


def _rules_of(configuration: Configuration, system: str, object_type: str) -> list[Rule]:
    every = _sorted(configuration.rules.values())
    return [rule for rule in every if rule.system == system and rule.object_type == object_type]


def _attributes(attributes: dict[str, Attribute]) -> list[Attribute]:
    return [msgspec.structs.replace(attributes[name], sensitive=False) for name in sorted(attributes)]


def _object_type(object_type: ObjectType) -> list[Any]:
    return [
        object_type.key,
        object_type.anchor,
        object_type.secondary,
        object_type.selected,
        object_type.recall_on_disconnect,
        _attributes(object_type.attributes),
    ]


def _metaverse_type(configuration: Configuration, key: str) -> list[Any]:
    mvo_type = configuration.metaverse[key]
    return [key, _attributes(mvo_type.attributes), mvo_type.deletion]


def _contributors(configuration: Configuration, type_key: str, attribute: str) -> list[Any]:
    """Everybody who may feed the attribute, with what decides the rank: a second one changes what must be stored."""
    return [
        [
            rule.system,
            rule.object_type,
            rule.order,
            rule.key,
            rule.enabled,
            mapping.key,
            mapping.enabled,
            mapping.priority,
        ]
        for rule in _sorted(configuration.rules.values())
        if rule.direction is Direction.INBOUND and rule.metaverse_type == type_key
        for mapping in rule.mappings.values()
        if mapping.to == attribute
    ]


def _named_in(configuration: Configuration, sources: list[str]) -> list[Any]:
    """The tables and unique values that expressions name; all of them where one cannot be read."""
    tables: set[str] = set()
    unique_values: set[str] = set()
    for reads in map(reads_of, sources):
        tables |= reads.tables if reads.readable else set(configuration.lookups)
        unique_values |= reads.unique_values if reads.readable else set(configuration.unique_values)
    return [
        [[name, configuration.lookups.get(name)] for name in sorted(tables)],
        [[name, configuration.unique_values.get(name)] for name in sorted(unique_values)],
    ]


def _expressions(rule: Rule) -> list[str]:
    sources = [mapping.source for mapping in rule.mappings.values()]
    sources += [condition.source for match in rule.match for condition in match.conditions]
    return [source.expression for source in sources if source.expression is not None] + _scope_expressions(rule.scope)


def _inbound_expressions(rule: Rule) -> list[str]:
    """Of an outbound rule only the scope counts here: whether it serves an object, not what it sends."""
    return _expressions(rule) if rule.direction is Direction.INBOUND else _scope_expressions(rule.scope)


def _scope_expressions(scope: Scope | None) -> list[str]:
    match scope:
        case ScopeExpression():
            return [scope.expression]
        case ScopeGroup():
            return [source for member in scope.members for source in _scope_expressions(member)]
        case _:
            return []
