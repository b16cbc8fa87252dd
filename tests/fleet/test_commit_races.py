"""Commits that are late, in doubt or cut off, workers that freeze, zombies that wake, decisions that meet.

On a real PostgreSQL. Gates and wires (`gates.py`) hold a connection at a named point, inside COPY, inside COMMIT or in
the middle of a result, until everything that could do harm has happened; nothing waits for time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import asyncpg
import pytest
from tests.builders import a_new_mvo, an_mvo_write, expecting
from tests.fleet.gates import PATIENCE, Connection, Gate, Wire, all_wait, released_together
from tests.promises.fleet_keepers import LEASE, PgFleetKeeper, plan, start, take, try_claim
from tests.runtime.workbench import QuietReporter

from anabranch.bus.memory import MemoryBus
from anabranch.connectors.port import IncompleteRead
from anabranch.engine.compiled import Compiled
from anabranch.model.changes import Changes
from anabranch.model.enums import WorkerKind
from anabranch.model.errors import ClaimLost, Permanent, Retryable
from anabranch.model.fleet import Claimed
from anabranch.model.identity import ClaimId, MvoId, WorkerId
from anabranch.model.objects import Mvo
from anabranch.runtime.consumer import Consumer, Handlers
from anabranch.runtime.holding import Holding
from anabranch.runtime.relay import Relay
from anabranch.runtime.work import Task, write
from anabranch.store.batches import PgUnit, open_unit
from anabranch.store.faults import CommitUnknown, StoreUnavailable
from anabranch.store.pool import connect, open_pool
from anabranch.store.port import Reader, Unit
from anabranch.store.postgres import PostgresStore
from anabranch.store.workers import PgHeart
from anabranch.telemetry.local import LocalTelemetry

IMPORT = WorkerKind.IMPORT

# --- COMMIT without an answer

_END_COMMITS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'anabranch-commit/%'
"""


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


@pytest.mark.behaviour("FLT-12")
async def test_a_backend_killed_inside_its_commit_has_written_nothing(keeper: PgFleetKeeper, gate: Connection) -> None:
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    point = Gate(gate)
    await point.at_commit("batch", "NEW.state = 'done'")
    committing = asyncio.ensure_future(plan(keeper.store, claimed, 2))
    await point.reached()
    await keeper.connection.execute(_END_COMMITS)
    with pytest.raises(CommitUnknown):
        await committing
    await point.open()
    assert not await keeper.store.settle_unknown_commit(claimed)
    assert await keeper.states(claimed.run) == {"leased": 1}
    await plan(keeper.store, claimed, 2)
    assert await keeper.states(claimed.run) == {"done": 1, "ready": 2}


@pytest.mark.behaviour("FLT-12")
async def test_whoever_lost_the_answer_to_a_commit_waits_until_it_is_decided(
    keeper: PgFleetKeeper, gate: Connection, database: str
) -> None:
    """A plain read would see the row as it was before, and the batch would be done twice."""
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    point, wire = Gate(gate), Wire(database)
    await point.at_commit("batch", "NEW.state = 'done'")
    async with wire.open() as url:
        pool = await open_pool(url, "w1", most=1)
        committing = asyncio.ensure_future(_sealed(pool, claimed))
        await point.reached()
        wire.cut()
        with pytest.raises(CommitUnknown):
            await committing
        assert await keeper.states(claimed.run) == {"leased": 1}
        settling = asyncio.ensure_future(keeper.store.settle_unknown_commit(claimed))
        await all_wait(keeper.connection, 2)
        await point.open()
        assert await settling
        pool.terminate()


async def _sealed(pool: asyncpg.Pool[asyncpg.Record], claimed: Claimed) -> None:
    async with open_unit(pool, claimed) as unit:
        await unit.seal()
        await unit.done({})


# --- a commit that is late


