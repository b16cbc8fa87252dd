"""The lookup cache is only a hint: absent, wrong or away it answers with less, never with an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from anabranch.bus.lookup_cache import Breaker, LookupCache, NullCache, RedisLookupCache
from anabranch.bus.streams import Keys

ONE, TWO, THREE = b"\x00\x01\x02\x03\x04\x05\x06\xff", b"two.....", b"three..."


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def cache(redis_url: str, key_prefix: str, redis: Redis) -> AsyncIterator[RedisLookupCache]:
    cache = RedisLookupCache(redis_url, prefix=key_prefix, timeout=1.0)
    yield cache
    await cache.close()


async def test_a_key_is_found_with_all_its_ids(cache: RedisLookupCache) -> None:
    await cache.put_many(1, "mail", {ONE: [5], TWO: [6, 2**62]})
    assert await cache.get_many(1, "mail", [ONE, TWO, THREE]) == {ONE: (5,), TWO: (6, 2**62)}
    assert (cache.counts.hits, cache.counts.misses, cache.counts.errors) == (2, 1, 0)


async def test_types_and_attributes_are_kept_apart(cache: RedisLookupCache) -> None:
    await cache.put_many(1, "mail", {ONE: [5]})
    assert await cache.get_many(2, "mail", [ONE]) == {}
    assert await cache.get_many(1, "name", [ONE]) == {}


async def test_what_is_put_replaces_and_without_ids_forgets(cache: RedisLookupCache) -> None:
    await cache.put_many(1, "mail", {ONE: [5], TWO: [6]})
    await cache.put_many(1, "mail", {ONE: [7], TWO: []})
    assert await cache.get_many(1, "mail", [ONE, TWO]) == {ONE: (7,)}


async def test_forgotten_keys_are_missing(cache: RedisLookupCache) -> None:
    await cache.put_many(1, "mail", {ONE: [5], TWO: [6]})
    await cache.forget_many(1, "mail", [ONE])
    assert await cache.get_many(1, "mail", [ONE, TWO]) == {TWO: (6,)}


async def test_more_keys_than_one_request_carries_come_back(cache: RedisLookupCache) -> None:
    entries = {number.to_bytes(8, "big"): [number] for number in range(5_000)}
    await cache.put_many(1, "mail", entries)
    assert await cache.get_many(1, "mail", list(entries)) == {key: tuple(ids) for key, ids in entries.items()}


async def test_the_cache_expires(cache: RedisLookupCache, redis: Redis, key_prefix: str) -> None:
    await cache.put_many(1, "mail", {ONE: [5]})
    assert await redis.ttl(Keys(key_prefix).lookup(1, "mail")) > 3600


@pytest.mark.behaviour("FLT-19")
async def test_an_entry_that_cannot_be_read_is_a_miss(cache: RedisLookupCache, redis: Redis, key_prefix: str) -> None:
    await redis.hset(Keys(key_prefix).lookup(1, "mail"), ONE, b"not numbers")
    assert await cache.get_many(1, "mail", [ONE]) == {}
    assert (cache.counts.misses, cache.counts.errors) == (1, 1)


@pytest.mark.behaviour("FLT-19")
async def test_a_key_of_another_kind_is_a_miss(cache: RedisLookupCache, redis: Redis, key_prefix: str) -> None:
    await redis.set(Keys(key_prefix).lookup(1, "mail"), "text")
    assert await cache.get_many(1, "mail", [ONE]) == {}
    assert cache.counts.errors == 1


@pytest.mark.behaviour("FLT-19")
async def test_an_absent_server_is_asked_a_few_times_and_then_left_alone() -> None:
    now = 100.0
    breaker = Breaker(limit=3, rest=5.0, clock=lambda: now)
    cache = RedisLookupCache("redis://127.0.0.1:1/0", breaker=breaker)
    for _ in range(5):
        assert await cache.get_many(1, "mail", [ONE]) == {}
    assert (cache.counts.errors, cache.counts.skipped) == (3, 2)
    now += 6.0
    await cache.get_many(1, "mail", [ONE])
    assert cache.counts.errors == 4
    await cache.get_many(1, "mail", [ONE])
    assert cache.counts.skipped == 3
    await cache.close()


@pytest.mark.behaviour("FLT-19")
async def test_a_silent_server_costs_fifty_milliseconds() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    cache = RedisLookupCache(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    started = asyncio.get_running_loop().time()
    await cache.put_many(1, "mail", {ONE: [5]})
    took = asyncio.get_running_loop().time() - started
    assert cache.counts.errors == 1
    assert took < 0.5  # 50 ms and what a busy machine adds; the library's own defaults would wait for seconds
    await cache.close()
    server.close()
    await server.wait_closed()


def test_a_success_closes_the_breaker() -> None:
    now = 0.0
    breaker = Breaker(limit=2, rest=5.0, clock=lambda: now)
    breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert not breaker.is_open


async def test_the_null_cache_holds_nothing() -> None:
    cache: LookupCache = NullCache()
    await cache.put_many(1, "mail", {ONE: [5]})
    assert await cache.get_many(1, "mail", [ONE]) == {}
