"""The relay: what is due has a hint, however often hints and the bus are lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.promises.fleet_keepers import LEASE, plan, take
from tests.runtime.workbench import Bench, applied

from anabranch.bus.port import BusUnavailable
from anabranch.model.enums import WorkerKind
from anabranch.runtime.relay import Relay

IMPORT = WorkerKind.IMPORT


@pytest.fixture
async def bench() -> Bench:
    """One import run whose plan waits."""
    made = await applied(Bench())
    await made.start("hr-import")
    return made


async def test_what_is_due_is_published_once(bench: Bench) -> None:
    assert [await bench.relay.publish(), await bench.relay.publish()] == [1, 0]
    (delivery,) = await bench.bus.read(IMPORT, "w1", 5, 0)
    assert delivery.hint is not None
    assert (delivery.hint.batch, delivery.hint.phase) == (bench.batches()[0].id, "1.import")


async def test_a_hint_nobody_took_is_published_again_after_half_a_minute(bench: Bench) -> None:
    await bench.relay.publish()
    bench.clock.now += timedelta(seconds=29)
    assert await bench.relay.publish() == 0
    bench.clock.now += timedelta(seconds=2)
    assert await bench.relay.publish() == 1


@pytest.mark.behaviour("FLT-17")
async def test_a_wiped_bus_gets_every_unfinished_batch_again_in_a_new_epoch(bench: Bench) -> None:
    await bench.relay.publish()
    before = await bench.store.bus_epoch()
    bench.bus.wipe()
    assert await bench.relay.publish() == 1
    assert await bench.bus.bus_epoch() == str(await bench.store.bus_epoch())
    assert await bench.store.bus_epoch() == before + 1


async def test_a_bus_that_remembers_an_older_epoch_is_told_the_present_one(bench: Bench) -> None:
    await bench.relay.publish()
    await bench.store.raise_bus_epoch(await bench.store.bus_epoch())
    assert await bench.relay.publish() == 1
    assert await bench.bus.bus_epoch() == str(await bench.store.bus_epoch())


async def test_a_bus_that_is_away_loses_nothing(bench: Bench) -> None:
    bench.bus.away = True
    with pytest.raises(BusUnavailable):
        await bench.relay.publish()
    bench.bus.away = False
    bench.clock.now += timedelta(seconds=31)
    assert await bench.relay.publish() == 1


@pytest.mark.behaviour("FLT-20")
async def test_the_length_of_a_stream_bounds_what_is_published(bench: Bench) -> None:
    await plan(bench.store, await take(bench.store), 8)
    relay = Relay(bench.store, bench.bus, window=3, republish_after=30.0)
    assert [await relay.publish(), await relay.publish()] == [3, 0]
    await bench.bus.acknowledge(await bench.bus.read(IMPORT, "w1", 2, 0))
    assert await relay.publish() == 2


@pytest.mark.behaviour("FLT-7")
async def test_a_batch_whose_lease_is_over_is_published_for_somebody_else(bench: Bench) -> None:
    await bench.relay.publish()
    await take(bench.store)
    assert await bench.relay.publish() == 0
    bench.clock.now += timedelta(seconds=LEASE + 31)
    assert await bench.relay.publish() == 1
