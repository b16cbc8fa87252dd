"""The worker's loop: hints only say where to look, the claim decides, and nothing that fails loses work."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest
from tests.promises.fleet_keepers import LEASE
from tests.runtime.workbench import WORKER, Bench, applied, at_work, finish, plan_of, quick_reads, ranged, unexpected

from anabranch.bus.envelope import UnknownVersion
from anabranch.bus.memory import MemoryBus
from anabranch.bus.port import Delivery
from anabranch.model.enums import BatchState, WorkerKind
from anabranch.model.fleet import Claimed
from anabranch.model.identity import BatchId, ClaimId, WorkerId
from anabranch.protocol.batches import BatchRecord
from anabranch.runtime.work import Task
from anabranch.store.faults import CommitUnknown, Contended, StoreUnavailable
from anabranch.store.memory import MemoryStore
from anabranch.store.port import Unit
from anabranch.telemetry.instruments import Metric
from anabranch.telemetry.logs import configure_logs

IMPORT = WorkerKind.IMPORT


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_reads(monkeypatch)


@pytest.fixture
async def bench() -> Bench:
    return await applied(Bench())


def _all_done(bench: Bench) -> bool:
    rows = bench.batches()
    return bool(rows) and all(row.state is BatchState.DONE for row in rows) and len(rows) == 7


# --- where work comes from


@pytest.mark.behaviour("FLT-17")
async def test_a_worker_that_hears_nothing_asks_the_store(bench: Bench) -> None:
    await bench.start("hr-import")
    async with at_work(bench.consumer(unexpected)):
        await bench.until(lambda: _all_done(bench))


@pytest.mark.behaviour("FLT-17")
async def test_with_the_bus_away_work_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anabranch.runtime.consumer._BUS_AWAY_POLL", 0.01)
    bench.bus.away = True
    await bench.start("hr-import")
    consumer = bench.consumer(unexpected, idle_poll=3600)
    async with at_work(consumer):
        await bench.until(lambda: _all_done(bench))
        assert consumer.bus_away
    assert bench.telemetry.measurements.prometheus_text().count("anabranch_bus_mode 0")


@pytest.mark.behaviour("SCH-13")
async def test_a_worker_that_ends_a_run_starts_and_publishes_what_waited_for_it(bench: Bench) -> None:
    await bench.store.start_execution("imports", "tester")
    imports = (await bench.store.sweep(LEASE)).runs_started

    def syncs() -> list[BatchRecord]:
        return [row for row in bench.batches() if row.run not in imports]

    async with at_work(bench.consumer(unexpected)):
        await bench.until(lambda: bool(syncs()))
    assert await bench.bus.depth(WorkerKind.SYNC) == 1
    assert [(row.is_plan, row.state) for row in syncs()] == [(True, BatchState.READY)]


@pytest.mark.behaviour("FLT-25")
async def test_what_a_handler_logs_lies_in_the_span_of_its_attempt(bench: Bench) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logs("anabranch-import-worker", style="json", stream=stream)

    async def tell(task: Task) -> None:
        logging.getLogger("anabranch.test").warning("seen by %s", task.claimed.batch)
        await plan_of()(task)

    try:
        await bench.start("hr-import")
        (row,) = bench.batches()
        async with at_work(bench.consumer(unexpected, plans=tell)):
            await bench.until(lambda: _all_done(bench))
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    (record,) = [one for one in told if one["message"] == f"seen by {row.id}"]
    attempt = bench.store.tables.attempts[row.id, 1]
    (execution,) = bench.store.tables.executions.values()
    assert (record["trace_id"], record["span_id"]) == (execution.trace_id, attempt.span_id)
    assert (record["batch"], record["phase"], record["attempt"]) == (row.id, "1.import", 1)


async def test_a_hint_starts_work_long_before_the_next_poll(bench: Bench) -> None:
    await bench.start("hr-import")
    await bench.relay.publish()
    async with at_work(bench.consumer(unexpected, idle_poll=3600)):
        await bench.until(lambda: _all_done(bench))
    assert await bench.bus.depth(IMPORT) == 0


@pytest.mark.behaviour("FLT-2")
async def test_a_hint_about_a_batch_that_is_done_is_acknowledged_and_nothing_else_happens(bench: Bench) -> None:
    await bench.start("hr-import")
    await bench.relay.publish()
    (row,) = bench.batches()
    taken = await bench.store.claim(IMPORT, WorkerId("other"), ClaimId("c1"), "s1", LEASE, row.id)
    assert taken is not None
    async with bench.store.unit(taken) as unit:
        await unit.seal()
        await unit.done({})
    async with at_work(bench.consumer(unexpected, idle_poll=3600)):
        await bench.until(lambda: not bench.bus._lanes[IMPORT, False].entries)
    assert bench.store.tables.batches[row.id].epoch == 1
    assert bench.telemetry.measurements.value(Metric.HINTS_STALE, worker_kind=IMPORT.value) == 1


class NewerHints(MemoryBus):
    """A bus on which a newer program has left its hints: they are read as such, and stay."""

    def __init__(self) -> None:
        super().__init__()
        self.handed_back = 0

    async def read(self, kind: WorkerKind, consumer: str, count: int, block_ms: int) -> list[Delivery]:
        found = await super().read(kind, consumer, count, block_ms)
        return [Delivery(one.kind, one.urgent, one.entry, fault=UnknownVersion("9")) for one in found]

    async def hand_back(self, deliveries: object) -> int:
        self.handed_back += 1
        return await super().hand_back(deliveries)  # type: ignore[arg-type]


@pytest.mark.behaviour("FLT-22")
async def test_a_hint_of_an_unknown_version_is_handed_back_for_a_newer_worker() -> None:
    bus = NewerHints()
    bench = await applied(Bench(bus=bus))
    await bench.start("hr-import")
    await bench.relay.publish()
    async with at_work(bench.consumer(unexpected, idle_poll=3600)):
        await bench.until(lambda: bus.handed_back == 1)
        assert await bus.depth(IMPORT) == 1
    assert [row.state for row in bench.batches()] == [BatchState.READY]


# --- answers that are lost


class LosesAnswers(MemoryStore):
    """Commits, and loses the answer of the first commit."""

    lost = 0

    @asynccontextmanager
    async def _unit(self, claimed: Claimed) -> AsyncIterator[Unit]:
        async with super().unit(claimed) as unit:
            yield unit
        if not self.lost:
            self.lost = 1
            raise CommitUnknown("the answer to COMMIT is missing")

    def unit(self, claimed: Claimed) -> AbstractAsyncContextManager[Unit]:
        return self._unit(claimed)


@pytest.mark.behaviour("FLT-12")
async def test_a_commit_whose_answer_is_lost_counts_as_done_when_the_row_says_so() -> None:
    bench = await applied(Bench(LosesAnswers))
    await bench.start("hr-import")
    async with at_work(bench.consumer(unexpected)):
        await bench.until(lambda: _all_done(bench))
    assert bench.batches()[0].epoch == 1


class LosesClaims(MemoryStore):
    """Gives the first claim, and loses the answer."""

    lost = 0

    async def claim(
        self, kind: WorkerKind, worker: WorkerId, claim: ClaimId, span_id: str, lease: float, batch: BatchId | None
    ) -> Claimed | None:
        claimed = await super().claim(kind, worker, claim, span_id, lease, batch)
        if claimed is not None and not self.lost:
            self.lost = 1
            raise StoreUnavailable("no answer")
        return claimed


@pytest.mark.behaviour("FLT-3")
async def test_a_claim_whose_answer_is_lost_is_no_lost_batch() -> None:
    bench = await applied(Bench(LosesClaims))
    await bench.start("hr-import")
    async with at_work(bench.consumer(unexpected)):
        await bench.until(lambda: _all_done(bench))
    assert (bench.batches()[0].epoch, bench.batches()[0].losses) == (1, 0)


class ContendedOnce(MemoryStore):
    """Another transaction is in the way of the first claim."""

    met = 0

    async def claim(
        self, kind: WorkerKind, worker: WorkerId, claim: ClaimId, span_id: str, lease: float, batch: BatchId | None
    ) -> Claimed | None:
        if not self.met:
            self.met = 1
            raise Contended("deadlock")
        return await super().claim(kind, worker, claim, span_id, lease, batch)


@pytest.mark.behaviour("FLT-12")
async def test_a_deadlock_while_claiming_does_not_end_the_worker() -> None:
    bench = await applied(Bench(ContendedOnce))
    await bench.start("hr-import")
    async with at_work(bench.consumer(unexpected)):
        await bench.until(lambda: _all_done(bench))


async def test_a_deadlock_in_a_commit_repeats_the_batch_and_counts_nothing(bench: Bench) -> None:
    await bench.start("hr-import")
    met: list[int] = []

    async def once_contended(task: Task) -> None:
        met.append(task.claimed.failures)
        if len(met) == 1:
            raise Contended("deadlock")
        await finish(task)

    async with at_work(bench.consumer(once_contended, plans=plan_of(ranged(1, 1, 1), step="import"))):
        await bench.until(lambda: len(met) == 2, moving_time=True)
    assert met == [0, 0]


# --- ending


@pytest.mark.behaviour("FLT-21")
async def test_a_batch_cut_short_by_the_drain_goes_back_and_counts_nothing(bench: Bench) -> None:
    await bench.start("hr-import")
    begun = asyncio.Event()

    async def for_ever(task: Task) -> None:
        begun.set()
        await asyncio.Event().wait()

    consumer = bench.consumer(for_ever, plans=plan_of(ranged(1, 1, 1), step="import"))
    task = asyncio.create_task(consumer.run())
    await asyncio.wait_for(begun.wait(), 10)
    consumer.drain()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (row,) = bench.work()
    assert (row.state, row.failures, row.losses) == (BatchState.READY, 0, 0)
    assert len(bench.holding) == 0


@pytest.mark.behaviour("FLT-21")
async def test_a_worker_asked_to_stop_takes_no_further_plan(bench: Bench) -> None:
    await bench.start("hr-import")

    async def last(task: Task) -> None:
        consumer.drain()
        await finish(task)

    consumer = bench.consumer(last, plans=plan_of(ranged(1, 1, 1), step="import"))
    await asyncio.wait_for(consumer.run(), 10)
    assert [row.state for row in bench.batches()] == [BatchState.DONE, BatchState.DONE, BatchState.READY]


# --- several at once


@pytest.mark.behaviour("FLT-6")
async def test_the_heartbeat_of_a_process_renews_the_batches_of_all_its_consumers(bench: Bench) -> None:
    await bench.start("hr-import")
    go_on, begun = asyncio.Event(), []

    async def wait(task: Task) -> None:
        begun.append(task.claimed.batch)
        await go_on.wait()
        await finish(task)

    both = plan_of(ranged(1, 1, 1), ranged(2, 2, 2), step="import")
    consumers = [bench.consumer(wait, plans=both, name=f"{WORKER}-{n}") for n in range(2)]
    async with at_work(*consumers):
        await bench.until(lambda: len(begun) == 2)
        bench.clock.now += timedelta(seconds=LEASE - 1)
        beat = bench.store.renew(WORKER, bench.holding.to_renew(), LEASE)
        go_on.set()
    assert len(beat.held) == 2
    assert beat.lost == frozenset()
