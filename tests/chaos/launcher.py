"""Starts one service as a process, with places where it may be disturbed: `launcher.py SERVICE DIRECTORY [TOOTH]`.

The service is the real one. Before it starts, its claim loop, its transactions, its relay and its targets get the
stages of `points`, and the patience of the scheduler with entries of the dead is shortened, because nobody waits two
minutes for a test. With a tooth, one of the fleet's safeguards is taken out (see `teeth`). None of it is a setting of
the product: it can be had only by starting a process through this file.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.chaos import journal
from tests.chaos.points import Points
from tests.chaos.schedule import Stage

_RECLAIM_IDLE_MS = 4_000
_CONSUMER_SILENT_MS = 3_000
_WATCH_SECONDS = 0.5


def _place(claimed: Any) -> tuple[str, int, str]:
    return f"{claimed.worker_kind.value}:{claimed.step}", claimed.batch, claimed.claim


def disturb_worker(points: Points) -> None:
    """A batch can be stopped before its work, in its transaction before and after its end, and after its commit."""
    from anabranch.runtime.consumer import Consumer
    from anabranch.store.batches import PgUnit

    before_work, before_telling = Consumer._do, Consumer._after
    before_end, before_page = PgUnit.done, PgUnit.advance

    async def work(self: Consumer, claimed: Any, hold: Any) -> str:
        place, batch, claim = _place(claimed)
        points.pass_by(place, Stage.CLAIMED, batch, claim)
        return await before_work(self, claimed, hold)

    async def tell(self: Consumer, claimed: Any, expected: int | None) -> Any:
        place, batch, claim = _place(claimed)
        points.pass_by(place, Stage.COMMITTED, batch, claim)
        return await before_telling(self, claimed, expected)

    async def done(self: PgUnit, counters: dict[str, int]) -> None:
        place, batch, claim = _place(self._claimed)
        points.pass_by(place, Stage.WRITING, batch, claim)
        await before_end(self, counters)
        points.pass_by(place, Stage.FINISHED, batch, claim)

    async def advance(self: PgUnit, cursor: dict[str, Any], counters: dict[str, int]) -> None:
        place, batch, claim = _place(self._claimed)
        await before_page(self, cursor, counters)
        points.pass_by(place, Stage.PAGED, batch, claim)

    _patch(Consumer, _do=work, _after=tell)
    _patch(PgUnit, done=done, advance=advance)


def disturb_relay(points: Points, kind: str) -> None:
    """Whoever publishes can be stopped between the mark in the database and the hint on the stream."""
    from anabranch.bus.redis_streams import RedisBus

    publish: Callable[..., Awaitable[int]] = RedisBus.publish

    async def marked(self: RedisBus, hints: Any, *, urgent: bool = False) -> int:
        points.pass_by(f"{kind}:publish", Stage.MARKED)
        return await publish(self, hints, urgent=urgent)

    _patch(RedisBus, publish=marked)


def disturb_scheduler(points: Points) -> None:
    """A sweep can be stopped before it closes what it found; entries of dead consumers are tidied within seconds."""
    from anabranch.scheduler import handler
    from anabranch.store.postgres import PostgresStore

    sweep = PostgresStore.sweep
    beginning = handler.Watch.__init__

    async def swept(self: PostgresStore, lease: float) -> Any:
        found = await sweep(self, lease)
        if found.workers_lost:
            points.pass_by("scheduler:sweep", Stage.LOST)
        points.pass_by("scheduler:sweep", Stage.SWEPT)
        return found

    def begin(self: handler.Watch, around: Any, settings: Any) -> None:
        beginning(self, around, settings)
        self._seconds = _WATCH_SECONDS

    _patch(PostgresStore, sweep=swept)
    _patch(handler.Watch, __init__=begin)
    _patch(handler, _RECLAIM_IDLE_MS=_RECLAIM_IDLE_MS, _CONSUMER_SILENT_MS=_CONSUMER_SILENT_MS)


def journal_targets(points: Points, directory: Path) -> None:
    """Every target writes down what it is told."""
    from anabranch.connectors import registry

    journal.Surroundings.points = points
    journal.Surroundings.file = directory / "calls.jsonl"
    ours = {"csv": f"{journal.__name__}:JournalledCsv", "ldif": f"{journal.__name__}:JournalledLdif"}
    _patch(registry, _BUILT_IN=registry._BUILT_IN | ours)


def _patch(owner: object, **replaced: object) -> None:
    for name, value in replaced.items():
        if not hasattr(owner, name):
            raise AttributeError(f"{owner} has no {name} any more: the disturbance would be none")
        setattr(owner, name, value)


def main(service: str, directory: Path, tooth: str = "") -> int:
    """The service runs to its end; its exit code."""
    if tooth:
        from tests.chaos.teeth import draw

        draw(tooth)  # first of all: statements are looked up by the modules that use them
    points = Points(directory)
    if service == "scheduler":
        disturb_scheduler(points)
    else:
        disturb_worker(points)
    disturb_relay(points, service.removesuffix("_worker"))
    journal_targets(points, directory)
    sys.argv = [service]
    return int(import_module(f"anabranch.{service}.__main__").main())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
