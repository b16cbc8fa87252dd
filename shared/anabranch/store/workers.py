"""The processes of the fleet, as their rows tell.

A worker's row is written by that process alone: when it starts, and by every beat of its heartbeat. A process that
beats no more for one lease while it has a transaction open is frozen, and its peers end that transaction: the server's
own time-outs do not reach a backend that waits inside a COPY. One that is silent for two leases and whose batches
others have taken over is lost; a row that nobody has written for an hour is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.model.fleet import Beat, LostWorker
from anabranch.model.identity import ClaimId, WorkerId
from anabranch.store.faults import translated
from anabranch.store.pool import APPLICATION, COMMITTING, connect
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    import asyncpg

    from anabranch.store.pool import Executor


async def register_worker(
    executor: Executor, worker: WorkerId, kind: str, version: str, boot_id: str, host: str, pid: int
) -> None:
    """The process is listed as running, from now."""
    with translated("register the worker"):
        await executor.execute(sql("register_worker"), worker, kind, version, boot_id, host, pid)


async def set_worker_state(executor: Executor, worker: WorkerId, state: str) -> None:
    """The process is listed as `running`, `draining` or `stopped`."""
    with translated("write the worker's state"):
        await executor.execute(sql("set_worker_state"), worker, state)


async def end_frozen_backends(executor: Executor, lease: float) -> int:
    """Transactions of workers that have not beaten for one lease are over, and batch transactions older than 60 s.

    Only connections of listed workers to this database are touched. How many were ended (FLT-7).
    """
    return int(await executor.fetchval(sql("end_frozen_backends"), lease, APPLICATION, COMMITTING))


async def lose_workers(executor: Executor, silent: float) -> list[LostWorker]:
    """Processes that have been silent for so many seconds and hold nothing are listed as `lost`; those it became just
    now. One that was only frozen is `running` again with its next beat."""
    return [LostWorker(**row) for row in await executor.fetch(sql("lose_workers"), silent)]


async def forget_workers(executor: Executor) -> None:
    """Workers that have not beaten for an hour and hold nothing are no longer listed."""
    await executor.execute(sql("forget_workers"))


class PgHeart:
    """A heartbeat's own connection; opened, used and closed in one thread and loop."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, url: str, worker: WorkerId) -> PgHeart:
        """Raises StoreUnavailable when the server gives no connection."""
        return cls(await connect(url, worker))

    async def beat(self, worker: WorkerId, claims: list[ClaimId], lease: float) -> Beat:
        """The worker lives; its claims are renewed, or locked by their own commit, or lost."""
        with translated("heartbeat"):
            rows = await self._connection.fetch(sql("renew_leases"), worker, claims, lease)
            await self._connection.execute(sql("beat_worker"), worker, claims)
        held = frozenset(ClaimId(row["claim"]) for row in rows)
        return Beat(held, frozenset(claims) - held)

    async def close(self) -> None:
        """The connection is gone; safe twice."""
        if not self._connection.is_closed():
            await self._connection.close(timeout=2)
