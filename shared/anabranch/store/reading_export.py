"""Pending exports: which may go now, what they hold, and which wait for an import to confirm them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from anabranch.model.identity import CsoId, ExportId, RunId, SystemId, TypeId
from anabranch.model.objects import PendingExport
from anabranch.store.reading_rows import exports_of
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


class ExportReading:
    """The export's share of `Reader`."""

    _connection: Connection

    async def executable_exports(
        self, system: SystemId, run: RunId | None, *, under_way: bool = False
    ) -> list[tuple[ExportId, TypeId, str]]:
        rows = await self._connection.fetch(sql("find_executable_exports"), system, run, under_way)
        return [(row[0], row[1], row[2]) for row in rows]

    async def exports(self, ids: Sequence[ExportId]) -> list[PendingExport]:
        return await self._with_values(await self._connection.fetch(sql("read_exports"), ids))

    async def exports_of(self, cso_ids: Sequence[CsoId]) -> list[PendingExport]:
        return await self._with_values(await self._connection.fetch(sql("read_exports_of_csos"), cso_ids))

    async def confirmable_exports(self, system: SystemId, after: ExportId, limit: int) -> list[PendingExport]:
        rows = await self._connection.fetch(sql("read_confirmable_exports"), system, after, limit)
        return await self._with_values(rows)

    async def _with_values(self, rows: list[asyncpg.Record]) -> list[PendingExport]:
        if not rows:
            return []
        values = await self._connection.fetch(sql("read_export_values"), [row["id"] for row in rows])
        return exports_of(rows, values)
