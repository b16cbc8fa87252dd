"""Keepers as the data suite sees them: a transaction to write in, a reader, and runs that have come this or that far.

The suite holds every keeper to the same promises, so it sees no more of one than this. The fence is another suite's
business: a unit here is a plain transaction that commits at the end of its block.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from tests.builders import NOW, a_claimed, a_link_of, a_new_cso, a_new_mvo, an_mvo_write

from anabranch.model.changes import Changes
from anabranch.model.enums import JoinType, RunKind, StepState
from anabranch.model.fleet import Claimed
from anabranch.model.identity import CsoId, MvoId, RunId, SystemId
from anabranch.model.objects import Cso, Mvo
from anabranch.store.pool import open_pool
from anabranch.store.port import Moved, Reader, ReferenceTargets
from anabranch.store.reading import PgReader
from anabranch.store.writing import PgWriter

if TYPE_CHECKING:
    from anabranch.store.pool import Pool


class DataUnit(Reader, Protocol):
    """The data verbs of `Unit`."""

    async def lock(self, changes: Changes) -> Moved: ...

    async def persist(self, changes: Changes) -> None: ...

    async def list_executable_exports(self, system: SystemId) -> int: ...

    async def number_proposals(self, run: RunId, kind: str, objects: Sequence[int]) -> None: ...

    async def resolve_references(self, targets: ReferenceTargets, lo: CsoId, hi: CsoId) -> int: ...

    async def purge_finished_runs(self) -> None: ...


class DataKeeper(Protocol):
    """What the data suite needs of a keeper."""

    def unit(self, claimed: Claimed) -> AbstractAsyncContextManager[DataUnit]:
        """A transaction that commits at the end of the block and undoes everything on an exception."""

    def reader(self) -> AbstractAsyncContextManager[Reader]:
        """A reader of what is committed."""

    async def a_run(
        self,
        run: RunId,
        system: SystemId,
        step: str,
        state: StepState,
        *,
        ended: bool = False,
        now: datetime | None = None,
    ) -> None:
        """A sync run of that system, and of that instant, stands there with one step in that state."""


async def write(keeper: DataKeeper, changes: Changes, batch: int = 1) -> Moved:
    """The changes are committed unless something moved; the answer says what."""
    async with keeper.unit(a_claimed(batch)) as unit:
        moved = await unit.lock(changes)
        if not moved:
            await unit.persist(changes)
    return moved


async def cso(keeper: DataKeeper, number: int = 1) -> Cso:
    """The CSO of that id as committed; ValueError when there is none."""
    async with keeper.reader() as reader:
        (found,) = await reader.csos([CsoId(number)])
    return found


async def mvo(keeper: DataKeeper, number: int = 1) -> Mvo:
    """The MVO of that id as committed; ValueError when there is none."""
    async with keeper.reader() as reader:
        (found,) = await reader.mvos([MvoId(number)])
    return found


async def joined(keeper: DataKeeper, *numbers: int) -> None:
    """CSO n is projected to MVO n and evaluated."""
    await write(
        keeper,
        Changes(
            new_csos=[a_new_cso(n, mvo_id=n, join_type=JoinType.PROJECTED) for n in numbers],
            new_mvos=[a_new_mvo(n) for n in numbers],
        ),
    )
    links = [a_link_of(await cso(keeper, n), n) for n in numbers]
    await write(keeper, Changes(links=links, mvos=[an_mvo_write(n, touch=False) for n in numbers]))


class _PgDataUnit(PgReader, PgWriter):
    def __init__(self, connection: object, claimed: Claimed) -> None:
        PgReader.__init__(self, connection)  # type: ignore[arg-type]
        PgWriter.__init__(self, connection, claimed)  # type: ignore[arg-type]


class PgDataKeeper:
    """The PostgreSQL keeper's data half over a migrated database."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    @asynccontextmanager
    async def unit(self, claimed: Claimed) -> AsyncIterator[DataUnit]:
        async with self.pool.acquire() as connection, connection.transaction():
            yield _PgDataUnit(connection, claimed)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        async with self.pool.acquire() as connection:
            yield PgReader(connection)

    async def a_run(
        self,
        run: RunId,
        system: SystemId,
        step: str,
        state: StepState,
        *,
        ended: bool = False,
        now: datetime | None = None,
    ) -> None:
        async with self.pool.acquire() as connection:
            await connection.execute(
                "INSERT INTO config_version (version, digest, document, stamps, change_class, difference, author)"
                " VALUES (1, '', '{}', '{}', 'cosmetic', '{}', '') ON CONFLICT DO NOTHING"
            )
            await connection.execute(
                "INSERT INTO system (id, key) OVERRIDING SYSTEM VALUE VALUES ($1, 'system ' || $1::integer)"
                " ON CONFLICT DO NOTHING",
                system,
            )
            execution = await connection.fetchval(
                "INSERT INTO execution (name, config_version, trace_id, span_id) VALUES ('', 1, '', '') RETURNING id"
            )
            await connection.execute(
                "INSERT INTO run (id, execution_id, grp, n, profile, kind, system_id, state, config_version, page_size,"
                " batch_size, deadline_after, span_id, ended_at, now) OVERRIDING SYSTEM VALUE"
                " VALUES ($1, $2, 1, 1, '', $3, $4, $5, 1, 1, 1, '1h', '', $6, $7)",
                run,
                execution,
                RunKind.DELTA_SYNC,
                system,
                "cancelled" if ended else "queued",
                NOW if ended else None,
                now,
            )
            await connection.execute(
                "INSERT INTO run_step (run_id, ordinal, name, state, span_id) VALUES ($1, 1, $2, $3, '')",
                run,
                step,
                state,
            )


@asynccontextmanager
async def postgres_keeper(url: str) -> AsyncIterator[PgDataKeeper]:
    """A keeper over the database, its connections closed at the end."""
    pool = await open_pool(url, "data-suite", most=4)
    try:
        yield PgDataKeeper(pool)
    finally:
        await pool.close()
