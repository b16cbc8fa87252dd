"""The demonstration: four weeks of an organisation, one of them with an accident.

The first week everything is new. The second brings joiners, movers and leavers. In the third a sync worker is killed
with a batch in its hands, while the same week is played on a copy where nobody is disturbed: both must end in the same
state, and their hashes say so. The fourth brings nothing, and nothing may be written.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from anabranch.console.demo.generator import Organisation, Week, found, next_week, write
from anabranch.console.demo.killing import Killing, kill_in_work
from anabranch.console.demo.showing import Showing
from anabranch.console.demo.stage import CycleResult, DemoFailed, Stage, configuration_directory
from anabranch.console.local_fleet import LocalFleet
from anabranch.runtime.local_servers import LocalServers
from anabranch.telemetry.setup import where_traces_go

T = TypeVar("T")
StateHash = tuple[str, dict[str, str]]
"""The hash over a whole state, and those of its sections."""
_SERVERS: Final = ".anabranch"
SMALL_BATCH: Final = 250
"""What a sync batch of the third week holds: few enough objects that there are batches to die over."""
_BOOKKEEPING: Final = frozenset(
    {
        "execution", "execution_step", "run", "run_step", "batch", "batch_attempt", "worker", "run_population",
        "import_seen", "proposal", "proposal_pack", "sync_turn", "turn_wait", "action", "fleet_bus", "fleet_term",
    }
)  # fmt: skip
"""Tables that say what the fleet does, not what it knows: a week without a change writes to these alone. (An object
that found no partner proposes itself anew in each sync.)"""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. `keep` leaves the database in place, for `anabranch up` in the same directory."""

    directory: Path | None
    people: int
    seed: int
    keep: bool


def play(wish: Wish, showing: Showing) -> None:
    """The whole demonstration has been shown, and everything it started has ended.

    Raises DemoFailed when it does not come out as promised, LocalServerError and FleetError when it cannot begin.
    """
    for variable in ("ANABRANCH_DATABASE_URL", "ANABRANCH_REDIS_URL"):
        if os.environ.pop(variable, None) is not None:
            showing.say(f"{variable} is not used: a demonstration has servers of its own")
    traces = where_traces_go(os.environ)
    begun = time.monotonic()
    directory = _fresh(wish.directory)
    showing.say(f"{wish.people:,} people, seed {wish.seed}, in {directory}")
    servers = LocalServers(directory / _SERVERS, durable=False, purge=not wish.keep)
    logs = directory / _SERVERS / "logs"
    try:
        with servers:
            showing.say(servers.describe())
            if traces is not None:
                showing.say(f"spans, metrics and logs go to {traces}; each cycle is one trace there")
            story = _Story(wish, showing, directory, servers)
            story.play()
    except DemoFailed as fault:
        raise DemoFailed(f"{fault}\nwhat the processes said is in {logs}") from fault
    finally:
        if not wish.keep:
            LocalServers.stop_detached(directory / _SERVERS, purge=True)
    if not wish.keep:
        shutil.rmtree(directory / _SERVERS, ignore_errors=True)
    story.sum_up(time.monotonic() - begun, traces)


def _fresh(wished: Path | None) -> Path:
    """A directory of one's own: the one wished for if it is empty, else the next free number in ./demo-out."""
    if wished is not None:
        if wished.exists() and (not wished.is_dir() or any(wished.iterdir())):
            raise DemoFailed(f"{wished} is not empty; name an empty or a new directory")
        wished.mkdir(parents=True, exist_ok=True)
        return wished.absolute()
    for number in range(1, 100_000):
        directory = Path("demo-out") / str(number)
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        return directory.absolute()
    raise DemoFailed("./demo-out is full; remove what is in it")


