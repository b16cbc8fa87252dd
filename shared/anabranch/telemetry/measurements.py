"""The figures of this process, kept whether or not anybody collects them.

`/metrics` reads them as Prometheus text, so a fleet can be watched without a collector. The heartbeat's thread and
the event loop both count, so every change is made under one lock, held for an addition.
"""

from __future__ import annotations

from bisect import bisect_left
from threading import Lock
from typing import Final

from anabranch.telemetry.instruments import DURATION_BOUNDS, METRICS, Metric, Shape, prometheus_name

Labels = tuple[tuple[str, str], ...]
_MOST_SERIES: Final = 2_000
"""Of one metric; more means that something unbounded became a label, and the rest is dropped and counted."""


class _Distribution:
    def __init__(self) -> None:
        self.buckets = [0] * (len(DURATION_BOUNDS) + 1)
        self.total = 0.0
        self.count = 0


class Measurements:
    """Counters, gauges and histograms by their labels, since the process started."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._numbers: dict[Metric, dict[Labels, float]] = {}
        self._distributions: dict[Metric, dict[Labels, _Distribution]] = {}

    def add(self, metric: Metric, amount: float, labels: Labels) -> None:
        with self._lock:
            series = self._numbers.setdefault(metric, {})
            if self._has_room(series, labels):
                series[labels] = series.get(labels, 0.0) + amount

    def put(self, metric: Metric, value: float, labels: Labels) -> None:
        with self._lock:
            series = self._numbers.setdefault(metric, {})
            if self._has_room(series, labels):
                series[labels] = value

    def note(self, metric: Metric, value: float, labels: Labels) -> None:
        with self._lock:
            series = self._distributions.setdefault(metric, {})
            if self._has_room(series, labels):
                spread = series.setdefault(labels, _Distribution())
                spread.buckets[bisect_left(DURATION_BOUNDS, value)] += 1
                spread.total += value
                spread.count += 1

    def value(self, metric: Metric, **labels: str) -> float:
        """The sum over every series that carries these labels; of a histogram how often it was told."""
        wanted = set(labels.items())
        with self._lock:
            if METRICS[metric].shape is Shape.HISTOGRAM:
                spreads = self._distributions.get(metric, {})
                return sum(spread.count for of, spread in spreads.items() if wanted <= set(of))
            return sum(number for of, number in self._numbers.get(metric, {}).items() if wanted <= set(of))

    def prometheus_text(self) -> str:
        """Everything in the text format of Prometheus, version 0.0.4."""
        lines: list[str] = []
        with self._lock:
            for metric in METRICS:
                numbers, spreads = self._numbers.get(metric, {}), self._distributions.get(metric, {})
                if not numbers and not spreads:
                    continue
                name = prometheus_name(metric)
                lines.append(f"# HELP {name} {METRICS[metric].meaning}")
                lines.append(f"# TYPE {name} {METRICS[metric].shape}")
                lines += [f"{name}{_braces(labels)} {_figure(number)}" for labels, number in sorted(numbers.items())]
                for labels, spread in sorted(spreads.items(), key=lambda pair: pair[0]):
                    lines += _histogram_lines(name, labels, spread)
        return "\n".join(lines) + "\n" if lines else ""

    def _has_room(self, series: dict[Labels, float] | dict[Labels, _Distribution], labels: Labels) -> bool:
        if labels in series or len(series) < _MOST_SERIES:
            return True
        dropped = self._numbers.setdefault(Metric.TELEMETRY_DROPPED, {})
        reason = (("reason", "too_many_series"),)
        dropped[reason] = dropped.get(reason, 0.0) + 1
        return False


def labels_of(attributes: dict[str, object]) -> Labels:
    """The attributes as sorted text pairs, those without a value left out."""
    return tuple(sorted((name, str(value)) for name, value in attributes.items() if value is not None))


def _histogram_lines(name: str, labels: Labels, spread: _Distribution) -> list[str]:
    lines, below = [], 0
    for bound, count in zip((*DURATION_BOUNDS, None), spread.buckets, strict=True):
        below += count
        edge = "+Inf" if bound is None else _figure(bound)
        lines.append(f"{name}_bucket{_braces((*labels, ('le', edge)))} {below}")
    lines.append(f"{name}_sum{_braces(labels)} {_figure(spread.total)}")
    lines.append(f"{name}_count{_braces(labels)} {spread.count}")
    return lines


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _figure(number: float) -> str:
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)
