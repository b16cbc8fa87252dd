"""What a collector that is not ours makes of spans, figures and logs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.telemetry.judge import Judge, Judgement, judging, needs_judge

from anabranch.telemetry.instruments import METRICS, Metric, Shape, Span
from anabranch.telemetry.logs import bound, hide_secrets
from anabranch.telemetry.port import SpanStatus, Telemetry, Teller
from anabranch.telemetry.propagation import TraceContext, new_trace
from anabranch.telemetry.setup import start_telemetry

pytestmark = needs_judge


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    with judging(tmp_path) as judge:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", judge.endpoint)
        yield judge


@pytest.fixture
def telemetry(judge: Judge) -> Iterator[Telemetry]:
    telemetry = start_telemetry("anabranch-sync-worker", instance="host-1-a", version="9.9")
    yield telemetry
    telemetry.shutdown()


def _end(telemetry: Telemetry, judge: Judge) -> Judgement:
    assert telemetry.shutdown(30.0) is True
    return judge.end()


@pytest.mark.behaviour("FLT-25")
def test_a_span_is_understood_as_it_was_meant(judge: Judge, telemetry: Telemetry) -> None:
    root = new_trace()
    here, before = root.child(), root.child()
    hide_secrets(["s3cret-value"])
    telemetry.emit_span(
        Span.SYNC_BATCH,
        trace_id=here.trace_id,
        span_id=here.span_id,
        parent_span_id=root.span_id,
        start=1_700_000_000_000_000_000,
        end=1_700_000_001_500_000_000,
        attributes={"anabranch.run.id": 7, "names": ["a", "b"], "ok": True, "none": None, "text": "a: b -> c"},
        status=SpanStatus.ERROR,
        message="lost with s3cret-value",
        links=[before],
    )
    (span,) = _end(telemetry, judge).spans
    assert (span.name, span.trace, span.id, span.parent) == ("sync.batch", root.trace_id, here.span_id, root.span_id)
    assert (span.end - span.start, span.fields["Kind"]) == (1_500_000_000, "SPAN_KIND_CONSUMER")
    assert span.attributes == {"anabranch.run.id": 7, "names": ["a", "b"], "ok": True, "text": "a: b -> c"}
    assert (span.fields["Status code"], span.fields["Status message"]) == ("STATUS_CODE_ERROR", "lost with ***")
    assert span.links == [(before.trace_id, before.span_id)]
    assert (span.service, span.resource["service.instance.id"]) == ("anabranch-sync-worker", "host-1-a")


def test_what_is_told_for_another_is_told_in_its_name(judge: Judge, telemetry: Telemetry) -> None:
    other = Teller("anabranch-export-worker", "host-2-b", "9.8")
    for teller in (other, None, other):
        here = new_trace()
        telemetry.emit_span(
            Span.EXPORT_BATCH,
            trace_id=here.trace_id,
            span_id=here.span_id,
            parent_span_id=None,
            start=1,
            end=2,
            teller=teller,
        )
    tellers = [
        tuple(span.resource[f"service.{name}"] for name in ("name", "instance.id", "version"))
        for span in _end(telemetry, judge).spans
    ]
    theirs, ours = ("anabranch-export-worker", "host-2-b", "9.8"), ("anabranch-sync-worker", "host-1-a", "9.9")
    assert sorted(tellers) == [theirs, theirs, ours]


def test_every_metric_arrives_under_its_name_with_its_unit_and_kind(judge: Judge, telemetry: Telemetry) -> None:
    tell = {Shape.COUNTER: telemetry.count, Shape.GAUGE: telemetry.gauge, Shape.HISTOGRAM: telemetry.record}
    for metric, instrument in METRICS.items():
        tell[instrument.shape](metric, 3, **dict.fromkeys(instrument.attributes, "x"))
    kinds = {Shape.COUNTER: "Sum", Shape.GAUGE: "Gauge", Shape.HISTOGRAM: "Histogram"}
    told = {
        point.name: (point.fields["Unit"], point.fields["DataType"], point.fields["Description"], point.attributes)
        for point in _end(telemetry, judge).metrics
    }
    assert told == {
        metric.value: (one.unit, kinds[one.shape], one.meaning, dict.fromkeys(one.attributes, "x"))
        for metric, one in METRICS.items()
    }


def test_a_figure_keeps_its_sum(judge: Judge, telemetry: Telemetry) -> None:
    telemetry.count(Metric.BATCHES_COMMITTED, 2, worker_kind="sync", system="hr")
    telemetry.count(Metric.BATCHES_COMMITTED, 1, worker_kind="sync", system="hr")
    telemetry.record(Metric.RUN_DURATION, 0.25)
    values = {point.name: point.fields for point in _end(telemetry, judge).metrics}
    assert values[Metric.BATCHES_COMMITTED]["Value"] == "3"
    assert (values[Metric.RUN_DURATION]["Count"], values[Metric.RUN_DURATION]["Sum"]) == ("1", "0.25")


def test_a_log_record_lies_in_its_trace(judge: Judge, telemetry: Telemetry) -> None:
    context = TraceContext("a1" * 16, "b2" * 8)
    with bound(trace_id=context.trace_id, span_id=context.span_id, run=7):
        logging.getLogger("anabranch.test").warning("lost redis://u:hunter2@h/0")
    (record,) = [one for one in _end(telemetry, judge).logs if one.attributes.get("run") == 7]
    assert (record.trace, record.id) == (context.trace_id, context.span_id)
    assert (record.fields["SeverityText"], record.fields["Body"]) == ("WARNING", "Str(lost redis://u:***@h/0)")
