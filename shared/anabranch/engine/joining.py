"""How a CSO finds its MVO, or becomes the origin of one.

Match rules run in the order of their rules, only those in whose scope the object is, and the first with at least one
candidate decides alone (SYN-24). Several candidates are an error that a person resolves, a taken slot likewise; neither
ever leads to a projection instead (SYN-33). Contests between objects of one run are settled over the complete set in
canonical order, so the winner is the same whichever worker comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from anabranch.engine.compiled import InboundType, MetaverseSide
from anabranch.engine.expressions import EvalContext
from anabranch.engine.keys import key_hash, keys_of
from anabranch.engine.values import fold
from anabranch.model.enums import MultiValuePolicy
from anabranch.model.identity import MvoId, TypeId
from anabranch.model.objects import Document, KeyHit


class Lookup(msgspec.Struct, frozen=True):
    """One condition's look-up: the keys wanted of one MVO attribute; `exact` compares them under case."""

    attr: str
    keys: tuple[str, ...]
    exact: bool


class Search(msgspec.Struct, frozen=True):
    """One match rule applied to one object: every look-up must hit the same MVO."""

    rule: str
    mvo_type: TypeId
    lookups: tuple[Lookup, ...]


Hits = Mapping[tuple[TypeId, str, bytes], Sequence[KeyHit]]
"""(metaverse type, attribute, key hash) to the MVOs that hold such a key."""


def searches(inbound: InboundType, cs: Document, accepted: Sequence[int], context: EvalContext) -> list[Search]:
    """The look-ups of every match rule of the enabled rules in scope, in order; a blank key ends its rule (SYN-26).

    Raises what the conditions' expressions raise.
    """
    result: list[Search] = []
    for index in accepted:
        rule = inbound.rules[index]
        if not rule.record.enabled:
            continue
        for conditions in rule.matches:
            lookups: list[Lookup] = []
            for condition in conditions:
                keys = keys_of(condition.value(cs, context))
                if not keys:
                    break
                lookups.append(
                    Lookup(condition.attr, tuple(keys), condition.case_sensitive and not condition.ignore_case)
                )
            else:
                result.append(Search(rule.record.key, rule.mvo_type, tuple(lookups)))
    return result


def projection_rule(inbound: InboundType, accepted: Sequence[int]) -> int | None:
    """The first enabled rule in order that accepts the object and projects (SYN-33)."""
    for index in accepted:
        record = inbound.rules[index].record
        if record.enabled and record.project:
            return index
    return None


def would_be_keys(
    inbound: InboundType, side: MetaverseSide, cs: Document, accepted: Sequence[int], context: EvalContext
) -> dict[str, tuple[str, ...]]:
    """The look-up keys the object's own mappings would give a new MVO; drawn and failing ones count as missing."""
    flow = inbound.flows.get(side.type_id)
    if flow is None or not side.key_attrs:
        return {}
    live = frozenset(index for index in accepted if inbound.rules[index].record.enabled)
    offers: list[Any] = [msgspec.UNSET] * len(inbound.links)
    doc: Document = {}
    for stratum in flow.for_keys:
        stratum.function(cs, doc, context, live, offers, [])
        for attr, links in stratum.links.items():
            given = [offers[one] for one in links if offers[one] is not msgspec.UNSET]
            attribute = side.record.attributes[attr]
            if attribute.multi_valued and attribute.multi_value_policy is MultiValuePolicy.UNION:
                value = _united(given)
            else:
                value = given[0] if given else None
            if value is not None:
                doc[attr] = value
    keys = {attr: tuple(keys_of(doc.get(attr))) for attr in sorted(side.key_attrs)}
    return {attr: found for attr, found in keys.items() if found}


def _united(given: Iterable[Any]) -> list[Any] | None:
    """The values of all, each once."""
    values = [one for some in given if some is not None for one in (some if isinstance(some, list) else [some])]
    return list({(type(one), one): one for one in values}.values()) or None


def wanted_hashes(all_searches: Sequence[Search]) -> dict[tuple[TypeId, str], set[bytes]]:
    """Every key hash the searches ask for, by metaverse type and attribute."""
    wanted: dict[tuple[TypeId, str], set[bytes]] = {}
    for search in all_searches:
        for lookup in search.lookups:
            hashes = wanted.setdefault((search.mvo_type, lookup.attr), set())
            hashes.update(key_hash(key) for key in lookup.keys)
    return wanted


def candidates(search: Search, hits: Hits) -> set[MvoId]:
    """The MVOs for which every look-up of the search holds, with the real keys compared (SYN-25, SYN-27)."""
    found: set[MvoId] | None = None
    for lookup in search.lookups:
        here: set[MvoId] = set()
        for key in lookup.keys:
            for hit in hits.get((search.mvo_type, lookup.attr, key_hash(key)), ()):
                if hit.key == key or (not lookup.exact and fold(hit.key) == fold(key)):
                    here.add(MvoId(hit.object_id))
        found = here if found is None else found & here
        if not found:
            return set()
    return found or set()


class Partner(msgspec.Struct, frozen=True):
    """The verdict of an object's searches: the deciding rule and its candidates in id order; none without a rule."""

    rule: str | None
    candidates: tuple[MvoId, ...]


def find_partner(all_searches: Sequence[Search], find: Callable[[Search], set[MvoId]]) -> Partner:
    """The first search with at least one candidate decides alone (SYN-24)."""
    for search in all_searches:
        if found := find(search):
            return Partner(search.rule, tuple(sorted(found)))
    return Partner(None, ())
