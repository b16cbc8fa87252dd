"""When a step closes, waits or fails its run."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.records import NOW, a_batch, a_leased_batch

from anabranch.model.enums import BatchState, RunKind, StepState
from anabranch.model.identity import BatchId, RunId, SystemId
from anabranch.protocol import barriers
from anabranch.protocol.barriers import StepRecord, Verdict
from anabranch.protocol.batches import BatchRecord
from anabranch.protocol.steps import STEPS, Step, ordinal_of, step_at
from anabranch.protocol.transitions import IllegalTransition

GATE = step_at(RunKind.DELTA_SYNC, ordinal_of(RunKind.DELTA_SYNC, "assess"))
TOLERANT = step_at(RunKind.DELTA_SYNC, ordinal_of(RunKind.DELTA_SYNC, "flow"))
DONE, DEAD = BatchState.DONE, BatchState.DEAD


def a_step(state: StepState = StepState.OPEN) -> StepRecord:
    return StepRecord(run=RunId(1), ordinal=1, name="assess", state=state, span_id="s", opened_at=NOW)


def a_plan(**changed: Any) -> BatchRecord:
    return a_batch(**{"id": BatchId(6), "role": "plan", "producer": 0, "total": 0, **changed})


SEALING = a_plan(state=DONE, seals=True)


def test_a_step_opens_with_one_ready_plan_batch() -> None:
    step, plan = barriers.open_step(
        RunId(1), RunKind.DELTA_SYNC, 4, now=NOW, step_span="s", plan_id=BatchId(9), plan_span="p", system=SystemId(2)
    )
    assert (step.state, step.name, step.ordinal) == (StepState.OPEN, "match.propose", 4)
    assert (plan.role, plan.state, plan.worker_kind, plan.system) == ("plan", BatchState.READY, "sync", 2)


@pytest.mark.parametrize(
    ("batches", "state", "expected"),
    [
        ([a_plan()], StepState.OPEN, None),
        ([a_plan(state=DONE)], StepState.OPEN, None),
        ([a_leased_batch(role="plan", seals=True)], StepState.OPEN, None),
        ([SEALING], StepState.SEALED, 1),
        ([SEALING, a_batch(), a_leased_batch()], StepState.SEALED, 3),
    ],
    ids=["plan waits", "plan ended without a seal", "plan not committed", "nothing owed", "two batches"],
)
def test_a_step_is_sealed_by_the_commit_of_its_plan(
    batches: list[BatchRecord], state: StepState, expected: int | None
) -> None:
    sealed = barriers.seal(a_step(), batches, NOW)
    assert (sealed.state, sealed.expected) == (state, expected)


@pytest.mark.behaviour("FLT-8")
@pytest.mark.parametrize(
    ("definition", "state", "batches", "verdict"),
    [
        (TOLERANT, StepState.OPEN, [SEALING], Verdict.WAIT),
        (TOLERANT, StepState.SEALED, [SEALING], Verdict.CLOSE),
        (TOLERANT, StepState.SEALED, [SEALING, a_batch()], Verdict.WAIT),
        (TOLERANT, StepState.SEALED, [SEALING, a_leased_batch()], Verdict.WAIT),
        (TOLERANT, StepState.SEALED, [SEALING, a_batch(state=BatchState.BLOCKED)], Verdict.WAIT),
        (TOLERANT, StepState.SEALED, [SEALING, a_batch(state=DONE)], Verdict.CLOSE),
        (TOLERANT, StepState.SEALED, [SEALING, a_batch(state=BatchState.SKIPPED)], Verdict.CLOSE),
        (TOLERANT, StepState.SEALED, [SEALING, a_batch(state=DEAD)], Verdict.CLOSE),
        (TOLERANT, StepState.SEALED, [SEALING, a_batch(state=DEAD), a_batch()], Verdict.WAIT),
        (GATE, StepState.SEALED, [SEALING, a_batch(state=DEAD), a_batch()], Verdict.FAIL),
        (GATE, StepState.OPEN, [a_plan(state=DEAD)], Verdict.FAIL),
        (TOLERANT, StepState.OPEN, [a_plan(state=DEAD)], Verdict.FAIL),
        (TOLERANT, StepState.CLOSED, [SEALING], Verdict.OVER),
        (GATE, StepState.FAILED, [a_batch(state=DEAD)], Verdict.OVER),
    ],
)
def test_the_verdict_on_a_step(
    definition: Step, state: StepState, batches: list[BatchRecord], verdict: Verdict
) -> None:
    assert barriers.judge_step(a_step(state), definition, batches) is verdict


@pytest.mark.behaviour("FLT-8")
def test_a_step_closes_once() -> None:
    closed = barriers.close(a_step(StepState.SEALED), [SEALING], NOW)
    assert (closed.state, closed.fired, closed.expected) == (StepState.CLOSED, 1, 1)
    with pytest.raises(IllegalTransition):
        barriers.close(closed, [SEALING], NOW)


def test_a_dead_batch_of_a_tolerant_step_is_told_by_its_state() -> None:
    assert barriers.close(a_step(StepState.SEALED), [SEALING, a_batch(state=DEAD)], NOW).state == "closed_errors"


@pytest.mark.parametrize(
    ("state", "definition", "starts"),
    [(DONE, TOLERANT, True), (DEAD, TOLERANT, True), (DEAD, GATE, False), (BatchState.SKIPPED, TOLERANT, False)],
)
def test_who_waits_for_a_batch_starts_when_it_has_arrived(state: BatchState, definition: Step, starts: bool) -> None:
    assert barriers.unblocked_by(a_batch(state=state), definition) is starts


@pytest.mark.parametrize("kind", STEPS)
def test_the_steps_of_a_kind_follow_one_another_to_the_last(kind: RunKind) -> None:
    walked: list[int | None] = [1]
    while (last := walked[-1]) is not None:
        walked.append(barriers.next_ordinal(kind, last))
    assert walked == [*range(1, len(STEPS[kind]) + 1), None]


@pytest.mark.behaviour("FLT-8")
def test_the_gates_are_the_steps_the_law_names() -> None:
    gates = {step.name for steps in STEPS.values() for step in steps if step.gate}
    named = {s.name for steps in STEPS.values() for s in steps if s.name.endswith((".count", ".propose", "assess"))}
    assert gates == named | {"import", "unpack", "match.settle", "reserve.settle"}
