"""The one transaction of a batch, in one process: a fence, a layer over the tables, and row locks held to its end."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace

from anabranch.model.changes import Changes
from anabranch.model.enums import BatchState, GuardPoint
from anabranch.model.fleet import Claimed, NewBatch
from anabranch.model.identity import BatchId, CsoId, RunId, SystemId
from anabranch.model.objects import GuardOp
from anabranch.protocol import batches
from anabranch.protocol.barriers import unblocked_by
from anabranch.protocol.batches import BatchRecord
from anabranch.protocol.steps import step_at
from anabranch.store.memory_locking import Row, moved, rows_concerned
from anabranch.store.memory_packs import count_packs
from anabranch.store.memory_reading_import import Sequences, resolvable
from anabranch.store.memory_reading_sync import MemoryReader
from anabranch.store.memory_tables import RowLocks, Tables
from anabranch.store.memory_writing import MemoryWriter, as_stored
from anabranch.store.port import Moved, ReferenceTargets

LOCK_SECONDS: Final = 10.0


class Keeping:
    """What every part of the keeper shares: committed tables, numbers, row locks and the only clock."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.tables = Tables()
        self.sequences = Sequences()
        self.locks = RowLocks()
        self.clock = clock


class MemoryDataUnit(MemoryReader):
    """The data verbs of `Unit`, without a fence."""

    def __init__(self, keeping: Keeping, run: RunId, ordinal: int, batch: BatchId) -> None:
        self._layer = keeping.tables.layer()
        super().__init__(self._layer, keeping.sequences, keeping.clock)
        self._keeping = keeping
        self._run = run
        self._writer = MemoryWriter(self._layer, keeping.sequences, run, ordinal, batch)

    async def lock(self, changes: Changes) -> Moved:
        await self._take(rows_concerned(self._layer, changes))
        return moved(self._layer, changes)

    async def persist(self, changes: Changes) -> None:
        await self._take(rows_concerned(self._layer, changes))
        self._writer.persist(changes)

    async def list_executable_exports(self, system: SystemId) -> int:
        found = await self.executable_exports(system, None)
        for one, type_id, op in found:
            point = GuardPoint.EXPORT_WRITES.value
            self._layer.guard_ops.put((self._run, point, one), GuardOp(point, type_id, one, op))
        run = self._layer.runs.get(self._run)
        version = run.config_version if run is not None else 0
        return len(found) + count_packs(self._layer, system, self._run, version, self._outbound_is_over)

    async def number_proposals(self, run: RunId, kind: str, objects: Sequence[int]) -> None:
        self._writer.number_proposals(run, kind, objects)

    async def resolve_references(self, targets: ReferenceTargets, lo: CsoId, hi: CsoId) -> int:
        referring = {cso_id for cso_id, *_ in resolvable(self._layer, targets, lo, hi)}
        await self._take([("cso", cso_id) for cso_id in sorted(referring)])
        return self._writer.resolve_references(targets, lo, hi)

    async def purge_finished_runs(self) -> None:
        self._writer.purge_finished_runs()

    async def _take(self, rows: Sequence[Row]) -> None:
        for row in rows:
            await self._keeping.locks.take(row, self, LOCK_SECONDS)

    def lay_down(self) -> None:
        """Everything this unit wrote is committed."""
        self._layer.lay_down()


