"""What an operator asks: which runs there are, how far one is, who works, what waits, what is held, what died.

Every listing is a picture of committed rows at one moment and changes nothing. The figures of a run's progress are the
sums over its committed batches, so no redelivery can inflate them and they are the same whoever asks; when Redis has no
answer these are shown in its place (PRG-7).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from anabranch.model.enums import RunKind, RunState, WorkerKind
from anabranch.model.identity import BatchId, ExecutionId, RunId, WorkerId
from anabranch.protocol.steps import STEPS
from anabranch.store.faults import translated
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Executor


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """One run in a list; `step` is the newest, `totals` are complete once it has ended."""

    run: RunId
    execution: ExecutionId
    grp: int
    profile: str
    kind: RunKind
    system: str | None
    state: RunState
    failed_reason: str | None
    message: str | None
    config_version: int
    step: str | None
    trace_id: str
    """Of its execution; every span of the run is in that trace."""
    span_id: str
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    deadline: datetime | None
    totals: dict[str, int]


class StepLine(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run: how many of its batches are in each state, and what they counted."""

    ordinal: int
    name: str
    state: str
    expected: int | None
    total: int | None
    span_id: str
    opened_at: datetime
    closed_at: datetime | None
    batches: dict[str, int]
    counters: dict[str, int]


