"""One CSV file read a page at a time.

A page's rows are taken as whole lines where they are (`csv_blocks`), one by one where they are not (`csv_rows`), and
come out the same: records that spell an object each, and errors at the places of rows that spell none. Pages end by
number of rows or by size, whichever comes first, so memory does not depend on the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from anabranch.connectors.csv_blocks import CsvBlocks
from anabranch.connectors.csv_options import MEBIBYTE, CsvOptions, file_of
from anabranch.connectors.csv_records import CsvRecords, columns_in
from anabranch.connectors.csv_rows import BrokenRow, CsvRows
from anabranch.connectors.port import Entry, EntryError, IncompleteRead, Page, RawValue, SourceFault, Token
from anabranch.connectors.source_file import (
    HEAD_BYTES,
    check_same,
    check_unmoved,
    open_for_reading,
    stamp_token,
    take_stamp,
    whole_number,
)
from anabranch.model.configuration import ObjectType
from anabranch.model.errors import Retryable

_PAGE_BYTES: Final = 32 * MEBIBYTE


class CsvFileReader:
    """An open CSV file of one object type. Used by one thread at a time; `close` is safe at any moment."""

    def __init__(
        self, path: Path, record: ObjectType, options: CsvOptions, token: Token | None, *, records: bool = False
    ) -> None:
        """Opens the file, reads its header and goes to the token. Raises `SourceFault`, `SourceChanged`. With
        `records` pages hold records, else entries."""
        self.path = path
        self._as_records = records
        self._rows_read = 0
        self._file: BinaryIO = open_for_reading(path)
        try:
            self._stamp = take_stamp(self._file)
            if token is not None:
                check_same(path, token, self._stamp)
            head = self._file.read(HEAD_BYTES)
            self._rows = CsvRows(self._file, file_of(record), options, head)
            self._blocks = CsvBlocks(self._rows)
            self._columns = columns_in(path, _header_of(self._rows, path), record, options, self._rows.encoding)
            if token is not None:
                self._rows_read = whole_number(path, token, "rows")
                self._rows.go_to(whole_number(path, token, "offset"), whole_number(path, token, "line"))
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._rows.close()

    def next_page(self, size: int) -> Page:
        """The next rows as a page; the last one is complete. Raises `SourceChanged`, `IncompleteRead`, `Retryable`."""
        try:
            return self._read_page(size)
        except OSError as error:
            raise Retryable(f"{self.path}: cannot be read: {error.strerror or error}") from error

    def _read_page(self, size: int) -> Page:
        block = self._blocks.take(size, _PAGE_BYTES)
        broken: list[tuple[int, EntryError]] = []
        if block is not None:
            complete = block.last
            records = CsvRecords(self._columns, self._rows.encoding, block.raw, block.lines, block.cells)
        else:
            records, broken, complete = self._row_by_row(size)
        check_unmoved(self.path, self._file, self._stamp)
        self._rows_read += len(records.raw) + len(broken)
        entries: list[Entry] = []
        if not self._as_records:
            for line, one in zip(records.lines, records.read(range(len(records.raw))), strict=True):
                if isinstance(one, Entry):
                    values: dict[str, list[RawValue]] = {name: [text] for name, text in (one.texts or {}).items()}
                    entries.append(Entry(one.object_type, values | one.values, one.place))
                else:
                    broken.append((line, one))
        return Page(
            entries=entries,
            errors=[error for _, error in sorted(broken, key=lambda one: one[0])],
            next_token=None if complete else self._token(),
            complete=complete,
            total_hint=self._guess(complete),
            records=records if self._as_records else None,
        )

    def _row_by_row(self, size: int) -> tuple[CsvRecords, list[tuple[int, EntryError]], bool]:
        rows = self._rows
        raw: list[bytes] = []
        lines: list[int] = []
        cells: list[list[str]] = []
        broken: list[tuple[int, EntryError]] = []
        until = rows.volume + _PAGE_BYTES
        complete = False
        while len(raw) + len(broken) < size and rows.volume < until:
            row = rows.next_row()
            if row is None:
                complete = True
                break
            if isinstance(row, BrokenRow):
                broken.append((row.line, self._columns.error(row.line, row.message, row.cells)))
                continue
            raw.append(rows.spelling())
            lines.append(rows.line - len(rows.fed) + 1)
            cells.append(row)
        return CsvRecords(self._columns, rows.encoding, raw, lines, cells), broken, complete

    def _token(self) -> Token:
        here = {"offset": self._rows.position, "line": self._rows.line, "rows": self._rows_read}
        return stamp_token(self._stamp) | here

    def _guess(self, complete: bool) -> int | None:
        if complete:
            return self._rows_read
        if not self._rows.by_bytes or not self._rows.position:
            return None
        return max(self._rows_read, self._rows_read * self._stamp.size // self._rows.position)


def read_header(path: Path, options: CsvOptions) -> list[str]:
    """The names of a file's columns. Raises `SourceFault` where there is no usable header."""
    with open_for_reading(path) as file:
        rows = CsvRows(file, path.name, options, file.read(HEAD_BYTES))
        try:
            return _header_of(rows, path)
        finally:
            rows.close()


def _header_of(rows: CsvRows, path: Path) -> list[str]:
    try:
        header = rows.next_row()
    except IncompleteRead as error:
        raise SourceFault(f"{path}: the header cannot be read: {error}") from error
    if header is None:
        raise SourceFault(f"{path}: the file is empty; it needs a header line that names its columns")
    if isinstance(header, BrokenRow):
        raise SourceFault(f"{path}: the header (line {header.line}) cannot be read: {header.message}")
    return header
