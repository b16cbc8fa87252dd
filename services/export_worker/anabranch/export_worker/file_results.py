"""What became of the exports that a file was written from: packed by whoever wrote it, recorded range by range.

The file is one piece and has one writer, but its results have not: with the file in its place the writer leaves a pack,
and the step `export.record` is cut into ranges of it, for as many workers as there are. Most exports go out whole, for
the first time, and leave nothing behind that would have to be sent later. Those are recorded from the little that is
needed for it; everything else takes the way that object-by-object targets take.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

from anabranch.connectors.port import FailureClass, Outcome, OutcomeStatus, Rejection
from anabranch.engine.packing import in_batches
from anabranch.export_worker.declared import with_declared
from anabranch.export_worker.identifiers import Identifiers
from anabranch.export_worker.loading import Counted, LoadedExports, load_exports
from anabranch.export_worker.packed import PackRecorder
from anabranch.export_worker.results import goes_out_whole, record_failure, record_success, record_whole
from anabranch.model.changes import Changes, ProposalPack
from anabranch.model.enums import ExportKind
from anabranch.model.errors import Permanent
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import CsoId, ExportId, PackId
from anabranch.model.objects import Cso, CsoRef, SentPicture, TargetPicture
from anabranch.model.provisioning import PackLine, Provisioned, ProvisionPack
from anabranch.runtime.connecting import connector_of
from anabranch.runtime.loading import refs_by_cso
from anabranch.runtime.unpacking import batch_of, packs_of
from anabranch.runtime.work import Task, decide_and_commit, plan, system_id
from anabranch.store.port import Reader

_RESULTS: Final = 5000
WRITTEN: Final = "written"
"""The kind of the pack that the writer of a file leaves."""


class _Range(msgspec.Struct, frozen=True, array_like=True):
    """Some exports in order of ids: the least and the greatest id, all ids, and the version that was written of each
    or 0; 8 bytes a number, compressed."""

    lo: int
    hi: int
    ids: bytes
    versions: bytes


class _Refusals(msgspec.Struct, frozen=True, array_like=True):
    """Besides what was refused: the provision packs that went into the file, each with the number of its objects."""

    refused: dict[int, Outcome]
    rejected: list[tuple[str, str, Outcome]]
    packs: list[tuple[PackId, int]]


_RANGES: Final = msgspec.msgpack.Decoder(list[_Range])
_REFUSALS: Final = msgspec.msgpack.Decoder(_Refusals)


def refusal(kind: str, message: str) -> Outcome:
    """The outcome of an export that a file cannot take as it is."""
    return Outcome(status=OutcomeStatus.REJECTED, failure_class=FailureClass.PERMANENT, kind=kind, message=message)


class Written:
    """What a file is written from: the version of each export it carries out, and what it cannot take. As a container
    it holds the exports that it carries out and that were not refused."""

    def __init__(self, counted: Counted, packs: Sequence[PackLine] = ()) -> None:
        self.counted = counted
        self.packs = packs
        self.refused: dict[ExportId, Outcome] = {}
        self.rejected: dict[tuple[str, str], Outcome] = {}
        """By object type and anchor: refused only when the whole file was known, such as a name given twice."""
        self.renamed: dict[tuple[str, str], ExportId] = {}
        """By object type and new anchor: the exports that give an object of the target another name."""
        self._versions = array("q", bytes(8 * len(counted)))

    def __contains__(self, export: object) -> bool:
        return export in self.counted and export not in self.refused

    def carry_out(self, picture: TargetPicture) -> bool:
        """Whether the object's pending export belongs to this run and was not refused; its version is remembered."""
        place = self.counted.place(picture.export) if picture.export is not None else None
        if place is None:
            return False
        self._versions[place] = picture.version
        return picture.export not in self.refused

    def learn(self, rejections: Sequence[Rejection], *, refers: bool) -> bool:
        """What the target itself has left out is known; whether the file is to be written once more with that in mind:
        for somebody who was about to be renamed, and is there under the name of before, and where objects `refer` to
        one another for everybody."""
        refused, left_out = len(self.refused), len(self.rejected)
        for one in rejections:
            outcome = refusal(one.kind, one.message)
            if (renamed := self.renamed.get((one.object_type, one.anchor))) is not None:
                self.refused[renamed] = outcome
            else:
                self.rejected[one.object_type, one.anchor] = outcome
        return len(self.refused) > refused or (refers and len(self.rejected) > left_out)

    def packed(self) -> ProposalPack:
        """All of it, for the batches that record the results."""
        ids, versions = self.counted.ids, self._versions
        ranges = [
            _Range(ids[start], ids[min(start + _RESULTS, len(ids)) - 1], _small(ids, start), _small(versions, start))
            for start in range(0, len(ids), _RESULTS)
        ]
        rejected = [(object_type, anchor, outcome) for (object_type, anchor), outcome in self.rejected.items()]
        refused = {int(one): outcome for one, outcome in self.refused.items()}
        refusals = _Refusals(refused, rejected, [(one.id, one.objects) for one in self.packs])
        return ProposalPack(WRITTEN, msgspec.msgpack.encode(ranges), msgspec.msgpack.encode(refusals))


