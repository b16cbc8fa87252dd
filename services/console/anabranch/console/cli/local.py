"""`anabranch up` and `anabranch down`: a fleet of one's own on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from anabranch.console.cli.output import show_list, tell
from anabranch.console.cli.place import DEFAULT_DIRECTORY, host_and_port

if TYPE_CHECKING:
    from anabranch.console.detached import Brought

_DIRECTORY = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DIRECTORY,
    show_default=True,
    help="Where data, logs and state are kept.",
)
_COUNT = click.IntRange(0, 64)


@click.command(epilog="\b\nExample:\n  anabranch up --sync-workers 4")
@_DIRECTORY
@click.option("--import-workers", type=_COUNT, default=1, show_default=True, help="How many import workers run.")
@click.option("--sync-workers", type=_COUNT, default=2, show_default=True, help="How many sync workers run.")
@click.option("--export-workers", type=_COUNT, default=1, show_default=True, help="How many export workers run.")
def up(directory: Path, import_workers: int, sync_workers: int, export_workers: int) -> None:
    """Start PostgreSQL, Redis and a fleet on this machine.

    They go on until `anabranch down`. Relative paths of a configuration start at the directory this is called in.
    Called again it scales the fleet: other numbers add workers or let them finish and go, also while runs go on.
    Servers named by ANABRANCH_DATABASE_URL and ANABRANCH_REDIS_URL are used in place of own ones.
    """
    from anabranch.console.detached import bring_up
    from anabranch.console.local_fleet import Service

    tell(f"starting in {directory} …")
    wanted = {
        Service.SCHEDULER: 1,
        Service.IMPORT: import_workers,
        Service.SYNC: sync_workers,
        Service.EXPORT: export_workers,
    }
    brought = bring_up(directory, wanted, Path.cwd(), os.environ.get("ANABRANCH_KEY_PREFIX", ""))
    for name in brought.migrated:
        tell(f"migrated {name}")
    for member in brought.removed:
        tell(f"{member.name} has finished its work and gone")
    _show(brought, directory)


def _show(brought: Brought, directory: Path) -> None:
    from anabranch.config.masking import mask_urls

    database = host_and_port(brought.servers.database_url, 5432)
    redis = host_and_port(brought.servers.redis_url, 6379)
    rows: list[dict[str, Any]] = [
        {"part": "PostgreSQL", "where": f"{database[0]} {database[1]}", "process": _pid(brought.servers.postgres)},
        {"part": "Redis", "where": f"{redis[0]} {redis[1]}", "process": _pid(brought.servers.redis)},
    ]
    rows += [{"part": member.name, "where": member.log, "process": member.pid} for member in brought.members]
    show_list(rows, "table", ("part", "where", "process"), "part")
    tell(f"psql:      psql {mask_urls(brought.servers.database_url)}   (password in {directory / 'password'})")
    tell(f"redis-cli: redis-cli -h {redis[0]} -p {redis[1]} XLEN sync-batches   (package redis-tools or valkey-tools)")
    tell("next:      anabranch config apply DIRECTORY, then anabranch run start NAME --follow")


def _pid(identity: Any) -> int | None:
    return None if identity is None else identity.pid


@click.command(epilog="\b\nExample:\n  anabranch down --purge")
@_DIRECTORY
@click.option("--purge", is_flag=True, help="Remove the data too: database, logs, everything `up` made.")
def down(directory: Path, purge: bool) -> None:
    """Stop what `up` started.

    Workers finish what they have in hand; runs go on when the fleet is up again.
    """
    from anabranch.console.detached import bring_down

    if bring_down(directory, purge=purge):
        tell(f"stopped{' and removed' if purge else ''}: {directory}")
    else:
        tell(f"nothing was running in {directory}")
