"""A target that is one file: written whole, once a run, by one batch.

The stored objects, merged with what this run exports, stream in anchor order into a temporary file that then replaces
the old one; all of that happens outside any transaction. Its bytes depend on state alone, so whoever has to repeat the
work writes the same file. Only then the results are committed, page by page, each page under the fence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from anabranch.connectors.port import Connector, FailureClass, Outcome, OutcomeStatus, RawValue, TargetObject
from anabranch.engine.exporting import apply_rows
from anabranch.export_worker.identifiers import Identifiers, identifier_in
from anabranch.export_worker.results import record_failure, record_success, reference_deltas, resolvable
from anabranch.model.changes import Changes
from anabranch.model.enums import CsoState, ExportKind
from anabranch.model.identity import CsoId, ExportId, MvoId, TypeId
from anabranch.model.objects import Cso, CsoRef, PendingExport, PendingRow
from anabranch.runtime.connecting import open_connector
from anabranch.runtime.loading import refs_by_cso
from anabranch.runtime.work import Task, system_id, write
from anabranch.store.port import Reader

_PAGE = 2000
_RESULTS = 5000


async def write_file(task: Task) -> None:
    """The file holds what it shall, and every counted export has its result."""
    system = system_id(task)
    async with task.store.reader() as reader:
        found = await reader.executable_exports(system, task.claimed.run)
    counted = {export_id for export_id, _, _ in found}
    identifiers = Identifiers(task, system, counted)
    written = _Written()
    async with open_connector(task) as target:
        writer = _Writer(task, target, counted, identifiers, written)
        receipt = await target.replace(writer.objects(), task.claimed.claim, task.claimed.batch, task.hold.check)
        confirmed = target.capabilities.self_confirming
    for one in receipt.rejected:
        written.rejected[one.object_type, one.anchor] = _rejected(one.kind, one.message)
    await _record(task, sorted(counted), identifiers, written, confirmed=confirmed)


class _Written:
    """What the file was written from: the version of each export it carries out, and what it could not take."""

    def __init__(self) -> None:
        self.versions: dict[ExportId, int] = {}
        self.refused: dict[ExportId, Outcome] = {}
        self.rejected: dict[tuple[str, str], Outcome] = {}
        """By object type and anchor: refused only when the whole file was known, such as a name given twice."""

    def outcome(self, export: PendingExport, object_type: str, anchor: str) -> Outcome | None:
        """Why the export is not in the file, or None."""
        return self.refused.get(export.id) or self.rejected.get((object_type, anchor))


def _rejected(kind: str, message: str) -> Outcome:
    return Outcome(status=OutcomeStatus.REJECTED, failure_class=FailureClass.PERMANENT, kind=kind, message=message)


class _Candidate(msgspec.Struct, frozen=True):
    cso: Cso
    refs: list[CsoRef]
    export: PendingExport | None


class _Writer:
    """Streams the target's objects as they shall be; remembers which exports the target cannot hold."""

    def __init__(
        self,
        task: Task,
        target: Connector,
        counted: set[ExportId],
        identifiers: Identifiers,
        written: _Written,
    ) -> None:
        self._task = task
        self._target = target
        self._counted = counted
        self._identifiers = identifiers
        self._written = written

    async def objects(self) -> AsyncIterator[TargetObject]:
        """Every object of the target, type by type in declared order, in anchor order within a type."""
        system = self._task.compiled.system_of(self._task.claimed)
        for record in system.object_types.values():
            if record.selected:
                type_id = self._task.compiled.registry.object_types[(system.key, record.key)]
                async for one in self._of_type(type_id):
                    yield one

    async def _of_type(self, type_id: TypeId) -> AsyncIterator[TargetObject]:
        async with self._task.store.reader() as reader:
            ids = await reader.anchor_order(type_id)
        rivals: list[_Candidate] = []
        for start in range(0, len(ids), _PAGE):
            self._task.hold.progress()
            for candidate in await self._page([CsoId(one) for one in ids[start : start + _PAGE]]):
                if rivals and rivals[0].cso.anchor != candidate.cso.anchor:
                    for wanted in await self._settle(rivals):
                        yield wanted
                    rivals = []
                rivals.append(candidate)
        for wanted in await self._settle(rivals):
            yield wanted

    async def _page(self, ids: Sequence[CsoId]) -> list[_Candidate]:
        async with self._task.store.reader() as reader:
            by_id = {cso.id: cso for cso in await reader.csos(ids)}
            exports = {one.cso_id: one for one in await reader.exports_of(ids) if one.id in self._counted}
            refs = await refs_by_cso(reader, ids)
            await self._identifiers.learn(reader, [ref for some in refs.values() for ref in some], exports.values())
        self._written.versions.update((one.id, one.version) for one in exports.values())
        return [
            _Candidate(by_id[one], refs.get(one, []), exports.get(one))
            for one in ids
            if one in by_id and self._belongs(by_id[one], exports.get(one))
        ]

    def _belongs(self, cso: Cso, export: PendingExport | None) -> bool:
        """True for what is in the file after this run: not what is deleted, nor what was never created."""
        if cso.state is CsoState.OBSOLETE or (export is not None and export.kind is ExportKind.DELETE):
            return False
        accepted = cso.state is CsoState.NORMAL or cso.anchor_hash is not None
        return accepted or export is not None

    async def _settle(self, rivals: list[_Candidate]) -> list[TargetObject]:
        """One object an anchor: the one that is there already, else the create that is lowest in canonical order."""
        if len(rivals) > 1:
            rivals = await self._in_order(rivals)
        wanted: list[TargetObject] = []
        for candidate in rivals:
            if wanted:
                self._refuse(candidate, "already_exists", "another object of the target has this anchor")
                continue
            made = self._make(candidate, candidate.export)
            if candidate.export is not None and (rejection := self._target.refusal(made)) is not None:
                self._refuse(candidate, rejection.kind, rejection.message)
                if candidate.cso.anchor_hash is None:
                    continue
                made = self._make(candidate, None)
            wanted.append(made)
        return wanted

    async def _in_order(self, rivals: list[_Candidate]) -> list[_Candidate]:
        ids = sorted({one.cso.mvo_id for one in rivals if one.cso.mvo_id is not None})
        async with self._task.store.reader() as reader:
            origins: dict[MvoId, str] = {mvo.id: mvo.origin_key for mvo in await reader.mvos(ids)}

        def order(one: _Candidate) -> tuple[bool, str]:
            origin = origins.get(one.cso.mvo_id, "") if one.cso.mvo_id is not None else ""
            return (one.cso.anchor_hash is None, origin)

        return sorted(rivals, key=order)

    def _refuse(self, candidate: _Candidate, kind: str, message: str) -> None:
        if candidate.export is not None:
            self._written.refused[candidate.export.id] = _rejected(kind, message)

    def _make(self, candidate: _Candidate, export: PendingExport | None) -> TargetObject:
        cso = candidate.cso
        record = self._task.compiled.object_types[cso.type_id][1]
        sent = resolvable(export, self._identifiers)[0] if export is not None else []
        doc = apply_rows(cso.doc, sent, record.attributes)
        values: dict[str, list[RawValue]] = {
            name: [value]
            if type(value) is str
            else [raw_value(one) for one in (value if isinstance(value, list) else [value])]
            for name, value in doc.items()
        }
        for attr, names in self._references(candidate, sent).items():
            values[attr] = list(names)
        anchor = doc.get(record.anchor)
        return TargetObject(
            object_type=record.key,
            anchor=str(anchor) if anchor is not None else cso.anchor or "",
            values=values,
            identifier=identifier_in(self._task, cso, doc),
        )

    def _references(self, candidate: _Candidate, sent: Sequence[PendingRow]) -> dict[str, list[str]]:
        """The identifiers of every reference attribute once the rows took effect, under today's names."""
        names: dict[str, dict[str, CsoId | None]] = {}
        for ref in candidate.refs:
            names.setdefault(ref.attr, {})[ref.raw] = ref.target_cso_id
        for delta in reference_deltas(candidate.refs, sent, self._identifiers):
            held = names.setdefault(delta.attr, {})
            for raw in delta.gone:
                held.pop(raw, None)
            held.update(delta.new)
        return {
            attr: sorted(
                {self._identifiers.of_cso(cso) or raw if cso is not None else raw for raw, cso in held.items()}
            )
            for attr, held in names.items()
            if held
        }


