"""A service nobody listens to: its figures stay in the process, for `/metrics`, and its spans are let go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anabranch.telemetry.instruments import METRICS, Metric, Shape, Span
from anabranch.telemetry.measurements import Measurements, labels_of
from anabranch.telemetry.port import AttributeValue, SpanStatus, Teller
from anabranch.telemetry.propagation import TraceContext


class LocalTelemetry:
    """A `Telemetry` without a collector: figures stay in this process, spans are let go."""

    def __init__(self) -> None:
        self._measurements = Measurements()

    @property
    def measurements(self) -> Measurements:
        return self._measurements

    @property
    def wants_spans(self) -> bool:
        return False

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
        return None

    def count(self, metric: Metric, amount: float = 1, /, **attributes: object) -> None:
        if self._fits(metric, Shape.COUNTER) and amount >= 0:
            self._measurements.add(metric, amount, labels_of(attributes))

    def record(self, metric: Metric, value: float, /, **attributes: object) -> None:
        if self._fits(metric, Shape.HISTOGRAM):
            self._measurements.note(metric, value, labels_of(attributes))

    def gauge(self, metric: Metric, value: float, /, **attributes: object) -> None:
        if self._fits(metric, Shape.GAUGE):
            self._measurements.put(metric, value, labels_of(attributes))

    def shutdown(self, deadline: float = 4.0) -> bool:
        return True

    def dropped(self, reason: str) -> None:
        """Something that was told could not be taken; the counter says so."""
        self._measurements.add(Metric.TELEMETRY_DROPPED, 1, (("reason", reason),))

    def _fits(self, metric: Metric, shape: Shape) -> bool:
        instrument = METRICS.get(metric)
        if instrument is not None and instrument.shape is shape:
            return True
        self.dropped("wrong_instrument")
        return False
