"""What reaches a collector, and what happens without one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.telemetry.bad_collectors import Badness, bad_collector
from tests.telemetry.collector import Collector, plain

from anabranch.model.errors import Permanent
from anabranch.telemetry.instruments import Metric, Span
from anabranch.telemetry.local import LocalTelemetry
from anabranch.telemetry.logs import bound, hide_secrets
from anabranch.telemetry.otlp import OtlpTelemetry
from anabranch.telemetry.port import SpanStatus, Telemetry
from anabranch.telemetry.propagation import TraceContext, new_trace
from anabranch.telemetry.setup import start_telemetry, wanted_signals

SHARED = str(Path(__file__).resolve().parents[2] / "shared")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    collector.start()
    yield collector
    collector.stop()


@pytest.fixture
def telemetry(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Telemetry]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    telemetry = start_telemetry("anabranch-sync-worker", instance="host-1-a", version="9.9")
    yield telemetry
    telemetry.shutdown()


def emit(telemetry: Telemetry, context: TraceContext, parent: str | None = None, **more: object) -> None:
    given = {"start": 1_700_000_000_000_000_000, "end": 1_700_000_001_500_000_000, **more}
    telemetry.emit_span(
        Span.SYNC_BATCH,
        trace_id=context.trace_id,
        span_id=context.span_id,
        parent_span_id=parent,
        **given,  # type: ignore[arg-type]
    )


@pytest.mark.behaviour("FLT-25")
def test_a_span_arrives_with_the_ids_parent_and_times_it_was_given(collector: Collector, telemetry: Telemetry) -> None:
    root = new_trace()
    emit(telemetry, root.child(), root.span_id)
    emit(telemetry, root)
    assert telemetry.shutdown() is True
    child, top = collector.spans()
    assert (child.trace_id.hex(), child.parent_span_id.hex()) == (root.trace_id, root.span_id)
    assert (top.span_id.hex(), top.parent_span_id) == (root.span_id, b"")
    assert (child.name, child.start_time_unix_nano) == ("sync.batch", 1_700_000_000_000_000_000)
    assert child.end_time_unix_nano - child.start_time_unix_nano == 1_500_000_000


@pytest.mark.behaviour("FLT-25")
def test_the_service_is_named(collector: Collector, telemetry: Telemetry) -> None:
    emit(telemetry, new_trace())
    telemetry.shutdown()
    about = collector.resource()
    assert about["service.name"] == "anabranch-sync-worker"
    assert (about["service.instance.id"], about["service.version"]) == ("host-1-a", "9.9")


def test_a_span_carries_attributes_status_and_the_attempt_before(collector: Collector, telemetry: Telemetry) -> None:
    before, context = new_trace(), new_trace()
    hide_secrets(["s3cret-value"])
    emit(
        telemetry,
        context,
        attributes={"anabranch.run.id": 7, "big": 2**70, "names": ["a", "b"], "none": None, "ok": True},
        status=SpanStatus.ERROR,
        message="connection lost with s3cret-value",
        links=[before],
    )
    telemetry.shutdown()
    (span,) = collector.spans()
    told = plain(span.attributes)
    assert (told["anabranch.run.id"], told["big"], told["ok"], "none" in told) == (7, str(2**70), True, False)
    assert (span.status.code, span.status.message) == (2, "connection lost with ***")
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in span.links] == [(before.trace_id, before.span_id)]


@pytest.mark.parametrize("trace_id", ["", "0" * 32, "not hexadecimal"])
def test_a_span_with_broken_ids_is_dropped_and_counted(
    collector: Collector, telemetry: Telemetry, trace_id: str
) -> None:
    emit(telemetry, TraceContext(trace_id, "b" * 16))
    telemetry.shutdown()
    assert collector.spans() == []
    assert telemetry.measurements.value(Metric.TELEMETRY_DROPPED, reason="span") == 1


def test_figures_reach_the_collector_and_stay_readable_here(collector: Collector, telemetry: Telemetry) -> None:
    telemetry.count(Metric.BATCHES_COMMITTED, 2, worker_kind="sync", system="hr")
    telemetry.count(Metric.BATCHES_COMMITTED, worker_kind="sync", system="hr")
    telemetry.record(Metric.BATCH_DURATION, 0.3, worker_kind="sync")
    telemetry.gauge(Metric.QUEUE_DEPTH, 17, worker_kind="sync")
    telemetry.shutdown()
    metrics = collector.metrics()
    (point,) = metrics["anabranch.batches.committed"].sum.data_points
    assert (point.as_double or point.as_int, plain(point.attributes)["system"]) == (3, "hr")
    assert metrics["anabranch.batch.duration"].unit == "s"
    assert metrics["anabranch.batch.duration"].histogram.data_points[0].count == 1
    assert metrics["anabranch.queue.depth"].gauge.data_points[0].as_int == 17
    assert telemetry.measurements.value(Metric.BATCHES_COMMITTED) == 3


def test_logs_reach_the_collector_masked_and_with_their_trace(collector: Collector, telemetry: Telemetry) -> None:
    context = new_trace()
    with bound(trace_id=context.trace_id, span_id=context.span_id, run=7):
        logging.getLogger("anabranch.test").warning("lost redis://u:hunter2@h/0")
    telemetry.shutdown()
    (record,) = [record for record in collector.logs() if plain(record.attributes).get("run") == 7]
    assert record.body.string_value == "lost redis://u:***@h/0"
    assert (record.trace_id.hex(), record.span_id.hex()) == (context.trace_id, context.span_id)


def test_nothing_of_the_log_hand_over_stays_after_the_end(telemetry: Telemetry) -> None:
    before = len(logging.getLogger().handlers)
    telemetry.shutdown()
    assert len(logging.getLogger().handlers) == before - 1


def test_a_dead_collector_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    telemetry = start_telemetry("anabranch-scheduler")
    for _ in range(2_000):
        emit(telemetry, new_trace())
    telemetry.count(Metric.BATCHES_CLAIMED)
    started = time.monotonic()
    finished = telemetry.shutdown(deadline=2.0)
    assert time.monotonic() - started < 5
    assert telemetry.shutdown() is finished


@pytest.mark.parametrize("badness", Badness)
def test_an_end_does_not_wait_for_a_collector_that_did_not_take_the_last_export(
    monkeypatch: pytest.MonkeyPatch, badness: Badness
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with bad_collector(badness) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        telemetry = start_telemetry("anabranch-scheduler")
        assert isinstance(telemetry, OtlpTelemetry)
        emit(telemetry, new_trace())
        deadline = time.monotonic() + 30
        while not telemetry.is_failing("traces"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        stubborn = threading.Event()  # an end that takes no notice of anything, as a library's may
        monkeypatch.setitem(telemetry._endings, "traces", (lambda: stubborn.wait(60), telemetry._endings["traces"][1]))
        started = time.monotonic()
        assert telemetry.shutdown(deadline=60.0) is False
        assert time.monotonic() - started < 20
        stubborn.set()


@pytest.mark.parametrize("badness", Badness)
def test_telling_never_waits_for_a_bad_collector(monkeypatch: pytest.MonkeyPatch, badness: Badness) -> None:
    with bad_collector(badness) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        telemetry = start_telemetry("anabranch-scheduler")
        started = time.monotonic()
        for _ in range(5_000):
            emit(telemetry, new_trace())
            telemetry.count(Metric.BATCHES_CLAIMED)
            logging.getLogger("anabranch.test").warning("told")
        assert time.monotonic() - started < 30
        telemetry.shutdown(1.0)


def test_a_collector_that_takes_nothing_is_complained_of_once_until_it_does_again(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.endpoint}/v1/traces")
    caplog.set_level(logging.INFO)
    telemetry = start_telemetry("anabranch-scheduler")
    assert isinstance(telemetry, OtlpTelemetry)

    def refused(least: int) -> bool:
        return collector.refused >= least and telemetry.is_failing("traces")

    try:
        for refusals in (3, 5):
            collector.refuses = True
            emit_until(telemetry, partial(refused, refusals))
            collector.refuses = False
            emit_until(telemetry, lambda: not telemetry.is_failing("traces"))
    finally:
        telemetry.shutdown()
    told = [one.getMessage() for one in caplog.records if one.name == "anabranch.telemetry.otlp"]
    assert told == 2 * [
        "the collector takes no traces; those it does not take are lost",
        "the collector takes traces again",
    ]
    reasons = [one.getMessage() for one in caplog.records if one.name.startswith("opentelemetry.exporter")]
    assert len(reasons) == 2
    assert all("400" in reason for reason in reasons)


def emit_until(telemetry: Telemetry, fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not fact():
        assert time.monotonic() < deadline
        emit(telemetry, new_trace())
        time.sleep(0.01)


def test_telling_after_the_end_does_no_harm(telemetry: Telemetry) -> None:
    telemetry.shutdown()
    emit(telemetry, new_trace())
    telemetry.count(Metric.BATCHES_CLAIMED)
    assert telemetry.measurements.value(Metric.BATCHES_CLAIMED) == 1


def test_the_sampler_of_the_environment_is_honoured(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    telemetry = start_telemetry("anabranch-scheduler")
    emit(telemetry, new_trace())
    telemetry.shutdown()
    assert collector.spans() == []


def test_an_operators_service_name_has_precedence(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    telemetry = start_telemetry("anabranch-scheduler")
    emit(telemetry, new_trace())
    telemetry.shutdown()
    assert collector.resource()["service.name"] == "mine"


def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded() -> None:
    code = (
        "import sys\n"
        "from anabranch.telemetry.setup import start_telemetry\n"
        "from anabranch.telemetry.instruments import Metric\n"
        "import anabranch.telemetry.health, anabranch.telemetry.logs\n"
        "telemetry = start_telemetry('anabranch-scheduler')\n"
        "telemetry.count(Metric.BATCHES_CLAIMED)\n"
        "assert telemetry.shutdown()\n"
        "print(sorted(name for name in sys.modules if name.startswith(('opentelemetry', 'google', 'requests'))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": SHARED},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("service", ["scheduler", "import_worker", "sync_worker", "export_worker"])
def test_nor_is_it_by_a_whole_service_and_can_still_be(service: str) -> None:
    code = (
        "import sys\n"
        f"import anabranch.{service}.worker\n"
        "print(sorted(name for name in sys.modules if name.startswith('opentelemetry.sdk')))\n"
        "import opentelemetry.sdk.metrics, redis.asyncio\n"
        "assert opentelemetry.sdk.metrics.MeterProvider and redis.asyncio.Redis\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_process_ends_soon_though_its_collector_is_dead() -> None:
    code = (
        "from anabranch.telemetry.setup import start_telemetry\n"
        "from anabranch.telemetry.instruments import Span\n"
        "telemetry = start_telemetry('anabranch-scheduler')\n"
        "telemetry.emit_span(Span.RUN, trace_id='a' * 32, span_id='b' * 16, parent_span_id=None, start=1, end=2)\n"
        "import time; before = time.monotonic(); telemetry.shutdown(1.0); print(time.monotonic() - before < 3)\n"
    )
    environ = {"PYTHONPATH": SHARED, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("True", 0)


@pytest.mark.parametrize(
    ("environ", "signals"),
    [
        ({}, set()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, {"traces", "metrics", "logs"}),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, {"traces"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_LOGS_EXPORTER": "none"}, {"traces", "metrics"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, set()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, set()),
    ],
)
def test_the_environment_says_which_signals_are_sent(environ: dict[str, str], signals: set[str]) -> None:
    assert wanted_signals(environ) == signals


def test_a_protocol_that_is_not_spoken_is_refused_by_name() -> None:
    with pytest.raises(Permanent, match="OTEL_EXPORTER_OTLP_PROTOCOL=grpc"):
        wanted_signals({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


def test_without_a_collector_figures_are_kept_all_the_same() -> None:
    telemetry = start_telemetry("anabranch-scheduler")
    assert isinstance(telemetry, LocalTelemetry)
    telemetry.count(Metric.BATCHES_CLAIMED, 3)
    emit(telemetry, new_trace())
    assert telemetry.measurements.value(Metric.BATCHES_CLAIMED) == 3
