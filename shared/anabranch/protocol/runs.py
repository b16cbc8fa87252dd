"""How a run starts, stops for a person, and ends.

A run is queued until the slot of its connected system is free. It pins what it depends on (configuration, `now`, the
change sequence) when it starts. While it is active its holders may commit, whatever it has become: the results of calls
already made are never thrown away; only a running one gives out claims. A cancel and every failure end it alike: it is
`cancelling` with the state it leads to, its waiting batches are withdrawn, live leases are waited for and expired ones
ended, and when none is left it has its final state and the slot is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from anabranch.model.configuration import Configuration, Execution
from anabranch.model.enums import (
    BatchState,
    ExecutionState,
    FailedReason,
    RunKind,
    RunState,
)
from anabranch.model.errors import Permanent
from anabranch.model.identity import ExecutionId, RunId, SystemId
from anabranch.protocol.batches import BatchRecord
from anabranch.protocol.claims import expired
from anabranch.protocol.transitions import BATCH, RUN, BatchEvent, RunEvent

LAST_RENEWAL: Final = 60.0
"""Seconds after a cancel or deadline beyond which no lease reaches."""
HOLD_HOURS: Final = 72
"""An undecided hold expires after this time and counts as rejected (GRD-7)."""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run row. `leads_to`: the final state of a `cancelling` run; `now` and `start_seq` are pinned at its start."""

    id: RunId
    execution: ExecutionId
    grp: int
    n: int
    profile: str
    kind: RunKind
    system: SystemId | None
    state: RunState
    config_version: int
    page_size: int
    batch_size: int
    deadline_after: timedelta
    span_id: str
    requested_at: datetime
    leads_to: RunState | None = None
    failed_reason: FailedReason | None = None
    message: str | None = None
    pause_reasons: frozenset[str] = frozenset()
    now: datetime | None = None
    start_seq: int | None = None
    deadline: datetime | None = None
    held_since: datetime | None = None
    """Since when the deadline stands still: the run is held or paused by an operator."""
    ending_since: datetime | None = None
    totals: dict[str, int] = {}
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def slot(self) -> int:
        """Of which at most one run is active: the connected system, or 0 for housekeeping (SCH-19)."""
        return self.system or 0


def start(run: RunRecord, now: datetime, pinned_now: datetime, start_seq: int) -> RunRecord:
    """The run is `running` with `pinned_now` and the change sequence stored for good (FLT-16)."""
    return replace(
        run,
        state=RUN.after(run.state, RunEvent.DISPATCHED),
        now=pinned_now,
        start_seq=start_seq,
        started_at=now,
        deadline=now + run.deadline_after,
    )


def hold(run: RunRecord, now: datetime) -> RunRecord:
    """A guard tripped: the run keeps its slot and its deadline stands still."""
    return replace(run, state=RUN.after(run.state, RunEvent.GUARD_TRIPPED), held_since=now)


def decide_hold(run: RunRecord, now: datetime) -> RunRecord:
    """The hold is released, rejected or expired: the run goes on, unless a pause reason is left."""
    event = RunEvent.HOLD_DECIDED_PAUSED if run.pause_reasons else RunEvent.HOLD_DECIDED
    going = _deadline_goes_on(run, now)
    still = now if "operator" in run.pause_reasons else None
    return replace(going, state=RUN.after(run.state, event), held_since=still)


def pause(run: RunRecord, reason: str, now: datetime) -> RunRecord:
    """`reason` is among the pause reasons; a running run is paused. An operator's pause stops the deadline (AUD-10)."""
    reasons = run.pause_reasons | {reason}
    still = run.held_since or (now if reason == "operator" else None)
    if run.state is not RunState.RUNNING:
        if not run.state.is_active:
            raise ValueError(f"run {run.id} is {run.state.value}; only an active run can be paused")
        return replace(run, pause_reasons=reasons, held_since=still)
    return replace(run, pause_reasons=reasons, state=RUN.after(run.state, RunEvent.PAUSED), held_since=still)


def resume(run: RunRecord, reason: str, now: datetime) -> RunRecord:
    """`reason` is gone; a paused run goes on when it was the last."""
    reasons = run.pause_reasons - {reason}
    going = replace(run, pause_reasons=reasons)
    if reason == "operator" and run.state is RunState.PAUSED:
        going = _deadline_goes_on(going, now)
    if run.state is not RunState.PAUSED or reasons:
        return going
    return replace(_deadline_goes_on(going, now), state=RUN.after(run.state, RunEvent.RESUMED))


def cancel(run: RunRecord, now: datetime, message: str | None = None) -> RunRecord:
    """An operator stops the run: a queued one is `cancelled` at once, an active one ends by way of `cancelling`. One
    that is ending or over stays as it is."""
    if run.state is RunState.QUEUED:
        return replace(run, state=RUN.after(run.state, RunEvent.WITHDRAWN), message=message, ended_at=now)
    if run.state is RunState.CANCELLING or run.state.is_final:
        return run
    return replace(
        run,
        state=RUN.after(run.state, RunEvent.CANCELLED),
        leads_to=RunState.CANCELLED,
        message=message,
        ending_since=now,
    )


def ask_to_end(run: RunRecord, message: str | None = None) -> RunRecord:
    """An operator stops a running run that may not end yet; it will end as a cancelled one. See `end_as_asked`."""
    return run if run.leads_to is not None else replace(run, leads_to=RunState.CANCELLED, message=message)


def end_as_asked(run: RunRecord, now: datetime) -> RunRecord:
    """A running run that was asked to end, and now may, is ending."""
    return replace(run, state=RUN.after(run.state, RunEvent.CANCELLED), ending_since=now)


