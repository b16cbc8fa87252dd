"""Executions: groups of runs, one group after the other.

Everything an execution will do is written down when it is requested, each run queued, with one trace for all of it. A
group starts when every run of the one before has ended; a failure ends the execution there, unless it was told to go
on. A queued run starts when its group is due and its system's slot is free, in order of request; only then does it pin
its time, its place in the sequence of changes and the populations its guards measure against.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

import asyncpg

from anabranch.model.configuration import Execution, RunProfile
from anabranch.model.enums import ExecutionState, RunKind, RunState
from anabranch.model.identity import ExecutionId, RunId
from anabranch.model.registry import Revision
from anabranch.protocol.runs import declared_execution, execution_state
from anabranch.store.actions import record_action
from anabranch.store.barriers import open_step
from anabranch.store.endings import cancel_locked
from anabranch.store.faults import translated
from anabranch.store.guards import count_populations
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection, Pool


async def start_execution(pool: Pool, revision: Revision, name: str, actor: str, now: datetime | None) -> ExecutionId:
    """The execution, or the run profile as one of its own, is queued; one that is queued already is the answer instead
    (SCH-24). Raises Permanent for a name that is not declared."""
    declared = declared_execution(revision.configuration, name)
    with translated("start the execution"):
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("lock_executions"))
            queued = await connection.fetchval(sql("find_queued_execution"), name, revision.version, now)
            if queued is not None:
                await record_action(connection, actor, "start", name, result=f"already queued as execution {queued}")
                return ExecutionId(queued)
            number = ExecutionId(
                await connection.fetchval(
                    sql("insert_execution"),
                    name,
                    revision.version,
                    now,
                    declared.continue_on_failure,
                    actor,
                    secrets.token_hex(16),
                    secrets.token_hex(8),
                )
            )
            await _insert_runs(connection, number, declared, revision)
            await record_action(connection, actor, "start", name, result=f"execution {number}")
            return number


async def _insert_runs(connection: Connection, execution: ExecutionId, declared: Execution, revision: Revision) -> None:
    places = [
        (group, n, revision.configuration.run_profiles[key])
        for group, keys in enumerate(declared.groups, start=1)
        for n, key in enumerate(keys, start=1)
    ]
    profiles = [profile for _, _, profile in places]
    await connection.execute(
        sql("insert_runs"),
        execution,
        [group for group, _, _ in places],
        [n for _, n, _ in places],
        [profile.key for profile in profiles],
        [profile.kind.value for profile in profiles],
        [_system(profile, revision) for profile in profiles],
        [profile.page_size for profile in profiles],
        [profile.batch_size for profile in profiles],
        [profile.deadline for profile in profiles],
        [secrets.token_hex(8) for _ in profiles],
        revision.version,
    )


def _system(profile: RunProfile, revision: Revision) -> int | None:
    return None if profile.system is None else revision.registry.systems[profile.system]


async def cancel_execution(pool: Pool, execution: ExecutionId, actor: str, reason: str) -> None:
    """Its queued runs are cancelled and its active ones are ending (SCH-26)."""
    with translated("cancel the execution"):
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("limit_waits"), "5s")
            runs = await connection.fetch(sql("list_runs_of_execution"), execution)
            for row in runs:
                await cancel_locked(connection, RunId(row["id"]), actor, reason)
            await record_action(connection, actor, "cancel", f"execution {execution}", reason)


async def advance_executions(pool: Pool) -> list[ExecutionId]:
    """Executions whose last group is over, or whose group failed, have their final state; those that got it now."""
    rows = await pool.fetch(sql("list_open_executions"))
    ended = []
    for number, members in groupby(rows, key=lambda row: row["id"]):
        runs = list(members)
        state = execution_state(_by_group(runs), continue_on_failure=runs[0]["continue_on_failure"])
        over = state not in (ExecutionState.QUEUED, ExecutionState.RUNNING)
        if over and await _end_execution(pool, ExecutionId(number)):
            ended.append(ExecutionId(number))
    return ended


def _by_group(runs: list[asyncpg.Record]) -> list[list[RunState]]:
    return [[RunState(row["state"]) for row in group] for _, group in groupby(runs, key=lambda row: row["grp"])]


async def _end_execution(pool: Pool, execution: ExecutionId) -> bool:
    """Judged again under the lock: runs only move towards their end, but another scheduler may have been here."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(sql("limit_waits"), "2s")
        if await connection.fetchrow(sql("lock_execution"), execution) is None:
            return False
        runs = [row for row in await connection.fetch(sql("list_open_executions")) if row["id"] == execution]
        state = execution_state(_by_group(runs), continue_on_failure=runs[0]["continue_on_failure"])
        await connection.execute(sql("withdraw_runs"), execution, "an earlier group of the execution did not succeed")
        await connection.execute(sql("end_execution"), execution, state.value)
        return True


async def start_due_runs(pool: Pool) -> list[RunId]:
    """Queued runs whose group is due and whose slot is free are running, with their first step open (SCH-19, 20)."""
    started = []
    for row in await pool.fetch(sql("list_startable_runs")):
        try:
            if await _start_run(pool, RunId(row["id"])):
                started.append(RunId(row["id"]))
        except asyncpg.UniqueViolationError:
            continue  # another scheduler has just given the slot to another run
    return started


async def _start_run(pool: Pool, run: RunId) -> bool:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(sql("limit_waits"), "5s")
        row = await connection.fetchrow(sql("start_run"), run)
        if row is None:
            return False
        await connection.execute(sql("start_execution"), row["execution_id"])
        await count_populations(connection, run, RunKind(row["kind"]), row["system_id"])
        await open_step(connection, row, 1, None, None)
        return True
