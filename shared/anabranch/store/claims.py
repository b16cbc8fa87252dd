"""How a batch comes into a worker's hands.

A hint names a batch; the row says whether it is still to be had. The row is locked for a moment, judged as it is now,
and taken: new claim, next epoch, a lease, and the row of the attempt, all committed before work begins. A hint waits up
to 200 ms for the row, because whoever has it (a renewal, the relay) lets it go at once; a poll skips what is locked.
Whoever meets an expired lease that stays locked has met a frozen holder, and has its transaction ended.

A batch that calls a connected system counts against that system's limit over the whole fleet. So its system's row is
locked first and the calls under way are counted in a second statement: counting inside the compare-and-set let two
claims pass together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from anabranch.model.enums import RunKind, WorkerKind
from anabranch.model.fleet import Claimed
from anabranch.model.identity import BatchId, ClaimId, WorkerId
from anabranch.protocol.batches import MESSAGE_VERSION
from anabranch.store.faults import translated
from anabranch.store.pool import one_row
from anabranch.store.sql_files import sql
from anabranch.store.workers import end_frozen_backends

if TYPE_CHECKING:
    from anabranch.store.pool import Connection, Executor, Pool

KNOWN_VERSIONS: Final = tuple(range(1, MESSAGE_VERSION + 1))
"""Of batches this program understands; a newer one waits for a newer worker (FLT-22)."""

_PATIENCE: Final = "200ms"
"""How long a claim by hint waits for the row."""


async def claim(
    pool: Pool,
    kind: WorkerKind,
    worker: WorkerId,
    claim_id: ClaimId,
    span_id: str,
    lease: float,
    batch: BatchId | None,
    versions: Sequence[int] = KNOWN_VERSIONS,
) -> Claimed | None:
    """The batch, or with None any due one, is held under `claim_id`; None when there is nothing to be had.

    Asked again with a claim that was given already (its answer was lost), the same batch is the answer.
    """
    with translated("claim"):
        try:
            async with pool.acquire() as connection:
                if held := await read_claimed(connection, claim_id, worker):
                    return held
                async with connection.transaction():
                    found = await _lock(connection, kind, versions, batch)
                    if found is None:
                        return None
                    await take(connection, dict(found), worker, claim_id, span_id, lease)
                    return await read_claimed(connection, claim_id, worker)
        except asyncpg.LockNotAvailableError:
            await end_frozen_backends(pool, lease)
            return None


async def _lock(
    connection: Connection, kind: WorkerKind, versions: Sequence[int], batch: BatchId | None
) -> asyncpg.Record | None:
    await connection.execute(sql("limit_waits"), _PATIENCE)
    if batch is None:
        return await _lock_any(connection, kind, versions)
    limit = None
    if kind is WorkerKind.EXPORT:
        system = await connection.fetchval(sql("peek_export_system"), batch)
        if system is not None:
            limit = await connection.fetchval(sql("lock_system"), system)
    return await connection.fetchrow(sql("lock_hinted_batch"), batch, kind.value, versions, limit)


async def _lock_any(connection: Connection, kind: WorkerKind, versions: Sequence[int]) -> asyncpg.Record | None:
    calls = kind is WorkerKind.EXPORT
    free = await connection.fetchrow(sql("lock_free_system"), versions) if calls else None
    system, limit = (free["id"], free["max_parallel_exports"]) if free else (None, None)
    return await connection.fetchrow(sql("lock_due_batch"), kind.value, versions, calls, system, limit)


async def take(
    connection: Connection, found: Mapping[str, Any], worker: WorkerId, claim_id: ClaimId, span_id: str, lease: float
) -> None:
    """The batch whose row is locked (`id`, `state` and `epoch` as they are now) is leased to the worker."""
    await connection.execute(
        sql("take_batch"), found["id"], found["state"], found["epoch"], claim_id, worker, span_id, lease
    )


async def read_claimed(executor: Executor, claim_id: ClaimId, worker: WorkerId) -> Claimed | None:
    """What the worker holds under the claim, as committed (or as this transaction sees it)."""
    row = await executor.fetchrow(sql("read_claimed"), claim_id, worker)
    if row is None:
        return None
    fields = dict(row)
    fields["worker_kind"] = WorkerKind(row["worker_kind"])
    fields["kind"] = RunKind(row["kind"])
    return Claimed(**fields)


async def settle_unknown_commit(pool: Pool, claimed: Claimed) -> bool:
    """True when the batch is done under this claim: the COMMIT whose answer was lost has happened (FLT-12)."""
    with translated("settle a commit"):
        row = await one_row(pool, sql("settle_commit"), claimed.batch, claimed.claim)
        return bool(row["done"])
