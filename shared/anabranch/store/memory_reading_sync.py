"""What a sync and an export read, from rows in one process."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

from anabranch.model.changes import ProposalPack
from anabranch.model.enums import CsoState, ExportState, GuardPoint, MvoState, RunState
from anabranch.model.errors import Permanent
from anabranch.model.identity import BatchId, CsoId, ExportId, MvoId, RunId, SystemId, TypeId
from anabranch.model.objects import (
    Connector,
    Cso,
    GuardOp,
    KeyHit,
    Mvo,
    MvoRef,
    PendingExport,
    Proposal,
    Reservation,
    SentPicture,
    ServedMvo,
    TargetPicture,
)
from anabranch.store.memory_packs import MemoryPackReading, creates_by_type
from anabranch.store.memory_reading_import import MemoryImportReading, Sequences, cut
from anabranch.store.memory_tables import Tables
from anabranch.store.port import Due, IdRange

_JOINED = {"evaluate": None, "unjoined": False, "joined": True}
_OBSOLETE = {"obsolete_unjoined": False, "obsolete_joined": True}


class MemoryReader(MemoryImportReading, MemoryPackReading):
    """Every verb of `Reader` over tables, or over one transaction's layer of them."""

    def __init__(self, tables: Tables, sequences: Sequences, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._sequences = sequences
        self._clock = clock

    # --- sync

    async def due_ranges(self, due: Due, size: int) -> list[IdRange]:
        return cut((cso.id for cso in self._due(due)), size)

    async def due_csos(self, due: Due, lo: int, hi: int) -> list[Cso]:
        return sorted((cso for cso in self._due(due) if lo <= cso.id <= hi), key=lambda cso: cso.id)

    def _due(self, due: Due) -> Iterator[Cso]:
        mine = (cso for cso in self._tables.csos.values() if cso.system_id == due.system)
        if due.what in _OBSOLETE:
            joined = _OBSOLETE[due.what]
            return (cso for cso in mine if cso.state is CsoState.OBSOLETE and (cso.mvo_id is not None) is joined)
        normal = (cso for cso in mine if cso.state is CsoState.NORMAL and cso.type_id in due.stamps)
        if due.what == "references":
            return (cso for cso in normal if cso.refs_due and cso.mvo_id is not None)
        if due.what not in _JOINED:
            raise Permanent(f"no set of due objects is called {due.what!r}; use one that `Due.what` names")
        wanted = _JOINED[due.what]
        return (cso for cso in normal if wanted in (None, cso.mvo_id is not None) and self._is_due(cso, due))

    def _is_due(self, cso: Cso, due: Due) -> bool:
        """SYN-2 within the extent of SYN-4. One never evaluated may be younger than the run: only its number tells."""
        if due.not_settled_in is not None and self._tables.settled_in.get(cso.id) == due.not_settled_in:
            return False
        in_extent = cso.change_seq <= due.max_seq
        existed = cso.config_version > 0
        if due.everything:
            return in_extent or existed
        turns_at = self._tables.cso_turns.get(cso.id)
        stale = cso.rule_stamp != due.stamps[cso.type_id] and cso.config_version < due.config_version
        return (
            cso.failed
            or (cso.change_seq > cso.synced_seq and in_extent)
            or (stale and (existed or in_extent))
            or (turns_at is not None and turns_at <= due.now)
        )

    async def anchors_differ(self, due: Due) -> bool:
        anchors = [(cso.type_id, (cso.anchor or "").lower()) for cso in self._due(due)]
        plain = all(anchor.isascii() and anchor.isprintable() and anchor for _, anchor in anchors)
        return plain and len(set(anchors)) == len(anchors)

    async def metaverse_moved(self, system: SystemId, run: RunId, mvo_types: Sequence[TypeId]) -> bool:
        matched = [
            one.start_seq or 0
            for one in self._tables.runs.values()
            if one.system == system and one.id != run and self._tables.has_closed(one.id, "match.settle")
        ]
        since = max(matched, default=0)
        return any(mvo.type_id in mvo_types and mvo.change_seq > since for mvo in self._tables.mvos.values())

    async def mvos(self, ids: Sequence[MvoId]) -> list[Mvo]:
        found = (self._tables.mvos.get(mvo_id) for mvo_id in sorted(set(ids)))
        return [mvo for mvo in found if mvo is not None]

    async def links(self, mvo_ids: Sequence[MvoId], besides: Sequence[CsoId] = ()) -> list[Cso]:
        wanted, known = set(mvo_ids), set(besides)
        joined = (cso for cso in self._tables.csos.values() if cso.mvo_id is not None and cso.mvo_id in wanted)
        return sorted((cso for cso in joined if cso.id not in known), key=lambda cso: cso.id)

    async def connectors(self, mvo_ids: Sequence[MvoId]) -> list[Connector]:
        joined = await self.links(mvo_ids)
        return [Connector(one.id, one.mvo_id, one.type_id, one.system_id, one.state) for one in joined if one.mvo_id]

    async def mvo_refs(self, mvo_ids: Sequence[MvoId]) -> list[MvoRef]:
        wanted = set(mvo_ids)
        return [ref for key, ref in sorted(self._tables.mvo_refs.items(), key=lambda item: item[0]) if key[0] in wanted]

    async def match_candidates(self, type_id: TypeId, attr: str, hashes: Sequence[bytes]) -> list[KeyHit]:
        wanted = set(hashes)
        hits = [
            KeyHit(key_hash, row.key, mvo_id)
            for (mvo_id, of, key_hash), row in self._tables.match_keys.items()
            if of == attr and row.type_id == type_id and key_hash in wanted
        ]
        return sorted(hits, key=lambda hit: (hit.key_hash, hit.object_id))

    async def keyed(self) -> frozenset[tuple[TypeId, str]]:
        return frozenset(key for key, _ in self._tables.keyed.items())

    async def page_of_mvos(self, type_id: TypeId, after: int, limit: int) -> list[Mvo]:
        found = (mvo for mvo in self._tables.mvos.values() if mvo.type_id == type_id and mvo.id > after)
        return sorted(found, key=lambda mvo: mvo.id)[:limit]

    async def page_of_csos(self, type_id: TypeId, after: int, limit: int) -> list[Cso]:
        found = (cso for cso in self._tables.csos.values() if cso.type_id == type_id and cso.id > after)
        return sorted(found, key=lambda cso: cso.id)[:limit]

    async def types_with_keys(self, types: Sequence[TypeId]) -> frozenset[TypeId]:
        return frozenset(row.type_id for row in self._tables.match_keys.values()) & set(types)

    async def match_keys_of(self, mvo_ids: Sequence[MvoId]) -> list[tuple[MvoId, str, bytes, str]]:
        wanted = set(mvo_ids)
        keys = ((*key, row.key) for key, row in self._tables.match_keys.items() if key[0] in wanted)
        return sorted(keys)

    async def reservations(self, name: str, hashes: Sequence[bytes]) -> list[Reservation]:
        found = (self._tables.reservations.get((name, key_hash)) for key_hash in sorted(set(hashes)))
        return [reservation for reservation in found if reservation is not None]

    async def reservations_of(self, mvo_ids: Sequence[MvoId]) -> list[Reservation]:
        wanted = set(mvo_ids)
        held = (one for one in self._tables.reservations.values() if one.mvo_id is not None and one.mvo_id in wanted)
        return sorted(held, key=lambda one: (one.mvo_id or 0, one.name, one.value_hash))

    async def proposed_contests(self, run: RunId, kind: str) -> tuple[array[int], array[int]]:
        ordered = sorted(self._proposals(run, kind), key=lambda one: (one.order_key.encode(), one.object_id))
        pairs = array("q")
        for place, one in enumerate(ordered):
            for contest in one.body.get("contests", ()):
                pairs.extend((place, contest))
        return array("q", (one.object_id for one in ordered)), pairs

    async def proposals(self, run: RunId, kind: str, lo: int, hi: int) -> list[Proposal]:
        numbered = ((one.n, one) for one in self._proposals(run, kind) if one.n is not None and lo <= one.n <= hi)
        return [one for _, one in sorted(numbered, key=lambda pair: pair[0])]

    async def proposal_packs(self, run: RunId, kind: str) -> list[tuple[BatchId, ProposalPack]]:
        packs = self._tables.proposal_packs.items()
        return sorted((batch, pack) for (of, what, batch), pack in packs if (of, what) == (run, kind))

    async def proposed_objects(self, run: RunId, kind: str, batch: BatchId) -> bytes:
        pack = self._tables.proposal_packs.get((run, kind, batch))
        return pack.objects if pack is not None else b""

    async def ordered_among(self, run: RunId, kind: str, objects: Sequence[int]) -> frozenset[int]:
        return frozenset(objects) & {one.object_id for one in self._proposals(run, kind)}

    def _proposals(self, run: RunId, kind: str) -> Iterator[Proposal]:
        return (one for (of, what, _), one in self._tables.proposals.items() if (of, what) == (run, kind))

    async def guard_op_ranges(self, run: RunId, point: GuardPoint, size: int) -> list[IdRange]:
        return cut((op.object_id for op in self._listed(run, point)), size)

    async def populations(self, run: RunId, point: GuardPoint) -> dict[TypeId, int]:
        counted = self._tables.populations.items()
        return {type_id: count for (of, where, type_id), count in counted if (of, where) == (run, point.value)}

    async def count_listed(self, run: RunId, point: GuardPoint) -> int:
        packed = creates_by_type(self._tables, counted_in=run).total() if point is GuardPoint.EXPORT_WRITES else 0
        return packed + sum(1 for _ in self._listed(run, point))

    async def guard_ops(self, run: RunId, point: GuardPoint, lo: int, hi: int) -> list[GuardOp]:
        found = (op for op in self._listed(run, point) if lo <= op.object_id <= hi)
        return sorted(found, key=lambda op: op.object_id)

    def _listed(self, run: RunId, point: str) -> Iterator[GuardOp]:
        ops = self._tables.guard_ops.items()
        return (op for (of, at, _), op in ops if (of, at) == (run, point) and op.verdict == "listed")

    async def due_deletions(
        self, run: RunId | None, mvo_types: Sequence[TypeId], now: datetime, inherits: Sequence[TypeId] = ()
    ) -> list[tuple[TypeId, MvoId]]:
        return sorted(
            (mvo.type_id, mvo.id)
            for mvo in self._tables.mvos.values()
            if mvo.state is MvoState.PENDING_DELETION and mvo.type_id in mvo_types
            if mvo.delete_after is not None and mvo.delete_after <= now
            if self._is_to_be_deleted_by(run, mvo, inherits) and not self._may_be_joined_again(mvo.id)
        )

    def _is_to_be_deleted_by(self, run: RunId | None, mvo: Mvo, inherits: Sequence[TypeId]) -> bool:
        by = (mvo.deletion or {}).get("run")
        scheduler = self._tables.runs.get(by) if by is not None else None
        if run is None:
            return by is None or not self._tables.may_be_joined_again(by)
        if by == run:
            return True
        if mvo.type_id not in inherits or scheduler is None or scheduler.ended_at is None or scheduler.now is None:
            return False
        at_once = mvo.delete_after is not None and mvo.delete_after <= scheduler.now
        mine = self._tables.runs.get(run)
        return at_once and mine is not None and mine.system == scheduler.system

    async def outbound_ranges(
        self, stamps: dict[TypeId, int], config_version: int, now: datetime, size: int
    ) -> list[IdRange]:
        return cut((mvo.id for mvo in self._owed_outbound(stamps, config_version, now)), size)

    async def outbound_mvos(
        self, stamps: dict[TypeId, int], config_version: int, now: datetime, lo: int, hi: int
    ) -> list[ServedMvo]:
        owed = (mvo for mvo in self._owed_outbound(stamps, config_version, now) if lo <= mvo.id <= hi)
        return [
            ServedMvo(one.id, one.type_id, one.origin_key, one.state, one.delete_after, one.doc, one.change_seq)
            for one in sorted(owed, key=lambda mvo: mvo.id)
        ]

    def _owed_outbound(self, stamps: dict[TypeId, int], config_version: int, now: datetime) -> Iterator[Mvo]:
        for mvo in self._tables.mvos.values():
            if not mvo.evaluated or mvo.type_id not in stamps:
                continue
            stale = mvo.outbound_stamp != stamps[mvo.type_id] and mvo.outbound_version < config_version
            turns_at = self._tables.mvo_turns.get(mvo.id)
            turned = turns_at is not None and turns_at <= now
            if not self._may_be_joined_again(mvo.id) if mvo.outbound_due else stale or turned:
                yield mvo

    def _may_be_joined_again(self, mvo: MvoId) -> bool:
        parted_in = self._tables.mvo_parted.get(mvo)
        return parted_in is not None and self._tables.may_be_joined_again(parted_in)

    # --- export

    async def executable_exports(self, system: SystemId, run: RunId | None) -> list[tuple[ExportId, TypeId, str]]:
        found = self._executable(system, {ExportState.READY, ExportState.UNCONFIRMED})
        return sorted((one.id, one.type_id, one.kind.value) for one in found if run is None or self._counted(run, one))

    def _executable(self, system: SystemId, states: set[ExportState]) -> Iterator[PendingExport]:
        now = self._clock()
        return (
            export
            for export in self._tables.exports.values()
            if export.system_id == system and export.state in states
            if not export.waiting
            if export.not_before is None or export.not_before <= now
            if self._tables.csos[export.cso_id].state is not CsoState.OBSOLETE
            if self._outbound_is_over(export.staged_run)
        )

    def _outbound_is_over(self, run: RunId) -> bool:
        staged_by = self._tables.runs.get(run)
        return staged_by is not None and (staged_by.ended_at is not None or self._tables.has_closed(run, "outbound"))

    def _counted(self, run: RunId, export: PendingExport) -> bool:
        op = self._tables.guard_ops.get((run, GuardPoint.EXPORT_WRITES.value, export.id))
        return op is not None and op.verdict == "listed" and op.op == export.kind.value

    async def is_ending(self, run: RunId) -> bool:
        state = self._tables.runs[run].state
        return state is RunState.CANCELLING or state.is_final

    async def counted_exports(self, system: SystemId, run: RunId) -> array[int]:
        return array("q", [one for one, _, _ in await self.executable_exports(system, run)])

    async def counted_exports_of(self, system: SystemId, run: RunId, csos: Sequence[CsoId]) -> frozenset[ExportId]:
        states = {ExportState.READY, ExportState.UNCONFIRMED, ExportState.EXPORTING}
        mine = (one for one in self._executable(system, states) if one.cso_id in set(csos))
        return frozenset(one.id for one in mine if self._counted(run, one))

    async def target_objects(self, ids: Sequence[CsoId], *, naming: bool = True) -> list[TargetPicture]:
        exports = {one.cso_id: one for one in await self.exports_of(ids)}
        found = [(cso, exports.get(cso.id)) for cso in await self.csos(ids)]
        return [
            TargetPicture(
                cso.id, cso.type_id, cso.anchor, cso.anchor_hash is not None, cso.secondary, cso.state, cso.doc
            )
            if one is None
            else TargetPicture(
                cso.id, cso.type_id, cso.anchor, cso.anchor_hash is not None, cso.secondary, cso.state, cso.doc,
                one.id, one.version, one.kind,
                tuple(row for row in one.rows if naming or row.target_mvo_id is None),
            )
            for cso, one in found
        ]  # fmt: skip

    async def sent_exports(self, ids: Sequence[ExportId]) -> list[SentPicture]:
        exports = await self.exports(ids)
        csos = {cso.id: cso for cso in await self.csos([one.cso_id for one in exports])}
        return [_sent(one, csos[one.cso_id]) for one in exports if one.cso_id in csos]

    async def exports(self, ids: Sequence[ExportId]) -> list[PendingExport]:
        found = (self._tables.exports.get(export_id) for export_id in set(ids))
        return _by_id(export for export in found if export is not None)

    async def exports_of(self, cso_ids: Sequence[CsoId]) -> list[PendingExport]:
        wanted = set(cso_ids)
        return _by_id(export for export in self._tables.exports.values() if export.cso_id in wanted)

    async def confirmable_exports(self, system: SystemId, after: ExportId, limit: int) -> list[PendingExport]:
        return [one for one in self._confirmable(system) if one.id > after][:limit]

    async def confirmable_ranges(self, system: SystemId, size: int) -> list[IdRange]:
        return cut([one.id for one in self._confirmable(system)], size)

    def _confirmable(self, system: SystemId) -> list[PendingExport]:
        sent = (ExportState.EXPORTED, ExportState.UNCONFIRMED)
        return _by_id(
            one
            for one in self._tables.exports.values()
            if one.system_id == system
            and (one.state in sent or (one.state is ExportState.READY and one.sent_seq is not None))
        )


def _sent(export: PendingExport, cso: Cso) -> SentPicture:
    plain = tuple(row for row in export.rows if row.target_mvo_id is None)
    naming = tuple(row for row in export.rows if row.target_mvo_id is not None)
    return SentPicture(
        export.id, export.version, export.kind, plain, None, naming,
        cso.id, cso.type_id, cso.system_id, cso.mvo_id, cso.state, cso.partition, cso.anchor, cso.anchor_hash,
        cso.secondary, cso.secondary_hash, cso.doc, cso.change_seq, cso.link_version,
    )  # fmt: skip


def _by_id(exports: Iterable[PendingExport]) -> list[PendingExport]:
    return sorted(exports, key=lambda export: export.id)
