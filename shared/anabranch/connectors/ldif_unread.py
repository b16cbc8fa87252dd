"""The entries of an LDIF page as records: their bytes, and on demand the objects they spell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise
from typing import Final

from anabranch.connectors.ldif_format import RawRecord, whole_record
from anabranch.connectors.ldif_regular import RegularEntries
from anabranch.connectors.port import Entry, EntryError

_NAME: Final = (b"dn:", b"DN:")


def says_all(raw: bytes) -> bool:
    """Whether the bytes of a closed record behind the first one say all that is to be known about it: it has a name, so
    it counts as an object, and no value of it is fetched from elsewhere. False also where that is not certain."""
    named = raw.startswith(_NAME) or (raw[:1] == b"#" and b"\ndn:" in raw)
    return named and b":<" not in raw and b"\n <" not in raw


class LdifRecords:
    """Entries of one page (`Records` of the port), whatever their types; `raw` is without the last line feed."""

    object_type = None

    def __init__(
        self, layout: str, regular: RegularEntries, read: Callable[[RawRecord], Entry | EntryError | int]
    ) -> None:
        self.layout = layout
        self._regular = regular
        self.raw: list[bytes] = []
        self._read = read
        self._parts: list[tuple[int, int]] = []

    def add(self, raw: list[bytes], line: int) -> None:
        """More records that follow one another, the first of them at this line."""
        self._parts.append((len(self.raw), line))
        self.raw += raw

    def read(self, numbers: Iterable[int]) -> Iterator[Entry | EntryError | None]:
        lines = self._lines()
        for n in numbers:
            raw, line = self.raw[n], lines[n]
            found = self._regular.entry(raw, line) or self._read(whole_record(raw, line))
            yield None if isinstance(found, int) else found

    def plain(self, numbers: Iterable[int]) -> None:
        """Entries of a directory seldom have one value each."""

    def _lines(self) -> list[int]:
        """The line each record begins at."""
        lines: list[int] = []
        for (at, line), (end, _) in pairwise([*self._parts, (len(self.raw), 0)]):
            heights = (raw.count(b"\n") + 2 for raw in self.raw[at : end - 1])
            lines += accumulate(heights, initial=line)
        return lines
