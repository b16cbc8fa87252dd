"""One round of upkeep, once a second, in every scheduler.

Nothing here is done by a leader alone, and nothing is lost when a round is missed: each part finds in committed rows
what is owed and does it under their locks, so two rounds at once do no harm. What closes steps is only named here,
because whoever closes may take the plan of the next; the scheduler asks for it right after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.model.fleet import Swept
from anabranch.model.identity import RunId
from anabranch.protocol.claims import SILENT_LEASES
from anabranch.store.endings import end_runs
from anabranch.store.executions import advance_executions, start_due_runs
from anabranch.store.faults import translated
from anabranch.store.guards import expire_holds
from anabranch.store.sql_files import sql
from anabranch.store.workers import end_frozen_backends, forget_workers, lose_workers

if TYPE_CHECKING:
    from anabranch.store.pool import Executor, Pool


async def sweep(pool: Pool, lease: float) -> Swept:
    """Frozen transactions are cut off, overdue runs end, expired holds count as rejected, ending runs end, executions
    move on, due runs start, silent processes are listed as lost; the steps that may close are named."""
    with translated("sweep"):
        cut_off = await end_frozen_backends(pool, lease)
        in_hand = sql("has_file_in_hand").replace("@run", "run.id")
        await pool.execute(sql("fail_overdue_runs").replace("@file_in_hand", in_hand))
        await expire_holds(pool)
        runs_ended = await end_runs(pool)
        executions_ended = await advance_executions(pool)
        started = await start_due_runs(pool)
        lost = await lose_workers(pool, SILENT_LEASES * lease)
        await forget_workers(pool)
        return Swept(
            steps_due=tuple(await steps_due(pool)),
            runs_started=tuple(started),
            runs_ended=tuple(runs_ended),
            executions_ended=tuple(executions_ended),
            backends_ended=cut_off,
            workers_lost=tuple(lost),
        )


async def move_on(pool: Pool) -> Swept:
    """Executions go on to their next group or end, and runs whose turn it is start."""
    with translated("move_on"):
        executions_ended = await advance_executions(pool)
        started = await start_due_runs(pool)
        return Swept(runs_started=tuple(started), executions_ended=tuple(executions_ended))


async def steps_due(executor: Executor) -> list[tuple[RunId, int]]:
    """(run, ordinal) of each step that may be sealed, closed, failed or followed now, in order of start."""
    rows = await executor.fetch(sql("list_steps_due"))
    return [(RunId(row["run_id"]), row["ordinal"]) for row in rows]
