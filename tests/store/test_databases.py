"""Copies of whole databases, and what has been written to one since a moment."""

from __future__ import annotations

from urllib.parse import urlsplit

import asyncpg
import pytest

from anabranch.model.errors import Permanent
from anabranch.store.databases import copy_database, mark, written_since


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


_SYSTEMS = "INSERT INTO system (key) VALUES ('a'), ('b'), ('c')"


@pytest.mark.parametrize(
    ("statements", "written"),
    [
        (["SELECT 1"], {}),
        (["SELECT * FROM system FOR UPDATE"], {}),
        (["INSERT INTO system (key) VALUES ('d')"], {"system": 1}),
        (["UPDATE system SET state = 'other' WHERE key <> 'c'"], {"system": 2}),
        (["DELETE FROM system WHERE key = 'b'"], {"system": 1}),
        (["DELETE FROM system WHERE key = 'b'", "INSERT INTO system (key) VALUES ('b')"], {"system": 1}),
        (["UPDATE fleet_bus SET epoch = epoch", "TRUNCATE mapping"], {"fleet_bus": 1}),
    ],
)
async def test_rows_that_came_changed_or_went_are_counted(
    database: str, statements: list[str], written: dict[str, int]
) -> None:
    await _execute(database, _SYSTEMS)
    moment = await mark(database)
    await _execute(database, *statements)
    assert await written_since(database, moment) == written


async def test_what_was_written_before_the_moment_does_not_count_though_its_rows_are_frozen_since(
    database: str,
) -> None:
    await _execute(database, _SYSTEMS)
    moment = await mark(database)
    await _execute(database, "VACUUM (FREEZE) system")
    assert await written_since(database, moment) == {}


async def test_a_copy_holds_what_the_original_holds_and_cuts_off_who_is_connected(database: str) -> None:
    await _execute(database, _SYSTEMS)
    other = await asyncpg.connect(database)
    name = f"{urlsplit(database).path.removeprefix('/')}_copy"
    copy = await copy_database(database, name)
    try:
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
            await other.fetchval("SELECT 1")
        assert urlsplit(copy).path == f"/{name}"
        connection = await asyncpg.connect(copy)
        assert [row[0] for row in await connection.fetch("SELECT key FROM system ORDER BY key")] == ["a", "b", "c"]
        await connection.close()
        with pytest.raises(Permanent, match=name):
            await copy_database(database, name)
    finally:
        await _execute(database, f'DROP DATABASE "{name}" WITH (FORCE)')
