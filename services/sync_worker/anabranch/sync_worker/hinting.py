"""Which objects probably have a partner already.

The look-up cache says under which key a metaverse object was last seen; what it does not know is asked of PostgreSQL
once and told to it. The answer is a hint and decides nothing: an object that probably joins is spared the work of
saying what it would become, and where the hint was wrong, `match.settle` does that work after all (FLT-19).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from anabranch.engine.joining import Search, wanted_hashes
from anabranch.engine.keys import key_hash
from anabranch.model.identity import TypeId
from anabranch.runtime.work import Task
from anabranch.store.port import Reader

Known = frozenset[tuple[TypeId, str, bytes]]
"""(metaverse type, attribute, key hash) under which somebody is believed to be found."""


async def known_keys(task: Task, reader: Reader, all_searches: Iterable[Sequence[Search]]) -> Known:
    """The keys of the searches under which some metaverse object is believed to stand."""
    found: set[tuple[TypeId, str, bytes]] = set()
    wanted = wanted_hashes([search for some in all_searches for search in some])
    for (type_id, attr), hashes in sorted(wanted.items()):
        cached = await task.cache.get_many(type_id, attr, sorted(hashes))
        found.update((type_id, attr, digest) for digest in cached)
        asked = sorted(hashes - cached.keys())
        holders: dict[bytes, list[int]] = {}
        for hit in await reader.match_candidates(type_id, attr, asked) if asked else ():
            holders.setdefault(hit.key_hash, []).append(hit.object_id)
        found.update((type_id, attr, digest) for digest in holders)
        if holders:
            await task.cache.put_many(type_id, attr, holders)
    return frozenset(found)


def probably_joins(searches: Sequence[Search], known: Known) -> bool:
    """True when some match rule finds a known key for each of its conditions."""
    return any(
        all(any((search.mvo_type, one.attr, key_hash(key)) in known for key in one.keys) for one in search.lookups)
        for search in searches
    )
