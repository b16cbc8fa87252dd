"""Claims, commits and barriers when many come at once: gated by row locks on a real PostgreSQL, never by time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from tests.promises.fleet_keepers import (
    LEASE,
    PgFleetKeeper,
    close,
    end,
    pass_step,
    plan,
    postgres_fleet,
    start,
    take,
    try_claim,
)

from anabranch.model.enums import RunState, WorkerKind
from anabranch.model.errors import ClaimLost
from anabranch.model.fleet import Claimed
from anabranch.model.identity import BatchId, ClaimId, RunId, WorkerId
from anabranch.store import claims
from anabranch.store.batches import open_unit
from anabranch.store.faults import CommitUnknown, StoreUnavailable
from anabranch.store.pool import connect, open_pool
from anabranch.store.postgres import PostgresStore
from anabranch.store.workers import PgHeart

IMPORT, EXPORT, SYNC = WorkerKind.IMPORT, WorkerKind.EXPORT, WorkerKind.SYNC
T = TypeVar("T")


@pytest.fixture
async def keeper(database: str) -> AsyncIterator[PgFleetKeeper]:
    async with postgres_fleet(database) as made:
        yield made


@pytest.fixture
async def gate(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection that holds rows locked until everybody waits for them."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def _all_wait(connection: asyncpg.Connection[asyncpg.Record], n: int) -> None:
    async with asyncio.timeout(30):
        while await connection.fetchval(_WAITING) < n:
            pass


async def _released_together(
    keeper: PgFleetKeeper, gate: asyncpg.Connection[asyncpg.Record], lock: str, number: int, *calls: Awaitable[T]
) -> list[T]:
    """What the calls gave that were let go at the same moment, all waiting behind one row lock."""
    async with gate.transaction():
        await gate.execute(lock, number)
        tasks = [asyncio.ensure_future(call) for call in calls]
        await _all_wait(keeper.connection, len(tasks))
    return await asyncio.gather(*tasks)


@pytest.mark.behaviour("FLT-3")
async def test_of_eight_claims_of_a_batch_one_succeeds(
    keeper: PgFleetKeeper, gate: asyncpg.Connection[asyncpg.Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_PATIENCE", "30s")
    await start(keeper.store, "hr-import")
    batch = await gate.fetchval("SELECT id FROM batch")
    given = await _released_together(
        keeper,
        gate,
        "SELECT FROM batch WHERE id = $1 FOR UPDATE",
        batch,
        *(try_claim(keeper.store, IMPORT, BatchId(batch), f"w{n}") for n in range(8)),
    )
    assert sum(claimed is not None for claimed in given) == 1
    assert await gate.fetchval("SELECT count(*) FROM batch_attempt") == 1


async def test_polls_skip_what_is_locked_and_take_different_batches(keeper: PgFleetKeeper) -> None:
    await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 8)
    given = await asyncio.gather(*(try_claim(keeper.store, IMPORT, worker=f"w{n}") for n in range(8)))
    taken = [claimed.batch for claimed in given if claimed is not None]
    assert len(taken) == len(set(taken)) >= 1


@pytest.mark.behaviour("EXP-20")
async def test_eight_claims_of_eight_calls_never_exceed_the_limit_of_their_system(
    keeper: PgFleetKeeper, gate: asyncpg.Connection[asyncpg.Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_PATIENCE", "30s")
    run = await start(keeper.store, "hr-export")
    await pass_step(keeper.store, run, 1, EXPORT)
    await plan(keeper.store, await take(keeper.store, EXPORT), 8)
    rows = await gate.fetch("SELECT id, system_id FROM batch WHERE state = 'ready'")
    given = await _released_together(
        keeper,
        gate,
        "SELECT FROM system WHERE id = $1 FOR UPDATE",
        rows[0]["system_id"],
        *(try_claim(keeper.store, EXPORT, BatchId(row["id"]), f"w{n}") for n, row in enumerate(rows)),
    )
    assert sum(claimed is not None for claimed in given) == 1


@pytest.mark.behaviour("FLT-22")
async def test_a_batch_of_a_newer_version_is_left_to_a_newer_worker(keeper: PgFleetKeeper) -> None:
    await start(keeper.store, "hr-import")
    batch = BatchId(await keeper.connection.fetchval("UPDATE batch SET version = 2 RETURNING id"))
    assert await try_claim(keeper.store, IMPORT, batch) is None
    assert await try_claim(keeper.store, IMPORT) is None


@pytest.mark.behaviour("FLT-8")
async def test_of_eight_that_close_a_step_one_does(
    keeper: PgFleetKeeper, gate: asyncpg.Connection[asyncpg.Record]
) -> None:
    run = await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 0)
    closings = await _released_together(
        keeper,
        gate,
        "SELECT FROM run WHERE id = $1 FOR UPDATE",
        run,
        *(close(keeper.store, run, 1) for _ in range(8)),
    )
    assert sum(closed.closed for closed in closings) == 1
    steps = await gate.fetch("SELECT fired FROM run_step ORDER BY ordinal")
    assert [row["fired"] for row in steps] == [1, 0]


@pytest.mark.behaviour("FLT-8")
async def test_the_last_of_many_finishers_always_closes(keeper: PgFleetKeeper) -> None:
    run = await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 8)
    held = [await take(keeper.store, worker=f"w{n}") for n in range(8)]

    async def finish(claimed: Claimed) -> bool:
        await end(keeper.store, claimed)
        return (await close(keeper.store, run, 1)).closed

    assert sum(await asyncio.gather(*(finish(claimed) for claimed in held))) == 1


@pytest.mark.behaviour("FLT-4")
async def test_a_batch_in_its_commit_is_not_taken_over_however_late_it_is(
    keeper: PgFleetKeeper, gate: asyncpg.Connection[asyncpg.Record]
) -> None:
    await start(keeper.store, "hr-import")
    late = await take(keeper.store)
    async with keeper.store.unit(late) as unit:
        await keeper.pass_time(LEASE + 1)
        assert await try_claim(keeper.store, IMPORT, late.batch, "w2") is None
        assert await try_claim(keeper.store, IMPORT, worker="w2") is None
        await unit.seal()
        await unit.done({})
    assert await gate.fetchval("SELECT state FROM batch WHERE id = $1", late.batch) == "done"


async def test_a_claim_in_flight_when_a_run_is_cancelled_stays_leased(
    keeper: PgFleetKeeper, gate: asyncpg.Connection[asyncpg.Record]
) -> None:
    run = await start(keeper.store, "hr-import")
    batch = await gate.fetchval("SELECT id FROM batch")
    async with gate.transaction():
        await gate.execute("SELECT FROM batch WHERE id = $1 FOR UPDATE", batch)
        claiming = asyncio.ensure_future(try_claim(keeper.store, IMPORT, BatchId(batch)))
        await _all_wait(keeper.connection, 1)
        assert await keeper.store.cancel_run(run, "tester") is RunState.CANCELLING
    claimed = await claiming
    swept = await keeper.store.sweep(LEASE)
    assert (claimed is None) == (swept.runs_ended == (run,))


# --- COMMIT without an answer

_END_COMMITS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'anabranch-commit/%'
"""


