"""Runs, steps and batches as a worker or an operator sees them: pictures of committed rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from anabranch.model.enums import RunKind, WorkerKind
from anabranch.model.identity import BatchId, ClaimId, ExecutionId, RunId, SystemId, WorkerId


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A batch in this worker's hands. `claim` is the fence: every later write to the batch row carries it."""

    batch: BatchId
    run: RunId
    ordinal: int
    step: str
    role: str
    """`plan`, `work`, or `record` for work that calls no system."""
    worker_kind: WorkerKind
    claim: ClaimId
    epoch: int
    worker: WorkerId
    system: SystemId | None
    kind: RunKind
    payload: dict[str, Any]
    total: int
    cursor: dict[str, Any] | None
    counters: dict[str, int]
    failures: int
    losses: int
    version: int
    config_version: int
    now: datetime
    """`run.now`, pinned when the run started."""
    start_seq: int
    page_size: int
    batch_size: int
    execution: ExecutionId
    trace_id: str
    span_id: str
    """Of this attempt."""
    step_span_id: str
    previous_span_id: str | None
    """Of the attempt before this one, when the batch was redelivered."""
    lease_until: datetime
    system_key: str | None = None
    """The name of `system`, for what is told."""


class NewBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A following batch, inserted in the commit that creates it. In an ordered step each waits for the one before."""

    n: int
    payload: dict[str, Any]
    total: int = 0
    """Objects it will process, for progress."""
    waits_for_previous: bool = False


class DueHint(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is due to be published; `seq` is its epoch, `system` its key for a person who reads the stream."""

    batch: BatchId
    run: RunId
    system: str
    phase: str
    worker_kind: WorkerKind
    seq: int
    version: int
    traceparent: str
    system_id: int = 0
    """The number of that system for the hint itself; 0 where the run has none."""


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """What `close_phase` did: which step closed, what opened, whether the run was held or has ended."""

    run: RunId
    ordinal: int
    closed: bool
    next_step: str | None = None
    held: bool = False
    run_ended: bool = False
    execution: ExecutionId | None = None


class Beat(msgspec.Struct, frozen=True):
    """What one heartbeat confirmed: the claims still held, and those that must stop (lost, or the run is ending)."""

    held: frozenset[ClaimId]
    lost: frozenset[ClaimId]


class LostWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A process that ended without saying so; when it was last heard of."""

    worker: WorkerId
    kind: str
    version: str
    last_beat: datetime


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What one round of upkeep did and left to do."""

    steps_due: tuple[tuple[RunId, int], ...] = ()
    """(run, ordinal) for which `close_phase` is owed."""
    runs_started: tuple[RunId, ...] = ()
    runs_ended: tuple[RunId, ...] = ()
    """Runs that this round brought to their final state; those `close_phase` ends are told by `Closed`."""
    executions_ended: tuple[ExecutionId, ...] = ()
    backends_ended: int = 0
    """Transactions of frozen workers that were cut off."""
    workers_lost: tuple[LostWorker, ...] = ()
    """Processes this round found gone; nothing is leased to them any more."""
