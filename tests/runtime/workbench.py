"""One consumer at a bench: the store and the bus in memory, time that a test moves, handlers that a test writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import cast

import pytest
from tests.promises.fleet_keepers import LEASE, a_configuration, apply
from tests.promises.memory_keepers import MovableClock

from anabranch.bus.memory import MemoryBus
from anabranch.engine.compiled import Compiled
from anabranch.model.enums import BatchState, WorkerKind
from anabranch.model.fleet import Claimed, Closed, NewBatch
from anabranch.model.identity import ExecutionId, RunId, WorkerId
from anabranch.protocol.batches import BatchRecord
from anabranch.runtime import consumer as consumer_module
from anabranch.runtime.consumer import Consumer, Handler, Handlers
from anabranch.runtime.holding import Holding
from anabranch.runtime.relay import Relay
from anabranch.runtime.reporting import Reporter
from anabranch.runtime.work import Task, plan
from anabranch.store.memory import MemoryStore
from anabranch.store.overview import Overview
from anabranch.telemetry.local import LocalTelemetry

WORKER = WorkerId("worker-1")


class QuietReporter(Reporter):
    """Tells figures; there is no database whose rows could be told as spans of steps."""

    async def step_closed(self, closed: Closed) -> None:
        return None

    async def executions_ended(self, executions: Sequence[ExecutionId]) -> None:
        return None


class Bench:
    """What a test looks at: `store`, `bus`, `clock`, `telemetry`, and what was worked on."""

    def __init__(self, store: type[MemoryStore] = MemoryStore, bus: MemoryBus | None = None) -> None:
        self.clock = MovableClock()
        self.store = store(self.clock)
        self.bus = bus or MemoryBus()
        self.holding = Holding()
        self.telemetry = LocalTelemetry()
        self.relay = Relay(self.store, self.bus, window=1000, republish_after=30.0)

    def consumer(
        self,
        work: Handler,
        *,
        plans: Handler | None = None,
        kind: WorkerKind = WorkerKind.IMPORT,
        name: str = WORKER,
        idle_poll: float = 0.01,
    ) -> Consumer:
        """A consumer of the kind; without `plans` every step is planned empty."""
        return Consumer(
            kind=kind,
            worker=WORKER,
            name=name,
            store=self.store,
            bus=self.bus,
            relay=self.relay,
            holding=self.holding,
            handlers=Handlers(plans=_Always(plans or plan_of()), work=_Always(work)),
            compiled=_nothing_compiled,
            reporter=QuietReporter(self.telemetry, cast(Overview, None), self.bus),
            lease=LEASE,
            idle_poll=idle_poll,
        )

    async def start(self, profile: str) -> RunId:
        """The run of a profile has started; its first plan waits."""
        await self.store.start_execution(profile, "tester")
        (run,) = (await self.store.sweep(LEASE)).runs_started
        return run

    def batches(self, state: BatchState | None = None) -> list[BatchRecord]:
        rows = sorted(self.store.tables.batches.values(), key=lambda row: row.id)
        return [row for row in rows if state in (None, row.state)]

    def work(self) -> list[BatchRecord]:
        """The batches that are no plans, in order."""
        return [row for row in self.batches() if not row.is_plan]

    async def until(self, fact: Callable[[], bool], *, moving_time: bool = False) -> None:
        """The fact holds; with `moving_time` a minute passes between two looks."""
        async with asyncio.timeout(20):
            while not fact():
                if moving_time:
                    self.clock.now += timedelta(minutes=1)
                await asyncio.sleep(0)


class _Always(Mapping[str, Handler]):
    """One handler for whatever step."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def __getitem__(self, step: str) -> Handler:
        return self._handler

    def __iter__(self) -> object:  # type: ignore[override]  # nobody asks which steps there are
        raise NotImplementedError

    def __len__(self) -> int:
        return 1


async def _nothing_compiled(_version: int) -> Compiled:
    return cast(Compiled, None)


def plan_of(*batches: NewBatch, step: str = "") -> Handler:
    """A plan of these batches for the named step; every other step is planned empty."""

    async def handler(task: Task) -> None:
        await plan(task, batches if task.claimed.step == step else [])

    return handler


async def finish(task: Task) -> None:
    """A batch that has nothing to write."""
    async with task.store.unit(task.claimed) as unit:
        await unit.done({})


async def unexpected(task: Task) -> None:
    raise AssertionError(f"nobody expected batch {task.claimed}")


@asynccontextmanager
async def at_work(*consumers: Consumer) -> AsyncIterator[list[asyncio.Task[None]]]:
    """The consumers run; at the end they have drained."""
    tasks = [asyncio.create_task(one.run(), name=one.name) for one in consumers]
    try:
        yield tasks
    finally:
        for one in consumers:
            one.drain()
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks, return_exceptions=False)


async def applied(bench: Bench) -> Bench:
    """The bench with a small configuration."""
    await apply(bench.store, a_configuration())
    return bench


def quick_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read of the bus waits for 5 ms only, and a store that is away is asked again at once."""
    monkeypatch.setattr(consumer_module, "_BLOCK_MS", 5)
    monkeypatch.setattr(consumer_module, "_STORE_AWAY_PAUSE", 0.01)
    monkeypatch.setattr(consumer_module, "_CONTENDED_PAUSE", 0.01)


def ranged(n: int, lo: int, hi: int) -> NewBatch:
    """A batch of every number of a range."""
    return NewBatch(n=n, payload={"lo": lo, "hi": hi}, total=hi - lo + 1)


def numbers(claimed: Claimed) -> set[int]:
    """What a batch of `ranged` is about."""
    return set(range(claimed.payload["lo"], claimed.payload["hi"] + 1))
