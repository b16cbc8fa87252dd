"""`anabranch db`: the tables a fleet needs."""

from __future__ import annotations

import click

from anabranch.console.cli.exit_codes import CommandFault
from anabranch.console.cli.output import tell
from anabranch.console.cli.place import Place, run_async, with_place


@click.group()
def db() -> None:
    """Prepare and check the database."""


@db.command(epilog="\b\nExample:\n  anabranch db migrate --database-url postgresql://user@host/anabranch")
@with_place
def migrate(place: Place) -> None:
    """Bring the database to this program's schema.

    Safe to repeat, and safe while several start it at once: one migrates, the others wait.
    """
    from anabranch.store.migrate import migrate as bring_up_to_date

    applied = run_async(bring_up_to_date(place.database()))
    for name in applied:
        click.echo(name)
    if not applied:
        tell("the database is up to date")


@db.command(epilog="\b\nExample:\n  anabranch db check")
@with_place
def check(place: Place) -> None:
    """Say whether the fleet may use this database: version, settings, pooler, schema."""
    from anabranch.store.migrate import check as problems_of

    problems = run_async(problems_of(place.database()))
    if problems:
        raise CommandFault("\n".join(problems))
    tell("the database is as the fleet needs it")
