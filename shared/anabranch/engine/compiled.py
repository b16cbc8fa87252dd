"""A configuration made ready to be executed: every name resolved, every expression turned into code, once a revision.

Compiling is the only moment at which names are looked up. What comes out is immutable and shared by all batches of a
run: per object type of a system what its inbound rules do, per metaverse type how its attributes are elected and which
targets it serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any

import msgspec

from anabranch.engine.election import Ranking
from anabranch.engine.expressions import EvalContext
from anabranch.model.configuration import Attribute, Configuration, MetaverseType, ObjectType, Rule, System, UniqueValue
from anabranch.model.configuration import Mapping as MappingRecord
from anabranch.model.fleet import Claimed
from anabranch.model.identity import SystemId, TypeId
from anabranch.model.objects import Document
from anabranch.model.registry import Registry, Revision

Failure = tuple[int, str, str]
"""Index of the mapping that failed, error kind, message."""


class Link(msgspec.Struct, frozen=True):
    """One mapping with its number and target attribute; `draws` names the unique values its expression may draw."""

    id: int
    key: str
    rule: str
    mapping: MappingRecord
    target: Attribute
    is_reference: bool
    draws: tuple[str, ...]
    draws_apart: bool
    """True where the value is what one draw gives, as it is, and the candidates follow from the CSO alone."""


class Condition(msgspec.Struct, frozen=True):
    """One compiled match condition: where the CSO side's value comes from, and what it must equal."""

    attr: str
    ignore_case: bool
    case_sensitive: bool
    value: Callable[[Document, EvalContext], Any]
    source_attr: str | None


class InboundRule(msgspec.Struct, frozen=True):
    """An inbound rule: its match rules as lists of conditions, and which links of its type belong to it."""

    record: Rule
    mvo_type: TypeId
    matches: tuple[tuple[Condition, ...], ...]
    links: tuple[int, ...]
    references: tuple[int, ...]


FlowFunction = Callable[[Document, Document, EvalContext, frozenset[int], list[Any], list[Failure]], None]
"""(cs, mv, context, accepted rules, offers by link index, failures): fills offers with stored values."""


class Stratum(msgspec.Struct, frozen=True, eq=False):
    """The mappings that may be computed together. `plain` names the attributes that one mapping alone can ever feed, as
    (attribute, index of its link, mapping id): there is nothing to elect; `rest` are the others. `links` are the
    indexes of the links that feed an attribute, best-ranked first."""

    function: FlowFunction
    attrs: tuple[str, ...]
    plain: tuple[tuple[str, int, int], ...]
    rest: tuple[str, ...]
    links: Mapping[str, tuple[int, ...]]


class Flow(msgspec.Struct, frozen=True):
    """Inbound flow from one object type to one metaverse type, in strata: a later one reads what earlier ones wrote."""

    strata: tuple[Stratum, ...]
    for_keys: tuple[Stratum, ...]
    """The part of it that look-up keys of the metaverse type depend on."""


class InboundType(msgspec.Struct, frozen=True):
    """Everything inbound about one object type of one system."""

    type_id: TypeId
    system: System
    system_id: SystemId
    record: ObjectType
    rules: tuple[InboundRule, ...]
    links: tuple[Link, ...]
    scope: Callable[[Document, EvalContext], tuple[int, ...]]
    """The indexes of enabled and disabled rules that accept the object; raises ScopeProblem."""
    flows: Mapping[TypeId, Flow]
    reads_refs: frozenset[str]
    """The reference attributes of which some expression reads the raw identifiers, which live outside the document."""
    enabled: frozenset[int]
    """The indexes of the enabled rules."""
    refers: bool
    """Whether some rule maps a reference."""


class OutboundRule(msgspec.Struct, frozen=True):
    """An outbound rule of one target, and which links of its target belong to it."""

    record: Rule
    links: tuple[int, ...]


OutboundFunction = Callable[[Document, Document, EvalContext, frozenset[int], list[Any], list[Failure]], None]


class Target(msgspec.Struct, frozen=True):
    """What one metaverse type sends to one object type of one target system."""

    type_id: TypeId
    system: System
    system_id: SystemId
    record: ObjectType
    rules: tuple[OutboundRule, ...]
    links: tuple[Link, ...]
    scope: Callable[[Document, EvalContext], tuple[int, ...]]
    values: OutboundFunction


class MetaverseSide(msgspec.Struct, frozen=True):
    """Everything about one metaverse type: elections, look-up keys, targets, how it is deleted."""

    type_id: TypeId
    record: MetaverseType
    rankings: Mapping[str, Ranking]
    key_attrs: frozenset[str]
    sensitive: frozenset[str]
    """Attributes of which history keeps only that they changed (AUD-13)."""
    targets: tuple[Target, ...]
    provisioned_types: frozenset[TypeId]
    condition: Callable[[Document, EvalContext], Any] | None


class Compiled(msgspec.Struct, frozen=True):
    """One revision, ready to be executed."""

    revision: Revision
    inbound: Mapping[TypeId, InboundType]
    metaverse: Mapping[TypeId, MetaverseSide]
    object_types: Mapping[TypeId, tuple[System, ObjectType]]
    system_ids: Mapping[SystemId, System]
    cso_key_attrs: Mapping[TypeId, frozenset[str]]
    """Attributes of connector spaces whose values are kept as look-up keys: targets of unique values."""
    referable: frozenset[TypeId]
    """Object types that a reference attribute of their system may point to."""
    unique_values: Mapping[str, UniqueValue]
    unique_targets: Mapping[str, tuple[tuple[TypeId, str], ...]]
    draws_apart: frozenset[SystemId]
    """Systems whose rules draw in such a way that only candidates decide who may get in whose way."""
    watched: Mapping[TypeId, frozenset[str]]
    """Attributes of metaverse types in which some unique value must be unique."""
    mapping_keys: Mapping[int, str]
    zones: Mapping[str, tzinfo]

    @property
    def configuration(self) -> Configuration:
        return self.revision.configuration

    @property
    def registry(self) -> Registry:
        return self.revision.registry

    def system_of(self, claimed: Claimed) -> System:
        """The connected system a batch belongs to. Raises KeyError for a batch of a run without one."""
        if claimed.system is None:
            raise KeyError(f"batch {claimed.batch} ({claimed.step}) belongs to no connected system")
        return self.system_ids[claimed.system]

    def reference_target(self, type_id: TypeId, attr: str) -> ObjectType:
        """The object type whose identifiers a reference attribute holds: the first it may point to."""
        system, record = self.object_types[type_id]
        return system.object_types[record.attributes[attr].to[0]]

    def types_of(self, system: SystemId) -> list[TypeId]:
        """The selected object types of a system."""
        return [
            type_id
            for type_id, (owner, record) in self.object_types.items()
            if self.registry.systems[owner.key] == system and record.selected
        ]
