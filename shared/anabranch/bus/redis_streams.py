"""The bus kept by Redis Streams, with the commands of Redis 6.2.

Commands share a small pool; each consumer reads over a connection of its own, because a waiting read blocks it. A
stream or group that vanished is made again from the start of the stream, and the relay publishes again what was lost
with it. Nothing here repeats a command: a hint that may have gone in twice costs one look at its row, while a client
that repeats on its own hides an outage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from anabranch.bus import lua
from anabranch.bus.envelope import Hint, encode
from anabranch.bus.port import (
    MAX_BLOCK_MS,
    PROGRESS_ACTIVE_TTL_S,
    PROGRESS_ENDED_TTL_S,
    TOKEN_TTL_S,
    BusFull,
    ConsumerInfo,
    DeadLetter,
    Delivery,
    ServerFacts,
    TokenCount,
    server_problems,
)
from anabranch.bus.redis_connection import ask, is_missing_group, open_client, place_of, told_as_bus_errors
from anabranch.bus.redis_reader import Reader, delivery_of
from anabranch.bus.streams import GROUP, Keys
from anabranch.model.enums import WorkerKind

_CHUNK: Final = 500
"""Entries a pipeline or script handles at once; Lua's `unpack` ends at some thousands."""


class RedisBus:
    """A `Bus` on the Redis (6.2 or newer) or Valkey server at `url`.

    `timeout` bounds each command and `connect_timeout` each connection attempt, in seconds.
    """

    def __init__(self, url: str, *, prefix: str = "", timeout: float = 2.0, connect_timeout: float = 2.0) -> None:
        self._url = url
        self._place = place_of(url)
        self._keys = Keys(prefix)
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._client = open_client(url, timeout=timeout, connect_timeout=connect_timeout, max_connections=16)
        for command in ("XAUTOCLAIM", "XPENDING"):
            # The library misreads the forms of these replies that its own methods do not ask for.
            self._client.set_response_callback(command, _as_it_came)
        self._readers: dict[tuple[WorkerKind, str], Reader] = {}
        self._stopped = False

    async def connect(self) -> None:
        await self.ping()
        await self.ensure_groups()

    async def close(self) -> None:
        self.stop_reading()
        readers, self._readers = list(self._readers.values()), {}
        for reader in readers:
            await reader.close()
        await self._client.aclose()

    async def ping(self) -> None:
        await self._ask("PING")

    async def ensure_groups(self) -> None:
        with self._told():
            await self._make_groups()

    async def publish(self, hints: Mapping[WorkerKind, Sequence[Hint]], *, urgent: bool = False) -> int:
        entries = [
            (self._keys.stream(kind, urgent=urgent), encode(hint))
            for kind, several in hints.items()
            for hint in several
        ]
        published = 0
        for start in range(0, len(entries), _CHUNK):
            published += await self._publish_chunk(entries[start : start + _CHUNK], published)
        return published

    async def depth(self, kind: WorkerKind) -> int:
        with self._told():
            pipeline = self._client.pipeline(transaction=False)
            for lane in self._keys.lanes(kind):
                pipeline.execute_command("XLEN", lane)
            return sum(await pipeline.execute())

    async def read(self, kind: WorkerKind, consumer: str, count: int, block_ms: int) -> list[Delivery]:
        if count < 1 or not 0 <= block_ms <= MAX_BLOCK_MS:
            raise ValueError(
                f"read: count must be at least 1 and block_ms 0 to {MAX_BLOCK_MS}, not {count}, {block_ms}"
            )
        if self._stopped:
            return []
        reader = self._reader(kind, consumer)
        with self._told():
            try:
                return await reader.read(count, block_ms)
            except ResponseError as error:
                if not is_missing_group(error):
                    raise
                await self._make_groups()
                return await reader.read(count, 0)

    def stop_reading(self) -> None:
        self._stopped = True

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> int:
        return await self._end(lua.Step.ACKNOWLEDGE, deliveries)

    async def hand_back(self, deliveries: Sequence[Delivery]) -> int:
        return await self._end(lua.Step.HAND_BACK, deliveries)

    async def leave(self, kind: WorkerKind, consumer: str) -> int:
        reader = self._readers.pop((kind, consumer), None)
        if reader is not None:
            await reader.close()
        moved = 0
        with self._told():
            for urgent, lane in zip((True, False), self._keys.lanes(kind), strict=True):
                while ids := await self._pending_ids(lane, consumer):
                    moved += await self.hand_back([Delivery(kind, urgent, entry) for entry in ids])
        await self.remove_consumer_if_idle(kind, consumer)
        return moved

    async def reclaim(self, kind: WorkerKind, consumer: str, min_idle_ms: int, count: int = 100) -> list[Delivery]:
        found: list[Delivery] = []
        with self._told():
            for urgent, lane in zip((True, False), self._keys.lanes(kind), strict=True):
                ids = await self._claim_idle(lane, consumer, min_idle_ms, count)
                found += await self._load(kind, urgent, lane, ids)
        return found

    async def consumers(self, kind: WorkerKind) -> list[ConsumerInfo]:
        known: dict[str, ConsumerInfo] = {}
        for lane in self._keys.lanes(kind):
            for row in await self._ask_group("XINFO CONSUMERS", lane, GROUP):
                before = known.get(row["name"], ConsumerInfo(row["name"], 0, row["idle"]))
                known[row["name"]] = ConsumerInfo(
                    row["name"], before.pending + row["pending"], min(before.idle_ms, row["idle"])
                )
        return [known[name] for name in sorted(known)]

    async def remove_consumer_if_idle(self, kind: WorkerKind, consumer: str) -> bool:
        return bool(await self._step(lua.Step.REMOVE_IDLE_CONSUMER, list(self._keys.lanes(kind)), [GROUP, consumer]))

    async def add_dead(self, kind: WorkerKind, letters: Sequence[DeadLetter]) -> int:
        added = 0
        for start in range(0, len(letters), _CHUNK):
            arguments: list[str] = []
            for letter in letters[start : start + _CHUNK]:
                arguments += [str(letter.batch), str(letter.run), letter.system, letter.phase, letter.error[:200]]
            added += int(await self._step(lua.Step.ADD_DEAD, [self._keys.dead(kind)], arguments))
        return added

    async def remove_dead(self, kind: WorkerKind, batches: Iterable[int]) -> int:
        ids = [str(batch) for batch in batches]
        return int(await self._step(lua.Step.REMOVE_DEAD, [self._keys.dead(kind)], ids)) if ids else 0

    async def list_dead(self, kind: WorkerKind) -> list[DeadLetter]:
        return [
            DeadLetter(
                batch=int(fields["batch"]),
                run=int(fields["run"]),
                system=fields["system"],
                phase=fields["phase"],
                error=fields["error"],
            )
            for _, fields in await self._ask("XRANGE", self._keys.dead(kind), "-", "+")
        ]

    async def bus_epoch(self) -> str | None:
        value = await self._ask("GET", self._keys.bus_epoch())
        return None if value is None else str(value)

    async def set_bus_epoch(self, value: str) -> None:
        await self._ask("SET", self._keys.bus_epoch(), value)

    async def add_token(self, run: int, step: int, batch: int, expected: int | None = None) -> TokenCount:
        keys = [self._keys.tokens(run, step), self._keys.tokens_expected(run, step)]
        told = "" if expected is None else str(expected)
        have, known = await self._step(lua.Step.ADD_TOKEN, keys, [str(batch), told, str(TOKEN_TTL_S)])
        return TokenCount(int(have), int(known) if int(known) >= 0 else None)

    async def drop_tokens(self, run: int, steps: Iterable[int]) -> None:
        names = [key for step in steps for key in (self._keys.tokens(run, step), self._keys.tokens_expected(run, step))]
        if names:
            await self._ask("DEL", *names)

    async def write_progress(self, run: int, fields: Mapping[str, str], *, ended: bool = False) -> bool:
        ttl = PROGRESS_ENDED_TTL_S if ended else PROGRESS_ACTIVE_TTL_S
        arguments = [str(ttl), "1" if ended else "0"]
        for name, value in {"run_id": str(run), **fields}.items():
            arguments += [name, value]
        return bool(await self._step(lua.Step.WRITE_PROGRESS, [self._keys.progress(run)], arguments))

    async def read_progress(self, run: int) -> dict[str, str] | None:
        fields: dict[str, str] = await self._ask("HGETALL", self._keys.progress(run))
        return fields or None

    async def describe(self) -> ServerFacts:
        server = await self._ask("INFO", "server")
        memory = await self._ask("INFO", "memory")
        return ServerFacts(
            version=str(server.get("redis_version", "0")),
            maxmemory_policy=str(memory.get("maxmemory_policy", "noeviction")),
            maxmemory=int(memory.get("maxmemory", 0)),
            mode=str(server.get("redis_mode", "standalone")),
        )

    async def check(self) -> list[str]:
        return [f"{problem} ({self._place})" for problem in server_problems(await self.describe())]

    def _reader(self, kind: WorkerKind, consumer: str) -> Reader:
        reader = self._readers.get((kind, consumer))
        if reader is None:
            client = open_client(
                self._url,
                timeout=MAX_BLOCK_MS / 1000 + self._timeout,
                connect_timeout=self._connect_timeout,
                max_connections=2,
            )
            reader = Reader(client, self._keys, kind, consumer, self._timeout + self._connect_timeout)
            self._readers[kind, consumer] = reader
        return reader

    def _told(self) -> AbstractContextManager[None]:
        return told_as_bus_errors(self._place)

    async def _ask(self, command: str, *arguments: str) -> Any:
        with self._told():
            return await ask(self._client, command, *arguments)

    async def _ask_group(self, command: str, *arguments: str) -> Any:
        """The reply, or nothing where stream or group do not exist (any more)."""
        with self._told():
            try:
                return await ask(self._client, command, *arguments)
            except ResponseError as error:
                if is_missing_group(error) or "no such key" in str(error):
                    return []
                raise

    async def _step(self, step: lua.Step, keys: list[str], arguments: list[str]) -> Any:
        with self._told():
            return await lua.run(self._client, step, keys, arguments)

    async def _make_groups(self) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for lane in self._keys.all_lanes():
            pipeline.execute_command("XGROUP CREATE", lane, GROUP, "0", "MKSTREAM")
        for reply in await pipeline.execute(raise_on_error=False):
            if isinstance(reply, RedisError) and "BUSYGROUP" not in str(reply):
                raise reply

    async def _publish_chunk(self, entries: Sequence[tuple[str, dict[str, str]]], before: int) -> int:
        with self._told():
            pipeline = self._client.pipeline(transaction=False)
            for lane, fields in entries:
                pipeline.execute_command("XADD", lane, "*", *(text for pair in fields.items() for text in pair))
            replies = await pipeline.execute(raise_on_error=False)
            errors = [reply for reply in replies if isinstance(reply, Exception)]
            if not errors:
                return len(replies)
            if not isinstance(errors[0], OutOfMemoryError):
                raise errors[0]
        raise BusFull(
            f"Redis at {self._place} is full (maxmemory with noeviction): give it more memory",
            before + len(replies) - len(errors),
        ) from errors[0]

    async def _end(self, step: lua.Step, deliveries: Sequence[Delivery]) -> int:
        lanes: dict[str, list[str]] = {}
        for delivery in deliveries:
            lanes.setdefault(self._keys.stream(delivery.kind, urgent=delivery.urgent), []).append(delivery.entry)
        ended = 0
        for lane, ids in lanes.items():
            for start in range(0, len(ids), _CHUNK):
                ended += int(await self._step(step, [lane], [GROUP, *ids[start : start + _CHUNK]]))
        for delivery in deliveries:
            for (kind, _), reader in self._readers.items():
                if kind is delivery.kind:
                    reader.forget(delivery)
        return ended

    async def _pending_ids(self, lane: str, consumer: str) -> list[str]:
        reply = await self._ask_group("XPENDING", lane, GROUP, "-", "+", str(_CHUNK), consumer)
        return [str(row[0]) for row in reply]

    async def _claim_idle(self, lane: str, consumer: str, min_idle_ms: int, count: int) -> list[str]:
        """Ids that now belong to the consumer. JUSTID, so that delivery counts do not grow."""
        cursor, ids = "0-0", list[str]()
        while len(ids) < count:
            reply = await self._ask_group(
                "XAUTOCLAIM", lane, GROUP, consumer, str(min_idle_ms), cursor, "COUNT", str(count), "JUSTID"
            )
            if not reply:
                break
            cursor = str(reply[0])
            ids += [str(entry) for entry in reply[1]]
            if cursor == "0-0":
                break
        return ids

    async def _load(self, kind: WorkerKind, urgent: bool, lane: str, ids: list[str]) -> list[Delivery]:
        """The entries of these ids; those deleted meanwhile leave the pending list."""
        if not ids:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for entry in ids:
            pipeline.execute_command("XRANGE", lane, entry, entry)
        replies = await pipeline.execute()
        gone = [entry for entry, reply in zip(ids, replies, strict=True) if not reply]
        if gone:
            await ask(self._client, "XACK", lane, GROUP, *gone)
        return [delivery_of(kind, urgent, *reply[0]) for reply in replies if reply]


def _as_it_came(response: Any, **_: Any) -> Any:
    return response
