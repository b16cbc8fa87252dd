"""`anabranch state`: one number for everything the fleet knows."""

from __future__ import annotations

import click

from anabranch.console.cli.output import output_option, show_one
from anabranch.console.cli.place import Place, connected, run_async, with_place


@click.group()
def state() -> None:
    """Compare whole states."""


@state.command("hash", epilog="\b\nExample:\n  anabranch state hash -o json")
@output_option
@with_place
def hash_command(output: str, place: Place) -> None:
    """Print the hash of the state: metaverse, connector spaces, joins, pending exports.

    Ids, times and attempts are not in it: two databases that went through the same history have the same hash, however
    many workers did the work. A difference is narrowed down by the hashes of the sections.
    """
    from anabranch.store.state_hash import StateHash, state_hash

    async def read() -> StateHash:
        async with connected(place) as connection, connected(place) as other:
            return await state_hash(connection, other)

    found = run_async(read())
    record = {"overall": found.overall, "sections": found.sections}

    def text() -> str:
        return "\n".join([found.overall, *(f"  {digest[:16]}  {name}" for name, digest in found.sections.items())])

    show_one(record, output, "overall", text)
