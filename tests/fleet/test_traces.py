"""One execution is one trace, whichever processes took part in it and whatever became of them.

The spans are those a collector that is not ours has understood.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fleet.conftest import Peace
from tests.fleet.sites import Caught, Site
from tests.telemetry.judge import Judge, Told, judging, needs_judge

from anabranch.console.local_fleet import Service
from anabranch.model.enums import RunState
from anabranch.model.identity import ExecutionId, RunId
from anabranch.telemetry.instruments import METRICS, Metric, Span

pytestmark = needs_judge
_BATCHES = {Span.IMPORT_BATCH.value, Span.SYNC_BATCH.value, Span.EXPORT_BATCH.value}
_PARENTS = {Span.RUN.value: Span.EXECUTION.value, Span.STEP.value: Span.RUN.value} | dict.fromkeys(
    _BATCHES, Span.STEP.value
)
_TELLERS = {
    Span.EXECUTION.value: "anabranch-scheduler",
    Span.RUN.value: "anabranch-scheduler",
    Span.STEP.value: "anabranch-scheduler",
    Span.IMPORT_BATCH.value: "anabranch-import-worker",
    Span.SYNC_BATCH.value: "anabranch-sync-worker",
    Span.EXPORT_BATCH.value: "anabranch-export-worker",
}
_TAKEN_OVER = "SELECT FROM batch WHERE id = $1 AND claim <> $2 AND state = 'done'"
_LOST = "SELECT FROM worker WHERE pid = $1 AND state = 'lost'"
_DONE = (
    "SELECT b.id FROM batch b JOIN run r ON r.id = b.run_id"
    " WHERE r.execution_id = $1 AND b.state = 'done' ORDER BY b.id"
)
_DONE_BY = (
    "SELECT FROM batch_attempt a JOIN worker w ON w.id = a.worker WHERE w.pid = $1 AND a.outcome = 'done' LIMIT 1"
)


@pytest.fixture
def spans(peace: Peace) -> list[Told]:
    """Every span that was told during the week."""
    assert peace.judgement is not None
    return peace.judgement.spans


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    """A collector to which the processes of the test's site tell."""
    with judging(tmp_path) as judge:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", judge.endpoint)
        yield judge


def _strays(spans: list[Told]) -> list[tuple[str, dict[str, object]]]:
    """Spans whose parent was not told, or is not of the kind it has to be; the root has none."""
    names = {span.id: span.name for span in spans}
    return [
        (span.name, span.attributes)
        for span in spans
        if span.name != Span.EXECUTION.value and names.get(span.parent) != _PARENTS[span.name]
    ]


def _told_once(spans: list[Told]) -> list[Told]:
    """The spans, each once; a span that was told twice was told with the same words."""
    by_id: dict[str, Told] = {}
    for span in spans:
        assert by_id.setdefault(span.id, span) == span
    return list(by_id.values())


async def _end(site: Site, judge: Judge) -> list[Told]:
    """The fleet has ended gently; what it had told."""
    await asyncio.to_thread(site.fleet.stop)
    return _told_once(judge.end().spans)


async def _trace(site: Site, execution: ExecutionId) -> str:
    line = await site.store.overview.execution(execution)
    assert line is not None
    return line.trace_id


@pytest.mark.behaviour("FLT-25")
def test_every_span_of_a_cycle_belongs_to_its_one_trace(peace: Peace, spans: list[Told]) -> None:
    assert {span.trace for span in spans} == {peace.trace}


@pytest.mark.behaviour("FLT-25")
def test_batches_hang_under_steps_steps_under_runs_and_runs_under_the_execution(
    peace: Peace, spans: list[Told]
) -> None:
    told = Counter(span.name for span in spans)
    assert _strays(spans) == []
    assert told[Span.EXECUTION] == 1
    assert told[Span.RUN] == len(peace.runs)
    assert told[Span.STEP] == sum(len(run.steps) for run in peace.runs)


def test_no_span_begins_before_its_parent_or_ends_after_it(spans: list[Told]) -> None:
    by_id = {span.id: span for span in spans}
    outside = [
        (span.name, span.attributes)
        for span in spans
        for parent in [by_id.get(span.parent, span)]
        if span.start < parent.start or span.end > parent.end
    ]
    assert outside == []


@pytest.mark.behaviour("FLT-25")
def test_each_committed_batch_has_one_span_that_names_run_phase_batch_and_attempt(
    peace: Peace, spans: list[Told]
) -> None:
    told = [span.attributes for span in spans if span.name in _BATCHES]
    done = [one["anabranch.batch.id"] for one in told if one["anabranch.outcome"] == "done"]
    assert sorted(done) == sorted(peace.batches)
    named = {"anabranch.run.id", "anabranch.phase", "anabranch.batch.id", "anabranch.attempt", "messaging.system"}
    assert all(named <= one.keys() for one in told)