def fail(run: RunRecord, reason: FailedReason, message: str, now: datetime) -> RunRecord:
    """The run cannot finish: it ends like a cancelled one and will be `failed`. One that is ending or over stays."""
    if run.state is RunState.CANCELLING or run.state.is_final:
        return run
    return replace(
        run,
        state=RUN.after(run.state, RunEvent.CANNOT_FINISH),
        leads_to=RunState.FAILED,
        failed_reason=reason,
        message=message,
        ending_since=now,
    )


def is_overdue(run: RunRecord, now: datetime) -> bool:
    """True when an active run has passed its deadline; held time does not count (AUD-10)."""
    if not run.state.is_active or run.state is RunState.CANCELLING or run.deadline is None:
        return False
    return run.held_since is None and run.deadline <= now


def last_renewal(run: RunRecord) -> datetime | None:
    """The instant beyond which no lease of an ending run reaches; None while it is not ending."""
    if run.state is not RunState.CANCELLING or run.ending_since is None:
        return None
    return run.ending_since + timedelta(seconds=LAST_RENEWAL)


def end_batch(batch: BatchRecord, now: datetime) -> BatchRecord:
    """One batch of an ending run: a waiting one is withdrawn, an expired one ended with its epoch one higher, so that
    its late holder writes nothing; a live lease and what has ended stay as they are."""
    if batch.state in (BatchState.BLOCKED, BatchState.READY):
        return replace(batch, state=BATCH.after(batch.state, BatchEvent.WITHDRAWN), ended_at=now)
    if not expired(batch, now):
        return batch
    return replace(
        batch,
        state=BATCH.after(batch.state, BatchEvent.EXPIRED_AT_END),
        claim=None,
        epoch=batch.epoch + 1,
        owner=None,
        lease_until=None,
        ended_at=now,
    )


def may_end(run: RunRecord, batches: Iterable[BatchRecord]) -> bool:
    """True when nothing of an ending run is unfinished any more."""
    return run.state is RunState.CANCELLING and not any(batch.unfinished for batch in batches)


def end(
    run: RunRecord, state: RunState, reason: FailedReason | None, totals: dict[str, int], now: datetime
) -> RunRecord:
    """The run has its final state, its totals and its end; its slot is free."""
    event = {
        (RunState.CANCELLING, RunState.CANCELLED): RunEvent.ENDED_CANCELLED,
        (RunState.CANCELLING, RunState.FAILED): RunEvent.ENDED_FAILED,
        (RunState.RUNNING, RunState.COMPLETED): RunEvent.COMPLETED,
        (RunState.RUNNING, RunState.COMPLETED_WITH_WARNINGS): RunEvent.COMPLETED_WITH_WARNINGS,
        (RunState.RUNNING, RunState.COMPLETED_WITH_ERRORS): RunEvent.COMPLETED_WITH_ERRORS,
        (RunState.RUNNING, RunState.FAILED): RunEvent.FAILED,
    }.get((run.state, state))
    if event is None:
        raise ValueError(f"run {run.id} is {run.state.value} and cannot end as {state.value}")
    return replace(
        run, state=RUN.after(run.state, event), failed_reason=reason, totals=totals, held_since=None, ended_at=now
    )


def next_group(states: Sequence[Sequence[RunState]], *, continue_on_failure: bool) -> int | None:
    """The index of the group whose runs may start, or None: all have started, or an earlier one is not over or failed.

    `states` holds the states of the runs of each group in order. A group starts when every run of the one before has
    reached a final state (SCH-13), and, unless the execution goes on after failures, none of them failed (SCH-14).
    """
    for index, group in enumerate(states):
        if all(state is RunState.QUEUED for state in group):
            return index
        if any(not state.is_final for state in group):
            return index if RunState.QUEUED in group else None
        if not continue_on_failure and any(state in (RunState.FAILED, RunState.CANCELLED) for state in group):
            return None
    return None


def execution_state(states: Sequence[Sequence[RunState]], *, continue_on_failure: bool) -> ExecutionState:
    """What the states of all its runs make of an execution: `failed` as soon as a group failed and is over (SCH-14)."""
    for group in states:
        if any(not state.is_final for state in group):
            started = any(state is not RunState.QUEUED for other in states for state in other)
            return ExecutionState.RUNNING if started else ExecutionState.QUEUED
        if not continue_on_failure and RunState.FAILED in group:
            return ExecutionState.FAILED
        if not continue_on_failure and RunState.CANCELLED in group:
            return ExecutionState.CANCELLED
    flat = [state for group in states for state in group]
    if any(state in (RunState.FAILED, RunState.CANCELLED, RunState.COMPLETED_WITH_ERRORS) for state in flat):
        return ExecutionState.COMPLETED_WITH_ERRORS
    return ExecutionState.COMPLETED


def declared_execution(configuration: Configuration, name: str) -> Execution:
    """The execution of that name, or a run profile as an execution of one. Raises Permanent for an unknown name."""
    if name in configuration.executions:
        return configuration.executions[name]
    if name in configuration.run_profiles:
        return Execution(key=name, groups=((name,),))
    known = ", ".join(sorted({*configuration.executions, *configuration.run_profiles})) or "none"
    raise Permanent(f"there is no execution or run profile {name!r}; declared are: {known}")


def _deadline_goes_on(run: RunRecord, now: datetime) -> RunRecord:
    if run.held_since is None or run.deadline is None:
        return replace(run, held_since=None)
    return replace(run, deadline=run.deadline + (now - run.held_since), held_since=None)
