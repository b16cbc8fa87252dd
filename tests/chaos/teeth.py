"""The fleet's safeguards, taken out one at a time, to see that the suite bites.

A suite that finds nothing proves something only if it finds what is there. Each tooth makes every process of a round
work without one safeguard, as somebody might have built it who knew no better:

* `fence`: a commit does not ask whether the batch is still held under its claim;
* `counter`: a step closes when as many deliveries were handled as it has batches, not when no batch is unfinished;
* `dollar`: consumer groups begin at the end of their stream, not at its start.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from tests.chaos.schedule import Deed, Fault, Stage


class Tooth(StrEnum):
    """Which safeguard is missing."""

    FENCE = "fence"
    COUNTER = "counter"
    DOLLAR = "dollar"


BITES: Final = {
    # Whoever is frozen with a batch goes on with it when another one has done it, and ends it once more.
    Tooth.FENCE: [
        Fault(1, Deed.FREEZE, "import:references", Stage.CLAIMED, 3),
        Fault(2, Deed.FREEZE, "sync:release.count", Stage.CLAIMED, 1),
    ],
    # The plan is handled twice; one batch is in work, and frozen, when the count is complete.
    Tooth.COUNTER: [
        Fault(1, Deed.FREEZE, "sync:match.propose", Stage.CLAIMED, 1),
        Fault(2, Deed.FREEZE, "sync:match.propose", Stage.CLAIMED, 4),
    ],
    # Hints wait on the stream when its group goes.
    Tooth.DOLLAR: [Fault(1, Deed.DESTROY_GROUP, "sync:match.propose", Stage.CLAIMED, 2)],
}
"""The faults at which the missing safeguard shows."""


def draw(tooth: str) -> None:
    """This process works without the safeguard; called before any module of the store is imported."""
    match Tooth(tooth):
        case Tooth.FENCE:
            _without_fence()
        case Tooth.COUNTER:
            _count_arrivals()
        case Tooth.DOLLAR:
            _groups_at_the_end()


def _without_fence() -> None:
    from anabranch.runtime.holding import Hold

    held = " AND claim = $2 AND state = 'leased'"
    anybody = " AND $2::text IS NOT NULL"
    _rewrite(dict.fromkeys(("fence_batch", "finish_batch", "advance_batch"), (held, anybody)))
    setattr(Hold, "check", lambda self: None)  # noqa: B010 - a method is replaced on purpose


def _count_arrivals() -> None:
    """The plan says how many batches there are; each delivery that was handled counts one, and the last one closes."""
    _rewrite(
        {
            "look_at_step": (
                "count(*) FILTER (WHERE state IN ('blocked', 'ready', 'leased')) AS unfinished",
                "0::bigint AS unfinished",
            )
        }
    )
    from anabranch.bus.redis_streams import RedisBus
    from anabranch.runtime.consumer import Consumer

    work = Consumer._do

    async def arrived(self: Consumer, claimed: Any, expected: int | None) -> bool:
        bus: Any = self._bus
        assert isinstance(bus, RedisBus)
        known = (await bus.add_token(claimed.run, claimed.ordinal, claimed.batch, expected)).expected
        count = int(await bus._ask("INCR", bus._keys.tokens(claimed.run, claimed.ordinal) + ":count"))
        return known is not None and count >= known

    async def do(self: Consumer, claimed: Any, hold: Any) -> str:
        outcome = await work(self, claimed, hold)
        if outcome == "lost" and await arrived(self, claimed, None):
            await self.close(claimed.run, claimed.ordinal)
        return outcome

    setattr(Consumer, "_may_be_over", arrived)  # noqa: B010 - a method is replaced on purpose
    setattr(Consumer, "_do", do)  # noqa: B010 - the same


def _groups_at_the_end() -> None:
    from redis.exceptions import RedisError

    from anabranch.bus.redis_streams import RedisBus
    from anabranch.bus.streams import GROUP

    async def make(self: RedisBus) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for lane in self._keys.all_lanes():
            pipeline.execute_command("XGROUP CREATE", lane, GROUP, "$", "MKSTREAM")
        for reply in await pipeline.execute(raise_on_error=False):
            if isinstance(reply, RedisError) and "BUSYGROUP" not in str(reply):
                raise reply

    setattr(RedisBus, "_make_groups", make)  # noqa: B010 - a method is replaced on purpose


def _rewrite(replaced: dict[str, tuple[str, str]]) -> None:
    """These statements read differently; raises where a statement no longer says what would be replaced."""
    from anabranch.store import sql_files

    original: Callable[[str], str] = sql_files.sql
    texts: dict[str, str] = {}
    for name, (old, new) in replaced.items():
        text = original(name)
        if old not in text:
            raise AssertionError(f"{name}.sql does not say {old!r} any more: the tooth would bite on nothing")
        texts[name] = text.replace(old, new)

    def sql(name: str) -> str:
        return texts.get(name) or original(name)

    setattr(sql_files, "sql", sql)  # noqa: B010 - before anybody imports it by name
