"""What the fleet asks of persistence.

Three faces of one keeper. `Reader` loads pictures of committed rows, in or out of a transaction. `Unit` is the one
transaction of a batch: its first statement is the fence, its last ends the batch, and what lies between happens
completely or not at all. `Fleet` moves executions, runs, steps and batches. The PostgreSQL keeper and the memory keeper
make the same promises, and one suite holds both to them.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

import msgspec

from anabranch.config.stamps import Stamps
from anabranch.model.changes import Changes, ProposalPack
from anabranch.model.configuration import Configuration
from anabranch.model.enums import ChangeClass, FailedReason, GuardPoint, RunState, WorkerKind
from anabranch.model.errors import Retryable
from anabranch.model.fleet import Beat, Claimed, Closed, DueHint, NewBatch, Swept
from anabranch.model.identity import (
    BatchId,
    ClaimId,
    CsoId,
    ExecutionId,
    ExportId,
    MvoId,
    PackId,
    RunId,
    SystemId,
    TypeId,
    WorkerId,
)
from anabranch.model.objects import (
    Connector,
    Cso,
    CsoRef,
    GuardOp,
    KeyHit,
    Mvo,
    MvoRef,
    PendingExport,
    Proposal,
    RawRef,
    Reservation,
    SentPicture,
    ServedMvo,
    SourceDigests,
    StagedRow,
    TargetPicture,
)
from anabranch.model.registry import Registry, Revision
from anabranch.store.port_packs import PackReader
from anabranch.store.selections import Due, IdRange, ReferenceTargets

__all__ = [
    "Collision",
    "Due",
    "Fleet",
    "Heart",
    "IdRange",
    "Moved",
    "Reader",
    "ReferenceTargets",
    "Registry",
    "Revision",
    "SecondaryConflict",
    "Store",
    "Unit",
]


class Moved(msgspec.Struct, frozen=True):
    """Rows that are no longer as they were read; empty when the decision may be written."""

    csos: frozenset[CsoId] = frozenset()
    mvos: frozenset[MvoId] = frozenset()
    exports: frozenset[ExportId] = frozenset()
    packs: frozenset[PackId] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.csos or self.mvos or self.exports or self.packs)


class Collision(Retryable):
    """Two transactions wanted the same unique place (a connector's slot, an anchor, a reserved value); this one lost.

    Nothing of the unit was written and its transaction is over: load again and decide again.
    """

    def __init__(self, table: str) -> None:
        super().__init__(f"another transaction took a unique place in {table} first; the batch is decided again", 0.0)
        self.table = table


class SecondaryConflict(msgspec.Struct, frozen=True, order=True):
    """A staged identity whose final secondary id is not its own.

    `holder` is None where another staged row ends with it too, else the anchor hash of the `normal` CSO that holds it
    and has no living staged row. Whether that CSO was seen is packed away in `import_seen`, so the caller judges: one
    that a complete full import has not seen gives its secondary id up, and the conflict is none.
    """

    type_id: TypeId
    anchor_hash: bytes
    holder: bytes | None = None


class Reader(PackReader, Protocol):
    """Loads. Every verb takes many keys; what does not exist is simply not among the results."""

    async def new_ids(self, table: str, count: int) -> Sequence[int]:
        """`count` fresh ids of `cso`, `mvo`, `export` or `import_row`: ascending, in blocks of 1,000 without gaps."""

    # --- import
    async def fingerprints(self, type_id: TypeId, partition: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
        """Content fingerprints of `normal` CSOs of that type and partition, by anchor hash, where one is stored."""

    async def source_digests(self, type_id: TypeId, partition: str, limit: int) -> SourceDigests:
        """What at most `limit` `normal` CSOs of that type and partition were read from. Neither their order nor which
        are left out says anything."""

    async def is_ending(self, run: RunId) -> bool:
        """Whether the run has been cancelled or has failed, so that nothing new may be begun in it."""

    async def change_seq_now(self) -> int:
        """The number every later change will exceed."""

    async def import_rows(self, run: RunId, lo: int, hi: int) -> list[StagedRow]:
        """Staged rows by id range, in id order."""

    async def import_row_ranges(self, run: RunId, size: int) -> list[IdRange]:
        """All staged rows of the run cut into ranges of at most `size` rows."""

    def import_seen(self, run: RunId) -> AsyncIterator[tuple[str, TypeId, bytes]]:
        """(partition, type, packed sorted hashes) in order of partition, page and type. An async generator function."""

    async def verdicts(self, run: RunId, hashes: Sequence[bytes]) -> dict[tuple[TypeId, bytes], tuple[str, str]]:
        """(kind, message) of rejected identities among `hashes`."""

    async def count_rejected_rows(self, run: RunId) -> dict[str, int]:
        """How many staged rows each kind of verdict rejects."""

    async def unresolved_of_run(self, run: RunId) -> list[tuple[TypeId, str, int, str]]:
        """(type, attribute, how many, an example) of references of CSOs this run staged that stay unresolved."""

    async def secondary_conflicts(self, run: RunId, type_ids: Sequence[TypeId]) -> list[SecondaryConflict]:
        """Staged rows, not yet rejected, that would end with a secondary id another object holds too (IMP-34).

        One round: the caller rejects and asks again until nothing more comes. A staged delete, and a row that is
        rejected, give nothing up to nobody: the first holds no secondary id, the second keeps its stored one.
        """

    async def csos_by_anchor(self, type_id: TypeId, hashes: Sequence[bytes]) -> list[Cso]: ...

    async def csos_by_secondary(self, type_id: TypeId, hashes: Sequence[bytes]) -> list[Cso]:
        """`pending_provisioning` CSOs with that secondary id."""

    async def holders_of_secondary(self, type_id: TypeId, hashes: Sequence[bytes]) -> list[Cso]:
        """`normal` CSOs with that secondary id."""

    async def present_hashes(self, type_id: TypeId, partition: str | None, max_seq: int) -> list[bytes]:
        """All `normal` CSOs whose change_seq is at most `max_seq`, candidates for absence, in portions of 24 bytes
        each: the id (big-endian), and the anchor hash. Their order says nothing."""

    async def unresolved_reference_ranges(self, targets: ReferenceTargets, size: int) -> list[IdRange]:
        """CSO id ranges of the CSOs with unresolved references that resolve now."""

    # --- connector space
    async def csos(self, ids: Sequence[CsoId]) -> list[Cso]: ...

    async def cso_refs(self, ids: Sequence[CsoId]) -> list[CsoRef]: ...

    async def raw_refs(self, ids: Sequence[CsoId], attrs: Sequence[str]) -> list[RawRef]:
        """What the references of these CSOs in these attributes say, whether they resolve or not; in the order of CSO,
        attribute and identifier."""

    async def cso_key_holders(self, type_id: TypeId, attr: str, hashes: Sequence[bytes]) -> list[KeyHit]:
        """CSOs that hold one of the keys, with the MVO they are joined to."""

    async def anchor_order(self, type_id: TypeId) -> array[int]:
        """The ids of all CSOs of a type in order of anchor ("C" order, then id), 8 bytes each: a whole-file target is
        written from it page by page."""

    # --- sync
    async def due_ranges(self, due: Due, size: int) -> list[IdRange]:
        """CSO id ranges of what `due` selects."""

    async def due_csos(self, due: Due, lo: int, hi: int) -> list[Cso]:
        """CSOs of the range that `due` selects now."""

    async def anchors_differ(self, due: Due) -> bool:
        """Whether the anchors of what `due` selects, type by type, are printable ASCII and differ in more than case."""

    async def metaverse_moved(self, system: SystemId, run: RunId, mvo_types: Sequence[TypeId]) -> bool:
        """Whether an MVO of these types has changed since the system's last sync, other than this run, that settled its
        matches began; an unjoined object may find a partner then that was not there before (SYN-2)."""

    async def mvos(self, ids: Sequence[MvoId]) -> list[Mvo]: ...

    async def links(self, mvo_ids: Sequence[MvoId], besides: Sequence[CsoId] = ()) -> list[Cso]:
        """All CSOs joined to these MVOs in id order, apart from those `besides`, which the caller has."""

    async def connectors(self, mvo_ids: Sequence[MvoId]) -> list[Connector]:
        """Which CSOs are joined to these MVOs, in id order; cheap, because no document is read."""

    async def mvo_refs(self, mvo_ids: Sequence[MvoId]) -> list[MvoRef]: ...

    async def match_candidates(self, type_id: TypeId, attr: str, hashes: Sequence[bytes]) -> list[KeyHit]:
        """MVOs in state active or pending_deletion that hold one of the keys."""

    async def keyed(self) -> frozenset[tuple[TypeId, str]]:
        """The attributes of which every object of the type has its look-up keys."""

    async def page_of_mvos(self, type_id: TypeId, after: int, limit: int) -> list[Mvo]:
        """The next MVOs of a type in id order."""

    async def page_of_csos(self, type_id: TypeId, after: int, limit: int) -> list[Cso]:
        """The next CSOs of a type in id order."""

    async def types_with_keys(self, types: Sequence[TypeId]) -> frozenset[TypeId]:
        """Those of the metaverse types of which some MVO holds a key."""

    async def match_keys_of(self, mvo_ids: Sequence[MvoId]) -> list[tuple[MvoId, str, bytes, str]]:
        """(MVO, attribute, hash, key) of the keys these MVOs hold."""

    async def reservations(self, name: str, hashes: Sequence[bytes]) -> list[Reservation]: ...

    async def reservations_of(self, mvo_ids: Sequence[MvoId]) -> list[Reservation]: ...

    async def proposed_contests(self, run: RunId, kind: str) -> tuple[array[int], array[int]]:
        """The objects of all proposals in canonical order, and what their bodies name as `contests`: in any order, the
        place of an object (from 0) followed by a contest of its."""

    async def proposals(self, run: RunId, kind: str, lo: int, hi: int) -> list[Proposal]:
        """By range of `n`, in that order."""

    async def proposal_packs(self, run: RunId, kind: str) -> list[tuple[BatchId, ProposalPack]]:
        """Every packed proposal of the run, with the batch that made it, in order of batches."""

    async def proposed_objects(self, run: RunId, kind: str, batch: BatchId) -> bytes:
        """The ids that one batch's packed proposal names, 8 bytes each; nothing where there is none."""

    async def ordered_among(self, run: RunId, kind: str, objects: Sequence[int]) -> frozenset[int]:
        """Those of the objects that have a proposal of their own."""

    async def guard_op_ranges(self, run: RunId, point: GuardPoint, size: int) -> list[IdRange]:
        """Object id ranges of the listed operations (neither held nor dropped)."""

    async def guard_ops(self, run: RunId, point: GuardPoint, lo: int, hi: int) -> list[GuardOp]: ...

    async def due_deletions(
        self, run: RunId | None, mvo_types: Sequence[TypeId], now: datetime, inherits: Sequence[TypeId] = ()
    ) -> list[tuple[TypeId, MvoId]]:
        """MVOs pending deletion whose `delete_after` is reached: those a given sync run scheduled, or (None) all. The
        run also gets, of the types it `inherits`, what was due at once in a run of its system that is over."""

    async def outbound_ranges(
        self, stamps: dict[TypeId, int], config_version: int, now: datetime, size: int
    ) -> list[IdRange]:
        """MVO id ranges of what is owed an outbound evaluation: due, stamp stale, or boundary passed."""

    async def outbound_mvos(
        self, stamps: dict[TypeId, int], config_version: int, now: datetime, lo: int, hi: int
    ) -> list[ServedMvo]: ...

    # --- export
    async def executable_exports(self, system: SystemId, run: RunId | None) -> list[tuple[ExportId, TypeId, str]]:
        """(id, type, kind) of pending exports executable now (EXP-14). With a run: those counted in its assess."""

    async def counted_exports(self, system: SystemId, run: RunId) -> array[int]:
        """The ids of `executable_exports` of a run, ascending, 8 bytes each."""

    async def counted_exports_of(self, system: SystemId, run: RunId, csos: Sequence[CsoId]) -> frozenset[ExportId]:
        """Those of `executable_exports` of a run that belong to these CSOs; with those that somebody is sending."""

    async def populations(self, run: RunId, point: GuardPoint) -> dict[TypeId, int]:
        """What the guard measures against there, by type; types of which there was nothing may be missing."""

    async def count_listed(self, run: RunId, point: GuardPoint) -> int:
        """How many operations are listed there (neither held nor dropped), with the creates of counted packs."""

    async def target_objects(self, ids: Sequence[CsoId], *, naming: bool = True) -> list[TargetPicture]:
        """These CSOs, each with its pending export where it has one; in any order. Without `naming` rows that name an
        MVO are left out."""

    async def sent_exports(self, ids: Sequence[ExportId]) -> list[SentPicture]:
        """Pending exports with their CSOs, by id of the export."""

    async def exports(self, ids: Sequence[ExportId]) -> list[PendingExport]: ...

    async def exports_of(self, cso_ids: Sequence[CsoId]) -> list[PendingExport]: ...

    async def confirmable_exports(self, system: SystemId, after: ExportId, limit: int) -> list[PendingExport]:
        """Pending exports with sent rows (`exported` or `unconfirmed`), by id."""

    async def confirmable_ranges(self, system: SystemId, size: int) -> list[IdRange]:
        """The ids of what `confirmable_exports` gives, in ranges of at most `size`, ascending."""


class Unit(Reader, Protocol):
    """The one transaction of a batch. Entering it locks the batch row and checks the claim; `ClaimLost` otherwise."""

    async def lock(self, changes: Changes) -> Moved:
        """Lock the expected CSOs, MVOs and pending exports, each in id order; tell which have moved or gone."""

    async def persist(self, changes: Changes) -> None:
        """Write everything; COPY for new rows, one set-based statement a table for the rest.

        A pending export with `version` 0 is new; stored versions begin at 1. Raises `Collision` when another
        transaction took a unique place first.
        """

    async def list_executable_exports(self, system: SystemId) -> int:
        """What `executable_exports` tells of the system is listed with its operations at `export_writes` for the
        batch's run; how many there are (EXP-15). Executable packs of the run's revision are counted in it too."""

    async def number_proposals(self, run: RunId, kind: str, objects: Sequence[int]) -> None:
        """Number the proposals of these objects from 1, in the order given."""

    async def resolve_references(self, targets: ReferenceTargets, lo: CsoId, hi: CsoId) -> int:
        """Point unresolved references of the CSO range to the non-obsolete CSO that holds their identifier, else to an
        obsolete one (IMP-28..31); referring CSOs that were not due take a new change_seq, and the ones that are joined
        become due for references. How many were resolved. More than one candidate leaves the reference unresolved."""

    async def purge_finished_runs(self) -> None:
        """Remove what ended runs kept while they worked: staged rows, seen hashes, verdicts, proposals."""

    async def add_batches(self, batches: Sequence[NewBatch]) -> None:
        """Insert following batches of this step, produced by this batch."""

    async def seal(self) -> None:
        """The step's number of batches is known: this batch and those it adds. Only a plan batch seals."""

    async def advance(self, cursor: dict[str, Any], counters: dict[str, int]) -> None:
        """End a partial step of this batch: it stays leased, its cursor moves, failures and losses are cleared.
        `counters` of this step alone; the row adds them up."""

    async def done(self, counters: dict[str, int]) -> None:
        """End the batch: `done`, its attempt's outcome; batches that waited for it become ready. `counters` are added
        to those of earlier steps. A plan batch that has not sealed is refused: its step would never close."""


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

    def unit(self, claimed: Claimed) -> AbstractAsyncContextManager[Unit]:
        """The block is one transaction and must call `done` or `advance`; any exception undoes all of it.

        Raises ClaimLost (taken by another), CommitUnknown (COMMIT sent, answer lost), Contended, StoreUnavailable.
        """

    async def settle_unknown_commit(self, claimed: Claimed) -> bool:
        """After `CommitUnknown`: true when the batch is done under this claim (read under its row lock). False: nothing
        of the last step was written, or it was a partial one; hand the batch back, its cursor tells the next."""

    async def hand_back(self, claimed: Claimed) -> None:
        """Clean hand-back: ready at once, counts nothing."""

    async def fail(self, claimed: Claimed, error: str, delay: float, *, counts: bool) -> str:
        """A handled failure, and what it leads to, a `Fate`. `ready`: the batch comes back after `delay` seconds;
        `split`, `poisoned`: it was the fifth, and the batch stays leased to the caller, who does it; `dead`."""

    async def split(self, claimed: Claimed, children: Sequence[NewBatch]) -> None:
        """Replace the batch by its children (parent `skipped`), counts at 0; in an ordered step they take its place."""

    async def dead(self, claimed: Claimed, error: str, counters: dict[str, int] | None = None) -> None:
        """The batch has used up its attempts. In a gate (and as a plan) it fails the run at the next `close_phase`; in
        a tolerant step it counts as arrived, and `counters` say what became of its objects (`errored`)."""

    async def close_phase(
        self,
        run: RunId,
        ordinal: int,
        span_ids: Sequence[str],
        take: tuple[WorkerId, WorkerKind, ClaimId, float] | None,
    ) -> tuple[Closed, Claimed | None]:
        """Close the step when it is sealed and nothing of it is unfinished, judge its guard, and open the next with its
        plan batch (taken at once with `take` when it is of that kind), or end the run. Idempotent.

        `span_ids`: of the next step, of its plan batch, of the attempt when it is taken; missing ones are drawn.
        """

    async def fail_run(self, claimed: Claimed, reason: FailedReason, message: str) -> None:
        """The batch shows that its run cannot finish (a source that ended early, for example): the run is `cancelling`
        and leads to `failed`, and the batch goes back as with `hand_back`. A run that is ending is left as it is."""

    # --- executions and operators
    async def start_execution(self, name: str, actor: str, now: datetime | None = None) -> ExecutionId:
        """An execution, or a run profile as an execution of one, is queued; one of that name that has not started yet
        is returned instead (SCH-24). `now` pins the time of all its runs. Raises Permanent for an unknown name."""

    async def cancel_run(self, run: RunId, actor: str, reason: str = "") -> RunState:
        """The run is cancelled, or will be once its live leases are over (FLT-24); its state now."""

    async def cancel_execution(self, execution: ExecutionId, actor: str, reason: str = "") -> None:
        """Its queued runs are cancelled, its active ones are ending (SCH-26)."""

    async def release_hold(self, run: RunId, actor: str, reason: str = "") -> None:
        """The held run goes on and carries out the listed operations (GRD-5). Raises Permanent when it is not held."""

    async def reject_hold(self, run: RunId, actor: str, reason: str = "") -> None:
        """The held run goes on without the listed operations of its tripped guard (GRD-6): they are `held`, and counted
        on the step as `held_back` (of what the run selected) or `held_back_absent`, `held_back_deletions`,
        `held_back_releases`. Handlers do not count them. Raises Permanent when the run is not held."""

    # --- relay and sweep
    async def bus_epoch(self) -> int:
        """The epoch in which hints are published now."""

    async def due_hints(self, bus_epoch: int, limits: dict[WorkerKind, int], republish_after: float) -> list[DueHint]:
        """Mark due batches published (committed before anything is sent) and return them, systems in turn."""

    async def raise_bus_epoch(self, seen: int) -> int:
        """A wiped bus was noticed: the epoch grows by one unless someone has raised it since `seen`."""

    async def lead(self, worker: WorkerId, seconds: float) -> int | None:
        """Hold or take the leader's lease; the term, or None when another holds it."""

    async def resign(self, worker: WorkerId) -> None:
        """The lease is free at once, if this worker had it."""

    async def sweep(self, lease: float) -> Swept:
        """One round of upkeep, safe in any number of schedulers at once: runs past their deadline end, expired holds
        count as rejected, ending runs are brought to their end, executions go on to their next group, queued runs whose
        turn it is start, workers that froze inside a transaction are cut off. `close_phase` is owed for `steps_due`."""

    async def move_on(self) -> Swept:
        """What the end of a run lets begin has begun: the part of `sweep` that whoever ended it need not wait for."""


class Store(Fleet, Protocol):
    """The whole keeper: the fleet's verbs, plus readers outside any batch."""

    def reader(self) -> AbstractAsyncContextManager[Reader]:
        """A reader on a connection of its own, outside any transaction; given back at the end of the block."""

    async def revision(self, version: int | None = None) -> Revision:
        """One applied configuration, the newest without a number; raises Permanent when there is none."""

    async def apply_configuration(
        self,
        configuration: Configuration,
        stamps: Stamps,
        *,
        change_class: ChangeClass,
        difference: Any,
        author: str,
        reason: str = "",
    ) -> int:
        """The configuration is the newest revision; its number (the present one when nothing differs). Names that are
        new are numbered for ever."""

    async def refresh_statistics(self) -> None:
        """The planner knows the present size of every table that has changed much; asked before a step is planned."""

    async def open_heart(self) -> Heart:
        """A connection of its own for the heartbeat, to be opened and used in the heartbeat's thread and loop."""

    async def close(self) -> None:
        """Every connection is closed; safe twice."""


class Heart(Protocol):
    """A connection that can beat."""

    async def beat(self, worker: WorkerId, claims: list[ClaimId], lease: float) -> Beat:
        """The worker lives, and its claims are renewed by one lease from now, unless their rows are locked by their own
        commit (then they are still held); never waits for a lock."""

    async def close(self) -> None: ...