def _small(numbers: array[int], start: int) -> bytes:
    return zlib.compress(numbers[start : start + _RESULTS].tobytes(), 1)


def _large(packed: bytes) -> array[int]:
    return array("q", zlib.decompress(packed))


class Sent:
    """A pack, read: what the file of this run was written from. As a container it holds the exports that were carried
    out and not refused."""

    def __init__(self, pack: ProposalPack) -> None:
        self._ranges = _RANGES.decode(pack.objects)
        self._starts = [one.lo for one in self._ranges]
        self._ids: dict[int, array[int]] = {}
        refusals = _REFUSALS.decode(pack.contests)
        self._refused = refusals.refused
        self._packs = refusals.packs
        self._rejected = {(object_type, anchor): outcome for object_type, anchor, outcome in refusals.rejected}

    def batches(self) -> list[NewBatch]:
        """One for each range, and for packs as many as there are ranges in them."""
        batches = [
            NewBatch(n=n, payload={"lo": one.lo, "hi": one.hi}, total=len(self._ids_of(n - 1)))
            for n, one in enumerate(self._ranges, start=1)
        ]
        for some in in_batches(self._packs, lambda pack: pack[1], _RESULTS):
            batches.append(batch_of(len(batches) + 1, some))
        return batches

    def versions(self, lo: int, hi: int) -> dict[ExportId, int]:
        """The exports with ids from `lo` to `hi`, each with the version that was written, or 0."""
        found: dict[ExportId, int] = {}
        for n, one in enumerate(self._ranges):
            if one.lo <= hi and one.hi >= lo:
                ids, versions = self._ids_of(n), _large(one.versions)
                here = slice(bisect_left(ids, lo), bisect_right(ids, hi))
                found.update(zip(map(ExportId, ids[here]), versions[here], strict=True))
        return found

    def __contains__(self, export: object) -> bool:
        if not isinstance(export, int) or export in self._refused:
            return False
        n = bisect_right(self._starts, export) - 1
        if n < 0:
            return False
        ids = self._ids_of(n)
        place = bisect_left(ids, export)
        return place < len(ids) and ids[place] == export

    def _ids_of(self, n: int) -> array[int]:
        if n not in self._ids:
            self._ids[n] = _large(self._ranges[n].ids)
        return self._ids[n]

    def outcome(self, export: ExportId, object_type: str, anchor: str, *, goes: bool = False) -> Outcome | None:
        """Why the export is not in the file, or None; `goes` for one whose object is to be in it no more."""
        if not self._refused and not self._rejected:
            return None
        return self._refused.get(export) or (None if goes else self._rejected.get((object_type, anchor)))


class _Loaded(msgspec.Struct, frozen=True):
    """The exports of a page: those that went out `whole`, with the references of their objects, and the others."""

    whole: list[SentPicture]
    refs: dict[CsoId, list[CsoRef]]
    sent_seq: int
    others: LoadedExports


async def plan_record(task: Task) -> None:
    """The ranges of what a file was written from; nothing for a target that is written object by object."""
    sent = await _sent(task)
    await plan(task, sent.batches() if sent is not None else [])


async def _sent(task: Task) -> Sent | None:
    async with task.store.reader() as reader:
        packs = await reader.proposal_packs(task.claimed.run, WRITTEN)
    return Sent(packs[0][1]) if packs else None


