"""When a step is over and the next may open.

A step is opened with one plan batch. Whoever holds the plan cuts the work into batches and says, in the same commit,
that these are all. From then on the step waits for its own rows alone: it closes when it is sealed and none of them is
blocked, ready or leased, counted from committed rows and never from messages. Closing and opening the next are one
transaction, done once, by the last finisher or by the sweep, whoever comes first; asking again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from anabranch.model.enums import BatchState, RunKind, StepState
from anabranch.model.identity import BatchId, RunId, SystemId
from anabranch.protocol.batches import BatchRecord
from anabranch.protocol.steps import RECORDING, STEPS, WRITING, Step, ordinal_of, step_at
from anabranch.protocol.transitions import STEP, StepEvent


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One step row: `expected` is the number of its batches once it is sealed, `fired` how often it closed (at most
    once)."""

    run: RunId
    ordinal: int
    name: str
    state: StepState
    span_id: str
    opened_at: datetime
    fired: int = 0
    expected: int | None = None
    total: int | None = None
    counters: dict[str, int] = {}
    """What the barrier itself counted, such as operations a rejected guard holds back."""
    sealed_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def is_live(self) -> bool:
        """True while batches of the step may still end."""
        return self.state in (StepState.OPEN, StepState.SEALED)

    @property
    def is_closed(self) -> bool:
        """True when its successors may rely on it."""
        return self.state in (StepState.CLOSED, StepState.CLOSED_ERRORS)


class Verdict(StrEnum):
    """What a barrier says of a step."""

    WAIT = "wait"
    CLOSE = "close"
    FAIL = "fail"
    OVER = "over"
    """It has closed, failed or been cancelled before."""


def open_step(
    run: RunId,
    kind: RunKind,
    ordinal: int,
    *,
    now: datetime,
    step_span: str,
    plan_id: BatchId,
    plan_span: str,
    system: SystemId | None,
    plan_payload: dict[str, object] | None = None,
) -> tuple[StepRecord, BatchRecord]:
    """The step is open and its one plan batch ready."""
    step = step_at(kind, ordinal)
    record = StepRecord(
        run=run,
        ordinal=ordinal,
        name=step.name,
        state=STEP.after(None, StepEvent.OPENED),
        span_id=step_span,
        opened_at=now,
    )
    plan = BatchRecord(
        id=plan_id,
        run=run,
        ordinal=ordinal,
        producer=0,
        n=0,
        worker_kind=step.worker,
        role="plan",
        state=BatchState.READY,
        span_id=plan_span,
        created_at=now,
        system=system,
        payload=plan_payload or {},
    )
    return record, plan


def seal(step: StepRecord, batches: Sequence[BatchRecord], now: datetime) -> StepRecord:
    """The step with the seal of its plan carried over; as it is when the plan has not sealed, or the step has been."""
    if step.state is not StepState.OPEN or not _plan_has_sealed(batches):
        return step
    return replace(
        step,
        state=STEP.after(step.state, StepEvent.SEALED),
        expected=len(batches),
        total=sum(batch.total for batch in batches if batch.state is not BatchState.SKIPPED),
        sealed_at=now,
    )


def judge_step(step: StepRecord, definition: Step, batches: Iterable[BatchRecord]) -> Verdict:
    """Whether the step closes, waits or fails its run, from all of its batches as committed.

    A dead batch fails a gate at once; in a tolerant step it counts as arrived (FLT-8). A dead plan fails either: nobody
    knows what the step's work would have been.
    """
    if not step.is_live:
        return Verdict.OVER
    rows = list(batches)
    dead = [batch for batch in rows if batch.state is BatchState.DEAD]
    if any(definition.gate or batch.is_plan for batch in dead):
        return Verdict.FAIL
    return Verdict.CLOSE if may_close(step, rows) else Verdict.WAIT


def may_close(step: StepRecord, batches: Iterable[BatchRecord]) -> bool:
    """True when the step is sealed and none of its batches is blocked, ready or leased."""
    return step.state is StepState.SEALED and not any(batch.unfinished for batch in batches)


def close(step: StepRecord, batches: Sequence[BatchRecord], now: datetime) -> StepRecord:
    """The step has closed, for the first and only time."""
    dead = any(batch.state is BatchState.DEAD for batch in batches)
    return replace(
        step,
        state=STEP.after(step.state, StepEvent.CLOSED_ERRORS if dead else StepEvent.CLOSED),
        fired=step.fired + 1,
        expected=len(batches),
        closed_at=now,
    )


def end_early(step: StepRecord, now: datetime, *, failed: bool) -> StepRecord:
    """The step ended with its run: `failed` where it was the cause, else `cancelled`."""
    event = StepEvent.FAILED if failed else StepEvent.CANCELLED
    return replace(step, state=STEP.after(step.state, event), closed_at=now)


def has_file_in_hand(kind: RunKind, steps: Iterable[StepRecord], batches: Iterable[BatchRecord]) -> bool:
    """Whether somebody has begun to write the file of a run that writes one, and not all of it is recorded yet. Such a
    run goes on: a file that is in place and not recorded would hold accounts that nobody knows of (EXP-37)."""
    if kind is not RunKind.EXPORT:
        return False
    writing, recording = ordinal_of(kind, WRITING), ordinal_of(kind, RECORDING)
    begun = any(
        batch.ordinal == writing
        and not batch.is_plan
        and batch.epoch > 0
        and batch.state in (BatchState.READY, BatchState.LEASED, BatchState.DONE)
        for batch in batches
    )
    return begun and not any(step.ordinal == recording and step.is_closed for step in steps)


def next_ordinal(kind: RunKind, ordinal: int) -> int | None:
    """The step after this one, or None after the last."""
    return ordinal + 1 if ordinal < len(STEPS[kind]) else None


def unblocked_by(batch: BatchRecord, definition: Step) -> bool:
    """True when batches that wait for this one may start: it is done, or dead in a tolerant step."""
    return batch.state is BatchState.DONE or (batch.state is BatchState.DEAD and not definition.gate)


def _plan_has_sealed(batches: Iterable[BatchRecord]) -> bool:
    return any(batch.is_plan and batch.state is BatchState.DONE and batch.seals for batch in batches)
