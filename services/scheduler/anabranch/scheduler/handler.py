"""The scheduler's loops: each small, each with one job, none of them in the way of the others.

The sweep is the backstop of everything: it starts queued runs whose turn it is, closes steps that nobody closed, brings
ending runs to their end and cuts off workers that froze. It runs in every scheduler, because all it does is safe to do
twice; the leader's lease only says who is asked first. The relay publishes what is due, and starts what was asked for
since the last look, so that nobody waits for a sweep. The watch removes from Redis what belongs to nobody any more.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from anabranch.bus.port import Bus, BusUnavailable, DeadLetter
from anabranch.model.enums import WorkerKind
from anabranch.model.errors import Retryable
from anabranch.model.fleet import Swept
from anabranch.model.identity import ExecutionId
from anabranch.runtime.clock import monotonic
from anabranch.runtime.service import Surroundings
from anabranch.runtime.spans import execution_span, run_span, spans_left_behind
from anabranch.scheduler.settings import Settings
from anabranch.store.overview import Overview
from anabranch.store.port import Store
from anabranch.telemetry.instruments import Metric
from anabranch.telemetry.port import Telemetry

LOG = logging.getLogger("anabranch.scheduler")
_CONSUMER_SILENT_MS = 60_000
_RECLAIM_IDLE_MS = 120_000


class _Every:
    """A loop that does one thing every few seconds until it is drained; a Retryable fault is told and tried again."""

    def __init__(self, around: Surroundings, seconds: float) -> None:
        self.around = around
        self.moved_at = monotonic()
        self.fault: str | None = None
        self._seconds = seconds
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """The loop ends after the round it is in."""
        self._draining.set()

    async def run(self) -> None:
        """Round after round, until drained."""
        while not self._draining.is_set():
            self.moved_at = monotonic()
            try:
                await self.round()
                self.fault = None
            except Retryable as fault:
                if self.fault is None:
                    LOG.warning("%s", fault)
                self.fault = str(fault)
            try:
                await asyncio.wait_for(self._draining.wait(), self._seconds)
            except TimeoutError:
                continue

    async def round(self) -> None:
        """One round of the loop's job."""
        raise NotImplementedError


class Sweep(_Every):
    """Starts, closes and ends what is due."""

    def __init__(self, around: Surroundings, settings: Settings) -> None:
        super().__init__(around, settings.sweep_seconds)
        self._settings = settings
        self._untold: list[Callable[[], Awaitable[None]]] = []
        """What happened once and is to be told, also when PostgreSQL goes away in the middle of a round."""

    async def round(self) -> None:
        store = self.around.store
        await self._lead(store)
        swept = await store.sweep(self._settings.lease_seconds)
        self._untold += self._words(self.around.telemetry, store.overview, swept)
        for run, ordinal in swept.steps_due:
            ids = [secrets.token_hex(8) for _ in range(3)]
            closed, _ = await store.close_phase(run, ordinal, ids, None)
            if closed.closed:
                await self.around.reporter.step_closed(closed)
        while self._untold:
            await self._untold[0]()
            del self._untold[0]

    async def _lead(self, store: Store) -> None:
        term = await store.lead(self.around.worker, self._settings.leader_lease_seconds)
        self.around.telemetry.gauge(Metric.LEADER, 0 if term is None else 1)

    def _words(self, telemetry: Telemetry, overview: Overview, swept: Swept) -> Iterator[Callable[[], Awaitable[None]]]:
        for run in swept.runs_ended:
            yield partial(run_span, telemetry, overview, run)
        for execution in swept.executions_ended:
            yield partial(execution_span, telemetry, overview, execution)
        for lost in swept.workers_lost:
            LOG.warning("%s has fallen silent; others have taken over what it held", lost.worker)
            yield partial(spans_left_behind, telemetry, overview, lost, self._settings.lease_seconds)
        if swept.backends_ended:
            LOG.warning("%d transactions of workers that froze were cut off", swept.backends_ended)


class Publishing(_Every):
    """Starts what was asked for, publishes due batches and shows how deep the queues are."""

    def __init__(self, around: Surroundings, settings: Settings) -> None:
        super().__init__(around, min(0.25, settings.sweep_seconds))
        self._untold: list[ExecutionId] = []
        """Executions that ended here and are to be told, also when PostgreSQL goes away in between."""

    async def round(self) -> None:
        telemetry = self.around.telemetry
        self._untold += (await self.around.store.move_on()).executions_ended
        while self._untold:
            await execution_span(telemetry, self.around.store.overview, self._untold[0])
            del self._untold[0]
        await self.around.relay.publish()
        for kind in WorkerKind:
            telemetry.gauge(Metric.QUEUE_DEPTH, await self.around.bus.depth(kind), worker_kind=kind.value)


class Watch(_Every):
    """Keeps the bus tidy: dead letters are shown where they are, consumers of workers that are gone are removed."""

    def __init__(self, around: Surroundings, _settings: Settings) -> None:
        super().__init__(around, 10.0)

    async def round(self) -> None:
        bus = self.around.bus
        try:
            await self._show_age()
            for kind in WorkerKind:
                await self._tidy(bus, kind)
            await self._show_dead(bus)
        except BusUnavailable as fault:
            LOG.debug("%s", fault)

    async def _show_age(self) -> None:
        queue = await self.around.store.overview.queue()
        for kind in WorkerKind:
            ages = [line.oldest_seconds for line in queue if line.worker_kind is kind and line.due]
            self.around.telemetry.gauge(Metric.QUEUE_OLDEST_AGE, max(ages, default=0.0), worker_kind=kind.value)

    async def _tidy(self, bus: Bus, kind: WorkerKind) -> None:
        """The hints a consumer that is gone had pending are deleted, for its rows are published again when due; then
        the consumer goes too."""
        orphans = await bus.reclaim(kind, self.around.worker, _RECLAIM_IDLE_MS)
        if orphans:
            await bus.acknowledge(orphans)
        for consumer in await bus.consumers(kind):
            if consumer.idle_ms > _CONSUMER_SILENT_MS or consumer.name == self.around.worker:
                await bus.remove_consumer_if_idle(kind, consumer.name)

    async def _show_dead(self, bus: Bus) -> None:
        dead = await self.around.store.overview.dead_batches()
        for kind in WorkerKind:
            letters = [
                DeadLetter(batch=one.batch, run=one.run, system=one.system or "", phase=one.phase, error="dead")
                for one in dead
                if one.worker_kind is kind
            ]
            wanted = {one.batch for one in letters}
            shown = {one.batch for one in await bus.list_dead(kind)}
            if wanted - shown:
                await bus.add_dead(kind, letters)
            if shown - wanted:
                await bus.remove_dead(kind, shown - wanted)
