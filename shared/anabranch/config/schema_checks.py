"""Systems and metaverse types: do their own names fit together?

An anchor identifies an object for ever, so it must be one of the object type's attributes and of a type that has one
spelling a value (MOD-15). A reference names the types it may point to, and those must exist beside it.
"""

from __future__ import annotations

from collections.abc import Collection

from anabranch.config.checker import Checker
from anabranch.config.declaration import NodePath
from anabranch.config.expression_checks import check_condition
from anabranch.config.shape import did_you_mean
from anabranch.model.configuration import Attribute, MetaverseType, ObjectType, System
from anabranch.model.enums import DeletionRule, MultiValuePolicy, ValueType, Writability

ANCHOR_TYPES = (ValueType.TEXT, ValueType.INTEGER, ValueType.DECIMAL, ValueType.UUID)


def check_systems(checker: Checker, connectors: Collection[str] | None) -> None:
    for key, system in checker.configuration.systems.items():
        here: NodePath = ("systems", key)
        checker.time_zone(system.assume_time_zone, (*here, "assume-time-zone"))
        if system.connector == "":
            pass  # unreadable, and told already
        elif connectors is not None and system.connector not in connectors:
            near = did_you_mean(system.connector, connectors)
            checker.fault((*here, "connector"), f"the connector {system.connector!r} is not installed{near}")
        elif checker.check_options is not None:
            for path, message in checker.check_options(system):
                checker.fault((*here, *path), message)
        for object_type in system.object_types.values():
            _check_object_type(checker, system, object_type)


def _check_object_type(checker: Checker, system: System, object_type: ObjectType) -> None:
    here: NodePath = ("systems", system.key, "object-types", object_type.key)
    if object_type.anchor:
        _check_identifier(checker, here, "anchor", object_type, object_type.anchor)
    if object_type.secondary is not None:
        if object_type.secondary == object_type.anchor:
            checker.fault((*here, "secondary"), "the secondary identifier is the anchor itself; leave it out")
        else:
            _check_identifier(checker, here, "secondary", object_type, object_type.secondary)
    for attribute in object_type.attributes.values():
        at = (*here, "attributes", attribute.name)
        _check_reference(checker, at, attribute, set(system.object_types), ("systems", system.key, "object-types"))


def _check_identifier(checker: Checker, here: NodePath, role: str, object_type: ObjectType, name: str) -> None:
    at = (*here, role)
    attribute = checker.attribute(object_type.attributes, here, name, at)
    if attribute is None:
        return
    if attribute.type not in ANCHOR_TYPES:
        allowed = ", ".join(ANCHOR_TYPES)
        checker.fault(at, f"the {role} {name!r} is of type {attribute.type}; it must be one of {allowed}")
    if attribute.multi_valued:
        checker.fault(at, f"the {role} {name!r} is multi-valued; an identifier has one value")
    if not attribute.selected:
        checker.fault(at, f"the {role} {name!r} is not selected, so it would never be read")


def _check_reference(checker: Checker, at: NodePath, attribute: Attribute, targets: set[str], owner: NodePath) -> None:
    if attribute.type is not ValueType.REFERENCE:
        if attribute.to:
            checker.fault((*at, "to"), f"only a reference points to types; this is of type {attribute.type}")
        return
    if not attribute.to:
        checker.fault((*at, "to"), "the key 'to' is missing: the types this reference may point to", key=True)
    for n, target in enumerate(attribute.to):
        checker.named(dict.fromkeys(targets, True), owner, target, (*at, "to", n), "the type")


def check_metaverse(checker: Checker) -> None:
    metaverse = checker.configuration.metaverse
    for key, mvo_type in metaverse.items():
        for attribute in mvo_type.attributes.values():
            at: NodePath = ("metaverse", key, "attributes", attribute.name)
            _check_reference(checker, at, attribute, set(metaverse), ("metaverse",))
            if attribute.multi_value_policy is MultiValuePolicy.UNION and not attribute.multi_valued:
                checker.fault((*at, "multi-value-policy"), "a union needs multi-valued: true")
        _check_deletion(checker, mvo_type)


def _check_deletion(checker: Checker, mvo_type: MetaverseType) -> None:
    policy, here = mvo_type.deletion, ("metaverse", mvo_type.key, "deletion")
    authoritative = policy.rule is DeletionRule.WHEN_AUTHORITATIVE_SOURCE_DISCONNECTED
    if authoritative and not policy.systems:
        checker.fault((*here, "rule"), "this rule needs 'systems': with no authoritative system it could never fire")
    if policy.systems and not authoritative:
        checker.fault((*here, "systems"), f"the rule {policy.rule.replace('_', '-')} does not look at 'systems'")
    for role, names in (("systems", policy.systems), ("ignored-systems", policy.ignored_systems)):
        for n, name in enumerate(names):
            checker.named(checker.configuration.systems, ("systems",), name, (*here, role, n), "the system")
    if policy.condition is not None:
        check_condition(checker, mvo_type, policy.condition, (*here, "condition"))


def check_unique_values(checker: Checker) -> None:
    for key, unique in checker.configuration.unique_values.items():
        here: NodePath = ("unique-values", key)
        _check_unique_source(checker, unique.metaverse, (*here, "metaverse"))
        for n, target in enumerate(unique.targets):
            _check_unique_target(checker, target, (*here, "targets", n))


def _check_unique_source(checker: Checker, name: str, at: NodePath) -> None:
    type_name, dot, attribute_name = name.partition(".")
    if not dot:
        checker.fault(at, f"{name!r} is not of the form TYPE.ATTRIBUTE")
        return
    mvo_type = checker.named(checker.configuration.metaverse, ("metaverse",), type_name, at, "the metaverse type")
    if mvo_type is None:
        return
    attribute = checker.attribute(mvo_type.attributes, ("metaverse", type_name), attribute_name, at)
    if attribute is not None and (attribute.type is not ValueType.TEXT or attribute.multi_valued):
        checker.fault(at, f"{name!r} must be single-valued text to be drawn")


def _check_unique_target(checker: Checker, name: str, at: NodePath) -> None:
    parts = name.split(".", 2)
    if len(parts) != 3:
        checker.fault(at, f"{name!r} is not of the form SYSTEM.OBJECT-TYPE.ATTRIBUTE")
        return
    system = checker.named(checker.configuration.systems, ("systems",), parts[0], at, "the system")
    if system is None:
        return
    owner: NodePath = ("systems", system.key, "object-types")
    object_type = checker.named(system.object_types, owner, parts[1], at, "the object type", f" of {system.key}")
    if object_type is None:
        return
    attribute = checker.attribute(object_type.attributes, (*owner, parts[1]), parts[2], at)
    if attribute is not None and attribute.type is not ValueType.TEXT:
        checker.fault(at, f"{name!r} is of type {attribute.type}; drawn values are text")


def writable(attribute: Attribute) -> bool:
    """Whether any export may ever write it (SYN-75)."""
    return attribute.writability is not Writability.READ_ONLY