@pytest.mark.behaviour("FLT-4")
async def test_a_batch_in_its_commit_is_not_taken_over_however_late_it_is(
    keeper: PgFleetKeeper, gate: Connection
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


@pytest.mark.behaviour("FLT-4", "FLT-7")
async def test_a_commit_longer_than_a_lease_is_left_to_a_worker_that_beats(
    keeper: PgFleetKeeper, gate: Connection, database: str
) -> None:
    """Neither the sweep nor a claimer ends it, and the end of its cancelled run waits for it."""
    run = await start(keeper.store, "hr-import")
    late = await take(keeper.store)
    heart = await _heart(database, keeper.store)
    point = Gate(gate)
    await point.at_commit("batch", "NEW.state = 'done'")
    committing = asyncio.ensure_future(plan(keeper.store, late, 0))
    await point.reached()
    await keeper.store.cancel_run(run, "tester")
    await keeper.pass_time(LEASE + 1)
    assert (await heart.beat(WorkerId("w1"), [late.claim], LEASE)).held == {late.claim}
    swept = await keeper.store.sweep(LEASE)
    assert (swept.backends_ended, swept.runs_ended) == (0, ())
    assert await try_claim(keeper.store, IMPORT, late.batch, "w2") is None
    await point.open()
    await committing
    await heart.close()
    assert (await keeper.store.sweep(LEASE)).runs_ended == (run,)
    assert await keeper.states(run) == {"done": 1}


@pytest.mark.behaviour("FLT-10", "FLT-18")
async def test_a_lease_that_ran_out_while_postgresql_was_away_counts_no_loss(keeper: PgFleetKeeper) -> None:
    await start(keeper.store, "hr-import")
    await take(keeper.store)
    # Over by now, also where the server has been up for less than a lease.
    await keeper.connection.execute(
        "UPDATE batch SET lease_until = pg_postmaster_start_time()"
        " + least(lease, clock_timestamp() - pg_postmaster_start_time()) / 2"
    )
    taken_over = await take(keeper.store, worker="w2")
    assert (taken_over.epoch, taken_over.losses) == (2, 0)
    await keeper.pass_time(LEASE + 1)
    assert (await take(keeper.store, worker="w3")).losses == 1


# --- heartbeat


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


async def test_a_worker_silent_for_an_hour_is_forgotten(keeper: PgFleetKeeper, database: str) -> None:
    await (await _heart(database, keeper.store)).close()
    await keeper.pass_time(3601)
    await keeper.store.sweep(LEASE)
    assert await keeper.store.overview.workers() == []


async def test_a_server_that_is_away_is_told_as_such() -> None:
    with pytest.raises(StoreUnavailable):
        await connect("postgresql://nobody@127.0.0.1:1/nothing", "w1")


# --- frozen workers

_FREEZES_IN_COPY = "query LIKE 'COPY %' AND wait_event = 'ClientRead' AND state = 'active'"
_FREEZES_IN_A_RESULT = "wait_event = 'ClientWrite'"
_BETWEEN = "state = 'idle in transaction'"
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'anabranch-commit/w1' AND "
_BIG = """
WITH made AS (
    INSERT INTO mvo (id, type_id, origin_key, doc, provenance)
    SELECT i, (SELECT min(id) FROM object_type), 'k' || i, jsonb_build_object('x', repeat('x', 1000000)), '{}'
    FROM generate_series(101, 148) i
    RETURNING id, type_id
)
INSERT INTO mvo_sync (mvo_id, type_id) SELECT id, type_id FROM made
"""
_BIG_ONES = [MvoId(n) for n in range(101, 149)]


async def _freeze_between(wire: Wire, _unit: PgUnit) -> None:
    wire.frozen = True


async def _freeze_in_copy(wire: Wire, unit: PgUnit) -> None:
    wire.freezes_after = b"COPY "
    await unit.persist(Changes(new_mvos=[a_new_mvo(7)]))


async def _freeze_in_a_result(wire: Wire, unit: PgUnit) -> None:
    await unit.mvos([MvoId(101)])  # from now on the statement is known, and asked for in one message
    wire.freezes_after = b""
    await unit.mvos(_BIG_ONES)


@pytest.mark.behaviour("FLT-7")
@pytest.mark.parametrize(
    ("freeze", "waits"),
    [
        pytest.param(_freeze_between, _BETWEEN, id="between two statements"),
        pytest.param(_freeze_in_copy, _FREEZES_IN_COPY, id="inside COPY"),
        pytest.param(_freeze_in_a_result, _FREEZES_IN_A_RESULT, id="while receiving a result"),
    ],
)
async def test_a_worker_frozen_in_its_transaction_is_cut_off_within_ten_seconds_and_writes_nothing_when_it_wakes(
    keeper: PgFleetKeeper, database: str, freeze: Callable[[Wire, PgUnit], Awaitable[None]], waits: str
) -> None:
    await start(keeper.store, "hr-import")
    claimed = await take(keeper.store)
    await keeper.connection.execute(_BIG)
    await (await _heart(database, keeper.store)).close()
    wire = Wire(database)
    async with wire.open() as url:
        pool = await open_pool(url, "w1", most=1)

        async def work() -> None:
            async with open_unit(pool, claimed) as unit:
                await _hold_the_transaction_open(unit)
                await freeze(wire, unit)
                await unit.persist(Changes(new_mvos=[a_new_mvo(8)]))
                await unit.seal()
                await unit.done({})

        working = asyncio.ensure_future(work())
        async with asyncio.timeout(PATIENCE):
            while not await keeper.connection.fetchval(_WAITING + waits):  # noqa: ASYNC110 - the server makes the fact
                await asyncio.sleep(0)
        assert await _seconds_until_cut_off(keeper) <= 10
        other = await take(keeper.store, batch=claimed.batch, worker="w2")
        await plan(keeper.store, other, 0)
        wire.thaw()
        with pytest.raises((StoreUnavailable, CommitUnknown)):
            await working
        pool.terminate()
    with pytest.raises(ClaimLost):
        await keeper.store.hand_back(claimed)
    assert await keeper.connection.fetchval("SELECT claim FROM batch WHERE id = $1", claimed.batch) == other.claim
    assert not await keeper.connection.fetchval("SELECT count(*) FROM mvo WHERE id IN (7, 8)")


async def _hold_the_transaction_open(unit: PgUnit) -> None:
    """The server's own limit would end an idle transaction after 4 s; here the peers are to do it."""
    await unit._connection.execute("SET LOCAL idle_in_transaction_session_timeout = '10min'")


async def _seconds_until_cut_off(keeper: PgFleetKeeper) -> int:
    """How long it takes on the clock of PostgreSQL while a scheduler sweeps once a second."""
    for second in range(1, 31):
        await keeper.pass_time(1)
        if (await keeper.store.sweep(LEASE)).backends_ended:
            return second
    raise AssertionError("nobody cut the frozen worker off")


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


# --- zombies


@pytest.mark.behaviour("FLT-4")
@pytest.mark.parametrize(
    "fault",
    [Retryable("late"), Permanent("late"), IncompleteRead("late"), StoreUnavailable("late"), ValueError("late")],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_zombie_that_wakes_in_its_exception_handler_changes_nothing(
    keeper: PgFleetKeeper, fault: Exception
) -> None:
    """Whatever went wrong in it, somebody else has done its batch meanwhile, and the run goes on."""
    run = await start(keeper.store, "hr-import")
    frozen, wakes = asyncio.Event(), asyncio.Event()

    async def work(task: Task) -> None:
        try:
            async with task.store.unit(task.claimed):
                raise fault
        except type(fault):
            frozen.set()
            await wakes.wait()
            raise

    consumer = _consumer(keeper.store, work)
    zombie = asyncio.ensure_future(consumer.run())
    await frozen.wait()
    await keeper.pass_time(LEASE + 1)
    other = await take(keeper.store, worker="w2")
    await plan(keeper.store, other, 1)
    before = await _rows(keeper)
    consumer.drain()
    wakes.set()
    await zombie
    assert await _rows(keeper) == before
    assert await keeper.states(run) == {"done": 1, "ready": 1}
    assert await keeper.connection.fetchval("SELECT state FROM run WHERE id = $1", run) == "running"


async def _rows(keeper: PgFleetKeeper) -> list[asyncpg.Record]:
    return [
        *await keeper.connection.fetch("SELECT * FROM batch ORDER BY id"),
        *await keeper.connection.fetch("SELECT * FROM batch_attempt ORDER BY batch_id, epoch"),
        *await keeper.connection.fetch("SELECT * FROM run"),
    ]


def _consumer(store: PostgresStore, work: Callable[[Task], Awaitable[None]]) -> Consumer:
    """A worker that polls, without heartbeat, and does `work` whatever the batch."""
    bus = MemoryBus()
    steps = ("import", "apply.propose")
    return Consumer(
        kind=IMPORT,
        worker=WorkerId("zombie"),
        name="zombie",
        store=store,
        bus=bus,
        relay=Relay(store, bus, window=10, republish_after=30.0),
        holding=Holding(),
        handlers=Handlers(plans=dict.fromkeys(steps, work), work=dict.fromkeys(steps, work)),
        compiled=_nothing_compiled,
        reporter=QuietReporter(LocalTelemetry(), store.overview, bus),
        lease=LEASE,
        idle_poll=0.0,
    )


async def _nothing_compiled(_version: int) -> Compiled:
    return cast(Compiled, None)


# --- decisions


@pytest.mark.behaviour("FLT-4")
async def test_of_eight_decisions_over_one_version_each_sees_the_one_before(
    keeper: PgFleetKeeper, gate: Connection
) -> None:
    """All have read the same and wait for the same row; each is decided again over what the others wrote."""
    await start(keeper.store, "hr-import")
    await plan(keeper.store, await take(keeper.store), 8)
    held = [await take(keeper.store, worker=f"w{n}") for n in range(8)]
    async with keeper.store.unit(held[0]) as unit:
        await unit.persist(Changes(new_mvos=[a_new_mvo(1)], mvos=[an_mvo_write(1, doc={"n": 0})]))
        await unit.advance({}, {})

    async def load(reader: Reader) -> list[Mvo]:
        return await reader.mvos([MvoId(1)])

    def decide(loaded: list[Mvo]) -> Changes:
        (mvo,) = loaded
        return expecting(mvo, mvos=[an_mvo_write(1, doc={"n": mvo.doc["n"] + 1})])

    async with keeper.store.reader() as reader:
        decided = decide(await load(reader))

    async def commit(claimed: Claimed) -> None:
        async with keeper.store.unit(claimed) as unit:
            await write(cast(Unit, unit), load, decide, decided)
            await unit.done({})

    lock = "SELECT FROM mvo WHERE id = $1 FOR UPDATE"
    await released_together(keeper, gate, lock, 1, *(commit(claimed) for claimed in held))
    async with keeper.store.reader() as reader:
        (mvo,) = await load(reader)
    assert mvo.doc == {"n": 8}
