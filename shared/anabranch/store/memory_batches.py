"""Claims, leases, failures and hints of the memory keeper: the pure protocol, executed on rows in one process.

Each verb runs without an interruption once it has the batch's row lock, so what one of them does is one transaction. A
hint waits a moment for the row, a poll passes over what is locked, and a heartbeat takes a locked row for held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from anabranch.model.enums import BatchState, RunState, WorkerKind
from anabranch.model.fleet import Beat, Claimed, DueHint, NewBatch
from anabranch.model.identity import BatchId, ClaimId, SystemId, WorkerId
from anabranch.protocol import batches, claims
from anabranch.protocol.batches import BatchRecord, Fate
from anabranch.protocol.runs import last_renewal
from anabranch.protocol.steps import step_at
from anabranch.store.faults import Contended
from anabranch.store.memory_tables import Attempt, WorkerRow
from anabranch.store.memory_unit import Keeping, arrive, end_attempt, open_unit, with_ids
from anabranch.store.port import Unit

HINT_WAIT: Final = 0.2


class MemoryBatches(Keeping):
    """Workers and batches."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self.bus_at = 1
        self.term = 0
        self._leader: tuple[WorkerId | None, datetime | None] = (None, None)

    # --- workers

    async def register_worker(
        self, worker: WorkerId, kind: str, version: str, boot_id: str, host: str, pid: int
    ) -> None:
        row = WorkerRow(
            kind=kind, version=version, boot_id=boot_id, host=host, pid=pid, state="running", last_beat=self.clock()
        )
        self.tables.workers.put(worker, row)

    async def worker_state(self, worker: WorkerId, state: str) -> None:
        row = self.tables.workers.get(worker)
        if row is not None:
            self.tables.workers.put(worker, replace(row, state=state, last_beat=self.clock()))

    def renew(self, worker: WorkerId, wanted: Sequence[ClaimId], lease: float) -> Beat:
        """One heartbeat: the worker lives, its claims are renewed, or locked by their own commit, or lost."""
        now, held = self.clock(), set[ClaimId]()
        row = self.tables.workers.get(worker)
        if row is not None:
            state = "running" if row.state == "lost" else row.state
            self.tables.workers.put(worker, replace(row, state=state, last_beat=now))
        for batch in self.tables.batches.values():
            claim = batch.claim
            if batch.state is not BatchState.LEASED or batch.owner != worker or claim is None or claim not in wanted:
                continue
            renewed = claims.renew(batch, claim, now, lease, until=last_renewal(self.tables.runs[batch.run]))
            if renewed is None:
                continue
            held.add(claim)
            if self.locks.free(("batch", batch.id)):
                self.tables.batches.put(batch.id, renewed)
        return Beat(frozenset(held), frozenset(wanted) - held)

    # --- claims

    async def claim(
        self, kind: WorkerKind, worker: WorkerId, claim: ClaimId, span_id: str, lease: float, batch: BatchId | None
    ) -> Claimed | None:
        for row in self.tables.batches.values():
            if row.state is BatchState.LEASED and row.claim == claim and row.owner == worker:
                return self.claimed(row)
        if batch is None:
            attempts = (self._take(row, worker, claim, span_id, lease) for row in self._due(kind))
            return next((taken for taken in attempts if taken is not None), None)
        try:
            async with self._locked(batch, HINT_WAIT):
                row_now = self.tables.batches.get(batch)
                if row_now is None or row_now.worker_kind is not kind:
                    return None
                return self._take(row_now, worker, claim, span_id, lease)
        except Contended:
            return None

    def _due(self, kind: WorkerKind) -> list[BatchRecord]:
        """Due batches nobody has locked, systems in turn: those with few under way first."""
        now = self.clock()
        leased = Counter(
            row.system
            for row in self.tables.batches.values()
            if row.worker_kind is kind and row.state is BatchState.LEASED
        )
        due = sorted(
            (row for row in self.tables.batches.values() if row.worker_kind is kind and claims.is_due(row, now)),
            key=lambda row: row.id,
        )
        places = []
        for row in due:
            if self.locks.free(("batch", row.id)):
                leased[row.system] += 1
                places.append((leased[row.system], row.id, row))
        return [row for *_, row in sorted(places, key=lambda place: place[:2])]

    def _take(self, row: BatchRecord, worker: WorkerId, claim: ClaimId, span_id: str, lease: float) -> Claimed | None:
        now = self.clock()
        taken = claims.claim(
            row,
            self.tables.runs[row.run].state,
            claim=claim,
            worker=worker,
            now=now,
            lease=lease,
            room=self._room(row) > 0,
        )
        if not isinstance(taken, BatchRecord):
            return None
        if row.state is BatchState.LEASED:
            end_attempt(self.tables, row, "lost", now)
        self.tables.batches.put(taken.id, taken)
        attempt = Attempt(claim=claim, worker=worker, span_id=span_id, started_at=now)
        self.tables.attempts.put((taken.id, taken.epoch), attempt)
        return self.claimed(taken)

    def _room(self, row: BatchRecord) -> int:
        """How many more batches may call the batch's system now (EXP-20)."""
        if not row.calls or row.system is None:
            return 1
        return self.tables.systems[row.system].max_parallel_exports - self._calls(row.system)

    def _calls(self, system: SystemId) -> int:
        return sum(
            row.system == system and row.calls for row in self.tables.batches.values() if row.state is BatchState.LEASED
        )

    def claimed(self, batch: BatchRecord) -> Claimed:
        """The leased batch as its holder sees it."""
        run = self.tables.runs[batch.run]
        attempt = self.tables.attempts[batch.id, batch.epoch]
        before = self.tables.attempts.get((batch.id, batch.epoch - 1))
        step = self.tables.steps[batch.run, batch.ordinal]
        lease_until, claim = batch.lease_until, batch.claim
        if lease_until is None or claim is None or run.now is None or run.start_seq is None:
            raise RuntimeError(f"batch {batch.id} is not leased in a run that has started")
        return Claimed(
            batch=batch.id,
            run=batch.run,
            ordinal=batch.ordinal,
            step=step.name,
            role=batch.role,
            worker_kind=batch.worker_kind,
            claim=claim,
            epoch=batch.epoch,
            worker=attempt.worker,
            system=batch.system,
            kind=run.kind,
            payload=batch.payload,
            total=batch.total,
            cursor=batch.cursor,
            counters=batch.counters,
            failures=batch.failures,
            losses=batch.losses,
            version=batch.version,
            config_version=run.config_version,
            now=run.now,
            start_seq=run.start_seq,
            page_size=run.page_size,
            batch_size=run.batch_size,
            execution=run.execution,
            trace_id=self.tables.executions[run.execution].trace_id,
            span_id=attempt.span_id,
            step_span_id=step.span_id,
            previous_span_id=before.span_id if before is not None else None,
            lease_until=lease_until,
            system_key=self.tables.systems[batch.system].key if batch.system is not None else None,
        )

    # --- what a holder does

    def unit(self, claimed: Claimed) -> AbstractAsyncContextManager[Unit]:
        return open_unit(self, claimed)

    async def settle_unknown_commit(self, claimed: Claimed) -> bool:
        async with self._locked(claimed.batch):
            row = self.tables.batches.get(claimed.batch)
            return row is not None and row.state is BatchState.DONE and row.claim == claimed.claim

    async def hand_back(self, claimed: Claimed) -> None:
        async with self._locked(claimed.batch):
            row = self._held(claimed)
            end_attempt(self.tables, row, "handed_back", self.clock())
            self.tables.batches.put(row.id, batches.hand_back(row, claimed.claim))

    async def fail(self, claimed: Claimed, error: str, delay: float, *, counts: bool) -> str:
        async with self._locked(claimed.batch):
            row = self._held(claimed)
            failed, fate = batches.fail(row, claimed.claim, error, self.clock(), delay, counts=counts)
            end_attempt(self.tables, row, "dead" if fate is Fate.DEAD else "failed", self.clock(), error)
            self.tables.batches.put(row.id, failed)
            arrive(self.tables, failed, claimed)
            return fate.value

    async def split(self, claimed: Claimed, children: Sequence[NewBatch]) -> None:
        async with self._locked(claimed.batch):
            row, now = self._held(claimed), self.clock()
            ordered = step_at(claimed.kind, claimed.ordinal).ordered
            numbered = with_ids(self.tables, self, row, children)
            parent, made = batches.split(row, claimed.claim, numbered, now, ordered=ordered)
            for child in made:
                self.tables.batches.put(child.id, child)
            for other in self.tables.batches.values():
                if other.waits_for == row.id and other.state is BatchState.BLOCKED:
                    self.tables.batches.put(other.id, replace(other, waits_for=made[-1].id))
            self.tables.batches.put(row.id, replace(parent, error=parent.error or "split"))
            end_attempt(self.tables, row, "split", now)

    async def dead(self, claimed: Claimed, error: str, counters: dict[str, int] | None = None) -> None:
        async with self._locked(claimed.batch):
            buried = batches.dead(self._held(claimed), claimed.claim, error, self.clock(), counters)
            self.tables.batches.put(buried.id, buried)
            end_attempt(self.tables, buried, "dead", self.clock(), error)
            arrive(self.tables, buried, claimed)

    def _held(self, claimed: Claimed) -> BatchRecord:
        return batches.check_claim(self.tables.batches.get(claimed.batch), claimed.claim)

    @asynccontextmanager
    async def _locked(self, batch: BatchId, seconds: float | None = None) -> AsyncIterator[None]:
        owner = object()
        try:
            await self.locks.take(("batch", batch), owner, seconds)
            yield
        finally:
            await self.locks.let_go(owner)

    # --- relay and leader

    async def bus_epoch(self) -> int:
        return self.bus_at

    async def raise_bus_epoch(self, seen: int) -> int:
        self.bus_at += self.bus_at == seen
        return self.bus_at

    async def due_hints(self, bus_epoch: int, limits: dict[WorkerKind, int], republish_after: float) -> list[DueHint]:
        hints: list[DueHint] = []
        for kind, limit in limits.items():
            unsaid = self._unsaid(kind, bus_epoch, republish_after)
            hints += [self._publish(row, bus_epoch) for row in unsaid[: max(limit, 0)]]
        return hints

    def _unsaid(self, kind: WorkerKind, bus_epoch: int, republish_after: float) -> list[BatchRecord]:
        """What is due and was not published lately; calls to a system only as far as it takes calls at once."""
        now = self.clock()
        places: Counter[tuple[SystemId | None, str]] = Counter()
        found = []
        for row in sorted(self.tables.batches.values(), key=lambda one: one.id):
            running = self.tables.runs[row.run].state is RunState.RUNNING
            if row.worker_kind is not kind or not running or not claims.is_due(row, now):
                continue
            places[row.system, row.role] += 1
            place = places[row.system, row.role]
            if place > max(self._live_room(row), 0) or not self.locks.free(("batch", row.id)):
                continue
            if claims.is_publishable(row, now, bus_epoch, republish_after):
                found.append((place, row.system or 0, row.id, row))
        return [row for *_, row in sorted(found, key=lambda one: one[:3])]

    def _live_room(self, row: BatchRecord) -> int:
        if not row.calls or row.system is None:
            return 2**31
        now = self.clock()
        live = sum(
            one.system == row.system and one.calls
            for one in self.tables.batches.values()
            if one.state is BatchState.LEASED and not claims.expired(one, now)
        )
        return self.tables.systems[row.system].max_parallel_exports - live

    def _publish(self, row: BatchRecord, bus_epoch: int) -> DueHint:
        self.tables.batches.put(row.id, claims.publish(row, self.clock(), bus_epoch))
        step = self.tables.steps[row.run, row.ordinal]
        trace = self.tables.executions[self.tables.runs[row.run].execution].trace_id
        system = self.tables.systems.get(row.system) if row.system is not None else None
        return DueHint(
            batch=row.id,
            run=row.run,
            system=system.key if system is not None else "",
            system_id=row.system or 0,
            phase=f"{row.ordinal}.{step.name}",
            worker_kind=row.worker_kind,
            seq=row.epoch,
            version=row.version,
            traceparent=f"00-{trace}-{step.span_id}-01",
        )

    async def lead(self, worker: WorkerId, seconds: float) -> int | None:
        now, lease = self.clock(), timedelta(seconds=seconds)
        holder, until = self._leader
        over = until is None or until < now or until > now + lease
        if holder is not None and holder != worker and not over:
            return None
        if holder != worker or over:
            self.term += 1
        self._leader = (worker, now + lease)
        return self.term

    async def resign(self, worker: WorkerId) -> None:
        if self._leader[0] == worker:
            self._leader = (None, None)
