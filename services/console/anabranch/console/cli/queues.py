"""`anabranch queue` and `anabranch worker`: what waits, and who works."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from anabranch.console.cli.output import output_option, show_list, tell
from anabranch.console.cli.place import Place, connected, on_bus, run_async, with_place

_SILENT_SECONDS = 15.0


@click.group()
def queue() -> None:
    """See what waits."""


@queue.command("ls", epilog="\b\nExample:\n  anabranch queue ls")
@output_option
@with_place
def list_queues(output: str, place: Place) -> None:
    """List each stream's length and the batches behind it.

    `hints` is what Redis holds (XLEN of both lanes); the other columns are rows of PostgreSQL, which are the truth: a
    batch without a hint is found all the same.
    """
    rows = run_async(_queues(place))
    show_list(
        rows, output, ("stream", "hints", "ready", "due", "leased", "blocked", "dead", "oldest_seconds"), "stream"
    )


async def _queues(place: Place) -> list[dict[str, Any]]:
    from anabranch.bus.streams import Keys
    from anabranch.model.enums import WorkerKind
    from anabranch.store.overview import Overview

    async with connected(place) as connection:
        overview = Overview(connection)
        lines = await overview.queue()
        dead = await overview.dead_batches(10_000)
    depths = await _depths(place)
    rows: list[dict[str, Any]] = []
    for kind in WorkerKind:
        mine = {line.state: line for line in lines if line.worker_kind is kind}
        rows.append(
            {
                "stream": Keys(place.key_prefix).stream(kind),
                "hints": depths.get(kind),
                **{name: mine[name].batches if name in mine else 0 for name in ("ready", "leased", "blocked")},
                "due": sum(line.due for line in mine.values()),
                "dead": sum(one.worker_kind is kind for one in dead),
                "oldest_seconds": max((line.oldest_seconds for line in mine.values()), default=None),
            }
        )
    return rows


async def _depths(place: Place) -> dict[Any, int]:
    """Entries of each kind's lanes; none when Redis is away, which is told."""
    from anabranch.bus.port import BusRefused, BusUnavailable
    from anabranch.model.enums import WorkerKind

    if place.redis_url is None:
        tell("no Redis is known; only PostgreSQL was asked")
        return {}
    try:
        async with on_bus(place) as bus:
            return {kind: await bus.depth(kind) for kind in WorkerKind}
    except (BusUnavailable, BusRefused) as fault:
        tell(f"{fault}; only PostgreSQL was asked")
        return {}


@click.group()
def worker() -> None:
    """See who works."""


@worker.command("ls", epilog="\b\nExample:\n  anabranch worker ls -o json")
@output_option
@click.option("--all", "everyone", is_flag=True, help="Also those that have stopped or fallen silent.")
@with_place
def list_workers(output: str, everyone: bool, place: Place) -> None:
    """List the processes of the fleet that are beating."""
    from anabranch.store.overview import Overview, WorkerLine

    async def read() -> list[WorkerLine]:
        async with connected(place) as connection:
            return await Overview(connection).workers()

    rows = [
        msgspec.structs.asdict(line)
        for line in run_async(read())
        if everyone or (line.state != "stopped" and line.silent_seconds < _SILENT_SECONDS)
    ]
    columns = ("worker", "kind", "state", "host", "pid", "version", "started_at", "silent_seconds", "holds")
    show_list(rows, output, columns, "worker")
