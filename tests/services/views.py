"""What stands in a keeper, whole, for a test to look at: the memory keeper's tables, or a database's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg

from anabranch.model.changes import Item
from anabranch.model.identity import CsoId, ExecutionId, ExportId, MvoId, RunId
from anabranch.model.objects import Cso, Mvo, MvoRef, PendingExport
from anabranch.store.items import unpack_items
from anabranch.store.memory import MemoryStore
from anabranch.store.postgres import PostgresStore


@dataclass(frozen=True)
class Error:
    """One error or warning of a run."""

    kind: str
    key: str
    message: str
    severity: str


@dataclass(frozen=True)
class Line:
    """One run as a list shows it."""

    id: RunId
    profile: str
    state: str
    message: str | None
    totals: dict[str, int] | None


class View(Protocol):
    """Everything of one kind, in order of id."""

    async def runs(self, execution: ExecutionId) -> list[Line]: ...

    async def run(self, run: RunId) -> Line: ...

    async def errors(self, run: RunId) -> list[Error]: ...

    async def items(self, run: RunId) -> list[Item]: ...

    async def mvos(self) -> list[Mvo]: ...

    async def csos(self) -> list[Cso]: ...

    async def exports(self) -> list[PendingExport]: ...

    async def mvo_refs(self) -> list[MvoRef]: ...

    async def change_seq(self) -> int: ...


class MemoryView:
    """The tables of a memory keeper."""

    def __init__(self, store: MemoryStore) -> None:
        self._tables = store.tables
        self._sequences = store.sequences

    async def runs(self, execution: ExecutionId) -> list[Line]:
        mine = [run for run in self._tables.runs.values() if run.execution == execution]
        return [await self.run(run.id) for run in sorted(mine, key=lambda run: (run.grp, run.n))]

    async def run(self, run: RunId) -> Line:
        row = self._tables.runs[run]
        return Line(row.id, row.profile, row.state.value, row.message, row.totals)

    async def errors(self, run: RunId) -> list[Error]:
        found = (row.item for row in self._tables.errors.values() if row.run == run)
        return [Error(one.kind, one.key, one.message, one.severity) for one in found]

    async def items(self, run: RunId) -> list[Item]:
        return [item for pack in self._tables.item_packs.values() if pack.run == run for item in pack.items]

    async def mvos(self) -> list[Mvo]:
        return sorted(self._tables.mvos.values(), key=lambda one: one.id)

    async def csos(self) -> list[Cso]:
        return sorted(self._tables.csos.values(), key=lambda one: one.id)

    async def exports(self) -> list[PendingExport]:
        return sorted(self._tables.exports.values(), key=lambda one: one.id)

    async def mvo_refs(self) -> list[MvoRef]:
        return list(self._tables.mvo_refs.values())

    async def change_seq(self) -> int:
        return self._sequences.change_seq


class PostgresView:
    """The rows of a database, by a connection of its own and the store's reader."""

    def __init__(self, store: PostgresStore, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._store = store
        self._connection = connection

    async def runs(self, execution: ExecutionId) -> list[Line]:
        return [await self.run(one.run) for one in await self._store.overview.runs_of(execution)]

    async def run(self, run: RunId) -> Line:
        detail = await self._store.overview.run(run)
        assert detail is not None
        line = detail.run
        return Line(line.run, line.profile, line.state.value, line.message, line.totals)

    async def errors(self, run: RunId) -> list[Error]:
        rows = await self._connection.fetch(
            "SELECT kind, key, message, severity FROM run_error WHERE run_id = $1 ORDER BY id", run
        )
        return [Error(**dict(row)) for row in rows]

    async def items(self, run: RunId) -> list[Item]:
        rows = await self._connection.fetch("SELECT packed FROM run_item_pack WHERE run_id = $1", run)
        return [item for row in rows for item in unpack_items(row["packed"])]

    async def _ids(self, table: str) -> list[Any]:
        return [row["id"] for row in await self._connection.fetch(f"SELECT id FROM {table} ORDER BY id")]

    async def mvos(self) -> list[Mvo]:
        async with self._store.reader() as reader:
            return await reader.mvos([MvoId(one) for one in await self._ids("mvo")])

    async def csos(self) -> list[Cso]:
        async with self._store.reader() as reader:
            return await reader.csos([CsoId(one) for one in await self._ids("cso")])

    async def exports(self) -> list[PendingExport]:
        async with self._store.reader() as reader:
            return await reader.exports([ExportId(one) for one in await self._ids("pending_export")])

    async def mvo_refs(self) -> list[MvoRef]:
        async with self._store.reader() as reader:
            return await reader.mvo_refs([MvoId(one) for one in await self._ids("mvo")])

    async def change_seq(self) -> int:
        async with self._store.reader() as reader:
            return await reader.change_seq_now()
