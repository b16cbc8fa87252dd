"""What may become of a run, a step, a batch and a pending export.

A row changes its state for a reason that has a name. The reasons are listed here once, as data: a keeper applies them,
the SQL is tested against them, and the table in the documentation is drawn from them, so none of the three can drift
away from the others. An event in a state that has no such row is a fault of ours and is refused loudly; it is never
made to fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Generic, TypeVar

from anabranch.model.enums import BatchState, ExportState, RunState, StepState

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)
T = TypeVar("T", bound="StrEnum | None")


class IllegalTransition(RuntimeError):
    """An event met a state that has no answer to it: our own fault, not the data's."""


class Machine(Generic[S, E, T]):
    """One table of (state before, event) to state after; None before is "not there yet", None after is "removed"."""

    def __init__(self, name: str, table: Mapping[tuple[S | None, E], T]) -> None:
        self.name = name
        self.table = dict(table)

    def after(self, state: S | None, event: E) -> T:
        """The state that `event` leads to. Raises `IllegalTransition` where the table has no row for it."""
        try:
            return self.table[state, event]
        except KeyError:
            known = ", ".join(sorted(e.value for s, e in self.table if s == state)) or "nothing"
            raise IllegalTransition(
                f"{self.name}: {event.value!r} cannot happen in state {state or '-'}; what can is {known}"
            ) from None

    def allows(self, state: S | None, event: E) -> bool:
        """True when the table has a row for it."""
        return (state, event) in self.table

    def as_markdown(self) -> str:
        """The table as the documentation shows it: one row a state and event, in the order they are declared."""
        lines = ["| from | event | to |", "|---|---|---|"]
        for (state, event), to in self.table.items():
            before = f"`{state.value}`" if state is not None else "-"
            after = f"`{to.value}`" if to is not None else "removed"
            lines.append(f"| {before} | {event.value} | {after} |")
        return "\n".join(lines) + "\n"


class RunEvent(StrEnum):
    REQUESTED = "requested"
    DISPATCHED = "dispatched"
    WITHDRAWN = "cancelled before its start"
    GUARD_TRIPPED = "guard trips"
    HOLD_DECIDED = "released, rejected or expired"
    HOLD_DECIDED_PAUSED = "released, rejected or expired while a pause reason is left"
    PAUSED = "a first pause reason"
    RESUMED = "its last pause reason goes"
    CANCELLED = "cancel"
    CANNOT_FINISH = "cannot finish"
    ENDED_CANCELLED = "last lease ended, led to cancelled"
    ENDED_FAILED = "last lease ended, led to failed"
    COMPLETED = "all steps closed"
    COMPLETED_WITH_WARNINGS = "all steps closed, with warnings"
    COMPLETED_WITH_ERRORS = "all steps closed, with errors"
    FAILED = "all steps closed, but the result cannot be a success"


_R, _RE = RunState, RunEvent
RUN: Final = Machine[RunState, RunEvent, RunState](
    "run",
    {
        (None, _RE.REQUESTED): _R.QUEUED,
        (_R.QUEUED, _RE.DISPATCHED): _R.RUNNING,
        (_R.QUEUED, _RE.WITHDRAWN): _R.CANCELLED,
        (_R.RUNNING, _RE.GUARD_TRIPPED): _R.HELD,
        (_R.HELD, _RE.HOLD_DECIDED): _R.RUNNING,
        (_R.HELD, _RE.HOLD_DECIDED_PAUSED): _R.PAUSED,
        (_R.RUNNING, _RE.PAUSED): _R.PAUSED,
        (_R.PAUSED, _RE.RESUMED): _R.RUNNING,
        (_R.RUNNING, _RE.CANCELLED): _R.CANCELLING,
        (_R.HELD, _RE.CANCELLED): _R.CANCELLING,
        (_R.PAUSED, _RE.CANCELLED): _R.CANCELLING,
        (_R.RUNNING, _RE.CANNOT_FINISH): _R.CANCELLING,
        (_R.HELD, _RE.CANNOT_FINISH): _R.CANCELLING,
        (_R.PAUSED, _RE.CANNOT_FINISH): _R.CANCELLING,
        (_R.CANCELLING, _RE.ENDED_CANCELLED): _R.CANCELLED,
        (_R.CANCELLING, _RE.ENDED_FAILED): _R.FAILED,
        (_R.RUNNING, _RE.COMPLETED): _R.COMPLETED,
        (_R.RUNNING, _RE.COMPLETED_WITH_WARNINGS): _R.COMPLETED_WITH_WARNINGS,
        (_R.RUNNING, _RE.COMPLETED_WITH_ERRORS): _R.COMPLETED_WITH_ERRORS,
        (_R.RUNNING, _RE.FAILED): _R.FAILED,
    },
)


class StepEvent(StrEnum):
    OPENED = "opened with its plan batch"
    SEALED = "the plan's commit: the number of its batches is known"
    CLOSED = "sealed and nothing unfinished"
    CLOSED_ERRORS = "sealed and nothing unfinished, a batch of a tolerant step is dead"
    FAILED = "a batch of a gate is dead, or the plan is"
    CANCELLED = "the run ends early"
    SKIPPED = "the run ends early before it opened"


_S, _SE = StepState, StepEvent
STEP: Final = Machine[StepState, StepEvent, StepState](
    "step",
    {
        (None, _SE.OPENED): _S.OPEN,
        (None, _SE.SKIPPED): _S.SKIPPED,
        (_S.OPEN, _SE.SEALED): _S.SEALED,
        (_S.SEALED, _SE.CLOSED): _S.CLOSED,
        (_S.SEALED, _SE.CLOSED_ERRORS): _S.CLOSED_ERRORS,
        (_S.OPEN, _SE.FAILED): _S.FAILED,
        (_S.SEALED, _SE.FAILED): _S.FAILED,
        (_S.OPEN, _SE.CANCELLED): _S.CANCELLED,
        (_S.SEALED, _SE.CANCELLED): _S.CANCELLED,
    },
)


