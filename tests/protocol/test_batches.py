"""What a holder does to its batch, and what the counts of a batch lead to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.protocol.records import MINE, NOW, OTHERS, a_batch, a_leased_batch, later

from anabranch.model.enums import BatchState
from anabranch.model.errors import ClaimLost
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import BatchId
from anabranch.protocol import batches
from anabranch.protocol.batches import BatchRecord, Fate

WRITES: list[Callable[[BatchRecord], object]] = [
    lambda batch: batches.done(batch, MINE, {}, NOW),
    lambda batch: batches.advance(batch, MINE, {}, {}),
    lambda batch: batches.seal(batch, MINE),
    lambda batch: batches.hand_back(batch, MINE),
    lambda batch: batches.fail(batch, MINE, "x", NOW, 2, counts=True),
    lambda batch: batches.dead(batch, MINE, "x", NOW),
    lambda batch: batches.split(batch, MINE, children(2), NOW, ordered=False),
]


def children(n: int) -> list[tuple[BatchId, NewBatch, str]]:
    return [(BatchId(100 + i), NewBatch(n=i, payload={"part": i}, total=1), f"s{i}") for i in range(n)]


@pytest.mark.behaviour("FLT-4")
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "batch",
    [
        a_leased_batch(claim=OTHERS),
        a_leased_batch(state=BatchState.DONE),
        a_leased_batch(state=BatchState.READY),
        a_leased_batch(state=BatchState.CANCELLED, claim=None),
    ],
    ids=["taken", "done", "returned", "cancelled"],
)
def test_no_write_to_a_batch_row_goes_through_without_its_claim(
    write: Callable[[BatchRecord], object], batch: BatchRecord
) -> None:
    with pytest.raises(ClaimLost, match="batch 7"):
        write(batch)


@pytest.mark.behaviour("FLT-4")
def test_an_expired_lease_that_nobody_has_taken_may_commit() -> None:
    ended = batches.done(a_leased_batch(lease_until=later(-100)), MINE, {"changed": 1}, NOW)
    assert (ended.state, ended.counters, ended.ended_at) == (BatchState.DONE, {"changed": 1}, NOW)


def test_counters_of_pages_add_up() -> None:
    paged = batches.advance(a_leased_batch(counters={"read": 3}), MINE, {"token": 1}, {"read": 2, "added": 2})
    assert (paged.counters, paged.cursor, paged.state) == ({"read": 5, "added": 2}, {"token": 1}, BatchState.LEASED)


@pytest.mark.behaviour("FLT-3")
def test_a_committed_page_clears_failures_and_losses() -> None:
    paged = batches.advance(a_leased_batch(failures=4, losses=2), MINE, {}, {})
    assert (paged.failures, paged.losses) == (0, 0)


@pytest.mark.behaviour("FLT-21")
def test_a_hand_back_is_ready_at_once_and_counts_nothing() -> None:
    back = batches.hand_back(a_leased_batch(failures=2, losses=1), MINE)
    assert (back.state, back.not_before, back.failures, back.losses) == (BatchState.READY, None, 2, 1)
    assert (back.claim, back.owner, back.lease_until) == (None, None, None)


@pytest.mark.behaviour("FLT-11")
def test_a_handled_failure_waits_in_its_row() -> None:
    back, fate = batches.fail(a_leased_batch(), MINE, "no route", NOW, 2, counts=True)
    assert (fate, back.state, back.not_before, back.failures, back.error) == (
        Fate.READY, BatchState.READY, later(2), 1, "no route",
    )  # fmt: skip


def test_a_wait_for_a_system_that_is_away_counts_nothing() -> None:
    back, fate = batches.fail(a_leased_batch(failures=4), MINE, "away", NOW, 60, counts=False)
    assert (fate, back.failures, back.not_before) == (Fate.READY, 4, later(60))


@pytest.mark.behaviour("FLT-10")
@pytest.mark.parametrize(
    ("total", "role", "failures", "losses", "fate"),
    [
        (10, "work", 4, 2, Fate.READY),
        (10, "work", 5, 0, Fate.SPLIT),
        (10, "work", 0, 3, Fate.SPLIT),
        (10, "work", 6, 0, Fate.DEAD),
        (10, "work", 0, 6, Fate.DEAD),
        (1, "work", 4, 4, Fate.READY),
        (1, "work", 0, 3, Fate.READY),
        (1, "work", 5, 0, Fate.POISONED),
        (1, "work", 0, 5, Fate.POISONED),
        (1, "work", 6, 0, Fate.DEAD),
        (0, "plan", 4, 4, Fate.READY),
        (0, "plan", 5, 0, Fate.DEAD),
        (0, "plan", 0, 5, Fate.DEAD),
        (0, "work", 5, 0, Fate.DEAD),
    ],
)
def test_what_the_counts_lead_to(total: int, role: str, failures: int, losses: int, fate: Fate) -> None:
    assert batches.fate(a_batch(total=total, role=role, failures=failures, losses=losses)) is fate


@pytest.mark.behaviour("FLT-10")
def test_the_fifth_failure_leaves_the_batch_leased_to_whoever_splits_it() -> None:
    held, fate = batches.fail(a_leased_batch(failures=4), MINE, "again", NOW, 2, counts=True)
    assert (fate, held.state, held.claim, held.failures) == (Fate.SPLIT, BatchState.LEASED, MINE, 5)


@pytest.mark.behaviour("FLT-10")
def test_a_plan_that_fails_five_times_is_dead() -> None:
    buried, fate = batches.fail(a_leased_batch(role="plan", total=0, failures=4), MINE, "again", NOW, 2, counts=True)
    assert (fate, buried.state, buried.error) == (Fate.DEAD, BatchState.DEAD, "again")


def test_a_batch_that_dies_says_what_became_of_its_objects() -> None:
    buried = batches.dead(a_leased_batch(counters={"changed": 1}), MINE, "again", NOW, {"errored": 3})
    assert (buried.state, buried.counters) == (BatchState.DEAD, {"changed": 1, "errored": 3})


def test_children_take_the_place_of_a_split_batch_with_counts_at_zero() -> None:
    parent, made = batches.split(a_leased_batch(failures=5, losses=2), MINE, children(2), NOW, ordered=False)
    assert parent.state is BatchState.SKIPPED
    assert [(c.producer, c.n, c.state, c.failures, c.losses) for c in made] == [
        (7, 0, BatchState.READY, 0, 0), (7, 1, BatchState.READY, 0, 0),
    ]  # fmt: skip


@pytest.mark.behaviour("FLT-9")
def test_children_of_an_ordered_step_wait_for_one_another() -> None:
    _, made = batches.split(a_leased_batch(), MINE, children(3), NOW, ordered=True)
    assert [(c.state, c.waits_for) for c in made] == [
        (BatchState.READY, None), (BatchState.BLOCKED, 100), (BatchState.BLOCKED, 101),
    ]  # fmt: skip


def test_a_batch_is_not_split_into_nothing() -> None:
    with pytest.raises(ValueError, match="cannot be split into nothing"):
        batches.split(a_leased_batch(), MINE, [], NOW, ordered=False)


def test_only_a_plan_seals() -> None:
    with pytest.raises(RuntimeError, match="only a plan seals"):
        batches.seal(a_leased_batch(), MINE)
    assert batches.seal(a_leased_batch(role="plan"), MINE).seals


def test_a_plan_does_not_end_without_a_seal() -> None:
    plan = a_leased_batch(role="plan")
    with pytest.raises(RuntimeError, match="without a seal"):
        batches.done(plan, MINE, {}, NOW)
    assert batches.done(batches.seal(plan, MINE), MINE, {}, NOW).state is BatchState.DONE


def test_a_dead_batch_is_driven_again_with_counts_at_zero() -> None:
    again = batches.drive_again(a_batch(state=BatchState.DEAD, failures=6, losses=3, error="x", ended_at=NOW))
    assert (again.state, again.failures, again.losses, again.error) == (BatchState.READY, 0, 0, None)
