"""The tool that asks Jaeger sees what is wrong with a trace, and nothing wrong with a whole one."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_SERVICES = ("anabranch-scheduler", "anabranch-import-worker", "anabranch-sync-worker", "anabranch-export-worker")


@pytest.fixture(scope="module")
def tool(project_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("traces_in_jaeger", project_root / "tools" / "traces_in_jaeger.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _span(
    number: int, name: str, process: int, parent: int | None, *, attempt: int = 1, link: int = 0
) -> dict[str, Any]:
    references = [{"refType": "CHILD_OF", "spanID": str(parent)}] if parent else []
    references += [{"refType": "FOLLOWS_FROM", "spanID": str(link)}] if link else []
    tags = [{"key": "anabranch.attempt", "value": attempt}] if name.endswith(".batch") else []
    return {
        "spanID": str(number),
        "operationName": name,
        "processID": f"p{process}",
        "references": references,
        "tags": tags,
        "warnings": None,
    }


@pytest.fixture
def trace() -> dict[str, Any]:
    """A whole trace with one redelivery, as Jaeger gives it."""
    return {
        "traceID": "a1" * 16,
        "processes": {f"p{n}": {"serviceName": name} for n, name in enumerate(_SERVICES)},
        "spans": [
            _span(1, "execution", 0, None),
            _span(2, "run", 0, 1),
            _span(3, "step", 0, 2),
            _span(4, "import.batch", 1, 3),
            _span(5, "sync.batch", 2, 3),
            _span(6, "sync.batch", 2, 3, attempt=2, link=5),
            _span(7, "export.batch", 3, 3),
        ],
    }


def test_a_whole_trace_has_no_fault(tool: ModuleType, trace: dict[str, Any]) -> None:
    assert tool.faults_of(trace) == []


@pytest.mark.parametrize(
    ("removed", "fault"),
    [
        (0, "there are"),
        (1, "step 3 is an orphan"),
        (2, "import.batch 4 is an orphan"),
        (4, "sync.batch 6 links to nothing"),
    ],
)
def test_a_missing_span_is_noticed(tool: ModuleType, trace: dict[str, Any], removed: int, fault: str) -> None:
    del trace["spans"][removed]
    assert [one for one in tool.faults_of(trace) if one.startswith(fault)]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (_span(4, "import.batch", 1, 2), "import.batch 4 hangs under run"),
        (_span(4, "import.batch", 2, 3), "import.batch 4 is told by anabranch-sync-worker"),
        (_span(4, "import.batch", 1, None), "there are 2 roots"),
        (_span(4, "import.batch", 1, 3, attempt=2), "import.batch 4, attempt 2, has no link"),
        ({**_span(4, "import.batch", 1, 3), "warnings": ["skewed"]}, "import.batch 4: skewed"),
    ],
)
def test_a_span_that_is_out_of_place_is_noticed(
    tool: ModuleType, trace: dict[str, Any], changed: dict[str, Any], fault: str
) -> None:
    trace["spans"][3] = changed
    assert fault in tool.faults_of(trace)


def test_a_span_told_twice_and_a_silent_service_are_noticed(tool: ModuleType, trace: dict[str, Any]) -> None:
    trace["spans"].append(copy.deepcopy(trace["spans"][5]))
    trace["processes"].pop("p3")
    trace["spans"].pop(6)
    assert tool.faults_of(trace) == ["span 6 is told 2 times, not alike", "nothing of anabranch-export-worker"]
