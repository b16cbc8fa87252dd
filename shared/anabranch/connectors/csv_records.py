"""The rows of a CSV page as records: their bytes, and on demand the objects they spell.

The header is looked at once: it says in which column each declared attribute stands. A row then becomes an entry with
the selected attributes that have a value, or an error at its place; the cell of the anchor is kept even of a broken row
where it can be told, so that the object it names counts as seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from operator import itemgetter
from pathlib import Path

import msgspec

from anabranch.connectors.csv_options import CsvOptions, columns_of, file_of
from anabranch.connectors.port import Entry, EntryError, PlainTexts, RawValue, SourceFault
from anabranch.model.configuration import ObjectType


class Columns(msgspec.Struct, frozen=True):
    """Where each attribute stands in a row: single cells, cells whose empty text counts, cells that hold lists.
    `layout` is what besides a row's bytes decides what it says."""

    type_key: str
    file: str
    width: int
    anchor: int
    anchor_name: str
    plain: tuple[str, ...]
    pick: Callable[[list[str]], tuple[str, ...]]
    kept_empty: tuple[tuple[str, int], ...]
    lists: tuple[tuple[str, int, bool], ...]
    separator: str
    delimiter: str
    layout: str

    def object_of(self, cells: list[str], line: int) -> Entry | EntryError:
        """What the row that begins at `line` says, with single texts apart (`Entry.texts`)."""
        if len(cells) != self.width:
            message = f"the row has {len(cells)} cells, the header {self.width}; quote cells that hold the delimiter"
            return self.error(line, message, cells)
        anchor = cells[self.anchor]
        if not anchor or anchor.isspace():
            return EntryError(
                place=f"{self.file}:{line}",
                kind="missing_anchor",
                message=f"the column {self.anchor_name!r} is empty; every object needs a value there",
                object_type=self.type_key,
            )
        values: dict[str, list[RawValue]] = {name: [cells[at]] for name, at in self.kept_empty}
        for name, at, keep in self.lists:
            if cell := cells[at]:
                values[name] = [one for one in cell.split(self.separator) if one or keep]
        picked = self.pick(cells)
        if "" in picked:
            texts = {name: cell for name, cell in zip(self.plain, picked, strict=True) if cell}
        else:
            texts = dict(zip(self.plain, picked, strict=True))
        return Entry(self.type_key, values, f"{self.file}:{line}", "complete", None, None, texts)

    def error(self, line: int, message: str, cells: list[str]) -> EntryError:
        """A row that is no object."""
        anchor = cells[self.anchor] if self.anchor < len(cells) else ""
        usable = anchor and "\ufffd" not in anchor and "\0" not in anchor
        return EntryError(
            place=f"{self.file}:{line}",
            kind="connector_object_error",
            message=message,
            object_type=self.type_key,
            anchor=anchor if usable else None,
        )


def _picker(places: list[int]) -> Callable[[list[str]], tuple[str, ...]]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda cells: tuple(cells[at] for at in places)


class CsvRecords:
    """Rows of one page (`Records` of the port). Without `cells` none of them holds a quote, and a row is split where
    its delimiters are."""

    def __init__(
        self,
        columns: Columns,
        encoding: str,
        raw: Sequence[bytes],
        lines: Sequence[int],
        cells: Sequence[list[str]] | None,
    ) -> None:
        self._columns = columns
        self._encoding = encoding
        self.lines = lines
        self._cells = cells
        self.raw = raw
        self.object_type = columns.type_key
        self.layout = columns.layout

    def read(self, numbers: Iterable[int]) -> Iterator[Entry | EntryError]:
        columns, lines, raw, encoding, delimiter = (
            self._columns, self.lines, self.raw, self._encoding, self._columns.delimiter,
        )  # fmt: skip
        for n in numbers:
            cells = self._cells[n] if self._cells is not None else raw[n].decode(encoding).split(delimiter)
            yield columns.object_of(cells, lines[n])

    def plain(self, numbers: Iterable[int]) -> PlainTexts | None:
        columns, lines, raw, encoding, delimiter = (
            self._columns, self.lines, self.raw, self._encoding, self._columns.delimiter,
        )  # fmt: skip
        if columns.kept_empty or columns.lists:
            return None
        wanted = list(numbers)
        if self._cells is not None:
            cells = [self._cells[n] for n in wanted]
        else:
            cells = [raw[n].decode(encoding).split(delimiter) for n in wanted]
        width, anchor = columns.width, columns.anchor
        if any(len(one) != width or not one[anchor] or one[anchor].isspace() for one in cells):
            return None
        places = [f"{columns.file}:{lines[n]}" for n in wanted]
        return PlainTexts(columns.type_key, columns.plain, list(map(columns.pick, cells)), places)


def columns_in(path: Path, header: list[str], record: ObjectType, options: CsvOptions, encoding: str) -> Columns:
    """Where the header puts the attributes. Raises `SourceFault` where it names one twice, or not at all."""
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
    plain = tuple(one.name for one in columns if not one.multi_valued and not one.keep_empty_text)
    spelling = [encoding, options.delimiter, options.quote, options.list_separator, header]
    return Columns(
        type_key=record.key,
        file=file_of(record),
        width=len(header),
        anchor=at[record.anchor],
        anchor_name=record.anchor,
        plain=plain,
        pick=_picker([at[name] for name in plain]),
        kept_empty=tuple((one.name, at[one.name]) for one in columns if not one.multi_valued and one.keep_empty_text),
        lists=tuple((one.name, at[one.name], one.keep_empty_text) for one in columns if one.multi_valued),
        separator=options.list_separator,
        delimiter=options.delimiter,
        layout="csv 1 " + msgspec.json.encode(spelling).decode(),
    )
