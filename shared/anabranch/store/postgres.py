"""The PostgreSQL keeper: one pool of connections, and every verb of the port on it.

The verbs live in rooms of their own, each with the life of its subject; here they are only joined to the pool. Applied
configurations never change, so each is loaded once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from anabranch.config.stamps import Stamps
from anabranch.model.configuration import Configuration
from anabranch.model.enums import ChangeClass, FailedReason, HoldState, RunState, WorkerKind
from anabranch.model.fleet import Claimed, Closed, DueHint, NewBatch, Swept
from anabranch.model.identity import BatchId, ClaimId, ExecutionId, RunId, WorkerId
from anabranch.model.registry import Revision
from anabranch.store import (
    barriers,
    batches,
    claims,
    configuration,
    endings,
    executions,
    guards,
    leadership,
    overview,
    relay,
    statistics,
    workers,
)
from anabranch.store import sweep as upkeep
from anabranch.store.faults import translated
from anabranch.store.pool import open_pool
from anabranch.store.reading import PgReader
from anabranch.store.workers import PgHeart

if TYPE_CHECKING:
    from anabranch.store.pool import Pool

_RUNS_KNOWN: Final = 1_000


class PostgresStore:
    """Implements `Store`. Made by `open`; `overview` lists what operators ask for."""

    def __init__(self, url: str, worker: WorkerId, pool: Pool) -> None:
        self._url = url
        self._worker = worker
        self._pool = pool
        self._revisions: dict[int, Revision] = {}
        self._versions: dict[RunId, int] = {}
        self.overview = overview.Overview(pool)

    @classmethod
    async def open(cls, url: str, worker: WorkerId, *, connections: int = 8) -> PostgresStore:
        """A keeper with a pool of its own, its connections named for the worker. Raises StoreUnavailable."""
        return cls(url, worker, await open_pool(url, worker, most=connections))

    async def close(self) -> None:
        """Every connection is closed, or cut where it does not end within 5 seconds; safe twice."""
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[PgReader]:
        with translated("read"):
            async with self._pool.acquire() as connection:
                yield PgReader(connection)

    async def refresh_statistics(self) -> None:
        await statistics.refresh_statistics(self._pool)

    async def ping(self) -> None:
        """PostgreSQL has just answered. Raises StoreUnavailable otherwise."""
        await relay.bus_epoch(self._pool)

    # --- configuration
    async def apply_configuration(
        self,
        new: Configuration,
        stamps: Stamps,
        *,
        change_class: ChangeClass,
        difference: Any,
        author: str,
        reason: str = "",
    ) -> int:
        return await configuration.apply_configuration(
            self._pool,
            new,
            stamps,
            change_class=change_class,
            difference=difference,
            author=author,
            reason=reason,
        )

    async def revision(self, version: int | None = None) -> Revision:
        if version is not None and version in self._revisions:
            return self._revisions[version]
        loaded = await configuration.load_revision(self._pool, version)
        return self._revisions.setdefault(loaded.version, loaded)

    # --- workers
    async def register_worker(
        self, worker: WorkerId, kind: str, version: str, boot_id: str, host: str, pid: int
    ) -> None:
        await workers.register_worker(self._pool, worker, kind, version, boot_id, host, pid)

    async def worker_state(self, worker: WorkerId, state: str) -> None:
        await workers.set_worker_state(self._pool, worker, state)

    async def open_heart(self) -> PgHeart:
        return await PgHeart.connect(self._url, self._worker)

    # --- batches
    async def claim(
        self, kind: WorkerKind, worker: WorkerId, claim: ClaimId, span_id: str, lease: float, batch: BatchId | None
    ) -> Claimed | None:
        return await claims.claim(self._pool, kind, worker, claim, span_id, lease, batch)

    def unit(self, claimed: Claimed) -> AbstractAsyncContextManager[batches.PgUnit]:
        return batches.open_unit(self._pool, claimed)

    async def settle_unknown_commit(self, claimed: Claimed) -> bool:
        return await claims.settle_unknown_commit(self._pool, claimed)

    async def hand_back(self, claimed: Claimed) -> None:
        await batches.hand_back(self._pool, claimed)

    async def fail(self, claimed: Claimed, error: str, delay: float, *, counts: bool) -> str:
        return await batches.fail(self._pool, claimed, error, delay, counts=counts)

    async def split(self, claimed: Claimed, children: Sequence[NewBatch]) -> None:
        await batches.split(self._pool, claimed, children)

    async def dead(self, claimed: Claimed, error: str, counters: dict[str, int] | None = None) -> None:
        await batches.dead(self._pool, claimed, error, counters)

    async def close_phase(
        self, run: RunId, ordinal: int, span_ids: Sequence[str], take: barriers.Take | None
    ) -> tuple[Closed, Claimed | None]:
        return await barriers.close_phase(self._pool, run, ordinal, span_ids, take, self._revision_of)

    async def _revision_of(self, run: RunId) -> Revision | None:
        """What the run decides by, which never changes; None where there is no such run."""
        version = self._versions.get(run) or await barriers.run_version(self._pool, run)
        if version is None:
            return None
        if len(self._versions) >= _RUNS_KNOWN:
            self._versions.clear()
        self._versions[run] = version
        return await self.revision(version)

    async def fail_run(self, claimed: Claimed, reason: FailedReason, message: str) -> None:
        await batches.fail_run(self._pool, claimed, reason, message)

    # --- executions and operators
    async def start_execution(self, name: str, actor: str, now: datetime | None = None) -> ExecutionId:
        return await executions.start_execution(self._pool, await self.revision(), name, actor, now)

    async def cancel_run(self, run: RunId, actor: str, reason: str = "") -> RunState:
        return await endings.cancel_run(self._pool, run, actor, reason)

    async def cancel_execution(self, execution: ExecutionId, actor: str, reason: str = "") -> None:
        await executions.cancel_execution(self._pool, execution, actor, reason)

    async def release_hold(self, run: RunId, actor: str, reason: str = "") -> None:
        await guards.decide_hold(self._pool, run, HoldState.RELEASED, actor, reason)

    async def reject_hold(self, run: RunId, actor: str, reason: str = "") -> None:
        await guards.decide_hold(self._pool, run, HoldState.REJECTED, actor, reason)

    # --- relay and sweep
    async def bus_epoch(self) -> int:
        return await relay.bus_epoch(self._pool)

    async def raise_bus_epoch(self, seen: int) -> int:
        return await relay.raise_bus_epoch(self._pool, seen)

    async def due_hints(self, bus_epoch: int, limits: dict[WorkerKind, int], republish_after: float) -> list[DueHint]:
        return await relay.due_hints(self._pool, bus_epoch, limits, republish_after)

    async def lead(self, worker: WorkerId, seconds: float) -> int | None:
        return await leadership.lead(self._pool, worker, seconds)

    async def resign(self, worker: WorkerId) -> None:
        await leadership.resign(self._pool, worker)

    async def sweep(self, lease: float) -> Swept:
        return await upkeep.sweep(self._pool, lease)

    async def move_on(self) -> Swept:
        return await upkeep.move_on(self._pool)
