"""Packs of provisioned objects, as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from anabranch.model.identity import PackId, RunId, SystemId, TypeId
from anabranch.model.provisioning import PackLine, Provisioned, ProvisionPack
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection

_OBJECTS = msgspec.json.Decoder(tuple[Provisioned, ...])


class PackReading:
    """The share of `Reader` that concerns packs."""

    _connection: Connection

    async def packs_of_types(self, mvo_types: Sequence[TypeId]) -> list[PackLine]:
        return await self._lines("list_packs_of_types", mvo_types)

    async def packs_of_system(self, system: SystemId) -> list[PackLine]:
        return await self._lines("list_packs_of_system", system)

    async def counted_packs(self, system: SystemId, run: RunId) -> list[PackLine]:
        return await self._lines("list_counted_packs", system, run)

    async def is_awaited_within_turn(self, run: RunId) -> bool:
        return bool(await self._connection.fetchval(sql("is_awaited_within_turn"), run))

    async def provision_packs(self, ids: Sequence[PackId]) -> list[ProvisionPack]:
        rows = await self._connection.fetch(sql("read_packs"), ids)
        return [ProvisionPack(**{**row, "objects": _OBJECTS.decode(row["objects"])}) for row in rows]

    async def _lines(self, name: str, *arguments: Any) -> list[PackLine]:
        return [PackLine(*row) for row in await self._connection.fetch(sql(name), *arguments)]
