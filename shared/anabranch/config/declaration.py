"""The whole declaration: the sections of the files, merged, and turned into one record.

Sections of one name in several files become one section. A name that two files define is a fault that tells both
places, because the file that happens to come last must not win. The merged tree is kept beside the record for as long
as the names are checked against each other, so that those faults point into the files too.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anabranch.config.lookups import TableShape
from anabranch.config.record_shape import Field, Record
from anabranch.config.rules import RULES, SCOPE, UNIQUE_VALUES
from anabranch.config.schedules import EXECUTIONS, RUN_PROFILES
from anabranch.config.shape import FAULTY, MapOf, Reading, did_you_mean
from anabranch.config.systems import METAVERSE, SYSTEMS
from anabranch.config.yaml12 import Entry, MappingNode, Mark, Node, ScalarNode, SequenceNode, kind_of
from anabranch.model.configuration import Configuration
from anabranch.model.errors import Fault

NodePath = tuple[str | int, ...]


def file_format(directory: Path | None = None) -> Record:
    """The shape of a merged declaration whose tables in files are looked for in `directory`."""
    return Record(
        Configuration,
        (
            Field("metaverse", METAVERSE, "the metaverse types"),
            Field("systems", SYSTEMS, "the connected systems"),
            Field("rules", RULES, "the sync rules"),
            Field("unique-values", UNIQUE_VALUES, "where drawn values must be unique"),
            Field("lookups", MapOf(TableShape(directory)), "tables for expressions"),
            Field("run-profiles", RUN_PROFILES, "recipes of runs"),
            Field("executions", EXECUTIONS, "groups of run profiles"),
        ),
    )


def json_schema() -> dict[str, Any]:
    """The file format as JSON Schema (draft 2020-12), for editors that complete and check while a person types."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "anabranch configuration",
        "$defs": {"scope": SCOPE.definition()},
        **file_format().schema(),
    }


class Places:
    """Where in the files each part of the declaration stands; paths are the keys as the files spell them."""

    def __init__(self, root: MappingNode | None = None) -> None:
        self.root = root

    def declares(self, path: NodePath) -> bool:
        """True where something is written at `path`, readable or not."""
        return self._walk(path)[1] == len(path) and self.root is not None

    def fault(self, path: NodePath, message: str, *, key: bool = False) -> Fault:
        """A fault at the value of `path` (`key`: at its name), or at the nearest thing around it that is written."""
        if self.root is None:
            return Fault(".".join(str(part) for part in path), 0, 0, message)
        mark, depth = self._mark(path, key=key)
        rest = ".".join(str(part) for part in path[depth:])
        return mark.fault(f"{rest}: {message}" if rest and depth < len(path) - 1 else message)

    def fault_inside(self, path: NodePath, line: int, column: int, message: str) -> Fault:
        """A fault at a line and column (from 1) inside the text at `path`.

        It points at the character itself where the file holds the text as it is on one line; otherwise at the text's
        beginning, and the message tells the rest of the way.
        """
        node, depth = self._walk(path)
        if depth == len(path) and isinstance(node, ScalarNode):
            if node.inside is not None and line == 1:
                indent = len(node.text) - len(node.text.lstrip())
                return node.where._replace(column=node.inside + indent + column - 1).fault(message)
            return node.where.fault(f"line {line}, column {column} of the expression: {message}")
        return self.fault(path, f"line {line}, column {column} of the expression: {message}")

    def _walk(self, path: NodePath) -> tuple[Node | None, int]:
        node: Node | None = self.root
        for depth, part in enumerate(path):
            inner = _member(node, part)
            if inner is None:
                return node, depth
            node = inner.node
        return node, len(path)

    def _mark(self, path: NodePath, *, key: bool) -> tuple[Mark, int]:
        node: Node | None = self.root
        assert self.root is not None  # noqa: S101 - only called where a tree is held
        mark = self.root.where
        for depth, part in enumerate(path):
            inner = _member(node, part)
            if inner is None:
                return mark, depth
            last = depth == len(path) - 1
            mark = inner.node.where if last and not key else inner.where
            node = inner.node
        return mark, len(path)


def _member(node: Node | None, part: str | int) -> Entry | None:
    if isinstance(node, MappingNode) and isinstance(part, str):
        return node.entries.get(part)
    if isinstance(node, SequenceNode) and isinstance(part, int) and 0 <= part < len(node.items):
        return Entry(node.items[part].where, node.items[part])
    return None


def merge(roots: Iterable[Node], reading: Reading) -> MappingNode | None:
    """One tree of all files: sections united, names that stand twice noted with both places."""
    format_ = file_format()
    known = {field.key for field in format_.fields}
    sections: dict[str, Entry] = {}
    where: Mark | None = None
    for root in roots:
        if not isinstance(root, MappingNode):
            reading.fault(root, f"expected the sections {', '.join(sorted(known))}; found {kind_of(root)}")
            continue
        where = where or root.where
        for key, entry in root.entries.items():
            if key not in known:
                reading.faults.append(entry.where.fault(f"unknown section {key!r}{did_you_mean(key, known)}"))
            elif isinstance(entry.node, ScalarNode) and entry.node.value is None:
                continue
            elif not isinstance(entry.node, MappingNode):
                reading.fault(entry.node, f"the section {key!r} is a mapping of names; found {kind_of(entry.node)}")
            elif key not in sections:
                sections[key] = Entry(entry.where, entry.node)
            else:
                first = sections[key]
                sections[key] = Entry(first.where, _united(key, first.node, entry.node, reading))
    return None if where is None else MappingNode(sections, where)


def _united(section: str, first: Node, second: MappingNode, reading: Reading) -> MappingNode:
    united = dict(first.entries) if isinstance(first, MappingNode) else {}
    for name, entry in second.entries.items():
        before = united.setdefault(name, entry)
        if before is not entry:
            at = f"{before.where.place}:{before.where.line}:{before.where.column}"
            here = f"{entry.where.place}:{entry.where.line}:{entry.where.column}"
            reading.faults.append(
                entry.where.fault(f"{section} {name!r} is defined twice: at {at} and at {here}; keep one")
            )
    return MappingNode(united, first.where)


def convert(root: MappingNode, reading: Reading, directory: Path | None) -> Configuration:
    """The record of a merged tree; whatever could not be read is left out and its fault noted in `reading`."""
    configuration = file_format(directory).read(root, reading)
    if configuration is FAULTY or not isinstance(configuration, Configuration):
        return Configuration()
    return configuration
