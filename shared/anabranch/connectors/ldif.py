"""An LDIF file as a connected system.

In mode `content` the file states every entry: it is read whole and written whole, containers before what is in them. In
mode `changes` a file is read as a feed of change records from a watermark on, and a folder is written with one journal
for each batch, for whoever loads it into a directory. A journal is named by run, step and batch, replaced whole when
the batch is repeated, and withdrawn when parts of the batch tell it again; so nobody loads half of one, or the same
twice under two names.

A file that others may load, and refuse to load, does not confirm itself unless the options say so.
"""

from __future__ import annotations

import asyncio
import hashlib
from array import array
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar, Final

from anabranch.connectors import ldif_options, ldif_writing
from anabranch.connectors.ldif_format import BadRecord, parse_record, split_records
from anabranch.connectors.ldif_options import CHANGES, CONTENT, LdifOptions, LdifType, read_options, types_of
from anabranch.connectors.ldif_plain import Place
from anabranch.connectors.ldif_reading import LdifFileReader, feed_end, url_reader
from anabranch.connectors.ldif_records import RecordWriter, Refused, rejection
from anabranch.connectors.options import refuse
from anabranch.connectors.port import (
    API_VERSION,
    Capabilities,
    DiscoveredAttribute,
    DiscoveredType,
    ExportBatch,
    FailureClass,
    OptionFault,
    Outcome,
    OutcomeStatus,
    Page,
    Partition,
    ReadRequest,
    Receipt,
    Rejection,
    SourceFault,
    TargetObject,
    Token,
    Unsupported,
)
from anabranch.connectors.source_file import open_for_reading
from anabranch.connectors.threaded_files import OpenReaders, replace_whole
from anabranch.connectors.whole_file import WholeFile, withdraw
from anabranch.model.configuration import System
from anabranch.model.enums import WriteGuarantee
from anabranch.model.errors import AnabranchError, Fault

_OBJECTS_AT_ONCE: Final = 1000
_BUILT_AHEAD: Final = 10 * _OBJECTS_AT_ONCE
_DISCOVERED_RECORDS: Final = 1000
_PARTITION: Final = "ldif"


class LdifConnector:
    """The file or folder of one system; options as in `LdifOptions`."""

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, system: System, options: dict[str, Any], base_directory: Path) -> None:
        faults = ldif_options.check(system)
        resolved: list[OptionFault] = []
        self._options: LdifOptions = read_options(options, resolved)
        refuse(system, list(dict.fromkeys(faults + resolved)))
        self._base_directory = base_directory
        self._path = base_directory / self._options.path
        declared = types_of(system)
        self._types: list[LdifType] = [one for one in declared if one.record.selected]
        self._writers = {one.record.key: RecordWriter(one) for one in declared}
        self._built: dict[int, _Built] = {}
        self._readers = OpenReaders()
        feed = self._options.mode == CHANGES
        self.capabilities = Capabilities(
            full=not feed,
            delta=feed,
            resumable=True,
            write_guarantee=WriteGuarantee.IDEMPOTENT,
            self_confirming=self._options.self_confirming,
            whole_file=not feed,
            one_file=not feed,
            journal=feed,
            hierarchy=True,
        )

    @classmethod
    def check_options(cls, system: System) -> Sequence[OptionFault]:
        return ldif_options.check(system)

    async def open(self) -> None:
        """Nothing is held between two reads; a fault of the file is told when it is read."""

    async def close(self) -> None:
        await self._readers.close()

    async def check(self, *, reading: bool = True) -> list[Fault]:
        return await asyncio.to_thread(self._check, reading)

    def _check(self, reading: bool) -> list[Fault]:
        if not reading and (not self._path.exists() or (self._options.mode == CHANGES and self._path.is_dir())):
            return []
        try:
            self._reader(None).close()
        except AnabranchError as error:
            return [Fault(self._options.path, 0, 0, str(error))]
        return []

    async def schema(self) -> list[DiscoveredType]:
        """One type for each set of object classes among the first entries, with the attributes these hold."""
        return await asyncio.to_thread(self._schema)

    def _schema(self) -> list[DiscoveredType]:
        found: dict[str, dict[str, bool]] = {}
        largest = self._options.max_record_size
        with open_for_reading(self._path) as file:
            for n, raw in enumerate(split_records(file, 0, 0, largest)):
                if n >= _DISCOVERED_RECORDS:
                    break
                try:
                    record = parse_record(raw, url_reader(None, largest))
                except BadRecord:
                    continue
                if record is not None:
                    _discover(found, record.attributes)
        return [
            DiscoveredType(name, tuple(DiscoveredAttribute(one, several) for one, several in attributes.items()))
            for name, attributes in found.items()
        ]

    async def partitions(self) -> list[Partition]:
        return [Partition(_PARTITION, tuple(one.record.key for one in self._types))]

    async def read(self, request: ReadRequest) -> AsyncIterator[Page]:
        if request.partition != _PARTITION:
            raise SourceFault(f"there is no partition {request.partition!r}; an LDIF file has one, {_PARTITION!r}")
        reader = await asyncio.to_thread(self._reader, request.token, request.records)
        async with aclosing(self._readers.pages(reader, request.page_size)) as pages:
            async for page in pages:
                yield page

    def _reader(self, token: Token | None, records: bool = False) -> LdifFileReader:
        return LdifFileReader(self._path, self._types, self._options, self._base_directory, token, records=records)

    async def watermark(self) -> Token | None:
        return await asyncio.to_thread(feed_end, self._path) if self._options.mode == CHANGES else None

    def refusal(self, wanted: TargetObject) -> Rejection | None:
        if len(self._built) >= _BUILT_AHEAD:
            self._built.clear()
        try:
            self._built[id(wanted)] = (wanted, self._writers[wanted.object_type].entry(wanted))
        except Refused as refused:
            return rejection(wanted.object_type, wanted.anchor, refused)
        return None

    async def apply(self, batch: ExportBatch) -> list[Outcome]:
        if self._options.mode == CONTENT:
            raise Unsupported("an LDIF file of content is written whole, not change by change")
        return await asyncio.to_thread(self._write_journal, batch)

    def _write_journal(self, batch: ExportBatch) -> list[Outcome]:
        outcomes, records = [], []
        for change in batch.changes:
            try:
                data, name = self._writers[change.object_type].change(change)
            except Refused as refused:
                outcomes.append(
                    Outcome(
                        status=OutcomeStatus.REJECTED,
                        failure_class=FailureClass.PERMANENT,
                        kind=refused.kind,
                        message=f"{change.anchor}: {refused}",
                    )
                )
            else:
                records.append(data)
                outcomes.append(Outcome(status=OutcomeStatus.OK, identifier=name))
        for split in batch.parts_of:
            withdraw(self._path / f"{batch.run}-{batch.step}-{split}.ldif")
        path = self._path / f"{batch.run}-{batch.step}-{batch.batch}.ldif"
        if any(records):
            _write_whole(path, batch.claim, batch.batch, (ldif_writing.VERSION, *records))
        else:
            path.unlink(missing_ok=True)
        return outcomes

    async def is_missing(self) -> bool:
        return self._options.mode != CHANGES and not await asyncio.to_thread(self._path.exists)

    async def replace(
        self, objects: AsyncIterator[TargetObject], claim: str, batch: int, fence: Callable[[], None] | None = None
    ) -> Receipt:
        if self._options.mode == CHANGES:
            raise Unsupported("an LDIF journal is written change by change, not whole")
        writer = _ContentWriter(self._path, self._writers, claim, batch, self._built)
        return await replace_whole(writer, objects, fence, _OBJECTS_AT_ONCE)


