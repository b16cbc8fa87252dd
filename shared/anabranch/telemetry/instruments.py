"""Every span and metric by name, once, with unit and meaning.

Whoever emits names a member here, so a name cannot be misspelt; the reference page is made from these tables, so it
cannot be out of date. Metric names follow OpenTelemetry; Prometheus sees them with underscores and its own endings.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Span(StrEnum):
    """Spans, named for the thing done."""

    EXECUTION = "execution"
    RUN = "run"
    STEP = "step"
    IMPORT_BATCH = "import.batch"
    SYNC_BATCH = "sync.batch"
    EXPORT_BATCH = "export.batch"


class Metric(StrEnum):
    BATCHES_CLAIMED = "anabranch.batches.claimed"
    BATCHES_COMMITTED = "anabranch.batches.committed"
    BATCHES_FAILED = "anabranch.batches.failed"
    BATCHES_LOST = "anabranch.batches.lost"
    BATCHES_SPLIT = "anabranch.batches.split"
    BATCHES_DEAD = "anabranch.batches.dead"
    BATCH_DURATION = "anabranch.batch.duration"
    OBJECTS_PROCESSED = "anabranch.objects.processed"
    RUNS_ENDED = "anabranch.runs.ended"
    RUN_DURATION = "anabranch.run.duration"
    HINTS_PUBLISHED = "anabranch.hints.published"
    HINTS_STALE = "anabranch.hints.stale"
    HINTS_FAULTY = "anabranch.hints.faulty"
    QUEUE_DEPTH = "anabranch.queue.depth"
    QUEUE_OLDEST_AGE = "anabranch.queue.oldest_age"
    BUS_MODE = "anabranch.bus.mode"
    LOOKUP_HITS = "anabranch.lookup_cache.hits"
    LOOKUP_MISSES = "anabranch.lookup_cache.misses"
    LOOKUP_ERRORS = "anabranch.lookup_cache.errors"
    LEADER = "anabranch.scheduler.leader"
    TELEMETRY_DROPPED = "anabranch.telemetry.dropped"


class Shape(StrEnum):
    """Counters only grow; gauges are the last value told; histograms keep the distribution."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Instrument(msgspec.Struct, frozen=True):
    """What a metric is: its unit by UCUM, its meaning, and the attributes it is told apart by."""

    shape: Shape
    unit: str
    meaning: str
    attributes: tuple[str, ...] = ()


_COUNTER, _GAUGE, _HISTOGRAM = Shape.COUNTER, Shape.GAUGE, Shape.HISTOGRAM
_WHERE = ("worker_kind", "system", "phase")

METRICS: Final[dict[Metric, Instrument]] = {
    Metric.BATCHES_CLAIMED: Instrument(_COUNTER, "{batch}", "Batches this worker has claimed.", _WHERE),
    Metric.BATCHES_COMMITTED: Instrument(_COUNTER, "{batch}", "Batches whose last commit went through.", _WHERE),
    Metric.BATCHES_FAILED: Instrument(_COUNTER, "{batch}", "Handled failures; the batch goes back to wait.", _WHERE),
    Metric.BATCHES_LOST: Instrument(_COUNTER, "{batch}", "Claims lost to another worker or to an ending run.", _WHERE),
    Metric.BATCHES_SPLIT: Instrument(_COUNTER, "{batch}", "Batches split to find an object that fails.", _WHERE),
    Metric.BATCHES_DEAD: Instrument(_COUNTER, "{batch}", "Batches given up; they wait for a person.", _WHERE),
    Metric.BATCH_DURATION: Instrument(_HISTOGRAM, "s", "From claim to the end of the attempt.", (*_WHERE, "outcome")),
    Metric.OBJECTS_PROCESSED: Instrument(_COUNTER, "{object}", "Objects of committed batches.", _WHERE),
    Metric.RUNS_ENDED: Instrument(_COUNTER, "{run}", "Runs that reached a final state.", ("kind", "system", "state")),
    Metric.RUN_DURATION: Instrument(_HISTOGRAM, "s", "From start to final state.", ("kind", "system", "state")),
    Metric.HINTS_PUBLISHED: Instrument(_COUNTER, "{hint}", "Hints put on a stream.", ("worker_kind",)),
    Metric.HINTS_STALE: Instrument(
        _COUNTER, "{hint}", "Hints whose batch was already taken or done.", ("worker_kind",)
    ),
    Metric.HINTS_FAULTY: Instrument(
        _COUNTER, "{hint}", "Stream entries that are no hint, or of an unknown version.", ("worker_kind", "fault")
    ),
    Metric.QUEUE_DEPTH: Instrument(_GAUGE, "{batch}", "What waits or is in work (XLEN, both lanes).", ("worker_kind",)),
    Metric.QUEUE_OLDEST_AGE: Instrument(
        _GAUGE, "s", "Age of the oldest unfinished batch; 0 when none is due.", ("worker_kind",)
    ),
    Metric.BUS_MODE: Instrument(_GAUGE, "1", "1 while work comes by streams, 0 while PostgreSQL is polled.", ()),
    Metric.LOOKUP_HITS: Instrument(_COUNTER, "{key}", "Match keys found in the lookup cache."),
    Metric.LOOKUP_MISSES: Instrument(_COUNTER, "{key}", "Match keys asked of PostgreSQL after the lookup cache."),
    Metric.LOOKUP_ERRORS: Instrument(_COUNTER, "{request}", "Requests the lookup cache did not answer in time."),
    Metric.LEADER: Instrument(_GAUGE, "1", "1 while this scheduler holds the lead."),
    Metric.TELEMETRY_DROPPED: Instrument(_COUNTER, "{item}", "Spans and figures that could not be taken.", ("reason",)),
}

SPANS: Final[dict[Span, str]] = {
    Span.EXECUTION: "From the first run queued to the last run ended; the root of the trace.",
    Span.RUN: "One run, from its start to its final state.",
    Span.STEP: "One step of a run, from its opening to its closing.",
    Span.IMPORT_BATCH: "One attempt at a batch by an import worker; a link leads to the attempt before.",
    Span.SYNC_BATCH: "One attempt at a batch by a sync worker; a link leads to the attempt before.",
    Span.EXPORT_BATCH: "One attempt at a batch by an export worker; a link leads to the attempt before.",
}

DURATION_BOUNDS: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    1800.0,
    7200.0,
)
"""Upper bounds of the histograms' buckets, in seconds: from an empty batch to a long run."""


def prometheus_name(metric: Metric) -> str:
    """The name under which Prometheus sees the metric: unit and `_total` as its conventions ask."""
    instrument = METRICS[metric]
    name = metric.value.replace(".", "_")
    if instrument.unit == "s":
        name += "_seconds"
    return f"{name}_total" if instrument.shape is Shape.COUNTER else name


def reference_page() -> str:
    """The documentation page of all spans and metrics, in Markdown, ending with a line feed."""
    lines = ["# Spans and metrics", "", "## Spans", "", "| span | what it covers |", "|---|---|"]
    lines += [f"| `{span}` | {meaning} |" for span, meaning in SPANS.items()]
    lines += ["", "## Metrics", "", "| metric | in Prometheus | kind | unit | meaning | attributes |"]
    lines += ["|---|---|---|---|---|---|"]
    for metric, instrument in METRICS.items():
        attributes = ", ".join(f"`{name}`" for name in instrument.attributes)
        lines.append(
            f"| `{metric}` | `{prometheus_name(metric)}` | {instrument.shape} | `{instrument.unit}` "
            f"| {instrument.meaning} | {attributes} |"
        )
    return "\n".join(lines) + "\n"
