"""One consumer reading its two lanes over a connection of its own.

A read moves entries to the consumer's pending list on the server before the reply arrives. If the reply is lost, or
whoever waits for it is cancelled, they are pending and nobody here knows them. So the exchange with the server is
never cut short by a cancelled caller: it runs to its end and what it brought is kept for the next read; and after an
exchange that failed the next one first asks for what is pending and held by nobody here.
"""

from __future__ import annotations

import asyncio
from typing import Final

from redis.asyncio import Redis

from anabranch.bus.envelope import Malformed, UnknownVersion, decode
from anabranch.bus.lanes import LaneTurn
from anabranch.bus.port import Delivery
from anabranch.bus.redis_connection import ask
from anabranch.bus.streams import GROUP, Keys
from anabranch.model.enums import WorkerKind

_PAGE: Final = 100


class Reader:
    """The reading half of one consumer. `patience` is how long, in seconds, a reply may be late."""

    def __init__(self, client: Redis, keys: Keys, kind: WorkerKind, consumer: str, patience: float) -> None:
        self._client = client
        self._keys = keys
        self._kind = kind
        self._consumer = consumer
        self._patience = patience
        self._turn = LaneTurn()
        self._exchange: asyncio.Task[list[Delivery]] | None = None
        self._kept: list[Delivery] = []
        self._in_hand: set[tuple[bool, str]] = set()
        self._unsure = True

    async def read(self, count: int, block_ms: int) -> list[Delivery]:
        """Give at most `count` entries, waiting at most `block_ms` for the first."""
        if not self._kept:
            if self._exchange is None:
                self._exchange = asyncio.create_task(self._fetch(count, block_ms), name=f"read {self._consumer}")
            exchange = self._exchange
            try:
                self._kept = await asyncio.shield(exchange)
            finally:
                if exchange.done() and self._exchange is exchange:
                    self._exchange = None
        given, self._kept = self._kept[:count], self._kept[count:]
        self._in_hand.update((delivery.urgent, delivery.entry) for delivery in given)
        return given

    def forget(self, delivery: Delivery) -> None:
        """The entry is no longer held here."""
        self._in_hand.discard((delivery.urgent, delivery.entry))

    async def close(self) -> None:
        """The connection is closed; entries held here stay pending on the server."""
        if self._exchange is not None:
            self._exchange.cancel()
            await asyncio.gather(self._exchange, return_exceptions=True)
            self._exchange = None
        await self._client.aclose()

    async def _fetch(self, count: int, block_ms: int) -> list[Delivery]:
        try:
            if self._unsure:
                found = await self._pending(count)
                if found:
                    return found
                self._unsure = False
            found = await self._turn.take(count, self._waiting)
            return found or (await self._block(count, block_ms) if block_ms > 0 else [])
        except BaseException:
            self._unsure = True
            raise

    async def _waiting(self, urgent: bool, count: int) -> list[Delivery]:
        return await self._group_read([self._keys.stream(self._kind, urgent=urgent)], ">", count)

    async def _block(self, count: int, block_ms: int) -> list[Delivery]:
        # COUNT holds for each stream, and both lanes may wake together.
        each = max(1, count // 2)
        found = await self._group_read(list(self._keys.lanes(self._kind)), ">", each, block_ms)
        urgent = sum(delivery.urgent for delivery in found)
        self._turn.note(urgent=urgent, normal=len(found) - urgent)
        return found

    async def _pending(self, count: int) -> list[Delivery]:
        """Pending entries of this consumer that nobody here holds; those deleted meanwhile leave the pending list."""
        found: list[Delivery] = []
        for lane in self._keys.lanes(self._kind):
            after = "0"
            while len(found) < count:
                page = await self._group_read([lane], after, _PAGE, keep_deleted=True)
                gone = [delivery.entry for delivery in page if delivery.hint is None and delivery.fault is None]
                if gone:
                    await ask(self._client, "XACK", lane, GROUP, *gone)
                found += [
                    delivery
                    for delivery in page
                    if (delivery.hint or delivery.fault) and (delivery.urgent, delivery.entry) not in self._in_hand
                ]
                if len(page) < _PAGE:
                    break
                after = page[-1].entry
        # More than asked for may have been found; `read` keeps the rest for the next call.
        return found

    async def _group_read(
        self, lanes: list[str], after: str, count: int, block_ms: int | None = None, *, keep_deleted: bool = False
    ) -> list[Delivery]:
        block = () if block_ms is None else ("BLOCK", str(block_ms))
        async with asyncio.timeout((block_ms or 0) / 1000 + self._patience):
            reply = await ask(self._client, "XREADGROUP", "GROUP", GROUP, self._consumer, "COUNT", str(count), *block,
                "STREAMS", *lanes, *(after for _ in lanes),
            )  # fmt: skip
        urgent_lane = self._keys.stream(self._kind, urgent=True)
        return [
            delivery_of(self._kind, lane == urgent_lane, entry, fields)
            for lane, entries in (reply or [])
            for entry, fields in entries
            if fields or keep_deleted
        ]


def delivery_of(kind: WorkerKind, urgent: bool, entry: str, fields: dict[str, str] | None) -> Delivery:
    """Give the entry as a delivery; without fields, as a deleted entry has it, neither hint nor fault is set."""
    if not fields:
        return Delivery(kind, urgent, entry)
    try:
        return Delivery(kind, urgent, entry, hint=decode(fields))
    except (Malformed, UnknownVersion) as fault:
        return Delivery(kind, urgent, entry, fault=fault)
