"""Taking a batch, holding it, losing it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.records import ME, MINE, NOW, OTHERS, a_batch, a_leased_batch, later

from anabranch.model.enums import BatchState, RunState
from anabranch.model.identity import ClaimId, WorkerId
from anabranch.protocol.batches import BatchRecord
from anabranch.protocol.claims import (
    Refusal,
    backoff,
    claim,
    expired,
    export_backoff,
    is_publishable,
    publish,
    renew,
    trusted_until,
)


def take(batch: BatchRecord, run: RunState = RunState.RUNNING, at: float = 0, **more: Any) -> BatchRecord | Refusal:
    return claim(batch, run, claim=OTHERS, worker=WorkerId("other"), now=later(at), **more)


@pytest.mark.behaviour("FLT-3")
def test_a_claim_sets_a_new_claim_id_and_raises_the_epoch() -> None:
    taken = take(a_batch(not_before=NOW))
    assert isinstance(taken, BatchRecord)
    assert (taken.state, taken.claim, taken.epoch, taken.lease_until) == (BatchState.LEASED, OTHERS, 1, later(6))
    assert (taken.losses, taken.not_before, taken.published_at) == (0, None, None)


@pytest.mark.behaviour("FLT-3")
def test_a_lost_lease_is_counted_by_whoever_takes_the_batch_over() -> None:
    taken = take(a_leased_batch(), at=6)
    assert isinstance(taken, BatchRecord)
    assert (taken.losses, taken.epoch, taken.claim) == (1, 2, OTHERS)


def test_asking_again_with_the_claim_that_holds_it_gives_the_same_batch() -> None:
    held = a_leased_batch()
    assert claim(held, RunState.RUNNING, claim=MINE, worker=ME, now=later(1)) is held


@pytest.mark.parametrize(
    ("batch", "run", "more", "refusal"),
    [
        (a_batch(not_before=later(1)), RunState.RUNNING, {}, Refusal.NOT_DUE),
        (a_batch(state=BatchState.BLOCKED), RunState.RUNNING, {}, Refusal.NOT_DUE),
        (a_leased_batch(), RunState.RUNNING, {}, Refusal.HELD),
        (a_batch(state=BatchState.DONE), RunState.RUNNING, {}, Refusal.FINISHED),
        (a_batch(state=BatchState.DEAD), RunState.RUNNING, {}, Refusal.FINISHED),
        (a_batch(version=2), RunState.RUNNING, {}, Refusal.UNKNOWN_VERSION),
        (a_batch(), RunState.HELD, {}, Refusal.RUN_NOT_RUNNING),
        (a_batch(), RunState.PAUSED, {}, Refusal.RUN_NOT_RUNNING),
        (a_batch(), RunState.CANCELLING, {}, Refusal.RUN_NOT_RUNNING),
        (a_batch(), RunState.RUNNING, {"room": False}, Refusal.SYSTEM_BUSY),
    ],
)
def test_a_claim_is_refused(batch: BatchRecord, run: RunState, more: dict[str, Any], refusal: Refusal) -> None:
    assert take(batch, run, **more) is refusal


@pytest.mark.behaviour("EXP-20")
def test_a_takeover_keeps_its_place_at_a_busy_system() -> None:
    assert isinstance(take(a_leased_batch(), at=6, room=False), BatchRecord)


@pytest.mark.parametrize(
    ("lease_until", "is_expired"), [(6, False), (0, True), (-1, True), (6.001, True), (3600, True)]
)
def test_a_lease_further_ahead_than_one_lease_counts_as_expired(lease_until: float, is_expired: bool) -> None:
    assert expired(a_leased_batch(lease_until=later(lease_until)), NOW) is is_expired


@pytest.mark.parametrize(
    ("batch", "bus_epoch", "publishable"),
    [
        (a_batch(), 1, True),
        (publish(a_batch(), later(-29), 1), 1, False),
        (publish(a_batch(), later(-30), 1), 1, True),
        (publish(a_batch(), later(-1), 1), 2, True),
        (publish(a_batch(), later(60), 1), 1, True),
        (a_batch(not_before=later(1)), 1, False),
        (a_batch(state=BatchState.DONE), 1, False),
        (a_leased_batch(), 1, False),
        (a_leased_batch(lease_until=later(-1)), 1, True),
    ],
)
def test_what_is_due_and_was_not_published_lately_is_published(
    batch: BatchRecord, bus_epoch: int, publishable: bool
) -> None:
    assert is_publishable(batch, NOW, bus_epoch) is publishable


def test_a_beat_counts_the_lease_from_now_and_forgives_an_expired_one_nobody_took() -> None:
    renewed = renew(a_leased_batch(), MINE, later(9))
    assert renewed is not None
    assert renewed.lease_until == later(15)


def test_a_beat_under_a_lost_claim_renews_nothing() -> None:
    assert renew(a_leased_batch(), OTHERS, NOW) is None


def test_a_lease_of_an_ending_run_does_not_reach_beyond_its_last_instant() -> None:
    renewed = renew(a_leased_batch(), MINE, later(1), until=later(3))
    assert renewed is not None
    assert renewed.lease_until == later(3)
    assert renew(a_leased_batch(), MINE, later(3), until=later(3)) is None


@pytest.mark.behaviour("FLT-16")
def test_a_worker_trusts_its_lease_only_for_less_than_its_length_from_before_it_asked() -> None:
    assert trusted_until(100.0, 6.0) == pytest.approx(105.5)


@pytest.mark.behaviour("FLT-11")
@pytest.mark.parametrize(("failures", "seconds"), [(1, 2), (2, 4), (3, 8), (8, 256), (9, 300), (5000, 300)])
def test_a_failed_batch_waits_two_seconds_doubling_to_five_minutes(failures: int, seconds: float) -> None:
    assert backoff(failures) == seconds
    assert [backoff(failures, -1), backoff(failures, 1)] == pytest.approx([seconds * 0.8, seconds * 1.2])


@pytest.mark.behaviour("EXP-33")
@pytest.mark.parametrize(("attempts", "seconds"), [(1, 60), (2, 120), (6, 1920), (7, 3600), (40, 3600)])
def test_a_failed_export_waits_a_minute_doubling_to_an_hour(attempts: int, seconds: float) -> None:
    assert export_backoff(attempts) == seconds


@pytest.mark.behaviour("EXP-33")
def test_a_longer_wish_of_the_target_prevails() -> None:
    assert (export_backoff(1, retry_after=600), export_backoff(1, retry_after=5)) == (600, 60)


def test_jitter_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="jitter must lie in -1 to 1"):
        backoff(1, 1.5)


def test_the_claim_id_is_only_compared() -> None:
    assert renew(a_leased_batch(claim=ClaimId("")), ClaimId(""), NOW) is not None
