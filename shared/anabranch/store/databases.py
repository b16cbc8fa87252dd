"""Whole databases: a copy to try something on, and how much has been written to one.

A copy is made by the server itself, page by page, which is quick and exact, and possible only while nobody is connected
to the original: whoever is gets cut off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec

from anabranch.model.errors import Permanent
from anabranch.store.faults import translated
from anabranch.store.pool import connect
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


async def copy_database(url: str, name: str) -> str:
    """A new database `name` on the same server holds everything the one of `url` holds; its address.

    Everybody else who is connected to the original is cut off first, as by a restart of the server. Raises Permanent
    when somebody is back before the copy has begun, and when the name is taken.
    """
    connection = await connect(url, "copy")
    try:
        with translated("copy the database"):
            statement = await connection.fetchval(sql("write_copy_statement"), name)
            await connection.execute(sql("cut_off_others"))
            await connection.execute(statement)
    except (asyncpg.ObjectInUseError, asyncpg.DuplicateDatabaseError) as error:
        raise Permanent(
            f"the database cannot be copied to {name!r}: {error}; stop who is connected, or choose a name that is free"
        ) from error
    finally:
        await connection.close()
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


class Mark(msgspec.Struct, frozen=True):
    """A moment in the life of a database: the transaction that came next, and how many rows each table had."""

    transaction: int
    rows: dict[str, int]


async def mark(url: str) -> Mark:
    """This moment, for `written_since`; nothing may be under way that is to be left out of it."""
    connection = await connect(url, "mark")
    try:
        with translated("mark what is written"):
            transaction: int = await connection.fetchval(sql("mark_rows"))
            return Mark(
                transaction, {name: rows for name, (rows, _) in (await _versions(connection, transaction)).items()}
            )
    finally:
        await connection.close()


async def written_since(url: str, moment: Mark) -> dict[str, int]:
    """Rows that were inserted, updated or removed since the moment, by table; without the tables that have none.

    Read from the rows themselves, so it is exact the moment it is asked. A row that came and went since is not seen.
    """
    connection = await connect(url, "mark")
    try:
        with translated("count what was written"):
            found = await _versions(connection, moment.transaction)
    finally:
        await connection.close()
    written = {name: max(young, abs(rows - moment.rows.get(name, 0))) for name, (rows, young) in found.items()}
    return {name: count for name, count in written.items() if count}


async def _versions(connection: Connection, transaction: int) -> dict[str, tuple[int, int]]:
    """By table, its rows and those of them that are as young as the transaction."""
    found: dict[str, tuple[int, int]] = {}
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for table in await connection.fetch(sql("list_tables")):
            statement = sql("count_versions").replace("@table", table["quoted"])
            (row,) = await connection.fetch(statement, transaction)
            found[table["name"]] = row["rows"], row["young"]
    return found
