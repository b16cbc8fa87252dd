"""What a batch writes, into rows in one process.

The same order as in PostgreSQL: metaverse, connector space, pending exports, what the run keeps, items. What leaves
goes first, so that a slot or an anchor given up in a commit may be taken in the same one; what an arrival or a
departure means for objects that refer to it comes last, so that nothing overwrites it. A key that is taken is a
collision, and the batch decides again.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from anabranch.model.changes import Changes, CsoLink, CsoWrite, KeyChange, MvoMark, MvoWrite, NewCso, NewMvo, RefChange
from anabranch.model.enums import CsoState, ExportState, JoinType, MvoState
from anabranch.model.identity import BatchId, CsoId, MvoId, RunId, SystemId, TypeId
from anabranch.model.objects import Cso, Mvo, Reservation
from anabranch.store.memory_packs import write_packs
from anabranch.store.memory_reading_import import Sequences, resolvable
from anabranch.store.memory_tables import ErrorRow, ItemPack, KeyRow, RefRow, Table, Tables, as_sent
from anabranch.store.port import Collision, ReferenceTargets

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_Owner = TypeVar("_Owner", CsoId, MvoId)


class MemoryWriter:
    """The data verbs of `Unit` over one transaction's layer."""

    def __init__(self, tables: Tables, sequences: Sequences, run: RunId, ordinal: int, batch: BatchId) -> None:
        self._tables = tables
        self._sequences = sequences
        self._run, self._ordinal, self._batch = run, ordinal, batch
        self._anchors: dict[tuple[TypeId, bytes | None], CsoId] = {}
        self._slots: dict[tuple[MvoId | None, SystemId], CsoId] = {}

    def persist(self, changes: Changes) -> None:
        """Everything is written into the layer. Raises Collision; the layer is then thrown away."""
        self._write_keyed(changes)
        self._write_metaverse(changes)
        self._write_space(changes)
        self._write_exports(changes)
        write_packs(self._tables, self._sequences, changes)
        self._write_run_data(changes)
        self._write_items(changes)

    # --- metaverse

    def _write_keyed(self, changes: Changes) -> None:
        gone = set(changes.unkeyed)
        if gone:
            _forget_keys(self._tables.match_keys, gone)
            _forget_keys(self._tables.cso_keys, gone)
        for one in gone:
            self._tables.keyed.remove(one)
        for one in changes.keyed:
            self._tables.keyed.put(one, True)

    def _write_metaverse(self, changes: Changes) -> None:
        for new in changes.new_mvos:
            _insert(self._tables.mvos, new.id, self._new_mvo(new), "mvo")
        for write in changes.mvos:
            self._write_mvo(write)
        for mark in changes.mvo_marks:
            self._mark_mvo(mark)
        self._write_keys(self._tables.match_keys, changes.match_keys, "match_key")
        for removed in changes.remove_mvo_refs:
            self._tables.mvo_refs.remove(removed)
        for ref in changes.add_mvo_refs:
            _insert(self._tables.mvo_refs, (ref.mvo_id, ref.attr, ref.target_mvo_id), ref, "mvo_ref")
        self._write_reservations(changes)
        self._forget_mvos(set(changes.gone_mvos))

    def _new_mvo(self, new: NewMvo) -> Mvo:
        return Mvo(
            id=new.id,
            type_id=new.type_id,
            origin_key=new.origin_key,
            state=MvoState.ACTIVE,
            delete_after=None,
            deletion=None,
            doc=as_stored(new.doc),
            provenance=as_stored(new.provenance),
            evaluated=new.evaluated,
            outbound_due=new.outbound_due,
            outbound_stamp=new.outbound_stamp,
            outbound_version=new.outbound_version,
            change_seq=self._sequences.next_change(),
        )

    def _write_mvo(self, write: MvoWrite) -> None:
        old = self._tables.mvos.get(write.id)
        if old is None:
            return
        mvo = replace(
            old,
            state=write.state,
            delete_after=write.delete_after,
            deletion=as_stored(write.deletion),
            doc=as_stored(write.doc),
            provenance=as_stored(write.provenance),
            evaluated=write.evaluated,
            outbound_due=write.outbound_due,
            outbound_stamp=write.outbound_stamp,
            outbound_version=write.outbound_version,
            change_seq=self._sequences.next_change() if write.touch else old.change_seq,
        )
        self._tables.mvos.put(write.id, mvo)
        _put_or_remove(self._tables.mvo_turns, write.id, write.outbound_turns_at)
        parted_in = self._tables.mvo_parted.get(write.id)
        if write.parted_in is not None and (parted_in is None or not self._tables.may_be_joined_again(parted_in)):
            self._tables.mvo_parted.put(write.id, write.parted_in)

    def _mark_mvo(self, mark: MvoMark) -> None:
        old = self._tables.mvos.get(mark.id)
        if old is not None:
            due, stamp, version = mark.outbound_due, mark.outbound_stamp, mark.outbound_version
            number = self._sequences.next_change() if mark.touch else old.change_seq
            marked = replace(old, outbound_due=due, outbound_stamp=stamp, outbound_version=version, change_seq=number)
            self._tables.mvos.put(mark.id, marked)
            _put_or_remove(self._tables.mvo_turns, mark.id, mark.outbound_turns_at)

    def _write_keys(self, table: Table[Any, KeyRow], keys: Sequence[KeyChange], name: str) -> None:
        for one in keys:
            for key_hash, _ in one.remove:
                table.remove((one.object_id, one.attr, key_hash))
        for one in keys:
            for key_hash, key in one.add:
                _insert(table, (one.object_id, one.attr, key_hash), KeyRow(one.type_id, key), name)

    def _write_reservations(self, changes: Changes) -> None:
        table = self._tables.reservations
        for mvo, names in changes.release_reservations:
            for key, held in table.items():
                if held.mvo_id == mvo and held.name in names:
                    table.put(key, Reservation(held.name, held.value_hash, held.value, None, names[held.name]))
        for drawn in changes.reservations:
            present = table.get((drawn.name, drawn.value_hash))
            if present is not None and present.mvo_id not in (None, drawn.mvo_id):
                raise Collision("reservation")
            table.put((drawn.name, drawn.value_hash), drawn)

    def _forget_mvos(self, gone: set[MvoId]) -> None:
        """Their CSOs stay, unjoined and released; who referred to them owes an outbound evaluation (SYN-61, SYN-62)."""
        if not gone:
            return
        for cso in self._tables.csos.values():
            if cso.mvo_id in gone:
                self._release(cso)
        for match_key in [key for key, _ in self._tables.match_keys.items() if key[0] in gone]:
            self._tables.match_keys.remove(match_key)
        bereft = set()
        for ref_key, ref in list(self._tables.mvo_refs.items()):
            if ref.mvo_id in gone or ref.target_mvo_id in gone:
                self._tables.mvo_refs.remove(ref_key)
                bereft.add(ref.mvo_id)
        for mvo_id in sorted(bereft - gone):
            mvo = self._tables.mvos[mvo_id]
            self._tables.mvos.put(mvo_id, replace(mvo, outbound_due=True, change_seq=self._sequences.next_change()))
        for mvo_id in gone:
            self._tables.mvos.remove(mvo_id)
            self._tables.mvo_turns.remove(mvo_id)
            self._tables.mvo_parted.remove(mvo_id)

    def _release(self, cso: Cso) -> None:
        self._tables.csos.put(
            cso.id,
            replace(
                cso,
                mvo_id=None,
                join_type=JoinType.NONE,
                join_rule=None,
                contributions=None,
                released=True,
                link_version=cso.link_version + 1,
            ),
        )

    # --- connector space

    def _write_space(self, changes: Changes) -> None:
        fallen = self._forget_csos(set(changes.gone_csos))
        left = {link.cso_id: link for link in changes.links}
        for link in changes.links:
            cso = self._tables.csos.get(link.cso_id)
            if cso is not None and cso.mvo_id != link.mvo_id:
                self._tables.csos.put(cso.id, replace(cso, mvo_id=None))
        self._anchors = {(one.type_id, one.anchor_hash): one.id for one in self._tables.csos.values()}
        self._slots = {(one.mvo_id, one.system_id): one.id for one in self._tables.csos.values()}
        for new in changes.new_csos:
            self._add_cso(new)
        for link in left.values():
            self._write_link(link)
        for write in changes.csos:
            self._write_cso(write)
        for cso_id in changes.obsolete_csos:
            self._obsolete(cso_id)
        self._write_references(changes.cso_refs)
        self._write_keys(self._tables.cso_keys, changes.cso_keys, "cso_key")
        for cso_id in sorted(fallen):
            self._touch_fallen(cso_id)
        self._mark_references_due(set(changes.joined_csos))

    def _forget_csos(self, gone: set[CsoId]) -> set[CsoId]:
        """With link, references, keys and pending exports; who referred to them fell back to the raw identifier."""
        fallen: set[CsoId] = set()
        if not gone:
            return fallen
        for key, ref in list(self._tables.cso_refs.items()):
            if key[0] in gone:
                self._tables.cso_refs.remove(key)
            elif ref.target in gone:
                self._tables.cso_refs.put(key, replace(ref, target=None))
                fallen.add(key[0])
        for own in [key for key, _ in self._tables.cso_keys.items() if key[0] in gone]:
            self._tables.cso_keys.remove(own)
        for export in [one for one in self._tables.exports.values() if one.cso_id in gone]:
            self._tables.exports.remove(export.id)
        for cso_id in gone:
            self._tables.csos.remove(cso_id)
            self._tables.cso_turns.remove(cso_id)
        return fallen

    def _add_cso(self, new: NewCso) -> None:
        self._check_anchor(new.id, (new.type_id, new.anchor_hash))
        self._check_slot(new.id, (new.mvo_id, new.system_id))
        number = self._sequences.next_change()
        cso = Cso(
            id=new.id,
            type_id=new.type_id,
            system_id=new.system_id,
            partition=new.partition,
            anchor=new.anchor,
            anchor_hash=new.anchor_hash,
            secondary=new.secondary,
            secondary_hash=new.secondary_hash,
            state=new.state,
            doc=as_stored(new.doc),
            fingerprint=new.fingerprint,
            change_seq=number,
            mvo_id=new.mvo_id,
            join_type=new.join_type,
            join_rule=new.join_rule,
            link_version=0,
            synced_seq=number if new.synced else 0,
            rule_stamp=0,
            config_version=0,
            contributions=None,
            refs_due=new.refs_due,
            failed=False,
            released=False,
        )
        _insert(self._tables.csos, new.id, cso, "cso")

    def _write_link(self, link: CsoLink) -> None:
        cso = self._tables.csos.get(link.cso_id)
        if cso is None:
            return
        self._check_slot(cso.id, (link.mvo_id, cso.system_id))
        self._tables.csos.put(
            cso.id,
            replace(
                cso,
                mvo_id=link.mvo_id,
                join_type=link.join_type,
                join_rule=link.join_rule,
                synced_seq=link.synced_seq,
                rule_stamp=link.rule_stamp,
                config_version=link.config_version,
                contributions=as_stored(link.contributions),
                refs_due=link.refs_due,
                failed=link.failed,
                released=link.released,
                link_version=cso.link_version + 1,
            ),
        )
        _put_or_remove(self._tables.cso_turns, cso.id, link.turns_at)
        if link.settled_in is not None:
            self._tables.settled_in.put(cso.id, link.settled_in)

    def _write_cso(self, write: CsoWrite) -> None:
        old = self._tables.csos.get(write.id)
        if old is None:
            return
        self._check_anchor(write.id, (old.type_id, write.anchor_hash))
        number = self._sequences.next_change() if write.touch else old.change_seq
        self._tables.csos.put(
            write.id,
            replace(
                old,
                partition=write.partition,
                anchor=write.anchor,
                anchor_hash=write.anchor_hash,
                secondary=write.secondary,
                secondary_hash=write.secondary_hash,
                state=write.state,
                doc=as_stored(write.doc),
                fingerprint=write.fingerprint,
                change_seq=number,
                synced_seq=number if write.touch and write.synced else old.synced_seq,
            ),
        )

    def _obsolete(self, cso_id: CsoId) -> None:
        cso = self._tables.csos.get(cso_id)
        if cso is not None:
            number = self._sequences.next_change()
            self._tables.csos.put(cso_id, replace(cso, state=CsoState.OBSOLETE, change_seq=number))

    def _write_references(self, changes: Sequence[RefChange]) -> None:
        for one in changes:
            for raw in one.remove:
                self._tables.cso_refs.remove((one.cso_id, one.attr, raw))
        for one in changes:
            known = dict(one.targets)
            for raw, by_anchor, by_secondary in one.add:
                row = RefRow(one.type_id, by_anchor, by_secondary, known.get(raw))
                _insert(self._tables.cso_refs, (one.cso_id, one.attr, raw), row, "cso_ref")

    def _touch_fallen(self, cso_id: CsoId) -> None:
        cso = self._tables.csos[cso_id]
        cso = replace(cso, refs_due=cso.refs_due or cso.mvo_id is not None)
        if cso.change_seq > cso.synced_seq or cso.failed:  # due as it is: a new number would be younger than the run
            self._tables.csos.put(cso_id, replace(cso, link_version=cso.link_version + 1))
        else:
            self._tables.csos.put(cso_id, replace(cso, change_seq=self._sequences.next_change()))

    def _mark_references_due(self, joined: set[CsoId]) -> None:
        if not joined:
            return
        for cso_id in {key[0] for key, ref in self._tables.cso_refs.items() if ref.target in joined}:
            cso = self._tables.csos[cso_id]
            if cso.mvo_id is not None and not cso.refs_due:
                self._tables.csos.put(cso_id, replace(cso, refs_due=True, link_version=cso.link_version + 1))

    def _check_anchor(self, cso_id: CsoId, key: tuple[TypeId, bytes | None]) -> None:
        if key[1] is not None and self._anchors.setdefault(key, cso_id) != cso_id:
            raise Collision("cso")

    def _check_slot(self, cso_id: CsoId, key: tuple[MvoId | None, SystemId]) -> None:
        if key[0] is not None and self._slots.setdefault(key, cso_id) != cso_id:
            raise Collision("cso_sync")

    def resolve_references(self, targets: ReferenceTargets, lo: CsoId, hi: CsoId) -> int:
        """References that lead to exactly one CSO now point to it; how many."""
        found = list(resolvable(self._tables, targets, lo, hi))
        for cso_id, attr, raw, target in found:
            row = self._tables.cso_refs[cso_id, attr, raw]
            self._tables.cso_refs.put((cso_id, attr, raw), replace(row, target=target))
        for cso_id in sorted({one[0] for one in found}):
            cso = self._tables.csos[cso_id]
            quiet = cso.change_seq <= cso.synced_seq
            number = self._sequences.next_change() if quiet else cso.change_seq
            due = cso.refs_due or cso.mvo_id is not None
            link = cso.link_version + (1 if quiet or due is not cso.refs_due else 0)
            self._tables.csos.put(cso_id, replace(cso, change_seq=number, refs_due=due, link_version=link))
        return len(found)

    # --- pending exports

    def _write_exports(self, changes: Changes) -> None:
        for sent in changes.sent_exports:
            if (one := self._tables.exports.get(sent)) is not None:
                self._tables.exports.put(sent, as_sent(one, changes.sent_seq))
        for gone in changes.gone_exports:
            self._tables.exports.remove(gone)
        owners = {one.cso_id for one in self._tables.exports.values()} if changes.exports else set()
        for one in changes.exports:
            present = self._tables.exports.get(one.id)
            if one.version and present is None:
                continue
            if not one.version and (present is not None or one.cso_id in owners):
                raise Collision("pending_export")
            owners.add(one.cso_id)
            # As in PostgreSQL: plain rows in their order, then those that name an MVO, by attribute.
            plain = [replace(row, value=as_stored(row.value)) for row in one.all_rows() if row.target_mvo_id is None]
            naming = [row for row in one.rows if row.target_mvo_id is not None]
            rows = (*plain, *sorted(naming, key=lambda row: (row.attr, row.target_mvo_id or 0, row.raw)))
            version = present.version + 1 if present is not None else 1
            self._tables.exports.put(one.id, replace(one, rows=rows, sets=None, version=version))
        self._wake_exports(set(changes.arrived))

    def _wake_exports(self, arrived: set[tuple[SystemId, MvoId]]) -> None:
        """What waited for objects that a target has now is executable at once."""
        for one in list(self._tables.exports.values()) if arrived else []:
            if one.waiting and any((one.system_id, row.target_mvo_id) in arrived for row in one.rows):
                state = ExportState.READY if one.state is ExportState.EXPORTED else one.state
                self._tables.exports.put(one.id, replace(one, waiting=False, state=state, version=one.version + 1))

    # --- what the run keeps, and its results

    def _write_run_data(self, changes: Changes) -> None:
        run, tables = self._run, self._tables
        discarded = set(changes.discard_partitions)
        if discarded:
            for row_key in [
                key for key, row in tables.import_rows.items() if key[0] == run and row.partition in discarded
            ]:
                tables.import_rows.remove(row_key)
            for page_key in [key for key, _ in tables.import_seen.items() if key[0] == run and key[1] in discarded]:
                tables.import_seen.remove(page_key)
        for row in changes.import_rows:
            kept = replace(row, doc=as_stored(row.doc), refs=as_stored(row.refs), kept=tuple(row.kept))
            _insert(tables.import_rows, (run, row.id), kept, "import_row")
        for seen in changes.import_seen:
            _insert(tables.import_seen, (run, seen.partition, seen.page, seen.type_id), seen.hashes, "import_seen")
        for verdict in changes.verdicts:
            key = (run, verdict.type_id, verdict.anchor_hash)
            if key not in tables.verdicts:
                tables.verdicts.put(key, (verdict.kind, verdict.message))
        for proposal in changes.proposals:
            one = replace(proposal, body=as_stored(proposal.body))
            _insert(tables.proposals, (run, one.kind, one.object_id), one, "proposal")
        for pack in changes.proposal_packs:
            _insert(tables.proposal_packs, (run, pack.kind, self._batch), pack, "proposal_pack")
        for op in changes.guard_ops:
            _insert(tables.guard_ops, (run, op.point, op.object_id), op, "guard_op")

    def _write_items(self, changes: Changes) -> None:
        packs = {space: tuple(item.spelled_out() for item in items) for space, items in changes.items.items() if items}
        page = max((key[1] + 1 for key, _ in self._tables.item_packs.items() if key[0] == self._batch), default=0)
        for space, items in packs.items():
            self._tables.item_packs.put((self._batch, page, space), ItemPack(self._run, self._ordinal, items))
        for error in changes.errors:
            row = ErrorRow(self._run, self._ordinal, self._batch, error)
            self._tables.errors.put(self._sequences.next_row("run_error"), row)

    def number_proposals(self, run: RunId, kind: str, objects: Sequence[int]) -> None:
        """The proposals of these objects are numbered from 1 in the order given."""
        for n, object_id in enumerate(objects, start=1):
            key = (run, kind, object_id)
            self._tables.proposals.put(key, replace(self._tables.proposals[key], n=n))

    def purge_finished_runs(self) -> None:
        """Nothing is left of what ended runs kept while they worked."""
        tables = self._tables
        ended = {run.id for run in tables.runs.values() if run.ended_at is not None}
        _remove_of_runs(tables.import_rows, ended)
        _remove_of_runs(tables.import_seen, ended)
        _remove_of_runs(tables.verdicts, ended)
        _remove_of_runs(tables.proposals, ended)
        _remove_of_runs(tables.proposal_packs, ended)


def _remove_of_runs(table: Table[Any, Any], runs: set[RunId]) -> None:
    for key in [key for key, _ in table.items() if key[0] in runs]:
        table.remove(key)


def as_stored(value: V) -> V:
    """A copy that has been through JSON, as a document comes back from a database: nobody's later change reaches it,
    and what JSON cannot say does not get in."""
    copy: V = msgspec.json.decode(msgspec.json.encode(value))
    return copy


def _insert(table: Table[K, V], key: K, row: V, name: str) -> None:
    if key in table:
        raise Collision(name)
    table.put(key, row)


def _put_or_remove(table: Table[K, V], key: K, row: V | None) -> None:
    if row is None:
        table.remove(key)
    else:
        table.put(key, row)


def _forget_keys(table: Table[tuple[_Owner, str, bytes], KeyRow], gone: set[tuple[TypeId, str]]) -> None:
    for key in [key for key, row in table.items() if (row.type_id, key[1]) in gone]:
        table.remove(key)
