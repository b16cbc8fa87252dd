"""Expressions of a configuration: is each readable, and does it read only what exists where it runs?

What an expression sees depends on where it stands (MOD-38): a mapping sees both sides, a scope the side its rule reads
from, a match condition the system's object, a deletion condition the metaverse object alone.
"""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping

import msgspec

from anabranch.config.checker import Checker
from anabranch.config.declaration import NodePath
from anabranch.config.expression_reads import reads_of
from anabranch.model.configuration import Attribute, Mapping, MetaverseType, ObjectType, Rule
from anabranch.model.enums import Direction


class Side(msgspec.Struct, frozen=True):
    """A rule with the two types it links: what its expressions can see."""

    rule: Rule
    object_type: ObjectType
    metaverse_type: MetaverseType

    @property
    def cs_path(self) -> NodePath:
        return ("systems", self.rule.system, "object-types", self.rule.object_type)


def check_mapping(checker: Checker, side: Side, mapping: Mapping, target: Attribute | None, at: NodePath) -> None:
    """Notes what is wrong with the expression of a mapping."""
    _check(checker, mapping.source.expression or "", side.object_type, side.metaverse_type, side, at)


def check_match(checker: Checker, side: Side, source: str, key: Attribute | None, at: NodePath) -> None:
    """Notes what is wrong with the expression of a match condition, which sees the system's object."""
    _check(checker, source, side.object_type, None, side, at)


def check_scope_expression(checker: Checker, side: Side, source: str, at: NodePath) -> None:
    """Notes what is wrong with a boolean expression used as a scope."""
    inbound = side.rule.direction is Direction.INBOUND
    _check(checker, source, side.object_type if inbound else None, None if inbound else side.metaverse_type, side, at)


def check_condition(checker: Checker, metaverse_type: MetaverseType, source: str, at: NodePath) -> None:
    """Notes what is wrong with a deletion condition, which sees the metaverse object."""
    _check(checker, source, None, metaverse_type, None, at)


def _check(
    checker: Checker,
    source: str,
    object_type: ObjectType | None,
    metaverse_type: MetaverseType | None,
    side: Side | None,
    at: NodePath,
) -> None:
    reads = reads_of(source)
    if not reads.readable:
        checker.fault(at, "the expression cannot be read")
    if side is not None:
        held = object_type.attributes if object_type is not None else None
        _check_names(checker, "cs", reads.cs, held, side.cs_path, at)
    mv_path: NodePath = ("metaverse", metaverse_type.key) if metaverse_type is not None else ()
    _check_names(checker, "mv", reads.mv, metaverse_type.attributes if metaverse_type else None, mv_path, at)


def _check_names(
    checker: Checker,
    accessor: str,
    names: frozenset[str],
    held: AnyMapping[str, Attribute] | None,
    owner: NodePath,
    at: NodePath,
) -> None:
    for name in sorted(names):
        if held is None:
            checker.fault(at, f'{accessor}["{name}"] cannot be seen here')
        else:
            checker.attribute(dict(held), owner, name, at)
