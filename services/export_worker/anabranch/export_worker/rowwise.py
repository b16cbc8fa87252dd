"""A target that is written object by object.

A batch takes its pending exports in one committed step, so that everybody sees what is being sent, calls the target,
and records each outcome. What a lost worker left `exporting` is simply sent again, word for word: only targets whose
writes can be repeated are written this way (EXP-27). What is sent must not depend on who is sending what at the moment,
so exports that are under way count like those that are yet to be sent.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from anabranch.connectors.port import ChangeRow, ExportBatch, ExportChange, Outcome, OutcomeStatus
from anabranch.export_worker.declared import exports_with_declared
from anabranch.export_worker.identifiers import CountedHere, Identifiers, identifier_of
from anabranch.export_worker.loading import LoadedExports, load_exports, raw_value
from anabranch.export_worker.results import record_failure, record_success, resolvable
from anabranch.model.changes import Changes
from anabranch.model.enums import ExportKind, ExportState, RowOp
from anabranch.model.identity import CsoId, ExportId
from anabranch.model.objects import Cso, CsoRef, PendingExport
from anabranch.runtime.connecting import open_connector
from anabranch.runtime.work import Task, decide_and_commit, system_id, write
from anabranch.store.port import Reader

_FIRST_OFFERED = ("export", "deletes")
"""The steps in which an export of the run is up for the first time, and is counted whatever becomes of it."""


class _Sending(msgspec.Struct, frozen=True):
    exports: list[PendingExport]
    csos: dict[CsoId, Cso]
    refs: dict[CsoId, list[CsoRef]]
    changes: tuple[ExportChange, ...]


async def write_objects(task: Task) -> None:
    """The batch's exports have reached the target, or say why not."""
    system = system_id(task)
    ids = [ExportId(one) for one in task.claimed.payload["exports"]]
    identifiers = Identifiers(task, system, CountedHere(system, task.claimed.run))
    offered = len(ids)
    ids = await _take(task, ids)
    async with task.store.reader() as reader:
        sending = await _prepare(task, reader, ids, identifiers)
    outcomes: dict[ExportId, Outcome] = {}
    confirmed = False
    if sending.changes:
        async with open_connector(task) as target:
            confirmed = target.capabilities.self_confirming or target.capabilities.journal
            task.hold.check()
            answers = await target.apply(
                ExportBatch(
                    run=task.claimed.run,
                    step=task.claimed.ordinal,
                    batch=task.claimed.batch,
                    claim=task.claimed.claim,
                    changes=sending.changes,
                    parts_of=tuple(task.claimed.payload.get("parts_of", ())),
                )
            )
        outcomes = dict(zip((one.id for one in sending.exports), answers, strict=True))
    waiting = offered - len(ids) if task.claimed.step in _FIRST_OFFERED else 0
    await _record(task, ids, identifiers, outcomes, waiting, confirmed=confirmed)


async def _take(task: Task, ids: Sequence[ExportId]) -> list[ExportId]:
    """Those of the exports that may be sent now are `exporting`, in a committed step of their own. One that is no
    longer what this run counted, with the operation it counted, waits for the next (EXP-47)."""
    system, run = system_id(task), task.claimed.run

    async def load(reader: Reader) -> list[PendingExport]:
        found = exports_with_declared(task, await reader.exports(ids))
        counted = await reader.counted_exports_of(system, run, [one.cso_id for one in found])
        return [one for one in found if one.id in counted]

    def decide(exports: list[PendingExport]) -> Changes:
        changes = Changes()
        for one in exports:
            if one.state in {ExportState.READY, ExportState.UNCONFIRMED}:
                changes.expect_exports[one.id] = one.version
                changes.exports.append(msgspec.structs.replace(one, state=ExportState.EXPORTING))
        return changes

    async with task.store.reader() as reader:
        loaded = await load(reader)
        changes = decide(loaded)
    if changes.exports:
        async with task.store.unit(task.claimed) as unit:
            changes = await write(unit, load, decide, changes)
            await unit.advance({"taken": True}, {})
    async with task.store.reader() as reader:
        return [one.id for one in await load(reader) if one.state is ExportState.EXPORTING]


async def _prepare(task: Task, reader: Reader, ids: Sequence[ExportId], identifiers: Identifiers) -> _Sending:
    page = await load_exports(task, reader, ids, identifiers)
    exports: list[PendingExport] = []
    changes: list[ExportChange] = []
    for export in page.exports:
        cso = page.csos[export.cso_id]
        change = _change(task, cso, export, identifiers)
        if change is not None:
            exports.append(export)
            changes.append(change)
    return _Sending(exports, page.csos, page.refs, tuple(changes))


def _change(task: Task, cso: Cso, export: PendingExport, identifiers: Identifiers) -> ExportChange | None:
    record = task.compiled.object_types[cso.type_id][1]
    rows = resolvable(export.rows, identifiers)[0]
    if not rows and export.kind is not ExportKind.DELETE:
        return None
    known = cso.anchor_hash is not None
    kind = ExportKind.UPDATE if export.kind is ExportKind.CREATE and known else export.kind
    grouped: dict[tuple[str, RowOp], list[str | bytes]] = {}
    for row in rows:
        values = grouped.setdefault((row.attr, row.op), [])
        if row.op is not RowOp.CLEAR:
            values.append(row.raw or raw_value(row.value))
    after = identifier_of(task, cso, export)
    before = identifier_of(task, cso, None) if known else after
    return ExportChange(
        kind=kind,
        object_type=record.key,
        anchor=cso.anchor or "",
        key=f"{cso.system_id}:{cso.id}:{export.version}",
        rows=tuple(ChangeRow(attr, op, tuple(grouped[attr, op])) for attr, op in sorted(grouped, key=_clear_first)),
        identifier=before,
        new_identifier=after if known and after != before else None,
    )


async def _record(
    task: Task,
    ids: Sequence[ExportId],
    identifiers: Identifiers,
    outcomes: dict[ExportId, Outcome],
    waiting: int,
    *,
    confirmed: bool,
) -> None:
    async def load(reader: Reader) -> LoadedExports:
        return await load_exports(task, reader, ids, identifiers)

    def decide(loaded: LoadedExports) -> Changes:
        changes = Changes()
        changes.count("waiting", waiting)
        for export in loaded.exports:
            cso = loaded.csos[export.cso_id]
            outcome = outcomes.get(export.id)
            if outcome is None:
                changes.expect_exports[export.id] = export.version
                changes.exports.append(msgspec.structs.replace(export, state=ExportState.READY))
            elif outcome.status is OutcomeStatus.OK or (
                outcome.status is OutcomeStatus.GONE and export.kind is ExportKind.DELETE
            ):
                refs = loaded.refs.get(cso.id, [])
                record_success(task, changes, cso, refs, export, identifiers, loaded.sent_seq, confirmed=confirmed)
            else:
                record_failure(task, changes, cso, export, outcome)
        return changes

    await decide_and_commit(task, load, decide)


def _clear_first(key: tuple[str, RowOp]) -> tuple[str, bool, RowOp]:
    """By attribute; what is added beside a clear is written after it (EXP-6)."""
    return key[0], key[1] is not RowOp.CLEAR, key[1]
