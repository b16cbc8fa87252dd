"""The whole store in one process, for tests of everything above it.

It keeps the promises of the port: fenced units that happen completely or not at all, row locks, numbers that only grow,
barriers, guards, ends of runs. What PostgreSQL does with statements, it does by executing the pure protocol on records;
one suite of promises holds both to the same behaviour. `tables` may be looked into; nothing survives the process.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from anabranch.model.enums import BatchState, ExecutionState, FailedReason, HoldState, RunState
from anabranch.model.errors import Permanent
from anabranch.model.fleet import Beat, LostWorker, Swept
from anabranch.model.identity import ClaimId, ExecutionId, RunId, WorkerId
from anabranch.model.registry import Revision
from anabranch.protocol import runs
from anabranch.protocol.claims import SILENT_LEASES
from anabranch.protocol.runs import RunRecord
from anabranch.store.memory_barriers import MemoryBarriers
from anabranch.store.memory_reading_sync import MemoryReader
from anabranch.store.memory_tables import ExecutionRow
from anabranch.store.port import Reader

FORGOTTEN_AFTER: Final = timedelta(hours=1)


class MemoryHeart:
    """A heartbeat's way to the keeper."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def beat(self, worker: WorkerId, claims: list[ClaimId], lease: float) -> Beat:
        return self._store.renew(worker, claims, lease)

    async def close(self) -> None:
        """Nothing is held open."""


