"""One CSO's evaluation: which values its mappings give, and what its MVO becomes.

An evaluation is a unit (SYN-36): it either commits completely or leaves the object untouched. Only the CSO's own
mappings are computed; what other CSOs contribute is read from their stored contributions, so order does not matter
(MOD-47). Mappings run in strata, a later one reading the values earlier ones led to (MOD-39). A mapping that wants a
unique value which has not been drawn yet stops the evaluation at its stratum: the rest is owed to the `reserve` step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec

from anabranch.engine.compiled import Failure, InboundType, MetaverseSide, Stratum
from anabranch.engine.election import ABSENT, Ranking, apply_elections
from anabranch.engine.expressions import EvalContext
from anabranch.engine.flow_values import MISSING_INPUT
from anabranch.model.enums import MultiValuePolicy, OnError, WhenMissing
from anabranch.model.identity import RunId
from anabranch.model.objects import Contributions, Cso, Document, Mvo, Provenance

KEEP = msgspec.UNSET
"""A mapping that could not answer keeps its earlier contribution."""
NEEDS_DRAW = "needs_draw"
"""The failure kind of a mapping whose unique value has not been drawn yet; never an item."""


ValueChange = tuple[str, Any, Any, int | None]
"""(attribute, old value, new value, mapping that won)."""


class Evaluation(msgspec.Struct, frozen=True):
    """The outcome of one CSO's flow. `untouched` means that nothing but the errors may be written."""

    doc: Document
    provenance: Provenance
    contributions: Contributions | None
    values: tuple[ValueChange, ...]
    failures: tuple[Failure, ...]
    untouched: bool
    owes_draw: bool


def evaluate(
    inbound: InboundType,
    side: MetaverseSide,
    cso: Cso,
    cs: Document,
    mvo: Mvo,
    others: Sequence[Cso],
    accepted: Sequence[int],
    context: EvalContext,
    run: RunId,
) -> Evaluation:
    """Evaluate `cso` against `mvo`. `cs` is its document, with raw references where expressions read them; `others` are
    the other CSOs joined to the MVO; `accepted` the indexes of the rules in whose scope it is."""
    flow = inbound.flows.get(mvo.type_id)
    doc, provenance = mvo.doc, mvo.provenance
    own: Contributions = {}
    values: list[ValueChange] = []
    failures: list[Failure] = []
    live = inbound.enabled.intersection(accepted)
    owes_draw = False
    if flow is not None:
        offers: list[Any] = [ABSENT] * len(inbound.links)
        for stratum in flow.strata:
            before = len(failures)
            stratum.function(cs, doc, context, live, offers, failures)
            new_failures = failures[before:]
            attrs: Sequence[str] = stratum.attrs
            if new_failures:
                owes_draw = any(kind == NEEDS_DRAW for _, kind, _ in new_failures)
                if _fails_object(inbound, new_failures):
                    return Evaluation(mvo.doc, mvo.provenance, cso.contributions, (), tuple(failures), True, False)
                if owes_draw:
                    break
                taken: list[ValueChange] = []
            else:
                attrs, doc, provenance, taken = _take_plain(stratum, offers, doc, provenance, run)
            if not attrs:
                values.extend(taken)
                continue
            keeping = {index for index, _, _ in new_failures}
            by_attr = _offers_by_attr(inbound, side, attrs, offers, keeping, cso, doc, provenance)
            own.update(_contested(side, by_attr))
            rankings = [(attr, side.rankings[attr]) for attr in attrs]
            merged = {
                attr: {**_others_offer(others, side.rankings[attr], attr), **by_attr.get(attr, {})} for attr in attrs
            }
            doc, provenance, changed = apply_elections(rankings, merged, doc, provenance, run)
            values.extend(sorted((*taken, *changed), key=itemgetter(0)) if taken else changed)
    if owes_draw:
        own = {**(cso.contributions or {}), **own}
    # An evaluation that is to be made again tells its failures then, so that each is told once.
    problems = () if owes_draw else tuple(failures)
    return Evaluation(doc, provenance, own or None, tuple(values), problems, False, owes_draw)


def _take_plain(
    stratum: Stratum,
    offers: Sequence[Any],
    doc: Document,
    provenance: Provenance,
    run: RunId,
) -> tuple[list[str], Document, Provenance, list[ValueChange]]:
    """Values of attributes that one mapping alone can feed are taken as they are, where they are new or already there.

    Returns the attributes that an election has to look at after all, the document and provenance so far, and the value
    changes.
    """
    plain = stratum.plain
    left = list(stratum.rest)
    if not doc and not provenance:
        values: list[ValueChange] = [
            (attr, None, value, mapping)
            for attr, at, mapping in plain
            if (value := offers[at]) is not None and value is not ABSENT
        ]
        if not values:
            return list(stratum.attrs), doc, provenance, values
        if len(values) < len(plain):
            left.extend(attr for attr, at, _ in plain if offers[at] is None)
        new_doc = {attr: value for attr, _, value, _ in values}
        entries = first_entries(stratum, run)
        if len(values) < len(plain):
            entries = {attr: entries[attr] for attr in new_doc}
        return left, new_doc, entries, values
    return _take_changed(plain, left, offers, doc, provenance, run)


