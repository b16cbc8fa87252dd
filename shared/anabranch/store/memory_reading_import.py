"""What an import and a connector space offer to a reader, from rows in one process.

The sets are the ones the PostgreSQL keeper's statements name; here each is a condition over all rows, plain enough to
be checked by eye, because this keeper is what the statements are measured against.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from math import ceil
from typing import Final

from anabranch.model.enums import CsoState
from anabranch.model.errors import Permanent
from anabranch.model.identity import CsoId, RunId, TypeId
from anabranch.model.objects import Cso, CsoRef, KeyHit, RawRef, SourceDigests, StagedRow
from anabranch.store.memory_tables import Tables
from anabranch.store.port import IdRange, ReferenceTargets, SecondaryConflict

BLOCK: Final = 1_000
_TABLES: Final = ("cso", "mvo", "export", "import_row")


class Sequences:
    """Numbers that only grow and are never given back, whatever becomes of the transaction that drew them."""

    def __init__(self) -> None:
        self.change_seq = 0
        self._blocks = dict.fromkeys(_TABLES, 0)
        self._rows: Counter[str] = Counter()

    def next_change(self) -> int:
        self.change_seq += 1
        return self.change_seq

    def next_row(self, table: str) -> int:
        """The next id of a table whose ids are drawn one by one, from 1."""
        self._rows[table] += 1
        return self._rows[table]

    def new_ids(self, table: str, count: int) -> list[int]:
        """Ids in blocks of 1,000; what is left of the last block is never used."""
        if table not in self._blocks:
            raise Permanent(f"table {table!r} has no block sequence; ids are drawn for {', '.join(_TABLES)}")
        first = self._blocks[table] + 1
        self._blocks[table] += ceil(max(count, 0) / BLOCK)
        return list(range(first * BLOCK, first * BLOCK + max(count, 0)))


def cut(ids: Iterable[int], size: int) -> list[IdRange]:
    """The ids cut into ranges of at most `size`, ascending."""
    ordered = sorted(ids)
    parts = [ordered[at : at + size] for at in range(0, len(ordered), size)]
    return [IdRange(part[0], part[-1], len(part)) for part in parts]


def resolvable(tables: Tables, targets: ReferenceTargets, lo: int, hi: int) -> Iterator[tuple[CsoId, str, str, CsoId]]:
    """Unresolved references of the range that lead to exactly one CSO now: (CSO, attribute, raw, target).

    Of several candidates those of the best kind count (IMP-28, IMP-31): not obsolete before obsolete, by anchor before
    by secondary id; two of that kind leave it unresolved.
    """
    by_anchor: defaultdict[tuple[TypeId, bytes | None], list[Cso]] = defaultdict(list)
    by_secondary: defaultdict[tuple[TypeId, bytes | None], list[Cso]] = defaultdict(list)
    for cso in tables.csos.values():
        by_anchor[cso.type_id, cso.anchor_hash].append(cso)
        by_secondary[cso.type_id, cso.secondary_hash].append(cso)
    for (cso_id, attr, raw), ref in sorted(tables.cso_refs.items(), key=lambda item: item[0]):
        allowed = targets.allowed.get((ref.type_id, attr))
        if allowed is None or ref.target is not None or not lo <= cso_id <= hi:
            continue
        found: defaultdict[int, set[CsoId]] = defaultdict(set)
        for type_id in allowed:
            for cso in by_anchor[type_id, ref.anchor_hash]:
                found[2 * (cso.state is CsoState.OBSOLETE)].add(cso.id)
            for cso in by_secondary[type_id, ref.secondary_hash]:
                found[2 * (cso.state is CsoState.OBSOLETE) + 1].add(cso.id)
        best = found[min(found)] if found else set()
        if len(best) == 1:
            yield cso_id, attr, raw, best.pop()


class MemoryImportReading:
    """The import's and the connector space's share of `Reader`."""

    _tables: Tables
    _sequences: Sequences

    async def new_ids(self, table: str, count: int) -> Sequence[int]:
        return self._sequences.new_ids(table, count)

    async def fingerprints(self, type_id: TypeId, partition: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
        return {
            cso.anchor_hash: cso.fingerprint
            for cso in self._of_type(type_id)
            if cso.anchor_hash in set(hashes) and cso.anchor_hash is not None and cso.fingerprint is not None
            if cso.partition == partition and cso.state is CsoState.NORMAL
        }

    async def source_digests(self, type_id: TypeId, partition: str, limit: int) -> SourceDigests:
        normal = (
            cso
            for cso in self._of_type(type_id)
            if cso.anchor_hash is not None and cso.partition == partition and cso.state is CsoState.NORMAL
        )
        some = list(islice(normal, limit))
        packed = [
            one.fingerprint[16:] + one.anchor_hash
            for one in some
            if one.anchor_hash is not None and one.fingerprint is not None and len(one.fingerprint) == 32
        ]
        return SourceDigests(b"".join(packed), len(some), max((one.change_seq for one in some), default=0))

    async def change_seq_now(self) -> int:
        return self._sequences.change_seq

    async def import_rows(self, run: RunId, lo: int, hi: int) -> list[StagedRow]:
        return sorted((row for row in self._staged(run) if lo <= row.id <= hi), key=lambda row: row.id)

    async def import_row_ranges(self, run: RunId, size: int) -> list[IdRange]:
        return cut((row.id for row in self._staged(run)), size)

    async def import_seen(self, run: RunId) -> AsyncIterator[tuple[str, TypeId, bytes]]:
        pages = sorted(item for item in self._tables.import_seen.items() if item[0][0] == run)
        for (_, partition, _, type_id), hashes in pages:
            yield partition, type_id, hashes

    async def verdicts(self, run: RunId, hashes: Sequence[bytes]) -> dict[tuple[TypeId, bytes], tuple[str, str]]:
        wanted = set(hashes)
        return {
            (type_id, anchor_hash): verdict
            for (of, type_id, anchor_hash), verdict in self._tables.verdicts.items()
            if of == run and anchor_hash in wanted
        }

    async def count_rejected_rows(self, run: RunId) -> dict[str, int]:
        found = (self._tables.verdicts.get((run, row.type_id, row.anchor_hash)) for row in self._staged(run))
        return dict(sorted(Counter(verdict[0] for verdict in found if verdict is not None).items()))

    async def unresolved_of_run(self, run: RunId) -> list[tuple[TypeId, str, int, str]]:
        staged = {(row.type_id, row.anchor_hash) for row in self._staged(run) if row.change != "delete"}
        concerned = {cso.id for cso in self._tables.csos.values() if (cso.type_id, cso.anchor_hash) in staged}
        unresolved: defaultdict[tuple[TypeId, str], list[str]] = defaultdict(list)
        for (cso_id, attr, raw), ref in self._tables.cso_refs.items():
            if cso_id in concerned and ref.target is None:
                unresolved[ref.type_id, attr].append(raw)
        return [(type_id, attr, len(raws), min(raws)) for (type_id, attr), raws in sorted(unresolved.items())]

    async def secondary_conflicts(self, run: RunId, type_ids: Sequence[TypeId]) -> list[SecondaryConflict]:
        normal = {
            (cso.type_id, cso.anchor_hash): cso for cso in self._tables.csos.values() if cso.state is CsoState.NORMAL
        }
        living = [
            row
            for row in self._staged(run)
            if row.type_id in type_ids and (run, row.type_id, row.anchor_hash) not in self._tables.verdicts
        ]
        final = {
            (row.type_id, row.anchor_hash, secondary)
            for row in living
            if row.change != "delete" and (secondary := _final_secondary(row, normal)) is not None
        }
        ending = Counter((type_id, secondary) for type_id, _, secondary in final)
        conflicts = {
            SecondaryConflict(type_id, anchor_hash)
            for type_id, anchor_hash, secondary in final
            if ending[type_id, secondary] > 1
        }
        moved = {(row.type_id, row.anchor_hash) for row in living}
        holders: defaultdict[tuple[TypeId, bytes], list[bytes]] = defaultdict(list)
        for key, cso in normal.items():
            if cso.secondary_hash is not None and cso.anchor_hash is not None and key not in moved:
                holders[cso.type_id, cso.secondary_hash].append(cso.anchor_hash)
        for type_id, anchor_hash, secondary in final:
            others = (holder for holder in holders[type_id, secondary] if holder != anchor_hash)
            conflicts.update(SecondaryConflict(type_id, anchor_hash, holder) for holder in others)
        return sorted(conflicts, key=lambda one: (one.type_id, one.anchor_hash, one.holder is None, one.holder or b""))

    async def csos_by_anchor(self, type_id: TypeId, hashes: Sequence[bytes]) -> list[Cso]:
        wanted = set(hashes)
        return _by_id(cso for cso in self._of_type(type_id) if cso.anchor_hash in wanted)

    async def csos_by_secondary(self, type_id: TypeId, hashes: Sequence[bytes]) -> list[Cso]:
        wanted = set(hashes)
        return _by_id(
            cso
            for cso in self._of_type(type_id)
            if cso.secondary_hash in wanted and cso.state is CsoState.PENDING_PROVISIONING
        )

    async def holders_of_secondary(self, type_id: TypeId, hashes: Sequence[bytes]) -> list[Cso]:
        wanted = set(hashes)
        return _by_id(
            cso for cso in self._of_type(type_id) if cso.secondary_hash in wanted and cso.state is not CsoState.OBSOLETE
        )

    async def present_hashes(self, type_id: TypeId, partition: str | None, max_seq: int) -> list[bytes]:
        return [
            cso.id.to_bytes(8, "big") + cso.anchor_hash
            for cso in self._of_type(type_id)
            if cso.state is CsoState.NORMAL and cso.anchor_hash is not None
            if cso.change_seq <= max_seq and partition in (None, cso.partition)
        ]

    async def unresolved_reference_ranges(self, targets: ReferenceTargets, size: int) -> list[IdRange]:
        return cut({cso_id for cso_id, *_ in resolvable(self._tables, targets, -(2**63), 2**63)}, size)

    # --- connector space

    async def csos(self, ids: Sequence[CsoId]) -> list[Cso]:
        found = (self._tables.csos.get(cso_id) for cso_id in set(ids))
        return _by_id(cso for cso in found if cso is not None)

    async def cso_refs(self, ids: Sequence[CsoId]) -> list[CsoRef]:
        wanted = set(ids)
        found = []
        for (cso_id, attr, raw), ref in sorted(self._tables.cso_refs.items(), key=lambda item: item[0]):
            if cso_id in wanted:
                target = self._tables.csos.get(ref.target) if ref.target is not None else None
                found.append(CsoRef(cso_id, attr, raw, ref.target, target.mvo_id if target is not None else None))
        return found

    async def raw_refs(self, ids: Sequence[CsoId], attrs: Sequence[str]) -> list[RawRef]:
        wanted, read = set(ids), set(attrs)
        return [
            RawRef(cso_id, attr, raw)
            for cso_id, attr, raw in sorted(key for key, _ in self._tables.cso_refs.items())
            if cso_id in wanted and attr in read
        ]

    async def cso_key_holders(self, type_id: TypeId, attr: str, hashes: Sequence[bytes]) -> list[KeyHit]:
        wanted = set(hashes)
        hits = [
            KeyHit(key_hash, row.key, cso_id, self._tables.csos[cso_id].mvo_id)
            for (cso_id, of, key_hash), row in self._tables.cso_keys.items()
            if of == attr and row.type_id == type_id and key_hash in wanted
        ]
        return sorted(hits, key=lambda hit: (hit.key_hash, hit.object_id))

    async def anchor_order(self, type_id: TypeId) -> array[int]:
        ordered = sorted(self._of_type(type_id), key=lambda cso: (cso.anchor is None, _c_order(cso.anchor), cso.id))
        return array("q", (cso.id for cso in ordered))

    def _of_type(self, type_id: TypeId) -> Iterator[Cso]:
        return (cso for cso in self._tables.csos.values() if cso.type_id == type_id)

    def _staged(self, run: RunId) -> Iterator[StagedRow]:
        return (row for (of, _), row in self._tables.import_rows.items() if of == run)


def _final_secondary(row: StagedRow, normal: dict[tuple[TypeId, bytes | None], Cso]) -> bytes | None:
    """What the object ends with: a partial entry, or one with values that could not be used, keeps what is stored."""
    if row.secondary_hash is not None or (row.change != "partial" and not row.kept):
        return row.secondary_hash
    stored = normal.get((row.type_id, row.anchor_hash))
    return stored.secondary_hash if stored is not None else None


def _by_id(csos: Iterable[Cso]) -> list[Cso]:
    return sorted(csos, key=lambda cso: cso.id)


def _c_order(text: str | None) -> bytes:
    return (text or "").encode()
