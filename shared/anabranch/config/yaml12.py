"""YAML read by the core rules of version 1.2, with the place of everything it says.

Identity data is full of words that version 1.1 takes for something else: the country `NO`, the time `12:30:00`, the
number `1_000`. The parser of PyYAML only cuts a file into events here; what a plain scalar means is decided by the
table below, and the nodes keep line and column so that a fault found much later still points into the file. One
deliberate step away from the letter of 1.2: digits with a leading zero stay text, because `0123` is an employee number
and 123 is another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple, cast

import yaml

from anabranch.model.errors import Fault

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 64
MAX_ALIASED_NODES = 100_000
"""Nodes that aliases may repeat in one file; a handful of nested aliases can otherwise stand for millions."""

_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_UNPRINTABLE = re.compile("[^\\t\\n\\r\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_MAX_DIGITS = 400
"""More digits than any number here can have; Python itself refuses to read thousands of them."""

_CORE = "tag:yaml.org,2002:"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    place: str
    line: int
    column: int

    def fault(self, message: str) -> Fault:
        return Fault(self.place, self.line, self.column, message)


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One value: what it means (`value`) and the characters it was written with (`text`)."""

    value: bool | int | float | Decimal | str | None
    text: str
    where: Mark
    inside: int | None = None
    """Column of the first character of `text` where the file holds exactly these characters on one line."""
    size: int = 1


@dataclass(frozen=True, slots=True)
class SequenceNode:
    items: tuple[Node, ...]
    where: Mark
    size: int = 1


class Entry(NamedTuple):
    """One key of a mapping and what stands behind it."""

    where: Mark
    node: Node


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys are the characters as written: `0123`, `NO` and `true` are good names of attributes."""

    entries: dict[str, Entry]
    where: Mark
    size: int = 1


Node = ScalarNode | SequenceNode | MappingNode


def kind_of(node: Node) -> str:
    """The word a message uses for what stands there."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    match node.value:
        case None:
            return "nothing"
        case bool():
            return f"the boolean {node.text}"
        case int():
            return f"the integer {node.text}"
        case float() | Decimal():
            return f"the number {node.text}"
        case _:
            return "text"


def resolve(text: str) -> bool | int | float | Decimal | str | None:
    """What a plain scalar means under the core rules; everything that is nothing else is text.

    Raises ValueError for a number with more digits than any value can have.
    """
    if _NULL.match(text):
        return None
    if _BOOLEAN.match(text):
        return text[0] in "tT"
    if _INTEGER.match(text) or _FLOAT.match(text):
        if len(text) > _MAX_DIGITS:
            raise ValueError("a number of more than 400 digits; write it in quotes if it is text")
        if _INTEGER.match(text):
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        return Decimal(text)
    if _NOT_FINITE.match(text):
        return float(text.replace(".", "", 1))
    return text


def parse(data: bytes, place: str) -> tuple[Node | None, list[Fault]]:
    """The one document of a file, or None with the faults that made it unreadable.

    Duplicate keys, keys that are no text, unknown tags and merge keys are faults that leave the rest readable. A
    syntax error ends the reading of this file, because what follows it is guesswork.
    """
    faults: list[Fault] = []
    text = _decoded(data, place, faults)
    if text is None:
        return None, faults
    loader = _LOADER(text)
    try:
        node = _Builder(place, faults).build(_events(loader))
    except yaml.MarkedYAMLError as error:
        node = None
        faults.append(_syntax_fault(error, place))
    except _UnreadableError as error:
        node = None
        faults.append(error.fault)
    finally:
        loader.dispose()
    return node, faults


