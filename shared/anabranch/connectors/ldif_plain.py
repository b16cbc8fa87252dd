"""The short way of an object into an LDIF record, for the objects that most are.

A name is plain when its first component needs no escape; what is above it is taken apart once for all entries there. A
record is plain when each value is a text that stands where it may, and then whether any of them needs base64 or care is
asked of all lines at once. What is not plain takes the way of `RecordWriter`; a record made here has the bytes it would
have there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from anabranch.connectors import dn as names
from anabranch.connectors import ldif_writing
from anabranch.connectors.ldif_options import LdifType
from anabranch.connectors.port import RawValue
from anabranch.model.configuration import Attribute
from anabranch.model.enums import ValueType

_WORD: Final = r"[\w!$%&'()*./:?@^`{|}~\[\]-]+"
_SIMPLE_RDN: Final = re.compile(f"([A-Za-z][A-Za-z0-9-]*)=({_WORD}(?: {_WORD})*)", re.ASCII)
_SIMPLE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9;.-]*")
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_DOUBTFUL: Final = (b" \n", b":  ", b": :", b": <")
"""What a value that is empty, ends with a space, or begins as only base64 may spell it leaves in a record. Others may
leave it too: then the lines are looked at one by one, which gives the same."""
_REMEMBERED: Final = 10_000


class Place(msgspec.Struct, frozen=True):
    """Where an entry stands: its name as given, what equal names have in common, its depth, its naming attributes."""

    name: str
    key: str
    depth: int
    rdn: names.Rdn


class _Container(msgspec.Struct, frozen=True):
    """What is above an entry, as `Place` wants it; `suits` where it lies in the base of the object type."""

    key: str
    depth: int
    suits: bool


class PlainWriter:
    """The records of one object type's plain objects."""

    def __init__(self, kind: LdifType) -> None:
        self._kind = kind
        self._rdn = kind.rdn.lower() if kind.rdn is not None else None
        self._declared = frozenset(kind.record.attributes)
        columns = [one for one in kind.columns if one.name.lower() != "objectclass"]
        self._columns = [(one.name, f"{one.name}: ", one.multi_valued) for one in columns if _is_text(one)]
        self._others = [one.name for one in kind.columns if one not in columns or not _is_text(one)]
        self._classes = [f"objectClass: {one}" for one in kind.classes]
        self._named_alike: dict[str, list[str]] = {}
        for one in columns:
            self._named_alike.setdefault(one.name.lower(), []).append(one.name)
        self._containers: dict[str, _Container | None] = {}

    def place(self, text: str) -> Place | None:
        """The place of a name that suits the object type, or None where it does not or nobody can tell so quickly."""
        first, comma, rest = text.partition(",")
        found = _SIMPLE_RDN.fullmatch(first)
        if found is None or not comma:
            return None
        container = self._containers[rest] if rest in self._containers else self._learn(rest)
        if container is None or not container.suits:
            return None
        attribute = found[1].lower()
        if self._rdn is not None and self._rdn != attribute:
            return None
        return Place(text, f"{first.lower()},{container.key}", container.depth + 1, ((found[1], found[2]),))

    def _learn(self, rest: str) -> _Container | None:
        try:
            rest.encode()
            name = names.parse(rest)
        except (names.BadName, UnicodeEncodeError):
            name = ()
        found = None
        if name:
            suits = self._kind.base is None or names.is_within(name, self._kind.base)
            found = _Container(names.folded(name), len(name), suits)
        if len(self._containers) >= _REMEMBERED:
            self._containers.clear()
        self._containers[rest] = found
        return found

    def record(self, text: str, rdn: names.Rdn, values: Mapping[str, Sequence[RawValue]]) -> bytes | None:
        """The content record of an object named `text`; None for one that is not plain."""
        lines = self._lines(text, rdn, values)
        if lines is None:
            return None
        try:
            data = "\n".join([*lines, "", ""]).encode()
            if data.translate(None, _PRINTABLE) != b"\n" * (len(lines) + 1) or any(one in data for one in _DOUBTFUL):
                return b"".join([_line(one) for one in lines]) + b"\n"
        except UnicodeEncodeError:
            return None
        if len(max(lines, key=len)) > ldif_writing.WIDTH:
            return b"".join([ldif_writing.folded(one.encode()) for one in lines]) + b"\n"
        return data

    def _lines(self, text: str, rdn: names.Rdn, values: Mapping[str, Sequence[RawValue]]) -> list[str] | None:
        """`name: value` for each line of the record; None where a value is not text, or not one that may be there."""
        if len(rdn) != 1 or not values.keys() <= self._declared or any(values.get(one) for one in self._others):
            return None
        naming, value = rdn[0]
        if naming.lower() == "objectclass":
            return None
        lines = [f"dn: {text}", *self._classes]
        if not any(values.get(one) for one in self._named_alike.get(naming.lower(), ())):
            lines.append(f"{naming}: {value}")
        get = values.get
        try:
            for name, prefix, multi_valued in self._columns:
                held = get(name)
                if not held:
                    continue
                if len(held) == 1:
                    lines.append(prefix + held[0])  # type: ignore[operator]
                elif multi_valued:
                    lines += [prefix + one for one in sorted(set(held))]  # type: ignore[operator]
                else:
                    return None
        except TypeError:  # bytes
            return None
        return lines


def _is_text(column: Attribute) -> bool:
    return column.type is not ValueType.BINARY and _SIMPLE_NAME.fullmatch(column.name) is not None


def _line(plain: str) -> bytes:
    name, _, value = plain.partition(": ")
    return ldif_writing.line(name, value.encode())
