"""Two-column tables that expressions look values up in (MOD-49).

A table stands in the configuration itself or in a CSV file beside it. Either way it becomes part of the stored
revision, because a run must see the table it started with, and a changed table is a changed configuration. Keys and
values are text exactly as written: `0123` and `NO` are what tables are full of.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from anabranch.config.shape import FAULTY, Flag, Reading, Shape, Text, refuse_secret
from anabranch.config.yaml12 import MAX_BYTES, MappingNode, Node, ScalarNode, kind_of
from anabranch.model.errors import Fault


class TableShape(Shape):
    """`{key: value, ...}`, or `{file: table.csv}` with `header: true` where the first line names the columns.

    A table whose own keys are `file` and `header` stands in `{entries: {...}}`.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory

    def read(self, node: Node, reading: Reading) -> Any:
        if not isinstance(node, MappingNode):
            return reading.fault(node, f"expected a table of keys and values, found {kind_of(node)}")
        if "file" in node.entries and set(node.entries) <= {"file", "header"}:
            return self._from_file(node, reading)
        inner = node.entries["entries"].node if set(node.entries) == {"entries"} else None
        return self._inline(inner if isinstance(inner, MappingNode) else node, reading)

    def _inline(self, node: MappingNode, reading: Reading) -> dict[str, str]:
        table = {}
        for key, entry in node.entries.items():
            if not isinstance(entry.node, ScalarNode) or entry.node.value is None:
                reading.fault(entry.node, f"expected the value of {key!r}, found {kind_of(entry.node)}")
            elif not refuse_secret(entry.node, reading):
                table[key] = entry.node.text
        return table

    def _from_file(self, node: MappingNode, reading: Reading) -> Any:
        where = node.entries["file"].node
        name = Text().read(where, reading)
        header = Flag().read(node.entries["header"].node, reading) if "header" in node.entries else False
        if FAULTY in (name, header):
            return FAULTY
        if self.directory is None:
            return reading.fault(where, "a table in a file needs a directory to be looked for in")
        path = self.directory / name
        if not path.resolve().is_relative_to(self.directory.resolve()):
            return reading.fault(where, f"{name!r} lies outside the configuration directory; put the table into it")
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            return reading.fault(where, f"the table {name!r} cannot be read: {error.strerror}")
        table, faults = parse_table(data, name, header=header)
        reading.faults.extend(faults)
        return FAULTY if faults else table

    def write(self, value: Any) -> Any:
        return {"entries": value} if "file" in value and set(value) <= {"file", "header"} else value

    def schema(self) -> dict[str, Any]:
        in_file = {
            "type": "object",
            "properties": {"file": {"type": "string"}, "header": {"type": "boolean"}},
            "required": ["file"],
            "additionalProperties": False,
        }
        inline = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
        wrapped = {"type": "object", "properties": {"entries": inline}, "additionalProperties": False}
        return {"anyOf": [in_file, wrapped, inline]}


def parse_table(data: bytes, place: str, *, header: bool) -> tuple[dict[str, str], list[Fault]]:
    """The table of a CSV file (RFC 4180, UTF-8), and every line of it that is no pair or repeats a key."""
    if len(data) > MAX_BYTES:
        return {}, [Fault(place, 0, 0, f"the table is larger than {MAX_BYTES // 1024 // 1024} MiB")]
    if b"\0" in data:
        return {}, [Fault(place, data[: data.index(b"\0")].count(b"\n") + 1, 1, "a NUL character; is this a CSV file?")]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return {}, [Fault(place, line, 1, f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8")]
    table: dict[str, str] = {}
    faults: list[Fault] = []
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for row in rows:
            start, line = line, rows.line_num + 1
            if header or not row:
                header = False
                continue
            if len(row) != 2:
                faults.append(Fault(place, start, 1, f"expected a key and a value, found {len(row)} columns"))
            elif row[0] == "":
                faults.append(Fault(place, start, 1, "the key is empty"))
            elif row[0] in table:
                faults.append(Fault(place, start, 1, f"the key {row[0]!r} stands in the table twice"))
            else:
                table[row[0]] = row[1]
    except csv.Error as error:
        faults.append(Fault(place, line, 1, f"not CSV: {error}"))
    return table, faults
