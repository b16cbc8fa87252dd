"""Claims, barriers, relays, schedulers and cancels when many come at once, on a real PostgreSQL.

Who comes when is not left to chance: gates (`gates.py`) hold a connection at a named point until the others are where
they could do harm. Without the lock or the second look that a test is about, it fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from tests.fleet.gates import Connection, Gate, all_wait, released_together
from tests.promises.fleet_keepers import (
    LEASE,
    PgFleetKeeper,
    close,
    end,
    pass_step,
    plan,
    start,
    take,
    try_claim,
)

from anabranch.bus.envelope import Hint
from anabranch.bus.memory import MemoryBus
from anabranch.model.enums import RunState, WorkerKind
from anabranch.model.errors import ClaimLost
from anabranch.model.fleet import Claimed
from anabranch.model.identity import BatchId, RunId, WorkerId
from anabranch.runtime.relay import Relay
from anabranch.store import claims
from anabranch.store.postgres import PostgresStore
from anabranch.store.sql_files import sql

IMPORT, EXPORT, SYNC = WorkerKind.IMPORT, WorkerKind.EXPORT, WorkerKind.SYNC


@pytest.fixture
async def late(database: str, keeper: PgFleetKeeper) -> AsyncIterator[PostgresStore]:
    """The store of another process, named `late`."""
    store = await PostgresStore.open(database, WorkerId("late"), connections=2)
    yield store
    await store.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim waits at a gate for as long as it is shut."""
    monkeypatch.setattr(claims, "_PATIENCE", "60s")


@pytest.mark.behaviour("FLT-3")
@pytest.mark.usefixtures("patient")
async def test_of_eight_claims_of_a_batch_one_succeeds(keeper: PgFleetKeeper, gate: Connection) -> None:
    await start(keeper.store, "hr-import")
    batch = await gate.fetchval("SELECT id FROM batch")
    given = await released_together(
        keeper,
        gate,
        "SELECT FROM batch WHERE id = $1 FOR UPDATE",
        batch,
        *(try_claim(keeper.store, IMPORT, BatchId(batch), f"w{n}") for n in range(8)),
    )
    assert sum(claimed is not None for claimed in given) == 1
    assert await gate.fetchval("SELECT count(*) FROM batch_attempt") == 1


@pytest.mark.behaviour("FLT-3")
@pytest.mark.usefixtures("patient")
async def test_eight_polls_at_once_hold_eight_different_batches(keeper: PgFleetKeeper, gate: Connection) -> None:
    """None waits for another, though not one of them has committed."""
    await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 8)
    point = Gate(gate)
    await point.before_update("batch", "OLD.state = 'ready' AND NEW.state = 'leased'")
    polls = [asyncio.ensure_future(try_claim(keeper.store, IMPORT, worker=f"w{n}")) for n in range(8)]
    await point.reached(8)
    assert await try_claim(keeper.store, IMPORT, worker="w9") is None
    await point.open()
    taken = [claimed.batch for claimed in await asyncio.gather(*polls) if claimed is not None]
    assert len(taken) == len(set(taken)) == 8


@pytest.mark.behaviour("FLT-3")
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("by_hint", [True, False], ids=["hint", "poll"])
async def test_a_claim_that_saw_an_expired_lease_finds_it_taken_meanwhile(
    keeper: PgFleetKeeper, gate: Connection, late: PostgresStore, by_hint: bool
) -> None:
    await start(keeper.store, "hr-import")
    first = await take(keeper.store)
    await keeper.pass_time(LEASE + 1)
    point = Gate(gate)
    await point.at_the_clock_of("late")
    asked = asyncio.ensure_future(try_claim(late, IMPORT, first.batch if by_hint else None, "late"))
    await point.reached()
    second = await take(keeper.store, batch=first.batch, worker="w2")
    await point.open()
    assert await asked is None
    await plan(keeper.store, second, 0)


