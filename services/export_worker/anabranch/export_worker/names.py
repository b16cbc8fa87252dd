"""Who may have which name in a target that is one file.

A new object, or a new name of an old one, must not push out an object that the target holds under that name: the old
one has nothing pending, so nobody would be told that it is gone. So the names that a page's exports would bring are
looked up among those that other objects have and keep in this run. Names that two exports of one run bring are told
apart by the order of the file where the target compares names itself; names that are anchors are told apart here.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from anabranch.engine.values import anchor_key, folds
from anabranch.export_worker.identifiers import Identifiers
from anabranch.model.enums import CsoState, ExportKind, RowOp
from anabranch.model.identity import CsoId, ExportId, TypeId
from anabranch.model.objects import Cso, TargetPicture
from anabranch.runtime.work import Task
from anabranch.store.port import Reader


class _Claim(NamedTuple):
    """An object and the name it would have."""

    cso: CsoId
    type_id: TypeId
    text: str
    digest: bytes


class Names:
    """The names that exports of this run bring into the file, page by page. `counted` are these exports."""

    def __init__(self, task: Task, identifiers: Identifiers, counted: Container[ExportId]) -> None:
        self._task = task
        self._identifiers = identifiers
        self._counted = counted
        self._brought: dict[tuple[TypeId, bytes], CsoId] = {}

    async def taken(self, carried: Iterable[TargetPicture]) -> dict[CsoId, str]:
        """Those of the objects that cannot have the name their export brings, with that name."""
        claims = [claim for one in carried if (claim := self._claim(one)) is not None]
        if not claims:
            return {}
        async with self._task.store.reader() as reader:
            stuck = await self._stuck(reader, claims)
        return {one.cso: one.text for one in claims if one.cso in stuck or self._is_brought_already(one)}

    async def _stuck(self, reader: Reader, claims: Sequence[_Claim]) -> set[CsoId]:
        """Those whose name somebody has and keeps. Who would leave a name keeps it where the new one is kept by
        somebody else, and so on along a chain; where it comes round to the beginning, all change at once."""
        stuck: set[CsoId] = set()
        waits: dict[CsoId, set[CsoId]] = {}
        reached = {one.cso for one in claims}
        ahead = list(claims)
        while ahead:
            holders = await self._holders(reader, ahead)
            unknown = sorted({one.id for some in holders.values() for one in some} - reached)
            leaving = await self._leaving(reader, unknown)
            reached |= {one.cso for one in leaving}
            for claim in ahead:
                others = [one for one in holders.get(claim.digest, ()) if one.id != claim.cso]
                waits[claim.cso] = {one.id for one in others if one.id in reached}
                if any(one.id not in reached and self._keeps(one, claim) for one in others):
                    stuck.add(claim.cso)
            ahead = leaving
        while more := {one for one, before in waits.items() if one not in stuck and before & stuck}:
            stuck |= more
        return stuck

    async def _leaving(self, reader: Reader, csos: Sequence[CsoId]) -> list[_Claim]:
        """Those of the objects that this run would give another name. The names of all of them are known then."""
        if not csos:
            return []
        pictures = await reader.target_objects(csos, naming=False)
        self._identifiers.know(pictures)
        changed = (one for one in pictures if one.export is not None and one.export in self._counted)
        return [claim for one in changed if (claim := self._claim(one)) is not None]

    def _claim(self, one: TargetPicture) -> _Claim | None:
        """The new name, where the object has none in the target, or another one. Equal anchors of new objects stand
        side by side in the file's order and are settled there."""
        if one.kind is ExportKind.DELETE:
            return None
        record = self._task.compiled.object_types[one.type_id][1]
        name = record.secondary or record.anchor
        attribute = record.attributes[name]
        value = _set_to(one, name)
        if value is None or (not one.known and record.secondary is None and not folds(attribute)):
            return None
        text, digest = anchor_key(value, attribute)
        if one.known:
            before = one.secondary if record.secondary else one.anchor
            if before is not None and anchor_key(before, attribute)[1] == digest:
                return None
        return _Claim(one.id, one.type_id, text, digest)

    async def _holders(self, reader: Reader, claims: Sequence[_Claim]) -> dict[bytes, list[Cso]]:
        """The objects the target holds under one of the names."""
        found: dict[bytes, list[Cso]] = {}
        types = self._task.compiled.object_types
        mine = {one.type_id for one in claims}
        digests = sorted({one.digest for one in claims})
        if any(types[one][1].secondary for one in mine):
            for type_id, (system, record) in types.items():
                if record.secondary and system == types[claims[0].type_id][0]:
                    for cso in await reader.holders_of_secondary(type_id, digests):
                        found.setdefault(cso.secondary_hash or b"", []).append(cso)
        for type_id in sorted(one for one in mine if not types[one][1].secondary):
            for cso in await reader.csos_by_anchor(type_id, digests):
                found.setdefault(cso.anchor_hash or b"", []).append(cso)
        return found

    def _is_brought_already(self, claim: _Claim) -> bool:
        if self._task.compiled.object_types[claim.type_id][1].secondary:
            return False
        return self._brought.setdefault((claim.type_id, claim.digest), claim.cso) != claim.cso

    def _keeps(self, holder: Cso, claim: _Claim) -> bool:
        """Whether the object still has the name when this run is over."""
        record = self._task.compiled.object_types[holder.type_id][1]
        name = self._identifiers.of_cso(holder.id)
        attribute = record.attributes[record.secondary or record.anchor]
        stands = holder.state is not CsoState.OBSOLETE and holder.anchor_hash is not None
        return stands and name is not None and anchor_key(name, attribute)[1] == claim.digest


def _set_to(one: TargetPicture, name: str) -> object:
    """What the object's export sets the attribute to, if it does."""
    if one.sets is not None:
        return one.sets.get(name)
    return next((row.value for row in one.rows if row.attr == name and row.op is RowOp.SET), None)
