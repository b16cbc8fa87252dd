"""A batch in the hands of whoever holds its claim.

The row is the truth: a message only hints at it. Everything its holder does to it (commit a page, end it, give it back,
split it, bury it) carries the claim that was drawn when it was taken, and a claim that is no longer the row's writes
nothing. Handled failures and lost leases are counted apart, because a batch that kills its workers never gets to report
a failure; a committed page or step clears both counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from anabranch.model.enums import BatchState, WorkerKind
from anabranch.model.errors import ClaimLost
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import BatchId, ClaimId, RunId, SystemId, WorkerId
from anabranch.protocol.transitions import BATCH, BatchEvent

MESSAGE_VERSION: Final = 1
FAILURES: Final = 5
"""Handled failures after which a batch is split, or its one object poisoned (FLT-10)."""
LOSSES: Final = 3
"""Lost leases in a row after which a batch is split."""
LOSSES_ALONE: Final = 5
"""Lost leases after which an object alone in its batch is poisoned."""
UNFINISHED: Final = frozenset({BatchState.BLOCKED, BatchState.READY, BatchState.LEASED})


class BatchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One batch row. `claim` is the fence, `epoch` counts claims, `producer` is the batch that inserted it (its own
    run's plan, for most; 0 for a plan)."""

    id: BatchId
    run: RunId
    ordinal: int
    producer: int
    n: int
    worker_kind: WorkerKind
    role: str
    state: BatchState
    span_id: str
    created_at: datetime
    system: SystemId | None = None
    payload: dict[str, Any] = {}
    total: int = 0
    waits_for: BatchId | None = None
    seals: bool = False
    """Of a plan that is done: with it the step's batches are complete."""
    version: int = MESSAGE_VERSION
    claim: ClaimId | None = None
    epoch: int = 0
    owner: WorkerId | None = None
    lease_until: datetime | None = None
    lease: float | None = None
    """The length in seconds of the lease it was last given."""
    failures: int = 0
    losses: int = 0
    not_before: datetime | None = None
    published_at: datetime | None = None
    published_epoch: int | None = None
    cursor: dict[str, Any] | None = None
    counters: dict[str, int] = {}
    error: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_plan(self) -> bool:
        """True for the batch that cuts the step's work and seals it."""
        return self.role == "plan"

    @property
    def calls(self) -> bool:
        """True for work of an export worker on a system: such batches count against the system's limit (EXP-20)."""
        return self.worker_kind is WorkerKind.EXPORT and self.role == "work" and self.system is not None

    @property
    def unfinished(self) -> bool:
        """True while a barrier has to wait for it."""
        return self.state in UNFINISHED


class Fate(StrEnum):
    """What the counts of a leased batch ask of its holder."""

    READY = "ready"
    """It is tried again."""
    SPLIT = "split"
    """Its holder splits it."""
    POISONED = "poisoned"
    """Its one object becomes the error item `poisoned_object` and the batch is committed."""
    DEAD = "dead"
    """Nothing more is tried."""


def fate(batch: BatchRecord) -> Fate:
    """What the counts of a batch demand (FLT-10, protocol 9)."""
    return judged(is_plan=batch.is_plan, total=batch.total, failures=batch.failures, losses=batch.losses)


def judged(*, is_plan: bool, total: int, failures: int, losses: int) -> Fate:
    """What the counts of a batch of `total` objects demand (FLT-10).

    A plan or a partition's read (no objects of its own to tell apart) is dead after the fifth; where splitting or
    poisoning itself fails or kills, the batch is dead too.
    """
    worst = max(failures, losses)
    if worst > FAILURES:
        return Fate.DEAD
    if is_plan or total == 0:
        return Fate.DEAD if worst >= FAILURES else Fate.READY
    if total == 1:
        return Fate.POISONED if failures >= FAILURES or losses >= LOSSES_ALONE else Fate.READY
    return Fate.SPLIT if failures >= FAILURES or losses >= LOSSES else Fate.READY


def check_claim(batch: BatchRecord | None, claim: ClaimId) -> BatchRecord:
    """The batch, leased under `claim`. Raises `ClaimLost` otherwise: nothing may be written about it any more (FLT-4).

    An expired lease that nobody has taken still holds: only another claim ends it.
    """
    if batch is None or batch.state is not BatchState.LEASED or batch.claim != claim:
        name = batch.id if batch is not None else "?"
        raise ClaimLost(f"batch {name} is no longer held under this claim; whoever took it goes on with it")
    return batch


def done(batch: BatchRecord, claim: ClaimId, counters: dict[str, int], now: datetime) -> BatchRecord:
    """The batch has ended well: `done`, its counters added to those of its earlier pages.

    Raises RuntimeError for a plan that has not sealed: its step would never close.
    """
    held = check_claim(batch, claim)
    if held.is_plan and not held.seals:
        raise RuntimeError(f"plan batch {held.id} ends without a seal, and its step would never close; seal it first")
    return replace(
        held,
        state=BATCH.after(held.state, BatchEvent.COMMITTED),
        counters=add_counters(held.counters, counters),
        failures=0,
        losses=0,
        lease_until=None,
        error=None,
        ended_at=now,
    )


