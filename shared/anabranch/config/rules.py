"""Sync rules and unique values as a file spells them.

A rule links one object type of one system to one metaverse type in one direction (MOD-25, MOD-26). A key that does
something in the other direction only is refused rather than ignored, because a person who wrote it expects it to act.
"""

from __future__ import annotations

from typing import Any

from anabranch.config.record_shape import Field, Given, Record
from anabranch.config.scopes import MATCH_SOURCE, SOURCE, ScopeShape
from anabranch.config.shape import Choice, Duration, Flag, ListOf, MapOf, Name, Reading, Text, Whole
from anabranch.config.yaml12 import MappingNode
from anabranch.model.configuration import Mapping, MatchCondition, MatchRule, Rule, UniqueValue
from anabranch.model.enums import (
    DeprovisionAction,
    Direction,
    OnError,
    OnNull,
    OutOfScopeAction,
    TextCleanup,
    WhenMissing,
)

INBOUND_ONLY = ("match", "project", "out-of-scope-action")
OUTBOUND_ONLY = ("provision", "deprovision-action")
OUTBOUND_MAPPING_ONLY = ("on-null", "initial-only")

SCOPE = ScopeShape()

_MAPPING = Record(
    Mapping,
    (
        Field("to", Name(), "the attribute it computes"),
        Field("from", SOURCE, "where the value comes from", into="source"),
        Field("enabled", Flag(), "false: it has no opinion"),
        Field("priority", Whole(optional=True), "its rank among contributors, lowest first; unranked ones come last"),
        Field("null-is-value", Flag(), "whether no value blocks the lower ranks"),
        Field("when-missing", Choice(WhenMissing), "what a missing input leads to"),
        Field("on-error", Choice(OnError), "what a failure leads to"),
        Field("on-null", Choice(OnNull), "outbound: whether no value clears the target"),
        Field("text-cleanup", ListOf(Choice(TextCleanup)), "what is done to text before it counts"),
        Field("initial-only", Flag(), "outbound: written by a create only"),
    ),
    named="key",
)

_CONDITION = Record(
    MatchCondition,
    (
        Field("from", MATCH_SOURCE, "the value of the system's object", into="source"),
        Field("equals", Name(), "the metaverse attribute it must equal"),
        Field("ignore-case", Flag(), "whether text compares by folded key"),
    ),
)
_MATCH = Record(MatchRule, (Field("conditions", ListOf(_CONDITION, least=1), "conditions that must all hold"),))


def _keep_to_its_direction(given: Given, reading: Reading) -> None:
    direction = given.values.get("direction")
    if direction is None:
        return
    foreign = OUTBOUND_ONLY if direction is Direction.INBOUND else INBOUND_ONLY
    for key in foreign:
        if key in given.entries:
            reading.faults.append(given.entries[key].where.fault(f"{key!r} does nothing in an {direction} rule"))
    if direction is Direction.OUTBOUND:
        usual = DeprovisionAction.DISCONNECT if given.values.get("provision") else DeprovisionAction.KEEP
        given.values.setdefault("deprovision_action", usual)
        return
    mappings = given.entries["mappings"].node if "mappings" in given.entries else None
    for entry in mappings.entries.values() if isinstance(mappings, MappingNode) else ():
        for key in OUTBOUND_MAPPING_ONLY:
            if isinstance(entry.node, MappingNode) and key in entry.node.entries:
                where = entry.node.entries[key].where
                reading.faults.append(where.fault(f"{key!r} does nothing in an inbound rule"))


class _Rule(Record):
    def write(self, value: Any) -> Any:
        written = super().write(value)
        for key in OUTBOUND_ONLY if value.direction is Direction.INBOUND else INBOUND_ONLY:
            written.pop(key, None)
        if value.direction is Direction.OUTBOUND:
            written["deprovision-action"] = value.deprovision_action.value
        return written


RULES = MapOf(
    _Rule(
        Rule,
        (
            Field("direction", Choice(Direction), "inbound (system to metaverse) or outbound"),
            Field("system", Name(), "the system it links"),
            Field("object-type", Name(), "the object type of that system"),
            Field("metaverse-type", Name(), "the metaverse type"),
            Field("order", Whole(), "its place among the rules, lowest first"),
            Field("enabled", Flag(), "false: its scope accepts, nothing flows"),
            Field("time-zone", Text(), "where days begin and end"),
            Field("scope", SCOPE, "which objects it applies to; all without one"),
            Field("match", ListOf(_MATCH, distinct=False), "inbound: how partners are found, in order"),
            Field("project", Flag(), "inbound: whether an object without a partner makes a metaverse object"),
            Field("out-of-scope-action", Choice(OutOfScopeAction), "inbound: what leaving the scope leads to"),
            Field("provision", Flag(), "outbound: whether a missing target object is created"),
            Field("deprovision-action", Choice(DeprovisionAction), "outbound: what becomes of the target object"),
            Field("mappings", MapOf(_MAPPING), "what flows"),
        ),
        named="key",
        review=_keep_to_its_direction,
    )
)

UNIQUE_VALUES = MapOf(
    Record(
        UniqueValue,
        (
            Field("metaverse", Name(), "the metaverse attribute, as TYPE.ATTRIBUTE"),
            Field("targets", ListOf(Name()), "attributes of targets, as SYSTEM.OBJECT-TYPE.ATTRIBUTE"),
            Field("max-candidates", Whole(1, 10_000), "how many candidates are tried"),
            Field("reuse-after", Duration(), "how long a value rests after its object was deleted"),
        ),
        named="key",
    )
)