class _Story:
    def __init__(self, wish: Wish, showing: Showing, directory: Path, servers: LocalServers) -> None:
        self._wish = wish
        self._showing = showing
        self._directory = directory
        logs = directory / _SERVERS / "logs"
        self._stage = Stage(directory, servers.database_url, servers.redis_url, key_prefix="", logs=logs)
        self._servers = servers
        self._logs = logs
        self._results: list[tuple[str, CycleResult]] = []
        self._traces: list[tuple[str, str]] = []

    def play(self) -> None:
        self._stage.out.mkdir()
        version = asyncio.run(self._stage.prepare())
        self._showing.say(f"configuration revision {version}; fleet: 1 scheduler, 1 import, 2 sync, 1 export worker")
        with self._stage.fleet() as fleet:
            first = found(self._wish.people, self._wish.seed)
            self._write(first)
            self._stage.reinforce(fleet, sync_workers=2)
            self._showing.title("Cycle 1: everything is new")
            self._cycle("1, everything new", fleet.ready())
            second = self._second_week(first)
            with fleet.frozen():
                copy, week = asyncio.run(self._copy(second))
            with copy.fleet() as other:
                asyncio.run(self._stage.cut_syncs(SMALL_BATCH))
                fleet.wait_ready()
                copy.reinforce(other, sync_workers=1)
                theirs = self._third_week(fleet, copy, other, week)
                mine = self._fourth_week(other)
            self._compare(mine, copy, theirs)

    def _write(self, organisation: Organisation) -> None:
        write(organisation, self._stage.data)

    def _week(self, before: Organisation, number: int, *, new_phones: float = 0.0) -> tuple[Organisation, Week]:
        return next_week(before, self._wish.seed, number, new_phones=new_phones)

    def _cycle(self, name: str, *meanwhile: Awaitable[Any]) -> list[Any]:
        """A cycle has been played and shown; what was awaited `meanwhile`. A fault of either ends the other."""
        with self._showing.watch() as watching:
            result, others = asyncio.run(together(self._stage.play(watching.see), *meanwhile))
        self._keep(name, result)
        return others

    def _keep(self, name: str, result: CycleResult) -> None:
        self._showing.table(result)
        self._results.append((name, result))
        self._traces.append((name, result.trace_id))

    def _second_week(self, first: Organisation) -> Organisation:
        second, week = self._week(first, 2)
        self._write(second)
        self._showing.title(f"Cycle 2: {told(week)}")
        self._cycle("2, people come and go")
        return second

    async def _copy(self, second: Organisation) -> tuple[Stage, Week]:
        """A second stage with the same database and files, the third week's among them, made while the fleet stands
        still. Its connections are cut off, as if PostgreSQL had been restarted; it goes on as it would after that."""
        from anabranch.store.databases import copy_database

        url, week = await asyncio.gather(
            copy_database(self._stage.database_url, "undisturbed"), asyncio.to_thread(self._prepare_third, second)
        )
        copy = Stage(
            self._directory / "undisturbed",
            url,
            self._servers.redis_url,
            key_prefix="undisturbed:",
            logs=self._logs / "undisturbed",
        )
        self._stage.copy_files_to(copy)
        return copy, week

    def _prepare_third(self, second: Organisation) -> Week:
        third, week = self._week(second, 3, new_phones=0.08)
        self._write(third)
        return week

    def _third_week(self, fleet: LocalFleet, copy: Stage, other: LocalFleet, week: Week) -> StateHash:
        self._showing.title(f"Cycle 3: {told(week)}; and a sync worker is killed in the middle of a batch")
        result, killing, undisturbed, theirs = asyncio.run(self._both(fleet, copy, other))
        self._keep("3, a worker killed", result)
        self._showing.say(
            f"  {killing.worker} was killed with batch {killing.batch} (step {killing.step}, "
            f"{killing.objects} objects) in its hands; its lease ended and another worker did it"
        )
        self._showing.say(
            "  meanwhile the same week went undisturbed over a copy made before it, with a fleet of its own, one sync "
            f"worker and larger batches, in {undisturbed.seconds:.1f} s; the two are compared below"
        )
        self._traces.append(("3, undisturbed", undisturbed.trace_id))
        return theirs

    async def _both(
        self, fleet: LocalFleet, copy: Stage, other: LocalFleet
    ) -> tuple[CycleResult, Killing, CycleResult, StateHash]:
        """The week in which a worker is killed, and the undisturbed one, both seen from the same instant; and the state
        in which the undisturbed one ended."""
        from anabranch.store.inspection import Inspection
        from anabranch.store.pool import connect

        now = datetime.now(UTC)
        ended = asyncio.Event()
        connection = await connect(self._stage.database_url, "demo-killer")
        killer = asyncio.create_task(kill_in_work(fleet, Inspection(connection), ended))
        undisturbed = asyncio.create_task(together(_played(copy, now), other.ready()))
        try:
            with self._showing.watch() as watching:
                result = await self._stage.play(watching.see, now)
            ended.set()
            killing = await killer
            if killing is None:
                raise DemoFailed("no sync worker could be caught with a batch in its hands; try more --people")
            return result, killing, *(await undisturbed)[0]
        finally:
            ended.set()
            undisturbed.cancel()
            await asyncio.gather(killer, undisturbed, return_exceptions=True)
            await connection.close()

    def _fourth_week(self, other: LocalFleet) -> StateHash:
        """The state before the week, which is also the one after it; meanwhile the copy's fleet goes home."""
        from anabranch.store.databases import mark, written_since

        self._showing.title("Cycle 4: nothing has changed")
        moment = asyncio.run(mark(self._stage.database_url))
        files = {file: (file.stat().st_mtime_ns, file.stat().st_ino) for file in self._stage.target_files()}
        state: StateHash
        state, _ = self._cycle("4, nothing new", self._stage.state_hash(), asyncio.to_thread(other.stop))
        written = asyncio.run(written_since(self._stage.database_url, moment))
        touched = {name: count for name, count in written.items() if name not in _BOOKKEEPING}
        changed = [file.name for file, seen in files.items() if (file.stat().st_mtime_ns, file.stat().st_ino) != seen]
        if touched:
            raise DemoFailed(f"a week without changes wrote rows: {touched}")
        if changed:
            raise DemoFailed(f"a week without changes wrote {', '.join(changed)}")
        self._showing.say("  rows written to connector spaces, metaverse, pending exports and history: 0")
        self._showing.say("  so the state is what it was; target files: untouched")
        return state

    def _compare(self, mine: StateHash, copy: Stage, theirs: StateHash) -> None:
        files, copied = self._stage.file_hash(), copy.file_hash()
        if mine != theirs:
            differing = [name for name, digest in mine[1].items() if theirs[1].get(name) != digest]
            raise DemoFailed(f"the state after the kill differs from the undisturbed one in: {', '.join(differing)}")
        if files != copied:
            raise DemoFailed(f"the target files differ from the undisturbed ones: {files} and {copied}")
        self._showing.title("The week in which a worker was killed, and the same week undisturbed")
        self._showing.say(f"  state hash, disturbed     {mine[0]}")
        self._showing.say(f"  state hash, undisturbed   {theirs[0]}   equal")
        for name, digest in files.items():
            self._showing.say(f"  {name:<25} {digest}   equal")

    def sum_up(self, seconds: float, traces: str | None) -> None:
        say, here = self._showing.say, _relative(self._directory)
        self._showing.title("Summary")
        for name, result in self._results:
            say(written_line(name, result))
        say("  the figures of every run add up; the killed worker changed nothing: state and files are equal")
        say(f"  {seconds:.0f} s in all")
        say()
        say(f"Files:  {here}/data  what HR and the training office exported")
        say(f"        {here}/out   directory.ldif and phonebook.csv, as the fleet wrote them")
        say()
        if traces is not None:
            say(f"Traces at {traces}, to be looked up by their ids (service anabranch-scheduler):")
            for name, trace_id in self._traces:
                say(f"        {trace_id}  cycle {name}")
            say()
        command = _command()
        say("Try next:")
        say(f"  less {here}/out/directory.ldif")
        if self._wish.keep:
            say(f"  cd {here} && {command} up")
            say(f"  {command} object show mv person E000001")
        else:
            say(f"  {command} demo --keep   keeps the database, to look at with `anabranch up`")
            say(f"  {command} config validate {_relative(configuration_directory())}")


