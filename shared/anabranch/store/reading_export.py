"""Pending exports: which may go now, what they hold, and which wait for an import to confirm them."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from anabranch.model.identity import CsoId, ExportId, RunId, SystemId, TypeId
from anabranch.model.objects import PendingExport, PendingRow, SentPicture, TargetPicture
from anabranch.store.port import IdRange
from anabranch.store.reading_ranges import cut
from anabranch.store.reading_rows import exports_of, naming_rows, sent_picture_of, target_picture_of
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


class ExportReading:
    """The export's share of `Reader`."""

    _connection: Connection

    async def executable_exports(self, system: SystemId, run: RunId | None) -> list[tuple[ExportId, TypeId, str]]:
        name = "find_executable_exports" if run is None else "find_counted_exports"
        statement = f"{executable_set(name)} ORDER BY e.id"
        rows = await self._connection.fetch(statement, system, *(() if run is None else (run,)))
        return [(row[0], row[1], row[2]) for row in rows]

    async def is_ending(self, run: RunId) -> bool:
        return bool(await self._connection.fetchval(sql("is_ending"), run))

    async def counted_exports(self, system: SystemId, run: RunId) -> array[int]:
        return unpacked(await self._connection.fetchval(executable_set("pack_counted_exports"), system, run))

    async def counted_exports_of(self, system: SystemId, run: RunId, csos: Sequence[CsoId]) -> frozenset[ExportId]:
        rows = await self._connection.fetch(
            executable_set("find_counted_exports_of", under_way=True), system, run, csos
        )
        return frozenset(row[0] for row in rows)

    async def target_objects(self, ids: Sequence[CsoId], *, naming: bool = True) -> list[TargetPicture]:
        rows = await self._connection.fetch(sql("read_target_objects"), ids)
        named = await self._naming_rows([row[7] for row in rows if row[7] is not None]) if naming else {}
        return [target_picture_of(row, named) for row in rows]

    async def sent_exports(self, ids: Sequence[ExportId]) -> list[SentPicture]:
        rows = await self._connection.fetch(sql("read_sent_exports"), ids)
        naming = await self._naming_rows(ids)
        return [sent_picture_of(row, naming) for row in rows]

    async def exports(self, ids: Sequence[ExportId]) -> list[PendingExport]:
        return await self._with_values(await self._connection.fetch(sql("read_exports"), ids))

    async def exports_of(self, cso_ids: Sequence[CsoId]) -> list[PendingExport]:
        return await self._with_values(await self._connection.fetch(sql("read_exports_of_csos"), cso_ids))

    async def confirmable_exports(self, system: SystemId, after: ExportId, limit: int) -> list[PendingExport]:
        rows = await self._connection.fetch(sql("read_confirmable_exports"), system, after, limit)
        return await self._with_values(rows)

    async def confirmable_ranges(self, system: SystemId, size: int) -> list[IdRange]:
        return await cut(self._connection, "set_confirmable_exports", size, system)

    async def _with_values(self, rows: list[asyncpg.Record]) -> list[PendingExport]:
        if not rows:
            return []
        return exports_of(rows, await self._naming_rows([row["id"] for row in rows]))

    async def _naming_rows(self, ids: Sequence[ExportId]) -> dict[ExportId, list[PendingRow]]:
        """The rows of these exports that name an MVO."""
        return naming_rows(await self._connection.fetch(sql("read_export_values"), ids)) if ids else {}


def executable_set(name: str, *, under_way: bool = False) -> str:
    """A statement over the executable exports of the system `$1`, or over those of them that the run `$2` counted; with
    `under_way` over those too that somebody is sending."""
    executable = sql("find_executable_exports")
    listed = executable.replace("@exports", f"({sql('find_listed_export').replace('@id', 'g.object_id')})")
    mine = executable.replace("@exports", f"({sql('find_exports_of_csos').replace('@csos', '$3')})")
    statement = sql(name).replace("@counted", sql("find_counted_exports"))
    statement = statement.replace("@listed", listed).replace("@executable", executable)
    statement = statement.replace("@mine", mine).replace("@over", sql("find_runs_with_outbound_over"))
    states = "'ready', 'unconfirmed', 'exporting'" if under_way else "'ready', 'unconfirmed'"
    return statement.replace("@exports", "pending_export").replace("@states", states)


def unpacked(packed: bytes) -> array[int]:
    """The numbers of an aggregate of `int8send`."""
    numbers = array("q", packed)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
