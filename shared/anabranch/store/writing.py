"""The PostgreSQL keeper's writer: one batch's decisions, inside the transaction that also ends the batch.

The caller has opened the transaction and passed the fence. `lock` comes first and tells what moved since it was read;
what moved is loaded and decided again before anything is written. `persist` then writes metaverse, connector space and
pending exports in that order, as sets: COPY where rows are new, one statement over arrays where they exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import asyncpg

from anabranch.model.changes import Changes
from anabranch.model.fleet import Claimed
from anabranch.model.identity import CsoId, RunId, SystemId
from anabranch.store.port import Collision, Moved, ReferenceTargets
from anabranch.store.reading_export import executable_set
from anabranch.store.reading_import import target_arrays
from anabranch.store.reading_ranges import set_statement
from anabranch.store.sql_files import sql
from anabranch.store.writing_exports import write_exports
from anabranch.store.writing_lock import lock_rows
from anabranch.store.writing_metaverse import write_metaverse
from anabranch.store.writing_packs import count_packs, write_packs
from anabranch.store.writing_run import purge, write_items, write_run_data
from anabranch.store.writing_space import write_space

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


class PgWriter:
    """The data verbs of `Unit` over a connection whose transaction is open."""

    def __init__(self, connection: Connection, claimed: Claimed) -> None:
        self._connection = connection
        self._claimed = claimed
        self._placed: Mapping[int, int] | None = None

    async def lock(self, changes: Changes) -> Moved:
        moved, self._placed = await lock_rows(self._connection, changes)
        return moved

    async def persist(self, changes: Changes) -> None:
        try:
            await _write_keyed(self._connection, changes)
            await write_metaverse(self._connection, changes)
            await write_space(self._connection, changes, self._placed)
            await write_exports(self._connection, changes)
            await write_packs(self._connection, changes)
            await write_run_data(self._connection, self._claimed, changes)
            await write_items(self._connection, self._claimed, changes)
        except asyncpg.UniqueViolationError as error:
            raise Collision(error.table_name or "an unnamed table") from error

    async def list_executable_exports(self, system: SystemId) -> int:
        tag = await self._connection.execute(executable_set("list_executable_exports"), system, self._claimed.run)
        return int(tag.rpartition(" ")[2]) + await count_packs(self._connection, system, self._claimed)

    async def number_proposals(self, run: RunId, kind: str, objects: Sequence[int]) -> None:
        await self._connection.execute(sql("number_proposals"), run, kind, objects)

    async def resolve_references(self, targets: ReferenceTargets, lo: CsoId, hi: CsoId) -> int:
        params = (lo, hi, *target_arrays(targets))
        await self._connection.execute(set_statement("lock_resolvable_referrers"), *params)
        count: int = await self._connection.fetchval(set_statement("resolve_references"), *params)
        return count

    async def purge_finished_runs(self) -> None:
        await purge(self._connection)


async def _write_keyed(connection: Connection, changes: Changes) -> None:
    for statement, pairs in (("forget_keys", changes.unkeyed), ("complete_keys", changes.keyed)):
        if pairs:
            types, attrs = zip(*pairs, strict=True)
            await connection.execute(sql(statement), types, attrs)
