"""The hand-over to an OpenTelemetry collector; the only module that imports OpenTelemetry.

Spans here are not opened and closed in a process: their ids were drawn with a row, perhaps on another machine, and
whoever ends the row hands over the finished span. So no tracer is used; the finished span goes to the processor that
a tracer would have used, which queues it and sends it from its own thread.

A collector that is down must not hold up a stop. Each signal's shutdown may take many seconds then, whatever limit it
is given, so they run side by side in threads that are left behind when the deadline has come, or soon where the last
export has failed already: who does not listen now will not listen in three seconds.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry._logs import SeverityNumber
from opentelemetry._logs._internal import LogRecord
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from anabranch.telemetry.instruments import DURATION_BOUNDS, METRICS, Metric, Shape, Span
from anabranch.telemetry.local import LocalTelemetry
from anabranch.telemetry.logs import FieldsOf, fields_of, mask
from anabranch.telemetry.port import AttributeValue, SpanStatus, Teller
from anabranch.telemetry.propagation import TraceContext

EXPORT_TIMEOUT_S: Final = 3.0
"""Where `OTEL_EXPORTER_OTLP_TIMEOUT` says nothing: the library's own 10 s outlast a grace period."""

_PATIENCE_S: Final = 0.5
"""So long an end waits for a collector that did not take the last export."""
_LAST_WORDS_S: Final = 0.2
_MANY_TELLERS: Final = 100
_STATUS: Final = {
    SpanStatus.UNSET: StatusCode.UNSET,
    SpanStatus.OK: StatusCode.OK,
    SpanStatus.ERROR: StatusCode.ERROR,
}
_log: Final = logging.getLogger(__name__)
_CONSUMERS: Final = frozenset({Span.IMPORT_BATCH, Span.SYNC_BATCH, Span.EXPORT_BATCH})


