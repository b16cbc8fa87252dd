"""Random histories of a small fleet: hints lost and doubled, workers that die, freeze and wake, cancels in between.

The world below holds rows, hints and what each worker believes to hold, and lets Hypothesis do to it what a real fleet
suffers. After every single step the law is asked: no batch ends twice, no step closes twice, none opens before the one
before it has closed, epochs only grow, and nothing is left unfinished by a run that is over. With the fence taken away
the same histories break the law, so the check has teeth.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace
from tests.protocol.records import NOW, a_run

from anabranch.model.enums import BatchState, FailedReason, RunKind, RunState
from anabranch.model.errors import ClaimLost
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import BatchId, ClaimId, RunId, SystemId, WorkerId
from anabranch.protocol import barriers, batches, claims, runs
from anabranch.protocol.barriers import StepRecord, Verdict
from anabranch.protocol.batches import BatchRecord, Fate
from anabranch.protocol.steps import STEPS, step_at

KIND = RunKind.DELTA_SYNC
WORKERS = 3


class Held:
    """What one worker believes to hold, which may long be over."""

    def __init__(self, batch: BatchRecord, claim: ClaimId) -> None:
        self.batch, self.claim = batch.id, claim


class World(RuleBasedStateMachine):
    fenced = True

    def __init__(self) -> None:
        super().__init__()
        self.now: datetime = NOW
        self.run = a_run()
        self.rows: dict[BatchId, BatchRecord] = {}
        self.steps: dict[int, StepRecord] = {}
        self.hints: list[BatchId] = []
        self.held: list[Held] = []
        self.effects: dict[BatchId, int] = {}
        self.epochs: dict[BatchId, int] = {}
        self.drawn = 0
        self.first = 1

    # ------------------------------------------------------------------ what the keepers do

    def draw(self) -> int:
        self.drawn += 1
        return self.drawn

    def put(self, batch: BatchRecord) -> None:
        self.rows[batch.id] = batch
        if not self.run.state.is_active or not barriers.unblocked_by(batch, step_at(KIND, batch.ordinal)):
            return
        for other in list(self.rows.values()):
            if other.waits_for == batch.id and other.state is BatchState.BLOCKED:
                self.rows[other.id] = batches.arrive(other)

    def open(self, ordinal: int) -> None:
        step, plan = barriers.open_step(
            RunId(1),
            KIND,
            ordinal,
            now=self.now,
            step_span="s",
            plan_id=BatchId(self.draw()),
            plan_span="p",
            system=SystemId(1),
        )
        assert ordinal not in self.steps
        self.steps[ordinal] = step
        self.put(plan)

    def of_step(self, ordinal: int) -> list[BatchRecord]:
        return [batch for batch in self.rows.values() if batch.ordinal == ordinal]

    def children(self, n: int, *, ordered: bool, total: int) -> list[tuple[BatchId, NewBatch, str]]:
        return [
            (BatchId(self.draw()), NewBatch(n=i, payload={}, total=total, waits_for_previous=ordered), "c")
            for i in range(n)
        ]

    def close_phase(self, ordinal: int) -> None:
        if ordinal not in self.steps or self.run.state is not RunState.RUNNING:
            return
        definition = step_at(KIND, ordinal)
        rows = self.of_step(ordinal)
        step = barriers.seal(self.steps[ordinal], rows, self.now)
        self.steps[ordinal] = step
        match barriers.judge_step(step, definition, rows):
            case Verdict.FAIL:
                self.steps[ordinal] = barriers.end_early(step, self.now, failed=True)
                self.run = runs.fail(self.run, FailedReason.DEAD_BATCHES, "a dead batch", self.now)
            case Verdict.CLOSE:
                self.steps[ordinal] = barriers.close(step, rows, self.now)
                following = barriers.next_ordinal(KIND, ordinal)
                if following is None:
                    self.run = runs.end(self.run, RunState.COMPLETED, None, {}, self.now)
                else:
                    self.open(following)
            case Verdict.WAIT | Verdict.OVER:
                pass

    def write(self, held: Held) -> tuple[BatchRecord, ClaimId]:
        """The row as the transaction locks it; without the fence nobody compares the claim."""
        row = self.rows[held.batch]
        if self.fenced:
            return row, held.claim
        return replace(row, state=BatchState.LEASED, claim=held.claim), held.claim

    # ------------------------------------------------------------------ what happens to a fleet

    @initialize(ordinal=st.integers(1, len(STEPS[KIND])))
    def begin(self, ordinal: int) -> None:
        self.first = ordinal
        self.open(ordinal)

    @rule(epoch=st.integers(1, 2))
    def publish(self, epoch: int) -> None:
        for row in list(self.rows.values()):
            if claims.is_publishable(row, self.now, epoch):
                self.rows[row.id] = claims.publish(row, self.now, epoch)
                self.hints.append(row.id)

    @precondition(lambda self: self.hints)
    @rule(data=st.data())
    def drop_a_hint(self, data: st.DataObject) -> None:
        self.hints.pop(data.draw(st.integers(0, len(self.hints) - 1)))

    @precondition(lambda self: self.hints)
    @rule(data=st.data())
    def double_a_hint(self, data: st.DataObject) -> None:
        self.hints.append(data.draw(st.sampled_from(self.hints)))

    @precondition(lambda self: self.hints)
    @rule(data=st.data(), worker=st.integers(1, WORKERS))
    def deliver(self, data: st.DataObject, worker: int) -> None:
        self.take(self.hints.pop(data.draw(st.integers(0, len(self.hints) - 1))), worker)

    @rule(data=st.data(), worker=st.integers(1, WORKERS))
    def poll(self, data: st.DataObject, worker: int) -> None:
        due = sorted(row.id for row in self.rows.values() if claims.is_due(row, self.now))
        if due:
            self.take(data.draw(st.sampled_from(due)), worker)

    def take(self, batch: BatchId, worker: int) -> None:
        claim = ClaimId(f"claim-{self.draw()}")
        name = WorkerId(f"worker-{worker}")
        taken = claims.claim(self.rows[batch], self.run.state, claim=claim, worker=name, now=self.now)
        if isinstance(taken, BatchRecord):
            self.put(taken)
            self.held.append(Held(taken, claim))

    @rule(seconds=st.sampled_from([1, 3, 7, 31, 300]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.held))
        renewed = claims.renew(self.rows[held.batch], held.claim, self.now, until=runs.last_renewal(self.run))
        if renewed is not None:
            self.put(renewed)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), following=st.integers(0, 3), forgets=st.booleans())
    def commit(self, data: st.DataObject, following: int, forgets: bool) -> None:
        """The holder, or a zombie that wakes late, commits; one that does not forget will try again."""
        held = data.draw(st.sampled_from(self.held))
        row, claim = self.write(held)
        try:
            if row.is_plan:
                row = batches.seal(row, claim)
            ended = batches.done(row, claim, {"changed": 1}, self.now)
        except ClaimLost:
            self.held.remove(held)
            return
        if row.is_plan:
            ordered = step_at(KIND, row.ordinal).ordered
            new = self.children(following, ordered=ordered, total=4)
            for child in batches.follow(row, new, self.now, ordered=ordered):
                self.put(child)
        self.effects[row.id] = self.effects.get(row.id, 0) + 1
        self.put(ended)
        if forgets:
            self.held.remove(held)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), jitter=st.floats(-1, 1), before=st.integers(0, 5))
    def fail(self, data: st.DataObject, jitter: float, before: int) -> None:
        """A handled failure, of a batch that may have failed often before."""
        held = data.draw(st.sampled_from(self.held))
        row, claim = self.write(held)
        row = replace(row, failures=max(row.failures, before))
        try:
            delay = claims.backoff(row.failures + 1, jitter)
            failed, fate = batches.fail(row, claim, "broken", self.now, delay, counts=True)
        except ClaimLost:
            self.held.remove(held)
            return
        self.put(failed)
        if fate is Fate.SPLIT:
            self.split(held)
        elif fate is Fate.POISONED:
            self.put(batches.dead(failed, claim, "broken", self.now))

    def split(self, held: Held) -> None:
        row, claim = self.write(held)
        ordered = step_at(KIND, row.ordinal).ordered
        new = self.children(2, ordered=ordered, total=row.total // 2)
        parent, made = batches.split(row, claim, new, self.now, ordered=ordered)
        for other in list(self.rows.values()):
            if other.waits_for == row.id:
                self.rows[other.id] = replace(other, waits_for=made[-1].id)
        for child in made:
            self.put(child)
        self.put(parent)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.held))
        row, claim = self.write(held)
        try:
            self.put(batches.hand_back(row, claim))
        except ClaimLost:
            self.held.remove(held)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        self.held.remove(data.draw(st.sampled_from(self.held)))

    @rule(times=st.integers(1, 2))
    def close(self, times: int) -> None:
        for ordinal in list(self.steps) * times:
            self.close_phase(ordinal)

    @precondition(lambda self: self.run.state is RunState.RUNNING)
    @rule(sure=st.integers(0, 9))
    def cancel(self, sure: int) -> None:
        if sure == 0:
            self.run = runs.cancel(self.run, self.now)

    @precondition(lambda self: self.run.state is RunState.CANCELLING)
    @rule()
    def sweep(self) -> None:
        for row in list(self.rows.values()):
            self.rows[row.id] = runs.end_batch(row, self.now)
        if runs.may_end(self.run, self.rows.values()) and self.run.leads_to is not None:
            self.run = runs.end(self.run, self.run.leads_to, self.run.failed_reason, {}, self.now)

    # ------------------------------------------------------------------ the law

    @invariant()
    def each_batch_ends_once(self) -> None:
        assert all(count <= 1 for count in self.effects.values()), self.effects

    @invariant()
    def each_step_fires_once(self) -> None:
        assert all(step.fired <= 1 for step in self.steps.values())

    @invariant()
    def no_step_opens_before_the_one_before_has_closed(self) -> None:
        for ordinal in self.steps:
            if ordinal != self.first:
                assert self.steps[ordinal - 1].is_closed

    @invariant()
    def a_closed_step_has_nothing_unfinished(self) -> None:
        for ordinal, step in self.steps.items():
            if step.is_closed:
                assert not any(row.unfinished for row in self.of_step(ordinal))
                assert step.expected == len(self.of_step(ordinal))

    @invariant()
    def epochs_only_grow(self) -> None:
        for row in self.rows.values():
            assert row.epoch >= self.epochs.get(row.id, 0)
            self.epochs[row.id] = row.epoch

    @invariant()
    def failures_are_bounded(self) -> None:
        assert all(row.failures <= batches.FAILURES + 1 for row in self.rows.values())

    @invariant()
    def a_run_that_is_over_has_no_lease(self) -> None:
        if self.run.state.is_final:
            assert not any(row.unfinished for row in self.rows.values())

    @invariant()
    def whoever_waits_waits_for_somebody(self) -> None:
        if self.run.state is RunState.RUNNING:
            for row in self.rows.values():
                if row.state is BatchState.BLOCKED and row.waits_for is not None:
                    before = self.rows[row.waits_for]
                    assert before.unfinished or before.state is BatchState.DEAD


class Unfenced(World):
    fenced = False


@pytest.mark.behaviour("FLT-3", "FLT-4", "FLT-5", "FLT-8")
def test_no_history_breaks_the_law() -> None:
    run_state_machine_as_test(
        World,
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


@pytest.mark.behaviour("FLT-4")
def test_without_the_fence_some_history_breaks_it() -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Unfenced,
            settings=settings(
                max_examples=150,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
                derandomize=True,
                report_multiple_bugs=False,
                print_blob=False,
                phases=[Phase.generate],
            ),
        )
