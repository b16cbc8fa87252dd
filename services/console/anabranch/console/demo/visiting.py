"""The four weeks of the demonstration on a fleet that runs already, wherever it runs.

Nothing is started, killed or stopped from here; the fleet may have any number of workers, and whoever likes may add,
stop and kill some meanwhile. The same people and seed end in the same state on every fleet, so the proof is a second
fleet, or the demonstration with servers of its own: their hashes must be the same.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from anabranch.console.demo.generator import Organisation, found, next_week, write
from anabranch.console.demo.showing import Showing
from anabranch.console.demo.stage import CycleResult, DemoFailed, Stage
from anabranch.console.demo.story import SMALL_BATCH, told, written_line
from anabranch.model.enums import WorkerKind

if TYPE_CHECKING:
    from anabranch.store.pool import Connection

_NEEDED: Final = frozenset({"scheduler", *(kind.value for kind in WorkerKind)})
_BEATING_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.5


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: `directory` is where the workers of the fleet were started."""

    database_url: str
    directory: Path
    people: int
    seed: int
    patience: float = 60.0
    """So many seconds a fleet may take to be complete."""


def play_on_fleet(visit: Visit, showing: Showing) -> str:
    """Four weeks have been played; the hash of the state they ended in.

    Raises DemoFailed when the fleet is not the demonstration's alone or not complete, and when a week goes wrong.
    """
    directory = visit.directory.absolute()
    stage = Stage(directory, visit.database_url, "", key_prefix="", logs=directory)
    _refuse_what_is_not_ours(stage)
    kinds = asyncio.run(_wait_for_fleet(visit))
    stage.out.mkdir(exist_ok=True)
    version = asyncio.run(stage.prepare())
    showing.say(f"{visit.people:,} people, seed {visit.seed}, in {directory}")
    showing.say(f"configuration revision {version}; fleet: {kinds}")
    return _Weeks(visit, stage, showing).play()


def _refuse_what_is_not_ours(stage: Stage) -> None:
    """Nobody's rules and nobody's files are replaced by invented ones."""
    if stage.data.is_dir() and any(stage.data.iterdir()):
        raise DemoFailed(f"{stage.data} holds files already; a demonstration wants an empty one")
    if version := asyncio.run(_newest_revision(stage.database_url)):
        raise DemoFailed(
            f"this fleet works by revision {version} of a configuration; a demonstration wants a fleet of its own"
        )


async def _newest_revision(database_url: str) -> int:
    from anabranch.store.configuration import history
    from anabranch.store.migrate import schema_problems
    from anabranch.store.pool import connect

    connection = await connect(database_url, "demo")
    try:
        if problems := await schema_problems(connection):
            raise DemoFailed(f"{'; '.join(problems)} (`anabranch db migrate`)")
        revisions = await history(connection)
        return revisions[0].version if revisions else 0
    finally:
        await connection.close()


async def _wait_for_fleet(visit: Visit) -> str:
    """Every kind of process beats; how many of each."""
    from anabranch.store.pool import connect

    connection = await connect(visit.database_url, "demo")
    until = time.monotonic() + visit.patience
    try:
        while True:
            beating = await _beating(connection)
            missing = _NEEDED - beating.keys()
            if not missing:
                return ", ".join(f"{number} {kind}" for kind, number in sorted(beating.items()))
            if time.monotonic() > until:
                raise DemoFailed(f"no process of this kind is at work: {', '.join(sorted(missing))}; start the fleet")
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        await connection.close()


async def _beating(connection: Connection) -> dict[str, int]:
    from anabranch.store.overview import Overview

    found: dict[str, int] = {}
    for worker in await Overview(connection).workers():
        if worker.state == "running" and worker.silent_seconds < _BEATING_SECONDS:
            found[worker.kind] = found.get(worker.kind, 0) + 1
    return found


class _Weeks:
    def __init__(self, visit: Visit, stage: Stage, showing: Showing) -> None:
        self._visit = visit
        self._stage = stage
        self._showing = showing
        self._results: list[tuple[str, CycleResult]] = []

    def play(self) -> str:
        first = found(self._visit.people, self._visit.seed)
        self._cycle("Cycle 1: everything is new", first)
        second, week = next_week(first, self._visit.seed, 2)
        self._cycle(f"Cycle 2: {told(week)}", second)
        third, week = next_week(second, self._visit.seed, 3, new_phones=0.08)
        asyncio.run(self._stage.cut_syncs(SMALL_BATCH))
        self._cycle(f"Cycle 3: {told(week)}, in small batches; kill a worker now, and nothing will differ", third)
        before = self._files(), asyncio.run(self._stage.state_hash())[0]
        self._cycle("Cycle 4: nothing has changed", third)
        if (self._files(), asyncio.run(self._stage.state_hash())[0]) != before:
            raise DemoFailed("a week without changes left another state or touched a target file")
        self._sum_up(before[1])
        return before[1]

    def _cycle(self, title: str, organisation: Organisation) -> None:
        self._showing.title(title)
        write(organisation, self._stage.data)
        with self._showing.watch() as watching:
            result = asyncio.run(self._stage.play(watching.see))
        self._showing.table(result)
        self._results.append((str(len(self._results) + 1), result))

    def _files(self) -> dict[str, tuple[int, str]]:
        hashes = self._stage.file_hash()
        return {file.name: (file.stat().st_mtime_ns, hashes[file.name]) for file in self._stage.target_files()}

    def _sum_up(self, state: str) -> None:
        say = self._showing.say
        self._showing.title("Summary")
        for name, result in self._results:
            say(written_line(name, result))
        say("  the figures of every run add up; the last week wrote nothing")
        say("  the same on every fleet, however many workers it has and whoever of them was killed:")
        say(f"  {'state hash':<25} {state}")
        for name, digest in self._stage.file_hash().items():
            say(f"  {name:<25} {digest}")
