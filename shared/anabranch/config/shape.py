"""What a value in a configuration file may look like, said once and used three times.

A shape reads a node into the value a record holds, writes such a value back as plain data, and describes itself as
JSON Schema. Reading never stops at a fault: it notes it with its place, gives `FAULTY` for what could not be read, and
goes on with the neighbours, so that a file with twelve mistakes gives twelve messages and not one after the other.
"""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from anabranch.config.secret_references import malformed
from anabranch.config.yaml12 import MappingNode, Node, ScalarNode, SequenceNode, kind_of
from anabranch.model.errors import Fault


class Faulty:
    """The value of something that could not be read; its fault has been noted."""

    def __repr__(self) -> str:
        return "FAULTY"


FAULTY = Faulty()

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\Z")
_DURATION = re.compile(r"([0-9]{1,12})([dhms])\Z")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_LONGEST = timedelta(days=36500)
_INT64 = 2**63
_SECRET = re.compile(r"\$\{(?:env|file):")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: what was probably meant, or what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    if not names:
        return "; there is none"
    shown = ", ".join(names[:12])
    return f"; known: {shown}{', …' if len(names) > 12 else ''}"


class Reading:
    """The faults met so far in one reading."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def fault(self, node: Node, message: str) -> Faulty:
        self.faults.append(node.where.fault(message))
        return FAULTY


class Shape(ABC):
    """One kind of value in a file."""

    @abstractmethod
    def read(self, node: Node, reading: Reading) -> Any:
        """The value, or FAULTY once the fault is noted."""

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """The shape as JSON Schema (draft 2020-12)."""

    def write(self, value: Any) -> Any:
        """The plain data that reads back as `value`."""
        return value

    def read_named(self, name: str, node: Node, reading: Reading) -> Any:
        """As `read`, for a shape whose values carry the name they stand under."""
        return self.read(node, reading)


def refuse_secret(node: ScalarNode, reading: Reading) -> bool:
    """True, and a fault noted, where a secret is referred to outside the options of a system."""
    if _SECRET.search(node.text) is None:
        return False
    reading.fault(node, "references to secrets are resolved only in the `options` of a system; not here")
    return True


class Text(Shape):
    """Text that says something; `lines` of it may be many."""

    def read(self, node: Node, reading: Reading) -> Any:
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            hint = "; write it in quotes" if isinstance(node, ScalarNode) and node.value is not None else ""
            return reading.fault(node, f"expected text, found {kind_of(node)}{hint}")
        if refuse_secret(node, reading):
            return FAULTY
        if not node.value.strip():
            return reading.fault(node, "expected text, found only blanks")
        return node.value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


class Label(Text):
    """Text for people; it may be empty."""

    def read(self, node: Node, reading: Reading) -> Any:
        if isinstance(node, ScalarNode) and node.value == "":
            return ""
        return super().read(node, reading)

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


class Name(Shape):
    """The name of something declared elsewhere, as written: `0123`, `NO` and `true` are names too."""

    def read(self, node: Node, reading: Reading) -> Any:
        if not isinstance(node, ScalarNode) or node.value is None or not node.text.strip():
            return reading.fault(node, f"expected a name, found {kind_of(node)}")
        return FAULTY if refuse_secret(node, reading) else node.text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


class Flag(Shape):
    """true or false; `yes`, `no`, `on` and `off` are text in YAML 1.2."""

    def read(self, node: Node, reading: Reading) -> Any:
        if isinstance(node, ScalarNode) and isinstance(node.value, bool):
            return node.value
        hint = " (YAML 1.2 knows only true and false)" if isinstance(node, ScalarNode) else ""
        return reading.fault(node, f"expected true or false, found {_shown(node)}{hint}")

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Whole(Shape):
    """A whole number from `least` to `most`; nothing, where `optional`."""

    def __init__(self, least: int = 0, most: int = 2**31 - 1, *, optional: bool = False) -> None:
        self.least, self.most, self.optional = least, most, optional

    def read(self, node: Node, reading: Reading) -> Any:
        value = node.value if isinstance(node, ScalarNode) else node
        if value is None and self.optional:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            return reading.fault(node, f"expected a whole number, found {_shown(node)}")
        if not self.least <= value <= self.most:
            return reading.fault(node, f"expected a whole number from {self.least} to {self.most}, found {value}")
        return value

    def schema(self) -> dict[str, Any]:
        kind: Any = ["integer", "null"] if self.optional else "integer"
        return {"type": kind, "minimum": self.least, "maximum": self.most}


class Percentage(Shape):
    """A number from 0 to 100."""

    def read(self, node: Node, reading: Reading) -> Any:
        value = node.value if isinstance(node, ScalarNode) else node
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            return reading.fault(node, f"expected a number, found {_shown(node)}")
        if not 0 <= value <= 100:
            return reading.fault(node, f"expected a number from 0 to 100, found {value}")
        return float(value)

    def write(self, value: Any) -> Any:
        return int(value) if value == int(value) else Decimal(repr(value))

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": 0, "maximum": 100}


class Choice(Shape):
    """One word of a closed list; hyphens may stand for underscores."""

    def __init__(self, kind: type[StrEnum], aliases: Mapping[str, StrEnum] | None = None) -> None:
        self.kind = kind
        self.words: dict[str, StrEnum] = {member.value: member for member in kind}
        self.aliases = dict(aliases or {})

    def read(self, node: Node, reading: Reading) -> Any:
        if isinstance(node, ScalarNode) and node.value is not None:
            found = self.words.get(node.text.replace("-", "_")) or self.aliases.get(node.text)
            if found is not None:
                return found
        allowed = ", ".join([word.replace("_", "-") for word in self.words] + list(self.aliases))
        return reading.fault(node, f"expected one of {allowed}; found {_shown(node)}")

    def write(self, value: Any) -> Any:
        return str(value).replace("_", "-")

    def schema(self) -> dict[str, Any]:
        words = [spelling for word in self.words for spelling in dict.fromkeys((word.replace("_", "-"), word))]
        return {"enum": words + list(self.aliases)}


class Duration(Shape):
    """A whole count of days, hours, minutes or seconds: `7d`, `12h`, `30m`, `90s`."""

    def __init__(self, least: timedelta = timedelta(0)) -> None:
        self.least = least

    def read(self, node: Node, reading: Reading) -> Any:
        found = _DURATION.match(node.text) if isinstance(node, ScalarNode) else None
        if found is None:
            return reading.fault(node, f"expected a duration such as 7d, 12h, 30m or 90s; found {_shown(node)}")
        seconds = int(found[1]) * _SECONDS[found[2]]
        if not self.least.total_seconds() <= seconds <= _LONGEST.total_seconds():
            least, most = self.write(self.least), self.write(_LONGEST)
            return reading.fault(node, f"expected a duration from {least} to {most}; found {_shown(node)}")
        return timedelta(seconds=seconds)

    def write(self, value: Any) -> Any:
        seconds = int(value.total_seconds())
        unit = next(unit for unit, length in _SECONDS.items() if seconds % length == 0)
        return f"{seconds // _SECONDS[unit]}{unit}"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[0-9]{1,12}[dhms]$"}


class Value(Shape):
    """A value of an attribute: text, a number, true or false, or a list of them; what it fits is checked later."""

    def __init__(self, *, lists: bool = True) -> None:
        self.lists = lists

    def read(self, node: Node, reading: Reading) -> Any:
        if isinstance(node, SequenceNode) and self.lists:
            members = [self._scalar(item, reading) for item in node.items]
            return FAULTY if FAULTY in members else members
        return self._scalar(node, reading)

    def _scalar(self, node: Node, reading: Reading) -> Any:
        if not isinstance(node, ScalarNode) or node.value is None:
            return reading.fault(node, f"expected a value, found {kind_of(node)}")
        return FAULTY if refuse_secret(node, reading) else _number_checked(node, reading)

    def schema(self) -> dict[str, Any]:
        one: dict[str, Any] = {"type": ["string", "number", "boolean"]}
        return {"anyOf": [one, {"type": "array", "items": one}]} if self.lists else one


class Plain(Shape):
    """A mapping whose contents belong to somebody else, kept as plain data (`secrets`: may refer to secrets)."""

    def __init__(self, *, secrets: bool = False) -> None:
        self.secrets = secrets

    def read(self, node: Node, reading: Reading) -> Any:
        if not isinstance(node, MappingNode):
            return reading.fault(node, f"expected a mapping, found {kind_of(node)}")
        return self._plain(node, reading)

    def _plain(self, node: Node, reading: Reading) -> Any:
        match node:
            case MappingNode():
                read = {key: self._plain(entry.node, reading) for key, entry in node.entries.items()}
                return FAULTY if FAULTY in read.values() else read
            case SequenceNode():
                members = [self._plain(item, reading) for item in node.items]
                return FAULTY if FAULTY in members else members
            case ScalarNode():
                if not self.secrets and refuse_secret(node, reading):
                    return FAULTY
                wrong = malformed(node.text) if self.secrets and isinstance(node.value, str) else None
                if wrong is not None:
                    return reading.fault(node, wrong)
                return _number_checked(node, reading)

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}


class ListOf(Shape):
    """A list whose members all have one shape; read into a tuple."""

    def __init__(self, member: Shape, *, least: int = 0, distinct: bool = True) -> None:
        self.member, self.least, self.distinct = member, least, distinct

    def read(self, node: Node, reading: Reading) -> Any:
        if not isinstance(node, SequenceNode):
            return reading.fault(node, f"expected a list, found {kind_of(node)}; write it in [ ]")
        if len(node.items) < self.least:
            return reading.fault(node, "the list is empty; it needs at least one member")
        members: list[Any] = []
        for item in node.items:
            value = self.member.read(item, reading)
            if self.distinct and value is not FAULTY and value in members:
                reading.fault(item, f"{_shown(item)} stands twice in the list")
            members.append(value)
        return FAULTY if FAULTY in members else tuple(members)

    def write(self, value: Any) -> Any:
        return [self.member.write(member) for member in value]

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.member.schema(), **({"minItems": self.least} if self.least else {})}


class MapOf(Shape):
    """Named members of one shape. Names are letters, digits, `_` and `-`; those of attributes are free."""

    def __init__(self, member: Shape, *, free_names: bool = False) -> None:
        self.member, self.free_names = member, free_names

    def read(self, node: Node, reading: Reading) -> Any:
        if not isinstance(node, MappingNode):
            return reading.fault(node, f"expected a mapping of names, found {kind_of(node)}")
        read = {}
        for name, entry in node.entries.items():
            if not self.free_names and _NAME.match(name) is None:
                reading.faults.append(
                    entry.where.fault(f"{name!r} is no name; use letters, digits, _ and -, at most 63 of them")
                )
            value = self.member.read_named(name, entry.node, reading)
            if value is not FAULTY:
                read[name] = value
        return read

    def write(self, value: Any) -> Any:
        return {name: self.member.write(member) for name, member in value.items()}

    def schema(self) -> dict[str, Any]:
        names = {} if self.free_names else {"propertyNames": {"pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$"}}
        return {"type": "object", "additionalProperties": self.member.schema(), **names}


class ByChoice(MapOf):
    """Members under the words of a closed list."""

    def __init__(self, words: Iterable[StrEnum], member: Shape) -> None:
        super().__init__(member)
        self.words = {word.value: word for word in words}

    def read(self, node: Node, reading: Reading) -> Any:
        if not isinstance(node, MappingNode):
            return reading.fault(node, f"expected a mapping, found {kind_of(node)}")
        read: dict[StrEnum, Any] = {}
        for name, entry in node.entries.items():
            word = self.words.get(name.replace("-", "_"))
            if word is None:
                known = [known.replace("_", "-") for known in self.words]
                reading.faults.append(entry.where.fault(f"unknown key {name!r}{did_you_mean(name, known)}"))
                continue
            if word in read:
                reading.faults.append(entry.where.fault(f"{name!r} stands here twice, in two spellings"))
            value = self.member.read_named(word.value, entry.node, reading)
            if value is not FAULTY:
                read[word] = value
        return read

    def write(self, value: Any) -> Any:
        return {str(word).replace("_", "-"): self.member.write(member) for word, member in value.items()}

    def schema(self) -> dict[str, Any]:
        names = [name for word in self.words for name in dict.fromkeys((word.replace("_", "-"), word))]
        member = self.member.schema()
        return {"type": "object", "properties": dict.fromkeys(names, member), "additionalProperties": False}


def _shown(node: Node) -> str:
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        return repr(node.text if len(node.text) <= 60 else node.text[:59] + "…")
    return kind_of(node)


def _number_checked(node: ScalarNode, reading: Reading) -> Any:
    """The value, unless it is a number no attribute and no option can hold (MOD-3, MOD-4)."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    if isinstance(value, float):
        return reading.fault(node, f"{node.text} is no number that can be kept; write it in quotes if it is text")
    if isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            return reading.fault(node, f"{node.text} does not fit 64 bits; write it in quotes if it is text")
        return value
    if value == 0:
        return 0
    parts = value.normalize().as_tuple()
    if len(parts.digits) > 38 or not -38 <= value.adjusted() <= 38:
        return reading.fault(node, f"{node.text} has more than 38 digits; write it in quotes if it is text")
    if value == value.to_integral_value() and abs(value) < _INT64:
        return int(value)
    return value
