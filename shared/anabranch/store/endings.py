"""How a run comes to its end.

A run whose last step has closed adds up what its batches counted, checks that nothing was lost or counted twice, and
takes its final state. Every other end goes by way of `cancelling`: no batch is claimed any more, waiting ones are
withdrawn, live leases are waited for because their holders may be in the middle of a call, expired ones are ended so
that a late holder writes nothing; and only when none is left has the run really stopped and its slot is free. Each
round of the sweep takes this as far as it goes, and whoever comes next goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from anabranch.model.enums import FailedReason, RunKind, RunState, Severity
from anabranch.model.errors import Permanent
from anabranch.model.identity import RunId
from anabranch.protocol.accounting import balance, final_state
from anabranch.store.actions import record_action
from anabranch.store.faults import Contended, translated
from anabranch.store.pool import one_row
from anabranch.store.sql_files import sql
from anabranch.store.turns import give_up_turn, has_file_in_hand

if TYPE_CHECKING:
    from anabranch.store.pool import Connection, Pool


async def cancel_run(pool: Pool, run: RunId, actor: str, reason: str) -> RunState:
    """A queued run is cancelled, an active one is ending; one that is over stays. One that is writing a file goes on
    until what it wrote is recorded, and then ends. Raises Permanent for an unknown."""
    with translated("cancel the run"):
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("limit_waits"), "5s")
            state = await cancel_locked(connection, run, actor, reason)
    if state is None:
        raise Permanent(f"there is no run {run}; list runs to see their numbers")
    return state


async def cancel_locked(connection: Connection, run: RunId, actor: str, reason: str) -> RunState | None:
    """The same inside a transaction; None for an unknown run."""
    row = await connection.fetchrow(sql("lock_run"), run)
    if row is None:
        return None
    words = f"cancelled by {actor}" + (f": {reason}" if reason else "")
    if row["state"] == RunState.RUNNING and row["kind"] == RunKind.EXPORT and await has_file_in_hand(connection, run):
        await connection.execute(sql("ask_run_to_end"), run, words)
        await record_action(connection, actor, "cancel", f"run {run}", reason, "ok: once what it wrote is recorded")
        return RunState.RUNNING
    state = await connection.fetchval(sql("cancel_run"), run, words)
    result = "ok" if state is not None else f"nothing to do: {row['state']}"
    await record_action(connection, actor, "cancel", f"run {run}", reason, result)
    return RunState(state if state is not None else row["state"])


async def finish_run(connection: Connection, run: asyncpg.Record) -> RunState:
    """The locked run has its final state, the first that applies of AUD-9, and its totals; slot, turn and holds go."""
    number, kind = RunId(run["id"]), RunKind(run["kind"])
    totals = {row["key"]: row["total"] for row in await connection.fetch(sql("sum_counters"), number)}
    severities = {
        Severity(row["severity"]): row["total"] for row in await connection.fetch(sql("count_run_errors"), number)
    }
    outcome = await one_row(connection, sql("read_run_outcome"), number)
    state, reason = final_state(
        kind,
        totals,
        severities,
        leads_to=RunState(run["leads_to"]) if run["leads_to"] else None,
        reason=FailedReason(run["failed_reason"]) if run["failed_reason"] else None,
        dead_batches=outcome["dead"],
        hold_refused=outcome["hold_refused"],
    )
    message = None
    if reason is FailedReason.ACCOUNTING_MISMATCH:
        message = "; ".join(balance(kind, totals))
    elif reason is FailedReason.ALL_OBJECTS_ERRORED:
        message = "every object of the run is in error"
    totals["errors"] = severities.get(Severity.ERROR, 0)
    totals["warnings"] = severities.get(Severity.WARNING, 0)
    await connection.execute(sql("finish_run"), number, state.value, reason.value if reason else None, message, totals)
    await connection.execute(sql("end_steps"), number)
    await connection.execute(sql("expire_holds_of_run"), number)
    await give_up_turn(connection, number)
    if kind is RunKind.EXPORT:
        await connection.execute(sql("settle_exporting"), run["system_id"])
    return state


async def end_runs(pool: Pool) -> list[RunId]:
    """Runs that are `cancelling` have come as near to their end as live leases let them; those that reached it."""
    ended = []
    for row in await pool.fetch(sql("list_ending_runs")):
        run = RunId(row["id"])
        try:
            if await _end_run(pool, run):
                ended.append(run)
        except Contended:
            continue  # a commit or another sweep is at work on it; the next round goes on
    return ended


async def _end_run(pool: Pool, run: RunId) -> bool:
    with translated("end the run"):
        async with pool.acquire() as connection:
            while await _withdraw(connection, run):
                pass
            async with connection.transaction():
                await connection.execute(sql("limit_waits"), "2s")
                row = await connection.fetchrow(sql("lock_run"), run)
                if row is None or row["state"] != RunState.CANCELLING:
                    return False
                await connection.execute(sql("end_expired_batches"), run)
                if await connection.fetchval(sql("count_unfinished"), run):
                    return False
                await finish_run(connection, row)
                return True


async def _withdraw(connection: Connection, run: RunId) -> int:
    async with connection.transaction():
        await connection.execute(sql("limit_waits"), "2s")
        return int(await connection.fetchval(sql("withdraw_batches"), run))