async def record_range(task: Task) -> None:
    """Every export of the range has its result."""
    sent = await _sent(task)
    if sent is None:
        raise Permanent("what the file was written from is gone; start the export again, the file is written anew")
    if "packs" in task.claimed.payload:
        await _record_packs(task, sent)
        return
    versions = sent.versions(task.claimed.payload["lo"], task.claimed.payload["hi"])
    identifiers = Identifiers(task, system_id(task), sent)
    confirmed = connector_of(task).capabilities.self_confirming
    hidden = {
        type_id: frozenset(name for name, one in record.attributes.items() if one.sensitive)
        for type_id, (_, record) in task.compiled.object_types.items()
    }

    async def load(reader: Reader) -> _Loaded:
        return await _load(task, reader, list(versions), identifiers, sent)

    def decide(loaded: _Loaded) -> Changes:
        changes = Changes()
        changes.count("waiting", len(versions) - len(loaded.whole) - len(loaded.others.exports))
        stale = 0  # staged anew while the file was written: the next run writes it (EXP-47)
        for one in loaded.whole:
            if one.version != versions[one.export]:
                stale += 1
            else:
                refs = loaded.refs.get(one.id, [])
                concealed = hidden[one.type_id]
                record_whole(task, changes, one, refs, identifiers, loaded.sent_seq, concealed, confirmed=confirmed)
        others = loaded.others
        for export in others.exports:
            cso = others.csos[export.cso_id]
            if export.version != versions[export.id]:
                stale += 1
            elif outcome := _why_not(task, sent, export.id, cso, goes=export.kind is ExportKind.DELETE):
                record_failure(task, changes, cso, export, outcome)
            else:
                refs = others.refs.get(cso.id, [])
                record_success(task, changes, cso, refs, export, identifiers, others.sent_seq, confirmed=confirmed)
        changes.count("waiting", stale)
        return changes

    await decide_and_commit(task, load, decide)


async def _record_packs(task: Task, sent: Sent) -> None:
    """Every object of the batch's packs has its result."""
    confirmed = connector_of(task).capabilities.self_confirming

    def why_not(pack: ProvisionPack, one: Provisioned) -> Outcome | None:
        return sent.outcome(one.export, task.compiled.object_types[pack.type_id][1].key, one.anchor)

    async def load(reader: Reader) -> tuple[int, list[ProvisionPack]]:
        sent_seq = await reader.change_seq_now()
        return sent_seq, await reader.provision_packs(packs_of(task))

    def decide(loaded: tuple[int, list[ProvisionPack]]) -> Changes:
        changes = Changes()
        sent_seq, packs = loaded
        recorder = PackRecorder(task, sent_seq, confirmed=confirmed)
        for pack in packs:
            recorder.record(changes, pack, why_not)
        # A pack that is gone has become rows, which the next run takes up.
        changes.count("waiting", task.claimed.total - sum(len(pack.objects) for pack in packs))
        return changes

    await decide_and_commit(task, load, decide)


async def _load(task: Task, reader: Reader, ids: list[ExportId], identifiers: Identifiers, sent: Sent) -> _Loaded:
    sent_seq = await reader.change_seq_now()
    pictures = with_declared(task, await reader.sent_exports(ids))
    await identifiers.learn(reader, [], [row for one in pictures for row in one.naming])
    whole: list[SentPicture] = []
    others: list[ExportId] = []
    for one in pictures:
        attributes = task.compiled.object_types[one.type_id][1].attributes
        if goes_out_whole(one, attributes, identifiers) and not _why_not(task, sent, one.export, one):
            whole.append(one)
        else:
            others.append(one.export)
    # An object that was never sent refers to nothing yet.
    referring = [one.id for one in whole if one.naming and one.anchor_hash is not None]
    return _Loaded(
        whole,
        await refs_by_cso(reader, referring) if referring else {},
        sent_seq,
        await load_exports(task, reader, others, identifiers),
    )


def _why_not(task: Task, sent: Sent, export: ExportId, cso: Cso | SentPicture, *, goes: bool = False) -> Outcome | None:
    return sent.outcome(export, task.compiled.object_types[cso.type_id][1].key, cso.anchor or "", goes=goes)