class OtlpTelemetry(LocalTelemetry):
    """A `Telemetry` that also sends the wanted signals to the collector the environment names."""

    def __init__(self, service_name: str, instance: str, version: str, signals: frozenset[str]) -> None:
        super().__init__()
        self._sources = _Sources(Teller(service_name, instance, version))
        self._resource, self._scope = self._sources[None]
        self._endings: dict[str, tuple[Callable[[], object], _Watched]] = {}
        self._ended: bool | None = None
        self._spans: BatchSpanProcessor | None = None
        self._instruments: dict[Metric, Any] = {}
        self._log_handler: OtlpLogHandler | None = None
        if "traces" in signals:
            self._start_traces()
        if "metrics" in signals:
            self._start_metrics()
        if "logs" in signals:
            self._start_logs()

    @property
    def wants_spans(self) -> bool:
        return self._spans is not None and self._ended is None

    def emit_span(
        self,
        name: Span,
        *,
        trace_id: str,
        span_id: str,
        parent_span_id: str | None,
        start: int,
        end: int,
        attributes: Mapping[str, AttributeValue] | None = None,
        status: SpanStatus = SpanStatus.UNSET,
        message: str = "",
        links: Sequence[TraceContext] = (),
        teller: Teller | None = None,
    ) -> None:
        if self._spans is None or self._ended is not None:
            return
        try:
            resource, scope = self._sources[teller]
            context = _context(trace_id, span_id)
            if self._sampler.should_sample(None, context.trace_id, name.value).decision is Decision.DROP:
                return
            span = ReadableSpan(
                name=name.value,
                context=context,
                parent=_context(trace_id, parent_span_id) if parent_span_id else None,
                resource=resource,
                attributes={key: _plain(value) for key, value in (attributes or {}).items() if value is not None},
                links=[Link(_context(link.trace_id, link.span_id)) for link in links],
                kind=SpanKind.CONSUMER if name in _CONSUMERS else SpanKind.INTERNAL,
                status=Status(_STATUS[status], mask(message) if status is SpanStatus.ERROR and message else None),
                start_time=start,
                end_time=max(start, end),
                instrumentation_scope=scope,
            )
            self._spans.on_end(span)
        except Exception:  # telling never stops work; the counter tells that something was not told
            self.dropped("span")

    def count(self, metric: Metric, amount: float = 1, /, **attributes: object) -> None:
        super().count(metric, amount, **attributes)
        self._hand_over(metric, Shape.COUNTER, "add", amount, attributes)

    def record(self, metric: Metric, value: float, /, **attributes: object) -> None:
        super().record(metric, value, **attributes)
        self._hand_over(metric, Shape.HISTOGRAM, "record", value, attributes)

    def gauge(self, metric: Metric, value: float, /, **attributes: object) -> None:
        super().gauge(metric, value, **attributes)
        self._hand_over(metric, Shape.GAUGE, "set", value, attributes)

    def shutdown(self, deadline: float = 4.0) -> bool:
        if self._ended is not None:
            return self._ended
        self._ended = False
        if self._log_handler is not None:
            logging.getLogger().removeHandler(self._log_handler)
        until = time.monotonic() + deadline
        threads = {}
        for signal, (finish, _) in self._endings.items():
            threads[signal] = thread = threading.Thread(target=_quietly(finish), name=f"end of {signal}", daemon=True)
            thread.start()
        self._ended = self._wait(threads, until - min(1.0, deadline / 4))
        if not self._ended:
            for _, exporter in self._endings.values():
                threading.Thread(target=_quietly(exporter.give_up), name="giving up", daemon=True).start()
            for thread in threads.values():
                thread.join(max(0.0, min(until - time.monotonic(), _LAST_WORDS_S)))
        for _, exporter in self._endings.values():
            exporter.end()
        return self._ended

    def _wait(self, threads: Mapping[str, threading.Thread], until: float) -> bool:
        """True once all have ended; False at the deadline, or earlier when those that have not ended are hopeless."""
        patient_until = time.monotonic() + _PATIENCE_S
        while alive := [signal for signal, thread in threads.items() if thread.is_alive()]:
            now = time.monotonic()
            if now >= until or (now >= patient_until and all(self.is_failing(signal) for signal in alive)):
                return False
            threads[alive[0]].join(0.02)
        return True

    def is_failing(self, signal: str) -> bool:
        """Whether the last export failed; a signal that was never exported goes by the others."""
        own = self._endings[signal][1].failing
        if own is not None:
            return own
        return any(exporter.failing for _, exporter in self._endings.values())

    def _start_traces(self) -> None:
        exporter = OTLPSpanExporter(timeout=_timeout("TRACES"))
        self._sampler = TracerProvider(resource=self._resource, shutdown_on_exit=False).sampler
        self._spans = BatchSpanProcessor(exporter)
        self._endings["traces"] = (self._spans.shutdown, _Watched("traces", exporter))

    def _start_metrics(self) -> None:
        exporter = OTLPMetricExporter(timeout=_timeout("METRICS"))
        reader = PeriodicExportingMetricReader(exporter)
        provider = MeterProvider([reader], resource=self._resource, shutdown_on_exit=False)
        meter = provider.get_meter("anabranch", self._scope.version)
        for metric, instrument in METRICS.items():
            about = {"name": metric.value, "unit": instrument.unit, "description": instrument.meaning}
            match instrument.shape:
                case Shape.COUNTER:
                    self._instruments[metric] = meter.create_counter(**about)
                case Shape.GAUGE:
                    self._instruments[metric] = meter.create_gauge(**about)
                case Shape.HISTOGRAM:
                    self._instruments[metric] = meter.create_histogram(
                        **about, explicit_bucket_boundaries_advisory=DURATION_BOUNDS
                    )
        self._endings["metrics"] = (provider.shutdown, _Watched("metrics", exporter))

    def _start_logs(self) -> None:
        exporter = OTLPLogExporter(timeout=_timeout("LOGS"))
        provider = LoggerProvider(resource=self._resource, shutdown_on_exit=False)
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        self._log_handler = OtlpLogHandler(provider)
        logging.getLogger().addHandler(self._log_handler)
        self._endings["logs"] = (provider.shutdown, _Watched("logs", exporter))

    def _hand_over(self, metric: Metric, shape: Shape, verb: str, value: float, attributes: dict[str, object]) -> None:
        instrument = self._instruments.get(metric)
        if instrument is None or METRICS[metric].shape is not shape or self._ended is not None:
            return
        try:
            told = {key: _plain(given) for key, given in attributes.items() if given is not None}
            getattr(instrument, verb)(value, told)
        except Exception:  # telling never stops work; the counter tells that something was not told
            self.dropped("metric")


