"""An LDIF file read as objects, a page at a time: content as a whole, or change records as a feed.

A content file is read like any file: its token knows what it looked like, and a changed file is read from its
beginning. A feed only grows; its tokens and its watermark are positions after a record, and the file is the same one as
long as it begins the same and has not become shorter.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote, urlsplit

from anabranch.connectors.csv_options import MEBIBYTE
from anabranch.connectors.ldif_blocks import Block, LdifBlocks
from anabranch.connectors.ldif_entries import EntryReader
from anabranch.connectors.ldif_format import (
    BadRecord,
    ChangeType,
    RawRecord,
    ReadUrl,
    parse_record,
    refuse_url,
    whole_record,
)
from anabranch.connectors.ldif_options import CHANGES, LdifOptions, LdifType
from anabranch.connectors.ldif_regular import RegularEntries
from anabranch.connectors.ldif_unread import LdifRecords, says_all
from anabranch.connectors.port import Entry, EntryError, IncompleteRead, Page, SourceFault, Token
from anabranch.connectors.source_file import (
    HEAD_BYTES,
    check_appended,
    check_same,
    check_unmoved,
    open_for_reading,
    stamp_token,
    take_stamp,
    whole_number,
)
from anabranch.model.errors import Retryable

_PAGE_BYTES: Final = 32 * MEBIBYTE


def url_reader(directory: Path | None, largest: int) -> ReadUrl:
    """Reads `:<` values: `file:` addresses inside one folder, or nothing at all."""
    if directory is None:
        return refuse_url
    root = directory.resolve()

    def read(url: str) -> bytes:
        parts = urlsplit(url)
        if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
            raise BadRecord(f"the value names {url[:200]!r}; only file: addresses are read")
        path = Path(unquote(parts.path)).resolve()
        if not path.is_relative_to(root):
            raise BadRecord(f"the value names {str(path)!r}, which is outside the option url-directory")
        try:
            with path.open("rb") as file:
                content = file.read(largest + 1)
        except OSError as error:
            raise BadRecord(f"the value names {str(path)!r}, which cannot be read: {error.strerror}") from error
        if len(content) > largest:
            raise BadRecord(f"the value in {str(path)!r} is longer than max-record-size")
        return content

    return read


class _Page:
    """What the records of a page are so far."""

    def __init__(self, records: LdifRecords) -> None:
        self.entries: list[Entry] = []
        self.errors: list[EntryError] = []
        self.ignored = 0
        self.records = records

    @property
    def count(self) -> int:
        return len(self.entries) + len(self.errors) + self.ignored + len(self.records.raw)

    def add(self, found: Entry | EntryError | int) -> None:
        if isinstance(found, Entry):
            self.entries.append(found)
        elif isinstance(found, EntryError):
            self.errors.append(found)
        else:
            self.ignored += found


class LdifFileReader:
    """An open LDIF file. Used by one thread at a time."""

    def __init__(
        self,
        path: Path,
        types: list[LdifType],
        options: LdifOptions,
        base_directory: Path,
        token: Token | None,
        *,
        records: bool = False,
    ) -> None:
        """Opens the file and goes to the token. Raises `SourceFault`, `SourceChanged`. With `records` pages hold the
        entries of a file of content as records, as far as their bytes say all about them."""
        self._path = path
        self._largest = options.max_record_size
        self._as_records = records and options.mode != CHANGES
        self._feed = options.mode == CHANGES
        folder = None if options.url_directory is None else base_directory / options.url_directory
        self._read_url = url_reader(folder, options.max_record_size)
        self._entries = EntryReader(types, path.name)
        self._regular = RegularEntries(types, self._entries, path.name)
        self._file: BinaryIO = open_for_reading(path)
        self._records_read = 0
        try:
            self._stamp = take_stamp(self._file)
            if not self._stamp.size and not self._feed:
                raise SourceFault(f"{path}: the file is empty; one without entries still begins with version: 1")
            offset, line = (0, 0) if token is None else self._place_of(token)
            self._blocks = LdifBlocks(self._file, offset, line, self._largest)
        except BaseException:
            self._file.close()
            raise

    def _place_of(self, token: Token) -> tuple[int, int]:
        if self._feed:
            check_appended(self._path, token, self._file)
        else:
            check_same(self._path, token, self._stamp)
        place = whole_number(self._path, token, "offset"), whole_number(self._path, token, "line")
        self._records_read = whole_number(self._path, token, "rows")
        return place

    def close(self) -> None:
        self._file.close()

    def next_page(self, size: int) -> Page:
        """The next records as a page; the last one is complete.

        Raises `SourceChanged`, `IncompleteRead`, `SourceFault` or `Retryable`.
        """
        try:
            return self._read_page(size)
        except OSError as error:
            raise Retryable(f"{self._path}: cannot be read: {error.strerror or error}") from error

    def _read_page(self, size: int) -> Page:
        page = _Page(LdifRecords(self._entries.layout, self._regular, self._read_record))
        until = self._blocks.offset + _PAGE_BYTES
        complete = False
        while page.count < size and self._blocks.offset < until:
            taken = self._blocks.take(size - page.count, until - self._blocks.offset)
            if taken is None:
                complete = True
                break
            self._take(page, taken)
        if not self._feed:
            check_unmoved(self._path, self._file, self._stamp)
        self._records_read += page.count
        return Page(
            entries=page.entries,
            errors=page.errors,
            next_token=None if complete else self._token(),
            complete=complete,
            ignored=page.ignored,
            total_hint=self._records_read if complete else self._guess(),
            records=page.records if self._as_records else None,
        )

    def _take(self, page: _Page, taken: Block | RawRecord) -> None:
        if isinstance(taken, RawRecord):
            if self._as_records and taken.whole_lines and not taken.oversized:
                taken = Block([taken.data[:-1]], taken.line)
            else:
                page.add(self._read_record(taken))
                return
        line, held = taken.line, page.records
        if self._as_records and line > 1 and all(map(says_all, taken.raw)):
            held.add(taken.raw, line)
            return
        for raw in taken.raw:
            if self._as_records and line > 1 and says_all(raw):
                held.add([raw], line)
            else:
                page.add(self._read_record(whole_record(raw, line)))
            line += raw.count(b"\n") + 2

    def _read_record(self, raw: RawRecord) -> Entry | EntryError | int:
        """An object, an error, or how many records were passed over (a bare `version:` counts as none)."""
        if raw.oversized:
            message = (
                f"the record is larger than max-record-size ({self._largest} bytes); raise the option if it is meant"
            )
            return self._entries.broken(raw, raw.line, message)
        try:
            record = parse_record(raw, self._read_url)
        except BadRecord as error:
            if not raw.whole_lines:
                raise IncompleteRead(
                    f"{self._path}: the last record (line {error.line}) is cut off: {error}; deliver the whole file"
                ) from error
            if raw.line == 1 and "of LDIF is unknown" in str(error):
                raise SourceFault(f"{self._path}:{error.line}: {error}") from error
            return self._entries.broken(raw, error.line, str(error))
        if record is None:
            return 0
        if not self._feed and record.change not in (ChangeType.NONE, ChangeType.ADD):
            return EntryError(
                place=f"{self._path.name}:{raw.line}",
                kind="connector_object_error",
                message=f"a {record.change} of {record.dn!r} stands in a file of content; a feed needs mode: changes",
            )
        found = self._entries.entry(raw, record)
        return 1 if found is None else found

    def _token(self) -> Token:
        return stamp_token(self._stamp) | {
            "offset": self._blocks.offset,
            "line": self._blocks.line,
            "rows": self._records_read,
        }

    def _guess(self) -> int:
        return max(self._records_read, self._records_read * self._stamp.size // max(1, self._blocks.offset))


def feed_end(path: Path) -> Token:
    """The token after the last record that a blank line closes: what follows may still be in the writing."""
    with open_for_reading(path) as file:
        offset = line = seen = lines = 0
        for piece in iter(lambda: file.readline(MEBIBYTE), b""):
            seen += len(piece)
            lines += piece.endswith(b"\n")
            if piece in (b"\n", b"\r\n"):
                offset, line = seen, lines
        stamp = take_stamp(file, min(HEAD_BYTES, offset))
        return stamp_token(stamp) | {"offset": offset, "line": line, "rows": 0}
