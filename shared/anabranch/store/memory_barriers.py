"""Steps, guards and ends of runs in the memory keeper.

The same visits as in PostgreSQL, each without an interruption: look at the step's rows, carry the seal over, close or
fail, judge the guard, take the turn, open the next step with its plan. A batch whose commit is under way has not ended
as far as anybody else can see, and is waited for.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from anabranch.model.enums import (
    BatchState,
    CsoState,
    ExportState,
    FailedReason,
    GuardPoint,
    HoldState,
    RunKind,
    RunState,
    Severity,
    WorkerKind,
)
from anabranch.model.errors import Permanent
from anabranch.model.fleet import Claimed, Closed
from anabranch.model.identity import BatchId, ClaimId, RunId, TypeId, WorkerId
from anabranch.model.registry import Revision
from anabranch.protocol import barriers, runs
from anabranch.protocol.accounting import balance, final_state
from anabranch.protocol.barriers import StepRecord, Verdict
from anabranch.protocol.batches import BatchRecord, add_counters
from anabranch.protocol.guards import HELD_COUNTER, in_words, judge, limit_for
from anabranch.protocol.runs import RunRecord
from anabranch.protocol.steps import STEPS, step_at
from anabranch.protocol.transitions import EXPORT, ExportEvent
from anabranch.protocol.turns import WHOLE_FILE, needs_turn, turn_types
from anabranch.store.memory_batches import MemoryBatches
from anabranch.store.memory_configuration import Configurations
from anabranch.store.memory_packs import creates_by_type, hold_packs
from anabranch.store.memory_tables import ActionRow, HoldRow
from anabranch.store.memory_unit import end_attempt

Take = tuple[WorkerId, WorkerKind, ClaimId, float]


class MemoryBarriers(MemoryBatches, Configurations):
    """Closing steps, judging guards, ending runs."""

    # --- steps

    async def close_phase(
        self, run: RunId, ordinal: int, span_ids: Sequence[str], take: Take | None
    ) -> tuple[Closed, Claimed | None]:
        row, step = self.tables.runs.get(run), self.tables.steps.get((run, ordinal))
        if row is None or step is None or not row.state.is_active:
            return self._told(run, ordinal, closed=False, ended=row is not None and row.state.is_final), None
        closed = not step.is_closed
        if closed and not self._close_step(row, step):
            return self._told(run, ordinal, closed=False), None
        if row.state is not RunState.RUNNING or (run, ordinal + 1) in self.tables.steps:
            return self._told(run, ordinal, closed=closed), None
        if closed and self._trips(row, ordinal):
            return self._told(run, ordinal, closed=True, held=True), None
        following = barriers.next_ordinal(row.kind, ordinal)
        if following is None:
            self.finish_run(row)
            return self._told(run, ordinal, closed=closed, ended=True), None
        if row.leads_to is not None and not self.has_file_in_hand(row):
            self.tables.runs.put(run, runs.end_as_asked(row, self.clock()))
            return self._told(run, ordinal, closed=closed), None
        if not self._has_turn(row, following):
            return self._told(run, ordinal, closed=closed), None
        spans = [*span_ids, *[secrets.token_hex(8) for _ in range(3)]][:3]
        plan = self.open_step(row, following, spans[0], spans[1])
        taken = None
        if take is not None and take[1] is plan.worker_kind:
            taken = self._take(plan, take[0], take[2], spans[2], take[3])
        return self._told(run, ordinal, closed=closed, next_step=step_at(row.kind, following).name), taken

    def _told(
        self, run: RunId, ordinal: int, *, closed: bool, next_step: str | None = None, held: bool = False,
        ended: bool = False,
    ) -> Closed:  # fmt: skip
        row = self.tables.runs.get(run)
        return Closed(
            run=run,
            ordinal=ordinal,
            closed=closed,
            next_step=next_step,
            held=held,
            run_ended=ended,
            execution=row.execution if row is not None else None,
        )

    def _close_step(self, run: RunRecord, step: StepRecord) -> bool:
        """True when the step has closed just now; the seal is carried over whatever the run's state."""
        rows, now = self.batches_of(run.id, step.ordinal), self.clock()
        definition = step_at(run.kind, step.ordinal)
        sealed = barriers.seal(step, rows, now)
        self.tables.steps.put((run.id, step.ordinal), sealed)
        if run.state is not RunState.RUNNING:
            return False
        match barriers.judge_step(sealed, definition, rows):
            case Verdict.FAIL:
                failed = barriers.end_early(sealed, now, failed=True)
                self.tables.steps.put((run.id, step.ordinal), failed)
                dead = [row for row in rows if row.state is BatchState.DEAD]
                message = f"{len(dead)} dead in step {step.name}: {dead[0].error or 'unknown'}"
                self.tables.runs.put(run.id, runs.fail(run, FailedReason.DEAD_BATCHES, message, now))
                return False
            case Verdict.CLOSE:
                self.tables.steps.put((run.id, step.ordinal), barriers.close(sealed, rows, now))
                return True
            case Verdict.WAIT | Verdict.OVER:
                return False

    def open_step(self, run: RunRecord, ordinal: int, step_span: str, plan_span: str) -> BatchRecord:
        """The run's step is open with its one plan batch."""
        step, plan = barriers.open_step(
            run.id,
            run.kind,
            ordinal,
            now=self.clock(),
            step_span=step_span,
            plan_id=BatchId(self.sequences.next_row("batch")),
            plan_span=plan_span,
            system=run.system,
        )
        self.tables.steps.put((run.id, ordinal), step)
        self.tables.batches.put(plan.id, plan)
        return plan

    def batches_of(self, run: RunId, ordinal: int | None = None) -> list[BatchRecord]:
        """The batches of a run, or of one step of it, by id."""
        found = (row for row in self.tables.batches.values() if row.run == run and ordinal in (None, row.ordinal))
        return sorted(found, key=lambda row: row.id)

    # --- turns

    def _has_turn(self, run: RunRecord, ordinal: int) -> bool:
        """True when the step may open: it needs no turn, or the run has, or now takes, that of all its types."""
        if not needs_turn(run.kind, ordinal, whole_file=self.writes_file(run.id)):
            self._give_up_turn(run.id)
            return True
        revision = self.revision_of(run.config_version)
        types = turn_types(revision, run.kind, self._system_key(revision, run))
        holders = {self.tables.turns.get(one) for one in types}
        if holders <= {run.id}:
            return True
        if not self._is_awaited(run, types) and holders <= {None, run.id}:
            self._give_up_turn(run.id)
            for one in types:
                self.tables.turns.put(one, run.id)
            return True
        for one in types:
            self.tables.turn_waits.put((one, run.id), True)
        return False

    def writes_file(self, run: RunId) -> bool:
        """Whether the run writes its target as one file."""
        return any(key[:2] == (run, WHOLE_FILE) for key, _ in self.tables.proposal_packs.items())

    def has_file_in_hand(self, run: RunRecord) -> bool:
        """Whether the run may not end yet: what it has begun to write is not recorded."""
        steps = [step for (owner, _), step in self.tables.steps.items() if owner == run.id]
        return self.writes_file(run.id) and barriers.has_file_in_hand(run.kind, steps, self.batches_of(run.id))

    def _is_awaited(self, run: RunRecord, types: Sequence[TypeId]) -> bool:
        """True when a run that started earlier waits for one of these types."""
        others = {other for (one, other), _ in self.tables.turn_waits.items() if one in types and other != run.id}
        rows = (self.tables.runs[other] for other in others)
        return any(row.state is RunState.RUNNING and _started(row) < _started(run) for row in rows)

    def _give_up_turn(self, run: RunId) -> None:
        for one in [one for one, holder in self.tables.turns.items() if holder == run]:
            self.tables.turns.remove(one)
        for key in [key for key, _ in self.tables.turn_waits.items() if key[1] == run]:
            self.tables.turn_waits.remove(key)

    def _system_key(self, revision: Revision, run: RunRecord) -> str | None:
        return next((key for key, number in revision.registry.systems.items() if number == run.system), None)

    # --- guards

    def count_populations(self, run: RunRecord) -> None:
        """The populations of every guard point the run's kind reaches stand with the run (GRD-1)."""
        points = {step.guard for step in STEPS[run.kind] if step.guard is not None}
        csos = list(self.tables.csos.values())
        of_system = [cso for cso in csos if cso.system_id == run.system]
        counted: dict[GuardPoint, Iterable[TypeId]] = {
            GuardPoint.IMPORT_OBSOLETIONS: (cso.type_id for cso in of_system if cso.state is CsoState.NORMAL),
            GuardPoint.SYNC_DISCONNECTIONS: (cso.type_id for cso in of_system if cso.mvo_id is not None),
            GuardPoint.METAVERSE_DELETIONS: (mvo.type_id for mvo in self.tables.mvos.values()),
            GuardPoint.OUTBOUND_RELEASES: (cso.type_id for cso in csos if cso.mvo_id is not None),
            GuardPoint.EXPORT_WRITES: (cso.type_id for cso in of_system if cso.state is CsoState.NORMAL),
        }
        packed = {
            GuardPoint.OUTBOUND_RELEASES: creates_by_type(self.tables),
            GuardPoint.SYNC_DISCONNECTIONS: creates_by_type(self.tables, system=run.system),
        }
        for point in points:
            for type_id, population in (Counter(counted[point]) + packed.get(point, Counter())).items():
                self.tables.populations.put((run.id, point.value, type_id), population)

    def _trips(self, run: RunRecord, ordinal: int) -> bool:
        point = step_at(run.kind, ordinal).guard
        if point is None:
            return False
        findings = self._judge(run, point)
        if findings:
            self._hold(run, ordinal, point, findings)
        return bool(findings)

    def _judge(self, run: RunRecord, point: GuardPoint) -> list[dict[str, Any]]:
        counted: defaultdict[TypeId, Counter[str]] = defaultdict(Counter)
        for (of, at, _), op in self.tables.guard_ops.items():
            if (of, at) == (run.id, point.value) and op.verdict == "listed":
                counted[op.type_id][op.op] += 1
        if point is GuardPoint.EXPORT_WRITES:
            for type_id, creates in creates_by_type(self.tables, counted_in=run.id).items():
                counted[type_id]["create"] += creates
        revision = self.revision_of(run.config_version)
        findings = []
        for type_id, counts in sorted(counted.items()):
            system, key = self.type_names(type_id)
            population = self.tables.populations.get((run.id, point.value, type_id)) or 0
            finding = judge(limit_for(revision.configuration, point, system, key), counts, population, point)
            if finding is not None:
                findings.append({"type_id": type_id, "type": key, "system": system, **msgspec.to_builtins(finding)})
        return findings

    def _hold(self, run: RunRecord, ordinal: int, point: GuardPoint, findings: list[dict[str, Any]]) -> None:
        now, words = self.clock(), in_words(findings)
        opened = HoldRow(
            run=run.id,
            ordinal=ordinal,
            point=point.value,
            state=HoldState.OPEN,
            findings=findings,
            opened_at=now,
            expires_at=now + timedelta(hours=runs.HOLD_HOURS),
        )
        self.tables.holds.put((run.id, ordinal), opened)
        self.tables.runs.put(run.id, replace(runs.hold(run, now), message=f"held: {words}"))
        self._give_up_turn(run.id)
        self.record("anabranch", "hold", f"run {run.id}", words)

    async def release_hold(self, run: RunId, actor: str, reason: str = "") -> None:
        self.decide_hold(run, HoldState.RELEASED, actor, reason)

    async def reject_hold(self, run: RunId, actor: str, reason: str = "") -> None:
        self.decide_hold(run, HoldState.REJECTED, actor, reason)

    def decide_hold(self, run: RunId, verdict: HoldState, actor: str, reason: str) -> None:
        """The run goes on, with or without the listed operations of the tripped guard (GRD-5 to GRD-8)."""
        row, now = self.tables.runs.get(run), self.clock()
        held = [hold for hold in self.tables.holds.values() if hold.run == run and hold.state is HoldState.OPEN]
        if row is None or not held or row.state is not RunState.HELD:
            state = row.state.value if row is not None else "unknown"
            raise Permanent(f"run {run} is not held (it is {state}): there is nothing to decide")
        (hold,) = held
        if verdict is not HoldState.RELEASED:
            self._hold_back(hold)
        decided = replace(hold, state=verdict, decided_at=now, actor=actor, reason=reason)
        self.tables.holds.put((run, hold.ordinal), decided)
        self.tables.runs.put(run, replace(runs.decide_hold(row, now), message=None))
        verb = {HoldState.RELEASED: "release", HoldState.REJECTED: "reject"}.get(verdict, "expire")
        self.record(actor, verb, f"run {run}", reason)

    def _hold_back(self, hold: HoldRow) -> None:
        tripped = {(finding["type_id"], breach["op"]) for finding in hold.findings for breach in finding["breaches"]}
        count = 0
        for key, op in self.tables.guard_ops.items():
            concerned = key[:2] == (hold.run, hold.point) and (op.type_id, op.op) in tripped
            if concerned and op.verdict == "listed":
                self.tables.guard_ops.put(key, replace(op, verdict="held"))
                count += 1
        if hold.point == GuardPoint.EXPORT_WRITES.value:
            count += hold_packs(self.tables, hold.run, (type_id for type_id, op in tripped if op == "create"))
        step = self.tables.steps[hold.run, hold.ordinal]
        counters = add_counters(step.counters, {HELD_COUNTER[GuardPoint(hold.point)]: count})
        self.tables.steps.put((hold.run, hold.ordinal), replace(step, counters=counters))

    # --- the end of a run

    async def fail_run(self, claimed: Claimed, reason: FailedReason, message: str) -> None:
        await self.hand_back(claimed)
        self.break_off(claimed.run, reason, message)

    def break_off(self, run: RunId, reason: FailedReason, message: str) -> None:
        """An active run is ending and leads to `failed`; one that is ending or over stays."""
        row = self.tables.runs.get(run)
        if row is not None and row.state is not RunState.QUEUED:
            self.tables.runs.put(run, runs.fail(row, reason, message, self.clock()))

    def end_run(self, run: RunRecord) -> bool:
        """An ending run is as near to its end as live leases and commits under way let it; true when it got there."""
        now = self.clock()
        for row in self.batches_of(run.id):
            if self.locks.free(("batch", row.id)):
                ended = runs.end_batch(row, now)
                if row.state is BatchState.LEASED and ended.state is BatchState.CANCELLED:
                    end_attempt(self.tables, row, "lost", now)
                self.tables.batches.put(row.id, ended)
        if not runs.may_end(run, self.batches_of(run.id)):
            return False
        self.finish_run(run)
        return True

    def finish_run(self, run: RunRecord) -> None:
        """The run has its final state, the first that applies of AUD-9, and its totals; slot, turn and holds go."""
        now, rows = self.clock(), self.batches_of(run.id)
        steps = [step for (of, _), step in self.tables.steps.items() if of == run.id]
        totals: dict[str, int] = {}
        for counters in (*(row.counters for row in rows), *(step.counters for step in steps)):
            totals = add_counters(totals, counters)
        severities: Counter[Severity] = Counter()
        for error in self.tables.errors.values():
            if error.run == run.id:
                severities[Severity(error.item.severity)] += error.item.count
        refused = (HoldState.REJECTED, HoldState.EXPIRED)
        state, reason = final_state(
            run.kind,
            totals,
            severities,
            leads_to=run.leads_to,
            reason=run.failed_reason,
            dead_batches=sum(row.state is BatchState.DEAD for row in rows),
            hold_refused=any(hold.run == run.id and hold.state in refused for hold in self.tables.holds.values()),
        )
        message = run.message
        if reason is FailedReason.ACCOUNTING_MISMATCH:
            message = "; ".join(balance(run.kind, totals))
        elif reason is FailedReason.ALL_OBJECTS_ERRORED:
            message = "every object of the run is in error"
        totals = {**totals, "errors": severities[Severity.ERROR], "warnings": severities[Severity.WARNING]}
        self.tables.runs.put(run.id, replace(runs.end(run, state, reason, totals, now), message=message))
        self._end_with(run, steps)

    def _end_with(self, run: RunRecord, steps: Sequence[StepRecord]) -> None:
        """What goes with a run: its open steps, holds and turn, and what a lost worker left in its hands (EXP-27)."""
        now = self.clock()
        for step in steps:
            if step.is_live:
                self.tables.steps.put((run.id, step.ordinal), barriers.end_early(step, now, failed=False))
        for key, hold in self.tables.holds.items():
            if hold.run == run.id and hold.state is HoldState.OPEN:
                gone = replace(hold, state=HoldState.EXPIRED, decided_at=now, reason="the run has ended")
                self.tables.holds.put(key, gone)
        self._give_up_turn(run.id)
        if run.kind is not RunKind.EXPORT:
            return
        for export in self.tables.exports.values():
            if export.system_id == run.system and export.state is ExportState.EXPORTING:
                back = EXPORT.after(export.state, ExportEvent.WORKER_LOST)
                self.tables.exports.put(
                    export.id, replace(export, state=back or export.state, version=export.version + 1)
                )

    def record(self, actor: str, verb: str, concerned: str, reason: str = "") -> None:
        """The deed is recorded (AUD-12)."""
        row = ActionRow(self.clock(), actor, verb, concerned, reason)
        self.tables.actions.put(self.sequences.next_row("action"), row)


def _started(run: RunRecord) -> tuple[float, RunId]:
    return (run.started_at.timestamp() if run.started_at is not None else 0.0, run.id)
