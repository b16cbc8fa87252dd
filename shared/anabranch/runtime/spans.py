"""Spans of what rows describe: executions, runs and steps.

Their ids were drawn with the rows, and their times are PostgreSQL's; whoever closes a step, a run or an execution hands
the finished span over. So a trace is whole whichever workers took part, and a process that dies loses no span of a step
that somebody else closes.
"""

from __future__ import annotations

from datetime import datetime

from anabranch.model.fleet import Closed
from anabranch.model.identity import ExecutionId, RunId
from anabranch.store.overview import Overview
from anabranch.telemetry.instruments import Metric, Span
from anabranch.telemetry.port import SpanStatus, Telemetry

_BAD = frozenset({"failed", "cancelled", "closed_errors"})


async def close_spans(telemetry: Telemetry, overview: Overview, closed: Closed) -> None:
    """The span of the closed step is told, and the run's when it has ended with it."""
    detail = await overview.run(closed.run)
    if detail is None:
        return
    execution = await overview.execution(detail.run.execution)
    if execution is None:
        return
    for step in detail.steps:
        if step.ordinal == closed.ordinal and step.closed_at is not None:
            telemetry.emit_span(
                Span.STEP,
                trace_id=execution.trace_id,
                span_id=step.span_id,
                parent_span_id=detail.run.span_id,
                start=nanoseconds(step.opened_at),
                end=nanoseconds(step.closed_at),
                attributes={
                    "anabranch.run.id": closed.run,
                    "anabranch.phase": f"{step.ordinal}.{step.name}",
                    "anabranch.batches": sum(step.batches.values()),
                },
                status=SpanStatus.ERROR if step.state in _BAD else SpanStatus.OK,
            )
    if closed.run_ended:
        await run_span(telemetry, overview, closed.run)


async def run_span(telemetry: Telemetry, overview: Overview, run: RunId) -> None:
    """The span of a run that has ended is told."""
    detail = await overview.run(run)
    if detail is None or detail.run.ended_at is None:
        return
    line = detail.run
    execution = await overview.execution(line.execution)
    if execution is None:
        return
    started = line.started_at or line.requested_at
    ended = detail.run.ended_at
    telemetry.emit_span(
        Span.RUN,
        trace_id=execution.trace_id,
        span_id=line.span_id,
        parent_span_id=execution.span_id,
        start=nanoseconds(started),
        end=nanoseconds(ended),
        attributes={
            "anabranch.run.id": run,
            "anabranch.run.kind": line.kind.value,
            "anabranch.system": line.system or "",
            "anabranch.run.state": line.state.value,
            "anabranch.config_version": line.config_version,
        },
        status=SpanStatus.ERROR if line.state.value in _BAD else SpanStatus.OK,
    )
    where = {"kind": line.kind.value, "system": line.system or "", "state": line.state.value}
    telemetry.count(Metric.RUNS_ENDED, 1, **where)
    telemetry.record(Metric.RUN_DURATION, (ended - started).total_seconds(), **where)


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
        start=nanoseconds(line.started_at or line.requested_at),
        end=nanoseconds(line.ended_at),
        attributes={"anabranch.execution.id": execution, "anabranch.execution.name": line.name},
        status=SpanStatus.ERROR if line.state in _BAD else SpanStatus.OK,
    )


def nanoseconds(moment: datetime) -> int:
    """An instant of PostgreSQL as nanoseconds since 1970."""
    return int(moment.timestamp() * 1_000_000) * 1000
