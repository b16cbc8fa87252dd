"""Random histories of a small fleet: hints lost, doubled and wiped, workers that die, freeze and wake, two schedulers
that act on what they saw long ago, a person who pauses and cancels.

After every single step of a history the law is asked; at its end everything disturbing stops, and the run must come to
an end, by hints alone or by polls alone. Each rule of the protocol is also taken away once: then some history breaks
the law, so the check has teeth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

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
from tests.protocol.world import Held, World

from anabranch.model.enums import BatchState, RunKind, RunState
from anabranch.model.identity import BatchId, ClaimId
from anabranch.protocol import barriers, batches, claims, runs
from anabranch.protocol.barriers import StepRecord, Verdict
from anabranch.protocol.batches import BatchRecord, Fate
from anabranch.protocol.steps import STEPS
from anabranch.protocol.transitions import IllegalTransition

WORKERS = st.integers(1, 3)
SCHEDULERS = st.integers(1, 2)
SIZES = st.lists(st.integers(1, 4), max_size=3)
_ALL = [(kind, n, step.ordered) for kind, steps in STEPS.items() for n, step in enumerate(steps, start=1)]
PLACES = st.one_of(
    st.sampled_from([(kind, n) for kind, n, _ in _ALL]), st.sampled_from([(kind, n) for kind, n, one in _ALL if one])
)
"""Any step of any run; the few whose batches go one by one as often as all others."""


class History(RuleBasedStateMachine):
    """What may happen to a fleet, in any order."""

    world: World
    epochs: dict[BatchId, int]
    always: ClassVar[str] = ""
    """What the person of every history does, where it is not to be drawn."""
    told: ClassVar[Counter[str]] = Counter()
    """What has happened in all histories, before each came to rest."""

    def holder(self, data: st.DataObject) -> Held | None:
        """Somebody who believes to hold a batch: whoever takes what is due now, or somebody who took one long ago."""
        world = self.world
        due = sorted(row.id for row in world.rows.values() if claims.is_due(row, world.now))
        if due and (not world.held or data.draw(st.booleans(), "a new holder")):
            world.claim(data.draw(st.sampled_from(due)), data.draw(WORKERS))
            return world.held[-1] if world.held else None
        return data.draw(st.sampled_from(world.held)) if world.held else None

    def hints(self) -> list[BatchId]:
        """The hints under way; where there are none, what is due is told first."""
        if not self.world.bus.hints:
            self.world.bus.hints += self.world.mark()
        return self.world.bus.hints

    def tireless(self, data: st.DataObject) -> Held | None:
        """A holder whose batch has not failed so often that it must be divided."""
        held = self.holder(data)
        return held if held is not None and held.led_to is Fate.READY else None

    def worn(self) -> list[Held]:
        """Holders of batches that must be divided, as far as they know."""
        return [held for held in self.world.held if held.led_to is not Fate.READY]

    @initialize(
        place=PLACES,
        by_hints=st.booleans(),
        sizes=SIZES,
        person=st.sampled_from(["away", "away", "pauses", "cancels"]),
    )
    def begin(self, place: tuple[RunKind, int], by_hints: bool, sizes: list[int], person: str) -> None:
        """Some step of some run is open, and planned already where sizes are given."""
        self.person = self.always or person
        self.world = World(*place)
        self.by_hints = by_hints
        self.epochs = {}
        if sizes:
            (plan,) = self.world.rows
            self.world.claim(plan, 1)
            self.world.commit(self.world.held.pop(), sizes)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.told.update(self.world.told)
            self.world.come_to_rest(by_hints=self.by_hints)
            self.a_run_that_is_over_has_left_nothing()
            self.nothing_is_done_twice()
            self.a_closed_step_has_done_all_of_its_work()

    # ------------------------------------------------------------------ hints

    @rule()
    def publish(self) -> None:
        """A worker's relay, after a commit."""
        self.world.bus.hints += self.world.mark()

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        if hints := self.hints():
            hints.pop(data.draw(st.integers(0, len(hints) - 1)))
            self.world.told["drop"] += 1

    @rule(data=st.data())
    def duplicate(self, data: st.DataObject) -> None:
        if hints := self.hints():
            hints.append(data.draw(st.sampled_from(hints)))
            self.world.told["duplicate"] += 1

    @rule()
    def wipe(self) -> None:
        self.world.told["wipe"] += bool(self.hints())
        self.world.bus.wipe()

    @rule(data=st.data(), worker=WORKERS, answered=st.booleans())
    def deliver(self, data: st.DataObject, worker: int, answered: bool) -> None:
        if hints := self.hints():
            batch = hints.pop(data.draw(st.integers(0, len(hints) - 1)))
            self.world.claim(batch, worker, answered=answered)
            self.world.told["deliver"] += 1

    # ------------------------------------------------------------------ claims

    @rule(data=st.data(), worker=WORKERS)
    def claim(self, data: st.DataObject, worker: int) -> None:
        """A poll asks for anything due; a late one for anything at all."""
        rows = self.world.rows
        due = sorted(row.id for row in rows.values() if claims.is_due(row, self.world.now))
        self.world.claim(data.draw(st.sampled_from(due or sorted(rows))), worker)

    @precondition(lambda self: self.world.unanswered)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.world.unanswered))
        self.world.unanswered.remove(asked)
        self.world.ask(*asked, answered=True)

    @rule(data=st.data(), seconds=st.sampled_from([0, 2, 61]))
    def beat(self, data: st.DataObject, seconds: int) -> None:
        """A holder renews its lease, perhaps late, when nobody has taken it yet."""
        if held := self.holder(data):
            self.world.now += timedelta(seconds=seconds)
            self.world.beat(held)

    @rule(seconds=st.sampled_from([1, 3, 7, 31, 300]))
    def expire(self, seconds: int) -> None:
        live = {
            row.id for row in self.world.rows.values() if row.lease_until and not claims.expired(row, self.world.now)
        }
        self.world.now += timedelta(seconds=seconds)
        self.world.told["expire"] += sum(claims.expired(self.world.rows[one], self.world.now) for one in live)

    @rule(data=st.data(), before=st.sampled_from([0, 2, 4]))
    def lose(self, data: st.DataObject, before: int) -> None:
        """A lease runs out; its holder does not know, and may wake at any time."""
        if held := self.holder(data):
            self.world.lose(held, before)

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        if held := self.holder(data):
            self.world.held.remove(held)
            self.world.told["crash"] += 1

    # ------------------------------------------------------------------ what holders and zombies write

    @rule(data=st.data(), sizes=SIZES, closes=st.booleans())
    def commit(self, data: st.DataObject, sizes: list[int], closes: bool) -> None:
        """A holder ends its batch, or a zombie that wakes late tries to; who does not close has died first."""
        if held := self.holder(data):
            self.world.held.remove(held)
            self.world.end_well(held, sizes)
            if closes:
                self.world.close(self.world.rows[held.batch].ordinal)

    @rule(data=st.data(), sizes=SIZES)
    def commit_without_an_answer(self, data: st.DataObject, sizes: list[int]) -> None:
        """The holder does not learn that it has committed, and will try again."""
        if held := self.tireless(data):
            self.world.commit(held, sizes)

    @rule(data=st.data())
    def page(self, data: st.DataObject) -> None:
        """The first of the objects is done and committed alone."""
        held = self.tireless(data)
        if held and held.at <= int(self.world.rows[held.batch].payload.get("hi", 0)):
            self.world.advance(held)

    @rule(
        data=st.data(),
        jitter=st.sampled_from([-1.0, 0.0, 1.0]),
        before=st.sampled_from([0, 4, 4]),
        counts=st.sampled_from([True, True, False]),
    )
    def fail(self, data: st.DataObject, jitter: float, before: int, counts: bool) -> None:
        """A handled failure, of a batch that may have failed often before; an absent system counts none."""
        held = self.tireless(data)
        if held and not self.world.fail(held, jitter, before, counts=counts):
            self.world.held.remove(held)

    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        """A batch is divided that has failed too often; where there is none, one fails for the fifth time."""
        if not (worn := self.worn()) and (held := self.tireless(data)):
            self.world.fail(held, 0.0, 4, counts=True)
            worn = self.worn()
        if worn:
            self.world.divide(data.draw(st.sampled_from(worn)))

    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        if held := self.holder(data):
            self.world.hand_back(held)

    # ------------------------------------------------------------------ barriers, schedulers, people

    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        self.world.close(data.draw(st.sampled_from(sorted(self.world.steps))))

    @rule(scheduler=SCHEDULERS, acts=st.booleans())
    def look(self, scheduler: int, acts: bool) -> None:
        """A scheduler finds what is owed, and does it at once or when it comes to it."""
        self.world.look(scheduler)
        self.world.told["two schedulers"] += all(self.world.duties.values())
        while acts and self.world.duties[scheduler]:
            self.world.act(scheduler)

    @precondition(lambda self: any(self.world.duties.values()))
    @rule(data=st.data(), times=st.integers(1, 6))
    def act(self, data: st.DataObject, times: int) -> None:
        scheduler = data.draw(st.sampled_from([one for one, duties in self.world.duties.items() if duties]))
        for _ in range(min(times, len(self.world.duties[scheduler]))):
            self.world.act(scheduler)

    @precondition(lambda self: any(self.world.duties.values()))
    @rule(scheduler=SCHEDULERS)
    def lose_a_scheduler(self, scheduler: int) -> None:
        self.world.duties[scheduler].clear()

    @precondition(lambda self: self.person == "cancels" and self.world.run.state.is_active)
    @rule(seconds=st.integers(0, 9))
    def cancel(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)
        self.world.run = runs.cancel(self.world.run, self.world.now)
        self.world.told["cancel"] += 1

    @precondition(lambda self: self.person == "pauses" and self.world.run.state in (RunState.RUNNING, RunState.PAUSED))
    @rule(seconds=st.integers(0, 9))
    def pause_or_resume(self, seconds: int) -> None:
        self.world.now += timedelta(seconds=seconds)
        change = runs.pause if self.world.run.state is RunState.RUNNING else runs.resume
        self.world.run = change(self.world.run, "operator", self.world.now)

    @precondition(lambda self: self.world.dead_in_open_steps())
    @rule(data=st.data())
    def drive_again(self, data: st.DataObject) -> None:
        self.world.drive_again(data.draw(st.sampled_from(self.world.dead_in_open_steps())))

    # ------------------------------------------------------------------ the law

    @invariant()
    def nothing_is_done_twice(self) -> None:
        for number, ordinal in self.world.planned.items():
            done, errored = self.world.done[number], self.world.errored[number]
            assert done + errored <= 1, f"object {number} of step {ordinal} is done {done} times, errored {errored}"
        assert all(count <= 1 for count in self.world.ended.values()), self.world.ended

    @invariant()
    def each_step_fires_once_and_none_opens_before_the_one_before_it_has_closed(self) -> None:
        for ordinal, step in self.world.steps.items():
            assert step.fired <= 1
            assert ordinal == self.world.first or self.world.steps[ordinal - 1].is_closed

    @invariant()
    def a_closed_step_has_done_all_of_its_work(self) -> None:
        for ordinal, step in self.world.steps.items():
            if not step.is_closed:
                continue
            rows = self.world.of_step(ordinal)
            assert not any(row.unfinished for row in rows)
            assert step.expected == len(rows)
            assert not (self.world.step(ordinal).gate and any(row.state is BatchState.DEAD for row in rows))
            for number, place in self.world.planned.items():
                if place == ordinal:
                    assert self.world.done[number] + self.world.errored[number] == 1, f"object {number} is forgotten"

    @invariant()
    def an_ordered_step_goes_in_order(self) -> None:
        for ordinal, done in self.world.order.items():
            assert not self.world.step(ordinal).ordered or done == sorted(done)

    @invariant()
    def epochs_only_grow(self) -> None:
        for row in self.world.rows.values():
            assert row.epoch >= self.epochs.get(row.id, 0)
            self.epochs[row.id] = row.epoch

    @invariant()
    def failures_are_bounded(self) -> None:
        assert all(row.failures <= batches.FAILURES for row in self.world.rows.values())

    @invariant()
    def what_is_leased_has_an_owner_and_what_is_not_has_no_lease(self) -> None:
        last = self.world.last_leases()
        for row in self.world.rows.values():
            leased = row.state is BatchState.LEASED
            assert leased == (row.lease_until is not None)
            assert not leased or (row.owner is not None and row.claim is not None)
            assert not leased or last is None or row.lease_until is None or row.lease_until <= last

    @invariant()
    def a_run_that_is_over_has_left_nothing(self) -> None:
        if self.world.run.state.is_final:
            assert not any(row.unfinished for row in self.world.rows.values())
            assert not any(step.is_live for step in self.world.steps.values())

    @invariant()
    def whoever_waits_waits_for_somebody(self) -> None:
        for row in self.world.rows.values():
            if row.state is BatchState.BLOCKED and self.world.run.state.is_active:
                assert row.waits_for is not None
                before = self.world.rows[row.waits_for]
                assert before.unfinished or before.state in (BatchState.DEAD, BatchState.CANCELLED)


