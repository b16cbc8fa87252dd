"""Where a match key was last seen in the metaverse, as a hint.

A sync worker asks for the match keys of its batch, thousands at once, and checks every answer under the lock of the
match key's row; what is missing it asks PostgreSQL, and puts it here for the next worker. So an entry may be absent,
stale or plain wrong and changes nothing but speed (FLT-19). Absence is never cached.

An outage must not slow a batch down: each request ends within 50 ms, and after a few failures in a row this process
stops asking for some seconds. Nothing here raises; failures are counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from anabranch.bus.streams import Keys

if TYPE_CHECKING:
    from redis.asyncio import Redis

TIMEOUT_S: Final = 0.05
ENTRY_TTL_S: Final = 24 * 3600
_CHUNK: Final = 2_000


class LookupCounts(msgspec.Struct):
    """What happened since the process started; `skipped` keys were not asked for because the breaker was open."""

    hits: int = 0
    misses: int = 0
    errors: int = 0
    skipped: int = 0


class LookupCache(Protocol):
    """Match key hash -> metaverse ids; several ids where a key is not unique. No verb raises."""

    @property
    def counts(self) -> LookupCounts: ...

    async def get_many(self, type_id: int, attribute: str, hashes: Sequence[bytes]) -> dict[bytes, tuple[int, ...]]:
        """What is cached of these keys; every id must be checked before use."""

    async def put_many(self, type_id: int, attribute: str, entries: Mapping[bytes, Sequence[int]]) -> None:
        """The keys are cached with exactly these ids; a key without ids is forgotten."""

    async def forget_many(self, type_id: int, attribute: str, hashes: Sequence[bytes]) -> None:
        """The keys are not cached."""

    async def close(self) -> None:
        """Connections are closed."""


class NullCache:
    """A `LookupCache` that holds nothing: the cache is switched off."""

    def __init__(self) -> None:
        self.counts = LookupCounts()

    async def get_many(self, type_id: int, attribute: str, hashes: Sequence[bytes]) -> dict[bytes, tuple[int, ...]]:
        return {}

    async def put_many(self, type_id: int, attribute: str, entries: Mapping[bytes, Sequence[int]]) -> None:
        return None

    async def forget_many(self, type_id: int, attribute: str, hashes: Sequence[bytes]) -> None:
        return None

    async def close(self) -> None:
        return None


class Breaker:
    """Open for `rest` seconds after `limit` failures in a row; then one attempt decides again."""

    def __init__(self, limit: int = 3, rest: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._rest = rest
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._limit and self._clock() < self._open_until

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._open_until = self._clock() + self._rest


class RedisLookupCache:
    """A `LookupCache` in the Redis at `url`: one hash per metaverse type and attribute, which may evict as it likes.

    `timeout` bounds each request, connecting included, in seconds.
    """

    def __init__(
        self, url: str, *, prefix: str = "", timeout: float = TIMEOUT_S, breaker: Breaker | None = None
    ) -> None:
        self._url = url
        self._keys = Keys(prefix)
        self._timeout = timeout
        self._breaker = breaker or Breaker()
        self._client: Redis | None = None
        self.counts = LookupCounts()

    async def get_many(self, type_id: int, attribute: str, hashes: Sequence[bytes]) -> dict[bytes, tuple[int, ...]]:
        key = self._keys.lookup(type_id, attribute)
        found: dict[bytes, tuple[int, ...]] = {}
        for start in range(0, len(hashes), _CHUNK):
            asked = hashes[start : start + _CHUNK]
            replies = await self._ask(len(asked), [("HMGET", key, *asked)])
            if replies is None:
                continue
            for match_hash, packed in zip(asked, replies[0], strict=True):
                ids = self._unpack(packed)
                if ids:
                    found[match_hash] = ids
            hits = sum(match_hash in found for match_hash in asked)
            self.counts.hits += hits
            self.counts.misses += len(asked) - hits
        return found

    async def put_many(self, type_id: int, attribute: str, entries: Mapping[bytes, Sequence[int]]) -> None:
        key = self._keys.lookup(type_id, attribute)
        known = [(match_hash, ids) for match_hash, ids in entries.items() if ids]
        for start in range(0, len(known), _CHUNK):
            fields: list[bytes] = []
            for match_hash, ids in known[start : start + _CHUNK]:
                fields += [match_hash, ",".join(map(str, ids)).encode()]
            await self._ask(len(fields) // 2, [("HSET", key, *fields), ("EXPIRE", key, str(ENTRY_TTL_S))])
        await self.forget_many(type_id, attribute, [match_hash for match_hash, ids in entries.items() if not ids])

    async def forget_many(self, type_id: int, attribute: str, hashes: Sequence[bytes]) -> None:
        key = self._keys.lookup(type_id, attribute)
        for start in range(0, len(hashes), _CHUNK):
            asked = hashes[start : start + _CHUNK]
            await self._ask(len(asked), [("HDEL", key, *asked)])

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ask(self, size: int, commands: Sequence[tuple[str | bytes, ...]]) -> list[Any] | None:
        """The replies to the commands, or None: the cache did not answer in time, or is left alone for a while."""
        if self._breaker.is_open:
            self.counts.skipped += size
            return None
        try:
            async with asyncio.timeout(self._timeout):
                pipeline = self._connected().pipeline(transaction=False)
                for command in commands:
                    pipeline.execute_command(*command)
                replies = await pipeline.execute()
        except Exception:  # whatever it is, PostgreSQL has the answer; the counter tells of it
            self._breaker.failed()
            self.counts.errors += 1
            return None
        self._breaker.succeeded()
        return replies

    def _connected(self) -> Redis:
        if self._client is None:
            from anabranch.bus.redis_connection import open_client

            self._client = open_client(
                self._url, timeout=self._timeout, connect_timeout=self._timeout, max_connections=4, text=False
            )
        return self._client

    def _unpack(self, packed: bytes | None) -> tuple[int, ...]:
        if packed is None:
            return ()
        try:
            return tuple(int(part) for part in packed.split(b","))
        except ValueError:
            self.counts.errors += 1
            return ()
