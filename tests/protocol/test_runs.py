"""How a run starts, is held, paused, cancelled and ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.protocol.records import MINE, NOW, a_batch, a_leased_batch, a_run, later

from anabranch.model.configuration import Configuration, Execution, RunProfile
from anabranch.model.enums import BatchState, ExecutionState, FailedReason, RunKind, RunState
from anabranch.model.errors import Permanent
from anabranch.protocol import runs

Q, R = RunState.QUEUED, RunState.RUNNING
OK, BAD, STOPPED = RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED
SOME = RunState.COMPLETED_WITH_ERRORS


@pytest.mark.behaviour("FLT-16")
def test_a_start_pins_now_and_the_change_sequence() -> None:
    started = runs.start(a_run(state=Q, now=None, start_seq=None), later(5), NOW, 42)
    assert (started.state, started.now, started.start_seq, started.deadline) == (R, NOW, 42, later(3605))


@pytest.mark.behaviour("AUD-10")
def test_held_time_does_not_count_against_the_deadline() -> None:
    held = runs.hold(a_run(), later(3000))
    assert not runs.is_overdue(held, later(9000))
    released = runs.decide_hold(held, later(9000))
    assert (released.state, released.deadline) == (R, later(3600 + 6000))


def test_a_released_run_with_a_pause_reason_left_is_paused() -> None:
    held = runs.pause(runs.hold(a_run(), NOW), "operator", later(1))
    assert held.state is RunState.HELD
    assert runs.decide_hold(held, later(2)).state is RunState.PAUSED


def test_a_run_goes_on_when_its_last_pause_reason_goes() -> None:
    paused = runs.pause(runs.pause(a_run(), "system", NOW), "operator", NOW)
    half = runs.resume(paused, "system", later(10))
    assert (half.state, half.pause_reasons) == (RunState.PAUSED, frozenset({"operator"}))
    assert runs.resume(half, "operator", later(20)).state is R


@pytest.mark.behaviour("AUD-10")
def test_only_an_operators_pause_stops_the_deadline() -> None:
    paused = runs.pause(a_run(), "quarantine", NOW)
    assert runs.is_overdue(paused, later(3600))
    back = runs.resume(runs.pause(a_run(), "operator", NOW), "operator", later(100))
    assert back.deadline == later(3700)


@pytest.mark.behaviour("AUD-10")
def test_a_run_past_its_deadline_is_overdue() -> None:
    assert (runs.is_overdue(a_run(), later(3599)), runs.is_overdue(a_run(), later(3600))) == (False, True)


def test_a_queued_run_is_cancelled_at_once() -> None:
    assert runs.cancel(a_run(state=Q), NOW).state is STOPPED


@pytest.mark.parametrize("state", [R, RunState.HELD, RunState.PAUSED])
def test_an_active_run_is_cancelled_by_way_of_cancelling(state: RunState) -> None:
    cancelled = runs.cancel(a_run(state=state), NOW)
    assert (cancelled.state, cancelled.leads_to) == (RunState.CANCELLING, STOPPED)


def test_the_first_cause_of_an_end_stands() -> None:
    failing = runs.fail(a_run(), FailedReason.DEAD_BATCHES, "a gate has a dead batch", NOW)
    assert runs.cancel(failing, later(1)) is failing
    assert runs.fail(runs.cancel(a_run(), NOW), FailedReason.DEADLINE, "late", later(1)).leads_to is STOPPED


def test_a_run_that_is_over_stays_as_it_is() -> None:
    over = a_run(state=OK)
    assert runs.cancel(over, NOW) is over
    assert runs.fail(over, FailedReason.INTERNAL, "x", NOW) is over


@pytest.mark.behaviour("FLT-24")
def test_an_ending_run_withdraws_what_waits_and_waits_for_live_leases() -> None:
    live = a_leased_batch()
    assert runs.end_batch(a_batch(), NOW).state is BatchState.CANCELLED
    assert runs.end_batch(a_batch(state=BatchState.BLOCKED), NOW).state is BatchState.CANCELLED
    assert runs.end_batch(live, NOW) is live
    done = a_batch(state=BatchState.DONE)
    assert runs.end_batch(done, NOW) is done


@pytest.mark.behaviour("FLT-24")
def test_an_expired_lease_of_an_ending_run_is_fenced_off() -> None:
    ended = runs.end_batch(a_leased_batch(), later(6))
    assert (ended.state, ended.claim, ended.epoch) == (BatchState.CANCELLED, None, 2)


@pytest.mark.behaviour("FLT-24")
def test_a_run_ends_only_when_no_lease_of_it_is_left() -> None:
    ending = runs.cancel(a_run(), NOW)
    assert not runs.may_end(ending, [a_leased_batch(claim=MINE)])
    assert runs.may_end(ending, [a_batch(state=BatchState.CANCELLED)])
    assert not runs.may_end(a_run(), [])


def test_leases_of_an_ending_run_reach_at_most_a_minute_further() -> None:
    assert runs.last_renewal(runs.cancel(a_run(), NOW)) == later(60)
    assert runs.last_renewal(a_run()) is None


def test_a_running_run_cannot_end_as_cancelled() -> None:
    with pytest.raises(ValueError, match="running and cannot end as cancelled"):
        runs.end(a_run(), STOPPED, None, {}, NOW)


def test_the_end_keeps_totals_and_reason() -> None:
    ended = runs.end(a_run(), BAD, FailedReason.ACCOUNTING_MISMATCH, {"selected": 3}, later(9))
    assert (ended.failed_reason, ended.totals, ended.ended_at) == ("accounting_mismatch", {"selected": 3}, later(9))


@pytest.mark.behaviour("SCH-13", "SCH-14")
@pytest.mark.parametrize(
    ("states", "go_on", "group", "execution"),
    [
        ([[Q, Q], [Q]], False, 0, ExecutionState.QUEUED),
        ([[R, Q], [Q]], False, 0, ExecutionState.RUNNING),
        ([[R, OK], [Q]], False, None, ExecutionState.RUNNING),
        ([[OK, SOME], [Q]], False, 1, ExecutionState.RUNNING),
        ([[BAD, R], [Q]], False, None, ExecutionState.RUNNING),
        ([[BAD, OK], [Q]], False, None, ExecutionState.FAILED),
        ([[BAD, OK], [Q]], True, 1, ExecutionState.RUNNING),
        ([[STOPPED], [Q]], False, None, ExecutionState.CANCELLED),
        ([[BAD], [OK]], True, None, ExecutionState.COMPLETED_WITH_ERRORS),
        ([[SOME], [OK]], False, None, ExecutionState.COMPLETED_WITH_ERRORS),
        ([[OK], [RunState.COMPLETED_WITH_WARNINGS]], False, None, ExecutionState.COMPLETED),
    ],
)
def test_groups_follow_one_another(
    states: list[list[RunState]], go_on: bool, group: int | None, execution: ExecutionState
) -> None:
    assert runs.next_group(states, continue_on_failure=go_on) == group
    assert runs.execution_state(states, continue_on_failure=go_on) is execution


def test_the_deadline_is_counted_from_the_start() -> None:
    assert runs.start(a_run(state=Q, deadline_after=timedelta(minutes=1)), NOW, NOW, 0).deadline == later(60)


def test_a_run_profile_alone_is_an_execution_of_one() -> None:
    profile = RunProfile(key="hr-full", kind=RunKind.FULL_IMPORT, system="hr")
    cycle = Execution(key="cycle", groups=(("hr-full",),))
    configuration = Configuration(run_profiles={"hr-full": profile}, executions={"cycle": cycle})
    assert runs.declared_execution(configuration, "hr-full").groups == (("hr-full",),)
    assert runs.declared_execution(configuration, "cycle") is cycle
    with pytest.raises(Permanent, match=r"no execution or run profile 'x'; declared are: cycle, hr-full"):
        runs.declared_execution(configuration, "x")
