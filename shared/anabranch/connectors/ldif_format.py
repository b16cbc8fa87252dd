"""LDIF as text: records out of bytes (RFC 2849).

A record is a run of lines up to a blank one. Lines that begin with a space belong to the line before, comments
included, so a record is put together before it is taken apart. A record that breaks the rules is reported with its line
and the next one begins after the next blank line; nothing else of the file is touched by it.

Values stay bytes here: whether they are text is known to whoever knows the attribute.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from functools import lru_cache, partial
from typing import BinaryIO, Final

import msgspec

_DESCRIPTION: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]*(?:;[A-Za-z0-9_-]+)*")
_PIECE: Final = 1024 * 1024
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_BLANK: Final = (b"\n", b"\r\n")
_LINE_FEED: Final = 10

ReadUrl = Callable[[str], bytes]
"""Gives the content a `:<` value names, or raises `BadRecord` saying why not."""
Line = tuple[bytes, bytes]
"""An attribute description as written, and a value."""


class BadRecord(ValueError):
    """A record breaks the rules; `line` counts logical lines of the record from 0 until a place is known."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class ChangeType(StrEnum):
    NONE = ""
    ADD = "add"
    DELETE = "delete"
    MODIFY = "modify"
    RENAME = "modrdn"


class Modification(msgspec.Struct, frozen=True):
    """One `add:`, `delete:` or `replace:` of a modify record; `delete` without values removes the attribute."""

    op: str
    attribute: bytes
    values: tuple[bytes, ...]


class RawRecord(msgspec.Struct, frozen=True):
    """The bytes between two blank lines; `line` counts from 1, `end` is the offset after the blank line.

    `closed`: a blank line followed. `oversized`: only its beginning is kept. `whole_lines`: the last line was ended.
    """

    data: bytes
    line: int
    end: int
    lines: int
    closed: bool
    oversized: bool
    whole_lines: bool


class Record(msgspec.Struct, frozen=True):
    """One record taken apart. `attributes` belong to content and `add`, `modifications` to `modify`, the rest to
    renames; `new_superior` is None where the object stays in its container."""

    dn: str
    change: ChangeType
    attributes: tuple[Line, ...] = ()
    modifications: tuple[Modification, ...] = ()
    new_rdn: str = ""
    delete_old_rdn: bool = False
    new_superior: str | None = None


def split_records(file: BinaryIO, offset: int, line: int, largest: int) -> Iterator[RawRecord]:
    """The records of a file from `offset` on, where line `line` + 1 begins; records beyond `largest` bytes are cut."""
    file.seek(offset)
    parts: list[bytes] = []
    size, first, lines, inside = 0, line + 1, line, False
    for piece in iter(partial(file.readline, _PIECE), b""):
        if not inside:
            lines += 1
            if piece in _BLANK:
                offset += size + len(piece)
                if parts:
                    yield RawRecord(b"".join(parts), first, offset, lines, True, size > largest, True)
                parts, size, first = [], 0, lines + 1
                continue
        inside = piece[-1] != _LINE_FEED
        size += len(piece)
        if size <= largest or not parts:
            parts.append(piece)
    if parts:
        yield RawRecord(b"".join(parts), first, offset + size, lines, False, size > largest, not inside)


def whole_record(raw: bytes, line: int) -> RawRecord:
    """A closed record by itself, without its last line feed, that begins at this line; its place in bytes is not
    told."""
    return RawRecord(raw + b"\n", line, 0, 0, True, False, True)


def parse_record(raw: RawRecord, read_url: ReadUrl) -> Record | None:
    """The record, or None for one of comments and `version:` alone. Raises `BadRecord` with the line in the file."""
    try:
        lines = list(_lines(_logical(raw), read_url))
        return _record(lines) if lines else None
    except BadRecord as error:
        raise BadRecord(str(error), raw.line + _physical(raw.data, error.line)) from error


def salvage(raw: RawRecord) -> Record | None:
    """What can still be told of a broken record: its name and the attributes that keep the rules; None without a name.

    Only good for finding out which object it would have been.
    """
    cut = raw.oversized and not raw.data.endswith(b"\n")
    whole = _logical(raw)[: -1 if cut else None]
    lines: list[tuple[bytes, bytes, int]] = []
    for line in whole:
        with suppress(BadRecord):
            lines += [one for one in _lines([line], refuse_url) if is_description(one[0])]
    if not lines or lines[0][0].lower() != b"dn":
        return None
    dn = lines[0][1].decode("utf-8", "replace")
    return Record(dn, ChangeType.NONE, tuple((name, value) for name, value, _ in lines[1:]))


def refuse_url(url: str) -> bytes:
    """The answer to every `:<` value where none is allowed: `BadRecord`."""
    raise BadRecord(f"the value is to be fetched from {url[:200]!r}, which is not allowed; put the value into the file")


def _logical(raw: RawRecord) -> list[bytes]:
    data = raw.data
    if raw.line == 1 and data.startswith(_UTF8_MARK):
        data = data[len(_UTF8_MARK) :]
    if b"\r\n" in data:
        data = data.replace(b"\r\n", b"\n")
    if b"\n " in data:
        data = data.replace(b"\n ", b"")
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def _physical(data: bytes, logical: int) -> int:
    """How many lines of the file stand before the logical line of that number."""
    seen = -1
    for n, line in enumerate(data.split(b"\n")):
        seen += not line.startswith(b" ")
        if seen == logical:
            return n
    return 0