class BatchEvent(StrEnum):
    CREATED = "created"
    CREATED_WAITING = "created behind an unfinished batch"
    ARRIVED = "predecessor done, or dead in a tolerant step"
    CLAIMED = "claimed when due (epoch + 1)"
    TAKEN_OVER = "claimed after its lease expired (epoch + 1, losses + 1)"
    ADVANCED = "a page or step committed under its claim"
    COMMITTED = "committed under its claim"
    FAILED = "handled failure (failures + 1, not before)"
    HANDED_BACK = "clean hand-back"
    SPLIT = "replaced by its children"
    DIED = "splitting or poisoning failed too"
    DRIVEN_AGAIN = "driven again while its step is open"
    WITHDRAWN = "the run is cancelled or failing"
    EXPIRED_AT_END = "lease expired while the run ends (epoch + 1)"


_B, _BE = BatchState, BatchEvent
BATCH: Final = Machine[BatchState, BatchEvent, BatchState](
    "batch",
    {
        (None, _BE.CREATED): _B.READY,
        (None, _BE.CREATED_WAITING): _B.BLOCKED,
        (_B.BLOCKED, _BE.ARRIVED): _B.READY,
        (_B.READY, _BE.CLAIMED): _B.LEASED,
        (_B.LEASED, _BE.TAKEN_OVER): _B.LEASED,
        (_B.LEASED, _BE.ADVANCED): _B.LEASED,
        (_B.LEASED, _BE.COMMITTED): _B.DONE,
        (_B.LEASED, _BE.FAILED): _B.READY,
        (_B.LEASED, _BE.HANDED_BACK): _B.READY,
        (_B.LEASED, _BE.SPLIT): _B.SKIPPED,
        (_B.READY, _BE.DIED): _B.DEAD,
        (_B.LEASED, _BE.DIED): _B.DEAD,
        (_B.DEAD, _BE.DRIVEN_AGAIN): _B.READY,
        (_B.BLOCKED, _BE.WITHDRAWN): _B.CANCELLED,
        (_B.READY, _BE.WITHDRAWN): _B.CANCELLED,
        (_B.LEASED, _BE.EXPIRED_AT_END): _B.CANCELLED,
    },
)


class ExportEvent(StrEnum):
    STAGED = "a row is staged"
    EMPTIED = "its last row is cancelled"
    CLAIMED = "an export batch claims it"
    ACCEPTED = "accepted by the target"
    SETTLED = "accepted by a self-confirming target, or a delete accepted"
    ALREADY_CURRENT = "nothing differs any more when its turn comes"
    FAILED_FOR_NOW = "transient failure"
    FAILED_FOR_GOOD = "attempts used up or permanent failure"
    WORKER_LOST = "lease lost, the target's writes may be repeated or read back"
    OUTCOME_UNKNOWN = "lease lost or outcome unknown, at most once"
    SEEN = "an import sees every row"
    NOT_SEEN = "an import does not see every row"
    EXHAUSTED = "confirmation attempts of its last row used up"
    RETRIED = "operator: retry"
    DISCARDED = "operator: discard"


_X, _XE = ExportState, ExportEvent
_RESTING = tuple(state for state in ExportState if state is not ExportState.EXPORTING)
EXPORT: Final = Machine[ExportState, ExportEvent, "ExportState | None"](
    "pending export",
    {
        (None, _XE.STAGED): _X.READY,
        (_X.READY, _XE.CLAIMED): _X.EXPORTING,
        (_X.UNCONFIRMED, _XE.CLAIMED): _X.EXPORTING,
        (_X.EXPORTING, _XE.ACCEPTED): _X.EXPORTED,
        (_X.EXPORTING, _XE.SETTLED): None,
        (_X.EXPORTING, _XE.ALREADY_CURRENT): None,
        (_X.EXPORTING, _XE.FAILED_FOR_NOW): _X.READY,
        (_X.EXPORTING, _XE.FAILED_FOR_GOOD): _X.DEAD_LETTER,
        (_X.EXPORTING, _XE.WORKER_LOST): _X.READY,
        (_X.EXPORTING, _XE.OUTCOME_UNKNOWN): _X.AMBIGUOUS,
        (_X.EXPORTED, _XE.SEEN): None,
        (_X.EXPORTED, _XE.NOT_SEEN): _X.UNCONFIRMED,
        (_X.UNCONFIRMED, _XE.SEEN): None,
        (_X.UNCONFIRMED, _XE.NOT_SEEN): _X.UNCONFIRMED,
        (_X.UNCONFIRMED, _XE.EXHAUSTED): _X.DEAD_LETTER,
        (_X.DEAD_LETTER, _XE.RETRIED): _X.READY,
        (_X.AMBIGUOUS, _XE.RETRIED): _X.READY,
        (_X.DEAD_LETTER, _XE.DISCARDED): None,
        (_X.AMBIGUOUS, _XE.DISCARDED): None,
        **{(state, _XE.STAGED): _X.READY for state in _RESTING},
        **{(state, _XE.EMPTIED): None for state in _RESTING},
    },
)


def as_markdown() -> str:
    """All four tables with a heading each, as the documentation shows them."""
    parts = [("Run", RUN.as_markdown()), ("Step", STEP.as_markdown())]
    parts += [("Batch", BATCH.as_markdown()), ("Pending export", EXPORT.as_markdown())]
    return "\n".join(f"### {title}\n\n{table}" for title, table in parts)
