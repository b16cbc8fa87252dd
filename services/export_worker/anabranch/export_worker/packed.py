"""Objects that come to a file straight from packs, and what became of them.

The packs of a run go into the file as they are, among the objects that stand by themselves. When it is in its place,
each object of a pack is written for the first time: as what the target holds now. One the file could not take becomes
what it would have been without a pack: an object that is still to be provisioned, with a create that has failed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from anabranch.connectors.port import Outcome
from anabranch.engine.keys import key_changes
from anabranch.engine.packing import cso_in, export_in
from anabranch.engine.values import anchor_key
from anabranch.export_worker.results import record_failure, tell_exported
from anabranch.model.changes import Changes, NewCso
from anabranch.model.configuration import ObjectType
from anabranch.model.enums import CsoState, ExportKind, ExportState, JoinType, RowOp, RowState
from anabranch.model.identity import CsoId, TypeId
from anabranch.model.objects import CsoRef, Document, PendingExport, PendingRow, TargetPicture
from anabranch.model.provisioning import PackLine, Provisioned, ProvisionPack
from anabranch.runtime.pipelining import OneAhead
from anabranch.runtime.work import Task

_PACKS_AT_ONCE = 32
_PAGE = 2000
_Place = tuple[bool, str, int]
Refusal = Callable[[ProvisionPack, Provisioned], Outcome | None]
"""Why a file did not take an object of a pack, or None."""
_PROVISIONING, _CREATE = CsoState.PENDING_PROVISIONING, ExportKind.CREATE  # looked up once


class Page(msgspec.Struct, frozen=True):
    """Some objects of a target in order of anchor, and the references of those that stand by themselves."""

    pictures: list[TargetPicture]
    refs: dict[CsoId, list[CsoRef]]


async def in_order(task: Task, lines: Sequence[PackLine]) -> AsyncIterator[Page]:
    """The objects of packs of one type in order of anchor, some at a time. `lines` are in order of their least anchors;
    no more of them are held than overlap."""
    parts = [lines[at : at + _PACKS_AT_ONCE] for at in range(0, len(lines), _PACKS_AT_ONCE)]
    held: list[TargetPicture] = []
    async with OneAhead(_read(task, part) for part in parts) as read:
        n = 0
        async for found in read:
            n += 1
            held.extend(found)
            held.sort(key=_where)
            if n < len(parts):
                end = bisect_left(held, (False, parts[n][0].lo_anchor, 0), key=_where)
                for page in _pages(held[:end]):
                    yield page
                held = held[end:]
    for page in _pages(held):
        yield page


def _pages(pictures: list[TargetPicture]) -> Iterator[Page]:
    for at in range(0, len(pictures), _PAGE):
        yield Page(pictures[at : at + _PAGE], {})


async def _read(task: Task, lines: Sequence[PackLine]) -> list[TargetPicture]:
    async with task.store.reader() as reader:
        packs = await reader.provision_packs([one.id for one in lines])
    return [_picture(pack.type_id, one) for pack in packs for one in pack.objects]


def _picture(type_id: TypeId, one: Provisioned) -> TargetPicture:
    return TargetPicture(
        one.cso, type_id, one.anchor, False, None, _PROVISIONING, {}, one.export, 1, _CREATE, (), one.sets, one.mvo
    )


async def merged(own: AsyncIterator[Page], packed: AsyncIterator[Page]) -> AsyncIterator[Page]:
    """The objects that stand by themselves and those from packs, together in order of anchor."""
    left, right = await _next(own), await _next(packed)
    while left is not None and right is not None:
        end = min(_where(left.pictures[-1]), _where(right.pictures[-1]))
        mine, after = _split(left.pictures, end)
        theirs, more = _split(right.pictures, end)
        yield Page(sorted((*mine, *theirs), key=_where), left.refs)
        left = Page(after, left.refs) if after else await _next(own)
        right = Page(more, right.refs) if more else await _next(packed)
    rest, pages = (left, own) if left is not None else (right, packed)
    while rest is not None:
        yield rest
        rest = await _next(pages)


async def _next(pages: AsyncIterator[Page]) -> Page | None:
    """The next of them that holds anything."""
    async for page in pages:
        if page.pictures:
            return page
    return None


def _split(pictures: list[TargetPicture], end: _Place) -> tuple[list[TargetPicture], list[TargetPicture]]:
    """Those up to that place, and the others."""
    place = bisect_right(pictures, end, key=_where)
    return pictures[:place], pictures[place:]


def _where(one: TargetPicture) -> _Place:
    return one.anchor is None, one.anchor or "", one.id


class PackRecorder:
    """Records what became of packs. `confirmed`: the target vouches for what it was given."""

    def __init__(self, task: Task, sent_seq: int, *, confirmed: bool) -> None:
        self._task = task
        self._sent_seq = sent_seq
        self._confirmed = confirmed

    def record(self, changes: Changes, pack: ProvisionPack, refusal: Refusal) -> None:
        """The pack is gone, and each of its objects is a row; `refusal` tells why the file did not take one."""
        record = self._task.compiled.object_types[pack.type_id][1]
        hidden = frozenset(name for name, one in record.attributes.items() if one.sensitive)
        keyed = self._task.compiled.cso_key_attrs.get(pack.type_id)
        changes.gone_packs.append(pack.id)
        for one in pack.objects:
            if (outcome := refusal(pack, one)) is not None:
                cso = cso_in(pack, one)
                changes.new_csos.append(cso)
                record_failure(self._task, changes, cso, export_in(pack, one), outcome)
                continue
            changes.new_csos.append(self._created(pack, one, record))
            if not self._confirmed:
                changes.exports.append(self._sent(pack, one))
            if keyed:
                changes.cso_keys.extend(key_changes(pack.type_id, keyed, one.cso, {}, one.sets))
            tell_exported(changes, one.export, one.anchor, _CREATE, (), _shown(one.sets, hidden))

    def _created(self, pack: ProvisionPack, one: Provisioned, record: ObjectType) -> NewCso:
        anchor, anchor_hash = anchor_key(one.sets[record.anchor], record.attributes[record.anchor])
        return NewCso(
            id=one.cso,
            type_id=pack.type_id,
            system_id=pack.system_id,
            partition="",
            anchor=anchor,
            anchor_hash=anchor_hash,
            secondary=None,
            secondary_hash=None,
            state=CsoState.NORMAL if self._confirmed else _PROVISIONING,
            doc=one.sets,
            fingerprint=None,
            mvo_id=one.mvo,
            join_type=JoinType.PROVISIONED,
            join_rule=pack.rule,
            synced=True,
        )

    def _sent(self, pack: ProvisionPack, one: Provisioned) -> PendingExport:
        """It waits for an import that confirms it."""
        rows = tuple([PendingRow(name, RowOp.SET, value, RowState.SENT) for name, value in one.sets.items()])
        waits = export_in(pack, one)
        return replace(waits, rows=rows, sets=None, state=ExportState.EXPORTED, sent_seq=self._sent_seq)


def _shown(sets: Document, hidden: frozenset[str]) -> Document:
    return {name: "***" if name in hidden else value for name, value in sets.items()} if hidden else sets