@pytest.mark.behaviour("EXP-20")
@pytest.mark.usefixtures("patient")
async def test_eight_claims_of_eight_calls_never_exceed_the_limit_of_their_system(
    keeper: PgFleetKeeper, gate: Connection
) -> None:
    run = await start(keeper.store, "hr-export")
    await pass_step(keeper.store, run, 1, EXPORT)
    await plan(keeper.store, await take(keeper.store, EXPORT), 8)
    rows = await gate.fetch("SELECT id, system_id FROM batch WHERE state = 'ready'")
    given = await released_together(
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
async def test_of_eight_that_close_a_step_one_does(keeper: PgFleetKeeper, gate: Connection) -> None:
    run = await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 0)
    closings = await released_together(
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
async def test_who_waits_to_close_sees_what_was_committed_while_it_waited(
    keeper: PgFleetKeeper, gate: Connection
) -> None:
    """The second to last asks and waits; the last commits and dies before it can ask."""
    run = await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 2)
    earlier, last = await take(keeper.store, worker="w1"), await take(keeper.store, worker="w2")
    await end(keeper.store, earlier)
    async with gate.transaction():
        await gate.execute("SELECT FROM run WHERE id = $1 FOR UPDATE", run)
        closing = asyncio.ensure_future(close(keeper.store, run, 1))
        await all_wait(keeper.connection, 1)
        await end(keeper.store, last)
    assert (await closing).closed


@pytest.mark.behaviour("FLT-8")
async def test_of_eight_who_finish_and_ask_at_once_one_closes(keeper: PgFleetKeeper, gate: Connection) -> None:
    run = await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 8)
    held = [await take(keeper.store, worker=f"w{n}") for n in range(8)]

    async def finish(claimed: Claimed) -> bool:
        await end(keeper.store, claimed)
        return (await close(keeper.store, run, 1)).closed

    lock = "SELECT FROM run WHERE id = $1 FOR UPDATE"
    closed = await released_together(keeper, gate, lock, run, *(finish(claimed) for claimed in held))
    assert sum(closed) == 1


# --- cancels


@pytest.mark.behaviour("FLT-24")
@pytest.mark.usefixtures("patient")
async def test_a_claim_that_saw_its_run_running_keeps_its_batch_and_the_cancelled_run_waits_for_it(
    keeper: PgFleetKeeper, gate: Connection
) -> None:
    run = await start(keeper.store, "hr-import")
    batch = await gate.fetchval("SELECT id FROM batch")
    async with gate.transaction():
        await gate.execute("SELECT FROM batch WHERE id = $1 FOR UPDATE", batch)
        claiming = asyncio.ensure_future(try_claim(keeper.store, IMPORT, BatchId(batch)))
        await all_wait(keeper.connection, 1)
        assert await keeper.store.cancel_run(run, "tester") is RunState.CANCELLING
    claimed = await claiming
    assert claimed is not None
    assert (await keeper.store.sweep(LEASE)).runs_ended == ()
    await plan(keeper.store, claimed, 3)
    assert (await keeper.store.sweep(LEASE)).runs_ended == (run,)
    assert await keeper.states(run) == {"done": 1, "cancelled": 3}


@pytest.mark.behaviour("FLT-24")
@pytest.mark.usefixtures("patient")
async def test_the_end_of_a_run_waits_for_a_claim_that_is_not_committed_yet(
    keeper: PgFleetKeeper, gate: Connection
) -> None:
    run = await start(keeper.store, "hr-import")
    point = Gate(gate)
    await point.before_update("batch", "NEW.state = 'leased'")
    claiming = asyncio.ensure_future(try_claim(keeper.store, IMPORT))
    await point.reached()
    await keeper.store.cancel_run(run, "tester")
    sweeping = asyncio.ensure_future(keeper.store.sweep(LEASE))
    behind = asyncio.ensure_future(all_wait(keeper.connection, 2))
    await asyncio.wait({sweeping, behind}, return_when=asyncio.FIRST_COMPLETED)
    await point.open()
    claimed = await claiming
    assert claimed is not None
    assert (await sweeping).runs_ended == ()
    behind.cancel()
    await keeper.pass_time(LEASE + 1)
    assert (await keeper.store.sweep(LEASE)).runs_ended == (run,)
    with pytest.raises(ClaimLost):
        await plan(keeper.store, claimed, 1)
    assert await keeper.states(run) == {"cancelled": 1}


@pytest.mark.behaviour("FLT-24")
@pytest.mark.usefixtures("patient")
async def test_a_claim_that_waited_for_a_batch_that_was_withdrawn_gets_nothing(
    keeper: PgFleetKeeper, gate: Connection
) -> None:
    run = await start(keeper.store, "hr-import")
    batch = await gate.fetchval("SELECT id FROM batch")
    async with gate.transaction():
        await gate.execute("SELECT FROM batch WHERE id = $1 FOR UPDATE", batch)
        claiming = asyncio.ensure_future(try_claim(keeper.store, IMPORT, BatchId(batch)))
        await all_wait(keeper.connection, 1)
        await gate.execute(sql("cancel_run"), run, "cancelled")
        assert await gate.fetchval(sql("withdraw_batches"), run) == 1
    assert await claiming is None
    assert (await keeper.store.sweep(LEASE)).runs_ended == (run,)
    assert await keeper.states(run) == {"cancelled": 1}


