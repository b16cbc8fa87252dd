"""Logs a person can read and a machine can join with traces.

One record is one line on standard error, as text or as JSON. Fields that belong to what is being done (run, batch,
trace) are bound once around the work and stand in every record written inside, also by libraries. Secrets known to
the process and passwords inside addresses are masked in everything that leaves here.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

FieldsOf = dict[str, Any]

MASK: Final = "***"
_BOUND: ContextVar[tuple[tuple[str, Any], ...]] = ContextVar("anabranch_log_fields", default=())
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_ADDRESS_SECRET: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/@:]*):[^\s@/]+@", re.IGNORECASE)
_NAMED_SECRET: Final = re.compile(
    r"""(["']?\b(?:password|passwd|pwd|secret|token|api[_-]?key)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&}]+)""",
    re.IGNORECASE,
)
_secrets: tuple[str, ...] = ()
_secrets_lock = threading.Lock()


def hide_secrets(values: Iterable[str]) -> None:
    """None of these texts leaves this process in a log or span again; texts under 4 characters would hide too much."""
    global _secrets  # noqa: PLW0603 - what is secret is a fact of the whole process
    with _secrets_lock:
        _secrets = tuple(sorted({*_secrets, *(value for value in values if len(value) >= 4)}, key=len, reverse=True))


def mask(text: str) -> str:
    """Give the text with known secrets, passwords in addresses and `password=..` values replaced by `***`."""
    for secret in _secrets:
        text = text.replace(secret, MASK)
    text = _ADDRESS_SECRET.sub(rf"\1:{MASK}@", text)
    return _NAMED_SECRET.sub(rf"\1{MASK}", text)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Every record written inside, also by tasks started there, carries the fields, such as `run` or `batch`."""
    token = _BOUND.set((*_BOUND.get(), *fields.items()))
    try:
        yield
    finally:
        _BOUND.reset(token)


def fields_of(record: logging.LogRecord) -> FieldsOf:
    """The fields bound around the record and given with it as `extra`, texts masked."""
    given = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {
        name: mask(value) if isinstance(value, str) else value
        for name, value in {**dict(_BOUND.get()), **given}.items()
    }


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `service`, `message`, the fields, and `exception`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        told: FieldsOf = {
            "time": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "service": self._service,
            "message": mask(record.getMessage()),
        }
        told.update((name, value) for name, value in fields_of(record).items() if name not in told)
        if record.exc_info:
            told["exception"] = mask(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=False, default=lambda value: mask(str(value)))


class TextFormatter(logging.Formatter):
    """`time level service: message  field=value ..`, the exception below it. For eyes: ids of traces are left out."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        told = {name: value for name, value in fields_of(record).items() if name not in {"trace_id", "span_id"}}
        fields = "".join(f" {name}={mask(str(value))}" for name, value in told.items())
        message = mask(record.getMessage()).replace("\n", "\\n")
        line = f"{_instant(record)} {record.levelname:<7} {self._service}: {message}{' ' if fields else ''}{fields}"
        return f"{line}\n{mask(self.formatException(record.exc_info))}" if record.exc_info else line


def configure_logs(
    service: str, *, style: str = "text", level: str = "info", secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Records from `level` on go to standard error (or `stream`), as `text` or `json`; an earlier set-up is replaced.

    Raises:
        ValueError: style or level is unknown.
    """
    if style not in {"text", "json"}:
        raise ValueError(f"log format {style!r} is unknown; use text or json")
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"log level {level!r} is unknown; use debug, info, warning, error or critical")
    hide_secrets(secrets)
    handler = _OwnHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(service) if style == "json" else TextFormatter(service))
    root = logging.getLogger()
    for earlier in [handler for handler in root.handlers if isinstance(handler, _OwnHandler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(number)


class _OwnHandler(logging.StreamHandler[TextIO]):
    """Told apart by its type, so that setting up again replaces it and leaves the handlers of others."""


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
