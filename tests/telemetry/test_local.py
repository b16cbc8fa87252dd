"""Names, trace context, figures, logs and health, without any collector."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from anabranch.telemetry.health import HealthServer, Verdict
from anabranch.telemetry.instruments import METRICS, SPANS, Metric, Span, prometheus_name, reference_page
from anabranch.telemetry.local import LocalTelemetry
from anabranch.telemetry.logs import bound, configure_logs, hide_secrets, mask
from anabranch.telemetry.propagation import TraceContext, format_traceparent, new_trace, parse_traceparent


def test_every_name_has_a_meaning() -> None:
    assert set(METRICS) == set(Metric)
    assert set(SPANS) == set(Span)


def test_the_reference_page_tells_every_name() -> None:
    page = reference_page()
    assert all(f"`{name}`" in page for name in [*Metric, *Span])
    assert len({prometheus_name(metric) for metric in Metric}) == len(Metric)


def test_a_traceparent_is_read_as_it_was_written() -> None:
    context = new_trace()
    text = format_traceparent(context)
    assert len(text) == 55
    assert parse_traceparent(text) == context


def test_a_child_keeps_the_trace_and_has_a_span_of_its_own() -> None:
    context = new_trace()
    child = context.child()
    assert child.trace_id == context.trace_id
    assert child.span_id != context.span_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "00-" + "a" * 32 + "-" + "b" * 16,
        "ff-" + "a" * 32 + "-" + "b" * 16 + "-01",
        "00-" + "0" * 32 + "-" + "b" * 16 + "-01",
        "00-" + "a" * 32 + "-" + "0" * 16 + "-01",
        "00-" + "A" * 32 + "-" + "b" * 16 + "-01",
        "00-" + "a" * 32 + "-" + "b" * 16 + "-01-more",
        "00-" + "a" * 32 + "-" + "b" * 16 + "-01\n",
    ],
)
def test_what_is_no_traceparent_gives_no_context(text: str) -> None:
    assert parse_traceparent(text) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    text = "01-" + "a" * 32 + "-" + "b" * 16 + "-01-more"
    assert parse_traceparent(text) == TraceContext("a" * 32, "b" * 16)


def test_figures_are_told_in_the_text_of_prometheus() -> None:
    telemetry = LocalTelemetry()
    telemetry.count(Metric.BATCHES_CLAIMED, 2, system='a"b', phase=None)
    telemetry.gauge(Metric.QUEUE_OLDEST_AGE, 1.5)
    telemetry.record(Metric.RUN_DURATION, 0.25)
    lines = telemetry.measurements.prometheus_text().splitlines()
    assert 'anabranch_batches_claimed_total{system="a\\"b"} 2' in lines
    assert "anabranch_queue_oldest_age_seconds 1.5" in lines
    assert 'anabranch_run_duration_seconds_bucket{le="0.1"} 0' in lines
    assert 'anabranch_run_duration_seconds_bucket{le="0.25"} 1' in lines
    assert 'anabranch_run_duration_seconds_bucket{le="+Inf"} 1' in lines
    assert "# TYPE anabranch_run_duration_seconds histogram" in lines


def test_a_figure_told_by_the_wrong_verb_is_counted_and_not_taken() -> None:
    telemetry = LocalTelemetry()
    telemetry.gauge(Metric.BATCHES_CLAIMED, 5)
    assert telemetry.measurements.value(Metric.BATCHES_CLAIMED) == 0
    assert telemetry.measurements.value(Metric.TELEMETRY_DROPPED) == 1


def test_labels_without_bound_do_not_fill_the_memory() -> None:
    telemetry = LocalTelemetry()
    for number in range(2_500):
        telemetry.count(Metric.BATCHES_CLAIMED, system=str(number))
    assert telemetry.measurements.value(Metric.BATCHES_CLAIMED) == 2_000
    assert telemetry.measurements.value(Metric.TELEMETRY_DROPPED, reason="too_many_series") == 500


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure_logs("anabranch-sync-worker", style="json", stream=stream, secrets=["tr0ub4dor"])
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_json_record_tells_what_was_being_done(log_lines: io.StringIO) -> None:
    with bound(run=7, batch=9, trace_id="a" * 32):
        logging.getLogger("anabranch.x").info("took %s", "it", extra={"phase": "flow"})
    told = json.loads(log_lines.getvalue())
    assert (told["run"], told["batch"], told["phase"], told["trace_id"]) == (7, 9, "flow", "a" * 32)
    assert (told["level"], told["service"], told["message"]) == ("info", "anabranch-sync-worker", "took it")
    assert told["time"].endswith("Z")


def test_bound_fields_end_with_their_block(log_lines: io.StringIO) -> None:
    with bound(run=7):
        pass
    logging.getLogger("anabranch.x").info("later")
    assert "run" not in json.loads(log_lines.getvalue())


def test_no_secret_is_ever_written(log_lines: io.StringIO) -> None:
    try:
        raise ValueError("bad password tr0ub4dor")
    except ValueError:
        logging.getLogger("x").exception("at redis://me:hunter2@h/0", extra={"url": "postgresql://u:p4ss@h/d"})
    text = log_lines.getvalue()
    assert not [secret for secret in ("tr0ub4dor", "hunter2", "p4ss") if secret in text]
    assert "ValueError" in text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:hunter2@h:1/0", "redis://:***@h:1/0"),
        ("password=hunter2, x", "password=***, x"),
        ('{"password": "hunter2"}', '{"password": ***}'),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("cn=Ann,ou=people", "cn=Ann,ou=people"),
    ],
)
def test_passwords_are_masked_and_nothing_else(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_a_short_text_is_no_secret() -> None:
    hide_secrets(["a", ""])
    assert mask("a banana") == "a banana"


def test_text_logs_are_one_line_a_record(log_lines: io.StringIO) -> None:
    stream = io.StringIO()
    configure_logs("anabranch-scheduler", style="text", stream=stream)
    with bound(run=7):
        logging.getLogger("x").warning("two\nlines")
    (line,) = stream.getvalue().splitlines()
    assert "WARNING anabranch-scheduler: two\\nlines  run=7" in line
    assert log_lines.getvalue() == ""


def test_an_unknown_log_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="'xml' is unknown; use text or json"):
        configure_logs("x", style="xml")
    with pytest.raises(ValueError, match="'loud' is unknown; use debug"):
        configure_logs("x", level="loud")


class Service:
    def __init__(self) -> None:
        self.live, self.ready = Verdict(), Verdict()

    def probe(self) -> Verdict:
        return self.live

    def readiness(self) -> Verdict:
        return self.ready


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def port(service: Service) -> AsyncIterator[int]:
    server = HealthServer("127.0.0.1", 0, live=service.probe, ready=service.readiness, metrics=lambda: "figures 1\n")
    yield await server.start()
    await server.stop()
    await server.stop()


async def ask(port: int, request: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    reply = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = reply.partition("\r\n\r\n")
    return (int(head.split(" ")[1]) if head else 0), body


async def get(port: int, path: str) -> tuple[int, str]:
    return await ask(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.behaviour("FLT-23")
async def test_a_service_that_cannot_work_lives_all_the_same(port: int, service: Service) -> None:
    service.ready = Verdict({"bus": "Redis does not answer"})
    status, body = await get(port, "/readyz")
    assert (status, json.loads(body)["reasons"]) == (503, {"bus": "Redis does not answer"})
    assert await get(port, "/livez?verbose") == (200, '{"status": "ok", "reasons": {}}')


async def test_a_loop_that_stopped_is_not_alive(port: int, service: Service) -> None:
    service.live = Verdict({"claims": "no claim loop turn for 60 s"})
    assert (await get(port, "/livez"))[0] == 503


async def test_a_probe_that_fails_is_not_fine(port: int, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(service, "live")
    status, body = await get(port, "/livez")
    assert (status, json.loads(body)["reasons"]) == (503, {"probe": "failed with AttributeError"})


async def test_figures_are_served(port: int) -> None:
    assert await get(port, "/metrics") == (200, "figures 1\n")


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("POST /livez HTTP/1.1\r\n\r\n", 405),
        ("GET /else HTTP/1.1\r\n\r\n", 404),
        ("\x16\x03 nonsense\r\n\r\n", 400),
        ("GET /" + "x" * 20_000 + " HTTP/1.1\r\n\r\n", 0),
    ],
)
async def test_what_is_no_health_request_gets_an_answer_or_an_end(port: int, request_text: str, status: int) -> None:
    try:
        assert (await ask(port, request_text))[0] == status
    except ConnectionResetError:
        assert status == 0
    assert (await get(port, "/livez"))[0] == 200


async def test_the_server_stops_though_a_client_is_silent(service: Service) -> None:
    server = HealthServer("127.0.0.1", 0, live=service.probe, ready=service.readiness, metrics=str)
    port = await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    await get(port, "/livez")
    async with asyncio.timeout(2):
        await server.stop()
    writer.close()
    await writer.wait_closed()
