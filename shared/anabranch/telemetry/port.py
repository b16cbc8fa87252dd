"""What a service may tell about its doings, whoever listens.

Spans are told when they are over, with ids and times that were kept with their row; figures are told as they happen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from anabranch.telemetry.instruments import Metric, Span
from anabranch.telemetry.measurements import Measurements
from anabranch.telemetry.propagation import TraceContext

AttributeValue = str | bool | int | float | Sequence[str] | None


class SpanStatus(StrEnum):
    UNSET = "unset"
    OK = "ok"
    ERROR = "error"


class Teller(msgspec.Struct, frozen=True):
    """In whose name something is told; what is empty is not said."""

    service: str
    instance: str = ""
    version: str = ""


class Telemetry(Protocol):
    """Where a service tells what it did. No verb blocks or raises; only `shutdown` waits, at most its deadline."""

    @property
    def measurements(self) -> Measurements:
        """The figures of this process, for `/metrics` and for tests."""

    @property
    def wants_spans(self) -> bool:
        """Whether spans go anywhere; where not, nobody need gather what they would tell."""

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
        """A finished span with these ids and times (nanoseconds since 1970) is on its way to the collector.

        The ids were made with the row the span is about, so whoever closes the row emits it, once, wherever it was
        opened. `message` says why a span failed and holds no values of objects. `teller` is who did it, where that is
        another than this process.
        """

    def count(self, metric: Metric, amount: float = 1, /, **attributes: object) -> None:
        """The counter has grown by the amount."""

    def record(self, metric: Metric, value: float, /, **attributes: object) -> None:
        """The value is part of the histogram's distribution."""

    def gauge(self, metric: Metric, value: float, /, **attributes: object) -> None:
        """The gauge shows the value."""

    def shutdown(self, deadline: float = 4.0) -> bool:
        """Nothing more is sent; True when all that was told has been sent within `deadline` seconds. Safe twice."""