def advance(batch: BatchRecord, claim: ClaimId, cursor: dict[str, Any], counters: dict[str, int]) -> BatchRecord:
    """A page or step of the batch is committed: cursor moved, both counts cleared, still leased (FLT-3)."""
    held = check_claim(batch, claim)
    return replace(
        held,
        state=BATCH.after(held.state, BatchEvent.ADVANCED),
        cursor=cursor,
        counters=add_counters(held.counters, counters),
        failures=0,
        losses=0,
        error=None,
    )


def seal(batch: BatchRecord, claim: ClaimId) -> BatchRecord:
    """The plan says that its step is complete; the flag commits with the plan and the barrier carries it over."""
    held = check_claim(batch, claim)
    if not held.is_plan:
        raise RuntimeError(f"batch {held.id} is no plan batch; only a plan seals its step")
    return replace(held, seals=True)


def hand_back(batch: BatchRecord, claim: ClaimId) -> BatchRecord:
    """The batch is ready at once and nothing is counted: a drain, an absent database, a deadlock (FLT-12, FLT-21)."""
    return _given_back(check_claim(batch, claim), BatchEvent.HANDED_BACK)


def fail(
    batch: BatchRecord, claim: ClaimId, error: str, now: datetime, delay: float, *, counts: bool
) -> tuple[BatchRecord, Fate]:
    """A handled failure: ready again after `delay` seconds, or what the counts then ask for.

    With fate SPLIT or POISONED the batch stays leased, with its new count, to its holder, who does it; with DEAD it is
    dead. With `counts` false (a connected system that is away) it only waits.
    """
    held = replace(check_claim(batch, claim), error=error)
    if counts:
        held = replace(held, failures=held.failures + 1)
        match fate(held):
            case Fate.DEAD:
                return dead(held, claim, error, now), Fate.DEAD
            case (Fate.SPLIT | Fate.POISONED) as led_to:
                return held, led_to
            case Fate.READY:
                pass
    given_back = _given_back(held, BatchEvent.FAILED)
    return replace(given_back, not_before=now + timedelta(seconds=delay)), Fate.READY


def dead(
    batch: BatchRecord, claim: ClaimId, error: str, now: datetime, counters: dict[str, int] | None = None
) -> BatchRecord:
    """Nothing more is tried; its objects are errored and stay due, as `counters` say."""
    held = check_claim(batch, claim)
    return replace(
        held,
        state=BATCH.after(held.state, BatchEvent.DIED),
        counters=add_counters(held.counters, counters or {}),
        error=error,
        lease_until=None,
        ended_at=now,
    )


def drive_again(batch: BatchRecord) -> BatchRecord:
    """A dead batch is ready with its counts at 0; its step must still be open."""
    return replace(
        _given_back(batch, BatchEvent.DRIVEN_AGAIN), failures=0, losses=0, not_before=None, error=None, ended_at=None
    )


def split(
    batch: BatchRecord,
    claim: ClaimId,
    children: Sequence[tuple[BatchId, NewBatch, str]],
    now: datetime,
    *,
    ordered: bool,
) -> tuple[BatchRecord, list[BatchRecord]]:
    """The parent is `skipped`; its children, with counts at 0, stand in its place. `children` carry new ids and spans.

    In an ordered step each child waits for the one before it, and who waited for the parent has to be led to the last
    child (`follow`). Raises ValueError without children: work would be lost.
    """
    held = check_claim(batch, claim)
    if not children:
        raise ValueError(f"batch {held.id} cannot be split into nothing")
    parent = replace(held, state=BATCH.after(held.state, BatchEvent.SPLIT), lease_until=None, ended_at=now)
    return parent, follow(held, children, now, ordered=ordered, role=held.role)


def follow(
    producer: BatchRecord,
    children: Sequence[tuple[BatchId, NewBatch, str]],
    now: datetime,
    *,
    ordered: bool = False,
    last: BatchId | None = None,
    role: str = "work",
) -> list[BatchRecord]:
    """The batches `producer` adds to its own step, whose `role` they have; one that waits for its predecessor is
    `blocked` behind it.

    `last` is the unfinished batch with the number before the first child's, where `producer` has added some already.
    """
    made: list[BatchRecord] = []
    for batch_id, new, span_id in children:
        before = (made[-1].id if made else last) if ordered or new.waits_for_previous else None
        event = BatchEvent.CREATED if before is None else BatchEvent.CREATED_WAITING
        made.append(
            BatchRecord(
                id=batch_id,
                run=producer.run,
                ordinal=producer.ordinal,
                producer=producer.id,
                n=new.n,
                worker_kind=producer.worker_kind,
                role=role,
                state=BATCH.after(None, event),
                span_id=span_id,
                created_at=now,
                system=producer.system,
                payload=new.payload,
                total=new.total,
                waits_for=before,
            )
        )
    return made


def arrive(batch: BatchRecord) -> BatchRecord:
    """What the batch waited for has arrived: it is ready."""
    return replace(batch, state=BATCH.after(batch.state, BatchEvent.ARRIVED), waits_for=None)


def add_counters(old: dict[str, int], new: dict[str, int]) -> dict[str, int]:
    """Counters added name by name."""
    summed = dict(old)
    for name, count in new.items():
        summed[name] = summed.get(name, 0) + count
    return summed


def _given_back(batch: BatchRecord, event: BatchEvent) -> BatchRecord:
    return replace(
        batch,
        state=BATCH.after(batch.state, event),
        claim=None,
        owner=None,
        lease_until=None,
        published_at=None,
        published_epoch=None,
    )
