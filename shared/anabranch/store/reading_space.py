"""Connector space objects by their ids, their references, their keys, and the order a whole file is written in."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch.model.identity import CsoId, TypeId
from anabranch.model.objects import Cso, CsoRef, KeyHit, RawRef
from anabranch.store.reading_export import unpacked
from anabranch.store.reading_rows import cso_of
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


class SpaceReading:
    """The connector space's share of `Reader`."""

    _connection: Connection

    async def csos(self, ids: Sequence[CsoId]) -> list[Cso]:
        return [cso_of(row) for row in await self._connection.fetch(sql("read_csos"), ids)]

    async def cso_refs(self, ids: Sequence[CsoId]) -> list[CsoRef]:
        return [CsoRef(*row) for row in await self._connection.fetch(sql("read_cso_refs"), ids)]

    async def raw_refs(self, ids: Sequence[CsoId], attrs: Sequence[str]) -> list[RawRef]:
        return [RawRef(*row) for row in await self._connection.fetch(sql("read_raw_refs"), ids, attrs)]

    async def cso_key_holders(self, type_id: TypeId, attr: str, hashes: Sequence[bytes]) -> list[KeyHit]:
        return [KeyHit(*row) for row in await self._connection.fetch(sql("find_cso_keys"), type_id, attr, hashes)]

    async def anchor_order(self, type_id: TypeId) -> array[int]:
        return unpacked(await self._connection.fetchval(sql("read_anchor_order"), type_id))
