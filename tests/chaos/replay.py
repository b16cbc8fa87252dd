"""Journals of change records, loaded as a directory would load them that forgives nothing.

An entry that is added twice, a value that is added though it is there, a change to what is not there: a directory
refuses each of them, and each would be an effect that was sent twice, lost, or sent out of order.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

Entry = dict[str, frozenset[bytes]]


class Replay:
    """The entries after every journal of a folder, by name; `refused` says what a strict directory would not take."""

    def __init__(self, folder: Path) -> None:
        self.entries: dict[str, Entry] = {}
        self.refused: list[str] = []
        for file in sorted(folder.glob("*.ldif"), key=lambda one: [int(n) for n in one.stem.split("-")]):
            for record in _records(file.read_bytes()):
                fault = self._load(record)
                if fault:
                    self.refused.append(f"{file.name}: {fault}")

    def digest(self) -> str:
        """SHA-256 over every entry, in the order of names."""
        digest = hashlib.sha256()
        for name in sorted(self.entries):
            digest.update(name.encode() + b"\n")
            for attribute, values in sorted(self.entries[name].items()):
                for value in sorted(values):
                    digest.update(attribute.encode() + b"\0" + value + b"\n")
        return digest.hexdigest()

    def _load(self, record: list[tuple[str, bytes]]) -> str | None:
        name, rest = record[0][1].decode(), record[1:]
        kind = rest[0][1].decode() if rest and rest[0][0] == "changetype" else "none"
        if kind == "add":
            return self._add(name, rest[1:])
        if name not in self.entries:
            return f"{kind} of {name}, which is not there"
        if kind == "delete":
            del self.entries[name]
            return None
        if kind == "modrdn":
            return self._rename(name, dict(rest[1:]))
        if kind == "modify":
            return self._modify(name, rest[1:])
        return f"a record of {name} that is no change"

    def _add(self, name: str, lines: list[tuple[str, bytes]]) -> str | None:
        if name in self.entries:
            return f"add of {name}, which is there already"
        values: dict[str, set[bytes]] = {}
        for attribute, value in lines:
            values.setdefault(attribute, set()).add(value)
        self.entries[name] = {attribute: frozenset(some) for attribute, some in values.items()}
        return None

    def _rename(self, name: str, how: dict[str, bytes]) -> str | None:
        container = how.get("newsuperior", name.partition(",")[2].encode()).decode()
        renamed = f"{how['newrdn'].decode()},{container}"
        if renamed in self.entries:
            return f"{name} is renamed to {renamed}, which is there already"
        self.entries[renamed] = self.entries.pop(name)
        return None

    def _modify(self, name: str, lines: list[tuple[str, bytes]]) -> str | None:
        entry = dict(self.entries[name])
        while lines:
            end = next(n for n, line in enumerate(lines) if line[0] == "-")
            (op, attribute), values = lines[0], frozenset(value for _, value in lines[1:end])
            key, lines = attribute.decode(), lines[end + 1 :]
            held = entry.get(key, frozenset())
            if op == "add" and held & values:
                return f"a value of {key} is added to {name}, which has it already"
            if op == "delete" and values - held:
                return f"a value of {key} is removed from {name}, which has it not"
            entry[key] = values if op == "replace" else held | values if op == "add" else held - values
            if not entry[key]:
                del entry[key]
        self.entries[name] = entry
        return None


def _records(data: bytes) -> Iterator[list[tuple[str, bytes]]]:
    for block in data.replace(b"\n ", b"").split(b"\n\n"):
        lines = [_line(line) for line in block.split(b"\n") if line]
        if lines and lines[0][0] == "dn":
            yield lines


def _line(line: bytes) -> tuple[str, bytes]:
    name, _, value = line.partition(b":")
    if value.startswith(b":"):
        return name.decode(), base64.b64decode(value[1:].strip())
    return name.decode(), value.removeprefix(b" ")
