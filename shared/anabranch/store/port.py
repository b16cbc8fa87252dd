"""What the fleet asks of persistence.

Three faces of one keeper. `Reader` loads pictures of committed rows, in or out of a transaction. `Unit` is the one
transaction of a batch: its first statement is the fence, its last ends the batch, and what lies between happens
completely or not at all. `Fleet` moves executions, runs, steps and batches. The PostgreSQL keeper and the memory keeper
make the same promises, and one suite holds both to them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

import msgspec

from anabranch.model.changes import Changes
from anabranch.model.enums import GuardPoint, WorkerKind
from anabranch.model.fleet import Beat, Claimed, Closed, DueHint, NewBatch
from anabranch.model.identity import (
    BatchId,
    ClaimId,
    CsoId,
    ExecutionId,
    ExportId,
    MvoId,
    RunId,
    SystemId,
    TypeId,
    WorkerId,
)
from anabranch.model.objects import (
    Cso,
    CsoRef,
    GuardOp,
    KeyHit,
    Mvo,
    MvoRef,
    PendingExport,
    Proposal,
    Reservation,
    StagedRow,
)
from anabranch.model.registry import Registry, Revision


__all__ = ["Due", "Fleet", "IdRange", "Moved", "Reader", "ReferenceTargets", "Registry", "Revision", "Unit"]


class Moved(msgspec.Struct, frozen=True):
    """Rows that are no longer as they were read; empty when the decision may be written."""

    csos: frozenset[CsoId] = frozenset()
    mvos: frozenset[MvoId] = frozenset()
    exports: frozenset[ExportId] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.csos or self.mvos or self.exports)


class IdRange(msgspec.Struct, frozen=True):
    """A keyset range of ids, both ends included, and how many objects of the set lie in it."""

    lo: int
    hi: int
    total: int


class Reader(Protocol):
    """Loads. Every verb takes many keys; what does not exist is simply not among the results."""

    # --- import
    async def fingerprints(self, type_id: TypeId, partition: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
        """Content fingerprints of `normal` CSOs of that type and partition, by anchor hash, where one is stored."""

    async def change_seq_now(self) -> int:
        """The number every later change will exceed."""

    async def import_rows(self, run: RunId, lo: int, hi: int) -> list[StagedRow]:
        """Staged rows by id range, in id order."""

    async def import_row_ranges(self, run: RunId, size: int) -> list[IdRange]:
        """All staged rows of the run cut into ranges of at most `size` rows."""

    async def import_seen(self, run: RunId) -> AsyncIterator[tuple[str, TypeId, bytes]]:
        """(partition, type, packed sorted hashes) page by page. (An async generator function in keepers.)"""

    async def verdicts(self, run: RunId, hashes: Sequence[bytes]) -> dict[tuple[TypeId, bytes], tuple[str, str]]:
        """(kind, message) of rejected identities among `hashes`."""

    async def secondary_conflicts(self, run: RunId, type_ids: Sequence[TypeId]) -> list[tuple[TypeId, bytes]]:
        """Identities (type, anchor hash) of staged rows, not yet rejected, that would end with a secondary id that
        another staged row, or a seen and unstaged CSO, would end with too (IMP-34). One round: repeat until empty."""

    async def csos_by_anchor(self, type_id: TypeId, hashes: Sequence[bytes]) -> list[Cso]: ...

    async def csos_by_secondary(self, type_id: TypeId, hashes: Sequence[bytes]) -> list[Cso]:
        """`pending_provisioning` CSOs with that secondary id."""

    async def present_hashes(
        self, type_id: TypeId, partition: str | None, max_seq: int, after: CsoId, limit: int
    ) -> list[tuple[CsoId, bytes]]:
        """`normal` CSOs in id order above `after` whose change_seq is at most `max_seq`: candidates for absence."""

    async def unresolved_reference_ranges(
        self, system: SystemId, targets: ReferenceTargets, size: int
    ) -> list[IdRange]:
        """CSO id ranges of the system's CSOs with unresolved references that resolve now."""

    # --- connector space
    async def csos(self, ids: Sequence[CsoId]) -> list[Cso]: ...

    async def cso_refs(self, ids: Sequence[CsoId]) -> list[CsoRef]: ...

    async def cso_key_holders(self, type_id: TypeId, attr: str, hashes: Sequence[bytes]) -> list[KeyHit]:
        """CSOs that hold one of the keys, with the MVO they are joined to."""

    async def objects_in_anchor_order(self, type_id: TypeId, after: str | None, limit: int) -> list[Cso]:
        """CSOs of a type in any state, anchor above `after`, in "C" order: a whole-file target is written from it."""

    # --- sync
    async def due_ranges(self, due: Due, size: int) -> list[IdRange]:
        """CSO id ranges of what `due` selects."""

    async def due_csos(self, due: Due, lo: int, hi: int) -> list[Cso]:
        """CSOs of the range that `due` selects now."""

    async def mvos(self, ids: Sequence[MvoId]) -> list[Mvo]: ...

    async def links(self, mvo_ids: Sequence[MvoId]) -> list[Cso]:
        """All CSOs joined to these MVOs."""

    async def mvo_refs(self, mvo_ids: Sequence[MvoId]) -> list[MvoRef]: ...

    async def match_candidates(self, type_id: TypeId, attr: str, hashes: Sequence[bytes]) -> list[KeyHit]:
        """MVOs in state active or pending_deletion that hold one of the keys."""

    async def match_keys_of(self, mvo_ids: Sequence[MvoId]) -> list[tuple[MvoId, str, bytes, str]]:
        """(MVO, attribute, hash, key) of the keys these MVOs hold."""

    async def reservations(self, name: str, hashes: Sequence[bytes]) -> list[Reservation]: ...

    async def reservations_of(self, mvo_ids: Sequence[MvoId]) -> list[Reservation]: ...

    async def proposal_ranges(self, run: RunId, kind: str, size: int) -> list[IdRange]:
        """Ranges of `n`, after `order_proposals`."""

    async def proposals(self, run: RunId, kind: str, lo: int, hi: int) -> list[Proposal]:
        """By range of `n`, in that order."""

    async def guard_op_ranges(self, run: RunId, point: GuardPoint, size: int) -> list[IdRange]:
        """Object id ranges of the listed operations (neither held nor dropped)."""

    async def guard_ops(self, run: RunId, point: GuardPoint, lo: int, hi: int) -> list[GuardOp]: ...

    async def due_deletions(
        self, run: RunId | None, mvo_types: Sequence[TypeId], now: datetime
    ) -> list[tuple[TypeId, MvoId]]:
        """MVOs pending deletion whose `delete_after` is reached: those a given sync run scheduled, or (None) all."""

    async def outbound_ranges(
        self, stamps: dict[TypeId, int], config_version: int, now: datetime, size: int
    ) -> list[IdRange]:
        """MVO id ranges of what is owed an outbound evaluation: due, stamp stale, or boundary passed."""

    async def outbound_mvos(
        self, stamps: dict[TypeId, int], config_version: int, now: datetime, lo: int, hi: int
    ) -> list[Mvo]: ...

    # --- export
    async def executable_exports(self, system: SystemId, run: RunId | None) -> list[tuple[ExportId, TypeId, str]]:
        """(id, type, kind) of pending exports executable now (EXP-14). With a run: those counted in its assess."""

    async def exports(self, ids: Sequence[ExportId]) -> list[PendingExport]: ...

    async def exports_of(self, cso_ids: Sequence[CsoId]) -> list[PendingExport]: ...

    async def confirmable_exports(self, system: SystemId, after: ExportId, limit: int) -> list[PendingExport]:
        """Pending exports with sent rows (`exported` or `unconfirmed`), by id."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Which CSOs of one system a sync step concerns."""

    system: SystemId
    what: str
    """`evaluate`: due or (with `everything`) all, in state normal; `unjoined`, `joined`: those of them;
    `obsolete_unjoined`: obsolete CSOs without a join; `references`: CSOs whose references are due."""
    stamps: dict[TypeId, int]
    config_version: int
    now: datetime
    max_seq: int
    """The extent: changes after the run's start wait for the next run (SYN-4)."""
    everything: bool = False


