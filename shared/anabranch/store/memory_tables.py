"""Rows in one process, with transactions that mean what they say.

A transaction is a layer over the tables: it reads what is committed and what it has written itself, and nobody else
sees its rows until the layer is laid into the tables in one step that nothing can interrupt. Row locks are held to the
end of the transaction, like those of PostgreSQL; two that wait for one another are told apart by a look along the
chain of waiters, and the one that would close the circle is sent back as contended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from anabranch.model.changes import ErrorItem, Item, ProposalPack
from anabranch.model.enums import ExecutionState, ExportState, HoldState, RowState
from anabranch.model.identity import (
    BatchId,
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
from anabranch.model.objects import Cso, GuardOp, Mvo, MvoRef, PendingExport, Proposal, Reservation, StagedRow
from anabranch.model.provisioning import ProvisionPack
from anabranch.protocol.barriers import StepRecord
from anabranch.protocol.batches import BatchRecord
from anabranch.protocol.runs import RunRecord
from anabranch.store.faults import Contended

_replace = msgspec.structs.replace
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Table(Generic[K, V]):
    """Rows by key; over a `base`, a layer of what one transaction has written and removed."""

    def __init__(self, base: Table[K, V] | None = None) -> None:
        self._base = base
        self._rows: dict[K, V] = {}
        self._gone: set[K] = set()

    def get(self, key: K) -> V | None:
        if key in self._rows:
            return self._rows[key]
        if self._base is None or key in self._gone:
            return None
        return self._base.get(key)

    def __getitem__(self, key: K) -> V:
        row = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        return sum(1 for _ in self.items())

    def put(self, key: K, row: V) -> None:
        self._gone.discard(key)
        self._rows[key] = row

    def remove(self, key: K) -> None:
        self._rows.pop(key, None)
        if self._base is not None:
            self._gone.add(key)

    def items(self) -> Iterator[tuple[K, V]]:
        """All rows, safe against changes of the table meanwhile."""
        if self._base is not None:
            for key, row in self._base.items():
                if key not in self._rows and key not in self._gone:
                    yield key, row
        yield from list(self._rows.items())

    def values(self) -> Iterator[V]:
        return (row for _, row in self.items())

    def layer(self) -> Table[K, V]:
        return Table(self)

    def lay_down(self) -> None:
        """What this layer wrote and removed is in its base."""
        if self._base is None:
            raise ValueError("the committed table has nothing to be laid into")
        for key in self._gone:
            self._base.remove(key)
        for key, row in self._rows.items():
            self._base.put(key, row)


class RefRow(msgspec.Struct, frozen=True):
    """A reference value of a CSO with its look-up hashes and what it leads to."""

    type_id: TypeId
    anchor_hash: bytes
    secondary_hash: bytes
    target: CsoId | None = None


class KeyRow(msgspec.Struct, frozen=True):
    type_id: TypeId
    key: str


class ItemPack(msgspec.Struct, frozen=True):
    run: RunId
    ordinal: int
    items: tuple[Item, ...]


class ErrorRow(msgspec.Struct, frozen=True):
    run: RunId
    ordinal: int
    batch: BatchId
    item: ErrorItem


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    claim: str
    worker: WorkerId
    span_id: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    error: str | None = None


class ExecutionRow(msgspec.Struct, frozen=True, kw_only=True):
    id: ExecutionId
    name: str
    state: ExecutionState
    config_version: int
    now: datetime | None
    continue_on_failure: bool
    actor: str
    trace_id: str
    span_id: str
    requested_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None


class HoldRow(msgspec.Struct, frozen=True, kw_only=True):
    run: RunId
    ordinal: int
    point: str
    state: HoldState
    findings: list[dict[str, Any]]
    opened_at: datetime
    expires_at: datetime
    decided_at: datetime | None = None
    actor: str | None = None
    reason: str | None = None


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    version: str
    boot_id: str
    host: str
    pid: int
    state: str
    last_beat: datetime


class SystemRow(msgspec.Struct, frozen=True):
    key: str
    state: str = "active"
    max_parallel_exports: int = 1


class ActionRow(msgspec.Struct, frozen=True):
    at: datetime
    actor: str
    verb: str
    object: str
    reason: str


class Tables:
    """Every table of the keeper, or one transaction's layer over them."""

    def __init__(self, base: Tables | None = None) -> None:
        self._base = base

        def table(name: str) -> Table[Any, Any]:
            return Table() if base is None else getattr(base, name).layer()

        self.csos: Table[CsoId, Cso] = table("csos")
        self.cso_turns: Table[CsoId, datetime] = table("cso_turns")
        self.cso_refs: Table[tuple[CsoId, str, str], RefRow] = table("cso_refs")
        self.cso_keys: Table[tuple[CsoId, str, bytes], KeyRow] = table("cso_keys")
        self.mvos: Table[MvoId, Mvo] = table("mvos")
        self.mvo_turns: Table[MvoId, datetime] = table("mvo_turns")
        self.mvo_parted: Table[MvoId, RunId] = table("mvo_parted")
        self.mvo_refs: Table[tuple[MvoId, str, MvoId], MvoRef] = table("mvo_refs")
        self.match_keys: Table[tuple[MvoId, str, bytes], KeyRow] = table("match_keys")
        self.keyed: Table[tuple[TypeId, str], bool] = table("keyed")
        self.reservations: Table[tuple[str, bytes], Reservation] = table("reservations")
        self.exports: Table[ExportId, PendingExport] = table("exports")
        self.provision_packs: Table[PackId, ProvisionPack] = table("provision_packs")
        self.counted_packs: Table[PackId, RunId] = table("counted_packs")

        self.import_rows: Table[tuple[RunId, int], StagedRow] = table("import_rows")
        self.import_seen: Table[tuple[RunId, str, int, TypeId], bytes] = table("import_seen")
        self.verdicts: Table[tuple[RunId, TypeId, bytes], tuple[str, str]] = table("verdicts")
        self.proposals: Table[tuple[RunId, str, int], Proposal] = table("proposals")
        self.proposal_packs: Table[tuple[RunId, str, BatchId], ProposalPack] = table("proposal_packs")
        self.settled_in: Table[CsoId, RunId] = table("settled_in")
        self.guard_ops: Table[tuple[RunId, str, int], GuardOp] = table("guard_ops")
        self.item_packs: Table[tuple[BatchId, int, str], ItemPack] = table("item_packs")
        self.errors: Table[int, ErrorRow] = table("errors")

        self.systems: Table[SystemId, SystemRow] = table("systems")
        self.executions: Table[ExecutionId, ExecutionRow] = table("executions")
        self.runs: Table[RunId, RunRecord] = table("runs")
        self.steps: Table[tuple[RunId, int], StepRecord] = table("steps")
        self.batches: Table[BatchId, BatchRecord] = table("batches")
        self.attempts: Table[tuple[BatchId, int], Attempt] = table("attempts")
        self.populations: Table[tuple[RunId, str, TypeId], int] = table("populations")
        self.holds: Table[tuple[RunId, int], HoldRow] = table("holds")
        self.turns: Table[TypeId, RunId] = table("turns")
        self.turn_waits: Table[tuple[TypeId, RunId], bool] = table("turn_waits")
        self.workers: Table[WorkerId, WorkerRow] = table("workers")
        self.actions: Table[int, ActionRow] = table("actions")

    def has_closed(self, run: RunId, step: str) -> bool:
        """Whether the run has closed its step of that name."""
        return any(one.is_closed for (of, _), one in self.steps.items() if of == run and one.name == step)

    def may_be_joined_again(self, run_id: RunId) -> bool:
        """Whether a new join of the run's system can still give an object back what the run took from it (SYN-94)."""
        run = self.runs.get(run_id)
        if run is None or run.system is None:
            return False
        return not any(
            later.system == run.system and later.id >= run.id and self.has_closed(later.id, "match.settle")
            for later in self.runs.values()
        )

    def layer(self) -> Tables:
        """A layer of its own for one transaction."""
        return Tables(self)

    def lay_down(self) -> None:
        """Everything this layer wrote is committed."""
        for table in vars(self).values():
            if isinstance(table, Table):
                table.lay_down()