def _decoded(data: bytes, place: str, faults: list[Fault]) -> str | None:
    if len(data) > MAX_BYTES:
        faults.append(Fault(place, 0, 0, f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB; split it"))
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8-sig", errors="replace")
        byte = data[error.start]
        faults.append(_after(good, place).fault(f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"))
        return None
    found = _UNPRINTABLE.search(text)
    if found:
        mark = _after(text[: found.start()], place)
        what = "a NUL character; is this a text file?" if found.group() == "\0" else "a control character"
        faults.append(mark.fault(f"{what} (U+{ord(found.group()):04X}); YAML does not allow it"))
        return None
    return text


def _after(text: str, place: str) -> Mark:
    line = text.count("\n") + 1
    return Mark(place, line, len(text) - (text.rfind("\n") + 1) + 1)


def _events(loader: Any) -> Iterator[yaml.Event]:
    while loader.check_event():
        yield loader.get_event()


def _syntax_fault(error: yaml.MarkedYAMLError, place: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    words = ", ".join(str(part) for part in (error.context, error.problem) if part)
    if mark is None:
        return Fault(place, 0, 0, f"not YAML: {words}")
    return Fault(place, mark.line + 1, mark.column + 1, f"not YAML: {words}")


class _UnreadableError(Exception):
    """Nothing sensible can be said about the rest of the file."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(slots=True)
class _Frame:
    """A collection whose end has not been met; `key` waits for its value."""

    where: Mark
    anchor: str | None
    is_mapping: bool
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    key: tuple[str, Mark] | None = None
    expects_key: bool = True
    size: int = 1


class _Builder:
    """Turns events into nodes without recursion, so depth is a number and not a stack overflow."""

    def __init__(self, place: str, faults: list[Fault]) -> None:
        self.place = place
        self.faults = faults
        self.anchors: dict[str, Node] = {}
        self.stack: list[_Frame] = []
        self.root: Node | None = None
        self.aliased = 0
        self.documents = 0

    def build(self, events: Iterator[yaml.Event]) -> Node | None:
        for event in events:
            start = cast(yaml.Mark, event.start_mark)
            mark = Mark(self.place, start.line + 1, start.column + 1)
            match event:
                case yaml.DocumentStartEvent():
                    self.documents += 1
                    if self.documents > 1:
                        raise _UnreadableError(mark.fault("a second document begins here; one document a file"))
                case yaml.ScalarEvent():
                    self._add(self._scalar(event, mark), event.anchor)
                case yaml.AliasEvent():
                    self._add(self._aliased(event, mark), None)
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._open(event, mark)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._close()
                case _:
                    pass
        return self.root

    def _open(self, event: yaml.SequenceStartEvent | yaml.MappingStartEvent, mark: Mark) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise _UnreadableError(mark.fault(f"nested more than {MAX_DEPTH} levels deep"))
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", _CORE + ("map" if is_mapping else "seq")):
            self.faults.append(mark.fault(f"the tag {event.tag} means nothing here; remove it"))
        self.stack.append(_Frame(mark, event.anchor, is_mapping))

    def _close(self) -> None:
        frame = self.stack.pop()
        node: Node
        if frame.is_mapping:
            node = MappingNode(frame.entries, frame.where, frame.size)
        else:
            node = SequenceNode(tuple(frame.items), frame.where, frame.size)
        self._add(node, frame.anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        frame.size += node.size
        if not frame.is_mapping:
            frame.items.append(node)
        elif frame.expects_key:
            frame.key = self._key(frame, node)
            frame.expects_key = False
        else:
            if frame.key is not None:
                frame.entries[frame.key[0]] = Entry(frame.key[1], node)
            frame.expects_key = True

    def _key(self, frame: _Frame, node: Node) -> tuple[str, Mark] | None:
        """The key, or None when it is a fault and its value is to be passed over."""
        if not isinstance(node, ScalarNode):
            self.faults.append(node.where.fault(f"{kind_of(node)} cannot be a key"))
            return None
        if node.text == "":
            self.faults.append(node.where.fault("a key is empty"))
            return None
        if node.text == "<<" and node.inside == node.where.column:
            self.faults.append(node.where.fault("merge keys (<<) are not part of YAML 1.2; write the keys out"))
            return None
        before = frame.entries.get(node.text)
        if before is not None:
            first = f"line {before.where.line}, column {before.where.column}"
            self.faults.append(node.where.fault(f"the key {node.text!r} stands here twice; first at {first}"))
            return None
        return node.text, node.where

    def _aliased(self, event: yaml.AliasEvent, mark: Mark) -> Node:
        node = self.anchors.get(cast(str, event.anchor))
        if node is None:
            raise _UnreadableError(mark.fault(f"the alias *{event.anchor} names no anchor that ends before it"))
        self.aliased += node.size
        if self.aliased > MAX_ALIASED_NODES:
            raise _UnreadableError(mark.fault(f"aliases repeat more than {MAX_ALIASED_NODES} values; write them out"))
        return node

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> ScalarNode:
        text = event.value
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            self.faults.append(mark.fault("the text spells out a NUL or half a character; neither can be stored"))
            text = ""
        plain = not event.style and event.tag is None
        value: Any = text
        try:
            if plain:
                value = resolve(text)
            elif event.tag not in (None, "!", _CORE + "str"):
                value = self._tagged(event.tag, text)
        except ValueError as error:
            self.faults.append(mark.fault(str(error)))
        quotes = 1 if event.style in ("'", '"') else 0
        end = cast(yaml.Mark, event.end_mark)
        exact = end.line + 1 == mark.line and end.column + 1 - mark.column == len(text) + 2 * quotes
        return ScalarNode(value, text, mark, mark.column + quotes if exact else None)

    def _tagged(self, tag: str, text: str) -> bool | int | float | Decimal | str | None:
        types: dict[str, tuple[type, ...]] = {
            "int": (int,),
            "bool": (bool,),
            "float": (float, Decimal, int),
            "null": (type(None),),
        }
        wanted = types.get(tag.removeprefix(_CORE)) if tag.startswith(_CORE) else None
        if wanted is None:
            raise ValueError(f"the tag {tag} means nothing here; remove it")
        value = resolve(text)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise ValueError(f"{text!r} is not what its tag says ({tag.removeprefix(_CORE)})")
        return value