class ReferenceTargets(msgspec.Struct, frozen=True):
    """For each (referring type, attribute), the types its references may lead to."""

    allowed: dict[tuple[TypeId, str], tuple[TypeId, ...]]


class Unit(Reader, Protocol):
    """The one transaction of a batch. Entering it locks the batch row and checks the claim; `ClaimLost` otherwise."""

    async def lock(self, changes: Changes) -> Moved:
        """Lock the expected CSOs, MVOs and pending exports, each in id order; tell which have moved or gone."""

    async def persist(self, changes: Changes) -> None:
        """Write everything; COPY for new rows, one set-based statement a table for the rest."""

    async def order_proposals(self, run: RunId, kind: str) -> int:
        """Number the complete set in canonical order from 1; how many there are."""

    async def resolve_references(self, system: SystemId, targets: ReferenceTargets, lo: CsoId, hi: CsoId) -> int:
        """Point unresolved references of the CSO range to the non-obsolete CSO that holds their identifier, else to an
        obsolete one (IMP-28..31); referring CSOs that were not due take a new change_seq, and the ones that are joined
        become due for references. How many were resolved. More than one candidate leaves the reference unresolved."""

    async def purge_run_data(self, run: RunId) -> None:
        """Remove what finished runs kept while they worked: staged rows, seen hashes, verdicts, proposals."""

    async def add_batches(self, batches: Sequence[NewBatch]) -> None:
        """Insert following batches of this step, produced by this batch."""

    async def seal(self) -> None:
        """The step's number of batches is known: this batch and those it adds. Only a plan batch seals."""

    async def advance(self, cursor: dict[str, Any], counters: dict[str, int]) -> None:
        """End a partial step of this batch: it stays leased, its cursor moves, failures and losses are cleared."""

    async def done(self, counters: dict[str, int]) -> None:
        """End the batch: `done`, its counters, its attempt's outcome; batches that waited for it become ready."""


