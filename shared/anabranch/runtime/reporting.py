"""What a worker tells about its batches: spans and figures.

Spans are made of what the rows say, figures are counted in this process, both after the commit they tell of. An attempt
whose row cannot be read yet, because PostgreSQL is away or because the batch was lost and nobody has taken it over, is
told later. Nothing here can fail a batch, and where no span is wanted no row is read.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from anabranch.bus.lookup_cache import LookupCounts
from anabranch.bus.port import Bus
from anabranch.model.errors import Retryable
from anabranch.model.fleet import Claimed, Closed
from anabranch.model.identity import BatchId, ExecutionId
from anabranch.runtime.spans import attempt_span, close_spans, execution_span
from anabranch.store.overview import Overview
from anabranch.telemetry.instruments import Metric
from anabranch.telemetry.port import Telemetry

LOG = logging.getLogger("anabranch.reporting")
_MOST_UNTOLD: Final = 1000
_OUTCOMES: Final = {
    "done": Metric.BATCHES_COMMITTED,
    "split": Metric.BATCHES_SPLIT,
    "dead": Metric.BATCHES_DEAD,
    "lost": Metric.BATCHES_LOST,
}


def told_of(claimed: Claimed) -> dict[str, str | int]:
    """What every log record written during an attempt carries, so that it is found from the span and the other way."""
    return {
        "run": claimed.run,
        "batch": claimed.batch,
        "phase": f"{claimed.ordinal}.{claimed.step}",
        "attempt": claimed.epoch,
        "trace_id": claimed.trace_id,
        "span_id": claimed.span_id,
    }


class Reporter:
    """Tells telemetry and the bus what happened to batches, steps and runs."""

    def __init__(self, telemetry: Telemetry, overview: Overview, bus: Bus) -> None:
        self._telemetry = telemetry
        self._overview = overview
        self._bus = bus
        self._untold: deque[tuple[BatchId, int]] = deque(maxlen=_MOST_UNTOLD)
        self._looked_up = LookupCounts()

    def bus_mode(self, *, away: bool) -> None:
        """The gauge shows whether work comes through Redis or from PostgreSQL."""
        self._telemetry.gauge(Metric.BUS_MODE, 0 if away else 1)

    def stale_hint(self, worker_kind: str) -> None:
        """A hint named a batch that nobody needed to take."""
        self._telemetry.count(Metric.HINTS_STALE, 1, worker_kind=worker_kind)

    def faulty_hint(self, worker_kind: str, fault: str) -> None:
        """A stream entry was no hint, or one of another version."""
        self._telemetry.count(Metric.HINTS_FAULTY, 1, worker_kind=worker_kind, fault=fault)

    def looked_up(self, counts: LookupCounts) -> None:
        """What the lookup cache has answered since it was last told is counted."""
        before, self._looked_up = self._looked_up, msgspec.structs.replace(counts)
        for metric, grown in (
            (Metric.LOOKUP_HITS, counts.hits - before.hits),
            (Metric.LOOKUP_MISSES, counts.misses - before.misses),
            (Metric.LOOKUP_ERRORS, counts.errors - before.errors),
        ):
            if grown > 0:
                self._telemetry.count(metric, grown)

    async def batch_ended(self, claimed: Claimed, outcome: str, seconds: float) -> None:
        """The attempt's figures are counted, and its span is on its way or will be."""
        where = {
            "worker_kind": claimed.worker_kind.value,
            "system": claimed.system_key or "",
            "phase": claimed.step,
        }
        self._telemetry.count(Metric.BATCHES_CLAIMED, 1, **where)
        self._telemetry.count(_OUTCOMES.get(outcome, Metric.BATCHES_FAILED), 1, **where)
        self._telemetry.record(Metric.BATCH_DURATION, seconds, **where, outcome=outcome)
        if outcome == "done" and claimed.role != "plan":
            self._telemetry.count(Metric.OBJECTS_PROCESSED, claimed.total, **where)
        if self._telemetry.wants_spans:
            self._untold.append((claimed.batch, claimed.epoch))
            await self.tell()

    def let_go(self, claimed: Claimed) -> None:
        """The batch was handed back at the end of the drain; `tell` will tell of the attempt."""
        if self._telemetry.wants_spans:
            self._untold.append((claimed.batch, claimed.epoch))

    async def tell(self) -> None:
        """Every attempt of ours that has ended, and was not told yet, is told."""
        for _ in range(len(self._untold)):
            if not self._untold:  # another consumer of this process has told the rest meanwhile
                return
            batch, epoch = self._untold.popleft()
            try:
                line = await self._overview.attempt(batch, epoch)
            except Retryable as fault:
                self._untold.append((batch, epoch))
                LOG.debug("%s", fault)
                return
            if line is not None and line.ended_at is None:
                self._untold.append((batch, epoch))
            elif line is not None:
                attempt_span(self._telemetry, line)

    async def executions_ended(self, executions: Sequence[ExecutionId]) -> None:
        """The spans of these executions are on their way."""
        try:
            for execution in executions:
                await execution_span(self._telemetry, self._overview, execution)
        except Retryable as fault:
            LOG.debug("%s", fault)

    async def step_closed(self, closed: Closed) -> None:
        """The spans of what closed are on their way; the tokens of the step are gone."""
        try:
            await close_spans(self._telemetry, self._overview, closed)
            await self._bus.drop_tokens(closed.run, [closed.ordinal])
        except Retryable as fault:
            LOG.debug("%s", fault)
