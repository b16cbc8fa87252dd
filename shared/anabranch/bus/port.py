"""What the fleet asks of its bus, whoever keeps it.

The bus makes work start soon; PostgreSQL makes it right. A hint is published, read by one consumer of a group, and
acknowledged, which deletes it, so the length of a stream is what waits or is in work. A hint that was read and not
acknowledged stays pending: its reader gets it again after a read error, others by `reclaim`. Every verb may fail with
`BusUnavailable`; callers go on from PostgreSQL then.

`redis_streams` keeps these promises in Redis and `memory` in one process; one suite of tests runs on both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from anabranch.bus.envelope import Hint, Malformed, UnknownVersion
from anabranch.model.enums import WorkerKind
from anabranch.model.errors import Permanent, Retryable

MAX_BLOCK_MS: Final = 5_000
"""A read never waits longer, so that a stop is noticed and a dead connection is found out."""
URGENT_IN_A_ROW: Final = 8
"""After so many urgent entries a waiting normal one is taken: at least one of any nine (SCH-21)."""
TOKEN_TTL_S: Final = 24 * 3600
PROGRESS_ACTIVE_TTL_S: Final = 24 * 3600
PROGRESS_ENDED_TTL_S: Final = 3600
MINIMUM_VERSION: Final = (6, 2)


class BusUnavailable(Retryable):
    """The bus gave no answer, or not in time; what was asked may or may not have happened."""


class BusFull(BusUnavailable):
    """Redis has reached `maxmemory`: nothing more can be published, while reading and acknowledging still work.

    `published` hints of the call had already gone in.
    """

    def __init__(self, message: str, published: int = 0) -> None:
        super().__init__(message)
        self.published = published


class BusRefused(Permanent):
    """Redis answered and will not serve: wrong credentials, missing rights, a key of another type."""


class Delivery(msgspec.Struct, frozen=True):
    """One entry handed to one consumer.

    Exactly one of `hint` and `fault` is set. `Malformed`: acknowledge. `UnknownVersion`: `hand_back`.
    """

    kind: WorkerKind
    urgent: bool
    entry: str
    hint: Hint | None = None
    fault: Malformed | UnknownVersion | None = None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead batch as an operator sees it on a `:dead` stream; `error` is a code, never a value of an object."""

    batch: int
    run: int
    system: str
    phase: str
    error: str = ""


class ConsumerInfo(msgspec.Struct, frozen=True):
    """A consumer of a kind of worker over both lanes: entries pending, milliseconds since it last tried to read."""

    name: str
    pending: int
    idle_ms: int


class ServerFacts(msgspec.Struct, frozen=True):
    """What the server says of itself; `maxmemory` in bytes, 0 for no limit; `mode` standalone, sentinel or cluster."""

    version: str
    maxmemory_policy: str
    maxmemory: int = 0
    mode: str = "standalone"


class TokenCount(msgspec.Struct, frozen=True):
    """How many batches of a step have arrived, and of how many; None while nobody has told."""

    have: int
    expected: int | None

    @property
    def complete(self) -> bool:
        """True when it is time to ask the barrier in PostgreSQL; it alone decides."""
        return self.expected is not None and self.have >= self.expected


