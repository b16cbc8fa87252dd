"""Objects as the rows of a CSV file, byte for byte the same whenever the objects are the same.

Columns stand in declared order, members of a cell in code point order, and a cell is quoted only when it has to be.
What the file cannot hold is refused for that object alone, so that nothing is written which would read back as
something else: a list member that contains the list separator, several values for a single one, a character that the
encoding lacks.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Sequence
from typing import Final

from anabranch.connectors.csv_options import CsvOptions, columns_of
from anabranch.connectors.port import RawValue, Rejection, TargetObject
from anabranch.model.configuration import Attribute, ObjectType

_EMPTY: Final[Sequence[RawValue]] = ("",)


def _takes_ascii(encoding: str) -> bool:
    """Whether the encoding has every ASCII character; cp864 has no percent sign."""
    try:
        bytes(range(128)).decode("ascii").encode(encoding)
    except UnicodeError:
        return False
    return True


class CsvFormatter:
    """Turns the objects of one object type into rows."""

    def __init__(self, record: ObjectType, options: CsvOptions) -> None:
        self._record = record
        self._options = options
        self._columns = columns_of(record)
        self._encoder = codecs.getincrementalencoder(options.encoding)()
        self._takes_ascii = _takes_ascii(options.encoding)
        special = re.escape(options.delimiter + options.quote)
        self._needs_quotes = re.compile(f"[{special}\r\n]").search
        self._needs_care = re.compile(f"[{special}\r\n\0]").search
        self._names = [one.name for one in self._columns]
        self._is_simple = len(self._columns) > 1 and not any(one.multi_valued for one in self._columns)
        self._anchor_at = next((n for n, one in enumerate(self._columns) if one.name == record.anchor), 0)

    def header(self) -> bytes:
        """The first bytes of the file, with the encoding's mark where it has one."""
        return self._encoder.encode(self._line([one.name for one in self._columns]))

    def row(self, wanted: TargetObject, line: str | None = None) -> bytes | Rejection:
        """The object's line, or why it cannot have one. `line` is what `text` gave for it, if that was asked before."""
        if line is None:
            made = self.text(wanted)
            if isinstance(made, Rejection):
                return made
            line = made
        return self._encoder.encode(line)

    def text(self, wanted: TargetObject) -> str | Rejection:
        """The object's line as text that the encoding can hold, or why it cannot have one."""
        line = self._plain_line(wanted)
        if line is None:
            cells = self._cells(wanted)
            if isinstance(cells, Rejection):
                return cells
            line = self._line(cells)
        if not (self._takes_ascii and line.isascii()):
            try:
                line.encode(self._options.encoding)
            except UnicodeEncodeError as error:
                return self._refuse(wanted, f"{line[error.start]!r} does not exist in {self._options.encoding}")
        return line

    def _plain_line(self, wanted: TargetObject) -> str | None:
        """The line of an object of which nothing has to be quoted, merged or refused; None where that is not sure."""
        if not self._is_simple:
            return None
        if wanted.texts is not None:
            get = wanted.texts.get
            cells = [get(name, "") for name in self._names]
        else:
            found = self._single_texts(wanted)
            if found is None:
                return None
            cells = found
        if not cells[self._anchor_at].strip():
            return None
        together = "".join(cells)
        if len(together) > self._options.max_field_size or self._needs_care(together) is not None:
            return None
        return self._options.delimiter.join(cells) + self._options.line_end

    def _single_texts(self, wanted: TargetObject) -> list[str] | None:
        """One text for each column; None where some value is no text, or not the only one."""
        get = wanted.values.get
        several = [get(name, _EMPTY) for name in self._names]
        if sum(map(len, several)) != len(several) or not all(several):
            return None
        cells = [raws[0] for raws in several]
        return cells if all(type(cell) is str for cell in cells) else None  # type: ignore[return-value]

    def _cells(self, wanted: TargetObject) -> list[str] | Rejection:
        cells = []
        values = wanted.values if wanted.texts is None else {name: [text] for name, text in wanted.texts.items()}
        for column in self._columns:
            raws: Sequence[RawValue] = values.get(column.name, ())
            if column.name == self._record.anchor and not raws:
                raws = (wanted.anchor,)
            texts = [raw if isinstance(raw, str) else base64.b64encode(raw).decode("ascii") for raw in raws]
            cell, wrong = self._cell(column, texts)
            if wrong:
                return self._refuse(wanted, f"{column.name!r} {wrong}")
            cells.append(cell)
        if not cells[self._anchor_at].strip():
            return self._refuse(wanted, f"the anchor {self._record.anchor!r} is empty")
        return cells

    def _cell(self, column: Attribute, texts: list[str]) -> tuple[str, str]:
        separator = self._options.list_separator
        if column.multi_valued:
            texts = sorted(set(texts))
            if any(separator in text for text in texts):
                return "", f"has a value that contains the list separator {separator!r}; choose another list-separator"
            if len(separator) > 1 and texts and separator.join(texts).split(separator) != texts:
                return "", f"has values that run together with the list separator {separator!r}; choose another one"
            if "" in texts and not (column.keep_empty_text and len(texts) > 1):
                return "", "has an empty value, which a list in a cell cannot hold"
        elif len(texts) > 1:
            return "", f"has {len(texts)} values but is declared with one"
        cell = separator.join(texts)
        if "\0" in cell:
            return "", "holds a NUL character, which a CSV file cannot hold"
        if len(cell) > self._options.max_field_size:
            return "", f"is longer than max-field-size ({self._options.max_field_size} characters)"
        return cell, ""

    def _line(self, cells: list[str]) -> str:
        if len(cells) == 1 and not cells[0]:
            return self._options.quote * 2 + self._options.line_end
        return self._options.delimiter.join([self._quoted(cell) for cell in cells]) + self._options.line_end

    def _quoted(self, cell: str) -> str:
        if self._needs_quotes(cell) is None:
            return cell
        quote = self._options.quote
        return quote + cell.replace(quote, quote * 2) + quote

    def _refuse(self, wanted: TargetObject, message: str) -> Rejection:
        return Rejection(wanted.object_type, wanted.anchor, "export_refused", f"{wanted.anchor}: {message}")
