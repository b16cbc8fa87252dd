"""How a batch is taken, how long it is held, and when it may be taken from its holder.

A claim is a compare-and-set on one row: a batch that is ready and due, or leased and expired, in a running run, of a
version the worker knows. The random claim id that the worker drew beforehand becomes the fence. A lease is PostgreSQL's
time; the holder's own clock, counted from before it asked, may only make it stop sooner. A lease further ahead than one
lease, or a publication in the future, can only come from a clock that jumped, and counts as expired.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from anabranch.model.enums import BatchState, RunState
from anabranch.model.identity import ClaimId, WorkerId
from anabranch.protocol.batches import MESSAGE_VERSION, BatchRecord
from anabranch.protocol.transitions import BATCH, BatchEvent

LEASE_SECONDS: Final = 6.0
REPUBLISH_AFTER: Final = 30.0
SILENT_LEASES: Final = 2
"""After so many leases without a beat, and with nothing in its hands, a process counts as lost."""
SPREAD: Final = 0.2
"""Jitter: a wait is spread by plus or minus this share."""
_MARGIN: Final = 1 / 12
"""The share of a lease that a holder leaves unused, so that it has stopped before the lease ends."""


class Refusal(StrEnum):
    """Why a claim was not given. The hint, if there was one, is acknowledged all the same, save for a version."""

    NOT_DUE = "not_due"
    HELD = "held"
    FINISHED = "finished"
    RUN_NOT_RUNNING = "run_not_running"
    UNKNOWN_VERSION = "unknown_version"
    SYSTEM_BUSY = "system_busy"


def expired(batch: BatchRecord, now: datetime) -> bool:
    """True when the lease of a leased batch is over, or lies further ahead than a lease can."""
    if batch.state is not BatchState.LEASED:
        return False
    until = batch.lease_until
    lease = LEASE_SECONDS if batch.lease is None else batch.lease
    return until is None or until <= now or until > now + timedelta(seconds=lease)


def is_due(batch: BatchRecord, now: datetime) -> bool:
    """True when anybody may claim it: ready and its wait over, or leased and expired."""
    if batch.state is BatchState.READY:
        return batch.not_before is None or batch.not_before <= now
    return expired(batch, now)


def is_publishable(batch: BatchRecord, now: datetime, bus_epoch: int, republish_after: float = REPUBLISH_AFTER) -> bool:
    """True when a hint about a due batch should go out: never sent, sent in an older bus epoch, or not taken since."""
    if not is_due(batch, now):
        return False
    at = batch.published_at
    if at is None or batch.published_epoch is None or batch.published_epoch < bus_epoch:
        return True
    return at > now or now - at >= timedelta(seconds=republish_after)


def publish(batch: BatchRecord, now: datetime, bus_epoch: int) -> BatchRecord:
    """The batch counts as published; committed before anything is sent, so that a hint is at worst lost."""
    return replace(batch, published_at=now, published_epoch=bus_epoch)


def claim(
    batch: BatchRecord,
    run_state: RunState,
    *,
    claim: ClaimId,
    worker: WorkerId,
    now: datetime,
    lease: float = LEASE_SECONDS,
    known_version: int = MESSAGE_VERSION,
    room: bool = True,
) -> BatchRecord | Refusal:
    """The batch leased under `claim`, epoch one higher, or why not.

    Taken from an expired lease it also counts a loss, found by whoever claims it (FLT-3). `room` says whether the
    connected system may take one more batch of this kind (EXP-20); a takeover keeps its place. Asking again with the
    claim that already holds it gives the batch as it is: a lost reply is no lost batch.
    """
    if batch.state is BatchState.LEASED and batch.claim == claim and batch.owner == worker:
        return batch
    refusal = _refusal(batch, run_state, now, known_version, room=room)
    if refusal is not None:
        return refusal
    taken_over = batch.state is BatchState.LEASED
    return replace(
        batch,
        state=BATCH.after(batch.state, BatchEvent.TAKEN_OVER if taken_over else BatchEvent.CLAIMED),
        claim=claim,
        epoch=batch.epoch + 1,
        owner=worker,
        lease_until=now + timedelta(seconds=lease),
        lease=lease,
        losses=batch.losses + taken_over,
        not_before=None,
        published_at=None,
        published_epoch=None,
        started_at=batch.started_at or now,
    )


def _refusal(
    batch: BatchRecord, run_state: RunState, now: datetime, known_version: int, *, room: bool
) -> Refusal | None:
    if run_state is not RunState.RUNNING:
        return Refusal.RUN_NOT_RUNNING
    if not batch.unfinished:
        return Refusal.FINISHED
    if batch.version > known_version:
        return Refusal.UNKNOWN_VERSION
    if not is_due(batch, now):
        return Refusal.HELD if batch.state is BatchState.LEASED else Refusal.NOT_DUE
    return None if room or batch.state is BatchState.LEASED else Refusal.SYSTEM_BUSY


def renew(
    batch: BatchRecord, claim: ClaimId, now: datetime, lease: float = LEASE_SECONDS, *, until: datetime | None = None
) -> BatchRecord | None:
    """The batch with its lease counted from `now`, or None when it is not held under `claim` any more.

    `until` is the last instant a lease may reach in a run that is ending. An expired lease that nobody has taken is
    renewed: the row lock decides, not the time.
    """
    if batch.state is not BatchState.LEASED or batch.claim != claim:
        return None
    wanted = now + timedelta(seconds=lease)
    if until is not None:
        if until <= now:
            return None
        wanted = min(wanted, until)
    return replace(batch, lease_until=wanted, lease=lease)


def trusted_until(asked_at: float, lease: float = LEASE_SECONDS) -> float:
    """Until when, on the worker's own clock, it may act on a lease it asked for at `asked_at` (both in seconds)."""
    return asked_at + lease * (1 - _MARGIN)


def backoff(failures: int, jitter: float = 0.0, *, first: float = 2.0, longest: float = 300.0) -> float:
    """Seconds to wait after the n-th handled failure of a batch (FLT-11): 2 s doubling to 5 minutes, spread by
    `jitter` in [-1, 1] times 20 %."""
    if not -1 <= jitter <= 1:
        raise ValueError(f"jitter must lie in -1 to 1, not {jitter}")
    doublings = min(max(failures, 1) - 1, 32)
    return min(longest, first * 2.0**doublings) * (1 + SPREAD * jitter)


def export_backoff(attempts: int, jitter: float = 0.0, retry_after: float = 0.0) -> float:
    """Seconds a pending export waits after its n-th failed attempt (EXP-33): 60 s doubling to an hour, spread by 20 %;
    the target's own `retry_after` prevails when longer."""
    return max(backoff(attempts, jitter, first=60.0, longest=3600.0), retry_after)
