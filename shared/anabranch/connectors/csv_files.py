"""A folder of CSV files as a connected system: one file an object type, one partition a file.

As a source each file is read by itself and can be taken over at any page. As a target the files are written whole: they
state everything the system holds, so a repeat does no harm and success needs no import to be believed. With several
object types every file is complete before the first is put in place; they are then renamed one after the other, and a
crash between two is healed by the repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar, Final

from anabranch.connectors import csv_options
from anabranch.connectors.csv_options import CsvOptions, file_of, read_options
from anabranch.connectors.csv_reading import CsvFileReader, read_header
from anabranch.connectors.csv_writing import CsvFormatter
from anabranch.connectors.options import refuse
from anabranch.connectors.port import (
    API_VERSION,
    Capabilities,
    DiscoveredAttribute,
    DiscoveredType,
    ExportBatch,
    FileReceipt,
    OptionFault,
    Outcome,
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
from anabranch.connectors.threaded_files import OpenReaders, replace_whole
from anabranch.connectors.whole_file import WholeFile
from anabranch.model.configuration import ObjectType, System
from anabranch.model.enums import WriteGuarantee
from anabranch.model.errors import AnabranchError, Fault

_OBJECTS_AT_ONCE: Final = 2000


class CsvConnector:
    """The files of one system; options as in `CsvOptions`."""

    api_version: ClassVar[int] = API_VERSION

    def __init__(self, system: System, options: dict[str, Any], base_directory: Path) -> None:
        faults = csv_options.check(system)
        resolved: list[OptionFault] = []
        self._options: CsvOptions = read_options(options, resolved)
        refuse(system, list(dict.fromkeys(faults + resolved)))
        self._directory = base_directory / self._options.directory
        self._types = {key: record for key, record in system.object_types.items() if record.selected}
        self._readers = OpenReaders()
        self._formatters = {key: CsvFormatter(record, self._options) for key, record in self._types.items()}
        self._made: dict[int, _Made] = {}
        self.capabilities = Capabilities(
            resumable=True,
            partitions=True,
            write_guarantee=WriteGuarantee.IDEMPOTENT,
            self_confirming=True,
            whole_file=True,
            texts=True,
        )

    @classmethod
    def check_options(cls, system: System) -> Sequence[OptionFault]:
        return csv_options.check(system)

    async def open(self) -> None:
        """Nothing is held between two reads; a fault of a file is told when it is read."""

    async def close(self) -> None:
        await self._readers.close()

    async def check(self, *, reading: bool = True) -> list[Fault]:
        return await asyncio.to_thread(self._check, reading)

    def _check(self, reading: bool) -> list[Fault]:
        faults = []
        for record in self._types.values():
            path = self._path(record)
            if not reading and not path.exists():
                continue
            try:
                CsvFileReader(path, record, self._options, None).close()
            except AnabranchError as error:
                faults.append(Fault(file_of(record), 0, 0, str(error)))
        return faults

    async def schema(self) -> list[DiscoveredType]:
        """Every `.csv` file of the folder with the columns of its header; no column is known to hold lists."""
        return await asyncio.to_thread(self._schema)

    def _schema(self) -> list[DiscoveredType]:
        if not self._directory.is_dir():
            raise SourceFault(f"{self._directory}: is no directory; check the option `directory`")
        found = []
        for path in sorted(self._directory.glob("*.csv")):
            columns = filter(None, read_header(path, self._options))
            found.append(DiscoveredType(path.name, tuple(map(DiscoveredAttribute, columns))))
        return found

    async def partitions(self) -> list[Partition]:
        return [Partition(key, (key,)) for key in self._types]

    async def read(self, request: ReadRequest) -> AsyncIterator[Page]:
        record = self._types.get(request.partition)
        if record is None:
            raise SourceFault(f"there is no partition {request.partition!r}; known are {', '.join(self._types)}")
        reader = await asyncio.to_thread(
            CsvFileReader, self._path(record), record, self._options, request.token, records=request.records
        )
        async with aclosing(self._readers.pages(reader, request.page_size)) as pages:
            async for page in pages:
                yield page

    async def watermark(self) -> Token | None:
        return None

    def refusal(self, wanted: TargetObject) -> Rejection | None:
        made = self._formatters[wanted.object_type].text(wanted)
        if isinstance(made, Rejection):
            return made
        if len(self._made) > 2 * _OBJECTS_AT_ONCE:
            self._made.clear()
        self._made[id(wanted)] = (wanted, made)
        return None

    async def apply(self, batch: ExportBatch) -> list[Outcome]:
        raise Unsupported("CSV files are written whole, not change by change")

    async def is_missing(self) -> bool:
        paths = [self._path(record) for record in self._types.values()]
        return await asyncio.to_thread(lambda: not all(path.exists() for path in paths))

    async def replace(
        self, objects: AsyncIterator[TargetObject], claim: str, batch: int, fence: Callable[[], None] | None = None
    ) -> Receipt:
        writer = _FilesWriter(self._types, self._options, self._path, claim, batch, self._made)
        return await replace_whole(writer, objects, fence, _OBJECTS_AT_ONCE)

    def _path(self, record: ObjectType) -> Path:
        return self._directory / file_of(record)


_Made = tuple[TargetObject, str]
"""An object whose line was made when it was asked whether it could be written, so that it is made once."""


class _FilesWriter:
    """All files of one replacement."""

    def __init__(
        self,
        types: dict[str, ObjectType],
        options: CsvOptions,
        path_of: Callable[[ObjectType], Path],
        claim: str,
        batch: int,
        made: dict[int, _Made],
    ) -> None:
        self._made = made
        # Encoders keep a state, so each file has formatters of its own.
        self._formatters = {key: CsvFormatter(record, options) for key, record in types.items()}
        self._files = {key: WholeFile(path_of(record), claim, batch) for key, record in types.items()}
        self._counts = dict.fromkeys(types, 0)
        self._rejected: list[Rejection] = []

    def open(self) -> None:
        for key, file in self._files.items():
            file.open()
            file.write(self._formatters[key].header())

    def write(self, objects: list[TargetObject]) -> None:
        for wanted in objects:
            known = self._made.pop(id(wanted), None)
            line = known[1] if known is not None and known[0] is wanted else None
            row = self._formatters[wanted.object_type].row(wanted, line)
            if isinstance(row, Rejection):
                self._rejected.append(row)
            else:
                self._files[wanted.object_type].write(row)
                self._counts[wanted.object_type] += 1

    def finish(self, fence: Callable[[], None] | None) -> Receipt:
        receipts: list[FileReceipt] = [file.finish(self._counts[key], fence) for key, file in self._files.items()]
        return Receipt(tuple(receipts), tuple(self._rejected))

    def discard(self) -> None:
        for file in self._files.values():
            file.discard()
