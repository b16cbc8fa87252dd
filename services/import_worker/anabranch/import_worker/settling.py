"""The steps `apply.propose` and `apply.settle`: what was staged meets what is stored.

Propose looks at the complete set: identities that came more than once are rejected, all of them, whatever pages they
came through (IMP-9), and so are objects that would end with one secondary id between them (IMP-34). Settle then writes
the differences, range by range and in parallel, because nothing is left that one range could take from another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from anabranch.engine.identifiers import reference_hashes
from anabranch.engine.importing import Settled, added_refs, settle
from anabranch.engine.keys import key_changes
from anabranch.import_worker.seen import Hashes, are_seen, seen_hashes
from anabranch.model.changes import Changes, CsoWrite, ErrorItem, Item, NewCso, RefChange, Verdict
from anabranch.model.configuration import ObjectType
from anabranch.model.enums import CsoState
from anabranch.model.identity import CsoId, SystemId, TypeId
from anabranch.model.objects import Cso, CsoRef, StagedRow
from anabranch.runtime.loading import refs_by_cso
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan, system_id
from anabranch.store.port import Reader, SecondaryConflict, Unit


async def propose_apply(task: Task) -> None:
    """Rejected identities are known; the counters say what their rejection takes from `unchanged`."""
    claimed = task.claimed
    changes = Changes()
    async with task.store.reader() as reader:
        for type_id, hashes in (await seen_hashes(reader, claimed.run)).items():
            for anchor_hash, count in hashes.repeated():
                message = f"{count} objects of one import have this identity; make the anchor unique in the source"
                changes.verdicts.append(Verdict(type_id, anchor_hash, "duplicate_anchor", message))
                changes.count("duplicates_read", count)
    types = [
        type_id
        for type_id in task.compiled.types_of(system_id(task))
        if task.compiled.object_types[type_id][1].secondary
    ]
    async with task.store.unit(claimed) as unit:
        await unit.persist(changes)
        if types:
            await _reject_secondary_conflicts(unit, task, types)
        staged = await unit.count_rejected_rows(claimed.run)
        unchanged = changes.counters.pop("duplicates_read", 0) - staged.get("duplicate_anchor", 0)
        counters = {"unchanged": -unchanged, "rejected": unchanged} if unchanged else {}
        await unit.seal()
        await unit.done(counters)


async def _reject_secondary_conflicts(unit: Unit, task: Task, types: Sequence[TypeId]) -> None:
    """Reject, and ask again until nothing more conflicts; an object that was not seen gives its secondary id up."""
    seen = await seen_hashes(unit, task.claimed.run)
    while found := _standing(await unit.secondary_conflicts(task.claimed.run, types), seen):
        message = "another object would end with the same secondary id; make it unique in the source"
        verdicts = [Verdict(one.type_id, one.anchor_hash, "secondary_id_conflict", message) for one in found]
        await unit.persist(Changes(verdicts=verdicts))


def _standing(found: Sequence[SecondaryConflict], seen: dict[TypeId, Hashes]) -> list[SecondaryConflict]:
    return [one for one in found if one.holder is None or bool(are_seen(one.holder, seen.get(one.type_id)).all())]


async def plan_settle(task: Task) -> None:
    """The staged rows, cut into ranges."""
    async with task.store.reader() as reader:
        ranges = await reader.import_row_ranges(task.claimed.run, task.claimed.batch_size)
    await plan(task, batches_of(ranges))


class _Loaded(msgspec.Struct, frozen=True):
    rows: list[StagedRow]
    stored: dict[tuple[TypeId, bytes], Cso]
    by_secondary: dict[tuple[TypeId, bytes], Cso]
    refs: dict[CsoId, list[CsoRef]]
    verdicts: dict[tuple[TypeId, bytes], tuple[str, str]]
    new_ids: list[int]


async def settle_rows(task: Task) -> None:
    """The range's differences are in the connector space."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> _Loaded:
        return await _load(task, reader, lo, hi)

    await decide_and_commit(task, load, lambda loaded: _decide(task, loaded))


async def _load(task: Task, reader: Reader, lo: int, hi: int) -> _Loaded:
    rows = await reader.import_rows(task.claimed.run, lo, hi)
    hashes: dict[TypeId, list[bytes]] = {}
    secondaries: dict[TypeId, list[bytes]] = {}
    for row in rows:
        hashes.setdefault(row.type_id, []).append(row.anchor_hash)
        if row.secondary_hash is not None:
            secondaries.setdefault(row.type_id, []).append(row.secondary_hash)
    stored: dict[tuple[TypeId, bytes], Cso] = {}
    for type_id, some in hashes.items():
        for cso in await reader.csos_by_anchor(type_id, some):
            if cso.anchor_hash is not None:
                stored[(type_id, cso.anchor_hash)] = cso
    by_secondary: dict[tuple[TypeId, bytes], Cso] = {}
    for type_id, some in secondaries.items():
        for cso in await reader.csos_by_secondary(type_id, some):
            if cso.secondary_hash is not None:
                by_secondary[(type_id, cso.secondary_hash)] = cso
    refs = await refs_by_cso(reader, [cso.id for cso in [*stored.values(), *by_secondary.values()]])
    verdicts = await reader.verdicts(task.claimed.run, [row.anchor_hash for row in rows])
    unknown = sum((row.type_id, row.anchor_hash) not in stored for row in rows)
    return _Loaded(rows, stored, by_secondary, refs, verdicts, list(await reader.new_ids("cso", unknown)))