@lru_cache(maxsize=64)
def first_entries(stratum: Stratum, run: RunId) -> Provenance:
    """The provenance of a new object whose values all came; shared by those it is true of, and never changed."""
    return {attr: [mapping, run] for attr, _, mapping in stratum.plain}


def _take_changed(
    plain: Sequence[tuple[str, int, int]],
    left: list[str],
    offers: Sequence[Any],
    doc: Document,
    provenance: Provenance,
    run: RunId,
) -> tuple[list[str], Document, Provenance, list[ValueChange]]:
    values: list[ValueChange] = []
    new_doc, new_provenance = None, None
    for attr, index, mapping in plain:
        value, old, entry = offers[index], doc.get(attr), provenance.get(attr)
        if value is ABSENT and old is None and entry is None:
            continue
        if value is ABSENT or value is None:
            left.append(attr)
        elif old is None:
            if new_doc is None or new_provenance is None:
                new_doc, new_provenance = dict(doc), dict(provenance)
            new_doc[attr], new_provenance[attr] = value, [mapping, run]
            values.append((attr, None, value, mapping))
        elif value != old or entry is None or entry[0] != mapping or len(entry) != 2:
            left.append(attr)
    if new_doc is None or new_provenance is None:
        return left, doc, provenance, values
    return left, new_doc, new_provenance, values


def _fails_object(inbound: InboundType, failures: Sequence[Failure]) -> bool:
    """A missing input is judged by `when_missing` (SYN-38), every other failure by `on_error` (SYN-39)."""
    for index, kind, _ in failures:
        mapping = inbound.links[index].mapping
        if kind == MISSING_INPUT:
            if mapping.when_missing is WhenMissing.FAIL_OBJECT:
                return True
        elif kind != NEEDS_DRAW and mapping.on_error is OnError.FAIL_OBJECT:
            return True
    return False


def _offers_by_attr(
    inbound: InboundType,
    side: MetaverseSide,
    attrs: Sequence[str],
    offers: Sequence[Any],
    keeping: set[int],
    cso: Cso,
    doc: Document,
    provenance: Provenance,
) -> dict[str, dict[int, Any]]:
    """This CSO's contributions to `attrs` as mapping id to value; a failed mapping keeps its earlier one (SYN-39)."""
    result: dict[str, dict[int, Any]] = {}
    wanted = set(attrs)
    for index, link in enumerate(inbound.links):
        attr = link.target.name
        if link.is_reference or attr not in wanted:
            continue
        if index in keeping:
            value = _earlier(side, cso, link.id, attr, doc, provenance)
        else:
            value = offers[index]
        if value is not ABSENT:
            result.setdefault(attr, {})[link.id] = value
    return result


def _earlier(side: MetaverseSide, cso: Cso, mapping: int, attr: str, doc: Document, provenance: Provenance) -> Any:
    if side.rankings[attr].is_contested:
        return (cso.contributions or {}).get(attr, {}).get(str(mapping), ABSENT)
    entry = provenance.get(attr)
    if entry is None or entry[0] != mapping:
        return ABSENT
    return doc.get(attr)


def _contested(side: MetaverseSide, by_attr: Mapping[str, Mapping[int, Any]]) -> Contributions:
    """Only attributes that more than one mapping can feed are stored as contributions (MOD-47)."""
    return {
        attr: {str(mapping): value for mapping, value in sorted(offers.items())}
        for attr, offers in by_attr.items()
        if side.rankings[attr].is_contested
    }


def _others_offer(others: Sequence[Cso], ranking: Ranking, attr: str) -> dict[int, Any]:
    if not ranking.is_contested:
        return {}
    return offers_of(others, attr)


def offers_of(csos: Sequence[Cso], attr: str) -> dict[int, Any]:
    """What the stored contributions of these CSOs offer for one attribute."""
    offers: dict[int, Any] = {}
    for cso in csos:
        for mapping, value in (cso.contributions or {}).get(attr, {}).items():
            offers[int(mapping)] = value
    return offers


def recall(
    side: MetaverseSide,
    mvo: Mvo,
    leaving_mappings: frozenset[int],
    remaining: Sequence[Cso],
    run: RunId,
    *,
    keep: bool,
) -> tuple[Document, Provenance, list[ValueChange]]:
    """Withdraw what a leaving CSO gave and elect anew (SYN-22, SYN-46); with `keep` (grace, SYN-59) a value that nobody
    else gives stays."""
    concerned = [
        (attr, side.rankings[attr])
        for attr, entry in mvo.provenance.items()
        if attr in side.rankings and _gave(side.rankings[attr], entry, leaving_mappings)
    ]
    offers = {attr: offers_of(remaining, attr) for attr, _ in concerned}
    return apply_elections(concerned, offers, mvo.doc, mvo.provenance, run, keep=keep)


def _gave(ranking: Ranking, entry: list[Any], leaving: frozenset[int]) -> bool:
    """Whether the value may stem from one of the leaving mappings: its winner, or any contributor of a union."""
    attribute = ranking.attribute
    if attribute.multi_valued and attribute.multi_value_policy is MultiValuePolicy.UNION:
        return not leaving.isdisjoint(ranking.known) or entry[0] in leaving
    return entry[0] in leaving
