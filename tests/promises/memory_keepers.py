"""The memory keeper as the data suite and the fleet suite see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from tests.builders import NOW
from tests.promises.data_keepers import DataUnit
from tests.promises.fleet_keepers import a_configuration, apply

from anabranch.model.enums import RunKind, RunState, StepState
from anabranch.model.fleet import Claimed
from anabranch.model.identity import ExecutionId, RunId, SystemId, TypeId
from anabranch.model.objects import GuardOp
from anabranch.protocol.barriers import StepRecord
from anabranch.protocol.runs import RunRecord
from anabranch.store.memory import MemoryStore
from anabranch.store.memory_unit import MemoryDataUnit
from anabranch.store.port import Reader, Store


class MovableClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class MemoryDataKeeper:
    """The memory keeper's data half."""

    def __init__(self) -> None:
        self._store = MemoryStore(MovableClock())

    @asynccontextmanager
    async def unit(self, claimed: Claimed) -> AsyncIterator[DataUnit]:
        unit = MemoryDataUnit(self._store, claimed.run, claimed.ordinal, claimed.batch)
        try:
            yield unit
            unit.lay_down()
        finally:
            await self._store.locks.let_go(unit)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        async with self._store.reader() as reader:
            yield reader

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
        self._store.tables.runs.put(
            run,
            RunRecord(
                id=run,
                execution=ExecutionId(1),
                grp=1,
                n=1,
                profile="",
                kind=RunKind.DELTA_SYNC,
                system=system,
                state=RunState.CANCELLED if ended else RunState.QUEUED,
                config_version=1,
                page_size=1,
                batch_size=1,
                deadline_after=timedelta(hours=1),
                span_id="",
                requested_at=NOW,
                ended_at=NOW if ended else None,
                now=now,
            ),
        )
        opened = StepRecord(run=run, ordinal=1, name=step, state=state, span_id="", opened_at=NOW)
        self._store.tables.steps.put((run, 1), opened)


class MemoryFleetKeeper:
    """The memory keeper with a configuration applied."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.memory = MemoryStore(self.clock)
        self.store: Store = self.memory

    async def pass_time(self, seconds: float) -> None:
        self.clock.now += timedelta(seconds=seconds)

    async def list_guard_ops(self, run: RunId, point: str, op: str, type_key: str, n: int) -> None:
        type_id = await self._type(type_key)
        for number in range(1, n + 1):
            self.memory.tables.guard_ops.put((run, point, number), GuardOp(point, type_id, number, op))

    async def set_population(self, run: RunId, point: str, type_key: str, population: int) -> None:
        self.memory.tables.populations.put((run, point, await self._type(type_key)), population)

    async def populations(self, run: RunId) -> dict[tuple[str, TypeId], int]:
        counted = self.memory.tables.populations.items()
        return {(point, type_id): n for (of, point, type_id), n in counted if of == run and n}

    async def states(self, run: RunId) -> dict[str, int]:
        return dict(Counter(row.state.value for row in self.memory.batches_of(run)))

    async def _type(self, key: str) -> TypeId:
        registry = (await self.store.revision()).registry
        names = [number for (_, one), number in registry.object_types.items() if one == key]
        return min([*names, *(number for one, number in registry.metaverse_types.items() if one == key)])


@asynccontextmanager
async def memory_fleet() -> AsyncIterator[MemoryFleetKeeper]:
    """A memory keeper whose configuration is applied."""
    keeper = MemoryFleetKeeper()
    await apply(keeper.store, a_configuration())
    yield keeper
