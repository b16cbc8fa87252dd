"""The batches in a worker's hands, shared between its event loop and its heartbeat thread.

A hold begins with a claim and ends with a commit, a hand-back or a loss. The heartbeat renews what is here as long as
the work moves; work that shows no progress for five minutes is not renewed any more and falls to somebody else. A hold
that was lost stays here, marked, until its handler notices: a handler asks before each call to a connected system.
"""

from __future__ import annotations

import threading

from anabranch.model.errors import ClaimLost
from anabranch.model.fleet import Claimed
from anabranch.model.identity import ClaimId
from anabranch.runtime.clock import monotonic

STALL_SECONDS = 300.0


class Hold:
    """One claimed batch: how long its lease may be trusted, and when its work last moved."""

    def __init__(self, claimed: Claimed, trusted_until: float) -> None:
        self.claimed = claimed
        self.trusted_until = trusted_until
        self.moved_at = monotonic()
        self.lost = False
        self.sealed_with: int | None = None
        """Of a plan: the number of batches its step was sealed with, itself included."""

    def progress(self) -> None:
        """The work has moved; the heartbeat goes on renewing."""
        self.moved_at = monotonic()

    def check(self) -> None:
        """Raise ClaimLost when the lease can no longer be trusted; asked before every effect outside PostgreSQL."""
        if self.lost or monotonic() >= self.trusted_until:
            raise ClaimLost(f"batch {self.claimed.batch}: the lease is over; the work goes to whoever claims it next")


class Holding:
    """All holds of one process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._holds: dict[ClaimId, Hold] = {}
        self._lock = threading.Lock()

    def add(self, claimed: Claimed, trusted_until: float) -> Hold:
        """The batch is renewed by the heartbeat from now on."""
        hold = Hold(claimed, trusted_until)
        with self._lock:
            self._holds[claimed.claim] = hold
        return hold

    def remove(self, claim: ClaimId) -> None:
        """The batch is no longer ours to renew."""
        with self._lock:
            self._holds.pop(claim, None)

    def to_renew(self) -> list[ClaimId]:
        """Claims whose work has moved lately."""
        now = monotonic()
        with self._lock:
            return [
                claim for claim, hold in self._holds.items() if not hold.lost and now - hold.moved_at < STALL_SECONDS
            ]

    def renewed(self, claims: frozenset[ClaimId], trusted_until: float) -> None:
        """These leases were extended; `trusted_until` counts from before the request was sent."""
        with self._lock:
            for claim in claims:
                if hold := self._holds.get(claim):
                    hold.trusted_until = trusted_until

    def lose(self, claims: frozenset[ClaimId]) -> None:
        """These batches belong to somebody else now."""
        with self._lock:
            for claim in claims:
                if hold := self._holds.get(claim):
                    hold.lost = True

    def __len__(self) -> int:
        with self._lock:
            return len(self._holds)
