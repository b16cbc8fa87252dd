"""A cycle is one trace, whole, though nine processes told a part of it each."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fleet.conftest import Peace
from tests.telemetry.collector import plain

from anabranch.telemetry.instruments import Span

_BATCHES = {Span.IMPORT_BATCH.value, Span.SYNC_BATCH.value, Span.EXPORT_BATCH.value}


@pytest.fixture
def spans(peace: Peace) -> list[Any]:
    """Every span that was told during the week."""
    return peace.collector.spans()


def _ids(spans: list[Any], name: Span) -> set[bytes]:
    return {span.span_id for span in spans if span.name == name.value}


@pytest.mark.behaviour("FLT-25")
def test_every_span_of_a_cycle_belongs_to_its_one_trace(peace: Peace, spans: list[Any]) -> None:
    assert {span.trace_id.hex() for span in spans} == {peace.trace}


@pytest.mark.behaviour("FLT-25")
def test_batches_hang_under_steps_steps_under_runs_and_runs_under_the_execution(peace: Peace, spans: list[Any]) -> None:
    (root,) = [span for span in spans if span.name == Span.EXECUTION.value]
    runs, steps = _ids(spans, Span.RUN), _ids(spans, Span.STEP)
    assert not root.parent_span_id
    assert len(runs) == len(peace.runs)
    assert len(steps) == sum(len(run.steps) for run in peace.runs)
    parents = {Span.RUN.value: {root.span_id}, Span.STEP.value: runs} | dict.fromkeys(_BATCHES, steps)
    strays = [span.name for span in spans if span is not root and span.parent_span_id not in parents[span.name]]
    assert strays == []


@pytest.mark.behaviour("FLT-25")
def test_each_committed_batch_has_one_span_that_names_run_phase_batch_and_attempt(
    peace: Peace, spans: list[Any]
) -> None:
    told = [plain(span.attributes) for span in spans if span.name in _BATCHES]
    done = [one["anabranch.batch.id"] for one in told if one["anabranch.outcome"] == "done"]
    assert sorted(done) == sorted(peace.batches)
    named = {"anabranch.run.id", "anabranch.phase", "anabranch.batch.id", "anabranch.attempt"}
    assert all(named <= one.keys() for one in told)


def test_all_four_services_tell_their_part(peace: Peace) -> None:
    names = {
        plain(part.resource.attributes)["service.name"]
        for message in peace.collector.received["/v1/traces"]
        for part in message.resource_spans
    }
    assert names == {
        "anabranch-scheduler",
        "anabranch-import-worker",
        "anabranch-sync-worker",
        "anabranch-export-worker",
    }
