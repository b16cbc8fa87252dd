"""One check under way: what is looked up, where it stands in the files, and the faults found so far.

What could not be read is missing in the record but present in the tree; a reference to it is not told as unknown,
because its own fault is already told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar
from zoneinfo import ZoneInfo

from anabranch.config.declaration import NodePath, Places
from anabranch.config.shape import did_you_mean
from anabranch.model.configuration import Attribute, Configuration, System
from anabranch.model.errors import Fault

CheckOptions = Callable[[System], Iterable[tuple[NodePath, str]]]
"""A connector's judgement of one system: paths inside the system (`("options", "path")`) and what is wrong there."""

_T = TypeVar("_T")


class Checker:
    """One check of one configuration: what is looked up, where it stands, and the faults so far."""

    def __init__(self, configuration: Configuration, places: Places, check_options: CheckOptions | None) -> None:
        self.configuration = configuration
        self.places = places
        self.check_options = check_options
        self.faults: list[Fault] = []

    def fault(self, path: NodePath, message: str, *, key: bool = False) -> None:
        self.faults.append(self.places.fault(path, message, key=key))

    def named(
        self, members: dict[str, _T], owner: NodePath, name: str, at: NodePath, what: str, of: str = ""
    ) -> _T | None:
        """The member of that name, or None once its absence is told at `at` (silently where it is merely unreadable).

        `owner` is the path of the mapping that holds the members.
        """
        found = members.get(name)
        if found is None and not self.places.declares((*owner, name)):
            self.fault(at, f"{what} {name!r}{of} is not declared{did_you_mean(name, members)}")
        return found

    def attribute(self, held: dict[str, Attribute], owner: NodePath, name: str, at: NodePath) -> Attribute | None:
        """The attribute of an object type or metaverse type whose own path is `owner`."""
        whose = ".".join(str(part) for part in owner if part not in ("systems", "object-types"))
        return self.named(held, (*owner, "attributes"), name, at, "the attribute", f" of {whose}")

    def time_zone(self, name: str, at: NodePath) -> None:
        try:
            ZoneInfo(name)
        except (ValueError, OSError):
            self.fault(at, f"{name!r} is no time zone; write a name such as Europe/Berlin or UTC")
        except KeyError:
            self.fault(at, f"the time zone {name!r} is unknown; write a name such as Europe/Berlin or UTC")
