"""What every keeper promises of the ends of runs, of executions, guards, turns and revisions."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from tests.promises.fleet_keepers import (
    LEASE,
    FleetKeeper,
    a_configuration,
    apply,
    close,
    end,
    pass_step,
    plan,
    run_through,
    start,
    take,
    try_claim,
)

from anabranch.model.enums import FailedReason, GuardPoint, RunKind, RunState, WorkerKind
from anabranch.model.errors import ClaimLost, Permanent
from anabranch.model.fleet import NewBatch, Swept
from anabranch.model.identity import RunId
from anabranch.protocol.steps import STEPS
from anabranch.store.port import Store

IMPORT, SYNC = WorkerKind.IMPORT, WorkerKind.SYNC


# --- the end of a run


@pytest.mark.behaviour("FLT-24")
async def test_a_cancelled_run_waits_for_live_leases(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    await plan(store, await take(store), 3)
    working = await take(store)
    assert await store.cancel_run(run, "tester") is RunState.CANCELLING
    assert (await store.sweep(LEASE)).runs_ended == ()
    assert await keeper.states(run) == {"done": 1, "leased": 1, "cancelled": 2}
    await end(store, working)
    assert (await store.sweep(LEASE)).runs_ended == (run,)
    assert await store.cancel_run(run, "tester") is RunState.CANCELLED


@pytest.mark.behaviour("FLT-24", "TRAP-32")
async def test_an_expired_lease_of_a_cancelled_run_is_ended_and_its_holder_fenced(
    keeper: FleetKeeper, store: Store
) -> None:
    run = await start(store, "hr-import")
    working = await take(store)
    await store.cancel_run(run, "tester")
    await keeper.pass_time(LEASE + 1)
    assert (await store.sweep(LEASE)).runs_ended == (run,)
    with pytest.raises(ClaimLost):
        await plan(store, working, 1)


@pytest.mark.behaviour("AUD-10")
async def test_a_run_past_its_deadline_fails(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    await keeper.pass_time(24 * 3600 + 1)
    assert (await store.sweep(LEASE)).runs_ended == (run,)
    assert await store.cancel_run(run, "tester") is RunState.FAILED


async def test_a_run_that_cannot_finish_leads_to_failed(store: Store) -> None:
    run = await start(store, "hr-import")
    claimed = await take(store)
    await store.fail_run(claimed, FailedReason.INCOMPLETE_READ, "the file ends in the middle of a record")
    await store.sweep(LEASE)
    assert await store.cancel_run(run, "tester") is RunState.FAILED


# --- batches that wait for one another


@pytest.mark.behaviour("SYN-66")
async def test_in_an_ordered_step_those_batches_wait_that_say_so(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-sync")
    settle = [step.name for step in STEPS[RunKind.DELTA_SYNC]].index("match.settle") + 1
    for ordinal in range(1, settle):
        await pass_step(store, run, ordinal, SYNC)
    claimed = await take(store, SYNC)
    async with store.unit(claimed) as unit:
        await unit.add_batches([NewBatch(n=n, payload={}, total=1, waits_for_previous=n == 4) for n in (1, 2, 3, 4)])
        await unit.seal()
        await unit.done({})
    assert await keeper.states(run) == {"done": settle, "ready": 3, "blocked": 1}
    side_by_side = [await take(store, SYNC) for _ in range(3)]
    assert await try_claim(store, SYNC) is None
    for one in side_by_side:
        await end(store, one)
    await end(store, await take(store, SYNC))
    assert (await close(store, run, settle)).closed


# --- executions


@pytest.mark.behaviour("SCH-13")
async def test_groups_run_one_after_the_other_and_their_runs_in_parallel(store: Store) -> None:
    execution = await store.start_execution("imports", "tester")
    runs = (await store.sweep(LEASE)).runs_started
    assert len(runs) == 2
    await _finish_imports(store, runs[:1])
    assert (await store.sweep(LEASE)).runs_started == ()
    await _finish_imports(store, runs[1:])
    swept = await store.sweep(LEASE)
    (sync,) = swept.runs_started
    await run_through(store, sync, RunKind.DELTA_SYNC, SYNC)
    assert (await store.sweep(LEASE)).executions_ended == (execution,)


@pytest.mark.behaviour("SCH-13")
async def test_whoever_ended_a_run_lets_begin_what_waited_for_it(store: Store) -> None:
    execution = await store.start_execution("imports", "tester")
    runs = (await store.sweep(LEASE)).runs_started
    await _finish_imports(store, runs[:1])
    assert await store.move_on() == Swept()
    await _finish_imports(store, runs[1:])
    moved = await store.move_on()
    (sync,) = moved.runs_started
    assert moved == Swept(runs_started=(sync,))
    await run_through(store, sync, RunKind.DELTA_SYNC, SYNC)
    assert await store.move_on() == Swept(executions_ended=(execution,))


async def _finish_imports(store: Store, runs: tuple[RunId, ...]) -> None:
    """Batches of several runs lie about: only those of these runs are worked off."""
    for run in runs:
        for ordinal in range(1, len(STEPS[RunKind.FULL_IMPORT]) + 1):
            others = []
            while (claimed := await take(store)).run != run:
                others.append(claimed)
            await plan(store, claimed, 0)
            for other in others:
                await store.hand_back(other)
            await close(store, run, ordinal)


@pytest.mark.behaviour("SCH-14")
async def test_a_failed_group_ends_its_execution(store: Store) -> None:
    execution = await store.start_execution("imports", "tester")
    first, second = (await store.sweep(LEASE)).runs_started
    await store.cancel_run(first, "tester")
    await _finish_imports(store, (second,))
    swept = await store.sweep(LEASE)
    assert swept.executions_ended == (execution,)
    assert swept.runs_started == ()


@pytest.mark.behaviour("SCH-14")
async def test_an_execution_told_to_go_on_goes_on(store: Store) -> None:
    await store.start_execution("stubborn", "tester")
    (first,) = (await store.sweep(LEASE)).runs_started
    await store.cancel_run(first, "tester")
    await store.sweep(LEASE)
    assert len((await store.sweep(LEASE)).runs_started) <= 1
    assert (await take(store, SYNC)).kind is RunKind.DELTA_SYNC


@pytest.mark.behaviour("SCH-24")
async def test_starting_what_is_queued_returns_it(store: Store) -> None:
    first = await store.start_execution("hr-import", "tester")
    assert await store.start_execution("hr-import", "tester") == first
    await store.sweep(LEASE)
    assert await store.start_execution("hr-import", "tester") != first


@pytest.mark.behaviour("SCH-19", "SCH-20")
async def test_a_system_has_one_active_run_and_the_others_wait_in_order(store: Store) -> None:
    run = await start(store, "hr-import")
    await store.start_execution("hr-sync", "tester")
    assert (await store.sweep(LEASE)).runs_started == ()
    await store.cancel_run(run, "tester")
    assert len((await store.sweep(LEASE)).runs_started) == 1


async def test_an_unknown_name_is_refused_with_what_is_declared(store: Store) -> None:
    with pytest.raises(Permanent, match=r"'nope'.*crm-import"):
        await store.start_execution("nope", "tester")


@pytest.mark.behaviour("FLT-16")
async def test_a_pinned_now_is_the_time_of_its_runs(store: Store) -> None:
    pinned = datetime(2024, 2, 29, 12, tzinfo=UTC)
    await store.start_execution("hr-import", "tester", pinned)
    await store.sweep(LEASE)
    assert (await take(store)).now == pinned


@pytest.mark.behaviour("SCH-26")
async def test_cancelling_an_execution_cancels_all_of_its_runs(store: Store) -> None:
    execution = await store.start_execution("imports", "tester")
    runs = (await store.sweep(LEASE)).runs_started
    await store.cancel_execution(execution, "tester")
    swept = await store.sweep(LEASE)
    assert set(swept.runs_ended) == set(runs)
    assert swept.executions_ended == (execution,)


# --- guards


async def _a_held_import(keeper: FleetKeeper) -> RunId:
    store = keeper.store
    run = await start(store, "hr-import")
    for ordinal in (1, 2, 3):
        await pass_step(store, run, ordinal, IMPORT)
    await keeper.set_population(run, "import_obsoletions", "person", 100)
    await keeper.list_guard_ops(run, "import_obsoletions", "obsolete", "person", 21)
    assert (await pass_step(store, run, 4, IMPORT)).held
    return run


@pytest.mark.behaviour("GRD-2", "GRD-4")
async def test_a_tripped_guard_holds_the_run_before_the_guarded_step(keeper: FleetKeeper, store: Store) -> None:
    run = await _a_held_import(keeper)
    assert await try_claim(store, IMPORT) is None
    assert (await store.sweep(LEASE)).steps_due == ()
    await store.start_execution("hr-sync", "tester")
    assert (await store.sweep(LEASE)).runs_started == ()
    assert await store.cancel_run(run, "tester") is RunState.CANCELLING


@pytest.mark.behaviour("GRD-2")
async def test_a_count_within_bounds_opens_the_guarded_step(keeper: FleetKeeper, store: Store) -> None:
    run = await start(store, "hr-import")
    for ordinal in (1, 2, 3):
        await pass_step(store, run, ordinal, IMPORT)
    await keeper.set_population(run, "import_obsoletions", "person", 100)
    await keeper.list_guard_ops(run, "import_obsoletions", "obsolete", "person", 20)
    assert (await pass_step(store, run, 4, IMPORT)).next_step == "detect.write"


@pytest.mark.behaviour("GRD-5")
async def test_a_release_carries_out_what_was_listed(keeper: FleetKeeper, store: Store) -> None:
    run = await _a_held_import(keeper)
    await store.release_hold(run, "operator", "the plant was closed")
    assert (await store.sweep(LEASE)).steps_due == ((run, 4),)
    assert (await close(store, run, 4)).next_step == "detect.write"
    with pytest.raises(Permanent, match="not held"):
        await store.release_hold(run, "operator")


@pytest.mark.behaviour("GRD-6")
async def test_a_rejection_drops_the_operations_and_ends_with_warnings(keeper: FleetKeeper, store: Store) -> None:
    run = await _a_held_import(keeper)
    await store.reject_hold(run, "operator", "the source is broken")
    await close(store, run, 4)
    async with store.reader() as reader:
        assert await reader.guard_ops(run, GuardPoint.IMPORT_OBSOLETIONS, 0, 1000) == []
    await run_through(store, run, RunKind.FULL_IMPORT, IMPORT, first=5)
    assert await store.cancel_run(run, "tester") is RunState.COMPLETED_WITH_WARNINGS


@pytest.mark.behaviour("GRD-7")
async def test_an_undecided_hold_counts_as_rejected_after_three_days(keeper: FleetKeeper, store: Store) -> None:
    run = await _a_held_import(keeper)
    await keeper.pass_time(72 * 3600 + 1)
    assert (await store.sweep(LEASE)).steps_due == ((run, 4),)
    async with store.reader() as reader:
        assert await reader.guard_ops(run, GuardPoint.IMPORT_OBSOLETIONS, 0, 1000) == []


@pytest.mark.behaviour("SCH-15")
async def test_held_time_does_not_count_towards_the_deadline(keeper: FleetKeeper, store: Store) -> None:
    run = await _a_held_import(keeper)
    await keeper.pass_time(30 * 3600)
    assert (await store.sweep(LEASE)).runs_ended == ()
    await store.release_hold(run, "operator")
    assert (await store.sweep(LEASE)).runs_ended == ()


# --- turns


@pytest.mark.behaviour("FLT-15")
async def test_runs_of_two_systems_take_turns_in_order_of_start(store: Store) -> None:
    first = await start(store, "hr-sync")
    await plan(store, await take(store, SYNC), 0)
    second = await start(store, "crm-sync")
    await plan(store, await take(store, SYNC), 0)
    assert (await close(store, first, 1)).next_step == "unpack"
    assert (await close(store, second, 1)).next_step is None
    assert (await store.sweep(LEASE)).steps_due == ((second, 1),)
    assert (await close(store, second, 1)).next_step is None
    await run_through(store, first, RunKind.DELTA_SYNC, SYNC, first=2)
    assert (await close(store, second, 1)).next_step == "unpack"


@pytest.mark.behaviour("FLT-15")
async def test_a_hold_gives_the_turn_up_and_waits_again_after_its_release(keeper: FleetKeeper, store: Store) -> None:
    first = await start(store, "hr-sync")
    for ordinal in range(1, 8):
        await pass_step(store, first, ordinal, SYNC)
    second = await start(store, "crm-sync")
    await keeper.list_guard_ops(first, "metaverse_deletions", "delete", "person", 50)
    held = await take(store, SYNC)
    other = await take(store, SYNC)
    held, other = (held, other) if held.run == first else (other, held)
    await plan(store, held, 0)
    assert (await close(store, first, 8)).held
    await plan(store, other, 0)
    assert (await close(store, second, 1)).next_step == "unpack"
    await store.release_hold(first, "operator")
    assert (await close(store, first, 8)).next_step is None


# --- configuration


@pytest.mark.behaviour("MOD-28")
async def test_a_revision_comes_back_as_it_was_applied(store: Store) -> None:
    revision = await store.revision()
    assert revision.configuration == a_configuration()
    assert set(revision.registry.systems) == {"hr", "crm"}
    assert set(revision.inbound_stamps) == set(revision.registry.object_types.values())
    assert set(revision.outbound_stamps) == set(revision.registry.metaverse_types.values())


async def test_applying_the_same_again_makes_no_revision(store: Store) -> None:
    before = await store.revision()
    assert await apply(store, a_configuration()) == before.version


async def test_a_name_keeps_its_number_through_revisions(store: Store) -> None:
    before = await store.revision()
    smaller = msgspec.structs.replace(a_configuration(), executions={})
    version = await apply(store, smaller)
    after = await store.revision()
    assert version == after.version == before.version + 1
    assert after.registry == before.registry
    assert await store.revision(before.version) == before