def _lines(logical: list[bytes], read_url: ReadUrl) -> Iterator[tuple[bytes, bytes, int]]:
    """(description, value, number) of each line; comments and the version are left out."""
    begun = False
    for n, line in enumerate(logical):
        if line[:1] == b"#":
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            if line == b"-":
                yield line, b"", n
                continue
            raise BadRecord(f"{_shown(line)} has no colon; write name: value", n)
        if not begun and name.lower() == b"version":
            if value.strip() != b"1":
                raise BadRecord(f"version {_shown(value.strip())} of LDIF is unknown; only 1 exists", n)
            continue
        begun = True
        mark = value[:1]
        if mark == b":":
            value = _from_base64(value[1:].strip(b" "), n)
        elif mark == b"<":
            try:
                value = read_url(value[1:].strip(b" ").decode("utf-8", "replace"))
            except BadRecord as error:
                raise BadRecord(str(error), n) from error
        else:
            value = value.lstrip(b" ")
        yield name, value, n


def _from_base64(text: bytes, n: int) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise BadRecord(f"the value after :: is not base64 ({error})", n) from error


def _shown(text: bytes) -> str:
    return repr(text[:60].decode("utf-8", "replace"))


@lru_cache(maxsize=4096)  # a file names few attributes very often
def is_description(name: bytes) -> bool:
    """Whether the text may stand as an attribute description."""
    return _DESCRIPTION.fullmatch(name) is not None


def _text(value: bytes, n: int) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord("a name is not valid UTF-8", n) from error


def _record(lines: list[tuple[bytes, bytes, int]]) -> Record:
    name, value, n = lines[0]
    if name.lower() != b"dn":
        raise BadRecord(f"a record begins with {_shown(name)}; it has to begin with dn:", n)
    dn = _text(value, n)
    rest = lines[1:]
    while rest and rest[0][0].lower() == b"control":
        rest = rest[1:]
    if not rest or rest[0][0].lower() != b"changetype":
        return Record(dn, ChangeType.NONE, _attributes(rest))
    kind, at = rest[0][1].strip().lower(), rest[0][2]
    rest = rest[1:]
    if kind == b"add":
        return Record(dn, ChangeType.ADD, _attributes(rest))
    if kind == b"delete":
        if rest:
            raise BadRecord("a delete has nothing after its changetype", rest[0][2])
        return Record(dn, ChangeType.DELETE)
    if kind == b"modify":
        return Record(dn, ChangeType.MODIFY, modifications=tuple(_modifications(rest)))
    if kind in (b"modrdn", b"moddn"):
        return _rename(dn, rest, at)
    raise BadRecord(f"{_shown(kind)} is no changetype; known are add, delete, modify, modrdn and moddn", at)


def _attributes(lines: list[tuple[bytes, bytes, int]]) -> tuple[Line, ...]:
    for name, _, n in lines:
        if not is_description(name):
            raise BadRecord(f"{_shown(name)} is no attribute name", n)
    return tuple([(name, value) for name, value, _ in lines])


def _modifications(lines: list[tuple[bytes, bytes, int]]) -> Iterator[Modification]:
    at = 0
    while at < len(lines):
        op, attribute, n = lines[at]
        op = op.lower()
        attribute = attribute.strip()
        if op not in (b"add", b"delete", b"replace") or not is_description(attribute):
            raise BadRecord(f"{_shown(op)} begins no modification; write add:, delete: or replace: and an attribute", n)
        at += 1
        values = []
        while at < len(lines) and lines[at][0] != b"-":
            name, value, n = lines[at]
            if name.lower() != attribute.lower():
                raise BadRecord(f"{_shown(name)} stands under a change of {_shown(attribute)}; end that one with -", n)
            values.append(value)
            at += 1
        if op == b"add" and not values:
            raise BadRecord("an add names no value", n)
        at += 1
        yield Modification(op.decode("ascii"), attribute, tuple(values))


def _rename(dn: str, lines: list[tuple[bytes, bytes, int]], at: int) -> Record:
    given = {name.lower(): (value, n) for name, value, n in lines}
    unknown = [n for name, _, n in lines if name.lower() not in (b"newrdn", b"deleteoldrdn", b"newsuperior")]
    if unknown:
        raise BadRecord("a rename knows newrdn, deleteoldrdn and newsuperior only", unknown[0])
    new_rdn, drop = given.get(b"newrdn"), given.get(b"deleteoldrdn")
    if new_rdn is None or drop is None:
        raise BadRecord("a rename needs newrdn and deleteoldrdn", at)
    if drop[0].strip() not in (b"0", b"1"):
        raise BadRecord("deleteoldrdn is 0 or 1", drop[1])
    superior = given.get(b"newsuperior")
    return Record(
        dn,
        ChangeType.RENAME,
        new_rdn=_text(*new_rdn),
        delete_old_rdn=drop[0].strip() == b"1",
        new_superior=None if superior is None else _text(*superior),
    )