class Cancelled(History):
    """Histories in which a person cancels sooner or later."""

    always = "cancels"

    @precondition(lambda self: self.world.run.state is RunState.CANCELLING)
    @rule(data=st.data(), times=st.integers(1, 8))
    def beat_on(self, data: st.DataObject, times: int) -> None:
        """A holder renews its lease again and again, as if nobody had cancelled."""
        if held := self.holder(data):
            for _ in range(times):
                self.world.now += timedelta(seconds=5)
                self.world.beat(held)


def _play(examples: int, histories: type[History] = History, **more: Any) -> None:
    run_state_machine_as_test(
        histories,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            **more,
        ),
    )


HAPPENS = {
    *("publish", "deliver", "duplicate", "drop", "wipe"),
    *("claim", "beat", "expire", "lose", "crash"),
    *("commit", "zombie commit", "fail", "split"),
    *("seal", "close", "two schedulers", "cancel"),
}


@pytest.mark.behaviour("FLT-3", "FLT-4", "FLT-5", "FLT-8", "FLT-9", "FLT-10", "FLT-17", "FLT-24")
def test_no_history_breaks_the_law_and_every_one_comes_to_an_end() -> None:
    """And nothing that may happen to a fleet is missing from the histories."""
    History.told.clear()
    _play(200)
    assert {what for what, times in History.told.items() if times} == HAPPENS, History.told


