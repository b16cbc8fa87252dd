"""What one page of a read means: what is new or changed is staged, everything is remembered as seen.

Records whose bytes are those an object was read from last are neither taken apart nor compared (IMP-18); the others are
parsed, and staged unless their content is what is stored, however it is spelled now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from anabranch.connectors.port import Entry, EntryChange, EntryError, Page, PlainTexts, Records
from anabranch.engine.parsing import (
    DIGEST_SIZE,
    NoIdentity,
    Parsed,
    Parser,
    fingerprint_of,
    same_content,
    untyped_digests,
)
from anabranch.import_worker.known import KnownBytes, known_bytes, told
from anabranch.model.changes import Changes, ErrorItem, ProposalPack, SeenHashes
from anabranch.model.identity import TypeId
from anabranch.model.objects import StagedRow
from anabranch.runtime.work import Task
from anabranch.store.port import Reader


class _Read(msgspec.Struct, frozen=True, gc=False):
    """A complete object that has to be compared; `source` is the digest of its bytes, where it came as bytes."""

    place: str
    parsed: Parsed
    source: bytes | None


class _Sources(msgspec.Struct, frozen=True):
    """The digests of a page's records: which records were read, and by object type the joined digests of all."""

    numbers: list[int]
    digests: dict[str, bytes]

    def of(self, key: str, n: int) -> bytes:
        """The digest of the `n`th record that was read, an object of this type."""
        at = self.numbers[n] * DIGEST_SIZE
        return self.digests[key][at : at + DIGEST_SIZE]

    def all(self, key: str) -> list[bytes]:
        """Those of all records that were read, objects of this type."""
        digests = self.digests[key]
        return [digests[n * DIGEST_SIZE : (n + 1) * DIGEST_SIZE] for n in self.numbers]


