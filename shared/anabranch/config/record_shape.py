"""Records in a file: a mapping with known keys, some of them needed.

A record is described by a table of fields; what a field leaves out gets the default of the record itself, so a default
is written once. A key nobody knows is a fault that names the key probably meant, and one faulty field does not hide
the faults of its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from anabranch.config.shape import FAULTY, Reading, Shape, did_you_mean
from anabranch.config.yaml12 import Entry, MappingNode, Node, kind_of


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a record. `into` is the record's own name for it, by default the key with underscores."""

    key: str
    shape: Shape
    meaning: str
    into: str = ""
    stand_in: Any = None
    """What an unreadable required value is taken for, so that the checks can go on with the rest of the record."""

    @property
    def attribute(self) -> str:
        return self.into or self.key.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Given:
    """What one reading of a record found: the entries as written and the values read from them."""

    entries: Mapping[str, Entry]
    values: dict[str, Any]
    node: MappingNode


Review = Callable[[Given, Reading], None]


class Record(Shape):
    """A mapping that becomes one `kind`; `named` is the field that takes the name it stands under.

    `review` may note further faults and may fill in values that depend on others.
    """

    def __init__(
        self, kind: type[msgspec.Struct], fields: tuple[Field, ...], *, named: str = "", review: Review | None = None
    ) -> None:
        self.kind, self.fields, self.named, self.review = kind, fields, named, review
        own = {info.name: info for info in msgspec.structs.fields(kind)}
        self.required = {field.key for field in fields if own[field.attribute].required}
        self.defaults = {name: info.default for name, info in own.items() if not info.required}
        for name, info in own.items():
            if info.default_factory is not msgspec.NODEFAULT:
                self.defaults[name] = info.default_factory()

    def read(self, node: Node, reading: Reading) -> Any:
        return self.read_named("", node, reading)

    def read_named(self, name: str, node: Node, reading: Reading) -> Any:
        if not isinstance(node, MappingNode):
            keys = ", ".join(sorted(self.required)) or self.fields[0].key
            return reading.fault(node, f"expected a mapping with {keys}; found {kind_of(node)}")
        by_key = {field.key: field for field in self.fields}
        given = Given(node.entries, {}, node)
        complete = True
        for key, entry in node.entries.items():
            field = by_key.get(key)
            if field is None:
                reading.faults.append(entry.where.fault(f"unknown key {key!r}{did_you_mean(key, by_key)}"))
                continue
            value = field.shape.read_named(key, entry.node, reading)
            if value is not FAULTY:
                given.values[field.attribute] = value
        for field in self.fields:
            if field.key in self.required and field.attribute not in given.values:
                if field.key not in node.entries:
                    reading.fault(node, f"the key {field.key!r} is missing: {field.meaning}")
                if field.stand_in is None:
                    complete = False
                else:
                    given.values[field.attribute] = field.stand_in
        if self.review is not None:
            self.review(given, reading)
        if not complete:
            return FAULTY
        own_name = {self.named: name} if self.named else {}
        return self.kind(**own_name, **given.values)

    def write(self, value: Any) -> Any:
        written = {}
        for field in self.fields:
            held = getattr(value, field.attribute)
            required = field.key in self.required
            if required or held != self.defaults.get(field.attribute):
                written[field.key] = field.shape.write(held)
        return written

    def schema(self) -> dict[str, Any]:
        properties = {field.key: {"description": field.meaning, **field.shape.schema()} for field in self.fields}
        needed = [field.key for field in self.fields if field.key in self.required]
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            **({"required": needed} if needed else {}),
        }