class Wire:
    """A relay between a client and PostgreSQL that can lose answers, and with them the connection."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._tasks: set[asyncio.Task[None]] = set()
        self.deaf = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._server.hostname, self._server.port)
        pumps = [
            asyncio.ensure_future(self._pump(reader, up_writer)),
            asyncio.ensure_future(self._pump(up_reader, writer, answers=True)),
        ]
        self._tasks.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for side in (writer, up_writer):
            side.close()
            with suppress(ConnectionError):
                await side.wait_closed()
        await asyncio.wait(pumps)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if answers and self.deaf:
                    return
                writer.write(data)
                await writer.drain()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        account = self._server.netloc.rpartition("@")[0]
        try:
            yield urlunsplit(self._server._replace(netloc=f"{account}@127.0.0.1:{port}"))
        finally:
            server.close()
            await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.mark.behaviour("FLT-12")
async def test_a_commit_whose_answer_was_lost_is_found_to_be_done(keeper: PgFleetKeeper, database: str) -> None:
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    wire = Wire(database)
    async with wire.open() as url:
        pool = await open_pool(url, "w1", most=1)
        with pytest.raises(CommitUnknown):  # noqa: PT012  (the answer is lost at the end of the block)
            async with open_unit(pool, claimed) as unit:
                await unit.seal()
                await unit.done({})
                wire.deaf = True
        pool.terminate()
    assert await keeper.store.settle_unknown_commit(claimed)


@pytest.mark.behaviour("FLT-12")
async def test_a_connection_lost_before_the_commit_wrote_nothing(keeper: PgFleetKeeper) -> None:
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    with pytest.raises((CommitUnknown, StoreUnavailable)):  # noqa: PT012  (the connection ends inside the block)
        async with keeper.store.unit(claimed) as unit:
            await unit.seal()
            await unit.done({})
            await keeper.connection.execute(_END_COMMITS)
    assert not await keeper.store.settle_unknown_commit(claimed)
    assert await keeper.states(claimed.run) == {"leased": 1}


async def test_a_server_that_is_away_is_told_as_such() -> None:
    with pytest.raises(StoreUnavailable):
        await connect("postgresql://nobody@127.0.0.1:1/nothing", "w1")


@pytest.mark.behaviour("FLT-10", "FLT-18")
async def test_a_lease_that_ran_out_while_postgresql_was_away_counts_no_loss(keeper: PgFleetKeeper) -> None:
    await start(keeper.store, "hr-import")
    await take(keeper.store)
    await keeper.connection.execute("UPDATE batch SET lease_until = pg_postmaster_start_time() + lease / 2")
    taken_over = await take(keeper.store, worker="w2")
    assert (taken_over.epoch, taken_over.losses) == (2, 0)
    await keeper.pass_time(LEASE + 1)
    assert (await take(keeper.store, worker="w3")).losses == 1


# --- heartbeat and frozen workers


async def _heart(database: str, store: PostgresStore, worker: str = "w1") -> PgHeart:
    await store.register_worker(WorkerId(worker), "import", "1", "boot", "host", 1)
    return await PgHeart.connect(database, WorkerId(worker))


@pytest.mark.behaviour("FLT-6")
async def test_a_beat_renews_what_is_held_and_names_what_is_lost(keeper: PgFleetKeeper, database: str) -> None:
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    heart = await _heart(database, keeper.store)
    await keeper.pass_time(LEASE - 1)
    beat = await heart.beat(WorkerId("w1"), [claimed.claim, ClaimId("gone")], LEASE)
    await keeper.pass_time(LEASE - 1)
    assert await try_claim(keeper.store, IMPORT, worker="w2") is None
    await heart.close()
    assert (beat.held, beat.lost) == (frozenset({claimed.claim}), frozenset({"gone"}))
    (line,) = await keeper.store.overview.workers()
    assert line.holds == [claimed.batch]


async def test_a_beat_never_waits_for_its_own_commit(keeper: PgFleetKeeper, database: str) -> None:
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    heart = await _heart(database, keeper.store)
    async with keeper.store.unit(claimed) as unit:
        beat = await heart.beat(WorkerId("w1"), [claimed.claim], LEASE)
        await unit.seal()
        await unit.done({})
    await heart.close()
    assert beat.held == {claimed.claim}


@pytest.mark.behaviour("FLT-24")
async def test_leases_of_an_ending_run_are_not_renewed_beyond_a_minute(keeper: PgFleetKeeper, database: str) -> None:
    run = await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    heart = await _heart(database, keeper.store)
    await keeper.store.cancel_run(run, "tester")
    assert (await heart.beat(WorkerId("w1"), [claimed.claim], LEASE)).held == {claimed.claim}
    await keeper.pass_time(61)
    assert (await heart.beat(WorkerId("w1"), [claimed.claim], LEASE)).lost == {claimed.claim}
    await heart.close()
    assert (await keeper.store.sweep(LEASE)).runs_ended == (run,)


@pytest.mark.behaviour("FLT-7")
async def test_a_transaction_of_a_worker_that_beats_no_more_is_cut_off(keeper: PgFleetKeeper, database: str) -> None:
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    await (await _heart(database, keeper.store)).close()
    pool = await open_pool(database, "w1", most=1)
    with pytest.raises((StoreUnavailable, CommitUnknown)):  # noqa: PT012  (it is cut off inside the block)
        async with open_unit(pool, claimed) as unit:
            await keeper.pass_time(LEASE + 1)
            assert (await keeper.store.sweep(LEASE)).backends_ended == 1
            await unit.change_seq_now()
    pool.terminate()
    assert (await take(keeper.store, worker="w2")).losses == 1
    with pytest.raises(ClaimLost):
        await end(keeper.store, claimed)


async def test_a_claimer_that_meets_a_frozen_holder_cuts_it_off(keeper: PgFleetKeeper, database: str) -> None:
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    await (await _heart(database, keeper.store)).close()
    pool = await open_pool(database, "w1", most=1)
    with pytest.raises((StoreUnavailable, CommitUnknown)):  # noqa: PT012  (it is cut off inside the block)
        async with open_unit(pool, claimed) as unit:
            await keeper.pass_time(LEASE + 1)
            assert await try_claim(keeper.store, IMPORT, claimed.batch, "w2") is None
            await unit.change_seq_now()
    pool.terminate()
    assert (await take(keeper.store, batch=claimed.batch, worker="w2")).epoch == 2


async def test_a_worker_silent_for_an_hour_is_forgotten(keeper: PgFleetKeeper, database: str) -> None:
    await (await _heart(database, keeper.store)).close()
    await keeper.pass_time(3601)
    await keeper.store.sweep(LEASE)
    assert await keeper.store.overview.workers() == []


# --- several schedulers


async def test_schedulers_that_sweep_together_start_a_run_once(keeper: PgFleetKeeper) -> None:
    await keeper.store.start_execution("imports", "tester")
    swept = await asyncio.gather(*(keeper.store.sweep(LEASE) for _ in range(4)))
    started = [run for one in swept for run in one.runs_started]
    assert len(started) == len(set(started)) == 2
    assert await keeper.connection.fetchval("SELECT count(*) FROM run_step") == 2


async def test_schedulers_that_publish_together_mark_a_batch_once(keeper: PgFleetKeeper) -> None:
    await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 20)
    told = await asyncio.gather(*(keeper.store.due_hints(1, {IMPORT: 30}, 30.0) for _ in range(4)))
    batches = [hint.batch for hints in told for hint in hints]
    assert len(batches) == len(set(batches)) == 20


async def test_progress_and_listings_are_sums_over_committed_batches(keeper: PgFleetKeeper) -> None:
    run = await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 2)
    await close(keeper.store, run, 1)
    await end(keeper.store, await take(keeper.store), {"read": 10, "added": 10})
    view = keeper.store.overview
    progress = await view.progress(run)
    assert progress is not None
    assert (progress.phase, progress.processed, progress.total) == ("import", 10, 20)
    assert progress.counters == {"read": 10, "added": 10}
    detail = await view.run(run)
    assert detail is not None
    assert (detail.steps[0].batches, detail.steps[0].counters) == ({"done": 2, "ready": 1}, {"read": 10, "added": 10})
    assert [(line.state, line.due) for line in await view.queue()] == [("ready", 1)]
    assert [line.run for line in await view.runs()] == [run]
    (execution,) = await view.executions()
    assert (execution.group, execution.groups, execution.runs) == (1, 1, 1)
    assert await view.run(RunId(999)) is None


@pytest.mark.behaviour("PRG-7")
async def test_holds_and_dead_batches_are_listed(keeper: PgFleetKeeper) -> None:
    run = await start(keeper.store, "hr-sync")
    await keeper.list_guard_ops(run, "sync_disconnections", "disconnect", "person", 3)
    await keeper.set_population(run, "sync_disconnections", "person", 3)
    assert (await pass_step(keeper.store, run, 1, SYNC)).held
    (hold,) = await keeper.store.overview.holds()
    assert (hold.run, hold.operations, hold.findings[0]["type"]) == (run, 3, "person")
    other = await start(keeper.store, "crm-import")
    await plan(keeper.store, await take(keeper.store), 1)
    await keeper.store.dead(await take(keeper.store), "unreadable")
    (dead,) = await keeper.store.overview.dead_batches()
    assert (dead.run, dead.error, dead.phase, dead.system) == (other, "unreadable", "1.import", "crm")
