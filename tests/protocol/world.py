"""A small fleet over the protocol's pure functions: rows, hints, what each worker believes to hold, two schedulers.

The rows stand for PostgreSQL: whatever changes them does so at once, as a transaction would. The hints stand for Redis
and may be lost, doubled or wiped. What a worker or a scheduler remembers may long be over. Work is numbered objects, so
that it can be told of each whether it was done, set aside as an error, or forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace
from tests.protocol.records import NOW, a_run

from anabranch.model.enums import BatchState, FailedReason, RunKind, RunState
from anabranch.model.errors import ClaimLost
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import BatchId, ClaimId, RunId, SystemId, WorkerId
from anabranch.protocol import barriers, batches, claims, runs
from anabranch.protocol.barriers import StepRecord, Verdict
from anabranch.protocol.batches import BatchRecord, Fate
from anabranch.protocol.steps import Step, step_at


class Held:
    """What one worker believes to hold: the batch, its claim, the first object not done, and what its counts ask."""

    def __init__(self, batch: BatchRecord, worker: WorkerId) -> None:
        assert batch.claim is not None
        self.batch, self.claim, self.worker = batch.id, batch.claim, worker
        self.at = first_open(batch)
        self.led_to = batches.fate(batch)


class Bus:
    """Redis: hints, and the key that tells whether it is still the same Redis."""

    def __init__(self) -> None:
        self.hints: list[BatchId] = []
        self.epoch: int | None = 1

    def wipe(self) -> None:
        self.hints.clear()
        self.epoch = None


def first_open(batch: BatchRecord) -> int:
    """The first of the batch's objects that no committed page has done."""
    return int((batch.cursor or {}).get("next", batch.payload.get("lo", 1)))


def objects(batch: BatchRecord) -> range:
    """The objects of the batch that are not done yet."""
    return range(first_open(batch), int(batch.payload.get("hi", 0)) + 1)


