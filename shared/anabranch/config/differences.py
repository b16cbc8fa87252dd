"""What applying another configuration would change, and how much that can do (MOD-30).

A plan is made before a configuration is applied and kept with the revision afterwards, so it is data that can be stored
as well as lines that can be read. A name that comes or goes is one line, whatever stands below it; a value that differs
is one line with both values. Passwords in it are hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

from anabranch.config import change_classes
from anabranch.config.document import to_plain
from anabranch.config.masking import mask_options
from anabranch.model.configuration import Configuration, DeletionPolicy, GuardLimit
from anabranch.model.enums import ChangeClass, GuardPoint

_SEVERITY = list(ChangeClass)
"""Declared from the least to the most."""


class Change(msgspec.Struct, frozen=True):
    """One difference. `path` is dotted, `before` and `after` are plain data; `kind` is added, removed or changed."""

    path: str
    kind: str
    before: Any
    after: Any
    change_class: ChangeClass


class ConfigPlan(msgspec.Struct, frozen=True):
    """All differences, in the order of the sections; `change_class` is that of the gravest, None without any."""

    changes: tuple[Change, ...]
    change_class: ChangeClass | None

    def to_plain(self) -> dict[str, Any]:
        """The plan as JSON-able data."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    def text(self) -> str:
        """The plan as lines for people: a sign, the path, both values, and the class where it is more than cosmetic."""
        if not self.changes:
            return "no changes"
        lines = [_line(change) for change in self.changes]
        counts = [(sum(change.change_class is kind for change in self.changes), kind) for kind in _SEVERITY]
        parts = [f"{count} {_word(kind)}" for count, kind in counts if count]
        return "\n".join([*lines, f"{len(self.changes)} change{'s' * (len(self.changes) > 1)}: {', '.join(parts)}"])


def plan(old: Configuration | None, new: Configuration) -> ConfigPlan:
    """Every difference between the applied configuration (None: there is none yet) and another one."""
    changes = tuple(_records((), old or Configuration(), new))
    gravest = max((change.change_class for change in changes), key=_SEVERITY.index, default=None)
    return ConfigPlan(changes, gravest)


def _records(steps: tuple[str, ...], before: msgspec.Struct, after: msgspec.Struct) -> Iterator[Change]:
    for name in before.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield from _values((*steps, name), old, new)


def _values(steps: tuple[str, ...], old: Any, new: Any) -> Iterator[Change]:
    if isinstance(old, DeletionPolicy) and isinstance(new, DeletionPolicy):
        graveness = change_classes.class_of_deletion(old, new)
        for change in _records(steps, old, new):
            yield msgspec.structs.replace(change, change_class=graveness)
    elif len(steps) == 3 and steps[0] in ("systems", "metaverse") and steps[2] == "guards":
        yield from _guards(steps, old, new)
    elif isinstance(old, dict) and isinstance(new, dict) and steps[-1] not in ("options", "source"):
        yield from _members(steps, old, new)
    elif isinstance(old, dict) and isinstance(new, dict):
        for change in _members(steps, old, new):
            yield msgspec.structs.replace(change, change_class=ChangeClass.SYNC_AFFECTING)
    elif _is_entity(old) and type(old) is type(new):
        yield from _records(steps, old, new)
    else:
        yield _change(steps, "changed", old, new, change_classes.class_of_change(steps, new))


def _is_entity(value: Any) -> bool:
    """Records with a name of their own are compared field by field; sources, scopes and the like as one value."""
    return isinstance(value, msgspec.Struct) and bool({"key", "name"} & set(value.__struct_fields__))


def _members(steps: tuple[str, ...], old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    for key in dict.fromkeys([*old, *new]):
        here = (*steps, key)
        if key not in new:
            yield _change(here, "removed", old[key], None, change_classes.class_of_removal(here))
        elif key not in old:
            yield _change(here, "added", None, new[key], change_classes.class_of_addition(here))
        elif old[key] != new[key]:
            yield from _values(here, old[key], new[key])


def _guards(
    steps: tuple[str, ...], old: dict[GuardPoint, GuardLimit], new: dict[GuardPoint, GuardLimit]
) -> Iterator[Change]:
    """A guard that is not declared has the default limits, so nothing is ever added or removed."""
    for point in GuardPoint:
        before, after = old.get(point, GuardLimit()), new.get(point, GuardLimit())
        graveness = change_classes.class_of_guard(before, after)
        for change in _records((*steps, point.value), before, after):
            yield msgspec.structs.replace(change, change_class=graveness)


def _change(steps: tuple[str, ...], kind: str, before: Any, after: Any, graveness: ChangeClass) -> Change:
    hidden = mask_options({steps[-1]: [to_plain(before), to_plain(after)]})
    shown = hidden[steps[-1]] if "options" in steps or steps[0] == "systems" else [to_plain(before), to_plain(after)]
    return Change(".".join(steps), kind, shown[0], shown[1], graveness)


def _word(value: Enum) -> str:
    return str(value.value).replace("_", "-")


def _line(change: Change) -> str:
    mark = "" if change.change_class is ChangeClass.COSMETIC else f"  [{_word(change.change_class)}]"
    match change.kind:
        case "added":
            return f"+ {change.path}{mark}"
        case "removed":
            return f"- {change.path}{mark}"
        case _:
            return f"~ {change.path}: {_short(change.before)} -> {_short(change.after)}{mark}"


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 120 else text[:119] + "…"
