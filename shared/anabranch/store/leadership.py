"""Who leads the schedulers.

One row holds a lease and a term that only grows. The holder renews it well before it ends; when it does not, the next
who asks takes it under a higher term. Two leaders at once do no harm and none costs only time, because nothing that
matters depends on it: claims, barriers and the sweep are right whoever does them, however often (SCH-25).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.model.identity import WorkerId
from anabranch.store.faults import translated
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Executor


async def lead(executor: Executor, worker: WorkerId, seconds: float) -> int | None:
    """The worker leads for `seconds` from now under the term returned; None while another does."""
    with translated("lead"):
        term = await executor.fetchval(sql("lead"), worker, seconds)
    return None if term is None else int(term)


async def resign(executor: Executor, worker: WorkerId) -> None:
    """The lease is free, if it was this worker's."""
    with translated("resign"):
        await executor.execute(sql("resign"), worker)
