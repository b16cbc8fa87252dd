"""What the bus should be told.

A batch row is its own outbox. Due rows that nobody was told about lately, in this epoch of the bus, are marked and
handed to whoever sends the hints; the mark is committed first, so a crash in between costs one hint, which is repeated
after half a minute. No lock is held while anything is sent. A bus that was wiped starts a new epoch, and then every
mark of an older one counts for nothing, without touching a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.model.enums import WorkerKind
from anabranch.model.fleet import DueHint
from anabranch.store.faults import translated
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Executor


async def due_hints(
    executor: Executor, bus_epoch: int, limits: dict[WorkerKind, int], republish_after: float
) -> list[DueHint]:
    """Due batches, marked as published, at most `limits` of each kind, systems in turn (SCH-23).

    Batches that call a system are among them only as far as that system takes calls at once: a hint nobody may follow
    would be acknowledged for nothing.
    """
    room = {kind.value: limit for kind, limit in limits.items() if limit > 0}
    if not room:
        return []
    with translated("mark due batches"):
        rows = await executor.fetch(
            sql("mark_due_batches"), bus_epoch, republish_after, list(room), list(room.values())
        )
    return [DueHint(**{**row, "worker_kind": WorkerKind(row["worker_kind"])}) for row in rows]


async def bus_epoch(executor: Executor) -> int:
    """The epoch in which hints are published now."""
    with translated("read the bus epoch"):
        return int(await executor.fetchval(sql("read_bus_epoch")))


async def raise_bus_epoch(executor: Executor, seen: int) -> int:
    """The epoch is above `seen`; whoever notices the wiped bus first raises it, the others find it raised."""
    with translated("raise the bus epoch"):
        await executor.execute(sql("raise_bus_epoch"), seen)
    return await bus_epoch(executor)
