"""The lines of a CSV file in bulk, for as long as its lines are its rows.

Nearly every file has one row a line, and nearly every row of an import has not changed; taking such rows one by one
through a reader that can follow any quote costs more than everything else that is done with them. So a page's lines
are cut out of the file at once, and a look at the whole page says whether each of them is a row by itself: no byte
that is no text, no stray carriage return, no line beyond the limit, and quotes, if there are any, closed on their
line. Where that is not certain nothing is taken, and the careful reader of `csv_rows` reads the page.
"""

from __future__ import annotations

import csv
from itertools import accumulate
from typing import Final

import msgspec

from anabranch.connectors.csv_rows import CsvRows

_PIECE: Final = 1024 * 1024


class Block(msgspec.Struct, frozen=True):
    """Rows that are whole lines: their bytes without the line end, their line numbers, their cells where quotes made it
    necessary to tell them apart. `last` is True at the end of the file."""

    raw: list[bytes]
    lines: range | list[int]
    cells: list[list[str]] | None
    last: bool


class CsvBlocks:
    """Takes lines of the file that `rows` reads, and moves it behind what was taken."""

    def __init__(self, rows: CsvRows) -> None:
        self._rows = rows
        self._held: list[bytes] = []
        self._tail = b""
        self._ended = False
        self._open_end = False
        self._moved = True

    def take(self, size: int, most: int) -> Block | None:
        """At most `size` rows of about `most` bytes; None where the next page has to be read row by row."""
        rows = self._rows
        if not rows.by_bytes:
            return None
        if not self._fill(size, most):
            self._leave()
            return None
        taken = self._held[: self._fitting(size, most)]
        last = self._ended and len(taken) == len(self._held) and len(taken) < size
        block = self._looked_at(taken, last)
        if block is None:
            self._leave()
            return None
        unended = self._ended and len(taken) == len(self._held) and bool(taken) and self._open_end
        rows.position += sum(map(len, taken)) + len(taken) - unended
        rows.line += len(taken)
        del self._held[: len(taken)]
        return block

    def _fitting(self, size: int, most: int) -> int:
        """How many of the held lines make a page."""
        if sum(map(len, self._held[:size])) < most:
            return size
        reached = accumulate(map(len, self._held[:size]))
        return next((n for n, volume in enumerate(reached, start=1) if volume >= most), size)

    def _fill(self, size: int, most: int) -> bool:
        """Enough lines are held, or all that are left. False where a line is longer than a row may be."""
        if self._moved:
            self._rows.file.seek(self._rows.position)
            self._moved, self._open_end = False, False
        volume = sum(map(len, self._held))
        while len(self._held) < size and volume < most and not self._ended:
            piece = self._rows.file.read(_PIECE)
            data = self._tail + piece
            if not piece:
                self._ended, self._open_end, self._tail = True, bool(data), b""
                self._held += [data] if data else []
            elif (end := data.rfind(b"\n")) >= 0:
                self._held += data[:end].split(b"\n")
                volume += end
                self._tail = data[end + 1 :]
            elif len(data) > self._rows.field_limit:
                return False
            else:
                self._tail = data
        return True

    def _leave(self) -> None:
        """The careful reader stands where the rows taken so far end; the next block is read from where it then is."""
        self._held, self._tail, self._ended, self._moved = [], b"", False, True
        self._rows.go_to(self._rows.position, self._rows.line)

    def _looked_at(self, taken: list[bytes], last: bool) -> Block | None:
        rows, first = self._rows, self._rows.line + 1
        data = b"\n".join(taken) + b"\n" if taken else b""
        if b"\0" in data or (taken and max(map(len, taken)) > rows.field_limit):
            return None
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
            if b"\r" in data:
                return None
            taken = data[:-1].split(b"\n")
        try:
            text = data.decode(rows.encoding)
        except UnicodeDecodeError:
            return None
        cells = None
        if rows.options.quote in text:
            cells = self._cells(text[:-1].split("\n"))
            if cells is None:
                return None
        if b"" not in taken:
            return Block(taken, range(first, first + len(taken)), cells, last)
        kept = [n for n, line in enumerate(taken) if line]
        return Block(
            [taken[n] for n in kept],
            [first + n for n in kept],
            [cells[n] for n in kept] if cells is not None else None,
            last,
        )

    def _cells(self, lines: list[str]) -> list[list[str]] | None:
        """The cells of each line, or None where a line is not exactly one row."""
        options = self._rows.options
        try:
            rows = list(csv.reader(lines, delimiter=options.delimiter, quotechar=options.quote, strict=True))
        except csv.Error:
            return None
        # A row takes one line or more, so as many rows as lines means that each took one.
        return rows if len(rows) == len(lines) else None
