"""What every keeper of the bus promises, asked of the one in memory and of the one on Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
from redis.asyncio import Redis
from tests.promises.bus_signals import reading_has_begun

from anabranch.bus.envelope import Hint
from anabranch.bus.memory import MemoryBus
from anabranch.bus.port import Bus, BusUnavailable, DeadLetter, Delivery
from anabranch.bus.redis_streams import RedisBus
from anabranch.model.enums import WorkerKind

SYNC = WorkerKind.SYNC


class Keeper(Protocol):
    bus: Bus

    async def wipe(self) -> None: ...


class MemoryKeeper:
    def __init__(self) -> None:
        self.memory = MemoryBus()
        self.bus: Bus = self.memory

    async def wipe(self) -> None:
        self.memory.wipe()


class RedisKeeper:
    def __init__(self, url: str, prefix: str) -> None:
        self.bus: Bus = RedisBus(url, prefix=prefix)
        self._url = url
        self._prefix = prefix

    async def wipe(self) -> None:
        client = Redis.from_url(self._url)
        try:
            keys = [key async for key in client.scan_iter(match=f"{self._prefix}*", count=1000)]
            if keys:
                await client.delete(*keys)
        finally:
            await client.aclose()


@pytest.fixture(params=["memory", "redis"])
async def keeper(request: pytest.FixtureRequest) -> AsyncIterator[Keeper]:
    kept: Keeper
    if request.param == "memory":
        kept = MemoryKeeper()
    else:
        kept = RedisKeeper(request.getfixturevalue("redis_url"), request.getfixturevalue("key_prefix"))
    await kept.bus.connect()
    yield kept
    await kept.wipe()
    await kept.bus.close()


@pytest.fixture
def bus(keeper: Keeper) -> Bus:
    return keeper.bus


def a_hint(batch: int) -> Hint:
    return Hint(
        batch=batch, run=7, system="hr", phase="3.flow", seq=1, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    )


async def publish(bus: Bus, *batches: int, urgent: bool = False) -> None:
    assert await bus.publish({SYNC: [a_hint(batch) for batch in batches]}, urgent=urgent) == len(batches)


def batches_of(deliveries: list[Delivery]) -> list[int]:
    return [delivery.hint.batch for delivery in deliveries if delivery.hint is not None]


@pytest.mark.behaviour("FLT-20")
async def test_the_depth_is_what_waits_or_is_in_work(bus: Bus) -> None:
    await publish(bus, 1, 2, 3)
    taken = await bus.read(SYNC, "a", 2, 0)
    before = await bus.depth(SYNC)
    await bus.acknowledge(taken)
    assert (before, await bus.depth(SYNC)) == (3, 1)


async def test_a_hint_arrives_as_it_was_published(bus: Bus) -> None:
    await publish(bus, 5)
    (delivery,) = await bus.read(SYNC, "a", 10, 0)
    assert delivery.hint == a_hint(5)
    assert (delivery.kind, delivery.urgent, delivery.fault) == (SYNC, False, None)


async def test_two_consumers_share_the_entries_out(bus: Bus) -> None:
    await publish(bus, 1, 2, 3, 4)
    first, second = await bus.read(SYNC, "a", 2, 0), await bus.read(SYNC, "b", 9, 0)
    assert (batches_of(first), batches_of(second)) == ([1, 2], [3, 4])


async def test_kinds_do_not_see_each_others_hints(bus: Bus) -> None:
    await publish(bus, 1)
    assert await bus.read(WorkerKind.EXPORT, "a", 5, 0) == []
    assert await bus.depth(WorkerKind.IMPORT) == 0


async def test_what_was_not_acknowledged_goes_to_another_consumer(bus: Bus) -> None:
    await publish(bus, 1, 2)
    await bus.acknowledge((await bus.read(SYNC, "a", 2, 0))[:1])
    assert batches_of(await bus.reclaim(SYNC, "b", 0)) == [2]


async def test_reclaim_leaves_what_is_young(bus: Bus) -> None:
    await publish(bus, 1)
    await bus.read(SYNC, "a", 1, 0)
    assert await bus.reclaim(SYNC, "b", 60_000) == []


async def test_reclaim_leaves_what_nobody_has_read(bus: Bus) -> None:
    await publish(bus, 1)
    assert await bus.reclaim(SYNC, "b", 0) == []
    assert batches_of(await bus.read(SYNC, "a", 1, 0)) == [1]


async def test_a_reclaimed_entry_can_be_acknowledged_by_its_new_owner(bus: Bus) -> None:
    await publish(bus, 1)
    await bus.read(SYNC, "a", 1, 0)
    assert await bus.acknowledge(await bus.reclaim(SYNC, "b", 0)) == 1
    assert await bus.depth(SYNC) == 0


@pytest.mark.behaviour("FLT-2")
async def test_a_doubled_hint_is_delivered_twice(bus: Bus) -> None:
    await publish(bus, 1, 1)
    assert batches_of(await bus.read(SYNC, "a", 5, 0)) == [1, 1]


async def test_acknowledging_twice_does_no_harm(bus: Bus) -> None:
    await publish(bus, 1)
    taken = await bus.read(SYNC, "a", 1, 0)
    assert [await bus.acknowledge(taken), await bus.acknowledge(taken)] == [1, 0]


@pytest.mark.behaviour("FLT-17")
async def test_a_wiped_bus_carries_hints_again(keeper: Keeper) -> None:
    await publish(keeper.bus, 1)
    await keeper.wipe()
    assert await keeper.bus.read(SYNC, "a", 5, 0) == []
    await publish(keeper.bus, 2)
    assert batches_of(await keeper.bus.read(SYNC, "a", 5, 0)) == [2]


@pytest.mark.behaviour("FLT-17")
async def test_groups_made_late_see_what_was_published_before(keeper: Keeper) -> None:
    await keeper.wipe()
    await publish(keeper.bus, 1, 2)
    await keeper.bus.ensure_groups()
    assert batches_of(await keeper.bus.read(SYNC, "a", 5, 0)) == [1, 2]


async def test_ensuring_groups_again_delivers_nothing_twice(bus: Bus) -> None:
    await publish(bus, 1)
    await bus.read(SYNC, "a", 1, 0)
    await bus.ensure_groups()
    assert await bus.read(SYNC, "b", 5, 0) == []


@pytest.mark.behaviour("FLT-17")
async def test_the_bus_epoch_is_missing_after_a_wipe(keeper: Keeper) -> None:
    await keeper.bus.set_bus_epoch("4")
    before = await keeper.bus.bus_epoch()
    await keeper.wipe()
    assert (before, await keeper.bus.bus_epoch()) == ("4", None)


async def test_a_waiting_read_is_woken_by_a_hint(bus: Bus) -> None:
    reading = asyncio.create_task(bus.read(SYNC, "a", 5, 5_000))
    await asyncio.sleep(0)
    await publish(bus, 1)
    async with asyncio.timeout(3):
        assert batches_of(await reading) == [1]


async def test_a_waiting_read_of_one_gives_one_though_both_lanes_wake(bus: Bus) -> None:
    reading = asyncio.create_task(bus.read(SYNC, "a", 1, 2_000))
    await asyncio.sleep(0)
    await asyncio.gather(publish(bus, 1), publish(bus, 2, urgent=True))
    found = batches_of(await reading) + batches_of(await bus.read(SYNC, "a", 1, 500))
    assert sorted(found) == [1, 2]


async def test_a_cancelled_read_loses_no_entry(bus: Bus) -> None:
    reading = asyncio.create_task(bus.read(SYNC, "a", 5, 400))
    await reading_has_begun(bus, SYNC)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await publish(bus, 1)
    assert batches_of(await bus.read(SYNC, "a", 5, 1_000)) == [1]


async def test_nothing_is_read_after_the_stop(bus: Bus) -> None:
    await publish(bus, 1)
    bus.stop_reading()
    assert await bus.read(SYNC, "a", 5, 1_000) == []
    assert await bus.depth(SYNC) == 1


@pytest.mark.behaviour("SCH-21")
async def test_urgent_hints_come_first(bus: Bus) -> None:
    await publish(bus, 1, 2)
    await publish(bus, 10, urgent=True)
    assert batches_of(await bus.read(SYNC, "a", 3, 0)) == [10, 1, 2]


@pytest.mark.behaviour("SCH-21")
@pytest.mark.parametrize("at_once", [1, 2, 5, 9, 40])
async def test_of_any_nine_hints_one_is_normal_while_normal_work_waits(bus: Bus, at_once: int) -> None:
    await publish(bus, *range(4))
    await publish(bus, *range(100, 140), urgent=True)
    order: list[bool] = []
    while taken := await bus.read(SYNC, "a", at_once, 0):
        order += [delivery.urgent for delivery in taken]
    last_normal = max(place for place, urgent in enumerate(order) if not urgent)
    assert all(not all(order[place : place + 9]) for place in range(last_normal - 8))
    assert order[:9] == [True] * 8 + [False]
    assert len(order) == 44


@pytest.mark.behaviour("FLT-22")
async def test_a_hint_handed_back_is_there_for_another_consumer(bus: Bus) -> None:
    await publish(bus, 1, 2)
    taken = await bus.read(SYNC, "a", 1, 0)
    assert await bus.hand_back(taken) == 1
    assert batches_of(await bus.read(SYNC, "b", 5, 0)) == [2, 1]
    assert await bus.remove_consumer_if_idle(SYNC, "a") is True


async def test_a_consumer_with_pending_entries_is_not_removed(bus: Bus) -> None:
    await publish(bus, 1)
    taken = await bus.read(SYNC, "a", 1, 0)
    refused = await bus.remove_consumer_if_idle(SYNC, "a")
    await bus.acknowledge(taken)
    assert (refused, await bus.remove_consumer_if_idle(SYNC, "a")) == (False, True)
    assert [info.name for info in await bus.consumers(SYNC)] == []


async def test_consumers_are_known_with_what_they_hold(bus: Bus) -> None:
    await publish(bus, 1, 2)
    await publish(bus, 3, urgent=True)
    await bus.read(SYNC, "a", 2, 0)
    await bus.read(SYNC, "b", 1, 0)
    assert [(info.name, info.pending) for info in await bus.consumers(SYNC)] == [("a", 2), ("b", 1)]


@pytest.mark.behaviour("FLT-21")
async def test_a_consumer_that_leaves_puts_everything_back(bus: Bus) -> None:
    await publish(bus, 1, 2)
    await publish(bus, 3, urgent=True)
    await bus.read(SYNC, "a", 3, 0)
    assert await bus.leave(SYNC, "a") == 3
    assert batches_of(await bus.read(SYNC, "b", 5, 0)) == [3, 1, 2]
    assert [info.name for info in await bus.consumers(SYNC)] == ["b"]


async def test_a_token_counts_once_however_often_it_arrives(bus: Bus) -> None:
    await bus.add_token(7, 3, 100)
    await bus.add_token(7, 3, 100)
    count = await bus.add_token(7, 3, 101, expected=2)
    assert (count.have, count.expected, count.complete) == (2, 2, True)


async def test_tokens_of_an_untold_step_are_never_complete(bus: Bus) -> None:
    count = await bus.add_token(7, 3, 100)
    assert (count.have, count.expected, count.complete) == (1, None, False)


async def test_what_a_step_expects_only_grows(bus: Bus) -> None:
    await bus.add_token(7, 3, 100, expected=5)
    assert (await bus.add_token(7, 3, 101, expected=4)).expected == 5


async def test_dropped_tokens_begin_again(bus: Bus) -> None:
    await bus.add_token(7, 3, 100, expected=1)
    await bus.add_token(7, 4, 200)
    await bus.drop_tokens(7, [3])
    assert (await bus.add_token(7, 3, 101)).have == 1
    assert (await bus.add_token(7, 4, 201)).have == 2


def a_letter(batch: int) -> DeadLetter:
    return DeadLetter(batch=batch, run=7, system="hr", phase="3.flow", error="lost")


async def test_a_dead_batch_stands_once_on_the_dead_stream(bus: Bus) -> None:
    added = [await bus.add_dead(SYNC, [a_letter(1), a_letter(2)]), await bus.add_dead(SYNC, [a_letter(2)])]
    assert added == [2, 0]
    assert await bus.list_dead(SYNC) == [a_letter(1), a_letter(2)]


async def test_a_batch_driven_again_leaves_the_dead_stream(bus: Bus) -> None:
    await bus.add_dead(SYNC, [a_letter(1), a_letter(2)])
    assert await bus.remove_dead(SYNC, [1, 9]) == 1
    assert [letter.batch for letter in await bus.list_dead(SYNC)] == [2]


def figures(phase: int, processed: int, state: str = "running") -> dict[str, str]:
    return {"state": state, "phase_index": str(phase), "processed": str(processed), "total": ""}


@pytest.mark.behaviour("PRG-1")
async def test_progress_is_read_as_it_was_written(bus: Bus) -> None:
    await bus.write_progress(7, figures(2, 40))
    assert await bus.read_progress(7) == {"run_id": "7", **figures(2, 40)}
    assert await bus.read_progress(8) is None


@pytest.mark.behaviour("PRG-4", "TRAP-36")
async def test_late_figures_never_turn_progress_back(bus: Bus) -> None:
    await bus.write_progress(7, figures(2, 40))
    late = [await bus.write_progress(7, figures(2, 39)), await bus.write_progress(7, figures(1, 90))]
    assert late == [False, False]
    assert await bus.write_progress(7, figures(3, 0)) is True


@pytest.mark.behaviour("PRG-8")
async def test_the_last_figures_of_a_run_stay(bus: Bus) -> None:
    await bus.write_progress(7, figures(2, 40))
    await bus.write_progress(7, figures(2, 38, "completed"), ended=True)
    assert await bus.write_progress(7, figures(3, 50)) is False
    assert (await bus.read_progress(7) or {})["processed"] == "38"


async def test_a_server_that_may_be_used_has_no_problems(bus: Bus) -> None:
    assert await bus.check() == []


async def test_a_read_beyond_its_limits_is_a_mistake(bus: Bus) -> None:
    with pytest.raises(ValueError, match="block_ms"):
        await bus.read(SYNC, "a", 1, 60_000)


async def test_closing_twice_does_no_harm(bus: Bus) -> None:
    await bus.close()
    await bus.close()


async def test_a_bus_that_is_away_says_so_at_every_verb() -> None:
    memory = MemoryBus()
    memory.away = True
    for verb in (memory.ping(), memory.depth(SYNC), memory.read(SYNC, "a", 1, 0), memory.bus_epoch()):
        with pytest.raises(BusUnavailable):
            await verb
