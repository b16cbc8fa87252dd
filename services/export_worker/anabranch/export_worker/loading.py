"""What both ways of writing a target load."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec

from anabranch.connectors.port import RawValue
from anabranch.export_worker.declared import declared_document, declared_refs, exports_with_declared
from anabranch.export_worker.identifiers import Identifiers
from anabranch.model.identity import CsoId, ExportId
from anabranch.model.objects import Cso, CsoRef, PendingExport
from anabranch.runtime.loading import refs_by_cso
from anabranch.runtime.work import Task
from anabranch.store.port import Reader


class Counted:
    """The exports a run carries out, 8 bytes each, because there may be millions."""

    def __init__(self, ids: array[int]) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, export: object) -> bool:
        return isinstance(export, int) and self.place(export) is not None

    def place(self, export: int) -> int | None:
        """Its place in the order of ids, or None."""
        place = bisect_left(self.ids, export)
        return place if place < len(self.ids) and self.ids[place] == export else None


class LoadedExports(msgspec.Struct, frozen=True):
    """Pending exports with their objects and references; `sent_seq` is the number every later change exceeds."""

    exports: list[PendingExport]
    csos: dict[CsoId, Cso]
    refs: dict[CsoId, list[CsoRef]]
    sent_seq: int


async def load_exports(task: Task, reader: Reader, ids: Sequence[ExportId], identifiers: Identifiers) -> LoadedExports:
    """Pending exports with their objects and references, as far as they are declared; what their rows lead to is known
    to `identifiers` then."""
    sent_seq = await reader.change_seq_now()
    exports = exports_with_declared(task, await reader.exports(ids))
    csos = {cso.id: _declared(task, cso) for cso in await reader.csos([one.cso_id for one in exports])}
    refs = {
        cso: declared_refs(some, task.compiled.object_types[csos[cso].type_id][1].attributes)
        for cso, some in (await refs_by_cso(reader, csos)).items()
    }
    await identifiers.learn(reader, [], [row for one in exports for row in one.rows])
    return LoadedExports([one for one in exports if one.cso_id in csos], csos, refs, sent_seq)


def _declared(task: Task, cso: Cso) -> Cso:
    doc = declared_document(cso.doc, task.compiled.object_types[cso.type_id][1].attributes)
    return cso if doc is cso.doc else msgspec.structs.replace(cso, doc=doc)


def raw_values(stored: object) -> list[RawValue]:
    """A stored attribute as connectors take it."""
    if type(stored) is int:
        return [str(stored)]
    return [raw_value(one) for one in (stored if isinstance(stored, list) else [stored])]


def single_texts(doc: Mapping[str, object]) -> dict[str, str] | None:
    """The values as texts, where each attribute has one; None where some has several."""
    kinds = set(map(type, doc.values()))
    if list in kinds:
        return None
    if kinds <= {str}:
        return doc  # type: ignore[return-value]
    return {name: value if type(value) is str else raw_value(value) for name, value in doc.items()}


def raw_value(value: object) -> str:
    """A stored value as connectors take it: text; a boolean as `true` or `false`; binary stays base64."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
