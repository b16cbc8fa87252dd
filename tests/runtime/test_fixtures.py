"""What the shared fixtures promise to every other test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis
from tests.conftest import LeakCheck
from tests.databases import MOVABLE_CLOCK, Databases, with_database

from anabranch.runtime.local_servers import LocalServers


async def _run(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("turn", [1, 2])
async def test_an_empty_database_belongs_to_one_test(empty_database: str, turn: int) -> None:
    await _run(empty_database, f"CREATE TABLE mine AS SELECT {turn} AS n")  # fails if the other turn's table were here
    assert await _run(empty_database, "SELECT n FROM mine") == turn


@pytest.fixture
async def databases(server_pair: LocalServers, template_database: str) -> AsyncIterator[Databases]:
    """Copies of the migrated template that no other test takes."""
    template = urlsplit(template_database).path.removeprefix("/")
    made = Databases(server_pair.database_url, template, f"mine_{secrets.token_hex(4)}", MOVABLE_CLOCK)
    yield made
    await made.close()


async def test_a_database_given_back_is_taken_again_as_if_it_were_new(
    server_pair: LocalServers, databases: Databases
) -> None:
    name = await databases.take()
    url = with_database(server_pair.database_url, name)
    await _run(url, "INSERT INTO system (key) SELECT 'a' || n FROM generate_series(1, 1000) n")
    await _run(url, "INSERT INTO object_type (system_id, key) SELECT id, 'person' FROM system")
    await _run(url, "UPDATE fleet_bus SET epoch = 7")
    await _run(url, "UPDATE test_clock SET ahead = '1 hour'")
    await _run(url, "DELETE FROM fleet_term")
    await _run(url, "SELECT nextval('change_seq')")
    await _run(url, "ANALYZE")
    await databases.give_back(name)
    assert await databases.take() == name
    assert await _run(url, "SELECT count(*) FROM system, object_type") == 0
    assert await _run(url, "SELECT (SELECT epoch FROM fleet_bus) + (SELECT term FROM fleet_term)") == 1
    assert await _run(url, "SELECT extract(epoch FROM ahead)::int FROM test_clock") == 0
    assert await _run(url, "SELECT nextval('change_seq')") == 1
    assert await _run(url, "INSERT INTO system (key) VALUES ('b') RETURNING id") == 1
    assert await _run(url, "SELECT reltuples FROM pg_class WHERE relname = 'object_type'") == -1
    assert await _run(url, "SELECT count(*) FROM pg_stats WHERE schemaname = 'public'") == 0
    await databases.give_back(name)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE mine (n int)",
        "ALTER TABLE system ADD COLUMN mine int",
        "ALTER TABLE system SET (fillfactor = 50)",
        "DROP INDEX cso_secondary",
        "CREATE OR REPLACE FUNCTION anabranch_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT clock_timestamp()'",
        "CREATE SCHEMA mine",
    ],
)
async def test_a_database_of_another_shape_is_not_taken_again(
    server_pair: LocalServers, databases: Databases, change: str
) -> None:
    name = await databases.take()
    await _run(with_database(server_pair.database_url, name), change)
    await databases.give_back(name)
    other = await databases.take()
    assert other != name
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await _run(with_database(server_pair.database_url, name), "SELECT 1")
    await databases.give_back(other)


async def test_who_is_still_connected_to_a_database_given_back_is_cut_off(
    server_pair: LocalServers, databases: Databases
) -> None:
    name = await databases.take()
    left = await asyncpg.connect(with_database(server_pair.database_url, name))
    await left.execute("BEGIN; LOCK TABLE system")
    await databases.give_back(name)
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError)):
        await left.execute("SELECT 1")
    left.terminate()


def test_a_key_without_expiry_is_a_leak(redis_url: str, key_prefix: str, leak_check: LeakCheck) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"{key_prefix}short", "1", ex=60)
        leak_check.assert_none()
        client.set(f"{key_prefix}forever", "1")
        with pytest.raises(AssertionError, match="forever"):
            leak_check.assert_none()
        leak_check.assert_none("forever")