class Bus(Protocol):
    """The bus of one fleet. Verbs raise `BusUnavailable` when it is away and `BusRefused` when it will not serve."""

    async def connect(self) -> None:
        """The bus answers and every group exists. May be called again; the other verbs do not need it."""

    async def close(self) -> None:
        """Every connection is closed; safe twice."""

    async def ping(self) -> None:
        """The bus has just answered."""

    async def ensure_groups(self) -> None:
        """Every lane of every kind has its group, made at the start of the stream so that nothing there is skipped."""

    async def publish(self, hints: Mapping[WorkerKind, Sequence[Hint]], *, urgent: bool = False) -> int:
        """The hints wait on their lanes, in the order given; the answer is how many.

        After a lost reply hints may have gone in that are not counted: publishing again only doubles hints.

        Raises:
            BusFull: the server's memory is full; `published` says how many went in.
        """

    async def depth(self, kind: WorkerKind) -> int:
        """The number of entries of both lanes that wait or are in work (FLT-20)."""

    async def read(self, kind: WorkerKind, consumer: str, count: int, block_ms: int) -> list[Delivery]:
        """At most `count` entries belong to the consumer; empty when none came in `block_ms` (at most 5000).

        Urgent ones first, but at least one normal of any nine while one waits (SCH-21). After a failed or cancelled
        read the consumer's own pending entries that nobody holds come first. One reader at a time per consumer.
        """

    def stop_reading(self) -> None:
        """Reads return empty at once from now on, and one that waits returns when its wait ends."""

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> int:
        """The entries are gone from group and stream; the answer is how many still existed."""

    async def hand_back(self, deliveries: Sequence[Delivery]) -> int:
        """The entries stand at the end of their lane again, unchanged, for any consumer (FLT-22).

        A worker that can use nothing of what it reads should wait before it reads again.
        """

    async def leave(self, kind: WorkerKind, consumer: str) -> int:
        """Whatever the consumer had pending stands at the end of its lane again, and the consumer is gone.

        The answer is how many entries went back. For a worker that drains, once nothing is in its hands (FLT-21).
        """

    async def reclaim(self, kind: WorkerKind, consumer: str, min_idle_ms: int, count: int = 100) -> list[Delivery]:
        """At most about `count` entries per lane that were pending for `min_idle_ms` belong to this consumer now.

        `min_idle_ms` must exceed the longest heartbeat, or work that is going on is handed out twice. Delivery counts
        do not grow.
        """

    async def consumers(self, kind: WorkerKind) -> list[ConsumerInfo]:
        """The consumers known to the kind's groups, by name."""

    async def remove_consumer_if_idle(self, kind: WorkerKind, consumer: str) -> bool:
        """True: the consumer is gone. False: it still has pending entries, which removal would lose."""

    async def add_dead(self, kind: WorkerKind, letters: Sequence[DeadLetter]) -> int:
        """Each dead batch stands once on the `:dead` stream; the answer is how many were new."""

    async def remove_dead(self, kind: WorkerKind, batches: Iterable[int]) -> int:
        """None of the batches stands on the `:dead` stream; the answer is how many did."""

    async def list_dead(self, kind: WorkerKind) -> list[DeadLetter]:
        """The `:dead` stream, oldest first."""

    async def bus_epoch(self) -> str | None:
        """The epoch last set; None means that the bus is new or was wiped."""

    async def set_bus_epoch(self, value: str) -> None:
        """The bus carries this epoch until it is wiped."""

    async def add_token(self, run: int, step: int, batch: int, expected: int | None = None) -> TokenCount:
        """The batch is counted once at its step's barrier, however often it is added; `expected` only grows."""

    async def drop_tokens(self, run: int, steps: Iterable[int]) -> None:
        """Nothing is left of the barriers of these steps."""

    async def write_progress(self, run: int, fields: Mapping[str, str], *, ended: bool = False) -> bool:
        """The run's figures are those given, for 24 hours, or for 1 hour once it has `ended` (PRG-2).

        False: figures already there are newer (a later phase, more processed in this phase, or the run's last ones)
        and stay (PRG-4). The fields are PRG-1's; a figure without a value is the empty text.
        """

    async def read_progress(self, run: int) -> dict[str, str] | None:
        """The figures last written; None when there are none."""

    async def describe(self) -> ServerFacts:
        """What server this is."""

    async def check(self) -> list[str]:
        """One sentence for each reason why this server must not be used; empty when it may."""


def server_problems(facts: ServerFacts) -> list[str]:
    """One sentence for each reason why a server with these facts must not carry the bus."""
    problems = []
    if _version(facts.version) < MINIMUM_VERSION:
        problems.append(
            f"Redis {facts.version} is too old: the bus needs 6.2 or newer (or any Valkey); upgrade the server"
        )
    if facts.maxmemory_policy != "noeviction":
        problems.append(
            f"Redis evicts keys (maxmemory-policy is {facts.maxmemory_policy}), which loses whole streams: "
            "set maxmemory-policy to noeviction, and give a cache its own server"
        )
    if facts.mode == "cluster":
        problems.append("Redis runs in cluster mode, which the bus does not support: use a standalone server")
    return problems


def _version(text: str) -> tuple[int, ...]:
    parts = []
    for part in text.split(".")[:2]:
        digits = "".join(char for char in part if char.isdigit())
        parts.append(int(digits) if digits else 0)
    return tuple(parts)