class RowLocks:
    """Exclusive locks by row, held by one owner until it lets go of all of them."""

    def __init__(self) -> None:
        self._owner: dict[Hashable, object] = {}
        self._waiting: dict[object, Hashable] = {}
        self._freed = asyncio.Condition()

    def free(self, row: Hashable) -> bool:
        """True when nobody holds it."""
        return row not in self._owner

    def try_take(self, row: Hashable, owner: object) -> bool:
        """The row is the owner's, unless somebody else holds it; never waits (SKIP LOCKED)."""
        if self._owner.get(row, owner) is not owner:
            return False
        self._owner[row] = owner
        return True

    async def take(self, row: Hashable, owner: object, seconds: float | None = None) -> None:
        """The row is the owner's; waits for it. Raises `Contended` on a deadlock, or after `seconds`."""
        if self.try_take(row, owner):
            return
        self._waiting[owner] = row
        try:
            if self._closes_a_circle(owner):
                raise Contended(f"row {row!r}: two transactions wait for one another; the batch is repeated")
            async with asyncio.timeout(seconds), self._freed:
                await self._freed.wait_for(lambda: self.try_take(row, owner))
        except TimeoutError as error:
            raise Contended(f"row {row!r} was not free in {seconds} s; it is tried again") from error
        finally:
            del self._waiting[owner]

    async def let_go(self, owner: object) -> None:
        """Every row of the owner is free."""
        for row in [row for row, holder in self._owner.items() if holder is owner]:
            del self._owner[row]
        async with self._freed:
            self._freed.notify_all()

    def _closes_a_circle(self, owner: object) -> bool:
        seen, holder = {id(owner)}, self._owner.get(self._waiting[owner])
        while holder is not None and holder in self._waiting:
            holder = self._owner.get(self._waiting[holder])
            if holder is owner:
                return True
            if id(holder) in seen:
                return False
            seen.add(id(holder))
        return False


def as_sent(export: PendingExport, sent_seq: int) -> PendingExport:
    """The export once every row of it has been sent."""
    rows = tuple(_replace(row, state=RowState.SENT, refuted=0) for row in export.rows)
    return _replace(
        export, rows=rows, state=ExportState.EXPORTED, sent_seq=sent_seq, waiting=False, attempts=0, not_before=None,
        failure=None, version=export.version + 1,
    )  # fmt: skip
