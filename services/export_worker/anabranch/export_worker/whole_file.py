"""A target that is one file: written whole, once a run, by one batch.

The stored objects, merged with what this run exports, stream in anchor order into a temporary file that then replaces
the old one; all of that happens outside any transaction. Its bytes depend on state alone, so whoever has to repeat the
work writes the same file. With the file in its place the batch leaves, packed, what it was written from; the results
are recorded by the step that follows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from anabranch.connectors.port import Connector, RawValue, Receipt, Rejection, TargetObject
from anabranch.engine.exporting import apply_rows
from anabranch.engine.values import anchor_key
from anabranch.export_worker.declared import declared_refs, with_declared
from anabranch.export_worker.file_results import Written, refusal
from anabranch.export_worker.identifiers import Identifiers, identifier_in
from anabranch.export_worker.loading import Counted, raw_values, single_texts
from anabranch.export_worker.names import Names
from anabranch.export_worker.packed import Page, in_order, merged
from anabranch.export_worker.places import Places
from anabranch.export_worker.results import reference_deltas, resolvable
from anabranch.model.changes import Changes, ErrorItem
from anabranch.model.configuration import ObjectType
from anabranch.model.enums import CsoState, ExportKind, ValueType
from anabranch.model.errors import Retryable
from anabranch.model.identity import CsoId, MvoId, TypeId
from anabranch.model.objects import CsoRef, PendingRow, TargetPicture
from anabranch.runtime.connecting import open_connector
from anabranch.runtime.loading import refs_by_cso
from anabranch.runtime.pipelining import OneAhead
from anabranch.runtime.work import Task, system_id

_PAGE = 2000


async def write_file(task: Task) -> None:
    """The file holds what it shall, and whoever records the results knows what it was written from."""
    system = system_id(task)
    async with task.store.reader() as reader:
        counted = Counted(await reader.counted_exports(system, task.claimed.run))
        counted_packs = await reader.counted_packs(system, task.claimed.run)
    packs = [one for one in counted_packs if task.compiled.object_types[one.type_id][1].selected]
    written = Written(counted, packs)
    changes = Changes()
    if counted or packs or not task.claimed.total:  # without anything to export the file is written because it was lost
        async with open_connector(task) as target:
            receipt = await _placed(task, target, written)
        changes.errors += await _pushed_out(task, written, receipt.rejected)
    task.hold.progress()
    changes.proposal_packs += [written.packed()] if counted or packs else []
    # What assess listed and is not executable any more waits.
    changes.count("waiting", task.claimed.total - len(counted) - sum(one.objects for one in packs))
    async with task.store.unit(task.claimed) as unit:
        await unit.persist(changes)
        await unit.done(changes.counters)


class _KnownTooLate(Exception):
    """The target cannot hold something that what was written before may refer to, as if it could."""


async def _placed(task: Task, target: Connector, written: Written) -> Receipt:
    """The file is in place. What came to be refused on the way is known from the beginning when it is written once
    more, as often as something of it is new: whoever was refused a new name has to be there under the old one, and
    nothing in the file may refer to an object under a name that was refused to it, because somebody else has it."""
    refers = any(
        attribute.type is ValueType.REFERENCE
        for record in task.compiled.system_of(task.claimed).object_types.values()
        for attribute in record.attributes.values()
    )
    while True:
        written.renamed.clear()
        writer = _Writer(task, target, written, refers=refers)
        objects = _unless_ending(task, writer.objects())
        try:
            receipt = await target.replace(objects, task.claimed.claim, task.claimed.batch, task.hold.check)
        except _KnownTooLate:
            continue
        finally:
            task.hold.progress()
        if not written.learn(receipt.rejected, refers=refers):
            return receipt


async def _unless_ending(task: Task, objects: AsyncIterator[TargetObject]) -> AsyncIterator[TargetObject]:
    """The objects, if at their end the run may still put a file in place. From then on a cancel waits for us, because
    the batch is in our hands (EXP-37)."""
    async for one in objects:
        yield one
    async with task.store.reader() as reader:
        if await reader.is_ending(task.claimed.run):
            raise Retryable("the run is being ended; the file in place stays as it was")


async def _pushed_out(task: Task, written: Written, rejected: Sequence[Rejection]) -> list[ErrorItem]:
    """What is told of objects that the file has lost though this run did not mean to change them: nobody else tells."""
    told: list[ErrorItem] = []
    system = task.compiled.system_of(task.claimed)
    for one in rejected:
        record = system.object_types[one.object_type]
        type_id = task.compiled.registry.object_types[(system.key, one.object_type)]
        async with task.store.reader() as reader:
            csos = await reader.csos_by_anchor(type_id, [anchor_key(one.anchor, record.attributes[record.anchor])[1]])
            exports = {export.cso_id: export.id for export in await reader.exports_of([cso.id for cso in csos])}
        for cso in csos:
            export = exports.get(cso.id)
            if export is None or export not in written:
                message = f"{one.message}; it is not in the file any more: give one of the two another name"
                told.append(
                    ErrorItem(
                        space="cso", kind=one.kind, key=one.anchor, message=message, type_id=type_id, object_id=cso.id
                    )
                )
    return told


class _Candidate(msgspec.Struct, frozen=True):
    """An object that may be in the file; `carries` says that its pending export is carried out with it."""

    picture: TargetPicture
    refs: list[CsoRef]
    carries: bool


class _Writer:
    """Streams the target's objects as they shall be; remembers which exports the target cannot hold."""

    def __init__(
        self,
        task: Task,
        target: Connector,
        written: Written,
        *,
        refers: bool,
    ) -> None:
        self._task = task
        self._target = target
        self._identifiers = Identifiers(task, system_id(task), written)
        self._written = written
        self._names = Names(task, self._identifiers, written)
        self._taken: dict[CsoId, str] = {}
        self._taken_before: dict[CsoId, str] = {}
        """What `Names` said of this page, and of the last one, of which some objects may be left."""
        self._has_references = refers
        self._refused_before = len(written.refused)
        self._places = Places()

    async def objects(self) -> AsyncIterator[TargetObject]:
        """Every object of the target, type by type in declared order, in anchor order within a type. Types that are not
        selected stay in a file that holds them too, as they are (MOD-24)."""
        system = self._task.compiled.system_of(self._task.claimed)
        for record in system.object_types.values():
            if record.selected or self._target.capabilities.one_file:
                type_id = self._task.compiled.registry.object_types[(system.key, record.key)]
                async for some in self._of_type(type_id, record):
                    for one in some:
                        yield one
        moved_in_vain = self._places.taken()
        for export, anchor in moved_in_vain:
            self._written.refused[export] = refusal("already_exists", f"another object of the target has {anchor!r}")
        if moved_in_vain or (self._has_references and len(self._written.refused) > self._refused_before):
            raise _KnownTooLate

    async def _of_type(self, type_id: TypeId, record: ObjectType) -> AsyncIterator[list[TargetObject]]:
        async with self._task.store.reader() as reader:
            ids = await reader.anchor_order(type_id)
        reads = (self._read([CsoId(one) for one in ids[at : at + _PAGE]]) for at in range(0, len(ids), _PAGE))
        packed = in_order(self._task, [one for one in self._written.packs if one.type_id == type_id])
        rivals: list[_Candidate] = []
        async with OneAhead(reads) as own:
            async for found in merged(own, packed):
                self._task.hold.progress()
                wanted: list[TargetObject] = []
                for candidate in await self._candidates(found, rivals):
                    if rivals and rivals[0].picture.anchor != candidate.picture.anchor:
                        if len(rivals) > 1:
                            rivals = await self._in_order(rivals)
                        wanted += self._settle(rivals, record)
                        rivals = []
                    rivals.append(candidate)
                yield wanted
        yield self._settle(await self._in_order(rivals), record)

    async def _read(self, ids: Sequence[CsoId]) -> Page:
        async with self._task.store.reader() as reader:
            by_id = {one.id: one for one in with_declared(self._task, await reader.target_objects(ids))}
            refs = await refs_by_cso(reader, ids)
        return Page([one for one in map(by_id.get, ids) if one is not None], refs)

    async def _candidates(self, read: Page, left: Sequence[_Candidate]) -> list[_Candidate]:
        """The page's objects. What they refer to is known then, and still what those `left` of the last page do."""
        page = [_Candidate(one, self._refs(one, read), self._carries(one)) for one in read.pictures]
        self._taken_before = self._taken
        self._taken = await self._names.taken(one.picture for one in page if one.carries)
        concerned = [*left, *page]
        rows = [row for one in concerned if one.carries for row in one.picture.rows if row.target_mvo_id is not None]
        refs = [ref for one in concerned for ref in one.refs] if self._has_references else []
        if self._has_references:
            self._identifiers.know(read.pictures)
        if refs or rows:
            async with self._task.store.reader() as reader:
                await self._identifiers.learn(reader, refs, rows)
        return [one for one in page if self._belongs(one)]

    def _refs(self, one: TargetPicture, read: Page) -> list[CsoRef]:
        refs = read.refs.get(one.id)
        return declared_refs(refs, self._task.compiled.object_types[one.type_id][1].attributes) if refs else []

    def _carries(self, one: TargetPicture) -> bool:
        """Whether the run carries out what is pending for the object."""
        if not self._task.compiled.object_types[one.type_id][1].selected:
            return False
        return one.packed_for is not None or self._written.carry_out(one)

    def _belongs(self, one: _Candidate) -> bool:
        """True for what is in the file after this run: not what is deleted, nor what was never created."""
        picture = one.picture
        if picture.state is CsoState.OBSOLETE or (one.carries and picture.kind is ExportKind.DELETE):
            return False
        return one.carries or picture.known or picture.state is CsoState.NORMAL

    def _settle(self, rivals: list[_Candidate], record: ObjectType) -> list[TargetObject]:
        """One object an anchor: the one that is there already, else the create that is lowest in canonical order."""
        wanted: list[TargetObject] = []
        for candidate in rivals:
            if wanted:
                self._refuse(candidate, "already_exists", "another object of the target has this anchor")
                continue
            made = self._make(candidate, record, carries=candidate.carries)
            rejection = self._why_not(candidate, made) if candidate.carries else None
            if rejection is not None:
                self._refuse(candidate, rejection.kind, rejection.message)
                if not candidate.picture.known:
                    continue
                made = self._make(candidate, record, carries=False)
            self._take_place(candidate.picture, made, record, carries=rejection is None and candidate.carries)
            wanted.append(made)
        return wanted

    def _take_place(self, picture: TargetPicture, made: TargetObject, record: ObjectType, *, carries: bool) -> None:
        """The object is in the file; with the export it `carries`, if any, that may be under another name."""
        export = picture.export if carries and picture.known else None
        moves = export is not None and made.anchor != picture.anchor
        if export is not None and (moves or (record.secondary is not None and made.identifier != picture.secondary)):
            self._written.renamed[made.object_type, made.anchor] = export
        self._places.take(record, made.anchor, export if moves else None)

    def _why_not(self, candidate: _Candidate, made: TargetObject) -> Rejection | None:
        if (late := self._written.rejected.get((made.object_type, made.anchor))) is not None:
            return Rejection(made.object_type, made.anchor, late.kind or "", late.message)
        name = self._taken_before.get(candidate.picture.id) or self._taken.get(candidate.picture.id)
        if name is not None:
            message = f"{name!r} already names another object; give one of the two another name"
            return Rejection(made.object_type, made.anchor, "uniqueness_conflict", message)
        return self._target.refusal(made)

    async def _in_order(self, rivals: list[_Candidate]) -> list[_Candidate]:
        async with self._task.store.reader() as reader:
            csos = {cso.id: cso.mvo_id for cso in await reader.csos([one.picture.id for one in rivals])}
            csos |= {one.picture.id: one.picture.packed_for for one in rivals if one.picture.packed_for is not None}
            ids = sorted({mvo for mvo in csos.values() if mvo is not None})
            origins: dict[MvoId, str] = {mvo.id: mvo.origin_key for mvo in await reader.mvos(ids)}

        def order(one: _Candidate) -> tuple[bool, str]:
            mvo = csos.get(one.picture.id)
            return (not one.picture.known, origins.get(mvo, "") if mvo is not None else "")

        return sorted(rivals, key=order)

    def _refuse(self, candidate: _Candidate, kind: str, message: str) -> None:
        if candidate.carries and candidate.picture.export is not None:
            self._written.refused[candidate.picture.export] = refusal(kind, message)

    def _make(self, candidate: _Candidate, record: ObjectType, *, carries: bool) -> TargetObject:
        picture = candidate.picture
        doc = picture.doc
        sent: Sequence[PendingRow] = ()
        if carries and picture.sets is not None:
            doc = {**doc, **picture.sets}
            if picture.rows:
                sent = resolvable(picture.rows, self._identifiers)[0]
        elif carries:
            sent = resolvable(picture.rows, self._identifiers)[0]
            doc = apply_rows(doc, sent, record.attributes)
        anchor = doc.get(record.anchor)
        named = str(anchor) if anchor is not None else picture.anchor or ""
        identifier = identifier_in(record, picture, doc)
        refers = bool(candidate.refs or sent)
        if not refers and self._target.capabilities.texts and (texts := single_texts(doc)) is not None:
            return TargetObject(object_type=record.key, anchor=named, values={}, identifier=identifier, texts=texts)
        values: dict[str, list[RawValue]] = {
            name: [value] if type(value) is str else raw_values(value) for name, value in doc.items()
        }
        if refers:
            for attr, names in self._references(candidate, sent).items():
                values[attr] = list(names)
        return TargetObject(object_type=record.key, anchor=named, values=values, identifier=identifier)

    def _references(self, candidate: _Candidate, sent: Sequence[PendingRow]) -> dict[str, list[str]]:
        """The identifiers of every reference attribute once the rows took effect, under today's names."""
        names: dict[str, dict[str, CsoId | None]] = {}
        for ref in candidate.refs:
            if ref.attr in names:
                names[ref.attr][ref.raw] = ref.target_cso_id
            else:
                names[ref.attr] = {ref.raw: ref.target_cso_id}
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
