"""What every keeper promises of executions, runs, steps and batches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tests.promises.fleet_keepers import (
    LEASE,
    FleetKeeper,
    close,
    end,
    pass_step,
    plan,
    run_through,
    start,
    take,
    try_claim,
)

from anabranch.model.enums import FailedReason, RunKind, RunState, WorkerKind
from anabranch.model.errors import ClaimLost
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import ClaimId, WorkerId
from anabranch.protocol.steps import ordinal_of
from anabranch.store.port import Store

IMPORT, SYNC, EXPORT = WorkerKind.IMPORT, WorkerKind.SYNC, WorkerKind.EXPORT


# --- claims


@pytest.mark.behaviour("FLT-3")
async def test_a_claim_raises_the_epoch_and_tells_all_of_the_run(store: Store) -> None:
    run = await start(store, "hr-import")
    claimed = await take(store)
    assert (claimed.run, claimed.epoch, claimed.role, claimed.step, claimed.losses) == (run, 1, "plan", "import", 0)
    assert claimed.now.tzinfo is not None
    assert claimed.previous_span_id is None


async def test_a_claimed_batch_is_not_given_twice(store: Store) -> None:
    await start(store, "hr-import")
    claimed = await take(store)
    assert await try_claim(store, IMPORT, claimed.batch) is None
    assert await try_claim(store, IMPORT) is None


async def test_a_repeated_claim_gives_the_same_batch(store: Store) -> None:
    await start(store, "hr-import")
    first = await try_claim(store, IMPORT, claim="mine")
    assert first is not None
    again = await try_claim(store, IMPORT, claim="mine")
    assert again == first


async def test_a_batch_of_another_kind_is_refused(store: Store) -> None:
    await start(store, "hr-import")
    assert await try_claim(store, SYNC) is None


@pytest.mark.behaviour("FLT-3", "FLT-7")
async def test_an_expired_lease_is_taken_over_and_counts_a_loss(keeper: FleetKeeper, store: Store) -> None:
    await start(store, "hr-import")
    first = await take(store)
    await keeper.pass_time(LEASE + 1)
    second = await take(store, batch=first.batch, worker="w2")
    assert (second.epoch, second.losses, second.previous_span_id) == (2, 1, first.span_id)


@pytest.mark.behaviour("FLT-10")
async def test_losses_in_a_row_are_told_to_whoever_claims_next(keeper: FleetKeeper, store: Store) -> None:
    await start(store, "hr-import")
    losses = []
    for _ in range(4):
        losses.append((await take(store)).losses)
        await keeper.pass_time(LEASE + 1)
    assert losses == [0, 1, 2, 3]


async def test_a_lease_further_ahead_than_one_lease_is_over(keeper: FleetKeeper, store: Store) -> None:
    await start(store, "hr-import")
    await take(store)
    await keeper.pass_time(-60)
    assert (await take(store, worker="w2")).epoch == 2


@pytest.mark.behaviour("FLT-4")
async def test_a_zombie_writes_nothing_after_a_takeover(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    zombie = await take(store)
    await keeper.pass_time(LEASE + 1)
    await take(store, worker="w2")
    with pytest.raises(ClaimLost):
        await plan(store, zombie, 3)
    assert await keeper.states(run) == {"leased": 1}


@pytest.mark.behaviour("FLT-4")
@pytest.mark.parametrize("verb", ["hand_back", "fail", "split", "dead", "fail_run"])
async def test_every_write_to_a_batch_carries_the_claim(keeper: FleetKeeper, store: Store, verb: str) -> None:
    await start(store, "hr-import")
    zombie = await take(store)
    await keeper.pass_time(LEASE + 1)
    await take(store, worker="w2")
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "hand_back": lambda: store.hand_back(zombie),
        "fail": lambda: store.fail(zombie, "late", 1.0, counts=True),
        "split": lambda: store.split(zombie, [NewBatch(n=1, payload={})]),
        "dead": lambda: store.dead(zombie, "late"),
        "fail_run": lambda: store.fail_run(zombie, FailedReason.CONNECTION, "late"),
    }
    with pytest.raises(ClaimLost):
        await calls[verb]()
    await keeper.pass_time(LEASE + 1)
    assert (await take(store, worker="w3")).epoch == 3  # in a run that goes on


async def test_an_expired_lease_that_nobody_took_may_commit(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    late = await take(store)
    await keeper.pass_time(3600)
    await plan(store, late, 0)
    assert await keeper.states(run) == {"done": 1}


@pytest.mark.behaviour("SCH-23")
async def test_systems_are_served_in_turn(store: Store) -> None:
    await store.start_execution("hr-import", "tester")
    await store.sweep(LEASE)
    await plan(store, await take(store), 5)
    await store.start_execution("crm-import", "tester")
    await store.sweep(LEASE)
    systems = [(await take(store)).system for _ in range(3)]
    assert len(set(systems[:2])) == 2


@pytest.mark.behaviour("EXP-20")
async def test_a_system_takes_no_more_calls_than_it_allows(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-export")
    assert not (await pass_step(store, run, 1, EXPORT)).held
    await plan(store, await take(store, EXPORT), 3)
    first = await take(store, EXPORT)
    assert await try_claim(store, EXPORT) is None
    assert await try_claim(store, EXPORT, type(first.batch)(first.batch + 1)) is None
    await end(store, first)
    assert await try_claim(store, EXPORT) is not None


@pytest.mark.behaviour("EXP-20")
async def test_recording_what_a_call_did_is_no_call(store: Store) -> None:
    run = await start(store, "hr-export")
    for ordinal in range(1, ordinal_of(RunKind.EXPORT, "export.record")):
        await pass_step(store, run, ordinal, EXPORT)
    await plan(store, await take(store, EXPORT), 3)
    hints = await store.due_hints(0, {EXPORT: 100}, 30.0)
    held = [await take(store, EXPORT), await take(store, EXPORT, hints[-1].batch)]
    assert (len(hints), [(one.role, one.system_key) for one in held]) == (3, [("record", "hr")] * 2)


async def test_an_expired_call_keeps_its_place_for_whoever_takes_it_over(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-export")
    await pass_step(store, run, 1, EXPORT)
    await plan(store, await take(store, EXPORT), 2)
    first = await take(store, EXPORT)
    await keeper.pass_time(LEASE + 1)
    assert (await take(store, EXPORT)).batch == first.batch


# --- processes


async def _beat(store: Store, worker: str) -> None:
    heart = await store.open_heart()
    await heart.beat(WorkerId(worker), [], LEASE)
    await heart.close()


async def _lost(store: Store) -> list[str]:
    return [one.worker for one in (await store.sweep(LEASE)).workers_lost]


@pytest.mark.behaviour("FLT-7")
async def test_a_process_that_falls_silent_is_lost_once_and_only_when_others_have_what_it_held(
    keeper: FleetKeeper, store: Store
) -> None:
    for worker in ("w1", "w2"):
        await store.register_worker(WorkerId(worker), "import", "1", "boot", "host", 1)
    await start(store, "hr-import")
    held = await take(store, worker="w1")
    await keeper.pass_time(LEASE * 2 + 1)
    await _beat(store, "w2")
    assert await _lost(store) == []
    await take(store, batch=held.batch, worker="w2")
    assert await _lost(store) == ["w1"]
    assert await _lost(store) == []


async def test_a_process_that_is_silent_for_less_than_two_leases_or_has_stopped_is_not_lost(
    keeper: FleetKeeper, store: Store
) -> None:
    for worker in ("w1", "w2"):
        await store.register_worker(WorkerId(worker), "sync", "1", "boot", "host", 1)
    await store.worker_state(WorkerId("w2"), "stopped")
    await keeper.pass_time(LEASE * 2 - 1)
    assert await _lost(store) == []
    await keeper.pass_time(2)
    assert await _lost(store) == ["w1"]


async def test_a_process_that_beats_again_can_be_lost_again(keeper: FleetKeeper, store: Store) -> None:
    await store.register_worker(WorkerId("w1"), "sync", "1", "boot", "host", 1)
    for _ in range(2):
        await keeper.pass_time(LEASE * 2 + 1)
        assert await _lost(store) == ["w1"]
        await _beat(store, "w1")
    assert await _lost(store) == []


# --- a batch's life


async def test_a_unit_that_ends_nothing_is_refused_and_undone(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    claimed = await take(store)
    with pytest.raises(RuntimeError, match="neither done nor advance"):
        async with store.unit(claimed) as unit:
            await unit.add_batches([NewBatch(n=1, payload={})])
    assert await keeper.states(run) == {"leased": 1}


async def test_a_plan_that_does_not_seal_is_refused(store: Store) -> None:
    await start(store, "hr-import")
    claimed = await take(store)
    with pytest.raises(RuntimeError, match="without a seal"):
        await end(store, claimed)


async def test_an_error_in_the_block_undoes_everything(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    claimed = await take(store)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  (the block is what is tested)
        async with store.unit(claimed) as unit:
            await unit.add_batches([NewBatch(n=1, payload={})])
            await unit.seal()
            await unit.done({})
            raise ZeroDivisionError
    assert await keeper.states(run) == {"leased": 1}


@pytest.mark.behaviour("FLT-5")
async def test_a_step_of_a_batch_moves_the_cursor_and_clears_both_counts(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    await plan(store, await take(store), 1)
    page = await take(store)
    assert await store.fail(page, "once", 0.0, counts=True) == "ready"
    page = await take(store, batch=page.batch)
    async with store.unit(page) as unit:
        await unit.advance({"page": 1}, {"read": 5})
    async with store.unit(page) as unit:
        await unit.advance({"page": 2}, {"read": 6})
    await keeper.pass_time(LEASE + 1)
    again = await take(store, batch=page.batch)
    assert (again.cursor, again.counters, again.failures, again.losses) == ({"page": 2}, {"read": 11}, 0, 1)
    await end(store, again, {"read": 1})
    assert await keeper.states(run) == {"done": 2}


async def test_a_handed_back_batch_is_ready_at_once_and_counts_nothing(store: Store) -> None:
    await start(store, "hr-import")
    claimed = await take(store)
    await store.hand_back(claimed)
    again = await take(store)
    assert (again.failures, again.losses, again.epoch) == (0, 0, 2)


@pytest.mark.behaviour("FLT-11")
async def test_a_failed_batch_waits_for_its_backoff(keeper: FleetKeeper, store: Store) -> None:
    await start(store, "hr-import")
    claimed = await take(store)
    assert await store.fail(claimed, "no answer", 30.0, counts=True) == "ready"
    assert await try_claim(store, IMPORT) is None
    await keeper.pass_time(31)
    assert (await take(store)).failures == 1


@pytest.mark.behaviour("FLT-10")
async def test_the_fifth_failure_asks_for_a_split_and_the_batch_stays_leased(store: Store) -> None:
    await start(store, "hr-import")
    await plan(store, await take(store), 1)
    fates = []
    for _ in range(5):
        claimed = await take(store)
        fates.append(await store.fail(claimed, "bad", 0.0, counts=True))
    assert fates == ["ready"] * 4 + ["split"]
    assert await try_claim(store, IMPORT) is None
    await store.split(claimed, [NewBatch(n=1, payload={}, total=5), NewBatch(n=2, payload={}, total=5)])
    children = [await take(store), await take(store)]
    assert [(child.failures, child.losses) for child in children] == [(0, 0), (0, 0)]


async def test_a_plan_that_fails_five_times_is_dead_and_fails_the_run(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    fates = [await store.fail(await take(store), "bad", 0.0, counts=True) for _ in range(5)]
    assert fates[-1] == "dead"
    await close(store, run, 1)
    assert run in (await store.sweep(LEASE)).runs_ended


@pytest.mark.behaviour("FLT-9")
async def test_batches_of_an_ordered_step_go_one_by_one(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-sync")
    for ordinal in range(1, ordinal_of(RunKind.DELTA_SYNC, "match.settle")):
        await pass_step(store, run, ordinal, SYNC)
    await plan(store, await take(store, SYNC), 3)
    assert await keeper.states(run) == {"done": 5, "ready": 1, "blocked": 2}
    await end(store, await take(store, SYNC))
    assert await keeper.states(run) == {"done": 6, "ready": 1, "blocked": 1}


@pytest.mark.behaviour("FLT-9", "FLT-10")
async def test_children_take_the_place_of_their_parent_in_an_ordered_step(store: Store) -> None:
    run = await start(store, "hr-sync")
    for ordinal in range(1, ordinal_of(RunKind.DELTA_SYNC, "match.settle")):
        await pass_step(store, run, ordinal, SYNC)
    await plan(store, await take(store, SYNC), 2)
    parent = await take(store, SYNC)
    await store.split(parent, [NewBatch(n=1, payload={"child": 1}), NewBatch(n=2, payload={"child": 2})])
    order = []
    for _ in range(3):
        claimed = await take(store, SYNC)
        assert await try_claim(store, SYNC) is None
        order.append(claimed.payload)
        await end(store, claimed)
    assert order == [{"child": 1}, {"child": 2}, {"n": 2}]


# --- barriers


@pytest.mark.behaviour("FLT-8")
async def test_a_step_closes_when_it_is_sealed_and_nothing_is_unfinished(store: Store) -> None:
    run = await start(store, "hr-import")
    assert not (await close(store, run, 1)).closed
    await plan(store, await take(store), 2)
    assert not (await close(store, run, 1)).closed
    await end(store, await take(store))
    assert not (await close(store, run, 1)).closed
    await end(store, await take(store))
    closed = await close(store, run, 1)
    assert (closed.closed, closed.next_step) == (True, "apply.propose")


@pytest.mark.behaviour("FLT-8")
async def test_closing_again_changes_nothing(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    await pass_step(store, run, 1, IMPORT)
    again = await close(store, run, 1)
    assert (again.closed, again.next_step) == (False, None)
    assert await keeper.states(run) == {"done": 1, "ready": 1}


async def test_the_closer_may_take_the_next_plan_batch_at_once(store: Store) -> None:
    run = await start(store, "hr-import")
    await plan(store, await take(store), 0)
    closed, taken = await store.close_phase(
        run, 1, ("a" * 16, "b" * 16, "c" * 16), (WorkerId("w1"), IMPORT, ClaimId("next"), LEASE)
    )
    assert closed.closed
    assert taken is not None
    assert (taken.ordinal, taken.role, taken.claim, taken.epoch) == (2, "plan", "next", 1)
    assert (taken.step_span_id, taken.span_id) == ("a" * 16, "c" * 16)
    await plan(store, taken, 0)


async def test_a_closer_of_another_kind_leaves_the_plan_batch(store: Store) -> None:
    run = await start(store, "hr-import")
    await plan(store, await take(store), 0)
    closed, taken = await store.close_phase(run, 1, (), (WorkerId("w1"), SYNC, ClaimId("next"), LEASE))
    assert closed.closed
    assert taken is None


@pytest.mark.behaviour("FLT-8")
async def test_a_dead_batch_in_a_gate_fails_the_run_and_nothing_later_opens(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    await plan(store, await take(store), 2)
    await store.dead(await take(store), "cannot be read")
    assert not (await close(store, run, 1)).closed
    assert await try_claim(store, IMPORT) is None
    assert (await store.sweep(LEASE)).runs_ended == (run,)
    assert await keeper.states(run) == {"done": 1, "dead": 1, "cancelled": 1}
    assert await store.cancel_run(run, "tester") is RunState.FAILED


@pytest.mark.behaviour("FLT-8")
async def test_a_dead_batch_in_a_tolerant_step_counts_as_arrived(store: Store) -> None:
    run = await start(store, "hr-import")
    for ordinal in (1, 2):
        await pass_step(store, run, ordinal, IMPORT)
    await plan(store, await take(store), 1)
    await store.dead(await take(store), "poisoned")
    assert (await close(store, run, 3)).next_step == "detect.count"


async def test_the_sweep_names_steps_that_nobody_closed(store: Store) -> None:
    run = await start(store, "hr-import")
    await plan(store, await take(store), 1)
    await close(store, run, 1)
    assert (await store.sweep(LEASE)).steps_due == ()
    await end(store, await take(store))
    assert (await store.sweep(LEASE)).steps_due == ((run, 1),)


@pytest.mark.behaviour("AUD-9")
async def test_a_run_without_a_fault_is_completed(store: Store) -> None:
    run = await start(store, "hr-import")
    await run_through(store, run, RunKind.FULL_IMPORT, IMPORT)
    assert await store.cancel_run(run, "tester") is RunState.COMPLETED


@pytest.mark.behaviour("AUD-8")
async def test_a_run_that_does_not_add_up_is_failed(store: Store) -> None:
    run = await start(store, "hr-import")
    await plan(store, await take(store), 1)
    await end(store, await take(store), {"read": 3, "added": 2})
    await close(store, run, 1)
    await run_through(store, run, RunKind.FULL_IMPORT, IMPORT, first=2)
    assert await store.cancel_run(run, "tester") is RunState.FAILED


# --- relay


async def test_a_batch_is_published_once_in_thirty_seconds_of_a_bus_epoch(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    limits = {IMPORT: 10}
    (hint,) = await store.due_hints(1, limits, 30.0)
    assert (hint.run, hint.system, hint.phase, hint.version) == (run, "hr", "1.import", 1)
    assert await store.due_hints(1, limits, 30.0) == []
    assert len(await store.due_hints(2, limits, 30.0)) == 1
    await keeper.pass_time(31)
    assert len(await store.due_hints(2, limits, 30.0)) == 1


async def test_a_batch_that_comes_back_is_published_at_once(store: Store) -> None:
    await start(store, "hr-import")
    await store.due_hints(1, {IMPORT: 10}, 30.0)
    await store.hand_back(await take(store))
    assert len(await store.due_hints(1, {IMPORT: 10}, 30.0)) == 1


async def test_a_leased_batch_is_published_only_when_its_lease_is_over(keeper: FleetKeeper, store: Store) -> None:
    await start(store, "hr-import")
    await take(store)
    assert await store.due_hints(1, {IMPORT: 10}, 30.0) == []
    await keeper.pass_time(LEASE + 1)
    assert len(await store.due_hints(1, {IMPORT: 10}, 30.0)) == 1


@pytest.mark.behaviour("FLT-20", "SCH-23")
async def test_hints_stop_at_the_window_and_systems_share_it(store: Store) -> None:
    await start(store, "hr-import")
    await plan(store, await take(store), 9)
    await store.start_execution("crm-import", "tester")
    await store.sweep(LEASE)
    hints = await store.due_hints(1, {IMPORT: 3}, 30.0)
    assert sorted(hint.system for hint in hints) == ["crm", "hr", "hr"]


async def test_calls_are_published_as_far_as_their_system_takes_them(store: Store) -> None:
    run = await start(store, "hr-export")
    await pass_step(store, run, 1, EXPORT)
    await plan(store, await take(store, EXPORT), 3)
    (hint,) = await store.due_hints(1, {EXPORT: 10}, 30.0)
    assert await store.due_hints(1, {EXPORT: 10}, 30.0) == []
    await end(store, await take(store, EXPORT, hint.batch))
    assert len(await store.due_hints(1, {EXPORT: 10}, 30.0)) == 1


async def test_the_bus_epoch_is_raised_once_for_all_who_saw_it(store: Store) -> None:
    seen = await store.bus_epoch()
    assert await store.raise_bus_epoch(seen) == seen + 1
    assert await store.raise_bus_epoch(seen) == seen + 1


@pytest.mark.behaviour("SCH-25")
async def test_one_leads_until_its_lease_ends_and_the_term_grows(keeper: FleetKeeper, store: Store) -> None:
    first, second = WorkerId("s1"), WorkerId("s2")
    term = await store.lead(first, 15.0)
    assert term is not None
    assert await store.lead(second, 15.0) is None
    assert await store.lead(first, 15.0) == term
    await keeper.pass_time(16)
    assert await store.lead(second, 15.0) == term + 1
    await store.resign(second)
    assert await store.lead(first, 15.0) == term + 2