def test_all_four_services_tell_their_part(spans: list[Told]) -> None:
    assert {(span.name, span.service) for span in spans} == set(_TELLERS.items())


def test_what_is_counted_in_a_cycle_has_the_names_and_attributes_of_the_reference(peace: Peace) -> None:
    assert peace.judgement is not None
    told: dict[str, set[tuple[str, ...]]] = {}
    for point in peace.judgement.metrics:
        told.setdefault(point.name, set()).add(tuple(sorted(point.attributes)))
    declared = {metric.value: {tuple(sorted(one.attributes))} for metric, one in METRICS.items()}
    assert told == {name: attributes for name, attributes in declared.items() if name in told}
    quiet = {
        Metric.BATCHES_FAILED, Metric.BATCHES_LOST, Metric.BATCHES_SPLIT, Metric.BATCHES_DEAD, Metric.HINTS_STALE,
        Metric.HINTS_FAULTY, Metric.LOOKUP_HITS, Metric.LOOKUP_ERRORS, Metric.TELEMETRY_DROPPED,
    }  # fmt: skip
    assert declared.keys() - told.keys() <= quiet


@pytest.mark.behaviour("FLT-25")
async def test_a_killed_worker_leaves_no_hole_in_the_trace_and_its_batch_links_to_the_attempt_it_lost(
    site: Site, judge: Judge
) -> None:
    await site.staff(sync=2)
    execution = await site.start(week=1)
    killed = await _with_something_done(site)
    site.fleet.kill(killed.member.name)
    site.fleet.add(Service.SYNC)
    await site.until(lambda: site.row(_TAKEN_OVER, killed.batch.batch, killed.batch.claim), "the batch was taken over")
    await site.ended(execution)
    await site.until(lambda: site.row(_LOST, killed.member.pid), "the killed worker is known to be gone")
    trace, done = await _trace(site, execution), await site.connection.fetch(_DONE, execution)
    spans = await _end(site, judge)

    assert {span.trace for span in spans} == {trace}
    assert _strays(spans) == []
    told = {
        span.attributes["anabranch.batch.id"] for span in spans if span.attributes.get("anabranch.outcome") == "done"
    }
    assert {row["id"] for row in done} <= told
    attempts = [span for span in spans if span.attributes.get("anabranch.batch.id") == killed.batch.batch]
    lost, *_, won = sorted(attempts, key=lambda span: int(span.attributes["anabranch.attempt"]))
    assert (lost.attributes["anabranch.outcome"], won.attributes["anabranch.outcome"]) == ("lost", "done")
    assert won.links == [(trace, lost.id)]
    assert lost.service == "anabranch-sync-worker"
    assert f"-{killed.member.pid}-" in lost.resource["service.instance.id"]


async def _with_something_done(site: Site) -> Caught:
    """A frozen sync worker with a batch in its hands that has already done others."""
    while True:
        caught = await site.caught(Service.SYNC)
        if await site.row(_DONE_BY, caught.member.pid) is not None:
            return caught
        caught.thaw()


@pytest.mark.behaviour("FLT-25")
async def test_a_worker_that_was_only_frozen_and_its_sweep_tell_the_lost_attempt_alike(
    site: Site, judge: Judge
) -> None:
    await site.staff(sync=2)
    execution = await site.start(week=1)
    frozen = await site.caught(Service.SYNC, "flow")
    await site.until(lambda: site.row(_LOST, frozen.member.pid), "the frozen worker counts as lost")
    frozen.thaw()
    await site.ended(execution)
    spans = await _end(site, judge)
    assert _strays(spans) == []
    assert [
        span.attributes["anabranch.outcome"]
        for span in sorted(spans, key=lambda one: one.start)
        if span.attributes.get("anabranch.batch.id") == frozen.batch.batch
    ] == ["lost", "done"]


@pytest.mark.behaviour("FLT-25")
async def test_a_run_that_is_cancelled_in_the_middle_leaves_no_batch_without_its_step(site: Site, judge: Judge) -> None:
    await site.staff()
    execution = await site.start(week=1)
    caught = await site.caught(Service.SYNC, "flow")
    await site.store.cancel_run(RunId(caught.batch.run), "tester", "enough")
    caught.thaw()
    runs = await site.finished(execution)
    assert RunState.CANCELLED in {run.run.state for run in runs}
    spans = await _end(site, judge)
    assert _strays(spans) == []
    states = {span.attributes.get("anabranch.step.state") for span in spans if span.name == Span.STEP.value}
    assert "cancelled" in states
