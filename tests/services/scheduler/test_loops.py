"""The scheduler's loops: what is due starts, what nobody closed is closed, what belongs to nobody is tidied away."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.promises.fleet_keepers import LEASE, end, plan, take
from tests.runtime.workbench import Bench, QuietReporter, applied

from anabranch.bus.port import DeadLetter
from anabranch.model.enums import BatchState, RunState, WorkerKind
from anabranch.model.errors import Retryable
from anabranch.model.fleet import Swept
from anabranch.model.identity import BatchId, ExecutionId, RunId, WorkerId
from anabranch.runtime.service import Surroundings
from anabranch.scheduler import handler
from anabranch.scheduler.handler import Publishing, Sweep, Watch
from anabranch.scheduler.settings import Settings
from anabranch.store.overview import DeadLine, Overview, QueueLine

SETTINGS = Settings(
    database_url="postgresql://nobody@127.0.0.1/nothing", redis_url="redis://127.0.0.1", lease_seconds=LEASE
)
IMPORT = WorkerKind.IMPORT


class Overseen:
    """What a loop asks of the overview: there are no rows to tell about, but dead batches."""

    def __init__(self) -> None:
        self.dead: list[DeadLine] = []

    async def dead_batches(self) -> list[DeadLine]:
        return self.dead

    async def queue(self) -> list[QueueLine]:
        return []

    async def run(self, run: RunId) -> None:
        return None

    async def execution(self, execution: int) -> None:
        return None


@pytest.fixture
async def bench() -> Bench:
    return await applied(Bench())


def _around(bench: Bench, worker: str = "scheduler-1") -> Surroundings:
    overview = Overseen()
    bench.store.overview = overview  # type: ignore[attr-defined]
    found: Any = SimpleNamespace(
        store=bench.store,
        bus=bench.bus,
        relay=bench.relay,
        telemetry=bench.telemetry,
        worker=worker,
        reporter=QuietReporter(bench.telemetry, cast(Overview, overview), bench.bus),
    )
    return cast(Surroundings, found)


async def test_a_sweep_starts_queued_runs_and_the_relay_publishes_their_plans(bench: Bench) -> None:
    await bench.store.start_execution("hr-import", "tester")
    await Sweep(_around(bench), SETTINGS).round()
    await Publishing(_around(bench), SETTINGS).round()
    assert [row.state for row in bench.batches()] == [BatchState.READY]
    assert await bench.bus.depth(IMPORT) == 1


async def test_what_was_asked_for_does_not_wait_for_a_sweep(bench: Bench) -> None:
    await bench.store.start_execution("hr-import", "tester")
    await Publishing(_around(bench), SETTINGS).round()
    assert [row.state for row in bench.batches()] == [BatchState.READY]
    assert await bench.bus.depth(IMPORT) == 1


async def test_an_end_that_could_not_be_told_is_told_in_the_next_round(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    async def tell(_telemetry: object, _overview: object, execution: ExecutionId) -> None:
        told.append(execution)
        if len(told) == 1:
            raise Retryable("PostgreSQL is away")

    monkeypatch.setattr(handler, "execution_span", tell)
    ended = iter([Swept(executions_ended=(ExecutionId(7),)), Swept(executions_ended=(ExecutionId(8),))])

    async def move_on() -> Swept:
        return next(ended)

    monkeypatch.setattr(bench.store, "move_on", move_on)
    publishing = Publishing(_around(bench), SETTINGS)
    with pytest.raises(Retryable):
        await publishing.round()
    await publishing.round()
    assert told == [7, 7, 8]


@pytest.mark.behaviour("FLT-8")
async def test_a_sweep_closes_the_step_whose_last_finisher_died_before_it_could(bench: Bench) -> None:
    run = await bench.start("hr-import")
    await plan(bench.store, await take(bench.store), 1)
    await end(bench.store, await take(bench.store))
    await Sweep(_around(bench), SETTINGS).round()
    assert {
        ordinal: step.closed_at is not None for (of, ordinal), step in bench.store.tables.steps.items() if of == run
    } == {
        1: True,
        2: False,
    }


@pytest.mark.behaviour("FLT-24")
async def test_a_sweep_ends_a_cancelled_run_once_nobody_holds_a_batch_of_it(bench: Bench) -> None:
    run = await bench.start("hr-import")
    held = await take(bench.store)
    await bench.store.cancel_run(run, "tester")
    sweep = Sweep(_around(bench), SETTINGS)
    await sweep.round()
    assert bench.store.tables.runs[run].state is RunState.CANCELLING
    await bench.store.hand_back(held)
    await sweep.round()
    assert bench.store.tables.runs[run].state is RunState.CANCELLED


@pytest.mark.behaviour("FLT-25")
async def test_a_run_that_ended_is_told_though_postgresql_was_away_when_it_was_to_be_told(bench: Bench) -> None:
    asked: list[RunId] = []

    class Away(Overseen):
        async def run(self, run: RunId) -> None:
            asked.append(run)
            if len(asked) == 1:
                raise Retryable("the server is away")

    run = await bench.start("hr-import")
    await bench.store.cancel_run(run, "tester")
    around = _around(bench)
    bench.store.overview = Away()  # type: ignore[attr-defined]
    sweep = Sweep(around, SETTINGS)
    with pytest.raises(Retryable):
        await sweep.round()
    assert bench.store.tables.runs[run].state is RunState.CANCELLED
    await sweep.round()
    await sweep.round()
    assert asked == [run, run]


async def test_two_schedulers_have_one_leader_and_the_other_takes_over_when_its_lease_ends(bench: Bench) -> None:
    first, second = Sweep(_around(bench, "a"), SETTINGS), Sweep(_around(bench, "b"), SETTINGS)
    for sweep in (first, second, first):
        await sweep.round()
    assert bench.store.term == 1
    bench.clock.now += timedelta(seconds=16)
    await second.round()
    assert bench.store.term == 2
    assert await bench.store.lead(WorkerId("a"), 15.0) is None


async def test_a_loop_goes_on_after_a_fault_that_may_pass(bench: Bench) -> None:
    told: list[str | None] = []

    class Faulty(Publishing):
        async def round(self) -> None:
            told.append(self.fault)
            if len(told) == 1:
                raise Retryable("the server is away")
            if len(told) == 3:
                self.drain()

    settings = Settings(database_url=SETTINGS.database_url, redis_url=SETTINGS.redis_url, sweep_seconds=0.05)
    await asyncio.wait_for(Faulty(_around(bench), settings).run(), 10)
    assert told == [None, "the server is away", None]


async def test_dead_batches_are_shown_on_the_bus_as_long_as_they_are_dead(bench: Bench) -> None:
    around = _around(bench)
    dead = DeadLine(
        batch=BatchId(7),
        run=RunId(1),
        phase="import",
        worker_kind=IMPORT,
        system="hr",
        system_id=1,
        failures=5,
        losses=0,
        error="secret value",
        payload={},
        ended_at=None,
    )
    watch = Watch(around, SETTINGS)
    cast(Overseen, around.store.overview).dead = [dead]
    await watch.round()
    await watch.round()
    assert await bench.bus.list_dead(IMPORT) == [DeadLetter(batch=7, run=1, system="hr", phase="import", error="dead")]
    cast(Overseen, around.store.overview).dead = []
    await watch.round()
    assert await bench.bus.list_dead(IMPORT) == []