class World:
    """One run of the fleet. Every method is one transaction, one message, or one failure."""

    def __init__(self, kind: RunKind, first: int) -> None:
        self.kind, self.first = kind, first
        self.now: datetime = NOW
        self.run = a_run(kind=kind)
        self.rows: dict[BatchId, BatchRecord] = {}
        self.steps: dict[int, StepRecord] = {}
        self.bus = Bus()
        self.bus_epoch = 1
        self.held: list[Held] = []
        self.unanswered: list[tuple[BatchId, ClaimId, WorkerId]] = []
        self.duties: dict[int, list[Callable[[], None]]] = {1: [], 2: []}
        self.planned: dict[int, int] = {}
        """Object to the ordinal of the step whose plan counted it in."""
        self.done: Counter[int] = Counter()
        self.errored: Counter[int] = Counter()
        self.order: dict[int, list[int]] = {}
        self.ended: Counter[BatchId] = Counter()
        self.told: Counter[str] = Counter()
        """What has really happened, by the name of it: a rule that was drawn may have found nothing to do."""
        self._drawn = 0
        self._open(first)

    # ------------------------------------------------------------------ rows

    def draw(self) -> int:
        self._drawn += 1
        return self._drawn

    def step(self, ordinal: int) -> Step:
        return step_at(self.kind, ordinal)

    def of_step(self, ordinal: int) -> list[BatchRecord]:
        return [batch for batch in self.rows.values() if batch.ordinal == ordinal]

    def put(self, batch: BatchRecord) -> None:
        """The row is so, and who waited for it goes on where it may."""
        self.rows[batch.id] = batch
        if not barriers.unblocked_by(batch, self.step(batch.ordinal)):
            return
        for other in list(self.rows.values()):
            if other.waits_for == batch.id and other.state is BatchState.BLOCKED:
                self.rows[other.id] = batches.arrive(other)

    def _open(self, ordinal: int) -> None:
        step, plan = barriers.open_step(
            RunId(1),
            self.kind,
            ordinal,
            now=self.now,
            step_span="s",
            plan_id=BatchId(self.draw()),
            plan_span="p",
            system=SystemId(1),
        )
        assert ordinal not in self.steps, f"step {ordinal} opens twice"
        self.steps[ordinal] = step
        self.put(plan)

    def _children(self, ranges: Sequence[tuple[int, int]]) -> list[tuple[BatchId, NewBatch, str]]:
        return [
            (BatchId(self.draw()), NewBatch(n=n, payload={"lo": lo, "hi": hi}, total=hi - lo + 1), "c")
            for n, (lo, hi) in enumerate(ranges, start=1)
        ]

    # ------------------------------------------------------------------ claims

    def claim(self, batch: BatchId, worker: int, *, answered: bool = True) -> None:
        """A worker asks for the batch; without an answer it does not know whether it has it."""
        self.ask(batch, ClaimId(f"claim-{self.draw()}"), WorkerId(f"worker-{worker}"), answered=answered)

    def ask(self, batch: BatchId, claim: ClaimId, worker: WorkerId, *, answered: bool) -> None:
        before = self.rows[batch]
        taken = claims.claim(before, self.run.state, claim=claim, worker=worker, now=self.now)
        if not isinstance(taken, BatchRecord):
            return
        if taken is not before:
            self._given_rightly(before, taken)
            self.put(taken)
            self.told["claim"] += 1
        if answered:
            self.held.append(Held(taken, worker))
        else:
            self.unanswered.append((batch, claim, worker))

    def _given_rightly(self, before: BatchRecord, taken: BatchRecord) -> None:
        assert self.run.state is RunState.RUNNING, f"a batch is given out in a run that is {self.run.state}"
        assert before.unfinished
        assert before.not_before is None or before.not_before <= self.now, "a batch is given out before its time"
        if before.state is BatchState.LEASED:
            assert before.lease_until is not None
            assert before.lease_until <= self.now, "a live lease is taken away"
            assert taken.losses == before.losses + 1
        assert taken.claim != before.claim
        assert taken.epoch == before.epoch + 1

    def beat(self, held: Held) -> None:
        renewed = claims.renew(self.rows[held.batch], held.claim, self.now, until=runs.last_renewal(self.run))
        if renewed is not None:
            self.put(renewed)
            self.told["beat"] += 1

    def lose(self, held: Held, before: int) -> None:
        """The worker dies or freezes and its lease runs out; the batch may have killed others before."""
        row = self.rows[held.batch]
        if row.claim == held.claim and row.lease_until is not None:
            self.now = max(self.now, row.lease_until)
            self.rows[row.id] = replace(row, losses=max(row.losses, before))
            self.told["lose"] += 1

    # ------------------------------------------------------------------ what a holder writes

    def end_well(self, held: Held, sizes: Sequence[int]) -> None:
        """A holder whom nothing disturbs ends its batch, as its counts ask."""
        if held.led_to is Fate.READY:
            self.commit(held, sizes)
        else:
            self.divide(held)

    def commit(self, held: Held, sizes: Sequence[int]) -> bool:
        """The batch ends under its claim, a plan with following batches of these sizes; False when it is lost."""
        try:
            row = self.rows[held.batch]
            if row.is_plan:
                row = batches.seal(row, held.claim)
            ended = batches.done(row, held.claim, {"changed": 1}, self.now)
        except ClaimLost:
            self.told["zombie commit"] += 1
            return False
        self.told["commit"] += 1
        if row.is_plan:
            self.told["seal"] += 1
            ordered, start = self.step(row.ordinal).ordered, len(self.planned) + 1
            ranges = []
            for size in sizes:
                ranges.append((start, start + size - 1))
                start += size
            self.planned.update(dict.fromkeys(range(len(self.planned) + 1, start), row.ordinal))
            for child in batches.follow(row, self._children(ranges), self.now, ordered=ordered):
                self.put(child)
        self._did(row.ordinal, range(held.at, int(row.payload.get("hi", 0)) + 1))
        self.ended[row.id] += 1
        self.put(ended)
        return True

    def advance(self, held: Held) -> bool:
        """A page of one object is committed; False when the claim is lost."""
        row = self.rows[held.batch]
        try:
            moved = batches.advance(row, held.claim, {"next": held.at + 1}, {"changed": 1})
        except ClaimLost:
            return False
        self._did(row.ordinal, range(held.at, held.at + 1))
        self.put(moved)
        held.at += 1
        return True

    def _did(self, ordinal: int, numbers: range) -> None:
        self.done.update(numbers)
        self.order.setdefault(ordinal, []).extend(numbers)

    def fail(self, held: Held, jitter: float, before: int, *, counts: bool) -> bool:
        """A handled failure, of a batch that may have failed before; what its counts ask for is up to the holder."""
        row = self.rows[held.batch]
        row = replace(row, failures=max(row.failures, before))
        try:
            delay = claims.backoff(row.failures + 1, jitter)
            failed, fate = batches.fail(row, held.claim, "broken", self.now, delay, counts=counts)
        except ClaimLost:
            return False
        if fate is Fate.DEAD:
            self.errored.update(objects(row))
        self.put(failed)
        self.told["fail"] += 1
        held.led_to = fate
        return failed.state is BatchState.LEASED

    def hand_back(self, held: Held) -> None:
        try:
            self.put(batches.hand_back(self.rows[held.batch], held.claim))
        except ClaimLost:
            return

    def divide(self, held: Held) -> None:
        """What the counts of the batch ask of its holder is done: split, set its one object aside, or bury it."""
        row = self.rows[held.batch]
        left = range(held.at, int(row.payload.get("hi", 0)) + 1)
        try:
            if held.led_to is Fate.DEAD:
                self._bury(row, held, left)
            elif len(left) > 1:
                self._split(row, held, left)
            else:
                ended = batches.done(row, held.claim, {"errored": len(left)}, self.now)
                self.errored.update(left)
                self.ended[row.id] += 1
                self.put(ended)
        except ClaimLost:
            return

    def _bury(self, row: BatchRecord, held: Held, left: range) -> None:
        dead = batches.dead(row, held.claim, "broken", self.now)
        self.errored.update(left)
        self.put(dead)

    def _split(self, row: BatchRecord, held: Held, left: range) -> None:
        middle = (left.start + left.stop) // 2
        new = self._children([(left.start, middle - 1), (middle, left.stop - 1)])
        ordered = self.step(row.ordinal).ordered
        parent, made = batches.split(row, held.claim, new, self.now, ordered=ordered)
        for other in list(self.rows.values()):
            if other.waits_for == row.id:
                self.rows[other.id] = replace(other, waits_for=made[-1].id)
        for child in made:
            self.put(child)
        self.put(parent)
        self.told["split"] += 1

    def drive_again(self, batch: BatchId) -> None:
        """An operator has a dead batch of an open step done once more."""
        row = self.rows[batch]
        self.errored.subtract(objects(row))
        self.put(batches.drive_again(row))

    def dead_in_open_steps(self) -> list[BatchId]:
        """The batches that could be driven again."""
        return [
            row.id for row in self.rows.values() if row.state is BatchState.DEAD and self.steps[row.ordinal].is_live
        ]

    # ------------------------------------------------------------------ barrier

    def close(self, ordinal: int) -> None:
        """Anybody asks whether the step is over."""
        if not self.run.state.is_active:
            return
        rows = self.of_step(ordinal)
        step = self.steps[ordinal] = barriers.seal(self.steps[ordinal], rows, self.now)
        if self.run.state is not RunState.RUNNING:
            return
        match barriers.judge_step(step, self.step(ordinal), rows):
            case Verdict.FAIL:
                self.steps[ordinal] = barriers.end_early(step, self.now, failed=True)
                self.run = runs.fail(self.run, FailedReason.DEAD_BATCHES, "a dead batch", self.now)
            case Verdict.CLOSE:
                self.steps[ordinal] = barriers.close(step, rows, self.now)
                self.told["close"] += 1
                following = barriers.next_ordinal(self.kind, ordinal)
                if following is None:
                    self.run = runs.end(self.run, RunState.COMPLETED, None, {}, self.now)
                else:
                    self._open(following)
            case Verdict.WAIT | Verdict.OVER:
                pass

    # ------------------------------------------------------------------ schedulers

    def look(self, scheduler: int) -> None:
        """A scheduler finds what is owed, marks what is to be told, and will do it later, or die before."""
        if runs.is_overdue(self.run, self.now):
            self.run = runs.fail(self.run, FailedReason.DEADLINE, "its deadline has passed", self.now)
        if self.run.state is RunState.CANCELLING:
            self.duties[scheduler] += [self.withdraw, self.end]
        self.duties[scheduler] += [lambda ordinal=one: self.close(ordinal) for one in self.steps]  # type: ignore[misc]
        self.duties[scheduler] += [lambda batch=one: self.bus.hints.append(batch) for one in self.mark()]  # type: ignore[misc]

    def mark(self) -> list[BatchId]:
        """A relay marks what is due as told, and is about to tell it; or dies before."""
        if self.bus.epoch is None:
            self.bus_epoch += 1
            self.bus.epoch = self.bus_epoch
        marked = []
        for row in list(self.rows.values()) if self.run.state is RunState.RUNNING else ():
            if claims.is_publishable(row, self.now, self.bus_epoch):
                self.rows[row.id] = claims.publish(row, self.now, self.bus_epoch)
                self.told["publish"] += 1
                marked.append(row.id)
            elif claims.is_due(row, self.now):
                assert row.published_epoch == self.bus_epoch, "a hint lost with its Redis is not repeated"
        return marked

    def act(self, scheduler: int) -> None:
        """It does the oldest of them, whatever has become of it."""
        self.duties[scheduler].pop(0)()

    def withdraw(self) -> None:
        """Waiting batches of an ending run are withdrawn; a lease is left to its holder."""
        if self.run.state is RunState.CANCELLING:
            for row in list(self.rows.values()):
                if row.state is not BatchState.LEASED:
                    self.rows[row.id] = runs.end_batch(row, self.now)

    def end(self) -> None:
        """Expired leases of an ending run are ended; without any left the run is over."""
        if self.run.state is not RunState.CANCELLING:
            return
        for row in list(self.rows.values()):
            if row.state is BatchState.LEASED:
                after = self.rows[row.id] = runs.end_batch(row, self.now)
                assert row.lease_until is not None
                assert after is row or row.lease_until <= self.now, "a live lease is not waited for"
        if runs.may_end(self.run, self.rows.values()) and self.run.leads_to is not None:
            self.run = runs.end(self.run, self.run.leads_to, self.run.failed_reason, {}, self.now)
            for ordinal, step in self.steps.items():
                if step.is_live:
                    self.steps[ordinal] = barriers.end_early(step, self.now, failed=False)

    # ------------------------------------------------------------------ peace

    def come_to_rest(self, *, by_hints: bool) -> None:
        """Nothing disturbs any more: one scheduler, one worker, time that passes; until the run is over."""
        self.held.clear()
        self.unanswered.clear()
        for duties in self.duties.values():
            duties.clear()
        for reason in sorted(self.run.pause_reasons):
            self.run = runs.resume(self.run, reason, self.now)
        ending = self.run.state is not RunState.RUNNING or runs.is_overdue(self.run, self.now)
        self.run = replace(self.run, deadline=None if not ending else self.run.deadline)
        for _ in range(100):
            if self.run.state.is_final:
                break
            self.now += timedelta(seconds=31)
            self.look(1)
            while self.duties[1]:
                self.act(1)
            due = [row.id for row in self.rows.values() if claims.is_due(row, self.now)]
            for batch in self.bus.hints if by_hints else due:
                self.claim(batch, 1)
            self.bus.hints.clear()
            for held in self.held:
                self.end_well(held, [2, 1])
            self.held.clear()
        assert self.run.state.is_final, "the run never ends"
        assert ending or self._completed_or_dead(), "a run without a fault does not complete"

    def _completed_or_dead(self) -> bool:
        if self.run.state is RunState.COMPLETED:
            return True
        return any(row.state is BatchState.DEAD for row in self.rows.values())

    def last_leases(self) -> datetime | None:
        """The instant no lease of the ending run may pass."""
        since = self.run.ending_since
        return None if since is None else since + timedelta(seconds=60)
