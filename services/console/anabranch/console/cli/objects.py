"""`anabranch object show`: everything that is known of one object."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click
import msgspec

from anabranch.console.cli.exit_codes import not_found
from anabranch.console.cli.output import cell, output_option, show_one, table
from anabranch.console.cli.place import Place, opened, run_async, with_place

if TYPE_CHECKING:
    from anabranch.console.inspecting import ObjectPicture


@click.group("object")
def object_group() -> None:
    """Look at single objects."""


@object_group.command(
    epilog="\b\nExamples:\n  anabranch object show hr person E000123\n  anabranch object show mv person E000123"
)
@click.argument("system")
@click.argument("object_type", metavar="TYPE")
@click.argument("identifier", metavar="IDENTIFIER")
@output_option
@with_place
def show(system: str, object_type: str, identifier: str, output: str, place: Place) -> None:
    """Show the object of SYSTEM and TYPE whose anchor or secondary identifier is IDENTIFIER.

    With `mv` as SYSTEM: the metaverse object of TYPE that the object IDENTIFIER projected. Shown are its values with
    the rule each came from, its references, what it is joined to, what waits to be exported, and what runs did to it.
    """
    found = run_async(_read(place, system, object_type, identifier))
    if not found:
        raise not_found(f"there is no object {identifier!r} of type {object_type!r} in {_where(system)}")
    for n, picture in enumerate(found):
        if n and output == "table":
            click.echo("")
        show_one(msgspec.structs.asdict(picture), output, "name", partial(_text, picture))


def _where(system: str) -> str:
    return "the metaverse" if system == "mv" else f"the connector space of {system}"


async def _read(place: Place, system: str, object_type: str, identifier: str) -> list[ObjectPicture]:
    from anabranch.console.inspecting import pictures_of_csos, pictures_of_mvos
    from anabranch.store.pool import connect

    async with opened(place) as store:
        revision = await store.revision()
    registry = revision.registry
    number = (
        registry.metaverse_types.get(object_type)
        if system == "mv"
        else registry.object_types.get((system, object_type))
    )
    if number is None:
        raise not_found(f"{_where(system)} has no type {object_type!r}; known are {_known(registry, system)}")
    connection = await connect(place.database(), "cli-object")
    try:
        look = pictures_of_mvos if system == "mv" else pictures_of_csos
        return await look(connection, revision, number, identifier)
    finally:
        await connection.close()


def _known(registry: Any, system: str) -> str:
    if system == "mv":
        return ", ".join(sorted(registry.metaverse_types)) or "none"
    types = sorted(key for owner, key in registry.object_types if owner == system)
    if not types:
        return f"none (there is no system {system!r}; systems are {', '.join(sorted(registry.systems)) or 'none'})"
    return ", ".join(types)


def _text(picture: ObjectPicture) -> str:
    facts = {"object": picture.name, "state": picture.state, **picture.facts}
    width = max(len(name) for name in facts)
    parts = ["\n".join(f"{name:<{width}}  {cell(value)}" for name, value in facts.items())]
    for title, rows, columns in (
        ("values", picture.values, ("attribute", "value", "from", "run")),
        ("references", picture.references, ("attribute", "identifier", "leads_to", "from")),
        ("joined to", picture.joins, ("object", "state", "join", "rule")),
        ("pending exports", picture.exports, ("object", "kind", "state", "changes", "failure")),
        ("history", picture.history, ("at", "run", "profile", "step", "change", "detail", "values")),
        ("errors", picture.errors, ("at", "run", "profile", "step", "severity", "kind", "message")),
    ):
        if rows:
            used = [column for column in columns if any(row.get(column) not in (None, "", []) for row in rows)]
            parts.append(f"{title}\n{table(rows, used)}")
    return "\n\n".join(parts)
