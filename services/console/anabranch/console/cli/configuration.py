"""`anabranch config`: from files in git to a numbered revision, and back."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anabranch.console.cli.exit_codes import PLAN_FOUND_CHANGES, CommandFault, ExitCode, not_found
from anabranch.console.cli.output import output_option, plain, show_list, show_one, tell
from anabranch.console.cli.place import Place, connected, opened, run_async, with_place

if TYPE_CHECKING:
    from anabranch.config.differences import ConfigPlan
    from anabranch.model.configuration import Configuration
    from anabranch.store.postgres import PostgresStore

_FILES = click.argument("files", metavar="DIRECTORY", type=click.Path(path_type=Path))


@click.group()
def config() -> None:
    """Validate, plan and apply the declared configuration."""


def load(files: Path) -> Configuration:
    """The configuration of a directory, checked with everything this installation knows. Raises BadInput."""
    from anabranch.config.load import load_directory
    from anabranch.connectors.registry import check_options, known_connectors

    return load_directory(files, connectors=known_connectors(), check_options=check_options)


@config.command(epilog="\b\nExample:\n  anabranch config validate examples/organisation/config")
@_FILES
def validate(files: Path) -> None:
    """Check the files of DIRECTORY; needs no server.

    Every fault of every file is told at once, as file:line:column: message.
    """
    found = load(files)
    tell(
        f"valid: {len(found.systems)} systems, {len(found.metaverse)} metaverse types, {len(found.rules)} rules, "
        f"{len(found.run_profiles)} run profiles, {len(found.executions)} executions"
    )


async def _applied(store: PostgresStore) -> Configuration | None:
    from anabranch.model.errors import Permanent

    try:
        return (await store.revision()).configuration
    except Permanent:
        return None  # nothing has been applied yet


async def _plan(place: Place, new: Configuration) -> ConfigPlan:
    from anabranch.config.differences import plan as differences

    async with opened(place) as store:
        return differences(await _applied(store), new)


@config.command(epilog="\b\nExample:\n  anabranch config plan config/ -o json")
@_FILES
@output_option
@with_place
@click.pass_context
def plan(context: click.Context, files: Path, output: str, place: Place) -> None:
    """Show what applying DIRECTORY would change.

    Ends with 0 when nothing would change and with 2 when something would.
    """
    found = run_async(_plan(place, load(files)))
    record = {"name": found.change_class or "no changes", **found.to_plain()}
    show_one(record, output, "name", found.text)
    if found.changes:
        context.exit(PLAN_FOUND_CHANGES)


@config.command(epilog='\b\nExample:\n  anabranch config apply config/ --reason "second directory"')
@_FILES
@click.option("--author", default=getpass.getuser, show_default="you", help="Who applies it.")
@click.option("--reason", default="", help="Why, for the history.")
@click.option("--confirm-destructive", is_flag=True, help="Apply changes that let go of stored values or identities.")
@with_place
def apply(files: Path, author: str, reason: str, confirm_destructive: bool, place: Place) -> None:
    """Make the files of DIRECTORY the newest revision.

    Runs that have started keep the revision they started with.
    """
    run_async(_apply(place, load(files), author, reason, confirmed=confirm_destructive))


async def _apply(place: Place, new: Configuration, author: str, reason: str, *, confirmed: bool) -> None:
    from anabranch.config.differences import plan as differences
    from anabranch.config.stamps import rule_stamps
    from anabranch.model.enums import ChangeClass

    async with opened(place) as store:
        before = await _applied(store)
        found = differences(before, new)
        if not found.changes and before is not None:
            tell("nothing differs from the newest revision")
            return
        if found.change_class is ChangeClass.DESTRUCTIVE and before is not None and not confirmed:
            raise CommandFault(
                f"{found.text()}\nthis would let go of stored values or identities, or loosen a guard; "
                "add --confirm-destructive to apply it all the same",
                ExitCode.NOT_ALLOWED,
            )
        version = await store.apply_configuration(
            new,
            rule_stamps(new),
            change_class=found.change_class or ChangeClass.COSMETIC,
            difference=found,
            author=author,
            reason=reason,
        )
        tell(found.text())
        click.echo(version)
        tell(f"applied as revision {version}")


@config.command(epilog="\b\nExample:\n  anabranch config export --version 3 > configuration.yaml")
@click.option("--version", type=int, help="Another revision than the newest.")
@with_place
def export(version: int | None, place: Place) -> None:
    """Write a revision to stdout as YAML that can be applied again."""
    from anabranch.config.export import to_yaml
    from anabranch.model.errors import Permanent

    async def read() -> Configuration:
        async with opened(place) as store:
            return (await store.revision(version)).configuration

    try:
        found = run_async(read())
    except Permanent as fault:
        raise not_found(str(fault)) from fault
    click.echo(to_yaml(found), nl=False)


@config.command(epilog="\b\nExample:\n  anabranch config history")
@output_option
@with_place
def history(output: str, place: Place) -> None:
    """List the applied revisions, newest first."""
    from anabranch.store.configuration import AppliedVersion
    from anabranch.store.configuration import history as revisions

    async def read() -> list[AppliedVersion]:
        async with connected(place) as connection:
            return await revisions(connection)

    rows = [plain(one) | {"applied_at": one.applied_at} for one in run_async(read())]
    for row in rows:
        row["changes"] = len(row["difference"].get("changes", ())) if isinstance(row["difference"], dict) else None
    show_list(rows, output, ("version", "applied_at", "author", "change_class", "changes", "reason"), "version")
