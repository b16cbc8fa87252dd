"""The bus kept in one process, for tests and for services that run without Redis beside each other.

It keeps the same promises as the one on Redis: lanes with a group, pending entries by consumer, acknowledgement that
deletes. `wipe` loses everything at once, as a Redis that lost its volume would; `away` makes every verb fail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from anabranch.bus.envelope import Hint, encode
from anabranch.bus.lanes import LaneTurn
from anabranch.bus.port import (
    MAX_BLOCK_MS,
    PROGRESS_ACTIVE_TTL_S,
    PROGRESS_ENDED_TTL_S,
    TOKEN_TTL_S,
    BusUnavailable,
    ConsumerInfo,
    DeadLetter,
    Delivery,
    ServerFacts,
    TokenCount,
    server_problems,
)
from anabranch.model.enums import RunState, WorkerKind

_LIVE_STATES = frozenset(state.value for state in RunState if not state.is_final)


class _Lane:
    """Entries by number, what the group has handed out up to, and who holds which since when."""

    def __init__(self) -> None:
        self.entries: dict[int, Hint] = {}
        self.delivered = 0
        self.pending: dict[int, tuple[str, float]] = {}


class MemoryBus:
    """A `Bus` in this process; `clock` gives seconds and only needs to run forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = 0
        self.away = False
        self._stopped = False
        self._woken = asyncio.Event()
        self._turns: dict[tuple[WorkerKind, str], LaneTurn] = {}
        self.wipe()

    def wipe(self) -> None:
        """Everything is lost, as after a FLUSHALL."""
        self._lanes = {(kind, urgent): _Lane() for kind in WorkerKind for urgent in (True, False)}
        self._seen: dict[tuple[WorkerKind, str], float] = {}
        self._dead: dict[WorkerKind, dict[int, DeadLetter]] = {kind: {} for kind in WorkerKind}
        self._epoch: str | None = None
        self._tokens: dict[tuple[int, int], tuple[set[int], int | None, float]] = {}
        self._progress: dict[int, tuple[dict[str, str], float]] = {}

    async def connect(self) -> None:
        self._answer()

    async def close(self) -> None:
        self.stop_reading()

    async def ping(self) -> None:
        self._answer()

    async def ensure_groups(self) -> None:
        self._answer()

    async def publish(self, hints: Mapping[WorkerKind, Sequence[Hint]], *, urgent: bool = False) -> int:
        self._answer()
        count = 0
        for kind, several in hints.items():
            for hint in several:
                encode(hint)
                self._append(kind, urgent, hint)
                count += 1
        self._wake()
        return count

    async def depth(self, kind: WorkerKind) -> int:
        self._answer()
        return sum(len(self._lanes[kind, urgent].entries) for urgent in (True, False))

    async def read(self, kind: WorkerKind, consumer: str, count: int, block_ms: int) -> list[Delivery]:
        if count < 1 or not 0 <= block_ms <= MAX_BLOCK_MS:
            raise ValueError(
                f"read: count must be at least 1 and block_ms 0 to {MAX_BLOCK_MS}, not {count}, {block_ms}"
            )
        turn = self._turns.setdefault((kind, consumer), LaneTurn())

        async def lane(urgent: bool, most: int) -> list[Delivery]:
            return self._take(kind, urgent, consumer, most)

        loop = asyncio.get_running_loop()
        until = loop.time() + block_ms / 1000
        while True:
            self._answer()
            if self._stopped:
                return []
            self._seen[kind, consumer] = self._clock()
            found = await turn.take(count, lane)
            left = until - loop.time()
            if found or left <= 0:
                return found
            woken = self._woken
            try:
                async with asyncio.timeout(left):
                    await woken.wait()
            except TimeoutError:
                continue

    def stop_reading(self) -> None:
        self._stopped = True
        self._wake()

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> int:
        self._answer()
        return sum(self._remove(delivery) is not None for delivery in deliveries)

    async def hand_back(self, deliveries: Sequence[Delivery]) -> int:
        self._answer()
        moved = 0
        for delivery in deliveries:
            hint = self._remove(delivery)
            if hint is not None:
                self._append(delivery.kind, delivery.urgent, hint)
                moved += 1
        self._wake()
        return moved

    async def leave(self, kind: WorkerKind, consumer: str) -> int:
        self._answer()
        held = [
            Delivery(kind, urgent, str(entry))
            for urgent in (True, False)
            for entry, (holder, _) in self._lanes[kind, urgent].pending.items()
            if holder == consumer
        ]
        moved = await self.hand_back(held)
        await self.remove_consumer_if_idle(kind, consumer)
        return moved

    async def reclaim(self, kind: WorkerKind, consumer: str, min_idle_ms: int, count: int = 100) -> list[Delivery]:
        self._answer()
        now = self._clock()
        self._seen[kind, consumer] = now
        found = []
        for urgent in (True, False):
            lane = self._lanes[kind, urgent]
            idle = [entry for entry, (_, since) in lane.pending.items() if (now - since) * 1000 >= min_idle_ms]
            for entry in sorted(idle)[:count]:
                lane.pending[entry] = (consumer, now)
                found.append(Delivery(kind, urgent, str(entry), hint=lane.entries[entry]))
        return found

    async def consumers(self, kind: WorkerKind) -> list[ConsumerInfo]:
        self._answer()
        return [
            ConsumerInfo(name, len(self._held(kind, name)), int((self._clock() - since) * 1000))
            for (of, name), since in sorted(self._seen.items())
            if of is kind
        ]

    async def remove_consumer_if_idle(self, kind: WorkerKind, consumer: str) -> bool:
        self._answer()
        if self._held(kind, consumer):
            return False
        self._seen.pop((kind, consumer), None)
        return True

    async def add_dead(self, kind: WorkerKind, letters: Sequence[DeadLetter]) -> int:
        self._answer()
        before = len(self._dead[kind])
        for letter in letters:
            self._dead[kind].setdefault(letter.batch, letter)
        return len(self._dead[kind]) - before

    async def remove_dead(self, kind: WorkerKind, batches: Iterable[int]) -> int:
        self._answer()
        return sum(self._dead[kind].pop(batch, None) is not None for batch in batches)

    async def list_dead(self, kind: WorkerKind) -> list[DeadLetter]:
        self._answer()
        return list(self._dead[kind].values())

    async def bus_epoch(self) -> str | None:
        self._answer()
        return self._epoch

    async def set_bus_epoch(self, value: str) -> None:
        self._answer()
        self._epoch = value

    async def add_token(self, run: int, step: int, batch: int, expected: int | None = None) -> TokenCount:
        self._answer()
        batches, known, until = self._tokens.get((run, step), (set(), None, 0.0))
        if until < self._clock():
            batches, known = set(), None
        batches.add(batch)
        if expected is not None:
            known = max(expected, known or 0)
        self._tokens[run, step] = (batches, known, self._clock() + TOKEN_TTL_S)
        return TokenCount(len(batches), known)

    async def drop_tokens(self, run: int, steps: Iterable[int]) -> None:
        self._answer()
        for step in steps:
            self._tokens.pop((run, step), None)

    async def write_progress(self, run: int, fields: Mapping[str, str], *, ended: bool = False) -> bool:
        self._answer()
        new = {"run_id": str(run), **fields}
        old = await self.read_progress(run)
        if old is not None and not ended and not _goes_on(old, new):
            return False
        ttl = PROGRESS_ENDED_TTL_S if ended else PROGRESS_ACTIVE_TTL_S
        self._progress[run] = ({**(old or {}), **new}, self._clock() + ttl)
        return True

    async def read_progress(self, run: int) -> dict[str, str] | None:
        self._answer()
        fields, until = self._progress.get(run, ({}, 0.0))
        return dict(fields) if fields and until > self._clock() else None

    async def describe(self) -> ServerFacts:
        self._answer()
        return ServerFacts(version="7.0.0", maxmemory_policy="noeviction")

    async def check(self) -> list[str]:
        return server_problems(await self.describe())

    def _answer(self) -> None:
        if self.away:
            raise BusUnavailable("the in-process bus is switched away")

    def _append(self, kind: WorkerKind, urgent: bool, hint: Hint) -> None:
        self._last += 1
        self._lanes[kind, urgent].entries[self._last] = hint

    def _wake(self) -> None:
        self._woken.set()
        self._woken = asyncio.Event()

    def _take(self, kind: WorkerKind, urgent: bool, consumer: str, most: int) -> list[Delivery]:
        lane = self._lanes[kind, urgent]
        fresh = [entry for entry in lane.entries if entry > lane.delivered][:most]
        for entry in fresh:
            lane.pending[entry] = (consumer, self._clock())
            lane.delivered = entry
        return [Delivery(kind, urgent, str(entry), hint=lane.entries[entry]) for entry in fresh]

    def _remove(self, delivery: Delivery) -> Hint | None:
        lane = self._lanes[delivery.kind, delivery.urgent]
        lane.pending.pop(int(delivery.entry), None)
        return lane.entries.pop(int(delivery.entry), None)

    def _held(self, kind: WorkerKind, consumer: str) -> list[int]:
        lanes = (self._lanes[kind, urgent] for urgent in (True, False))
        return [entry for lane in lanes for entry, (holder, _) in lane.pending.items() if holder == consumer]


def _goes_on(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    """True unless the new figures are older than the old ones (PRG-4)."""
    state = old.get("state")
    if state is not None and state not in _LIVE_STATES:
        return False
    before, after = _number(old.get("phase_index"), -1), _number(new.get("phase_index"), -1)
    return after > before or (after == before and _number(new.get("processed"), 0) >= _number(old.get("processed"), 0))


def _number(text: str | None, missing: int) -> int:
    return int(text) if text else missing