# --- each rule taken away


def _unfenced(batch: BatchRecord | None, claim: ClaimId) -> BatchRecord:
    assert batch is not None
    return replace(batch, state=BatchState.LEASED, claim=claim)


def _counted(step: StepRecord, rows: Iterable[BatchRecord]) -> bool:
    """A barrier that counts what has arrived against what the plan announced."""
    return step.expected is not None and sum(row.state is BatchState.DONE for row in rows) >= step.expected


def _closes_over_the_dead(step: StepRecord, _definition: object, rows: Sequence[BatchRecord]) -> Verdict:
    return Verdict.CLOSE if step.is_live and barriers.may_close(step, rows) else Verdict.WAIT


_split, _follow, _claim, _end_batch = batches.split, batches.follow, claims.claim, runs.end_batch


def _loses_a_child(row: BatchRecord, claim: ClaimId, new: Any, now: datetime, *, ordered: bool) -> Any:
    return _split(row, claim, new[:1], now, ordered=ordered)


def _in_any_order(producer: BatchRecord, children: Any, now: datetime, **_more: Any) -> list[BatchRecord]:
    return _follow(producer, children, now)


def _keeps_the_claim(batch: BatchRecord, state: RunState, **more: Any) -> Any:
    taken = _claim(batch, state, **more)
    return replace(taken, claim=batch.claim or taken.claim) if isinstance(taken, BatchRecord) else taken