class Staging:
    """Turns the pages of one partition into changes. `seq` was the change number when the read began; `whole` says that
    the read begins with its first page here."""

    def __init__(self, task: Task, partition: str, seq: int, *, whole: bool) -> None:
        self._task = task
        self._partition = partition
        self._seq = seq
        self._parsers = _parsers(task)
        self._known: dict[TypeId, KnownBytes] = {}
        self._complete: set[TypeId] = set()
        """Types of which everything there is was known before the first page."""
        self._nothing: set[TypeId] = set()
        """Types of which there is nothing to compare with."""
        self._whole = whole

    def met_again(self) -> list[ProposalPack]:
        """Told of a read that has come to its end: the types of which every object there was has been met."""
        found = {one: len(self._known[one]) for one in sorted(self._complete) if self._known[one].all_met()}
        return [told(found)] if found else []

    async def stage(self, number: int, page: Page) -> Changes:
        """What the page changes, besides its place in the read."""
        changes = Changes()
        seen: dict[TypeId, list[bytes]] = {}
        known: dict[TypeId, bytes] = {}
        read: dict[TypeId, list[_Read]] = {}
        count = len(page.entries) + len(page.errors)
        self._take(changes, seen, read, page.entries, None)
        if page.records is not None and page.records.raw:
            count += await self._take_records(changes, seen, known, read, page.records)
        for error in page.errors:
            self._take_error(changes, seen, error)
        if any(read.values()):
            async with self._task.store.reader() as reader:
                for type_id, some in read.items():
                    if some:
                        await self._compare(reader, changes, type_id, number, some)
        for type_id in sorted(seen.keys() | known.keys()):
            others = b"".join(seen.get(type_id, ()))
            if type_id in self._complete:
                self._known[type_id].meet(others)
            hashes = known.get(type_id, b"") + others
            if hashes:
                packed = np.sort(np.frombuffer(hashes, dtype="S16")).tobytes()
                changes.import_seen.append(SeenHashes(self._partition, number, type_id, packed))
        self._whole = False
        changes.count("read", count)
        return changes

    async def _take_records(
        self,
        changes: Changes,
        seen: dict[TypeId, list[bytes]],
        known: dict[TypeId, bytes],
        read: dict[TypeId, list[_Read]],
        records: Records,
    ) -> int:
        """How many of the records are objects of a declared type, or would be."""
        digests = self._digests(records)
        alike = np.zeros(len(records.raw), dtype=np.bool_)
        for key, packed in digests.items():
            type_id, _ = self._parsers[key]
            there, known[type_id] = (await self._known_of(type_id)).look_up(packed)
            alike |= there
        changes.count("unchanged", int(alike.sum()))
        others = np.flatnonzero(~alike).tolist()
        if not others:
            return len(records.raw)
        sources = _Sources(others, digests)
        if self._take_plain(seen, read, records.plain(others), sources):
            return len(records.raw)
        return len(records.raw) - self._take(changes, seen, read, records.read(others), sources)

    def _take_plain(
        self,
        seen: dict[TypeId, list[bytes]],
        read: dict[TypeId, list[_Read]],
        texts: PlainTexts | None,
        sources: _Sources,
    ) -> bool:
        """The objects are taken as a whole; False, and nothing is taken, where they have to be looked at one by one."""
        if texts is None:
            return False
        type_id, parser = self._parsers[texts.object_type]
        parsed = parser.parse_plain(texts.names, texts.rows)
        if parsed is None:
            return False
        seen.setdefault(type_id, []).extend([one.anchor_hash for one in parsed])
        found = zip(texts.places, parsed, sources.all(texts.object_type), strict=True)
        read.setdefault(type_id, []).extend([_Read(*one) for one in found])
        return True

    async def _known_of(self, type_id: TypeId) -> KnownBytes:
        if type_id not in self._known:
            async with self._task.store.reader() as reader:
                known, complete = await known_bytes(reader, type_id, self._partition, self._task.claimed.start_seq)
            self._known[type_id] = known
            if complete and self._whole:
                self._complete.add(type_id)
            if complete and not len(known):
                self._nothing.add(type_id)
        return self._known[type_id]

    def _digests(self, records: Records) -> dict[str, bytes]:
        """The joined digests of the records by each object type they may be of."""
        if records.object_type is not None:
            parser = self._parsers[records.object_type][1]
            return {records.object_type: b"".join(parser.source_digests(records.raw, records.layout))}
        untyped = b"".join(untyped_digests(records.raw, records.layout))
        return {key: parser.digests_as_read(untyped) for key, (_, parser) in self._parsers.items()}

    def _take(
        self,
        changes: Changes,
        seen: dict[TypeId, list[bytes]],
        read: dict[TypeId, list[_Read]],
        entries: Iterable[Entry | EntryError | None],
        sources: _Sources | None,
    ) -> int:
        """How many of the entries are of no declared type."""
        key, parser, ignored = None, None, 0
        for n, entry in enumerate(entries):
            if entry is None:
                ignored += 1
                continue
            if isinstance(entry, EntryError):
                self._take_error(changes, seen, entry)
                continue
            if parser is None or entry.object_type != key:
                key = entry.object_type
                type_id, parser = self._parsers[key]
                identities, complete = seen.setdefault(type_id, []), read.setdefault(type_id, [])
            parsed = parser.parse(entry.values, entry.texts)
            if isinstance(parsed, NoIdentity):
                _reject(changes, type_id, entry.place, parsed.kind, parsed.message)
                continue
            identities.append(parsed.anchor_hash)
            if entry.change == EntryChange.COMPLETE.value:
                complete.append(_Read(entry.place, parsed, sources.of(key, n) if sources is not None else None))
            else:
                message = (
                    f"a {entry.change} entry stands where a full import needs the whole object; its copy stays as it is"
                )
                _reject(changes, type_id, entry.place, "connector_object_error", message)
        return ignored

    def _take_error(self, changes: Changes, seen: dict[TypeId, list[bytes]], error: EntryError) -> None:
        found = self._parsers.get(error.object_type or "")
        _reject(changes, found[0] if found else None, error.place, error.kind, error.message)
        identity = found[1].identify(error.anchor) if found and error.anchor is not None else None
        if found and identity is not None:
            seen.setdefault(found[0], []).append(identity)

    async def _compare(
        self, reader: Reader, changes: Changes, type_id: TypeId, number: int, some: Sequence[_Read]
    ) -> None:
        fresh = some
        if type_id not in self._nothing:
            known = await reader.fingerprints(type_id, self._partition, [one.parsed.anchor_hash for one in some])
            fresh = [one for one in some if not same_content(one.parsed.fingerprint, known.get(one.parsed.anchor_hash))]
            changes.count("unchanged", len(some) - len(fresh))
        if not fresh:
            return
        ids = await reader.new_ids("import_row", len(fresh))
        for row_id, one in zip(ids, fresh, strict=True):
            parsed = one.parsed
            for problem in parsed.problems:
                changes.errors.append(
                    ErrorItem(
                        space="source",
                        kind=problem.kind,
                        key=parsed.anchor,
                        message=f"{one.place}: {problem.message}",
                        type_id=type_id,
                    )
                )
            changes.import_rows.append(
                StagedRow(
                    id=row_id,
                    type_id=type_id,
                    partition=self._partition,
                    page=number,
                    place=one.place,
                    anchor=parsed.anchor,
                    anchor_hash=parsed.anchor_hash,
                    secondary=parsed.secondary,
                    secondary_hash=parsed.secondary_hash,
                    change=EntryChange.COMPLETE.value,
                    doc=parsed.doc,
                    refs=parsed.refs or None,
                    kept=tuple(problem.attribute for problem in parsed.problems),
                    fingerprint=fingerprint_of(parsed.fingerprint, one.source),
                    seq_before_read=self._seq,
                )
            )


def _reject(changes: Changes, type_id: TypeId | None, place: str, kind: str, message: str) -> None:
    changes.errors.append(ErrorItem(space="source", kind=kind, key=place, message=message, type_id=type_id))
    changes.count("rejected")


def _parsers(task: Task) -> dict[str, tuple[TypeId, Parser]]:
    system = task.compiled.system_of(task.claimed)
    zone = task.compiled.zones[system.assume_time_zone]
    return {
        record.key: (
            task.compiled.registry.object_types[(system.key, record.key)],
            Parser(record, zone, schema_stamp(record)),
        )
        for record in system.object_types.values()
        if record.selected
    }


def schema_stamp(record: msgspec.Struct) -> str:
    """What a fingerprint is bound to: the schema of the object type and the version of the algorithm (IMP-18)."""
    return "1:" + msgspec.json.encode(record, order="deterministic").decode()
