"""The rows of one CSV file, each with its place, whatever the bytes are.

Python's reader takes lines and gives rows, and neither says where a row began nor goes on after a broken one. So the
lines pass through a feeder that counts them and keeps those of the row at hand. When a row turns out to be broken, the
lines tell where the next one starts: after a quoting fault at the very next line, because it is the quote that cannot
be trusted; after a field beyond the limit at the end of that field's row. A quote that is still open at the end of the
file means the file was cut off (IMP-4).

Encodings in which a line feed is always the byte 10 are split as bytes, and a read resumes at a byte. Others (UTF-16,
UTF-7) and files whose lines end in CR alone are decoded as a stream, and a read resumes by counting lines.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

import msgspec

from anabranch.connectors.csv_options import CsvOptions
from anabranch.connectors.port import IncompleteRead, SourceFault

_UTF8_MARK: Final = codecs.BOM_UTF8
_LINES_OF_A_FIELD: Final = 4
"""A line may be this many times as long as a field."""
_KEPT_OF_A_CELL: Final = 4096
"""What is kept of each cell of a broken row: enough for any anchor."""


_Piece = bytes | str
"""A line, or a part of one beyond the limit; all of one file are bytes, or all are text."""


class BrokenRow(msgspec.Struct, frozen=True):
    """A row that is no object: the line it starts at, what is wrong, and its cells as far as they can be told apart."""

    line: int
    message: str
    cells: list[str]


class _LineTooLong(csv.Error):
    pass


def splits_as_bytes(encoding: str) -> bool:
    """True where the ASCII characters are their own bytes, so that lines can be told apart before decoding."""
    plain = bytes(range(128))
    try:
        return plain.decode(encoding) == plain.decode("ascii") and "a\n".encode(encoding) == b"a\n"
    except UnicodeError:
        return False


class CsvRows:
    """Reads one open file. `position` (bytes or lines) and `line` say how far the rows given out reach."""

    def __init__(self, file: BinaryIO, name: str, options: CsvOptions, head: bytes) -> None:
        self.name = name
        self.options = options
        self.line = 0
        self.position = 0
        self.volume = 0
        self.fault: str | None = None
        self.fed: list[_Piece] = []
        encoding = codecs.lookup(options.encoding).name
        self.by_bytes = splits_as_bytes("utf-8" if encoding == "utf-8-sig" else encoding)
        self.by_bytes = self.by_bytes and (b"\r" not in head or b"\n" in head)
        self.encoding = "utf-8" if encoding == "utf-8-sig" and self.by_bytes else encoding
        self.file = file
        self.field_limit = options.max_field_size
        self._limit = options.max_field_size * _LINES_OF_A_FIELD
        self._back: deque[_Piece] = deque()
        self._refuse_foreign_mark(head)
        csv.field_size_limit(max(csv.field_size_limit(), options.max_field_size))
        self._begin(head)

    def _refuse_foreign_mark(self, head: bytes) -> None:
        marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if marked and self.encoding == "utf-8":
            raise SourceFault(f"{self.name}: the file begins as UTF-16 text; set encoding: utf-16")

    def _begin(self, head: bytes) -> None:
        if self.by_bytes:
            start = len(_UTF8_MARK) if self.encoding == "utf-8" and head.startswith(_UTF8_MARK) else 0
            self.file.seek(start)
            self.position = start
            self._readline: Callable[[int], _Piece] = self.file.readline
        else:
            self.file.seek(0)
            encoding = "utf-8-sig" if self.encoding == "utf-8" else self.encoding
            self._text = io.TextIOWrapper(self.file, encoding, "replace", newline="")
            self._readline = self._text.readline
        self.restart()

    def restart(self) -> None:
        """A fresh reader at the next line; needed after every broken row."""
        self._reader = csv.reader(
            self._byte_lines() if self.by_bytes else self._text_lines(),
            delimiter=self.options.delimiter,
            quotechar=self.options.quote,
            strict=True,
        )

    def go_to(self, position: int, line: int) -> None:
        """The next row is the one after those that ended at this position and line, of the same file."""
        self._back.clear()
        if self.by_bytes:
            self.file.seek(position)
        else:
            while self.position < position and self._readline(self._limit):
                self.position += 1
        self.position, self.line = position, line
        self.restart()

    def next_row(self) -> list[str] | BrokenRow | None:
        """The cells of the next row that is not blank, or None at the end. Raises `IncompleteRead`."""
        fed = self.fed
        while True:
            fed.clear()
            try:
                row = next(self._reader)
            except StopIteration:
                return None
            except csv.Error as error:
                return self._broken(error)
            size = len(fed[0])
            if len(fed) == 1 and size <= self.field_limit and self.fault is None:  # nearly every row of every file
                self.line += 1
                self.volume += size
                self.position += size if self.by_bytes else 1
            elif (broken := self._doubtful(row)) is not None:
                return broken
            if row:
                return row

    def spelling(self) -> bytes:
        """The bytes of the row given out last, without its line end; those of its text in UTF-8 where the file is
        decoded as a stream."""
        fed = b"".join(one if isinstance(one, bytes) else one.encode("utf-8", "surrogatepass") for one in self.fed)
        return fed.removesuffix(b"\n").removesuffix(b"\r")

    def _doubtful(self, row: list[str]) -> BrokenRow | None:
        first = self.line + 1
        self._advance()
        message, self.fault = self.fault, None
        if message is None and any(len(cell) > self.field_limit for cell in row):
            message = self._size_fault()
        return None if message is None else BrokenRow(first, message, [cell[:_KEPT_OF_A_CELL] for cell in row])

    def _size_fault(self) -> str:
        return (
            f"a field is longer than max-field-size ({self.options.max_field_size} characters); "
            "raise the option if such values are meant"
        )

    def _advance(self) -> None:
        size = sum(map(len, self.fed))
        self.volume += size
        self.line += len(self.fed)
        self.position += size if self.by_bytes else len(self.fed)

    def _byte_lines(self) -> Iterator[str]:
        back, readline, limit, encoding = self._back, self._readline, self._limit, self.encoding
        while True:
            raw = back.popleft() if back else readline(limit)
            if not isinstance(raw, bytes) or not raw:
                return
            self.fed.append(raw)
            if len(raw) >= limit and not raw.endswith(b"\n"):
                raise _LineTooLong
            try:
                line = raw.decode(encoding)
            except UnicodeDecodeError as error:
                at = f"byte {error.start + 1} of the line" if len(self.fed) == 1 else "one of its lines"
                self.fault = f"{at} is not valid {encoding}; deliver the file in the declared encoding"
                line = raw.decode(encoding, "replace")
            if "\0" in line:
                self.fault = "the row holds a NUL character, which no text may; remove it at the source"
            yield line

    def _text_lines(self) -> Iterator[str]:
        back, readline, limit = self._back, self._readline, self._limit
        while True:
            line = back.popleft() if back else readline(limit)
            if not isinstance(line, str) or not line:
                return
            self.fed.append(line)
            if len(line) >= limit and not line.endswith(("\n", "\r")):
                raise _LineTooLong
            if "\ufffd" in line:
                self.fault = f"the row is not valid {self.encoding}; deliver the file in the declared encoding"
            if "\0" in line:
                self.fault = "the row holds a NUL character, which no text may; remove it at the source"
            yield line

    def _decoded(self, raw: bytes | str) -> str:
        return raw if isinstance(raw, str) else raw.decode(self.encoding, "replace")

    def _broken(self, error: csv.Error) -> BrokenRow:
        first = self.line + 1
        self.fault = None
        if str(error).startswith("unexpected end"):
            raise self._cut_off(first) from error
        if isinstance(error, _LineTooLong) or str(error).startswith("field larger"):
            return self._skip_row(first)
        later = self.fed[1:]
        self._back.extendleft(reversed(later))
        del self.fed[1:]
        text = self._decoded(self.fed[0])
        self._advance()
        self.restart()
        stray = "new-line" in str(error)
        why = "a carriage return stands outside quotes" if stray else "a quoted field goes on after its quote"
        return BrokenRow(first, f"{why}; quote the field and double the quotes inside it", self._loose_cells(text))

    def _loose_cells(self, text: str) -> list[str]:
        row = _RowEnd(self.options.delimiter, self.options.quote)
        row.take(text)
        return row.cells

    def _skip_row(self, first: int) -> BrokenRow:
        row = _RowEnd(self.options.delimiter, self.options.quote)
        for raw in self.fed:
            ended = row.take(self._decoded(raw))
        self.line -= sum(1 for raw in self.fed if not self._decoded(raw[-1:]).endswith(("\n", "\r")))
        self._advance()
        while not ended:
            piece = self._back.popleft() if self._back else self._readline(self._limit)
            if not piece:
                if row.quoted:
                    raise self._cut_off(first)
                break
            self.volume += len(piece)
            self.position += len(piece) if self.by_bytes else 1
            ended = row.take(self._decoded(piece))
            self.line += 1 if self._decoded(piece[-1:]).endswith(("\n", "\r")) else 0
        self.restart()
        return BrokenRow(first, self._size_fault(), row.cells)

    def _cut_off(self, line: int) -> IncompleteRead:
        return IncompleteRead(
            f"{self.name}:{line}: a quote opened here is never closed, so the file was cut off or the quote is stray; "
            "deliver the whole file and run the import again"
        )

    def close(self) -> None:
        if not self.by_bytes:
            self._text.close()
        self.file.close()


class _RowEnd:
    """Follows the quotes of one row through any number of pieces, and keeps the beginning of each cell."""

    def __init__(self, delimiter: str, quote: str) -> None:
        self._delimiter, self._quote = delimiter, quote
        self._state = "start"
        self._cell = ""
        self.cells: list[str] = []

    @property
    def quoted(self) -> bool:
        return self._state == "quoted"

    def take(self, piece: str) -> bool:
        """True when the row ends with this piece."""
        at = 0
        while at < len(piece):
            at = self._in_quotes(piece, at) if self._state in {"quoted", "closing"} else self._outside(piece, at)
        ended = piece.endswith(("\n", "\r")) and not self.quoted
        if ended:
            self.cells.append(self._cell.rstrip("\r\n"))
        return ended

    def _in_quotes(self, piece: str, at: int) -> int:
        if self._state == "closing":
            again = piece[at] == self._quote
            self._state = "quoted" if again else "plain"
            if again:
                self._keep(self._quote)
            return at + again
        end = piece.find(self._quote, at)
        if end < 0:
            self._keep(piece[at:])
            return len(piece)
        self._keep(piece[at:end])
        self._state = "closing"
        return end + 1

    def _outside(self, piece: str, at: int) -> int:
        if self._state == "start" and piece[at] == self._quote:
            self._state = "quoted"
            return at + 1
        self._state = "plain"
        end = piece.find(self._delimiter, at)
        if end < 0:
            self._keep(piece[at:])
            return len(piece)
        self._keep(piece[at:end])
        self.cells.append(self._cell)
        self._cell = ""
        self._state = "start"
        return end + 1

    def _keep(self, text: str) -> None:
        if len(self._cell) < _KEPT_OF_A_CELL:
            self._cell += text[: _KEPT_OF_A_CELL - len(self._cell)]
