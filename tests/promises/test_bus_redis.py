"""What only a real server shows: outages in the middle of a read, full memory, lost groups, foreign entries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from tests.promises.bus_signals import reading_has_begun
from tests.promises.private_redis import LossyProxy, PrivateRedis

from anabranch.bus.envelope import Hint, Malformed, UnknownVersion
from anabranch.bus.port import (
    PROGRESS_ACTIVE_TTL_S,
    PROGRESS_ENDED_TTL_S,
    BusFull,
    BusRefused,
    BusUnavailable,
    DeadLetter,
    ServerFacts,
    server_problems,
)
from anabranch.bus.redis_streams import RedisBus
from anabranch.bus.streams import Keys
from anabranch.model.enums import WorkerKind

SYNC = WorkerKind.SYNC


def hints(*batches: int) -> dict[WorkerKind, list[Hint]]:
    return {SYNC: [Hint(batch=batch, run=7, system="hr", phase="3.flow") for batch in batches]}


@pytest.fixture
async def bus(redis_url: str, key_prefix: str) -> AsyncIterator[RedisBus]:
    bus = RedisBus(redis_url, prefix=key_prefix)
    await bus.connect()
    yield bus
    await bus.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url, decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[PrivateRedis]:
    server = PrivateRedis(tmp_path)
    await server.start()
    yield server
    await server.stop()


@pytest.mark.behaviour("FLT-17")
async def test_a_server_killed_during_a_read_is_told_and_used_again_when_it_is_back(private: PrivateRedis) -> None:
    bus = RedisBus(private.url, timeout=0.5, connect_timeout=0.5)
    await bus.connect()
    reading = asyncio.create_task(bus.read(SYNC, "a", 5, 5_000))
    await reading_has_begun(bus, SYNC)
    await private.stop()
    with pytest.raises(BusUnavailable, match="does not answer"):
        await reading
    with pytest.raises(BusUnavailable):
        await bus.read(SYNC, "a", 5, 100)
    await private.start()
    await bus.publish(hints(1))
    found = await bus.read(SYNC, "a", 5, 1_000)
    assert [delivery.hint.batch for delivery in found if delivery.hint] == [1]
    await bus.close()


async def test_entries_of_a_lost_reply_come_with_the_next_read_and_those_in_hand_do_not(private: PrivateRedis) -> None:
    proxy = LossyProxy(private.port)
    await proxy.start()
    bus = RedisBus(proxy.url)
    await bus.connect()
    await bus.publish(hints(1, 2, 3))
    await bus.read(SYNC, "a", 1, 0)
    await bus.publish(hints(10), urgent=True)
    proxy.lose_next_reply()
    with pytest.raises(BusUnavailable):
        await bus.read(SYNC, "a", 1, 0)
    found = [delivery for _ in range(4) for delivery in await bus.read(SYNC, "a", 1, 0)]
    assert [delivery.hint.batch for delivery in found if delivery.hint] == [10, 2, 3]
    await bus.close()
    await proxy.stop()


async def test_a_cancelled_read_does_not_cut_its_exchange_with_the_server_short(private: PrivateRedis) -> None:
    async def connections() -> int:
        stats = await private.run("INFO", "stats")
        assert isinstance(stats, dict)
        return int(stats["total_connections_received"])

    bus = RedisBus(private.url)
    await bus.connect()
    reading = asyncio.create_task(bus.read(SYNC, "a", 5, 2_000))
    await reading_has_begun(bus, SYNC)
    before = await connections()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await bus.publish(hints(1))
    assert len(await bus.read(SYNC, "a", 5, 0)) == 1
    assert await connections() - before == 1  # the question itself
    await bus.close()


async def test_a_lost_reply_to_a_publication_adds_each_hint_once(private: PrivateRedis) -> None:
    proxy = LossyProxy(private.port)
    await proxy.start()
    bus = RedisBus(proxy.url)
    await bus.connect()
    proxy.lose_next_reply()
    with pytest.raises(BusUnavailable):
        await bus.publish(hints(1))
    assert await bus.depth(SYNC) == 1
    await bus.close()
    await proxy.stop()


@pytest.mark.behaviour("FLT-20")
async def test_a_full_server_takes_no_hint_and_still_drains(private: PrivateRedis) -> None:
    bus = RedisBus(private.url)
    await bus.connect()
    await bus.publish(hints(1, 2))
    await private.run("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(BusFull) as told:
        await bus.publish(hints(3))
    taken = await bus.read(SYNC, "a", 5, 0)
    assert (told.value.published, len(taken), await bus.acknowledge(taken)) == (0, 2, 2)
    with pytest.raises(BusFull):
        await bus.add_token(7, 3, 1)
    await private.run("CONFIG", "SET", "maxmemory", "0")
    assert await bus.publish(hints(3)) == 1
    await bus.close()


async def test_an_evicting_server_is_refused_with_the_remedy(private: PrivateRedis) -> None:
    await private.run("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    bus = RedisBus(private.url)
    (problem,) = await bus.check()
    assert "allkeys-lru" in problem
    assert "set maxmemory-policy to noeviction" in problem
    await bus.close()


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (ServerFacts("6.0.16", "noeviction"), "too old"),
        (ServerFacts("5.0.3", "noeviction"), "too old"),
        (ServerFacts("7.2.4", "volatile-lru"), "evicts"),
        (ServerFacts("7.2.4", "noeviction", mode="cluster"), "cluster"),
    ],
)
def test_a_server_that_cannot_carry_the_bus_is_named(facts: ServerFacts, word: str) -> None:
    (problem,) = server_problems(facts)
    assert word in problem


@pytest.mark.parametrize("version", ["6.2.0", "7.2.4", "8.0.1", "10.0"])
def test_a_server_from_6_2_on_is_accepted(version: str) -> None:
    assert server_problems(ServerFacts(version, "noeviction")) == []


@pytest.mark.behaviour("FLT-17")
async def test_one_deleted_stream_is_made_again_by_the_next_read(bus: RedisBus, redis: Redis, key_prefix: str) -> None:
    await redis.delete(Keys(key_prefix).stream(SYNC))
    await bus.publish(hints(1))
    assert len(await bus.read(SYNC, "a", 5, 0)) == 1


@pytest.mark.behaviour("FLT-17")
async def test_a_stream_deleted_under_a_waiting_read_does_not_end_reading(
    bus: RedisBus, redis: Redis, key_prefix: str
) -> None:
    reading = asyncio.create_task(bus.read(SYNC, "a", 5, 3_000))
    await reading_has_begun(bus, SYNC)
    await redis.delete(*Keys(key_prefix).lanes(SYNC))
    assert await reading == []
    await bus.publish(hints(1))
    assert len(await bus.read(SYNC, "a", 5, 1_000)) == 1


async def test_a_waiting_read_does_not_hold_up_commands(bus: RedisBus) -> None:
    reading = asyncio.create_task(bus.read(SYNC, "a", 5, 1_500))
    async with asyncio.timeout(1):
        await reading_has_begun(bus, SYNC)
        await bus.publish(hints(1))
        assert len(await reading) == 1


async def test_reclaiming_does_not_raise_delivery_counts(bus: RedisBus, redis: Redis, key_prefix: str) -> None:
    await bus.publish(hints(1))
    await bus.read(SYNC, "a", 1, 0)
    for consumer in ("b", "c"):
        assert len(await bus.reclaim(SYNC, consumer, 0)) == 1
    (entry,) = await redis.xpending_range(Keys(key_prefix).stream(SYNC), "workers", "-", "+", 10)
    assert (entry["consumer"], entry["times_delivered"]) == ("c", 1)


async def test_pending_entries_deleted_by_hand_leave_the_pending_list(
    bus: RedisBus, redis: Redis, key_prefix: str
) -> None:
    stream = Keys(key_prefix).stream(SYNC)
    await bus.publish(hints(1, 2))
    for delivery in await bus.read(SYNC, "a", 2, 0):
        await redis.xdel(stream, delivery.entry)
    assert await bus.reclaim(SYNC, "b", 0) == []
    assert (await redis.xpending(stream, "workers"))["pending"] == 0


async def test_a_new_process_under_an_old_name_finds_what_the_old_one_held(
    bus: RedisBus, redis_url: str, key_prefix: str
) -> None:
    await bus.publish(hints(1, 2))
    await bus.read(SYNC, "a", 1, 0)
    successor = RedisBus(redis_url, prefix=key_prefix)
    found = await successor.read(SYNC, "a", 5, 0) + await successor.read(SYNC, "a", 5, 0)
    assert [delivery.hint.batch for delivery in found if delivery.hint] == [1, 2]
    await successor.close()


@pytest.mark.behaviour("FLT-22")
async def test_foreign_entries_come_with_their_fault(bus: RedisBus, redis: Redis, key_prefix: str) -> None:
    stream = Keys(key_prefix).stream(SYNC)
    await redis.xadd(stream, {"v": "99", "batch": "1"})
    await redis.xadd(stream, {"hello": "world"})
    newer, foreign = await bus.read(SYNC, "a", 5, 0)
    assert isinstance(newer.fault, UnknownVersion)
    assert isinstance(foreign.fault, Malformed)
    await bus.hand_back([newer])
    assert await bus.acknowledge([foreign]) == 1
    (again,) = await bus.read(SYNC, "b", 5, 0)
    assert isinstance(again.fault, UnknownVersion)


@pytest.mark.behaviour("PRG-2")
async def test_progress_expires_a_day_after_an_update_and_an_hour_after_the_end(
    bus: RedisBus, redis: Redis, key_prefix: str
) -> None:
    key = Keys(key_prefix).progress(7)
    await bus.write_progress(7, {"state": "running"})
    active = await redis.ttl(key)
    await bus.write_progress(7, {"state": "completed"}, ended=True)
    assert PROGRESS_ACTIVE_TTL_S - 5 <= active <= PROGRESS_ACTIVE_TTL_S
    assert PROGRESS_ENDED_TTL_S - 5 <= await redis.ttl(key) <= PROGRESS_ENDED_TTL_S


async def test_every_token_renews_the_life_of_its_barrier(bus: RedisBus, redis: Redis, key_prefix: str) -> None:
    keys = Keys(key_prefix)
    await bus.add_token(7, 3, 1, expected=2)
    await redis.expire(keys.tokens(7, 3), 5)
    await redis.expire(keys.tokens_expected(7, 3), 5)
    await bus.add_token(7, 3, 2)
    assert min(await redis.ttl(keys.tokens(7, 3)), await redis.ttl(keys.tokens_expected(7, 3))) > 3600


async def test_only_streams_and_the_epoch_live_without_expiry(bus: RedisBus, redis: Redis, key_prefix: str) -> None:
    await bus.publish(hints(1))
    await bus.acknowledge(await bus.read(SYNC, "a", 1, 0))
    await bus.add_token(7, 3, 1, expected=1)
    await bus.write_progress(7, {"state": "running"})
    await bus.set_bus_epoch("1")
    await bus.add_dead(SYNC, [DeadLetter(batch=1, run=7, system="hr", phase="3.flow")])
    await bus.remove_dead(SYNC, [1])
    lasting = {key async for key in redis.scan_iter(match=f"{key_prefix}*") if await redis.ttl(key) == -1}
    keys = Keys(key_prefix)
    assert lasting == {*keys.all_lanes(), keys.bus_epoch()}


async def test_a_restarted_server_learns_the_steps_again(bus: RedisBus, redis: Redis) -> None:
    await bus.add_token(7, 3, 1)
    await redis.script_flush()
    assert (await bus.add_token(7, 3, 2)).have == 2


async def test_a_thousand_hints_are_acknowledged_in_one_go(bus: RedisBus) -> None:
    await bus.publish(hints(*range(2_000)))
    taken = await bus.read(SYNC, "a", 5_000, 0)
    assert await bus.acknowledge(taken) == 2_000
    assert await bus.depth(SYNC) == 0


async def test_a_wrong_password_is_refused_and_never_shown(private: PrivateRedis) -> None:
    await private.run("CONFIG", "SET", "requirepass", "right-one")
    bus = RedisBus(f"redis://:hunter2@127.0.0.1:{private.port}/0")
    with pytest.raises(BusRefused) as told:
        await bus.connect()
    assert "hunter2" not in str(told.value)
    assert f"127.0.0.1:{private.port}" in str(told.value)
    await bus.close()


async def test_a_server_that_is_not_there_is_told_within_the_time_limit() -> None:
    bus = RedisBus("redis://127.0.0.1:1/0", timeout=0.5, connect_timeout=0.5)
    async with asyncio.timeout(3):
        with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1:1"):
            await bus.connect()
    await bus.close()


async def test_a_server_that_accepts_and_stays_silent_is_told_within_the_time_limit() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bus = RedisBus(f"redis://127.0.0.1:{port}/0", timeout=0.3, connect_timeout=0.3)
    async with asyncio.timeout(3):
        with pytest.raises(BusUnavailable):
            await bus.ping()
        with pytest.raises(BusUnavailable):
            await bus.read(SYNC, "a", 1, 200)
    await bus.close()
    server.close()
    await server.wait_closed()


def test_an_url_of_another_kind_is_refused_without_its_password() -> None:
    with pytest.raises(BusRefused) as told:
        RedisBus("http://me:hunter2@example.test")
    assert "hunter2" not in str(told.value)
    assert "redis://host:port" in str(told.value)