class Fleet(Protocol):
    """Executions, runs, steps, batches, workers: who may do what now."""

    # --- workers
    async def register_worker(
        self, worker: WorkerId, kind: str, version: str, boot_id: str, host: str, pid: int
    ) -> None: ...

    async def worker_state(self, worker: WorkerId, state: str) -> None:
        """running, draining, stopped."""

    # --- batches
    async def claim(
        self, kind: WorkerKind, worker: WorkerId, claim: ClaimId, span_id: str, lease: float, batch: BatchId | None
    ) -> Claimed | None:
        """Take a due batch by hint (waits up to 200 ms for its row) or, with None, any due one (skips locked rows)."""

    def unit(self, claimed: Claimed) -> AbstractAsyncContextManager[Unit]: ...

    async def settle_unknown_commit(self, claimed: Claimed) -> bool:
        """After an error during COMMIT: true when the batch is done under this claim (read under its row lock)."""

    async def hand_back(self, claimed: Claimed) -> None:
        """Clean hand-back: ready at once, counts nothing."""

    async def fail(self, claimed: Claimed, error: str, delay: float, *, counts: bool) -> str:
        """A handled failure: ready with `not_before`, or the state it led to (`split` needed after the fifth)."""

    async def split(self, claimed: Claimed, children: Sequence[NewBatch]) -> None:
        """Replace the batch by its children (parent `skipped`), counts at 0; in an ordered step they take its place."""

    async def dead(self, claimed: Claimed, error: str) -> None: ...

    async def close_phase(
        self,
        run: RunId,
        ordinal: int,
        span_ids: Sequence[str],
        take: tuple[WorkerId, WorkerKind, ClaimId, float] | None,
    ) -> tuple[Closed, Claimed | None]:
        """Close the step when it is sealed and nothing of it is unfinished, judge its guard, and open the next with its
        plan batch (taken at once with `take` when it is of that kind), or end the run. Idempotent."""

    # --- relay and sweep
    async def due_hints(self, bus_epoch: int, limits: dict[WorkerKind, int], republish_after: float) -> list[DueHint]:
        """Mark due batches published (committed before anything is sent) and return them, systems in turn."""

    async def raise_bus_epoch(self, seen: int) -> int:
        """A wiped bus was noticed: the epoch grows by one unless someone has raised it since `seen`."""

    async def lead(self, worker: WorkerId, seconds: float) -> int | None:
        """Hold or take the leader's lease; the term, or None when another holds it."""
