"""Which draws of unique values may be settled side by side.

Two objects can only get in each other's way where they share a candidate. Each candidate belongs to a family: its
folded text without a number at its end or before its last `@`. All candidates that `numbered` makes of one base are of
one family, however many there are, and equal candidates always are, so objects without a common family have no common
candidate. Objects that are linked by common families, directly or through others, are settled in canonical order among
themselves; between them and all others no order is needed.

That holds where nothing but candidates passes between objects. What an object writes into an attribute that a unique
value watches is such a passage too: it takes a value away from others, or gives one back. Rules draw apart, in the
words of this module, where each draw is a mapping of its own, and each watched attribute that they feed is fed by such
a mapping alone. Then an object writes there only what it has drawn, and takes away only what stood there before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from anabranch.engine.compiled import InboundType, MetaverseSide
from anabranch.engine.expressions import CheckedExpression
from anabranch.engine.expressions.functions_identity import Candidates
from anabranch.engine.keys import key_hash
from anabranch.engine.values import fold
from anabranch.model.configuration import Attribute, UniqueValue
from anabranch.model.configuration import Mapping as MappingRecord
from anabranch.model.enums import ValueType
from anabranch.model.identity import SystemId, TypeId
from anabranch.model.registry import Registry

EVERYBODY: Final = 0
"""The contest of an object that may get in anybody's way: one such object, and all are linked."""


def is_apart(checked: CheckedExpression | None, mapping: MappingRecord, target: Attribute) -> bool:
    """Whether the mapping's value is what one draw gives, as it is, and the candidates follow from the CSO alone."""
    plain = checked is not None and checked.is_plain_draw and not mapping.text_cleanup
    return plain and target.type is ValueType.TEXT


def watched_attributes(unique_values: Iterable[UniqueValue], registry: Registry) -> dict[TypeId, frozenset[str]]:
    """The attributes in which unique values must be unique, by metaverse type."""
    found: dict[TypeId, set[str]] = {}
    for one in unique_values:
        key, _, attr = one.metaverse.partition(".")
        found.setdefault(registry.metaverse_types[key], set()).add(attr)
    return {type_id: frozenset(attrs) for type_id, attrs in found.items()}


def systems_drawing_apart(
    inbound: Iterable[InboundType], sides: Mapping[TypeId, MetaverseSide], watched: Mapping[TypeId, frozenset[str]]
) -> frozenset[SystemId]:
    """The systems whose rules draw apart."""
    drawing: set[SystemId] = set()
    entangled: set[SystemId] = set()
    for one in inbound:
        for rule in one.rules:
            for index in rule.links:
                link, side = one.links[index], sides[rule.mvo_type]
                if link.draws:
                    drawing.add(one.system_id)
                feeds = link.target.name in watched.get(rule.mvo_type, ())
                alone = link.draws_apart and not side.rankings[link.target.name].is_contested
                if (link.draws and not link.draws_apart) or (feeds and not alone):
                    entangled.add(one.system_id)
    return frozenset(drawing - entangled)


def family(candidate: str) -> str:
    """What all candidates have in common that differ in a number at the end, or before the last `@`, or in case."""
    name, at, domain = fold(candidate).rpartition("@")
    return f"{name.rstrip(_NUMBER)}{at}{domain}" if at else domain.rstrip(_NUMBER)


_NUMBER: Final = "-0123456789"


def contests(offers: Iterable[Sequence[str]], standing: Iterable[str]) -> list[int]:
    """The numbers of the families of everything that is offered to an object, and of what it holds; ascending."""
    families = {family(one) for one in standing}
    for offered in offers:
        families.update(family(one) for one in (offered[:1] if type(offered) is Candidates else offered))
    return sorted(int.from_bytes(key_hash(one), "big", signed=True) for one in families)
