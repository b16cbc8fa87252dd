"""Mass changes, counted, judged and held.

What the guards measure against is counted once, when a run starts, and stored with it. The step before a guarded one
lists the complete set of what would be done; when it closes, the set is counted by object type and operation and judged
in the same transaction that would open the guarded step. A tripped guard opens a hold in its place. The listed
operations stay as they are until somebody decides: a release changes nothing about them, a rejection (or three days of
silence) marks those of the tripped types as held, and the guarded step passes them by.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from anabranch.model.configuration import Configuration
from anabranch.model.enums import GuardPoint, HoldState, RunKind, RunState
from anabranch.model.errors import Permanent
from anabranch.model.identity import RunId, SystemId
from anabranch.protocol.guards import HELD_COUNTER, in_words, judge, limit_for
from anabranch.protocol.runs import HOLD_HOURS
from anabranch.protocol.steps import STEPS
from anabranch.store.actions import record_action
from anabranch.store.faults import translated
from anabranch.store.sql_files import sql
from anabranch.store.turns import give_up_turn

if TYPE_CHECKING:
    from anabranch.store.pool import Connection, Pool


async def count_populations(connection: Connection, run: RunId, kind: RunKind, system: SystemId | None) -> None:
    """The populations of every guard point the run's kind reaches stand with the run and do not move (GRD-1)."""
    points = [step.guard.value for step in STEPS[kind] if step.guard is not None]
    await connection.execute(sql("count_populations"), run, system, points)


async def judge_point(
    connection: Connection, run: RunId, point: GuardPoint, configuration: Configuration
) -> list[dict[str, Any]]:
    """What is out of bounds at the point, one finding an object type; empty when the guarded step may open (GRD-2)."""
    counted: dict[int, list[asyncpg.Record]] = defaultdict(list)
    for row in await connection.fetch(sql("count_guard_ops"), run, point.value):
        counted[row["type_id"]].append(row)
    findings = []
    for type_id, rows in counted.items():
        system, key = rows[0]["system"], rows[0]["type"]
        counts = {row["op"]: row["count"] for row in rows}
        finding = judge(limit_for(configuration, point, system, key), counts, rows[0]["population"], point)
        if finding is not None:
            findings.append({"type_id": type_id, "type": key, "system": system, **msgspec.to_builtins(finding)})
    return findings


async def hold(
    connection: Connection, run: RunId, ordinal: int, point: GuardPoint, findings: list[dict[str, Any]]
) -> None:
    """The run is held before the first write of the guarded step; it keeps its slot and gives up its turn (GRD-4)."""
    words = in_words(findings)
    await connection.execute(sql("hold_run"), run, ordinal, point.value, findings, HOLD_HOURS, f"held: {words}")
    await give_up_turn(connection, run)
    await record_action(connection, "anabranch", "hold", f"run {run}", words)


async def decide_hold(pool: Pool, run: RunId, verdict: HoldState, actor: str, reason: str) -> None:
    """The run goes on: with its listed operations when `released`, without those of the tripped guard when `rejected`
    or `expired` (GRD-5 to GRD-8). Raises Permanent when the run is not held."""
    with translated("decide a hold"):
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("limit_waits"), "5s")
            row = await connection.fetchrow(sql("lock_run"), run)
            held = await connection.fetchrow(sql("read_open_hold"), run)
            if row is None or held is None or row["state"] != RunState.HELD:
                state = row["state"] if row else "unknown"
                raise Permanent(f"run {run} is not held (it is {state}): there is nothing to decide")
            if verdict is not HoldState.RELEASED:
                await _hold_back(connection, run, held)
            await connection.execute(sql("decide_hold"), held["id"], verdict.value, actor, reason)
            await connection.execute(sql("resume_held_run"), run)
            verb = {HoldState.RELEASED: "release", HoldState.REJECTED: "reject"}.get(verdict, "expire")
            await record_action(connection, actor, verb, f"run {run}", reason)


async def _hold_back(connection: Connection, run: RunId, held: asyncpg.Record) -> None:
    tripped = [(finding["type_id"], breach["op"]) for finding in held["findings"] for breach in finding["breaches"]]
    types, ops = [type_id for type_id, _ in tripped], [op for _, op in tripped]
    count = await connection.fetchval(sql("hold_operations"), run, held["point"], types, ops)
    name = HELD_COUNTER[GuardPoint(held["point"])]
    await connection.execute(sql("count_on_step"), run, held["ordinal"], name, count)


async def expire_holds(pool: Pool) -> None:
    """Holds nobody decided in 72 hours count as rejected, never as released (GRD-7)."""
    for row in await pool.fetch(sql("list_expired_holds")):
        try:
            await decide_hold(pool, RunId(row["run_id"]), HoldState.EXPIRED, "anabranch", "nobody decided in time")
        except Permanent:
            continue  # decided by somebody between the list and the lock
