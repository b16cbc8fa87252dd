"""What became of the exports that a file was written from, recorded page by page, each page under the fence.

Most of them go out whole, for the first time, and leave nothing behind that would have to be sent later. Those are
recorded from the little that is needed for it; everything else takes the way that object-by-object targets take.
"""

from __future__ import annotations

from array import array

import msgspec

from anabranch.connectors.port import Outcome
from anabranch.export_worker.identifiers import Identifiers
from anabranch.export_worker.loading import Counted, LoadedExports, load_exports
from anabranch.export_worker.results import goes_out_whole, record_failure, record_success, record_whole
from anabranch.model.changes import Changes
from anabranch.model.identity import CsoId, ExportId
from anabranch.model.objects import Cso, CsoRef, SentPicture, TargetPicture
from anabranch.runtime.loading import refs_by_cso
from anabranch.runtime.pipelining import OneBehind
from anabranch.runtime.work import Decide, Load, Task, write
from anabranch.store.port import Reader

_RESULTS = 5000


class Written:
    """What a file was written from: the version of each export it carries out, and what it could not take."""

    def __init__(self, counted: Counted) -> None:
        self.counted = counted
        self.confirmed = False
        self.refused: dict[ExportId, Outcome] = {}
        self.rejected: dict[tuple[str, str], Outcome] = {}
        """By object type and anchor: refused only when the whole file was known, such as a name given twice."""
        self._versions = array("q", bytes(8 * len(counted)))

    def carry_out(self, picture: TargetPicture) -> bool:
        """Whether the object's pending export belongs to this run; its version is remembered then."""
        place = self.counted.place(picture.export) if picture.export is not None else None
        if place is None:
            return False
        self._versions[place] = picture.version
        return True

    def pages(self) -> list[dict[ExportId, int]]:
        """The counted exports in order of ids, with the version that was written, or 0."""
        ids, versions = self.counted.ids, self._versions
        starts = range(0, len(ids), _RESULTS)
        return [
            {
                ExportId(one): version
                for one, version in zip(ids[start : start + _RESULTS], versions[start : start + _RESULTS], strict=True)
            }
            for start in starts
        ] or [{}]

    def outcome(self, export: ExportId, object_type: str, anchor: str) -> Outcome | None:
        """Why the export is not in the file, or None."""
        if not self.refused and not self.rejected:
            return None
        return self.refused.get(export) or self.rejected.get((object_type, anchor))


class _Loaded(msgspec.Struct, frozen=True):
    """The exports of a page: those that went out `whole`, with the references of their objects, and the others."""

    whole: list[SentPicture]
    refs: dict[CsoId, list[CsoRef]]
    sent_seq: int
    others: LoadedExports


async def record_file(task: Task, identifiers: Identifiers, written: Written) -> None:
    """Every counted export has its result; the pages commit one by one, the last one with the batch."""
    pages = written.pages()
    # What assess listed and is not executable any more waits; once, however often the batch is taken up again.
    waiting = 0 if task.claimed.cursor else task.claimed.total - len(written.counted)
    async with OneBehind() as commits:
        for number, page in enumerate(pages, start=1):
            await _record_page(task, page, identifiers, written, waiting, commits, number, last=number == len(pages))
            waiting = 0


async def _record_page(
    task: Task,
    versions: dict[ExportId, int],
    identifiers: Identifiers,
    written: Written,
    waiting: int,
    commits: OneBehind,
    number: int,
    *,
    last: bool,
) -> None:
    async def load(reader: Reader) -> _Loaded:
        return await _load(task, reader, list(versions), identifiers, written)

    def decide(loaded: _Loaded) -> Changes:
        changes = Changes()
        changes.count("waiting", waiting + len(versions) - len(loaded.whole) - len(loaded.others.exports))
        stale = 0  # staged anew while the file was written: the next run writes it (EXP-47)
        for one in loaded.whole:
            if one.version != versions[one.export]:
                stale += 1
            else:
                refs = loaded.refs.get(one.id, [])
                record_whole(task, changes, one, refs, identifiers, loaded.sent_seq, confirmed=written.confirmed)
        others = loaded.others
        for export in others.exports:
            cso = others.csos[export.cso_id]
            if export.version != versions[export.id]:
                stale += 1
            elif outcome := _why_not(task, written, export.id, cso):
                record_failure(task, changes, cso, export, outcome)
            else:
                refs = others.refs.get(cso.id, [])
                record_success(
                    task, changes, cso, refs, export, identifiers, others.sent_seq, confirmed=written.confirmed
                )
        changes.count("waiting", stale)
        return changes

    async with task.store.reader() as reader:
        changes = decide(await load(reader))
    task.hold.check()
    await commits.follow(_commit(task, load, decide, changes, None if last else number))


async def _load(task: Task, reader: Reader, ids: list[ExportId], identifiers: Identifiers, written: Written) -> _Loaded:
    sent_seq = await reader.change_seq_now()
    pictures = await reader.sent_exports(ids)
    await identifiers.learn(reader, [], [row for one in pictures for row in one.naming])
    whole: list[SentPicture] = []
    others: list[ExportId] = []
    for one in pictures:
        attributes = task.compiled.object_types[one.type_id][1].attributes
        if goes_out_whole(one, attributes, identifiers) and not _why_not(task, written, one.export, one):
            whole.append(one)
        else:
            others.append(one.export)
    # An object that was never sent refers to nothing yet.
    referring = [one.id for one in whole if one.naming and one.anchor_hash is not None]
    return _Loaded(
        whole,
        await refs_by_cso(reader, referring) if referring else {},
        sent_seq,
        await load_exports(reader, others, identifiers),
    )


async def _commit(
    task: Task, load: Load[_Loaded], decide: Decide[_Loaded], changes: Changes, number: int | None
) -> None:
    """The page is recorded, and the batch is done with the last one (`number` None)."""
    async with task.store.unit(task.claimed) as unit:
        changes = await write(unit, load, decide, changes)
        if number is None:
            await unit.done(changes.counters)
        else:
            await unit.advance({"results": number}, changes.counters)
    task.hold.progress()


def _why_not(task: Task, written: Written, export: ExportId, cso: Cso | SentPicture) -> Outcome | None:
    return written.outcome(export, task.compiled.object_types[cso.type_id][1].key, cso.anchor or "")
