"""The heartbeat's thread: a worker that computes keeps its batch, and one that has lost it learns so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest
from tests.promises.fleet_keepers import a_configuration, apply
from tests.runtime.workbench import Bench, applied

from anabranch.model.enums import WorkerKind
from anabranch.model.errors import ClaimLost
from anabranch.model.fleet import Beat, Claimed
from anabranch.model.identity import BatchId, ClaimId, WorkerId
from anabranch.runtime import holding as holding_module
from anabranch.runtime.clock import monotonic
from anabranch.runtime.heartbeat import Heartbeat
from anabranch.runtime.holding import Hold, Holding
from anabranch.store.port import Heart
from anabranch.store.postgres import PostgresStore

LEASE = 0.6
WORKER = WorkerId("busy")


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    made = await PostgresStore.open(database, WORKER, connections=3)
    await apply(made, a_configuration())
    await made.register_worker(WORKER, "import", "1", "boot", "host", 1)
    yield made
    await made.close()


async def _claimed(store: PostgresStore) -> Claimed:
    await store.start_execution("hr-import", "tester")
    await store.sweep(LEASE)
    claimed = await store.claim(WorkerKind.IMPORT, WORKER, ClaimId("mine"), "s1", LEASE, None)
    assert claimed is not None
    return claimed


class Rival:
    """Another worker, in a thread of its own, that tries to take a batch again and again."""

    def __init__(self, database: str, batch: BatchId) -> None:
        self._database = database
        self._batch = batch
        self._stop = threading.Event()
        self.tries = 0
        self.taken = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._try()))
        self._thread.start()

    async def _try(self) -> None:
        store = await PostgresStore.open(self._database, WorkerId("rival"), connections=1)
        try:
            while not self._stop.is_set() and not self.taken:
                claim = ClaimId(f"theirs-{self.tries}")
                given = await store.claim(WorkerKind.IMPORT, WorkerId("rival"), claim, "s2", LEASE, self._batch)
                self.taken = given is not None
                self.tries += 1
        finally:
            await store.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)


def _block_event_loop(until: Callable[[], bool]) -> None:
    """Nothing else runs on this thread's event loop until the fact holds."""
    deadline = monotonic() + 30
    waiting = threading.Event()
    while not until():
        assert monotonic() < deadline
        waiting.wait(0.01)


def _beating(store: PostgresStore, holding: Holding, faults: list[BaseException]) -> Heartbeat:
    return Heartbeat(open_heart=store.open_heart, holding=holding, worker=WORKER, lease=LEASE, on_fault=faults.append)


@pytest.mark.behaviour("FLT-6")
async def test_a_handler_that_blocks_the_event_loop_for_three_leases_keeps_its_batch(
    store: PostgresStore, database: str
) -> None:
    claimed, faults = await _claimed(store), list[BaseException]()
    holding = Holding()
    hold = holding.add(claimed, monotonic() + LEASE)
    heartbeat = _beating(store, holding, faults)
    heartbeat.start()
    rival, blocked_at = Rival(database, claimed.batch), monotonic()
    try:
        _block_event_loop(lambda: heartbeat.last_beat > blocked_at + 3 * LEASE and rival.tries > 10)
    finally:
        rival.stop()
    hold.check()
    async with store.unit(claimed) as unit:
        await unit.seal()
        await unit.done({})
    heartbeat.stop()
    assert not rival.taken
    assert faults == []


@pytest.mark.behaviour("FLT-4", "FLT-6")
async def test_without_a_heartbeat_the_same_handler_loses_its_batch_and_writes_nothing(
    store: PostgresStore, database: str
) -> None:
    claimed = await _claimed(store)
    hold = Holding().add(claimed, monotonic() + LEASE)
    rival = Rival(database, claimed.batch)
    try:
        _block_event_loop(lambda: rival.taken)
    finally:
        rival.stop()
    with pytest.raises(ClaimLost):
        hold.check()
    with pytest.raises(ClaimLost):
        async with store.unit(claimed) as unit:
            await unit.done({})


async def test_a_beat_tells_its_holder_that_a_claim_was_taken(store: PostgresStore, database: str) -> None:
    claimed, faults = await _claimed(store), list[BaseException]()
    connection = await asyncpg.connect(database)
    await connection.execute("UPDATE batch SET claim = 'theirs', owner = 'rival' WHERE id = $1", claimed.batch)
    await connection.close()
    holding = Holding()
    hold = holding.add(claimed, monotonic() + 3600)
    heartbeat = _beating(store, holding, faults)
    heartbeat.start()
    await asyncio.to_thread(_block_event_loop, lambda: hold.lost)
    heartbeat.stop()
    assert holding.to_renew() == []
    with pytest.raises(ClaimLost):
        hold.check()


# --- without a server


class LameHeart:
    """Every second beat fails; counts what was opened and closed."""

    opened = 0
    closed = 0
    beats = 0

    async def open(self) -> Heart:
        self.opened += 1
        return self

    async def beat(self, worker: WorkerId, claims: list[ClaimId], lease: float) -> Beat:
        self.beats += 1
        if self.beats % 2 == 0:
            raise ConnectionError("gone")
        return Beat(frozenset(claims), frozenset())

    async def close(self) -> None:
        self.closed += 1


async def test_a_beat_that_fails_is_told_and_the_next_one_has_a_new_connection() -> None:
    faults: list[BaseException] = []
    lame = LameHeart()
    heartbeat = Heartbeat(open_heart=lame.open, holding=Holding(), worker=WORKER, lease=0.04, on_fault=faults.append)
    heartbeat.start()
    heartbeat.start()
    await asyncio.to_thread(_block_event_loop, lambda: lame.beats >= 5)
    heartbeat.stop()
    heartbeat.stop()
    assert {type(fault) for fault in faults} == {ConnectionError}
    assert lame.opened == lame.closed >= 2


@pytest.fixture
async def hold() -> tuple[Holding, Hold]:
    bench = await applied(Bench())
    await bench.start("hr-import")
    claimed = await bench.store.claim(WorkerKind.IMPORT, WORKER, ClaimId("c"), "s", 6.0, None)
    assert claimed is not None
    holding = Holding()
    return holding, holding.add(claimed, monotonic() + 6.0)


@pytest.mark.behaviour("FLT-6")
def test_work_that_does_not_move_for_five_minutes_is_not_renewed(
    hold: tuple[Holding, Hold], monkeypatch: pytest.MonkeyPatch
) -> None:
    holding, held = hold
    moved_at = held.moved_at
    monkeypatch.setattr(holding_module, "monotonic", lambda: moved_at + 299)
    assert holding.to_renew() == [held.claimed.claim]
    monkeypatch.setattr(holding_module, "monotonic", lambda: moved_at + 301)
    assert holding.to_renew() == []
    held.progress()
    assert holding.to_renew() == [held.claimed.claim]


@pytest.mark.behaviour("FLT-6", "FLT-16")
def test_a_worker_that_cannot_renew_stops_by_its_own_clock(
    hold: tuple[Holding, Hold], monkeypatch: pytest.MonkeyPatch
) -> None:
    holding, held = hold
    held.check()
    end = held.trusted_until
    monkeypatch.setattr(holding_module, "monotonic", lambda: end)
    with pytest.raises(ClaimLost):
        held.check()
    holding.renewed(frozenset({held.claimed.claim}), end + 6)
    held.check()