# --- relays and schedulers


@pytest.mark.behaviour("SCH-25")
async def test_of_two_schedulers_that_start_a_run_one_does(keeper: PgFleetKeeper, gate: Connection) -> None:
    await keeper.store.start_execution("hr-import", "tester")
    run = await gate.fetchval("SELECT id FROM run")
    lock = "SELECT FROM run WHERE id = $1 FOR UPDATE"
    swept = await released_together(keeper, gate, lock, run, *(keeper.store.sweep(LEASE) for _ in range(2)))
    assert sorted(one.runs_started for one in swept) == [(), (run,)]
    assert await gate.fetchval("SELECT count(*) FROM batch") == 1


@pytest.mark.behaviour("SCH-25")
async def test_of_two_schedulers_that_end_a_run_one_does(keeper: PgFleetKeeper, gate: Connection) -> None:
    run = await start(keeper.store, "hr-import")
    await keeper.store.cancel_run(run, "tester")
    lock = "SELECT FROM run WHERE id = $1 FOR UPDATE"
    swept = await released_together(keeper, gate, lock, run, *(keeper.store.sweep(LEASE) for _ in range(2)))
    assert sorted(one.runs_ended for one in swept) == [(), (run,)]


@pytest.mark.behaviour("SCH-25")
async def test_of_eight_schedulers_that_would_lead_one_does(keeper: PgFleetKeeper, gate: Connection) -> None:
    terms = await released_together(
        keeper,
        gate,
        "SELECT FROM fleet_term WHERE term >= $1 FOR UPDATE",
        0,
        *(keeper.store.lead(WorkerId(f"s{n}"), 15.0) for n in range(8)),
    )
    assert sum(term is not None for term in terms) == 1


@pytest.mark.behaviour("FLT-17")
async def test_eight_who_notice_a_wiped_bus_raise_its_epoch_by_one(keeper: PgFleetKeeper, gate: Connection) -> None:
    seen = await keeper.store.bus_epoch()
    raised = await released_together(
        keeper,
        gate,
        "SELECT FROM fleet_bus WHERE epoch >= $1 FOR UPDATE",
        0,
        *(keeper.store.raise_bus_epoch(seen) for _ in range(8)),
    )
    assert set(raised) == {seen + 1}


async def test_two_relays_at_once_mark_different_batches(keeper: PgFleetKeeper, gate: Connection) -> None:
    """The second neither waits for the first, which has not committed, nor repeats what that one marks."""
    await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 20)
    point = Gate(gate)
    await point.before_update("batch", "NEW.published_at IS NOT NULL")
    first = asyncio.ensure_future(keeper.store.due_hints(1, {IMPORT: 15}, 30.0))
    await point.reached()
    second = asyncio.ensure_future(keeper.store.due_hints(1, {IMPORT: 30}, 30.0))
    await point.reached(2)
    await point.open()
    told = [hint.batch for hints in (await first, await second) for hint in hints]
    assert len(told) == len(set(told)) == 20


async def test_a_relay_that_looked_before_another_had_marked_repeats_nothing(
    keeper: PgFleetKeeper, gate: Connection, late: PostgresStore
) -> None:
    await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 20)
    await keeper.store.due_hints(1, {IMPORT: 30}, 30.0)
    await keeper.pass_time(31)
    point = Gate(gate)
    await point.at_the_clock_of("late")
    looking = asyncio.ensure_future(late.due_hints(1, {IMPORT: 30}, 30.0))
    await point.reached()
    assert len(await keeper.store.due_hints(1, {IMPORT: 30}, 30.0)) == 20
    await point.open()
    assert await looking == []


class GatedBus(MemoryBus):
    """A bus on which a relay stays with its hints until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.let_go = asyncio.Event(), asyncio.Event()

    async def publish(self, hints: Mapping[WorkerKind, Sequence[Hint]], *, urgent: bool = False) -> int:
        self.reached.set()
        await self.let_go.wait()
        return await super().publish(hints, urgent=urgent)


async def test_a_relay_locks_nothing_while_it_talks_to_the_bus(keeper: PgFleetKeeper) -> None:
    await start(keeper.store, "hr-import")
    bus = GatedBus()
    await bus.connect()
    publishing = asyncio.ensure_future(Relay(keeper.store, bus, window=10, republish_after=30.0).publish())
    await bus.reached.wait()
    assert await try_claim(keeper.store, IMPORT) is not None
    bus.let_go.set()
    assert await publishing == 1


# --- what a person sees


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
