"""Databases for tests: made by copying a template, and used again by the next test as if they had just been made.

To make and drop a database is to make and remove some 350 files, a third of a second on the file system it was measured
on. So what a test has written is taken out again instead: each table whose rows are no longer those of a new copy is
emptied and filled anew, sequences begin again, statistics are forgotten. A database whose shape is no longer that of a
new copy (a table, a function, a setting) is dropped.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

import asyncpg

_SHAPE = """
SELECT md5(string_agg(part, E'\\n' ORDER BY part)) FROM (
    SELECT pg_get_functiondef(oid) AS part FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', oid, relname, relkind, relpersistence, reloptions, relhastriggers, relowner)
      FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', attrelid, attname, attnum, atttypid, attnotnull, attisdropped, attstattarget)
      FROM pg_attribute JOIN pg_class c ON c.oid = attrelid AND c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', conrelid, conname, pg_get_constraintdef(oid)) FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', tgrelid, tgname, tgenabled) FROM pg_trigger
    UNION ALL
    SELECT setconfig::text FROM pg_db_role_setting WHERE setdatabase IN (0, (
        SELECT oid FROM pg_database WHERE datname = current_database()))
    UNION ALL
    SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
    UNION ALL
    SELECT extname FROM pg_extension
) parts"""
_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY relname"
_BEGIN_AGAIN = """
SELECT setval(seqrelid, seqstart, false) FROM pg_sequence;
DELETE FROM pg_statistic WHERE starelid >= 16384;
SELECT pg_stat_reset()"""
MOVABLE_CLOCK = """
CREATE TABLE test_clock (ahead interval NOT NULL);
INSERT INTO test_clock VALUES ('0');
CREATE OR REPLACE FUNCTION anabranch_now() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS $$ SELECT clock_timestamp() + (SELECT ahead FROM test_clock) $$;
"""
"""An `addition`: the time of the database is as far ahead of the real one as the only row of `test_clock` says."""
_CUT_OFF = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1"


def with_database(url: str, name: str) -> str:
    """The address of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def administer(url: str, *statements: str) -> None:
    """The statements have been carried out, each by itself."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def drop(server_url: str, name: str) -> None:
    """The database is gone, whoever was connected to it."""
    await administer(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class Databases:
    """Copies of one template, one at a time for each taker; those given back are taken again.

    `prefix` begins the name of every copy; several users of one server take different ones. `addition` is SQL that
    every copy gets besides.
    """

    def __init__(self, server_url: str, template: str, prefix: str, addition: str = "") -> None:
        self._server_url = server_url
        self._template = template
        self._addition = addition
        self._names = (f"{prefix}_{n}" for n in itertools.count(1))
        self._free: list[str] = []
        self._shape = ""
        self._rows: dict[str, list[str]] = {}

    async def take(self) -> str:
        """The name of a database that is as the template is."""
        if self._free:
            return self._free.pop()
        name = next(self._names)
        await administer(self._server_url, f'CREATE DATABASE "{name}" TEMPLATE "{self._template}"')
        connection = await asyncpg.connect(with_database(self._server_url, name))
        try:
            if self._addition:
                await connection.execute(self._addition)
            if not self._shape:
                self._shape, self._rows = await connection.fetchval(_SHAPE), await _rows(connection)
        finally:
            await connection.close()
        return name

    async def give_back(self, name: str) -> None:
        """Nobody is connected to it any more, and the next taker finds nothing of what was in it."""
        connection = await asyncpg.connect(self._server_url)
        try:
            await connection.execute(_CUT_OFF, name)
        finally:
            await connection.close()
        if await self._emptied(name):
            self._free.append(name)
        else:
            await drop(self._server_url, name)

    async def _emptied(self, name: str) -> bool:
        try:
            connection = await asyncpg.connect(with_database(self._server_url, name))
        except asyncpg.InvalidCatalogNameError:  # the test dropped it itself
            return False
        try:
            if await connection.fetchval(_SHAPE) != self._shape:
                return False
            async with connection.transaction():
                await _restore(connection, self._rows)
            await connection.execute(_BEGIN_AGAIN)
            return True
        finally:
            await connection.close()

    async def close(self) -> None:
        """Those given back are gone."""
        while self._free:
            await drop(self._server_url, self._free.pop())


async def _rows(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, list[str]]:
    """Each table and its rows as texts, in a fixed order."""
    tables = [row["relname"] for row in await connection.fetch(_TABLES)]
    asked = " UNION ALL ".join(f"SELECT '{one}' AS name, t::text AS line FROM \"{one}\" t" for one in tables)
    found: dict[str, list[str]] = {name: [] for name in tables}
    for row in await connection.fetch(f"{asked} ORDER BY name, line"):
        found[row["name"]].append(row["line"])
    return found


async def _restore(connection: asyncpg.Connection[asyncpg.Record], wanted: Mapping[str, list[str]]) -> None:
    found = await _rows(connection)
    changed = [name for name, lines in wanted.items() if found[name] != lines]
    if not changed:
        return
    await connection.execute(f"TRUNCATE {', '.join(changed)} CASCADE")
    for name in changed:
        # A row's text becomes the row again; no table that the template fills has columns the server computes.
        for line in wanted[name]:
            await connection.execute(f'INSERT INTO "{name}" SELECT (($1::text)::"{name}").*', line)
