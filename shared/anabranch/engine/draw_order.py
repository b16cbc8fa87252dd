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

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

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


class Part(msgspec.Struct, frozen=True):
    """Objects that one batch settles, by their places in canonical order; `follows`: the batch goes on with what the
    one before began."""

    places: list[int]
    follows: bool


def in_parts(count: int, pairs: array[int], size: int) -> list[Part]:
    """Objects 0 to `count` - 1 cut into parts of at most `size`. `pairs` is an object followed by a contest of its,
    again and again; objects that contests link are together in one part, or in parts that follow one another."""
    roots = _roots(count, pairs)
    order = np.argsort(roots, kind="stable")
    _, sizes = np.unique(roots, return_counts=True)
    parts: list[Part] = []
    begun: list[int] = []
    end = 0
    for many in sizes.tolist():
        group = order[end : end + many].tolist()
        end += many
        if begun and len(begun) + many > size:
            parts.append(Part(sorted(begun), follows=False))
            begun = []
        if many <= size:
            begun.extend(group)
        else:
            parts.extend(Part(group[at : at + size], follows=at > 0) for at in range(0, many, size))
    if begun:
        parts.append(Part(sorted(begun), follows=False))
    return parts


def _roots(count: int, pairs: array[int]) -> npt.NDArray[np.int64]:
    """For each object the first of those that it is linked with."""
    table = np.frombuffer(pairs, dtype=np.int64).reshape(-1, 2) if len(pairs) else np.empty((0, 2), dtype=np.int64)
    if np.any(table[:, 1] == EVERYBODY):
        return np.zeros(count, dtype=np.int64)
    table = table[np.lexsort((table[:, 0], table[:, 1]))]
    parents = array("q", range(count))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = place = parents[parents[place]]
        return place

    shared = np.flatnonzero(table[1:, 1] == table[:-1, 1])
    for one, other in zip(table[shared, 0].tolist(), table[shared + 1, 0].tolist(), strict=True):
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    return np.array([root(place) for place in range(count)], dtype=np.int64)
