"""A batch that cannot be done is cut until the one object that breaks it is alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.promises.fleet_keepers import LEASE
from tests.runtime.workbench import Bench, applied, at_work, finish, numbers, plan_of, quick_reads, ranged

from anabranch.model.enums import BatchState, RunKind, WorkerKind
from anabranch.model.fleet import Claimed, NewBatch
from anabranch.model.identity import BatchId, ClaimId, WorkerId
from anabranch.protocol.accounting import balance
from anabranch.protocol.steps import STEPS
from anabranch.runtime.division import abandoned, children_of, lone_number, poisoned
from anabranch.runtime.work import Task


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_reads(monkeypatch)


@pytest.fixture
async def bench() -> Bench:
    return await applied(Bench())


@pytest.mark.behaviour("FLT-10", "FLT-11")
async def test_five_failures_split_a_batch_until_the_object_that_breaks_it_is_alone_and_poisoned(bench: Bench) -> None:
    run = await bench.start("hr-sync")
    done: set[int] = set()

    async def five_breaks(task: Task) -> None:
        if 5 in numbers(task.claimed):
            raise ValueError("no worker survives object 5")
        done.update(numbers(task.claimed))
        await finish(task)

    consumer = bench.consumer(five_breaks, plans=plan_of(ranged(1, 1, 8), step="assess"), kind=WorkerKind.SYNC)
    async with at_work(consumer):
        await bench.until(lambda: bench.store.tables.runs[run].state.is_final, moving_time=True)
    assert done == {1, 2, 3, 4, 6, 7, 8}
    (error,) = bench.store.tables.errors.values()
    assert (error.item.kind, error.item.object_id) == ("poisoned_object", 5)
    fives = [row for row in bench.work() if row.payload["lo"] <= 5 <= row.payload["hi"]]
    assert [(row.total, row.epoch) for row in fives] == [(8, 5), (4, 5), (2, 5), (1, 5)]
    assert [row.state for row in fives[:-1]] == [BatchState.SKIPPED] * 3


async def _lose(bench: Bench, times: int) -> None:
    """The work batch was taken so many times by workers that were never heard of again."""
    for n in range(times):
        (row,) = bench.work()
        taken = await bench.store.claim(WorkerKind.SYNC, WorkerId(f"dead-{n}"), ClaimId(f"x{n}"), "s", LEASE, row.id)
        assert taken is not None
        bench.clock.now += timedelta(seconds=LEASE + 1)


async def _planned(bench: Bench, *batches: NewBatch) -> None:
    await bench.start("hr-sync")
    (row,) = bench.batches()
    taken = await bench.store.claim(WorkerKind.SYNC, WorkerId("planner"), ClaimId("p"), "s", LEASE, row.id)
    assert taken is not None
    async with bench.store.unit(taken) as unit:
        await unit.add_batches(batches)
        await unit.seal()
        await unit.done({})


@pytest.mark.behaviour("FLT-10")
async def test_a_batch_that_took_three_workers_with_it_is_split_before_it_takes_a_fourth(bench: Bench) -> None:
    await _planned(bench, ranged(1, 1, 2))
    await _lose(bench, 3)
    sizes: list[int] = []

    async def note(task: Task) -> None:
        sizes.append(task.claimed.total)
        await finish(task)

    async with at_work(bench.consumer(note, kind=WorkerKind.SYNC)):
        await bench.until(lambda: len(sizes) == 2)
    assert sizes == [1, 1]


@pytest.mark.behaviour("FLT-10")
@pytest.mark.parametrize(("losses", "tried"), [(4, True), (5, False)])
async def test_an_object_alone_in_its_batch_has_five_lives(bench: Bench, losses: int, tried: bool) -> None:
    await _planned(bench, ranged(1, 7, 7))
    await _lose(bench, losses)
    met: list[int] = []

    async def note(task: Task) -> None:
        met.append(task.claimed.payload["lo"])
        await finish(task)

    async with at_work(bench.consumer(note, kind=WorkerKind.SYNC)):
        await bench.until(lambda: bench.work()[0].state is BatchState.DONE)
    assert met == ([7] if tried else [])
    assert len(list(bench.store.tables.errors.values())) == (0 if tried else 1)


# --- the pure part


@pytest.fixture
async def claimed(bench: Bench) -> Claimed:
    await _planned(bench, ranged(1, 1, 2))
    (row,) = bench.work()
    taken = await bench.store.claim(WorkerKind.SYNC, WorkerId("w"), ClaimId("c"), "s", LEASE, row.id)
    assert taken is not None
    return taken


def _as(claimed: Claimed, kind: RunKind, step: str, payload: dict[str, Any], total: int) -> Claimed:
    ordinal = next(n for n, one in enumerate(STEPS[kind], start=1) if one.name == step)
    return replace(claimed, kind=kind, step=step, ordinal=ordinal, payload=payload, total=total)


def test_no_half_of_a_sparse_range_is_taken_for_empty(claimed: Claimed) -> None:
    sparse = _as(claimed, RunKind.DELTA_SYNC, "flow", {"lo": 1, "hi": 1000}, 1)
    assert [(one.payload, one.total) for one in children_of(sparse)] == [
        ({"lo": 1, "hi": 500}, 1),
        ({"lo": 501, "hi": 1000}, 1),
    ]


def test_the_halves_of_an_ordered_batch_go_one_after_the_other(claimed: Claimed) -> None:
    ordered = _as(claimed, RunKind.DELTA_SYNC, "match.settle", {"lo": 1, "hi": 4}, 4)
    assert [one.waits_for_previous for one in children_of(ordered)] == [False, True]


def test_a_batch_of_packs_is_cut_into_packs_and_knows_what_is_in_each(claimed: Claimed) -> None:
    packs = _as(claimed, RunKind.EXPORT, "export.record", {"packs": [[1, 64], [2, 64], [5, 1]]}, 129)
    first, second = children_of(packs)
    assert [(one.payload, one.total) for one in (first, second)] == [
        ({"packs": [[1, 64]]}, 64),
        ({"packs": [[2, 64], [5, 1]]}, 65),
    ]
    alone = replace(packs, payload=first.payload, total=first.total)
    assert (children_of(alone), lone_number(alone), abandoned(alone)) == ([], None, {"errored": 64})


def test_a_batch_of_exports_is_cut_by_its_list(claimed: Claimed) -> None:
    exports = _as(claimed, RunKind.EXPORT, "export", {"exports": [3, 90, 7]}, 3)
    first, second = children_of(exports)
    assert (first.payload["exports"], second.payload["exports"]) == ([3], [90, 7])
    assert lone_number(replace(exports, payload=first.payload, total=1)) == 3
    assert first.payload["parts_of"] == second.payload["parts_of"] == [exports.batch]
    (part, _) = children_of(replace(exports, batch=BatchId(99), payload=second.payload, total=2))
    assert part.payload["parts_of"] == [exports.batch, 99]


@pytest.mark.parametrize("payload", [{"whole_file": True}, {"partition": "people"}])
def test_what_is_one_piece_is_not_cut(claimed: Claimed, payload: dict[str, Any]) -> None:
    whole = _as(claimed, RunKind.EXPORT, "export", payload, 9)
    assert (children_of(whole), lone_number(whole)) == ([], None)


@pytest.mark.behaviour("FLT-10")
@pytest.mark.parametrize(
    ("kind", "step", "before"),
    [
        (RunKind.FULL_IMPORT, "apply.settle", {"read": 1}),
        (RunKind.FULL_IMPORT, "detect.write", {"known_before": 1}),
        (RunKind.FULL_IMPORT, "references", {"read": 1, "added": 1}),
        (RunKind.DELTA_SYNC, "flow", {}),
        (RunKind.DELTA_SYNC, "outbound", {"selected": 1, "changed": 1}),
        (RunKind.EXPORT, "deletes", {"selected": 1}),
    ],
)
def test_the_figures_of_a_run_add_up_with_a_poisoned_object(
    claimed: Claimed, kind: RunKind, step: str, before: dict[str, int]
) -> None:
    changes = poisoned(_as(claimed, kind, step, {"lo": 4, "hi": 4}, 1), 4, "it breaks")
    totals = {name: before.get(name, 0) + changes.counters.get(name, 0) for name in {*before, *changes.counters}}
    assert balance(kind, totals) == []


@pytest.mark.behaviour("FLT-10", "AUD-7")
def test_a_dead_file_counts_what_it_had_not_reported_on(claimed: Claimed) -> None:
    half_done = replace(
        _as(claimed, RunKind.EXPORT, "export", {"whole_file": True}, 9), counters={"exported": 4, "exported_creates": 4}
    )
    assert abandoned(half_done) == {"errored": 5}
