"""Which MVOs a reference attribute names.

The offers are the joined CSOs' references, resolved as far as they are; ranking is that of any attribute, and a set may
go whole to the best-ranked contributor or be the union of all. An unresolved reference keeps what it led to before: the
standing row that came from the same contributor and the same raw identifier (SYN-52).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from anabranch.engine.compiled import MetaverseSide
from anabranch.model.enums import MultiValuePolicy
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import CsoRef, MvoRef


class Offer(msgspec.Struct, frozen=True):
    """One reference mapping of one joined CSO: the references it gives to metaverse attribute `attr`."""

    contributor: CsoId
    mapping_id: int
    attr: str
    refs: tuple[CsoRef, ...]
    asserts_null: bool = False
    """Whether it blocks the lower ranks when its source refers to nobody (SYN-44)."""


def elect_references(
    side: MetaverseSide,
    mvo: MvoId,
    offers: Sequence[Offer],
    standing: Sequence[MvoRef],
    joined: Collection[CsoId],
) -> tuple[list[MvoRef], list[MvoRef]]:
    """The reference rows to add and to remove so that the MVO refers to what the offers elect.

    `joined` are the CSOs joined to the MVO. A row whose target stays the same but whose contributor changes is
    replaced: provenance follows the value (SYN-47). A row of a mapping that was disabled, or of a CSO that left without
    being recalled, is kept until a living contributor wins its attribute (SYN-41, SYN-44, SYN-59).
    """
    before: dict[tuple[str, MvoId], MvoRef] = {(ref.attr, ref.target_mvo_id): ref for ref in standing}
    led_to = {(ref.contributor, ref.attr, ref.raw): ref.target_mvo_id for ref in standing}
    by_attr: dict[str, list[Offer]] = {}
    for offer in offers:
        by_attr.setdefault(offer.attr, []).append(offer)
    wanted: dict[tuple[str, MvoId], MvoRef] = {}
    settled: set[str] = set()
    for attr, some in by_attr.items():
        ranks = {mapping: place for place, mapping in enumerate(side.rankings[attr].mappings)}
        ranked = sorted((one for one in some if one.mapping_id in ranks), key=lambda one: ranks[one.mapping_id])
        decided = _elect(side, attr, mvo, ranked, led_to)
        if decided is None:
            continue
        settled.add(attr)
        for ref in decided:
            wanted.setdefault((attr, ref.target_mvo_id), ref)
    for key, ref in before.items():
        ranking = side.rankings.get(ref.attr)
        living = ranking is not None and ref.mapping_id in ranking.mappings and ref.contributor in joined
        if ref.attr not in settled and not living:
            wanted[key] = ref
    add = [ref for key, ref in sorted(wanted.items()) if before.get(key) != ref]
    remove = [ref for key, ref in sorted(before.items()) if wanted.get(key) != ref]
    return add, remove


def _elect(
    side: MetaverseSide,
    attr: str,
    mvo: MvoId,
    ranked: Sequence[Offer],
    led_to: dict[tuple[CsoId, str, str], MvoId],
) -> list[MvoRef] | None:
    """The rows the best-ranked contributors give; None where nobody has an opinion."""
    attribute = side.record.attributes[attr]
    union = attribute.multi_valued and attribute.multi_value_policy is MultiValuePolicy.UNION
    elected: list[MvoRef] = []
    for offer in ranked:
        rows = []
        for ref in offer.refs:
            target = ref.target_mvo_id
            if target is None and ref.target_cso_id is None:  # one that resolves to an unjoined object goes
                target = led_to.get((offer.contributor, attr, ref.raw))
            if target is not None:
                rows.append(MvoRef(mvo, attr, target, offer.contributor, offer.mapping_id, ref.raw))
        if not rows:
            if offer.asserts_null and not offer.refs and not union:
                return elected
            continue
        elected.extend(sorted(rows, key=lambda row: (row.target_mvo_id, row.raw)))
        if not union:
            break
    if not elected:
        return None
    return elected if attribute.multi_valued else elected[:1]