_Built = tuple[TargetObject, tuple[Place, bytes]]
"""An object whose record was made when it was asked whether it could be written, so that it is made once."""


class _ContentWriter:
    """The one file of a replacement. Entries are written as they come and put in order of depth at the end, where
    that is not their order already, so memory grows by a few bytes for each."""

    def __init__(
        self, path: Path, writers: dict[str, RecordWriter], claim: str, batch: int, built: dict[int, _Built]
    ) -> None:
        self._built = built
        self._file = WholeFile(path, claim, batch)
        self._writers = writers
        self._lengths = array("Q")
        self._depths = array("H")
        self._in_order = True
        self._names: set[bytes] = set()
        self._rejected: list[Rejection] = []

    def open(self) -> None:
        self._file.open()
        self._file.write(ldif_writing.VERSION)

    def write(self, objects: list[TargetObject]) -> None:
        for wanted in objects:
            try:
                known = self._built.pop(id(wanted), None)
                if known is not None and known[0] is wanted:
                    place, data = known[1]
                else:
                    place, data = self._writers[wanted.object_type].entry(wanted)
                self._claim_name(place)
            except Refused as refused:
                self._rejected.append(rejection(wanted.object_type, wanted.anchor, refused))
                continue
            depth = min(place.depth, 0xFFFF)
            self._in_order = self._in_order and (not self._depths or self._depths[-1] <= depth)
            self._depths.append(depth)
            self._lengths.append(len(data))
            self._file.write(data)

    def _claim_name(self, place: Place) -> None:
        digest = hashlib.blake2b(place.key.encode(), digest_size=12).digest()
        if digest in self._names:
            raise Refused(f"{place.name!r} already names another object", "uniqueness_conflict")
        self._names.add(digest)

    def finish(self, fence: Callable[[], None] | None) -> Receipt:
        if not self._in_order:
            order = sorted(range(len(self._depths)), key=self._depths.__getitem__)
            self._file.rearrange(len(ldif_writing.VERSION), self._lengths, order)
        return Receipt((self._file.finish(len(self._lengths), fence),), tuple(self._rejected))

    def discard(self) -> None:
        self._file.discard()


def _write_whole(path: Path, claim: str, batch: int, pieces: Iterable[bytes]) -> None:
    file = WholeFile(path, claim, batch)
    try:
        file.open()
        for piece in pieces:
            file.write(piece)
        file.finish(0)
    finally:
        file.discard()


def _discover(found: dict[str, dict[str, bool]], attributes: Iterable[tuple[bytes, bytes]]) -> None:
    counts: dict[str, int] = {}
    classes = []
    for name, value in attributes:
        text = name.decode("ascii", "replace")
        counts[text] = counts.get(text, 0) + 1
        if text.lower() == "objectclass":
            classes.append(value.decode("utf-8", "replace"))
    held = found.setdefault(", ".join(sorted(classes, key=str.lower)), {})
    for text, count in counts.items():
        held[text] = held.get(text, False) or count > 1
