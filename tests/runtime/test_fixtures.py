"""What the shared fixtures promise to every other test."""

from __future__ import annotations

import asyncpg
import pytest
import redis
from tests.conftest import LeakCheck


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


def test_a_key_without_expiry_is_a_leak(redis_url: str, key_prefix: str, leak_check: LeakCheck) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(f"{key_prefix}short", "1", ex=60)
        leak_check.assert_none()
        client.set(f"{key_prefix}forever", "1")
        with pytest.raises(AssertionError, match="forever"):
            leak_check.assert_none()
        leak_check.assert_none("forever")
