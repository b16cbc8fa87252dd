"""Objects and changes as LDIF records, byte for byte the same whenever they are the same.

An entry is written with its name, its object classes, its attributes in declared order and their values in byte order.
A name is required and has to lie in the container that the object type declares; that and a missing or unsuitable
value is refused for the object alone. A change is written so that repeating it does no harm where LDIF allows that:
values are replaced, a cleared attribute is replaced by nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Final

from anabranch.connectors import dn as names
from anabranch.connectors import ldif_writing
from anabranch.connectors.dn import Dn, Rdn
from anabranch.connectors.ldif_options import LdifType
from anabranch.connectors.ldif_plain import Place, PlainWriter
from anabranch.connectors.port import ExportChange, RawValue, Rejection, TargetObject
from anabranch.model.configuration import Attribute
from anabranch.model.enums import ExportKind, RowOp, ValueType

_OPS: Final = {RowOp.SET: "replace", RowOp.ADD: "add", RowOp.REMOVE: "delete", RowOp.CLEAR: "replace"}


class Refused(ValueError):
    """One object cannot be written; `kind` is an export error kind."""

    def __init__(self, message: str, kind: str = "export_refused") -> None:
        super().__init__(message)
        self.kind = kind


def rejection(object_type: str, anchor: str, refused: Refused) -> Rejection:
    return Rejection(object_type, anchor, refused.kind, f"{anchor}: {refused}")


class RecordWriter:
    """Writes the objects and changes of one object type. Raises `Refused` for what cannot be written."""

    def __init__(self, kind: LdifType) -> None:
        self._kind = kind
        self._columns = {one.name: one for one in kind.columns}
        self._classes = next((one.name for one in kind.columns if one.name.lower() == "objectclass"), None)
        self._plain = PlainWriter(kind)

    def entry(self, wanted: TargetObject) -> tuple[Place, bytes]:
        """The place and the content record of an object."""
        text = wanted.identifier or self._name_in(wanted.values)
        if text is None and self._kind.record.anchor == self._kind.dn_attribute:
            text = wanted.anchor
        place = self._plain.place(text) if text is not None else None
        if place is None:
            name = self._checked(text)
            place = Place(str(text), names.folded(name), len(name), name[0])
        record = self._plain.record(str(text), place.rdn, wanted.values)
        if record is None:
            record = ldif_writing.content(str(text), self._attributes(place.rdn, wanted.values))
        return place, record

    def change(self, change: ExportChange) -> tuple[bytes, str]:
        """The records of a change, possibly none, and the object's name afterwards."""
        if change.kind is ExportKind.CREATE:
            values = {row.attribute: list(row.values) for row in change.rows if row.op in (RowOp.SET, RowOp.ADD)}
            text = change.new_identifier or change.identifier or self._name_in(values)
            name = self._checked(text)
            return ldif_writing.add(str(text), self._attributes(name[0], values)), str(text)
        old = self._checked(change.identifier)
        text = str(change.identifier)
        if change.kind is ExportKind.DELETE:
            return ldif_writing.delete(text), text
        named = {row.attribute: list(row.values) for row in change.rows if row.op is RowOp.SET}
        wanted = change.new_identifier or self._name_in(named) or text
        new = self._checked(wanted)
        records = b""
        if wanted != text and new != old:
            superior = names.format_dn(new[1:]) if names.key(new[1:]) != names.key(old[1:]) else None
            records = ldif_writing.rename(text, names.format_rdn(new[0]), superior)
            text = wanted
        return records + self._modification(change, text), text

    def _modification(self, change: ExportChange, text: str) -> bytes:
        rows = [
            (_OPS[row.op], row.attribute, self._encoded(row.attribute, row.values))
            for row in change.rows
            if row.attribute != self._kind.dn_attribute
        ]
        rows = [(op, name, values) for op, name, values in rows if values or op == "replace"]
        return ldif_writing.modify(text, rows) if rows else b""

    def _name_in(self, values: dict[str, list[RawValue]]) -> str | None:
        held = values.get(self._kind.dn_attribute, []) if self._kind.dn_attribute else []
        return held[0] if len(held) == 1 and isinstance(held[0], str) and held[0] else None

    def _checked(self, text: str | None) -> Dn:
        if text is None:
            raise Refused("has no distinguished name; map a value to the attribute dn")
        try:
            name = names.parse(text)
            text.encode()
        except (names.BadName, UnicodeEncodeError) as error:
            raise Refused(f"cannot be named: {error}") from error
        if not name:
            raise Refused("has an empty distinguished name; map a value to the attribute dn")
        if self._kind.base is not None and not names.is_within(name, self._kind.base):
            message = f"{text!r} is not below {names.format_dn(self._kind.base)!r}, the base of its object type"
            raise Refused(message, "outside_managed_scope")
        naming = {attribute.lower() for attribute, _ in name[0]}
        if self._kind.rdn is not None and self._kind.rdn.lower() not in naming:
            raise Refused(f"{text!r} does not begin with {self._kind.rdn}=, the rdn of its object type")
        return name

    def _attributes(self, rdn: Rdn, values: dict[str, list[RawValue]]) -> Iterable[tuple[str, Sequence[bytes]]]:
        unknown = sorted(values.keys() - self._kind.record.attributes.keys())
        if unknown:
            raise Refused(f"has values of {', '.join(unknown)}, which its object type does not declare")
        classes = self._classes
        written = {"objectclass"}
        given = self._encoded(classes, values.get(classes, ())) if classes is not None else []
        lines: list[tuple[str, Sequence[bytes]]] = [
            ("objectClass", given or [one.encode() for one in self._kind.classes])
        ]
        for column in self._kind.columns:
            if column.name != classes and values.get(column.name):
                lines.append((column.name, self._encoded(column.name, values[column.name])))
                written.add(column.name.lower())
        naming = [(attribute, [value.encode()]) for attribute, value in rdn if attribute.lower() not in written]
        return [lines[0], *naming, *lines[1:]]

    def _encoded(self, name: str, values: Sequence[RawValue]) -> list[bytes]:
        column = self._columns.get(name)
        if column is None:
            raise Refused(f"has a value of {name!r}, which its object type does not declare")
        if len(values) > 1 and not column.multi_valued:
            raise Refused(f"{name!r} has {len(values)} values but is declared with one")
        return sorted({_bytes_of(column, value) for value in values})


def _bytes_of(column: Attribute, value: RawValue) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        if column.type is ValueType.BINARY:
            return base64.b64decode(value, validate=True)
        return value.encode()
    except ValueError as error:
        raise Refused(f"{column.name!r} holds a value that cannot be written: {error}") from error