class MemoryUnit(MemoryDataUnit):
    """The transaction of one claimed batch: loads, writes, and ends the batch or a step of it."""

    def __init__(self, keeping: Keeping, claimed: Claimed) -> None:
        super().__init__(keeping, claimed.run, claimed.ordinal, claimed.batch)
        self._claimed = claimed
        self._seals = False
        self.ended = False

    def _row(self) -> BatchRecord:
        return batches.check_claim(self._layer.batches.get(self._claimed.batch), self._claimed.claim)

    async def fence(self) -> None:
        """The batch row is locked and the claim holds. Raises ClaimLost."""
        await self._take([("batch", self._claimed.batch)])
        self._row()

    async def add_batches(self, new: Sequence[NewBatch]) -> None:
        add_batches(self._layer, self._keeping, self._row(), new)

    async def seal(self) -> None:
        batches.seal(self._row(), self._claimed.claim)
        self._seals = True

    async def advance(self, cursor: dict[str, Any], counters: dict[str, int]) -> None:
        self._layer.batches.put(
            self._claimed.batch, batches.advance(self._row(), self._claimed.claim, as_stored(cursor), counters)
        )
        self.ended = True

    async def done(self, counters: dict[str, int]) -> None:
        row = batches.seal(self._row(), self._claimed.claim) if self._seals else self._row()
        ended = batches.done(row, self._claimed.claim, counters, self._clock())
        self._layer.batches.put(ended.id, ended)
        end_attempt(self._layer, ended, "done", self._clock())
        await self._take([("batch", other.id) for other in waiting_for(self._layer, ended)])
        arrive(self._layer, ended, self._claimed)
        self.ended = True


@asynccontextmanager
async def open_unit(keeping: Keeping, claimed: Claimed) -> AsyncIterator[MemoryUnit]:
    """The batch's transaction, fenced; committed at the end of the block, undone by any exception."""
    unit = MemoryUnit(keeping, claimed)
    try:
        await unit.fence()
        yield unit
        if not unit.ended:
            raise RuntimeError(f"batch {claimed.batch}: its transaction calls neither done nor advance")
        unit.lay_down()
    finally:
        await keeping.locks.let_go(unit)


def waiting_for(tables: Tables, batch: BatchRecord) -> list[BatchRecord]:
    """The blocked batches that wait for this one, by id."""
    found = [row for row in tables.batches.values() if row.waits_for == batch.id and row.state is BatchState.BLOCKED]
    return sorted(found, key=lambda row: row.id)


def arrive(tables: Tables, batch: BatchRecord, claimed: Claimed) -> None:
    """Who waited for a batch that has arrived is ready."""
    if unblocked_by(batch, step_at(claimed.kind, batch.ordinal)):
        for row in waiting_for(tables, batch):
            tables.batches.put(row.id, batches.arrive(row))


def end_attempt(tables: Tables, batch: BatchRecord, outcome: str, now: datetime, error: str | None = None) -> None:
    """The attempt of the batch's present epoch has its outcome."""
    attempt = tables.attempts.get((batch.id, batch.epoch))
    if attempt is not None:
        ended = replace(attempt, outcome=outcome, ended_at=now, error=error or attempt.error)
        tables.attempts.put((batch.id, batch.epoch), ended)


def with_ids(
    tables: Tables, keeping: Keeping, producer: BatchRecord, new: Sequence[NewBatch]
) -> list[tuple[BatchId, NewBatch, str]]:
    """New batches in order of their numbers, with ids and spans. A number used twice is our own fault and raises."""
    used = {row.n for row in tables.batches.values() if row.producer == producer.id}
    numbers = sorted(one.n for one in new)
    if len(set(numbers)) < len(numbers) or used.intersection(numbers):
        raise RuntimeError(f"batch {producer.id} adds two batches of one number: {numbers}")
    in_order = [replace(one, payload=as_stored(one.payload)) for one in sorted(new, key=lambda one: one.n)]
    return [(BatchId(keeping.sequences.next_row("batch")), one, secrets.token_hex(8)) for one in in_order]


def add_batches(tables: Tables, keeping: Keeping, producer: BatchRecord, new: Sequence[NewBatch]) -> None:
    """The batches stand in the producer's step; those wait for the one before that say so."""
    children = with_ids(tables, keeping, producer, new)
    first = children[0][1].n if children else 0
    mine = (row for row in tables.batches.values() if row.producer == producer.id and row.unfinished)
    last = next((row.id for row in mine if row.n == first - 1), None)
    role = step_at(tables.runs[producer.run].kind, producer.ordinal).role
    for row in batches.follow(producer, children, keeping.clock(), last=last, role=role):
        tables.batches.put(row.id, row)
