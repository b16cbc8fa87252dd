"""How the name under `connector:` becomes code.

A connector announces itself by an entry point of the group `anabranch.connectors` and is imported only when a system
uses it, so an optional driver that is not installed harms nobody else. The built-in ones are known without installation
too. A connector says which version of the port it was written for; another one is refused before it can do harm.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, cast

from anabranch.connectors.port import API_VERSION, Connector, ConnectorFactory, OptionFault
from anabranch.model.configuration import System
from anabranch.model.errors import Permanent

GROUP: Final = "anabranch.connectors"
_BUILT_IN: Final = {
    "csv": "anabranch.connectors.csv_files:CsvConnector",
    "ldif": "anabranch.connectors.ldif:LdifConnector",
}


class UnknownConnector(Permanent):
    """No connector of that name can be used."""


def known_connectors() -> dict[str, str]:
    """Every connector by name, with the place of its code (`module:name`); nothing is imported.

    A built-in name cannot be taken by another distribution. Raises `UnknownConnector` when two distributions claim one
    name, because which of them would be used is chance.
    """
    known: dict[str, str] = {}
    for point in entry_points(group=GROUP):
        if known.setdefault(point.name, point.value) != point.value:
            raise UnknownConnector(
                f"two distributions offer a connector {point.name!r} ({known[point.name]} and {point.value}); "
                "uninstall one of them"
            )
    return known | _BUILT_IN


def load(name: str) -> ConnectorFactory:
    """The code behind a connector's name, imported and of a version this fleet speaks. Raises `UnknownConnector`."""
    known = _BUILT_IN if name in _BUILT_IN else known_connectors()  # looking through what is installed takes its time
    if name not in known:
        raise UnknownConnector(f"there is no connector {name!r}; known are {', '.join(sorted(known))}")
    module_name, _, attribute = known[name].partition(":")
    try:
        found = getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownConnector(
            f"the connector {name!r} ({known[name]}) cannot be imported: {error}; install what it needs"
        ) from error
    version = getattr(found, "api_version", None)
    if version != API_VERSION:
        raise UnknownConnector(
            f"the connector {name!r} ({known[name]}) speaks version {version} of the connector port, this fleet speaks "
            f"{API_VERSION}; install a matching release of it"
        )
    return cast(ConnectorFactory, found)


def create(system: System, options: dict[str, Any], base_directory: Path) -> Connector:
    """A connector for the system, not yet opened.

    `options` are the system's with their secrets resolved; relative paths in them start at `base_directory`. Raises
    `UnknownConnector`, or `Permanent` with every fault of the options.
    """
    return load(system.connector)(system, options, base_directory)


def check_options(system: System) -> list[OptionFault]:
    """Everything its connector finds wrong with the system's declaration; none for a connector nobody knows, whose
    name is itself the fault."""
    if system.connector not in _BUILT_IN and system.connector not in known_connectors():
        return []
    try:
        factory = load(system.connector)
    except UnknownConnector as error:
        return [(("connector",), str(error))]
    return list(factory.check_options(system))
