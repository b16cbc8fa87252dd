"""What belongs to the objects of a batch, loaded in one query a table and put with the object it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import Cso, CsoRef, MvoRef, RawRef
from anabranch.store.port import Reader


async def refs_by_cso(reader: Reader, ids: Iterable[CsoId]) -> dict[CsoId, list[CsoRef]]:
    """References of these CSOs, by CSO; one without references is not among them."""
    found: dict[CsoId, list[CsoRef]] = {}
    for ref in await reader.cso_refs(list(ids)):
        found.setdefault(ref.cso_id, []).append(ref)
    return found


async def refs_by_mvo(reader: Reader, ids: Iterable[MvoId]) -> dict[MvoId, list[MvoRef]]:
    """References of these MVOs, by MVO; one without references is not among them."""
    found: dict[MvoId, list[MvoRef]] = {}
    for ref in await reader.mvo_refs(list(ids)):
        found.setdefault(ref.mvo_id, []).append(ref)
    return found


async def links_by_mvo(reader: Reader, ids: Iterable[MvoId], loaded: Sequence[Cso] = ()) -> dict[MvoId, list[Cso]]:
    """All CSOs joined to these MVOs, by MVO and in id order; one that nothing is joined to is not among them. Those
    that are `loaded` already, most of all as a rule, are not read again."""
    wanted = list(ids)
    mine = {cso.id for cso in loaded}
    here = frozenset(wanted)
    links = [cso for cso in loaded if cso.mvo_id in here]
    links.extend(cso for cso in await reader.links(wanted, sorted(mine)) if cso.id not in mine)
    found: dict[MvoId, list[Cso]] = {}
    for cso in sorted(links, key=_id_of):
        if cso.mvo_id is not None:
            found.setdefault(cso.mvo_id, []).append(cso)
    return found


def _id_of(cso: Cso) -> CsoId:
    return cso.id


async def raw_refs_by_cso(reader: Reader, csos: Iterable[CsoId], attrs: Iterable[str]) -> dict[CsoId, list[RawRef]]:
    """The raw identifiers in these reference attributes, by CSO; one without any is not among them."""
    found: dict[CsoId, list[RawRef]] = {}
    for ref in await reader.raw_refs(list(csos), sorted(attrs)):
        found.setdefault(ref.cso_id, []).append(ref)
    return found
