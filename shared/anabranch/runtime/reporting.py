"""What a worker tells about its batches: spans and figures.

Spans are made of what the rows say, figures are counted in this process, both after the commit they tell of. Nothing
here can slow down or fail a batch.
"""

from __future__ import annotations

import logging

from anabranch.bus.port import Bus
from anabranch.model.enums import WorkerKind
from anabranch.model.errors import Retryable
from anabranch.model.fleet import Claimed, Closed
from anabranch.runtime.clock import epoch_ns
from anabranch.runtime.spans import close_spans
from anabranch.store.overview import Overview
from anabranch.telemetry.instruments import Metric, Span
from anabranch.telemetry.port import SpanStatus, Telemetry
from anabranch.telemetry.propagation import TraceContext

LOG = logging.getLogger("anabranch.reporting")

_SPANS = {
    WorkerKind.IMPORT: Span.IMPORT_BATCH,
    WorkerKind.SYNC: Span.SYNC_BATCH,
    WorkerKind.EXPORT: Span.EXPORT_BATCH,
}
_STREAMS = {
    WorkerKind.IMPORT: "import-tasks",
    WorkerKind.SYNC: "sync-batches",
    WorkerKind.EXPORT: "export-tasks",
}


class Reporter:
    """Tells telemetry and the bus what happened to batches, steps and runs."""

    def __init__(self, telemetry: Telemetry, overview: Overview, bus: Bus) -> None:
        self._telemetry = telemetry
        self._overview = overview
        self._bus = bus

    def bus_mode(self, *, away: bool) -> None:
        """The gauge shows whether work comes through Redis or from PostgreSQL."""
        self._telemetry.gauge(Metric.BUS_MODE, 0 if away else 1)

    def stale_hint(self) -> None:
        """A hint named a batch that nobody needed to take."""
        self._telemetry.count(Metric.HINTS_STALE)

    def batch_ended(self, claimed: Claimed, started: int, outcome: str) -> None:
        """The attempt's span is on its way, and its figures are counted."""
        ended = epoch_ns()
        where = {"worker_kind": claimed.worker_kind.value, "system": str(claimed.system or ""), "phase": claimed.step}
        self._telemetry.count(Metric.BATCHES_CLAIMED, 1, **where)
        metric = {
            "done": Metric.BATCHES_COMMITTED,
            "split": Metric.BATCHES_SPLIT,
            "dead": Metric.BATCHES_DEAD,
            "lost": Metric.BATCHES_LOST,
        }.get(outcome, Metric.BATCHES_FAILED)
        self._telemetry.count(metric, 1, **where)
        self._telemetry.record(Metric.BATCH_DURATION, (ended - started) / 1e9, **where)
        links = [TraceContext(claimed.trace_id, claimed.previous_span_id)] if claimed.previous_span_id else []
        self._telemetry.emit_span(
            _SPANS[claimed.worker_kind],
            trace_id=claimed.trace_id,
            span_id=claimed.span_id,
            parent_span_id=claimed.step_span_id,
            start=started,
            end=ended,
            attributes={
                "anabranch.run.id": claimed.run,
                "anabranch.run.kind": claimed.kind.value,
                "anabranch.system": str(claimed.system or ""),
                "anabranch.phase": f"{claimed.ordinal}.{claimed.step}",
                "anabranch.batch.id": claimed.batch,
                "anabranch.batch.role": claimed.role,
                "anabranch.attempt": claimed.epoch,
                "anabranch.outcome": outcome,
                "messaging.system": "redis",
                "messaging.destination.name": _STREAMS[claimed.worker_kind],
                "messaging.consumer.group.name": "workers",
                "messaging.batch.message_count": claimed.total,
            },
            status=SpanStatus.OK if outcome in {"done", "split"} else SpanStatus.ERROR,
            links=links,
        )

    async def step_closed(self, closed: Closed) -> None:
        """The spans of what closed are on their way; the tokens of the step are gone."""
        try:
            await close_spans(self._telemetry, self._overview, closed)
            await self._bus.drop_tokens(closed.run, [closed.ordinal])
        except Retryable as fault:
            LOG.debug("%s", fault)
