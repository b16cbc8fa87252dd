"""The look-up cache is a hint: switched off, wrong or away, it changes nothing but speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from tests.services.driver import World
from tests.services.organisation import with_crm

from anabranch.bus.lookup_cache import LookupCache, LookupCounts, NullCache
from anabranch.engine.keys import key_hash


class LyingCache:
    """Claims that everybody stands under an MVO that does not exist."""

    def __init__(self) -> None:
        self.counts = LookupCounts()
        self.told: dict[bytes, Sequence[int]] = {}

    async def get_many(self, type_id: int, attribute: str, hashes: Sequence[bytes]) -> dict[bytes, tuple[int, ...]]:
        return dict.fromkeys(hashes, (999999,))

    async def put_many(self, type_id: int, attribute: str, entries: Mapping[bytes, Sequence[int]]) -> None:
        self.told.update(entries)

    async def forget_many(self, type_id: int, attribute: str, hashes: Sequence[bytes]) -> None:
        return None

    async def close(self) -> None:
        return None


class RememberingCache(LyingCache):
    """Answers what it was told."""

    async def get_many(self, type_id: int, attribute: str, hashes: Sequence[bytes]) -> dict[bytes, tuple[int, ...]]:
        return {one: tuple(self.told[one]) for one in hashes if one in self.told}


@pytest.mark.behaviour("FLT-19")
async def test_whom_the_cache_names_is_fetched_and_judged_by_what_postgresql_says(world: World) -> None:
    cache = RememberingCache()
    world.cache = cache
    with_crm(world.plan, world.place)
    await world.apply()
    world.people("p1,Ann,Sales", "p2,Bob,Sales")
    world.contacts("c1,p1,11")
    await world.run()
    cache.told[key_hash("p2")] = cache.told[key_hash("p1")]
    world.contacts("c1,p1,11", "c2,p2,22")
    ran = await world.run()
    assert ran["crm-sync"].changed("joined") == ["c2"]
    assert len(cache.told[key_hash("p2")]) == 1
    assert cache.told[key_hash("p2")] != cache.told[key_hash("p1")]


@pytest.mark.behaviour("FLT-19")
@pytest.mark.parametrize("cache", [NullCache(), LyingCache(), RememberingCache()])
async def test_a_cache_that_is_off_or_lies_leads_to_the_same_people(world: World, cache: LookupCache) -> None:
    world.cache = cache
    with_crm(world.plan, world.place)
    await world.apply()
    world.people("p1,Ann,Sales", "p2,Bob,Sales")
    world.contacts("c1,p1,11", "c2,p9,22")
    ran = await world.run()
    assert ran["sync"].changed("projected") == ["p1", "p2"]
    assert ran["crm-sync"].changed("joined") == ["c1"]
    assert sorted(await world.mvos()) == ["p1", "p2"]


async def test_what_postgresql_knew_is_told_to_the_cache(world: World) -> None:
    cache = LyingCache()
    silent = NullCache()
    cache.get_many = silent.get_many  # type: ignore[method-assign] # knows nothing, remembers what it is told
    world.cache = cache
    with_crm(world.plan, world.place)
    await world.apply()
    world.people("p1,Ann,Sales")
    world.contacts("c1,p1,11")
    await world.run()
    assert list(cache.told) == [key_hash("p1")]
