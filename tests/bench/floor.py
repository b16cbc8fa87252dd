"""What the rows of an initial cycle cost PostgreSQL alone: a bound under P1 that no worker can get below.

The rows that a cycle has left are written once more, into tables of the same shape with the same indexes, in the order
of a cycle: new objects, metaverse objects and keys, links, packs of new accounts, and what becomes of those. One
connection does it, from rows that are there already: nothing is parsed, nothing is read by a worker, no worker decides
anything, and nobody waits. What is left is what the tables cost.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import asyncpg
from tests.bench.meters import cpu_seconds

_TABLES: Final = ("cso", "cso_sync", "mvo", "mvo_sync", "match_key", "provision_pack")
_WORK: Final = Path(__file__).with_name("floor.sql")


def measured_floor(database_url: str) -> dict[str, float]:
    """The rows of the cycle that has just ended are written again, and gone; processor seconds of the one backend by
    what was written."""
    return asyncio.run(_measure(database_url))


async def _measure(database_url: str) -> dict[str, float]:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE SCHEMA floor")
        for table in _TABLES:
            kept = "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = $1::regclass"
            options = await connection.fetchval(kept, table)
            stored = f"WITH ({options})" if options else ""
            await connection.execute(f"CREATE TABLE floor.{table} (LIKE {table} INCLUDING ALL) {stored}")
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        seconds: dict[str, float] = {}
        for part in _WORK.read_text(encoding="utf-8").split("\n--- ")[1:]:
            name, _, statements = part.partition("\n")
            before = cpu_seconds(backend)
            await connection.execute(statements)
            seconds[name] = cpu_seconds(backend) - before
        await connection.execute("DROP SCHEMA floor CASCADE")
        return seconds
    finally:
        await connection.close()