class MemoryStore(MemoryBarriers):
    """A `Store` in this process; `clock` is its only time, aware and in UTC."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self._applied = []
        self._types = {}
        self._mappings = {}

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        yield MemoryReader(self.tables, self.sequences, self.clock)

    async def refresh_statistics(self) -> None:
        """Nothing to do: there is no planner."""

    async def open_heart(self) -> MemoryHeart:
        return MemoryHeart(self)

    async def close(self) -> None:
        """Nothing is held open."""

    # --- executions and operators

    async def start_execution(self, name: str, actor: str, now: datetime | None = None) -> ExecutionId:
        revision = self.revision_of(None)
        declared = runs.declared_execution(revision.configuration, name)
        for row in self.tables.executions.values():
            same = (row.name, row.config_version, row.now) == (name, revision.version, now)
            if same and row.state is ExecutionState.QUEUED:
                self.record(actor, "start", name)
                return row.id
        number = ExecutionId(self.sequences.next_row("execution"))
        self.tables.executions.put(
            number,
            ExecutionRow(
                id=number,
                name=name,
                state=ExecutionState.QUEUED,
                config_version=revision.version,
                now=now,
                continue_on_failure=declared.continue_on_failure,
                actor=actor,
                trace_id=secrets.token_hex(16),
                span_id=secrets.token_hex(8),
                requested_at=self.clock(),
            ),
        )
        for group, keys in enumerate(declared.groups, start=1):
            for n, key in enumerate(keys, start=1):
                self._queue_run(number, group, n, key, revision)
        self.record(actor, "start", name)
        return number

    def _queue_run(self, execution: ExecutionId, group: int, n: int, key: str, revision: Revision) -> None:
        profile = revision.configuration.run_profiles[key]
        run = RunRecord(
            id=RunId(self.sequences.next_row("run")),
            execution=execution,
            grp=group,
            n=n,
            profile=key,
            kind=profile.kind,
            system=None if profile.system is None else revision.registry.systems[profile.system],
            state=RunState.QUEUED,
            config_version=revision.version,
            page_size=profile.page_size,
            batch_size=profile.batch_size,
            deadline_after=profile.deadline,
            span_id=secrets.token_hex(8),
            requested_at=self.clock(),
        )
        self.tables.runs.put(run.id, run)

    async def cancel_run(self, run: RunId, actor: str, reason: str = "") -> RunState:
        row = self.tables.runs.get(run)
        if row is None:
            raise Permanent(f"there is no run {run}; list runs to see their numbers")
        words = f"cancelled by {actor}" + (f": {reason}" if reason else "")
        if row.state is RunState.RUNNING and self.has_file_in_hand(row):
            ending = runs.ask_to_end(row, words)
        else:
            ending = runs.cancel(row, self.clock(), words)
        self.tables.runs.put(run, ending)
        self.record(actor, "cancel", f"run {run}", reason)
        return ending.state

    async def cancel_execution(self, execution: ExecutionId, actor: str, reason: str = "") -> None:
        for row in [row for row in self.tables.runs.values() if row.execution == execution]:
            await self.cancel_run(row.id, actor, reason)
        self.record(actor, "cancel", f"execution {execution}", reason)

    # --- upkeep

    async def sweep(self, lease: float) -> Swept:
        now = self.clock()
        for run in self._in_state(RunState.RUNNING, RunState.HELD, RunState.PAUSED):
            if runs.is_overdue(run, now) and not self.has_file_in_hand(run):
                self.break_off(run.id, FailedReason.DEADLINE, "the run did not end by its deadline")
        for hold in list(self.tables.holds.values()):
            if hold.state is HoldState.OPEN and hold.expires_at <= now:
                self.decide_hold(hold.run, HoldState.EXPIRED, "anabranch", "nobody decided in time")
        ended = [run.id for run in self._in_state(RunState.CANCELLING) if self.end_run(run)]
        executions = self._advance_executions()
        started = self._start_due_runs()
        lost = self._lose_workers(now, SILENT_LEASES * lease)
        self._forget_workers(now)
        return Swept(
            steps_due=tuple(self._steps_due()),
            runs_started=tuple(started),
            runs_ended=tuple(ended),
            executions_ended=tuple(executions),
            workers_lost=tuple(lost),
        )

    async def move_on(self) -> Swept:
        executions = self._advance_executions()
        return Swept(executions_ended=tuple(executions), runs_started=tuple(self._start_due_runs()))

    def _in_state(self, *states: RunState) -> list[RunRecord]:
        return sorted((run for run in self.tables.runs.values() if run.state in states), key=lambda run: run.id)

    def _groups(self, execution: ExecutionId) -> list[list[RunRecord]]:
        groups: defaultdict[int, list[RunRecord]] = defaultdict(list)
        for run in sorted(self.tables.runs.values(), key=lambda one: (one.grp, one.n)):
            if run.execution == execution:
                groups[run.grp].append(run)
        return list(groups.values())

    def _advance_executions(self) -> list[ExecutionId]:
        ended = []
        for row in [one for one in self.tables.executions.values() if one.ended_at is None]:
            groups = self._groups(row.id)
            states = [[run.state for run in group] for group in groups]
            state = runs.execution_state(states, continue_on_failure=row.continue_on_failure)
            if state in (ExecutionState.QUEUED, ExecutionState.RUNNING):
                continue
            words = "an earlier group of the execution did not succeed"
            for run in [run for group in groups for run in group if run.state is RunState.QUEUED]:
                self.tables.runs.put(run.id, runs.cancel(run, self.clock(), words))
            self.tables.executions.put(row.id, replace(row, state=state, ended_at=self.clock()))
            ended.append(row.id)
        return ended

    def _start_due_runs(self) -> list[RunId]:
        """Queued runs whose group is due and whose slot is free, in order of request (SCH-19, SCH-20)."""
        started = []
        queued = self._in_state(RunState.QUEUED)
        queued.sort(key=lambda run: (self.tables.executions[run.execution].requested_at, run.id))
        busy = {run.slot for run in self.tables.runs.values() if run.state.is_active}
        for run in queued:
            if run.slot not in busy and self._group_is_due(run):
                busy.add(run.slot)
                self._start_run(run)
                started.append(run.id)
        return sorted(started)

    def _group_is_due(self, run: RunRecord) -> bool:
        execution = self.tables.executions[run.execution]
        if execution.ended_at is not None:
            return False
        groups = self._groups(run.execution)
        states = [[one.state for one in group] for group in groups]
        due = runs.next_group(states, continue_on_failure=execution.continue_on_failure)
        return due is not None and groups[due][0].grp == run.grp

    def _start_run(self, run: RunRecord) -> None:
        now, execution = self.clock(), self.tables.executions[run.execution]
        running = runs.start(run, now, execution.now or now, self.sequences.change_seq)
        self.tables.runs.put(run.id, running)
        if execution.state is ExecutionState.QUEUED:
            begun = replace(execution, state=ExecutionState.RUNNING, started_at=now)
            self.tables.executions.put(execution.id, begun)
        self.count_populations(running)
        self.open_step(running, 1, secrets.token_hex(8), secrets.token_hex(8))

    def _lose_workers(self, now: datetime, silent: float) -> list[LostWorker]:
        holding = {row.owner for row in self.tables.batches.values() if row.state is BatchState.LEASED}
        lost = []
        for worker, row in list(self.tables.workers.items()):
            silence = (now - row.last_beat).total_seconds()
            if row.state in {"running", "draining"} and silence > silent and worker not in holding:
                self.tables.workers.put(worker, replace(row, state="lost"))
                lost.append(LostWorker(worker=worker, kind=row.kind, version=row.version, last_beat=row.last_beat))
        return lost

    def _forget_workers(self, now: datetime) -> None:
        holding = {row.owner for row in self.tables.batches.values() if row.state is BatchState.LEASED}
        for worker, row in list(self.tables.workers.items()):
            if row.last_beat < now - FORGOTTEN_AFTER and worker not in holding:
                self.tables.workers.remove(worker)

    def _steps_due(self) -> list[tuple[RunId, int]]:
        """Each newest step of a running run that may be sealed, closed, failed or followed now, in order of start."""
        due = []
        running = sorted(self._in_state(RunState.RUNNING), key=lambda run: (run.started_at or run.requested_at, run.id))
        for run in running:
            newest = max(ordinal for (of, ordinal), _ in self.tables.steps.items() if of == run.id)
            step, rows = self.tables.steps[run.id, newest], self.batches_of(run.id, newest)
            may_go_on = (
                not any(row.unfinished for row in rows)
                or any(row.state is BatchState.DEAD for row in rows)
                or (step.sealed_at is None and any(row.is_plan and row.seals for row in rows))
            )
            if step.is_closed or (step.is_live and may_go_on):
                due.append((run.id, newest))
        return due
