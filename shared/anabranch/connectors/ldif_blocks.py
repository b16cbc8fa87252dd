"""The records of an LDIF file in bulk, for as long as blank lines are where they are expected.

Nearly every entry of an import has not changed, and following such a file line by line costs more than everything else
that is done with it. So records are cut out of a whole piece of the file at its blank lines. That is right where the
piece parts its records with one blank line each, all ended alike, and none is beyond the limit; where it is not, and
behind the last blank line of the file, `split_records` goes through the piece line by line. Both cut the same records.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import BinaryIO, Final

import msgspec

from anabranch.connectors.ldif_format import RawRecord, split_records

_PIECE: Final = 1024 * 1024
_MOST: Final = 4 * _PIECE
"""How far a blank line is looked for in one piece."""


class Block(msgspec.Struct, frozen=True):
    """Records that follow one another, each closed by one blank line: their bytes without the last line feed. `line` is
    where the first begins, from 1."""

    raw: list[bytes]
    line: int


class LdifBlocks:
    """Cuts an open file from `offset` on, before which `line` lines stand; both move behind what was taken."""

    def __init__(self, file: BinaryIO, offset: int, line: int, largest: int) -> None:
        self.offset = offset
        self.line = line
        self._file = file
        self._largest = largest
        self._held: list[bytes] = []
        self._parted = 0
        """Bytes from the end of a held record to the beginning of the next."""
        self._tail: bytes | None = None
        """What was read behind the held records; None where the file stands elsewhere."""
        self._careful: Iterator[RawRecord] | None = None
        self._careful_until = 0
        self._ended = False

    def take(self, size: int, most: int) -> Block | RawRecord | None:
        """At most `size` records, no more than `most` bytes but for the last of them; a record that was cut out with
        care comes alone. None at the end of the file."""
        if self._ended:
            return None
        if self._careful is not None and self.offset < self._careful_until:
            return self._with_care()
        if not self._held and not self._fill():
            return self._with_care()
        taken = self._held[: self._fitting(size, most)]
        del self._held[: len(taken)]
        block = Block(taken, self.line + 1)
        self.offset += sum(map(len, taken)) + len(taken) * self._parted
        self.line += sum([one.count(b"\n") for one in taken]) + 2 * len(taken)
        return block

    def _fitting(self, size: int, most: int) -> int:
        """How many of the held records make a page."""
        held = self._held[:size]
        if sum(map(len, held)) + len(held) * self._parted < most:
            return size
        reached = accumulate(len(one) + self._parted for one in held)
        return next((n for n, volume in enumerate(reached, start=1) if volume >= most), size)

    def _with_care(self) -> RawRecord | None:
        if self._careful is None:
            self._careful = split_records(self._file, self.offset, self.line, self._largest)
        raw = next(self._careful, None)
        if raw is not None:
            self.offset, self.line = raw.end, raw.lines
        self._ended = raw is None or not raw.closed
        return raw

    def _fill(self) -> bool:
        """The next piece is held as records; False where it has to be gone through with care."""
        if self._tail is None or self._careful is not None:
            self._file.seek(self.offset)
            self._tail, self._careful = b"", None
        data = self._tail
        while True:
            piece = self._file.read(_PIECE)
            data += piece
            mark = _mark(data)
            end = data.rfind(mark) if mark else -1
            if mark and end >= 0:
                self._held = data[:end].split(mark)
                self._parted = len(mark)
                self._tail = data[end + len(mark) :]
                if max(map(len, self._held)) < self._largest:
                    return True
            if mark is None or end >= 0 or not piece or len(data) > _MOST:
                self._held, self._tail = [], None
                self._careful_until = self.offset + len(data)
                return False


def _mark(data: bytes) -> bytes | None:
    """What parts the records of a piece that begins with one; empty where nothing does yet, None where different things
    do, or more than one blank line."""
    plain, returned = b"\n\n" in data, b"\r" in data and b"\n\r\n" in data
    if (plain and returned) or data.startswith((b"\n", b"\r\n")):
        return None
    if plain:
        return b"\n\n" if b"\n\n\n" not in data else None
    if returned:
        return b"\n\r\n" if b"\n\r\n\r\n" not in data else None
    return b""
