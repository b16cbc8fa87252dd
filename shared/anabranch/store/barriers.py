"""Closing a step and opening the next, exactly once.

Whoever ends the last batch asks; so does everybody who thinks so, and the sweep behind them all. Run and step are
locked, and only then, in a second statement, whose snapshot holds every commit that came before the locks, the step's
rows are looked at. Sealed by its plan and nothing unfinished: the step closes, its guard is judged, and the next opens
with its one plan batch in the same transaction, taken at once by whoever closed, where it may be. Asking again finds
the step closed and changes nothing, save that a step which had to wait for its turn may open now.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg

from anabranch.model.enums import BatchState, FailedReason, RunKind, RunState, StepState, WorkerKind
from anabranch.model.fleet import Claimed, Closed
from anabranch.model.identity import ClaimId, RunId, WorkerId
from anabranch.model.registry import Revision
from anabranch.protocol.steps import Step, is_last, step_at
from anabranch.protocol.turns import needs_turn, turn_types
from anabranch.store.claims import read_claimed, take
from anabranch.store.endings import finish_run
from anabranch.store.faults import translated
from anabranch.store.guards import hold, judge_point
from anabranch.store.pool import one_row
from anabranch.store.sql_files import sql
from anabranch.store.turns import give_up_turn, has_file_in_hand, take_turn

if TYPE_CHECKING:
    from anabranch.store.pool import Connection, Pool

Take: TypeAlias = tuple[WorkerId, WorkerKind, ClaimId, float]
"""The worker that closes, its kind, and the claim and lease under which it would take the next plan batch."""
LoadRevision: TypeAlias = Callable[[RunId], Awaitable[Revision | None]]

_CLOSED: Final = (StepState.CLOSED, StepState.CLOSED_ERRORS)


async def close_phase(
    pool: Pool, run: RunId, ordinal: int, span_ids: Sequence[str], take: Take | None, revision_of: LoadRevision
) -> tuple[Closed, Claimed | None]:
    """See the port: the step is closed and the next open, or nothing has changed."""
    with translated("close a step"):
        # Before the connection is taken: who waits for a second one while holding a first can wait for ever.
        revision = await revision_of(run)
        if revision is None:
            return Closed(run=run, ordinal=ordinal, closed=False), None
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(sql("limit_waits"), "5s")
            row = await one_row(connection, sql("lock_run"), run)
            return await _Barrier(connection, row, ordinal, span_ids, take, revision).close()


async def run_version(pool: Pool, run: RunId) -> int | None:
    """The revision of the configuration the run decides by; None where there is no such run."""
    version: int | None = await pool.fetchval(sql("read_run_version"), run)
    return version


class _Barrier:
    """One visit to the barrier of one step, with its run locked."""

    def __init__(
        self,
        connection: Connection,
        run: asyncpg.Record,
        ordinal: int,
        span_ids: Sequence[str],
        take: Take | None,
        revision: Revision,
    ) -> None:
        self._connection = connection
        self._row = run
        self._run = RunId(run["id"])
        self._kind = RunKind(run["kind"])
        self._ordinal = ordinal
        self._spans = [*span_ids, None, None, None][:3]
        self._take = take
        self._revision = revision

    async def close(self) -> tuple[Closed, Claimed | None]:
        state = RunState(self._row["state"])
        step = await self._connection.fetchrow(sql("lock_step"), self._run, self._ordinal)
        if step is None or not state.is_active:
            return self._closed(False, ended=state.is_final), None
        before = StepState(step["state"])
        closed = before not in _CLOSED
        if closed and not await self._close_step(before, running=state is RunState.RUNNING):
            return self._closed(False), None
        if state is not RunState.RUNNING or step["followed"]:
            return self._closed(closed), None
        if closed and await self._trips():
            return self._closed(True, held=True), None
        if is_last(self._kind, self._ordinal):
            await finish_run(self._connection, self._row)
            return self._closed(closed, ended=True), None
        return await self._open_next(closed)

    def _closed(self, closed: bool, *, next_step: str | None = None, held: bool = False, ended: bool = False) -> Closed:
        return Closed(
            run=self._run,
            ordinal=self._ordinal,
            closed=closed,
            next_step=next_step,
            held=held,
            run_ended=ended,
            execution=self._row["execution_id"],
        )

    async def _close_step(self, state: StepState, *, running: bool) -> bool:
        """True when the step has closed just now. The seal is carried over whatever the run's state; a step closes
        only in a running one."""
        if state not in (StepState.OPEN, StepState.SEALED):
            return False
        seen = await one_row(self._connection, sql("look_at_step"), self._run, self._ordinal)
        if state is StepState.OPEN and seen["sealed"]:
            await self._connection.execute(sql("seal_step"), self._run, self._ordinal, seen["batches"], seen["total"])
            state = StepState.SEALED
        if not running:
            return False
        if seen["dead_plan"] or (seen["dead"] and step_at(self._kind, self._ordinal).gate):
            await self._fail(seen)
            return False
        if state is not StepState.SEALED or seen["unfinished"]:
            return False
        final = StepState.CLOSED_ERRORS if seen["dead"] else StepState.CLOSED
        await self._connection.execute(
            sql("close_step"), self._run, self._ordinal, final.value, seen["batches"], seen["total"]
        )
        return True

    async def _fail(self, seen: asyncpg.Record) -> None:
        """A dead batch of a gate, or a dead plan: nothing later may build on half of a set."""
        name = step_at(self._kind, self._ordinal).name
        message = f"{seen['dead']} dead in step {name}: {seen['first_error'] or 'unknown'}"
        await self._connection.execute(sql("fail_step"), self._run, self._ordinal)
        await self._connection.execute(sql("fail_run"), self._run, FailedReason.DEAD_BATCHES.value, message)

    async def _trips(self) -> bool:
        point = step_at(self._kind, self._ordinal).guard
        if point is None:
            return False
        findings = await judge_point(self._connection, self._run, point, self._revision.configuration)
        if findings:
            await hold(self._connection, self._run, self._ordinal, point, findings)
        return bool(findings)

    async def _open_next(self, closed: bool) -> tuple[Closed, Claimed | None]:
        ordinal = self._ordinal + 1
        if self._row["leads_to"] is not None and not await has_file_in_hand(self._connection, self._run):
            await self._connection.execute(sql("end_as_asked"), self._run)
            return self._closed(closed), None
        if not await self._has_turn(ordinal):
            return self._closed(closed), None
        step = step_at(self._kind, ordinal)
        batch = await open_step(self._connection, self._row, ordinal, self._spans[0], self._spans[1])
        return self._closed(closed, next_step=step.name), await self._take_plan(step, batch)

    async def _has_turn(self, ordinal: int) -> bool:
        whole_file = self._kind is RunKind.EXPORT and await self._connection.fetchval(sql("writes_file"), self._run)
        if not needs_turn(self._kind, ordinal, whole_file=bool(whole_file)):
            await give_up_turn(self._connection, self._run)
            return True
        system = self._row["system_id"]
        key = next((key for key, number in self._revision.registry.systems.items() if number == system), None)
        return await take_turn(self._connection, self._run, turn_types(self._revision, self._kind, key))

    async def _take_plan(self, step: Step, batch: int) -> Claimed | None:
        if self._take is None or self._take[1] is not step.worker:
            return None
        worker, _, claim_id, lease = self._take
        span_id = self._spans[2] or self._spans[1] or await self._connection.fetchval(sql("draw_span_id"))
        ready = {"id": batch, "state": BatchState.READY.value, "epoch": 0}
        await take(self._connection, ready, worker, claim_id, span_id, lease)
        return await read_claimed(self._connection, claim_id, worker)


async def open_step(
    connection: Connection, run: asyncpg.Record, ordinal: int, step_span: str | None, batch_span: str | None
) -> int:
    """The run's step `ordinal` is open with its one plan batch, whose id is the answer."""
    step = step_at(RunKind(run["kind"]), ordinal)
    return int(
        await connection.fetchval(
            sql("open_step"), run["id"], ordinal, step.name, step.worker.value, run["system_id"], step_span, batch_span
        )
    )
