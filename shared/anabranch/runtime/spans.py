"""Spans, made of what rows say.

Ids were drawn with the rows and times are PostgreSQL's, so a span is the same whoever tells it and whenever: a span
told twice is one span, and clocks of machines do not matter. Whoever ends a row tells it: a worker its attempts, and
whoever closes a step, a run or an execution tells that one, in the name of the scheduler, whose book they stand in.

A process that is killed takes along what it had not yet sent. The sweep that finds it gone tells its last attempts
again in its name, the lost one too that a redelivery links to, and what was closed in those seconds. Where the one that
is gone is a scheduler, it may have been about to do that for others, and theirs are told again as well.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from anabranch.model.enums import WorkerKind
from anabranch.model.fleet import Closed, LostWorker
from anabranch.model.identity import ExecutionId, RunId, WorkerId
from anabranch.protocol.claims import SILENT_LEASES
from anabranch.store.overview import AttemptLine, ExecutionLine, Overview, RunLine, StepLine
from anabranch.telemetry.instruments import Metric, Span
from anabranch.telemetry.port import SpanStatus, Telemetry, Teller
from anabranch.telemetry.propagation import TraceContext

_FLEET: Final = Teller("anabranch-scheduler", "fleet")
_BAD: Final = frozenset({"failed", "cancelled", "closed_errors"})
_ENDED_WITH_THE_RUN: Final = frozenset({"failed", "cancelled"})
"""States of a step that nobody closed."""
_FINE: Final = frozenset({"done", "split", "handed_back"})
_UNSENT: Final = timedelta(seconds=10)
"""So long before its last beat may a process have ended something and not yet sent the span: what waits is sent every
five seconds, and an export may take three."""
_UNTOLD: Final = timedelta(minutes=1)
"""So long before the last beat of a scheduler that is gone may others have fallen silent for whom it was to tell."""
_NAMES: Final = {
    WorkerKind.IMPORT: Span.IMPORT_BATCH,
    WorkerKind.SYNC: Span.SYNC_BATCH,
    WorkerKind.EXPORT: Span.EXPORT_BATCH,
}
_STREAMS: Final = {
    WorkerKind.IMPORT: "import-tasks",
    WorkerKind.SYNC: "sync-batches",
    WorkerKind.EXPORT: "export-tasks",
}


def attempt_span(telemetry: Telemetry, line: AttemptLine, teller: Teller | None = None) -> None:
    """The span of an attempt that has ended is told; it links to the attempt before."""
    if line.ended_at is None:
        return
    telemetry.emit_span(
        _NAMES[line.worker_kind],
        trace_id=line.trace_id,
        span_id=line.span_id,
        parent_span_id=line.step_span_id,
        start=nanoseconds(line.started_at),
        end=nanoseconds(line.ended_at),
        attributes={
            "anabranch.run.id": line.run,
            "anabranch.run.kind": line.kind.value,
            "anabranch.system": line.system or "",
            "anabranch.phase": f"{line.ordinal}.{line.step}",
            "anabranch.batch.id": line.batch,
            "anabranch.batch.role": line.role,
            "anabranch.attempt": line.epoch,
            "anabranch.outcome": line.outcome or "",
            "messaging.system": "redis",
            "messaging.destination.name": _STREAMS[line.worker_kind],
            "messaging.consumer.group.name": "workers",
            "messaging.batch.message_count": line.total,
        },
        status=SpanStatus.OK if line.outcome in _FINE else SpanStatus.ERROR,
        message="" if line.outcome in _FINE else f"the attempt ended {line.outcome}",
        links=[TraceContext(line.trace_id, line.previous_span_id)] if line.previous_span_id else [],
        teller=teller,
    )


async def close_spans(telemetry: Telemetry, overview: Overview, closed: Closed) -> None:
    """The span of the closed step is told, and the run's when it has ended with it."""
    if telemetry.wants_spans:
        await _step_span(telemetry, overview, closed.run, closed.ordinal)
    if closed.run_ended:
        await run_span(telemetry, overview, closed.run)


async def run_span(telemetry: Telemetry, overview: Overview, run: RunId) -> None:
    """The span of a run that has ended is told, with those of its steps that nobody closed, and its figures."""
    line = await _tell_run(telemetry, overview, run)
    if line is None or line.ended_at is None:
        return
    where = {"kind": line.kind.value, "system": line.system or "", "state": line.state.value}
    telemetry.count(Metric.RUNS_ENDED, 1, **where)
    telemetry.record(Metric.RUN_DURATION, (line.ended_at - _begun(line)).total_seconds(), **where)


