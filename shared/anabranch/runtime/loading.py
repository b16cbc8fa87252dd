"""What belongs to the objects of a batch, loaded in one query a table and put with the object it belongs to."""

from __future__ import annotations

from collections.abc import Iterable

from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import Cso, CsoRef, MvoRef
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


async def links_by_mvo(reader: Reader, ids: Iterable[MvoId]) -> dict[MvoId, list[Cso]]:
    """All CSOs joined to these MVOs, by MVO; one that nothing is joined to is not among them."""
    found: dict[MvoId, list[Cso]] = {}
    for cso in await reader.links(list(ids)):
        if cso.mvo_id is not None:
            found.setdefault(cso.mvo_id, []).append(cso)
    return found