def _decide(task: Task, loaded: _Loaded) -> Changes:
    changes = Changes()
    ids = iter(loaded.new_ids)
    sides = {type_id: _Side(task, type_id) for type_id in {row.type_id for row in loaded.rows}}
    for row in loaded.rows:
        identity = (row.type_id, row.anchor_hash)
        verdict = loaded.verdicts.get(identity) if loaded.verdicts else None
        if verdict is not None:
            kind, message = verdict
            changes.errors.append(
                ErrorItem(
                    space="source", kind=kind, key=row.anchor, message=f"{row.place}: {message}", type_id=row.type_id
                )
            )
            changes.count("rejected")
            continue
        stored = loaded.stored.get(identity)
        if stored is None and row.secondary_hash is not None:
            stored = loaded.by_secondary.get((row.type_id, row.secondary_hash))
        if stored is not None:
            refs = loaded.refs.get(stored.id, [])
            outcome = settle(row, stored, refs, sides[row.type_id].attributes)
            _write_known(changes, sides[row.type_id], row, stored, outcome)
        elif row.change == "delete":
            changes.count("ignored")
        else:
            _write_new(changes, sides[row.type_id], row, CsoId(next(ids)))
    changes.count("added", len(changes.new_csos))
    return changes


class _Side:
    """What is asked about the rows of one object type, looked up once a batch."""

    def __init__(self, task: Task, type_id: TypeId) -> None:
        self.task = task
        self.system = system_id(task)
        self.attributes = task.compiled.object_types[type_id][1].attributes
        self.keys = task.compiled.cso_key_attrs.get(type_id, frozenset())
        self._targets: dict[str, ObjectType] = {}
        self.sensitive = frozenset(name for name, one in self.attributes.items() if one.sensitive)

    def refer(
        self,
        changes: Changes,
        row: StagedRow,
        cso_id: CsoId,
        added: Mapping[str, tuple[str, ...]],
        removed: Mapping[str, tuple[str, ...]],
    ) -> None:
        """The differences in references, with the hashes they are found by."""
        for attr in sorted(added.keys() | removed.keys() if removed else added):
            add: tuple[tuple[str, bytes, bytes], ...] = ()
            if attr in added:  # one that is declared no more only goes
                target = self._target(row.type_id, attr)
                add = tuple([(raw, *reference_hashes(raw, target)) for raw in added[attr]])
            changes.cso_refs.append(RefChange(cso_id, row.type_id, attr, add, removed.get(attr, ())))

    def _target(self, type_id: TypeId, attr: str) -> ObjectType:
        if attr not in self._targets:
            self._targets[attr] = self.task.compiled.reference_target(type_id, attr)
        return self._targets[attr]

    def shown(self, values: Iterable[tuple[str, object, object]]) -> Iterator[tuple[str, object, object, None]]:
        """Value changes for the history; of a sensitive attribute only that it changed (AUD-13)."""
        for name, before, after in values:
            yield (name, None, "***", None) if name in self.sensitive else (name, before, after, None)


def _write_new(changes: Changes, side: _Side, row: StagedRow, cso_id: CsoId) -> None:
    """An identity nobody holds: an addition, whatever the source calls it (IMP-8)."""
    changes.new_csos.append(_new_cso(side.system, row, cso_id))
    if side.keys:
        changes.cso_keys.extend(key_changes(row.type_id, side.keys, cso_id, {}, row.doc))
    if row.refs:
        side.refer(changes, row, cso_id, added_refs(row), {})
    came = row.doc
    if not side.sensitive.isdisjoint(came):
        came = {name: "***" if name in side.sensitive else value for name, value in came.items()}
    changes.item("cso", Item(cso_id, row.anchor, "added", came=came))


def _write_known(changes: Changes, side: _Side, row: StagedRow, stored: Cso, outcome: Settled) -> None:
    # AUD-5 knows no such door: an object seen for the first time after its create is one that was updated.
    changes.count("updated" if outcome.change == "confirmed" else outcome.change)
    changes.expect_csos[stored.id] = (stored.change_seq, stored.link_version)
    if outcome.write:
        changes.csos.append(_written(row, stored, outcome))
    changes.cso_keys.extend(key_changes(row.type_id, side.keys, stored.id, stored.doc, outcome.doc))
    side.refer(changes, row, stored.id, outcome.add_refs, outcome.remove_refs)
    if outcome.change not in {"unchanged", "superseded", "ignored"}:
        changes.item("cso", Item(stored.id, row.anchor, outcome.change, tuple(side.shown(outcome.values))))


def _new_cso(system: SystemId, row: StagedRow, cso_id: CsoId) -> NewCso:
    return NewCso(
        id=cso_id,
        type_id=row.type_id,
        system_id=system,
        partition=row.partition,
        anchor=row.anchor,
        anchor_hash=row.anchor_hash,
        secondary=row.secondary,
        secondary_hash=row.secondary_hash,
        state=CsoState.NORMAL,
        doc=row.doc,
        fingerprint=row.fingerprint,
        refs_due=bool(row.refs),
    )


def _written(row: StagedRow, stored: Cso, outcome: Settled) -> CsoWrite:
    return CsoWrite(
        id=stored.id,
        partition=row.partition,
        anchor=row.anchor,
        anchor_hash=row.anchor_hash,
        secondary=row.secondary,
        secondary_hash=row.secondary_hash,
        state=CsoState.NORMAL,
        doc=outcome.doc,
        fingerprint=row.fingerprint,
        touch=outcome.touch,
    )
