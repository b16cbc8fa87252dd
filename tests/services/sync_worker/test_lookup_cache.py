"""The look-up cache is a hint: switched off, wrong or away, it changes nothing but speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from tests.services.driver import World
from tests.services.organisation import with_crm

from anabranch.bus.lookup_cache import LookupCache, LookupCounts, NullCache
from anabranch.engine.joining import Lookup, Search
from anabranch.engine.keys import key_hash
from anabranch.model.identity import TypeId
from anabranch.sync_worker.hinting import probably_joins

PERSON = TypeId(1)


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


@pytest.mark.behaviour("FLT-19")
def test_an_object_probably_joins_when_each_condition_of_one_rule_has_a_known_key() -> None:
    search = Search("hr", PERSON, (Lookup("id", ("1", "2"), True), Lookup("mail", ("a@b",), False)))
    only_id = frozenset({(PERSON, "id", key_hash("2"))})
    both = only_id | {(PERSON, "mail", key_hash("a@b"))}
    assert (probably_joins([search], only_id), probably_joins([search], both)) == (False, True)


@pytest.mark.behaviour("FLT-19")
@pytest.mark.parametrize("cache", [NullCache(), LyingCache()])
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
