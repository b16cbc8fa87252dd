"""A connector's options, read key by key, every fault told at once.

Options reach a connector twice: unresolved, when a configuration is checked and a value may still be a reference to a
secret, and resolved, when the connector is made. Both go through the same reading, so what validation accepts can be
opened.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from anabranch.connectors.credentials import holds_credentials
from anabranch.connectors.port import OptionFault
from anabranch.model.configuration import System
from anabranch.model.errors import Permanent


class OptionReader:
    """Reads one mapping of options; faults gather in `faults` under `path`."""

    def __init__(self, given: Mapping[str, Any], path: tuple[str | int, ...], faults: list[OptionFault]) -> None:
        self._given = given
        self._path = path
        self.faults = faults

    def fault(self, key: str, message: str) -> None:
        self.faults.append(((*self._path, key), message))

    def only(self, known: Collection[str]) -> None:
        """A fault for every key that nobody reads."""
        for key in self._given:
            if key not in known:
                near = get_close_matches(str(key), list(known), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known))}"
                self.fault(str(key), f"unknown key {key!r}{hint}")

    def required(self, key: str, what: str) -> bool:
        """False, and a fault noted at the mapping itself, where the key is missing."""
        if self._given.get(key) is None:
            self.faults.append((self._path, f"{key!r} is missing: {what}"))
            return False
        return True

    def text(self, key: str, default: str, *, empty: bool = False) -> str:
        value = self._given.get(key, default)
        if not isinstance(value, str):
            self.fault(key, f"expected text, found {value!r}; write it in quotes")
            return default
        if not value and not empty:
            self.fault(key, "the text is empty")
            return default
        return value

    def choice(self, key: str, default: str, known: Collection[str]) -> str:
        value = self.text(key, default)
        if value not in known and not unresolved(value):
            self.fault(key, f"{value!r} is none of {', '.join(known)}")
            return default
        return value

    def one_character(self, key: str, default: str) -> str:
        value = self.text(key, default)
        if unresolved(value):
            return default
        if len(value) != 1 or value in "\r\n\0":
            self.fault(key, f"expected one character, found {value!r}")
            return default
        return value

    def encoding(self, key: str, default: str) -> str:
        value = self.text(key, default)
        if unresolved(value):
            return default
        try:
            if codecs.lookup(value)._is_text_encoding:
                return value
        except LookupError:
            pass
        self.fault(key, f"there is no text encoding {value!r}; write one such as utf-8, utf-16 or cp1252")
        return default

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        value = self._given.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.fault(key, f"expected a whole number from {least} to {most}, found {value!r}")
            return default
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._given.get(key, default)
        if not isinstance(value, bool):
            self.fault(key, f"expected true or false, found {value!r}")
            return default
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._given.get(key, ())
        if not isinstance(value, list | tuple) or not value or not all(isinstance(one, str) and one for one in value):
            self.fault(key, f"expected a list of texts with at least one member, found {value!r}")
            return ()
        return tuple(value)


def unresolved(value: str) -> bool:
    """True while the text holds a reference to a secret; what it will be cannot be judged yet."""
    return "${" in value


def credential_faults(system: System) -> list[OptionFault]:
    """A fault for each declared attribute that holds credentials (IMP-7)."""
    return [
        (
            ("object-types", record.key, "attributes", name),
            f"{name!r} holds credentials, which are never read or stored; remove it from the attributes",
        )
        for record in system.object_types.values()
        for name in record.attributes
        if holds_credentials(name)
    ]


def refuse(system: System, faults: list[OptionFault]) -> None:
    """Raises `Permanent` naming every fault, if there is one."""
    if faults:
        told = "\n".join(f"systems.{system.key}.{'.'.join(map(str, path))}: {message}" for path, message in faults)
        raise Permanent(told)