class _Watched:
    """An exporter of which one can ask whether its last export arrived.

    It complains when that begins to fail, with OpenTelemetry's reason, and then not again until one has arrived: a
    collector that is away for a day is one thing to be told, not ten thousand.
    """

    def __init__(self, signal: str, exporter: Any) -> None:
        self.failing: bool | None = None
        """None before the first export."""
        self.give_up: Callable[[], object] = exporter.shutdown
        self._signal = signal
        self._export = exporter.export
        exporter.export = self._watch  # in its place: the three exporters share no class one could derive from
        self._library = logging.getLogger(type(exporter).__module__)
        self._library.addFilter(self._is_news)

    def end(self) -> None:
        self._library.removeFilter(self._is_news)

    def _is_news(self, record: logging.LogRecord) -> bool:
        return not self.failing

    def _watch(self, *given: Any, **more: Any) -> Any:
        result = self._export(*given, **more)
        before, self.failing = self.failing, result.name != "SUCCESS"
        if self.failing and not before:
            _log.warning("the collector takes no %s; those it does not take are lost", self._signal)
        elif before and not self.failing:
            _log.info("the collector takes %s again", self._signal)
        return result


class _Sources(dict[Teller | None, tuple[Resource, InstrumentationScope]]):
    """What a collector is told about each teller, made when it first tells something; None is this process."""

    def __init__(self, own: Teller) -> None:
        super().__init__()
        self._own = own

    def __missing__(self, teller: Teller | None) -> tuple[Resource, InstrumentationScope]:
        about = teller or self._own
        if len(self) > _MANY_TELLERS:
            self.clear()
        self[teller] = made = (
            Resource.create(_resource_attributes(about.service, about.instance, about.version or self._own.version)),
            InstrumentationScope("anabranch", about.version or self._own.version or None),
        )
        return made


class OtlpLogHandler(logging.Handler):
    """Hands each log record, masked and with its trace, to the collector; records about sending stay here.

    A record about a failed export must not become the next export.
    """

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._logger = provider.get_logger("anabranch")

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith((__name__, "opentelemetry", "urllib3", "requests")):
            return
        try:
            self._logger.emit(self._translated(record))
        except Exception:
            self.handleError(record)

    def _translated(self, record: logging.LogRecord) -> LogRecord:
        fields: FieldsOf = fields_of(record)
        trace_id, span_id = str(fields.pop("trace_id", "")), str(fields.pop("span_id", ""))
        where = None
        if len(trace_id) == 32 and len(span_id) == 16:
            where = set_span_in_context(NonRecordingSpan(_context(trace_id, span_id)))
        attributes = {key: _plain(value) for key, value in fields.items() if value is not None}
        if record.exc_info and record.exc_info[1] is not None:
            attributes["exception.type"] = type(record.exc_info[1]).__name__
            attributes["exception.message"] = mask(str(record.exc_info[1]))
        return LogRecord(
            timestamp=int(record.created * 1e9),
            observed_timestamp=time.time_ns(),
            context=where,
            severity_text=record.levelname,
            severity_number=_severity(record.levelno),
            body=mask(record.getMessage()),
            attributes={"logger": record.name, **attributes},
        )


def _severity(level: int) -> SeverityNumber:
    for least, number in (
        (logging.CRITICAL, SeverityNumber.FATAL),
        (logging.ERROR, SeverityNumber.ERROR),
        (logging.WARNING, SeverityNumber.WARN),
        (logging.INFO, SeverityNumber.INFO),
    ):
        if level >= least:
            return number
    return SeverityNumber.DEBUG


def _resource_attributes(service_name: str, instance: str, version: str) -> dict[str, str]:
    attributes = {"service.namespace": "anabranch", "service.instance.id": instance, "service.version": version}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = service_name
    return {name: value for name, value in attributes.items() if value}


def _timeout(signal: str) -> float | None:
    """None where the environment says how long an export may take: the exporter reads that itself."""
    named = ("OTEL_EXPORTER_OTLP_TIMEOUT", f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT")
    return None if any(os.environ.get(name) for name in named) else EXPORT_TIMEOUT_S


def _context(trace_id: str, span_id: str) -> SpanContext:
    """The context of another process's span, sampled. Raises ValueError where an id is none."""
    context = SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    if not context.is_valid:
        raise ValueError(f"no valid trace context: {trace_id!r}, {span_id!r}")
    return context


def _plain(value: object) -> str | bool | int | float | tuple[str, ...]:
    """The value as OTLP can carry it; one that it cannot would spoil the whole batch it is sent with."""
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return str(value)


def _quietly(ending: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        try:
            ending()
        except Exception as error:
            _log.warning("telemetry did not end cleanly: %s", error)

    return run