async def execution_span(telemetry: Telemetry, overview: Overview, execution: ExecutionId) -> None:
    """The root span of an execution that has ended is told."""
    line = await overview.execution(execution)
    if line is None or line.ended_at is None:
        return
    telemetry.emit_span(
        Span.EXECUTION,
        trace_id=line.trace_id,
        span_id=line.span_id,
        parent_span_id=None,
        start=nanoseconds(line.requested_at),
        end=nanoseconds(line.ended_at),
        attributes={
            "anabranch.execution.id": execution,
            "anabranch.execution.name": line.name,
            "anabranch.execution.state": line.state,
        },
        status=SpanStatus.ERROR if line.state in _BAD else SpanStatus.OK,
        teller=_FLEET,
    )


async def spans_left_behind(telemetry: Telemetry, overview: Overview, lost: LostWorker, lease: float) -> None:
    """What a process that is gone may have had no time to send is told."""
    if not telemetry.wants_spans:
        return
    await _in_its_name(telemetry, overview, lost, lease)
    if lost.kind != "scheduler":
        return
    for other in await overview.workers():  # it may have been about to tell what these had left behind
        if other.state == "lost" and other.worker != lost.worker and other.last_beat > lost.last_beat - _UNTOLD:
            gone = LostWorker(
                worker=WorkerId(other.worker), kind=other.kind, version=other.version, last_beat=other.last_beat
            )
            await _in_its_name(telemetry, overview, gone, lease)


async def _in_its_name(telemetry: Telemetry, overview: Overview, lost: LostWorker, lease: float) -> None:
    service = lost.kind if lost.kind == "scheduler" else f"{lost.kind}-worker"
    teller = Teller(f"anabranch-{service}", lost.worker, lost.version)
    since = lost.last_beat - _UNSENT
    for line in await overview.attempts_of(lost.worker, since):
        attempt_span(telemetry, line, teller)
    for ending in await overview.endings(since, lost.last_beat + timedelta(seconds=SILENT_LEASES * lease)):
        match ending.what:
            case "step":
                await _step_span(telemetry, overview, RunId(ending.id), ending.ordinal)
            case "run":
                await _tell_run(telemetry, overview, RunId(ending.id))
            case _:
                await execution_span(telemetry, overview, ExecutionId(ending.id))


async def _step_span(telemetry: Telemetry, overview: Overview, run: RunId, ordinal: int) -> None:
    detail = await overview.run(run)
    execution = await overview.execution(detail.run.execution) if detail is not None else None
    if detail is not None and execution is not None:
        for step in detail.steps:
            if step.ordinal == ordinal:
                _tell_step(telemetry, execution, detail.run, step)


def _tell_step(telemetry: Telemetry, execution: ExecutionLine, run: RunLine, step: StepLine) -> None:
    if step.closed_at is None:
        return
    telemetry.emit_span(
        Span.STEP,
        trace_id=execution.trace_id,
        span_id=step.span_id,
        parent_span_id=run.span_id,
        start=nanoseconds(step.opened_at),
        end=nanoseconds(step.closed_at),
        attributes={
            "anabranch.run.id": run.run,
            "anabranch.run.kind": run.kind.value,
            "anabranch.system": run.system or "",
            "anabranch.phase": f"{step.ordinal}.{step.name}",
            "anabranch.step.state": step.state,
            "anabranch.batches": sum(step.batches.values()),
        },
        status=SpanStatus.ERROR if step.state in _BAD else SpanStatus.OK,
        teller=_FLEET,
    )


async def _tell_run(telemetry: Telemetry, overview: Overview, run: RunId) -> RunLine | None:
    detail = await overview.run(run)
    if detail is None or detail.run.ended_at is None:
        return None
    line = detail.run
    execution = await overview.execution(line.execution) if telemetry.wants_spans else None
    if execution is None:
        return line
    for step in detail.steps:
        if step.state in _ENDED_WITH_THE_RUN:
            _tell_step(telemetry, execution, line, step)
    telemetry.emit_span(
        Span.RUN,
        trace_id=execution.trace_id,
        span_id=line.span_id,
        parent_span_id=execution.span_id,
        start=nanoseconds(_begun(line)),
        end=nanoseconds(detail.run.ended_at),
        attributes={
            "anabranch.run.id": run,
            "anabranch.run.kind": line.kind.value,
            "anabranch.run.profile": line.profile,
            "anabranch.system": line.system or "",
            "anabranch.run.state": line.state.value,
            "anabranch.config_version": line.config_version,
        },
        status=SpanStatus.ERROR if line.state.value in _BAD else SpanStatus.OK,
        teller=_FLEET,
    )
    return line


def _begun(line: RunLine) -> datetime:
    return line.started_at or line.requested_at


def nanoseconds(moment: datetime) -> int:
    """An instant of PostgreSQL as nanoseconds since 1970."""
    return int(moment.timestamp() * 1_000_000) * 1000