def raw_value(value: object) -> RawValue:
    """A stored value as connectors take it: text; a boolean as `true` or `false`; binary stays base64."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


async def _record(
    task: Task,
    ids: list[ExportId],
    identifiers: Identifiers,
    written: _Written,
    *,
    confirmed: bool,
) -> None:
    """The results, in pages that commit one by one."""
    pages = [ids[start : start + _RESULTS] for start in range(0, len(ids), _RESULTS)] or [[]]
    for number, page in enumerate(pages, start=1):
        await _record_page(
            task, page, identifiers, written, confirmed=confirmed, last=number == len(pages), number=number
        )


class LoadedExports(msgspec.Struct, frozen=True):
    """Pending exports with their objects and references; `sent_seq` is the number every later change exceeds."""

    exports: list[PendingExport]
    csos: dict[CsoId, Cso]
    refs: dict[CsoId, list[CsoRef]]
    sent_seq: int


async def _record_page(
    task: Task,
    ids: Sequence[ExportId],
    identifiers: Identifiers,
    written: _Written,
    *,
    confirmed: bool,
    last: bool,
    number: int,
) -> None:
    async def load(reader: Reader) -> LoadedExports:
        return await load_exports(reader, ids, identifiers)

    def decide(loaded: LoadedExports) -> Changes:
        changes = Changes()
        changes.count("waiting", len(ids) - len(loaded.exports))
        for export in loaded.exports:
            cso = loaded.csos[export.cso_id]
            if written.versions.get(export.id) != export.version:
                changes.count("waiting")  # staged anew while the file was written: the next run writes it (EXP-47)
            elif outcome := written.outcome(export, _type_key(task, cso), cso.anchor or ""):
                record_failure(task, changes, cso, export, outcome)
            else:
                refs = loaded.refs.get(cso.id, [])
                record_success(task, changes, cso, refs, export, identifiers, loaded.sent_seq, confirmed=confirmed)
        return changes

    async with task.store.reader() as reader:
        changes = decide(await load(reader))
    async with task.store.unit(task.claimed) as unit:
        changes = await write(unit, load, decide, changes)
        if last:
            await unit.done(changes.counters)
        else:
            await unit.advance({"results": number}, changes.counters)
    task.hold.progress()


def _type_key(task: Task, cso: Cso) -> str:
    return task.compiled.object_types[cso.type_id][1].key


async def load_exports(reader: Reader, ids: Sequence[ExportId], identifiers: Identifiers) -> LoadedExports:
    """Pending exports with their objects and references; what their rows lead to is known to `identifiers` then."""
    sent_seq = await reader.change_seq_now()
    exports = await reader.exports(ids)
    csos = {cso.id: cso for cso in await reader.csos([one.cso_id for one in exports])}
    refs = await refs_by_cso(reader, csos)
    await identifiers.learn(reader, [], exports)
    return LoadedExports([one for one in exports if one.cso_id in csos], csos, refs, sent_seq)