def _in_any_run(batch: BatchRecord, _state: RunState, **more: Any) -> Any:
    return _claim(batch, RunState.RUNNING, **more)


def _ends_live_leases(batch: BatchRecord, now: datetime) -> BatchRecord:
    return _end_batch(batch, now + timedelta(hours=1))


def _told_once(batch: BatchRecord, now: datetime, _epoch: int) -> bool:
    return claims.is_due(batch, now) and batch.published_at is None


def _told_in_any_epoch(batch: BatchRecord, now: datetime, _epoch: int) -> bool:
    at = batch.published_at
    return claims.is_due(batch, now) and (at is None or now - at >= timedelta(seconds=30))


_BROKEN: dict[str, tuple[object, str, Callable[..., object]]] = {
    "the fence": (batches, "check_claim", _unfenced),
    "the lease": (claims, "expired", lambda batch, _now: batch.state is BatchState.LEASED),
    "the takeover of an expired lease": (claims, "expired", lambda _batch, _now: False),
    "a claim's own id": (claims, "claim", _keeps_the_claim),
    "the barrier's look at rows": (barriers, "may_close", _counted),
    "the barrier's patience": (barriers, "may_close", lambda step, _rows: step.state == "sealed"),
    "the gate": (barriers, "judge_step", _closes_over_the_dead),
    "the second child of a split": (batches, "split", _loses_a_child),
    "the order of a step": (batches, "follow", _in_any_order),
    "the arrival of a predecessor": (barriers, "unblocked_by", lambda _batch, _step: False),
    "the repetition of a hint": (claims, "is_publishable", _told_once),
    "the epoch of the bus": (claims, "is_publishable", _told_in_any_epoch),
    "the limit of failures": (batches, "fate", lambda _batch: Fate.READY),
}
_BROKEN_ENDS: dict[str, tuple[object, str, Callable[..., object]]] = {
    "the running run a claim needs": (claims, "claim", _in_any_run),
    "the patience with live leases": (runs, "end_batch", _ends_live_leases),
    "the end of expired leases": (runs, "expired", lambda _batch, _now: False),
    "the wait for the last lease": (runs, "may_end", lambda _run, _rows: True),
    "the last renewal": (runs, "last_renewal", lambda _run: None),
}
_QUICK: dict[str, Any] = {"report_multiple_bugs": False, "print_blob": False, "phases": [Phase.generate]}


@pytest.mark.behaviour("FLT-3", "FLT-4", "FLT-8", "FLT-9", "FLT-10", "FLT-17")
@pytest.mark.parametrize("what", _BROKEN)
def test_some_history_breaks_the_law_without(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*_BROKEN[what])
    with pytest.raises((AssertionError, IllegalTransition)):
        _play(1000, derandomize=True, **_QUICK)


@pytest.mark.behaviour("FLT-24")
@pytest.mark.parametrize("what", _BROKEN_ENDS)
def test_some_history_of_a_cancelled_run_breaks_the_law_without(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*_BROKEN_ENDS[what])
    with pytest.raises((AssertionError, IllegalTransition)):
        _play(1000, Cancelled, derandomize=True, **_QUICK)