async def together(work: Awaitable[T], *others: Awaitable[Any]) -> tuple[T, list[Any]]:
    """What the work gives, and the others; the first fault of one ends the rest."""
    tasks = [asyncio.ensure_future(one) for one in others]
    first = asyncio.ensure_future(work)
    try:
        await asyncio.gather(first, *tasks)
        return first.result(), [one.result() for one in tasks]
    finally:
        for one in (first, *tasks):
            one.cancel()
        await asyncio.gather(first, *tasks, return_exceptions=True)


async def _played(stage: Stage, now: datetime) -> tuple[CycleResult, StateHash]:
    """A cycle that nobody watches, and the state it ended in."""
    result = await stage.play(lambda *_: None, now)
    return result, await stage.state_hash()


def written_line(name: str, result: CycleResult) -> str:
    """How long a cycle took and what it wrote to the targets."""
    creates, updates, deletes = (
        sum(getattr(run.changes, what) for run in result.runs if "export" in run.profile)
        for what in ("creates", "updates", "deletes")
    )
    return (
        f"  cycle {name:<22} {result.seconds:5.1f} s   "
        f"written to targets: creates {creates:,} updates {updates:,} deletes {deletes:,}"
    )


def _command() -> str:
    """How the reader calls this program: by its name where a shell finds it, by its place otherwise."""
    if shutil.which("anabranch"):
        return "anabranch"
    return str(_relative(Path(sys.executable).parent / "anabranch"))


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def told(week: Week) -> str:
    """What happens in a week, in words."""
    parts = [
        f"{week.joiners:,} join",
        f"{week.movers:,} move",
        f"{week.leavers:,} leave",
        f"{week.new_names:,} marry",
        f"{week.new_heads:,} teams get a new head",
        *([f"{week.new_phones:,} new telephones"] if week.new_phones else []),
    ]
    return ", ".join(parts)
