"""Trace context as plain text, because it lives in rows and messages longer than in any process.

An execution draws a trace id when its row is made; runs, steps and batches draw span ids with theirs. The text form
is that of W3C Trace Context, `00-{trace id}-{span id}-{flags}`, so any tool that reads a hint knows where it belongs.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

import msgspec

_SHAPE: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16


class TraceContext(msgspec.Struct, frozen=True):
    """A span of a trace: 32 and 16 lowercase hexadecimal digits, neither all zero."""

    trace_id: str
    span_id: str

    def child(self) -> TraceContext:
        """A new span of the same trace."""
        return TraceContext(self.trace_id, new_span_id())


def new_trace() -> TraceContext:
    """A new trace with its first span."""
    return TraceContext(_random(16), new_span_id())


def new_span_id() -> str:
    """A span id nobody else has."""
    return _random(8)


def format_traceparent(context: TraceContext) -> str:
    """Give the context as a W3C traceparent, sampled."""
    return f"00-{context.trace_id}-{context.span_id}-01"


def parse_traceparent(text: str) -> TraceContext | None:
    """Give the context of a W3C traceparent; None when it is none, as the recommendation asks (section 3.2.2).

    Versions above 00 are read as far as 00 goes; version ff and ids of zeros are invalid.
    """
    found = _SHAPE.match(text)
    if found is None:
        return None
    version, trace_id, span_id, _, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id)


def _random(size: int) -> str:
    while True:
        text = secrets.token_hex(size)
        if text.strip("0"):
            return text
