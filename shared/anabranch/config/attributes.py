"""Typed attributes and mass-change limits, as systems and metaverse types both declare them.

An attribute of a system says how a connector's value is read and whether it may be written; one of the metaverse says
how several contributors share it. Each side has only the keys that do something there.
"""

from __future__ import annotations

from typing import Any

from anabranch.config.record_shape import Field, Record
from anabranch.config.shape import ByChoice, Choice, Flag, ListOf, MapOf, Name, Percentage, Reading, Whole
from anabranch.config.yaml12 import MappingNode, Node
from anabranch.model.configuration import Attribute, GuardLimit
from anabranch.model.enums import GuardPoint, MultiValuePolicy, ValueType, Writability

_SHARED = (
    Field("type", Choice(ValueType), "the type of its values"),
    Field("multi-valued", Flag(), "whether it holds a set of values"),
    Field("case-sensitive", Flag(), "false: text compares by folded key"),
    Field("sensitive", Flag(), "whether its values are hidden from people"),
    Field("to", ListOf(Name()), "of a reference: the object types it may point to"),
)

METAVERSE_ATTRIBUTES = MapOf(
    Record(
        Attribute,
        (
            *_SHARED,
            Field("multi-value-policy", Choice(MultiValuePolicy), "what several contributors of a set lead to"),
        ),
        named="name",
    ),
    free_names=True,
)

SYSTEM_ATTRIBUTES = MapOf(
    Record(
        Attribute,
        (
            *_SHARED,
            Field("writability", Choice(Writability), "when exports may write it"),
            Field("selected", Flag(), "false: it is neither read nor written"),
            Field("keep-empty-text", Flag(), "whether the empty text is a value of its own"),
        ),
        named="name",
    ),
    free_names=True,
)

_LIMITS = (
    Field("enabled", Flag(), "whether the guard is on"),
    Field("max-count", Whole(optional=True), "the most operations a run may carry out"),
    Field("max-percent", Percentage(), "the most operations, as a share of the population"),
    Field("percent-floor", Whole(), "fewer operations than this never trip by their share"),
    Field("allow-empty", Flag(), "whether nothing may be left of a population"),
    Field("creates", Flag(), "of export-writes: judge creates too"),
)


class _Limit(Record):
    """A limit that knows the guard point it stands under: only one of them judges creates."""

    def read_named(self, name: str, node: Node, reading: Reading) -> Any:
        if name != GuardPoint.EXPORT_WRITES and isinstance(node, MappingNode) and "creates" in node.entries:
            reading.faults.append(node.entries["creates"].where.fault("only the guard export-writes judges creates"))
        return super().read_named(name, node, reading)


SYSTEM_GUARDS = ByChoice(
    [point for point in GuardPoint if point is not GuardPoint.METAVERSE_DELETIONS],
    _Limit(GuardLimit, _LIMITS),
)
METAVERSE_GUARDS = ByChoice([GuardPoint.METAVERSE_DELETIONS], _Limit(GuardLimit, _LIMITS))
