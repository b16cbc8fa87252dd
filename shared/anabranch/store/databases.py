"""Whole databases: a copy to try something on, and how much has been written to one.

A copy is made by the server itself, page by page, which is quick and exact, and possible only while nobody is connected
to the original.
"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import asyncpg

from anabranch.model.errors import Permanent
from anabranch.store.faults import translated
from anabranch.store.pool import connect
from anabranch.store.sql_files import sql


async def copy_database(url: str, name: str) -> str:
    """A new database `name` on the same server holds everything the one of `url` holds; its address.

    Raises Permanent while somebody else is connected to the original, or when the name is taken.
    """
    connection = await connect(url, "copy")
    try:
        with translated("copy the database"):
            statement = await connection.fetchval(sql("write_copy_statement"), name)
            await connection.execute(statement)
    except (asyncpg.ObjectInUseError, asyncpg.DuplicateDatabaseError) as error:
        raise Permanent(f"the database cannot be copied to {name!r}: {error}") from error
    finally:
        await connection.close()
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def count_writes(url: str) -> dict[str, int]:
    """Rows ever inserted, updated or deleted, by table.

    The server's statistics lag behind a connection that is still open; ask when everybody has left.
    """
    connection = await connect(url, "count")
    try:
        with translated("count what was written"):
            return {row["name"]: row["n"] for row in await connection.fetch(sql("count_writes"))}
    finally:
        await connection.close()
