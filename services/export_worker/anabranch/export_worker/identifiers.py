"""The names under which a target knows its objects.

A reference leaves only as the identifier the target system knows: its secondary id where the object type has one, such
as a DN, otherwise its anchor. Internal ids never leave (EXP-19). A reference to an object that the target does not have
yet waits in its pending export.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from anabranch.engine.exporting import apply_rows, staged_rows
from anabranch.model.configuration import ObjectType
from anabranch.model.enums import CsoState, ExportKind
from anabranch.model.identity import CsoId, ExportId, MvoId, RunId, SystemId
from anabranch.model.objects import Cso, CsoRef, Document, PendingExport, PendingRow, TargetPicture
from anabranch.runtime.work import Task
from anabranch.store.port import Reader

_REMEMBERED = 500_000


class CountedHere:
    """The exports a run carries out, as far as they were asked about. Whoever writes a few objects asks about those
    that they lead to, instead of reading the whole list."""

    def __init__(self, system: SystemId, run: RunId) -> None:
        self._system = system
        self._run = run
        self._members: set[ExportId] = set()

    def __contains__(self, export: object) -> bool:
        return export in self._members

    async def ask(self, reader: Reader, csos: Sequence[CsoId]) -> None:
        """The exports of these objects are known. What is counted when it is asked about stays so."""
        self._members |= await reader.counted_exports_of(self._system, self._run, csos)


class Identifiers:
    """Identifiers of target objects, looked up once each. `counted` are the exports this run carries out: a create
    among them makes its object known, a rename among them its new name."""

    def __init__(self, task: Task, system: SystemId, counted: Container[ExportId] | CountedHere) -> None:
        self._task = task
        self._system = system
        self._counted = counted
        self._by_cso: dict[CsoId, str | None] = {}
        self._by_mvo: dict[MvoId, CsoId] = {}

    async def learn(self, reader: Reader, refs: Iterable[CsoRef], rows: Iterable[PendingRow]) -> None:
        """Whatever these references and pending rows lead to is known afterwards."""
        self._forget()
        mvos = {
            row.target_mvo_id for row in rows if row.target_mvo_id is not None and row.target_mvo_id not in self._by_mvo
        }
        joined = [one for one in await reader.connectors(sorted(mvos)) if one.system_id == self._system] if mvos else []
        self._by_mvo.update({one.mvo_id: one.cso_id for one in joined})
        wanted = {ref.target_cso_id for ref in refs if ref.target_cso_id is not None}
        wanted.update(one.cso_id for one in joined)
        wanted -= self._by_cso.keys()
        if not wanted:
            return
        csos = sorted(wanted)
        if isinstance(self._counted, CountedHere):
            # Asked before the objects are read: who is done in between is known by what it is then.
            await self._counted.ask(reader, csos)
        self._keep(await reader.target_objects(csos, naming=False))

    def know(self, pictures: Iterable[TargetPicture]) -> None:
        """The identifiers of objects that have been read anyway."""
        self._forget()
        self._keep(pictures)

    def _forget(self) -> None:
        if len(self._by_cso) > _REMEMBERED:
            self._by_cso.clear()
            self._by_mvo.clear()

    def _keep(self, pictures: Iterable[TargetPicture]) -> None:
        for one in pictures:
            self._by_cso[one.id] = self._identifier(one) if one.type_id in self._task.compiled.object_types else None

    def of_cso(self, cso: CsoId) -> str | None:
        """The object's identifier after this run; None when the target does not have it."""
        return self._by_cso.get(cso)

    def of_mvo(self, mvo: MvoId) -> tuple[CsoId, str] | None:
        """The MVO's object in the target and its identifier, if the target has one."""
        cso = self._by_mvo.get(mvo)
        name = self._by_cso.get(cso) if cso is not None else None
        return (cso, name) if cso is not None and name is not None else None

    def _identifier(self, one: TargetPicture) -> str | None:
        carries = one.export is not None and one.export in self._counted
        if carries and one.kind is ExportKind.DELETE:
            return None
        if one.state is CsoState.PENDING_PROVISIONING and not one.known and not carries:
            return None
        record, doc = self._task.compiled.object_types[one.type_id][1], one.doc
        if carries and one.sets is not None:
            name = record.secondary or record.anchor
            doc = one.sets if one.sets.get(name) is not None else doc
        elif carries:
            doc = apply_rows(doc, staged_rows(one.rows), record.attributes)
        return identifier_in(record, one, doc)


def identifier_of(task: Task, cso: Cso, export: PendingExport | None) -> str | None:
    """The identifier of one object once `export` has been carried out (None: as it stands)."""
    record = task.compiled.object_types[cso.type_id][1]
    if export is None:
        return identifier_in(record, cso, cso.doc)
    return identifier_in(record, cso, apply_rows(cso.doc, staged_rows(export.rows), record.attributes))


def identifier_in(record: ObjectType, cso: Cso | TargetPicture, doc: Document) -> str | None:
    """The identifier of an object whose document is `doc`; one it does not hold stays as it is."""
    value = doc.get(record.secondary or record.anchor)
    if value is None:
        value = cso.secondary if record.secondary else cso.anchor
    return str(value) if value is not None else None
