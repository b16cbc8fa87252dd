"""A small site built from records: systems, rules and one compiled revision of them.

Numbers are given out in the order of declaration: systems and object types from 1, metaverse types from 101, mappings
from 1, so that a test can name what it expects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from tests.builders import NOW, RUN, a_cso, an_attribute, an_mvo

from anabranch.engine.compilation import compile_revision, zone_names
from anabranch.engine.compiled import Compiled, InboundType, MetaverseSide, Target
from anabranch.engine.expressions import EvalContext
from anabranch.engine.flow import Evaluation, evaluate
from anabranch.model.configuration import (
    Attribute,
    Configuration,
    MatchCondition,
    MatchRule,
    MetaverseType,
    ObjectType,
    Rule,
    Source,
    System,
)
from anabranch.model.configuration import Mapping as MappingRecord
from anabranch.model.enums import Direction, ValueType
from anabranch.model.identity import RunId, SystemId, TypeId
from anabranch.model.objects import Cso, Mvo
from anabranch.model.registry import Registry, Revision

PERSON = TypeId(101)
"""The number of the first metaverse type."""
HR, SECOND = TypeId(1), TypeId(2)
"""The numbers of the first object types."""


def attributes(*names: str, **typed: ValueType | Mapping[str, Any]) -> dict[str, Attribute]:
    """Attributes by name: text ones, and others by type or by their fields."""
    found = {name: an_attribute(name) for name in names}
    for name, given in typed.items():
        fields: Mapping[str, Any] = {"type": given} if isinstance(given, ValueType) else given
        found[name] = an_attribute(name, **fields)
    return found


def a_mapping(to: str, source: str | None = None, *, expression: str | None = None, **fields: Any) -> MappingRecord:
    """A mapping to `to`, by default from the attribute of the same name."""
    if "constant" in fields:
        origin = Source(constant=fields.pop("constant"))
    elif expression is not None:
        origin = Source(expression=expression)
    else:
        origin = Source(attribute=source or to)
    named: dict[str, Any] = {"key": to, "to": to, "source": origin}
    return MappingRecord(**(named | fields))


def a_rule(system: str, *mappings: MappingRecord, **fields: Any) -> Rule:
    """A rule between the system's type `person` and the metaverse type `person`, inbound unless told otherwise."""
    defaults: dict[str, Any] = {
        "key": f"{system}-rule",
        "direction": Direction.INBOUND,
        "system": system,
        "object_type": "person",
        "metaverse_type": "person",
        "mappings": {one.key: one for one in mappings},
    }
    return Rule(**(defaults | fields))


def a_match(*pairs: tuple[str, str], **fields: Any) -> MatchRule:
    """One match rule whose conditions compare CSO attributes with MVO attributes."""
    return MatchRule(
        conditions=tuple(
            MatchCondition(source=Source(attribute=source), equals=equals, **fields) for source, equals in pairs
        )
    )


def an_object_type(known: Mapping[str, Attribute], **fields: Any) -> ObjectType:
    return ObjectType(**({"key": "person", "anchor": "id", "attributes": attributes("id") | dict(known)} | fields))


def a_system(key: str, *types: ObjectType, **fields: Any) -> System:
    return System(**({"key": key, "connector": "csv", "object_types": {one.key: one for one in types}} | fields))


def a_configuration(
    metaverse: Mapping[str, Attribute], systems: Iterable[System], rules: Iterable[Rule], **fields: Any
) -> Configuration:
    """One metaverse type `person`; `deletion` is its policy."""
    person = MetaverseType(
        key="person",
        attributes=dict(metaverse),
        **({"deletion": fields.pop("deletion")} if "deletion" in fields else {}),
    )
    return Configuration(
        metaverse={"person": person},
        systems={one.key: one for one in systems},
        rules={one.key: one for one in rules},
        **fields,
    )


def a_revision(configuration: Configuration) -> Revision:
    """Revision 1, everything numbered in order."""
    pairs = [(system.key, one) for system in configuration.systems.values() for one in system.object_types]
    mappings = [f"{rule.key}/{one}" for rule in configuration.rules.values() for one in rule.mappings]
    registry = Registry(
        systems={key: SystemId(n) for n, key in enumerate(configuration.systems, 1)},
        object_types={pair: TypeId(n) for n, pair in enumerate(pairs, 1)},
        metaverse_types={key: TypeId(n) for n, key in enumerate(configuration.metaverse, 101)},
        mappings={key: n for n, key in enumerate(mappings, 1)},
    )
    return Revision(1, configuration, registry, {}, {})


def compiled(configuration: Configuration) -> Compiled:
    """The configuration, ready to be executed."""
    return compile_revision(a_revision(configuration), {name: ZoneInfo(name) for name in zone_names(configuration)})


def a_context(**fields: Any) -> EvalContext:
    return EvalContext(**({"now": NOW} | fields))


class Site:
    """A compiled configuration and the short ways to its parts."""

    def __init__(self, configuration: Configuration) -> None:
        self.compiled = compiled(configuration)

    def inbound(self, type_id: TypeId = HR) -> InboundType:
        return self.compiled.inbound[type_id]

    @property
    def side(self) -> MetaverseSide:
        return self.compiled.metaverse[PERSON]

    @property
    def target(self) -> Target:
        return self.side.targets[0]

    def flow(
        self, cso: Cso, mvo: Mvo | None = None, others: Sequence[Cso] = (), *, run: int = RUN, **context: Any
    ) -> Evaluation:
        """One evaluation of `cso` against `mvo`, in the scope its own document gives it."""
        inbound, seen = self.inbound(cso.type_id), a_context(**context)
        accepted = inbound.scope(cso.doc, seen)
        person = mvo or an_mvo(type_id=PERSON)
        return evaluate(inbound, self.side, cso, cso.doc, person, others, accepted, seen, RunId(run))


def one_source(
    metaverse: Mapping[str, Attribute], source: Mapping[str, Attribute], *mappings: MappingRecord, **rule: Any
) -> Site:
    """One system `hr` that feeds one metaverse type."""
    return Site(a_configuration(metaverse, [a_system("hr", an_object_type(source))], [a_rule("hr", *mappings, **rule)]))


def a_record(type_id: int = HR, **doc: Any) -> Cso:
    """A CSO of that object type with this document."""
    return a_cso(int(type_id), type_id=TypeId(type_id), system_id=SystemId(type_id), doc={"id": f"a{type_id}"} | doc)