class ErrorLine(msgspec.Struct, frozen=True, kw_only=True):
    """How often one kind of error or warning occurred in a run, with one of its messages."""

    severity: str
    kind: str
    count: int
    message: str


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its steps in order, its errors by kind and its holds."""

    run: RunLine
    steps: list[StepLine]
    errors: list[ErrorLine]
    holds: list[HoldLine]


class ExecutionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One execution: its state, where it stands, and what its trace is called."""

    execution: ExecutionId
    name: str
    state: str
    actor: str
    groups: int
    group: int | None
    runs: int
    trace_id: str
    span_id: str
    config_version: int
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class AttemptLine(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a batch, with all its span tells; `previous_span_id` is that of the attempt before."""

    batch: BatchId
    epoch: int
    worker: WorkerId
    span_id: str
    previous_span_id: str | None
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    run: RunId
    ordinal: int
    step: str
    role: str
    worker_kind: WorkerKind
    total: int
    system: str | None
    kind: RunKind
    trace_id: str
    step_span_id: str


class Ending(msgspec.Struct, frozen=True):
    """A `step`, `run` or `execution` that has ended; `ordinal` is 0 but for steps."""

    what: str
    id: int
    ordinal: int


class WorkerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One process: when it last beat (seconds ago) and the batches it holds."""

    worker: str
    kind: str
    version: str
    host: str
    pid: int
    state: str
    started_at: datetime
    last_beat: datetime
    silent_seconds: float
    holds: list[int]


class QueueLine(msgspec.Struct, frozen=True, kw_only=True):
    """How many batches of a kind are in a state; `due` of them could be taken now, the oldest for `oldest_seconds`."""

    worker_kind: WorkerKind
    state: str
    batches: int
    due: int
    oldest_seconds: float


class HoldLine(msgspec.Struct, frozen=True, kw_only=True):
    """A hold: what tripped, since when, until when it can be decided, and how it was."""

    run: RunId
    ordinal: int
    point: str
    state: str
    findings: list[dict[str, Any]]
    operations: int
    opened_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    actor: str | None
    reason: str | None


class DeadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A dead batch, as an operator inspects it."""

    batch: BatchId
    run: RunId
    phase: str
    worker_kind: WorkerKind
    system: str | None
    system_id: int
    failures: int
    losses: int
    error: str | None
    payload: dict[str, Any]
    ended_at: datetime | None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is, from committed batches: `processed` of `total` (None: not known yet) in its newest step, and
    the counters of the whole run."""

    run: RunId
    kind: RunKind
    system: str | None
    state: RunState
    phase: str | None
    phase_index: int
    phase_count: int
    processed: int
    total: int | None
    counters: dict[str, int]
    errors: int
    started_at: datetime | None
    updated_at: datetime
    message: str | None


class Overview:
    """The listings, each one statement on any connection."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def runs(self, limit: int = 50) -> list[RunLine]:
        """The newest runs, newest first."""
        return [_run(row) for row in await self._fetch("list_runs", None, limit)]

    async def run(self, run: RunId) -> RunDetail | None:
        """One run with everything about it; None when there is none of that number."""
        rows = await self._fetch("list_runs", run, 1)
        if not rows:
            return None
        steps = await self._fetch("list_run_steps", run)
        errors = await self._fetch("list_run_errors", run)
        return RunDetail(
            run=_run(rows[0]),
            steps=[StepLine(**row) for row in steps],
            errors=[ErrorLine(**row) for row in errors],
            holds=[HoldLine(**row) for row in await self._fetch("list_holds", run)],
        )

    async def executions(self, limit: int = 50) -> list[ExecutionLine]:
        """The newest executions, newest first."""
        return [ExecutionLine(**row) for row in await self._fetch("list_executions", None, limit)]

    async def execution(self, execution: ExecutionId) -> ExecutionLine | None:
        """One execution; None when there is none of that number."""
        rows = await self._fetch("list_executions", execution, 1)
        return ExecutionLine(**rows[0]) if rows else None

    async def runs_of(self, execution: ExecutionId) -> list[RunLine]:
        """The runs of an execution, in order of group and place."""
        return [_run(row) for row in await self._fetch("list_runs_in_execution", execution)]

    async def attempt(self, batch: BatchId, epoch: int) -> AttemptLine | None:
        """One attempt at a batch; None when there is none of that number."""
        found = await self._attempts([batch], [epoch])
        return found[0] if found else None

    async def attempts_of(self, worker: WorkerId, after: datetime) -> list[AttemptLine]:
        """Attempts of the process that ended after that moment, whoever ended them."""
        rows = await self._fetch("find_attempts_of_worker", worker, after)
        return await self._attempts([row["batch_id"] for row in rows], [row["epoch"] for row in rows])

    async def endings(self, after: datetime, until: datetime) -> list[Ending]:
        """What ended between two moments, whoever ended it."""
        return [
            Ending(row["what"], row["id"], row["ordinal"]) for row in await self._fetch("find_endings", after, until)
        ]

    async def _attempts(self, batches: list[BatchId], epochs: list[int]) -> list[AttemptLine]:
        return [
            AttemptLine(**{**row, "worker_kind": WorkerKind(row["worker_kind"]), "kind": RunKind(row["kind"])})
            for row in await self._fetch("list_attempts", batches, epochs)
        ]

    async def workers(self) -> list[WorkerLine]:
        """Every process that was heard of in the last hour."""
        return [WorkerLine(**row) for row in await self._fetch("list_workers")]

    async def queue(self) -> list[QueueLine]:
        """What waits or is in work, by kind and state."""
        rows = await self._fetch("list_queue")
        return [QueueLine(**{**row, "worker_kind": WorkerKind(row["worker_kind"])}) for row in rows]

    async def holds(self) -> list[HoldLine]:
        """Every open hold."""
        return [HoldLine(**row) for row in await self._fetch("list_holds", None)]

    async def dead_batches(self, limit: int = 100) -> list[DeadLine]:
        """Dead batches, newest first."""
        rows = await self._fetch("list_dead_batches", limit)
        return [DeadLine(**{**row, "worker_kind": WorkerKind(row["worker_kind"])}) for row in rows]

    async def progress(self, run: RunId) -> Progress | None:
        """How far a run is (PRG-7); None when there is none of that number."""
        rows = await self._fetch("read_progress", run)
        if not rows:
            return None
        kind = RunKind(rows[0]["kind"])
        fields = {**rows[0], "kind": kind, "state": RunState(rows[0]["state"])}
        return Progress(phase_count=len(STEPS[kind]), **fields)

    async def _fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        with translated("list"):
            return await self._executor.fetch(sql(name), *arguments)


def _run(row: asyncpg.Record) -> RunLine:
    return RunLine(**{**row, "kind": RunKind(row["kind"]), "state": RunState(row["state"])})
