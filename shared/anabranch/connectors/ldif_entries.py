"""From LDIF records to objects of declared types.

An entry belongs to the first declared type all of whose object classes it has, below that type's base where one is
declared. A change record other than `add` shows no classes; it belongs to the only type there is, or to the only one
whose naming attribute and base fit its name. Its anchor is the name itself or the value in the name; a change that
shows neither cannot be told whose it is, and is an error of that record alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from anabranch.connectors import dn as names
from anabranch.connectors.dn import Dn
from anabranch.connectors.ldif_format import ChangeType, Line, Modification, RawRecord, Record, salvage
from anabranch.connectors.ldif_options import LdifType
from anabranch.connectors.port import Entry, EntryChange, EntryError, RawValue
from anabranch.model.configuration import Attribute
from anabranch.model.enums import ValueType

_OBJECT_CLASS: Final = b"objectclass"
_BINARY: Final = ValueType.BINARY
_CACHED_NAMES: Final = 10_000
_Values = dict[str, list[RawValue]]
Outcome = Entry | EntryError | None
"""An object, an object that could not be read, or None for an entry of no declared type."""


class _Names:
    """Finds the declared attribute behind an attribute description; case does not count, nor the option `;binary`."""

    def __init__(self, columns: Iterable[Attribute]) -> None:
        self._by_name: dict[bytes, Attribute] = {}
        for one in columns:
            self._by_name[one.name.lower().encode()] = one
        self._found: dict[bytes, Attribute | None] = {}

    def find(self, description: bytes) -> Attribute | None:
        try:
            return self._found[description]
        except KeyError:
            folded = description.lower()
            found = self._by_name.get(folded)
            if found is None and folded.endswith(b";binary"):
                found = self._by_name.get(folded.removesuffix(b";binary"))
            elif found is None:
                found = self._by_name.get(folded + b";binary")
            if len(self._found) < _CACHED_NAMES:
                self._found[description] = found
            return found


class EntryReader:
    """Turns records of one file into entries; `name` is how places in the file are told."""

    def __init__(self, types: list[LdifType], name: str) -> None:
        self._types = types
        self._name = name
        self._names = {one.record.key: _Names(one.columns) for one in types}
        self._by_classes: dict[tuple[bytes, ...], list[LdifType]] = {}
        kinds = [(one.record.key, one.classes, one.dn_attribute, one.base) for one in types]
        self.layout = "ldif 1 " + msgspec.json.encode(kinds).decode()
        """What besides the bytes of an entry and the schema of its type decides what it says."""

    def entry(self, raw: RawRecord, record: Record) -> Outcome:
        """The object a record of content, or any change record, is about."""
        place = f"{self._name}:{raw.line}"
        try:
            if record.change in (ChangeType.NONE, ChangeType.ADD):
                return self._complete(record, place)
            return self._change(record, names.parse(record.dn), place)
        except names.BadName as error:
            return EntryError(place=place, kind="connector_object_error", message=f"no distinguished name: {error}")

    def broken(self, raw: RawRecord, line: int, message: str) -> EntryError:
        """The error of a record that could not be parsed, with the object it is about where that can be told."""
        record = salvage(raw)
        found = None
        if record is not None:
            try:
                found = self._complete(record, "")
            except names.BadName:
                found = None
        return EntryError(
            place=f"{self._name}:{line}",
            kind="connector_object_error",
            message=message,
            object_type=found.object_type if found is not None else None,
            anchor=self._anchor_text(found) if isinstance(found, Entry) else None,
        )

    def _anchor_text(self, entry: Entry) -> str | None:
        kind = next(one for one in self._types if one.record.key == entry.object_type)
        values = entry.values.get(kind.record.anchor, [])
        return values[0] if len(values) == 1 and isinstance(values[0], str) else None

    def _complete(self, record: Record, place: str) -> Outcome:
        size = len(_OBJECT_CLASS)
        classes = tuple(
            [value for name, value in record.attributes if len(name) == size and name.lower() == _OBJECT_CLASS]
        )
        kind = self.kind_of(classes, record.dn)
        if kind is None:
            return None
        values = self._values(kind, record.attributes)
        if kind.dn_attribute is not None:
            values[kind.dn_attribute] = [record.dn]
        if not values.get(kind.record.anchor):
            return self._missing_anchor(kind, record, place, f"the entry {record.dn!r} has no {kind.record.anchor!r}")
        return Entry(kind.record.key, values, place)

    def find(self, kind: LdifType, description: bytes) -> Attribute | None:
        """The attribute of the type that stands behind an attribute description, if one is declared."""
        return self._names[kind.record.key].find(description)

    def kind_of(self, classes: tuple[bytes, ...], dn: str) -> LdifType | None:
        """The type of an entry with these object classes. Raises `BadName`."""
        fitting = self._by_classes.get(classes)
        if fitting is None:
            held = {one.decode("utf-8", "replace").lower() for one in classes}
            fitting = [one for one in self._types if held.issuperset(wanted.lower() for wanted in one.classes)]
            if len(self._by_classes) < _CACHED_NAMES:
                self._by_classes[classes] = fitting
        for one in fitting:
            if one.base is None or names.is_within(names.parse(dn), one.base):
                return one
        return None

    def _values(self, kind: LdifType, attributes: Iterable[Line]) -> _Values:
        values: _Values = {}
        find = self._names[kind.record.key].find
        for description, raw in attributes:
            attribute = find(description)
            if attribute is not None and (raw or attribute.keep_empty_text):
                value = raw if attribute.type is _BINARY else _text_or_bytes(raw)
                if (held := values.get(attribute.name)) is None:
                    values[attribute.name] = [value]
                else:
                    held.append(value)
        return values

    def _missing_anchor(self, kind: LdifType, record: Record, place: str, why: str) -> EntryError:
        return EntryError(
            place=place, kind="missing_anchor", message=f"{why}; every object needs one", object_type=kind.record.key
        )

    # --- change records ----------------------------------------------------------------------------------------------

    def _change(self, record: Record, dn: Dn, place: str) -> Outcome:
        kind = self._kind_by_name(dn)
        if isinstance(kind, str):
            return EntryError(place=place, kind="unknown_object_type", message=f"{record.dn!r}: {kind}")
        if kind is None:
            return None
        known = self._identity(kind, record.dn, dn)
        if not known.get(kind.record.anchor):
            why = f"the change of {record.dn!r} does not show {kind.record.anchor!r}; use the name or its first value"
            return self._missing_anchor(kind, record, place, why)
        if record.change is ChangeType.DELETE:
            return Entry(kind.record.key, known, place, EntryChange.DELETE.value)
        if record.change is ChangeType.RENAME:
            return self._renamed(kind, record, dn, known, place)
        return self._modified(kind, record.modifications, known, place)

    def _kind_by_name(self, dn: Dn) -> LdifType | str | None:
        """The type, None where the name is below no type's base, or why it cannot be told."""
        here = [one for one in self._types if one.base is None or names.is_within(dn, one.base)]
        if len(here) <= 1:
            return here[0] if here else None
        naming = {attribute.lower() for attribute, _ in dn[0]} if dn else set()
        fitting = [one for one in here if one.rdn is not None and one.rdn.lower() in naming]
        if len(fitting) == 1:
            return fitting[0]
        return "its object type cannot be told from its name; give each object type a base or an rdn of its own"

    def _identity(self, kind: LdifType, text: str, dn: Dn) -> _Values:
        values: _Values = {}
        if kind.dn_attribute is not None:
            values[kind.dn_attribute] = [text]
        find = self._names[kind.record.key].find
        for attribute, value in dn[0] if dn else ():
            found = find(attribute.encode())
            if found is not None and found.name == kind.record.anchor:
                values[found.name] = [value]
        return values

    def _modified(self, kind: LdifType, modifications: Iterable[Modification], known: _Values, place: str) -> Outcome:
        values, added, removed = dict(known), dict[str, list[RawValue]](), dict[str, list[RawValue]]()
        find = self._names[kind.record.key].find
        for one in modifications:
            attribute = find(one.attribute)
            if attribute is None or attribute.name == kind.record.anchor:
                continue
            raws = [_value(attribute, raw) for raw in one.values if raw or attribute.keep_empty_text]
            name = attribute.name
            if one.op == "replace" or (one.op == "delete" and not one.values):
                added.pop(name, None)
                removed.pop(name, None)
                values[name] = raws
            elif name in values:
                kept = [value for value in values[name] if value not in raws]
                values[name] = kept + raws if one.op == "add" else kept
            else:
                gains, loses = (added, removed) if one.op == "add" else (removed, added)
                loses[name] = [value for value in loses.get(name, []) if value not in raws]
                gains[name] = [*gains.get(name, []), *(raw for raw in raws if raw not in gains.get(name, []))]
        return Entry(kind.record.key, values, place, EntryChange.PARTIAL.value, added, removed)

    def _renamed(self, kind: LdifType, record: Record, dn: Dn, known: _Values, place: str) -> Outcome:
        new = names.parse(record.new_rdn)
        if len(new) != 1:
            raise names.BadName(f"{record.new_rdn!r} is not one component")
        superior = dn[1:] if record.new_superior is None else names.parse(record.new_superior)
        renamed = names.format_dn((*new, *superior))
        after = self._identity(kind, renamed, (*new, *superior))
        anchor = kind.record.anchor
        if after.get(anchor, known[anchor]) != known[anchor] or (anchor not in after and record.delete_old_rdn):
            message = f"{record.dn!r} is renamed in its anchor {anchor!r}, which may never change; use another anchor"
            return EntryError(
                place=place,
                kind="unsupported_anchor",
                message=message,
                object_type=kind.record.key,
                anchor=str(known[anchor][0]),
            )
        added = self._naming_values(kind, new[0])
        removed = self._naming_values(kind, dn[0]) if record.delete_old_rdn else {}
        for name, gained in added.items():
            removed[name] = [value for value in removed.get(name, []) if value not in gained]
        return Entry(kind.record.key, known | after, place, EntryChange.PARTIAL.value, added, removed)

    def _naming_values(self, kind: LdifType, rdn: names.Rdn) -> _Values:
        find = self._names[kind.record.key].find
        return {
            found.name: [value]
            for attribute, value in rdn
            if (found := find(attribute.encode())) is not None and found.name != kind.record.anchor
        }


def _value(attribute: Attribute, raw: bytes) -> RawValue:
    return raw if attribute.type is _BINARY else _text_or_bytes(raw)


def _text_or_bytes(raw: bytes) -> RawValue:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw  # no text: whoever types the value tells so, for this attribute alone (IMP-12)
