"""One CSV file read as objects, a page at a time.

The header is looked at once: it says in which column each declared attribute stands. Every row then either becomes an
entry with the selected attributes that have a value, or an error at its place; the cell of the anchor is kept even of a
broken row where it can be told, so that the object it names counts as seen. Pages end by number of rows or by size,
whichever comes first, so memory does not depend on the file.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from anabranch.connectors.csv_options import MEBIBYTE, CsvOptions, columns_of, file_of
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


class _Plan(msgspec.Struct, frozen=True):
    """Where each attribute stands in a row: single cells, cells whose empty text counts, cells that hold lists."""

    width: int
    anchor: int
    anchor_name: str
    plain: tuple[tuple[str, int], ...]
    kept_empty: tuple[tuple[str, int], ...]
    lists: tuple[tuple[str, int, bool], ...]


class CsvFileReader:
    """An open CSV file of one object type. Used by one thread at a time; `close` is safe at any moment."""

    def __init__(self, path: Path, record: ObjectType, options: CsvOptions, token: Token | None) -> None:
        """Opens the file, reads its header and goes to the token. Raises `SourceFault`, `SourceChanged`."""
        self.path = path
        self._record = record
        self._separator = options.list_separator
        self._name = file_of(record)
        self._rows_read = 0
        self._file: BinaryIO = open_for_reading(path)
        try:
            self._stamp = take_stamp(self._file)
            if token is not None:
                check_same(path, token, self._stamp)
            head = self._file.read(HEAD_BYTES)
            self._rows = CsvRows(self._file, self._name, options, head)
            self._plan = _plan_of(path, _header_of(self._rows, path), record)
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
        entries: list[Entry] = []
        errors: list[EntryError] = []
        rows, width, at, type_key = self._rows, self._plan.width, self._plan.anchor, self._record.key
        until = rows.volume + _PAGE_BYTES
        complete = False
        while len(entries) + len(errors) < size and rows.volume < until:
            row = rows.next_row()
            if row is None:
                complete = True
                break
            if isinstance(row, BrokenRow):
                errors.append(self._error(row.line, row.message, row.cells))
                continue
            first = rows.line - len(rows.fed) + 1
            if len(row) != width:
                message = f"the row has {len(row)} cells, the header {width}; quote cells that hold the delimiter"
                errors.append(self._error(first, message, row))
            elif not row[at] or row[at].isspace():
                errors.append(self._missing_anchor(first))
            else:
                entries.append(Entry(type_key, self._values(row), f"{self._name}:{first}"))
        check_unmoved(self.path, self._file, self._stamp)
        self._rows_read += len(entries) + len(errors)
        return Page(
            entries=entries,
            errors=errors,
            next_token=None if complete else self._token(),
            complete=complete,
            total_hint=self._guess(complete),
        )

    def _values(self, row: list[str]) -> dict[str, list[RawValue]]:
        values: dict[str, list[RawValue]] = {name: [cell] for name, at in self._plan.plain if (cell := row[at])}
        for name, at in self._plan.kept_empty:
            values[name] = [row[at]]
        for name, at, keep in self._plan.lists:
            if cell := row[at]:
                values[name] = [one for one in cell.split(self._separator) if one or keep]
        return values

    def _error(self, line: int, message: str, cells: list[str]) -> EntryError:
        anchor = cells[self._plan.anchor] if self._plan.anchor < len(cells) else ""
        usable = anchor and "\ufffd" not in anchor and "\0" not in anchor
        return EntryError(
            place=f"{self._name}:{line}",
            kind="connector_object_error",
            message=message,
            object_type=self._record.key,
            anchor=anchor if usable else None,
        )

    def _missing_anchor(self, line: int) -> EntryError:
        return EntryError(
            place=f"{self._name}:{line}",
            kind="missing_anchor",
            message=f"the column {self._plan.anchor_name!r} is empty; every object needs a value there",
            object_type=self._record.key,
        )

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


def _plan_of(path: Path, header: list[str], record: ObjectType) -> _Plan:
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise SourceFault(
            f"{path}: the header names {', '.join(map(repr, repeated))} twice; each column needs its own name"
        )
    columns = columns_of(record)
    for one in columns:
        if one.name not in header:
            near = get_close_matches(one.name.lower(), [name.strip().lower() for name in header], n=1)
            spelled = [name for name in header if near and name.strip().lower() == near[0]]
            hint = f"; did you mean {spelled[0]!r}?" if spelled else ""
            raise SourceFault(
                f"{path}: the header has no column {one.name!r}, an attribute of {record.key!r}; "
                f"add the column, correct the attribute, or check delimiter and encoding{hint}"
            )
    at = {name: n for n, name in enumerate(header)}
    return _Plan(
        width=len(header),
        anchor=at[record.anchor],
        anchor_name=record.anchor,
        plain=tuple((one.name, at[one.name]) for one in columns if not one.multi_valued and not one.keep_empty_text),
        kept_empty=tuple((one.name, at[one.name]) for one in columns if not one.multi_valued and one.keep_empty_text),
        lists=tuple((one.name, at[one.name], one.keep_empty_text) for one in columns if one.multi_valued),
    )
