"""What the look-up cache is good for: metaverse objects are fetched before it is known that they are wanted.

The cache remembers under which key an object was last seen. While PostgreSQL is asked who really holds the keys, the
objects the cache names are loaded already, on another connection. The answer of PostgreSQL alone decides; an object
named wrongly was loaded in vain, one not named is loaded afterwards. Switched off, wrong or away, the cache changes
nothing but speed (FLT-19).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from anabranch.engine.joining import Search, wanted_hashes
from anabranch.model.identity import MvoId, TypeId
from anabranch.model.objects import Mvo
from anabranch.runtime.work import Task
from anabranch.store.port import Reader
from anabranch.sync_worker.proposing import Hits, found_by, hits_of


async def partners_of(task: Task, reader: Reader, searches: Sequence[Search]) -> tuple[Hits, dict[MvoId, Mvo]]:
    """Who holds the keys that are looked for, and these metaverse objects."""
    believed = await _believed(task, searches)
    if believed:
        async with asyncio.TaskGroup() as both:
            ahead = both.create_task(_fetched(task, believed))
            asked = both.create_task(hits_of(reader, searches))
        fetched, hits = ahead.result(), asked.result()
    else:
        fetched, hits = {}, await hits_of(reader, searches)
    found = found_by(hits)
    missing = [one for one in found if one not in fetched]
    if missing:
        fetched |= {mvo.id: mvo for mvo in await reader.mvos(missing)}
    return hits, {one: fetched[one] for one in found if one in fetched}


async def _believed(task: Task, searches: Sequence[Search]) -> list[MvoId]:
    found: set[MvoId] = set()
    for (type_id, attr), hashes in sorted(wanted_hashes(searches).items()):
        for holders in (await task.cache.get_many(type_id, attr, sorted(hashes))).values():
            found.update(MvoId(one) for one in holders)
    return sorted(found)


async def _fetched(task: Task, ids: Sequence[MvoId]) -> dict[MvoId, Mvo]:
    async with task.store.reader() as reader:
        return {mvo.id: mvo for mvo in await reader.mvos(ids)}


async def tell_cache(task: Task, hits: Hits) -> None:
    """What PostgreSQL has answered is remembered."""
    by_attr: dict[tuple[TypeId, str], dict[bytes, list[int]]] = {}
    for (type_id, attr, digest), some in hits.items():
        by_attr.setdefault((type_id, attr), {})[digest] = [hit.object_id for hit in some]
    for (type_id, attr), holders in sorted(by_attr.items()):
        await task.cache.put_many(type_id, attr, holders)
