"""The step `confirm`: an import judges what an earlier export wrote.

Only objects that this run has read can confirm or refute, and only rows that were sent before it began (EXP-39). A
created object that a complete full import does not find refutes its create (EXP-48).
"""

from __future__ import annotations

import msgspec

from anabranch.engine.confirming import confirm, refute_create
from anabranch.import_worker.resolving import unresolved_items
from anabranch.import_worker.seen import are_seen, seen_hashes
from anabranch.model.changes import Changes, ErrorItem, Item
from anabranch.model.enums import CsoState, ExportKind
from anabranch.model.identity import CsoId, ExportId
from anabranch.model.objects import Cso, CsoRef, PendingExport, PendingRow
from anabranch.runtime.loading import refs_by_cso
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan, system_id
from anabranch.store.port import Reader


async def plan_confirm(task: Task) -> None:
    """Pending exports with sent rows, cut into ranges; the run's unresolved references are told."""
    changes = await unresolved_items(task)
    async with task.store.reader() as reader:
        ranges = await reader.confirmable_ranges(system_id(task), task.claimed.batch_size)
    await plan(task, batches_of(ranges), changes)


class _Loaded(msgspec.Struct, frozen=True):
    exports: list[PendingExport]
    csos: dict[CsoId, Cso]
    refs: dict[CsoId, list[CsoRef]]
    read: set[CsoId]


async def confirm_range(task: Task) -> None:
    """The range's sent rows are confirmed, refuted, or wait for an import that reads their object."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> _Loaded:
        found = await reader.confirmable_exports(system_id(task), ExportId(lo - 1), task.claimed.batch_size)
        exports = [one for one in found if one.id <= hi]
        csos = await reader.csos([one.cso_id for one in exports])
        refs = await refs_by_cso(reader, [cso.id for cso in csos])
        seen = await seen_hashes(reader, task.claimed.run)
        read: set[CsoId] = set()
        for type_id in {cso.type_id for cso in csos}:
            some = [cso for cso in csos if cso.type_id == type_id and cso.anchor_hash is not None]
            there = are_seen(b"".join(cso.anchor_hash or b"" for cso in some), seen.get(type_id))
            read |= {cso.id for cso, is_there in zip(some, there.tolist(), strict=True) if is_there}
        return _Loaded(exports, {cso.id: cso for cso in csos}, refs, read)

    await decide_and_commit(task, load, lambda loaded: _decide(task, loaded))


def _decide(task: Task, loaded: _Loaded) -> Changes:
    changes = Changes()
    for export in loaded.exports:
        cso = loaded.csos.get(export.cso_id)
        if cso is None or export.sent_seq is None or export.sent_seq > task.claimed.start_seq:
            continue
        if cso.type_id not in task.compiled.object_types:  # it is declared no more
            continue
        changes.expect_exports[export.id] = export.version
        attributes = task.compiled.object_types[cso.type_id][1].attributes
        if cso.id not in loaded.read:
            if export.kind is ExportKind.CREATE and cso.state is CsoState.PENDING_PROVISIONING:
                left = refute_create(export)
                changes.exports.append(left)
                _tell_refuted(changes, cso, left.rows)
            continue
        outcome = confirm(export, cso.doc, loaded.refs.get(cso.id, []), attributes)
        if outcome.left is None:
            changes.gone_exports.append(export.id)
            changes.item("export", Item(export.id, cso.anchor or "", "confirmed"))
        elif outcome.left != export:
            changes.exports.append(outcome.left)
            _tell_refuted(changes, cso, (*outcome.refuted, *outcome.exhausted))
        changes.count("rows_confirmed", outcome.confirmed)
        changes.count("rows_refuted", len(outcome.refuted) + len(outcome.exhausted))
    return changes


def _tell_refuted(changes: Changes, cso: Cso, rows: tuple[PendingRow, ...]) -> None:
    for kind, state, advice in (
        ("export_not_confirmed", "not_confirmed", "the next export sends it again"),
        ("confirmation_exhausted", "failed", "it is not sent again until the value or an operator changes it"),
    ):
        attrs = sorted({row.attr for row in rows if row.state.value == state})
        if attrs:
            message = f"the target does not hold what was sent for {', '.join(attrs)}; {advice}"
            changes.errors.append(
                ErrorItem(
                    space="cso", kind=kind, key=cso.anchor or "", message=message, type_id=cso.type_id, object_id=cso.id
                )
            )
