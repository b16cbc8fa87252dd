"""A collector that is not ours judges what is told: `rotel`, which prints every span, metric and log it was sent.

It is asked for nothing while it runs; when it has ended, all it printed is read. What it prints is its own reading of
the protocol, so a span that only our side understands does not count.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 30.0
_ATTRIBUTE = re.compile(r" +-> (?P<key>[^:]+): (?P<value>(?:Str|Int|Double|Bool|Slice)\(.*)")
_FIELD = re.compile(r" *(?:-> )?(?P<key>[A-Z][A-Za-z ]*?) *: ?(?P<value>.*)")


class Told(msgspec.Struct, kw_only=True):
    """One span, metric point or log record: what the judge printed of it, and of whom it came."""

    resource: dict[str, Any]
    fields: dict[str, str] = {}
    attributes: dict[str, Any] = {}
    links: list[tuple[str, str]] = []
    """Of a span: trace and span id of each."""

    @property
    def service(self) -> str:
        return str(self.resource["service.name"])

    @property
    def name(self) -> str:
        return self.fields["Name"]

    @property
    def trace(self) -> str:
        return self.fields["Trace ID"]

    @property
    def id(self) -> str:
        return self.fields["ID"] if "ID" in self.fields else self.fields["Span ID"]

    @property
    def parent(self) -> str:
        return self.fields["Parent ID"]

    @property
    def start(self) -> int:
        return int(self.fields["Start time"])

    @property
    def end(self) -> int:
        return int(self.fields["End time"])


class Judgement(msgspec.Struct, kw_only=True):
    """Everything a judge was told."""

    spans: list[Told] = []
    metrics: list[Told] = []
    """One for each data point."""
    logs: list[Told] = []


class Judge:
    """A running collector on a free loopback port; `end` gives its judgement."""

    def __init__(self, directory: Path) -> None:
        self._output = directory / "judge.txt"
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._judgement: Judgement | None = None
        receivers = ["--otlp-http-endpoint", f"127.0.0.1:{self._port}"]
        receivers += ["--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}"]
        shown = ["--debug-log-verbosity", "detailed"]
        shown += [word for signal_name in ("traces", "metrics", "logs") for word in ("--debug-log", signal_name)]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [_program(), "start", "--exporter", "blackhole", *receivers, *shown],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if not name.startswith("ROTEL_")},
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1.0):
                return
            time.sleep(0.01)
        self.kill()
        raise AssertionError(f"the collector does not listen: {self._output.read_text()}")

    def end(self) -> Judgement:
        """The collector has printed all it has and is gone; safe twice."""
        if self._judgement is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_END_SECONDS)
            finally:
                self.kill()
            self._judgement = read(self._output.read_text(encoding="utf-8"))
        return self._judgement

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def is_there() -> bool:
    """Whether this Python and platform have a judge."""
    return importlib.util.find_spec("rotel") is not None


needs_judge = pytest.mark.skipif(not is_there(), reason="rotel is not published for this Python or platform")


def _program() -> str:
    found = importlib.util.find_spec("rotel")
    assert found is not None
    assert found.origin is not None
    return str(Path(found.origin).parent / "rotel-agent")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def read(text: str) -> Judgement:
    """What was printed, as records. A value of several lines is read to its first."""
    found = Judgement()
    resource: dict[str, Any] = {}
    metric: dict[str, str] = {}
    now: Told | None = None
    for line in text.splitlines():
        head = line.split(" #")[0] if " #" in line else ""
        match head:
            case "ResourceSpans" | "ResourceMetrics" | "ResourceLog":
                resource, now = {}, None
            case "Span":
                now = Told(resource=resource, fields={}, attributes={}, links=[])
                found.spans.append(now)
            case "SpanLink" if now is not None:
                now.links.append(("", ""))
            case "Metric":
                metric, now = {}, None
            case "NumberDataPoints" | "HistogramDataPoints":
                now = Told(resource=resource, fields=dict(metric), attributes={})
                found.metrics.append(now)
            case "LogRecord":
                now = Told(resource=resource, fields={}, attributes={})
                found.logs.append(now)
            case _:
                _take(line, now, resource, metric)
    return found


def _take(line: str, now: Told | None, resource: dict[str, Any], metric: dict[str, str]) -> None:
    if attribute := _ATTRIBUTE.fullmatch(line):
        into = resource if now is None else now.attributes
        into[attribute["key"]] = _value(attribute["value"])
    elif field := _FIELD.fullmatch(line):
        key, value = field["key"], field["value"]
        if now is None:
            metric[key] = value
        elif now.links and line.lstrip().startswith("->"):
            trace, span = now.links[-1]
            now.links[-1] = (value if key == "Trace ID" else trace, value if key == "ID" else span)
        else:
            now.fields.setdefault(key, value)


def _value(text: str) -> Any:
    kind, _, inner = text.partition("(")
    inner = inner.removesuffix(")")
    match kind:
        case "Int":
            return int(inner)
        case "Double":
            return float(inner)
        case "Bool":
            return inner == "true"
        case "Slice":
            return re.findall(r"Str\(([^)]*)\)", inner)
        case _:
            return inner


@contextlib.contextmanager
def judging(directory: Path) -> Iterator[Judge]:
    """A judge that is gone at the end, whatever happens."""
    judge = Judge(directory)
    try:
        yield judge
    finally:
        judge.kill()
