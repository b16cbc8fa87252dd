"""The smallest declared systems, and short ways to read and write them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from anabranch.connectors.port import Connector, Entry, EntryError, Page, RawValue, ReadRequest, TargetObject, Token
from anabranch.connectors.registry import create
from anabranch.model.configuration import Attribute, ObjectType, System
from anabranch.model.enums import ValueType


def an_object_type(key: str, anchor: str, source: dict[str, Any], *names: str, **more: ValueType) -> ObjectType:
    """`names` are text attributes; one that ends in `*` holds several values. `more` gives others by type."""
    attributes = {
        name.rstrip("*"): Attribute(name=name.rstrip("*"), type=ValueType.TEXT, multi_valued=name.endswith("*"))
        for name in names
    } | {name: Attribute(name=name, type=kind) for name, kind in more.items()}
    return ObjectType(key=key, anchor=anchor, attributes=attributes, source=source)


def a_csv_system(*types: ObjectType, **options: Any) -> System:
    declared = types or (an_object_type("person", "id", {"file": "people.csv"}, "id", "name", "tags*"),)
    return System(
        key="hr",
        connector="csv",
        options={"directory": "."} | {key.replace("_", "-"): value for key, value in options.items()},
        object_types={one.key: one for one in declared},
    )


def an_ldif_system(*types: ObjectType, **options: Any) -> System:
    source = {"object-classes": ["person"], "rdn": "uid"}
    declared = types or (an_object_type("person", "uid", source, "uid", "dn", "cn", "mail*"),)
    return System(
        key="directory",
        connector="ldif",
        options={"path": "directory.ldif"} | {key.replace("_", "-"): value for key, value in options.items()},
        object_types={one.key: one for one in declared},
    )


def connect(system: System, place: Path) -> Connector:
    return create(system, system.options, place)


async def pages_of(connector: Connector, size: int = 1000, token: Token | None = None) -> list[Page]:
    """All pages of the first partition."""
    first = (await connector.partitions())[0]
    request = ReadRequest(partition=first.key, page_size=size, object_types=first.object_types, token=token)
    return [page async for page in connector.read(request)]


async def read_all(system: System, place: Path) -> tuple[list[Entry], list[EntryError]]:
    pages = await pages_of(connect(system, place))
    return [one for page in pages for one in page.entries], [one for page in pages for one in page.errors]


def a_target(anchor: str, object_type: str = "person", dn: str | None = None, **values: list[RawValue]) -> TargetObject:
    return TargetObject(object_type=object_type, anchor=anchor, identifier=dn, values=values)


def files_of(place: Path) -> list[str]:
    return sorted(one.name for one in place.iterdir())


async def stream(objects: Iterable[TargetObject]) -> AsyncIterator[TargetObject]:
    for one in objects:
        yield one
