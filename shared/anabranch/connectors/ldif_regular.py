"""The short way of a content record to its entry, for the records that most are.

A record is regular when it is text, each line is `name: value` or `name:: base64` with a value, and nothing but the
name and attributes is in it. Then it is decoded once and its lines are its values. What is not regular, or has anything
wrong with it, takes the way of `parse_record` and `EntryReader`; a regular record says the same there.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

import msgspec

from anabranch.connectors import dn as names
from anabranch.connectors.ldif_entries import EntryReader
from anabranch.connectors.ldif_format import is_description
from anabranch.connectors.ldif_options import LdifType
from anabranch.connectors.port import Entry, EntryChange, RawValue
from anabranch.model.enums import ValueType

_REMEMBERED: Final = 10_000
_PLAIN_RDN: Final = re.compile(r'[A-Za-z][A-Za-z0-9-]*=[^\\",;+]*,')
_COMPLETE: Final = EntryChange.COMPLETE.value
_CLASS: Final = "objectclass"


class _Column(msgspec.Struct, frozen=True):
    """What stands before `: `: the declared attribute behind it, empty for none, and how its values are spelled."""

    attribute: str
    coded: bool
    binary: bool


class _Irregular(ValueError):
    """The record takes the long way."""


class RegularEntries:
    """The entries of one file's regular records."""

    def __init__(self, types: list[LdifType], entries: EntryReader, name: str) -> None:
        self._entries = entries
        self._name = name
        self._depth = max((len(one.base) for one in types if one.base is not None), default=0)
        self._kinds: dict[tuple[tuple[str, ...], str], LdifType] = {}
        self._columns: dict[str, dict[str, _Column | None]] = {one.record.key: {} for one in types}

    def entry(self, raw: bytes, line: int) -> Entry | None:
        """The entry of a closed record without its last line feed, single texts apart (`Entry.texts`), or None."""
        if b"\r" in raw:
            raw = (raw + b"\n").replace(b"\r\n", b"\n")[:-1]
        if b"\n " in raw:
            raw = raw.replace(b"\n ", b"")
        try:
            text = raw.decode()
            if ":  " in text:  # a value may begin with spaces
                return None
            name, *lines = [one.partition(": ") for one in text.split("\n")]
            dn = name[2]
            if name[0] != "dn" or not dn:
                return None
            classes = [value for name, _, value in lines if len(name) == len(_CLASS) and name.lower() == _CLASS]
            return self._entry(self._kind_of(tuple(classes), dn), dn, lines, line)
        except ValueError:
            return None

    def _kind_of(self, classes: tuple[str, ...], dn: str) -> LdifType:
        """The type of an entry. It is remembered for all that share the classes and what is above them, as long as
        none of them can be a base itself."""
        above = dn.partition(",")[2] if self._depth and _PLAIN_RDN.match(dn) else ""
        kind = self._kinds.get((classes, above))
        if kind is None:
            kind = self._entries.kind_of(tuple([one.encode() for one in classes]), dn)
            if kind is None:
                raise _Irregular
            if len(self._kinds) < _REMEMBERED and (
                not self._depth or (above and len(names.parse(above)) >= self._depth)
            ):
                self._kinds[classes, above] = kind
        return kind

    def _entry(self, kind: LdifType, dn: str, lines: list[tuple[str, str, str]], line: int) -> Entry | None:
        columns = self._columns[kind.record.key]
        texts: dict[str, str] = {}
        values: dict[str, list[RawValue]] = {}
        for name, _, value in lines:
            if not value:
                return None
            try:
                column = columns[name]
            except KeyError:
                column = self._learn(columns, kind, name)
            if column is None:
                continue
            attribute = column.attribute
            if column.coded or column.binary:
                _add(values, texts, column, value)
            elif attribute in texts:
                values[attribute] = [texts.pop(attribute), value]
            elif attribute in values:
                values[attribute].append(value)
            else:
                texts[attribute] = value
        if kind.dn_attribute is not None:
            texts[kind.dn_attribute] = dn
        if kind.record.anchor not in texts and kind.record.anchor not in values:
            return None
        return Entry(kind.record.key, values, f"{self._name}:{line}", _COMPLETE, None, None, texts)

    def _learn(self, columns: dict[str, _Column | None], kind: LdifType, name: str) -> _Column | None:
        coded = name.endswith(":")
        description = name.removesuffix(":").encode()
        folded = description.lower()
        if not is_description(description) or folded in (b"control", b"changetype"):
            raise _Irregular
        if coded and folded == _CLASS.encode():
            raise _Irregular
        found = self._entries.find(kind, description)
        column = None
        if found is not None:
            column = _Column(found.name, coded, found.type is ValueType.BINARY)
        elif coded:
            column = _Column("", coded, True)
        if len(columns) < _REMEMBERED:
            columns[name] = column
        return column


def _add(values: dict[str, list[RawValue]], texts: dict[str, str], column: _Column, spelled: str) -> None:
    """A value that is no text as it stands there."""
    data = binascii.a2b_base64(spelled, strict_mode=True) if column.coded else spelled.encode()
    if not data:
        raise _Irregular
    attribute = column.attribute
    if not attribute:
        return
    value: RawValue = data
    if not column.binary:
        try:
            value = data.decode()
        except UnicodeDecodeError:
            value = data
    if attribute in texts:
        values[attribute] = [texts.pop(attribute), value]
    elif attribute in values:
        values[attribute].append(value)
    elif isinstance(value, str):
        texts[attribute] = value
    else:
        values[attribute] = [value]
