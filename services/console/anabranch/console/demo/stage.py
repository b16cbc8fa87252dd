"""One place where a demonstration plays: a working directory, a database, and the fleet between them.

Two stages may share the servers: the second one plays the same week on a copy, so that what disturbed the first can be
told from what did not matter. Everything a stage says about a week is read from committed rows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from anabranch.console.local_fleet import LocalFleet, Service, Surroundings
from anabranch.console.progress import Changes, Follower, Look, changes_of
from anabranch.model.enums import ChangeClass, RunKind, RunState
from anabranch.model.errors import AnabranchError
from anabranch.model.identity import ExecutionId, WorkerId
from anabranch.protocol.accounting import balance

if TYPE_CHECKING:
    from anabranch.model.configuration import Configuration
    from anabranch.store.overview import ExecutionLine, RunDetail, RunLine
    from anabranch.store.postgres import PostgresStore

EXECUTION: Final = "cycle"
SETTINGS: Final = {"lease_seconds": "2", "sweep_seconds": "0.5", "idle_poll_seconds": "1", "concurrency": "2"}
"""Shorter than in earnest, so that a killed worker is missed within a demonstration's patience."""

See = Callable[["ExecutionLine", list["RunDetail"], list[Look]], None]
"""Told of every look at a cycle that goes on."""


class DemoFailed(AnabranchError):
    """The demonstration does not show what it promises; the message says where it went wrong."""


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of a cycle came to; `processed` is what it read or selected."""

    run: int
    profile: str
    state: str
    processed: int
    changes: Changes
    totals: dict[str, int]
    seconds: float


class CycleResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole cycle came to."""

    seconds: float
    runs: list[RunResult]
    trace_id: str


def configuration_directory() -> Path:
    """The example configuration: in the installed package, or in the checkout this code belongs to."""
    packaged = Path(str(files("anabranch.console.demo"))) / "organisation"
    if packaged.is_dir():
        return packaged
    return Path(__file__).resolve().parents[5] / "examples" / "organisation" / "config"


class Stage:
    """`directory` holds data/ and out/; `logs` takes one file a process."""

    def __init__(self, directory: Path, database_url: str, redis_url: str, *, key_prefix: str, logs: Path) -> None:
        self.directory = directory
        self.database_url = database_url
        self.surroundings = Surroundings(
            database_url=database_url, redis_url=redis_url, key_prefix=key_prefix, settings=SETTINGS
        )
        self._logs = logs

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def out(self) -> Path:
        return self.directory / "out"

    @contextmanager
    def fleet(self) -> Iterator[LocalFleet]:
        """A scheduler and an import worker of this stage have been started: a cycle begins with them. `reinforce` comes
        next; before they are ready there is time for something else."""
        with LocalFleet(self.directory, self.surroundings, logs=self._logs) as fleet:
            fleet.add(Service.SCHEDULER)
            fleet.add(Service.IMPORT)
            yield fleet

    @staticmethod
    def reinforce(fleet: LocalFleet, *, sync_workers: int) -> None:
        """Those who began are ready; so many sync workers and one export worker join them while they work."""
        fleet.wait_ready()
        fleet.add(Service.SYNC, sync_workers)
        fleet.add(Service.EXPORT)

    async def prepare(self) -> int:
        """The database has its tables and the example configuration; the number of its revision."""
        from anabranch.config.load import load_directory
        from anabranch.connectors.registry import check_options, known_connectors
        from anabranch.store.migrate import migrate

        await migrate(self.database_url)
        declared = load_directory(configuration_directory(), connectors=known_connectors(), check_options=check_options)
        return await self._apply(None, declared, "the example of the documentation")

    async def cut_syncs(self, batch_size: int) -> int:
        """Syncs are cut into batches of so many objects from now on; the number of the revision that says so."""
        async with self.store() as store:
            before = (await store.revision()).configuration
        profiles = {
            key: replace(profile, batch_size=batch_size) if profile.kind is RunKind.DELTA_SYNC else profile
            for key, profile in before.run_profiles.items()
        }
        return await self._apply(before, replace(before, run_profiles=profiles), f"batches of {batch_size}")

    async def _apply(self, before: Configuration | None, after: Configuration, reason: str) -> int:
        from anabranch.config.differences import plan
        from anabranch.config.stamps import rule_stamps

        difference = plan(before, after)
        async with self.store() as store:
            return await store.apply_configuration(
                after,
                rule_stamps(after),
                change_class=difference.change_class or ChangeClass.COSMETIC,
                difference=difference,
                author="demo",
                reason=reason,
            )

    @asynccontextmanager
    async def store(self) -> AsyncIterator[PostgresStore]:
        from anabranch.store.postgres import PostgresStore

        store = await PostgresStore.open(self.database_url, WorkerId(f"demo-{os.getpid()}"), connections=3)
        try:
            yield store
        finally:
            await store.close()

    async def play(self, see: See, now: datetime | None = None) -> CycleResult:
        """One cycle has run to its end. Raises DemoFailed when a run did not complete or its figures do not add up."""
        async with self.store() as store:
            number = await store.start_execution(EXECUTION, "demo", now)
            follower = Follower(store.overview)
            ended: dict[int, RunDetail] = {}
            async for line, runs, looks in follower.follow(number):
                see(line, await _details(store, runs, ended), looks)
                held = next((run for run in runs if run.state is RunState.HELD), None)
                if held is not None:
                    raise DemoFailed(
                        f"{held.profile} is held by a guard, which no week of the example should cause: {held.message}"
                    )
            return await self._result(store, number)

    async def _result(self, store: PostgresStore, number: ExecutionId) -> CycleResult:
        runs = await store.overview.runs_of(number)
        for run in runs:
            if run.state is not RunState.COMPLETED:
                raise DemoFailed(await _what_went_wrong(store, run))
            faults = balance(run.kind, run.totals)
            if faults:
                raise DemoFailed(f"the figures of {run.profile} do not add up: {'; '.join(faults)}")
        begun = min(run.started_at for run in runs if run.started_at is not None)
        ended = max(run.ended_at for run in runs if run.ended_at is not None)
        return CycleResult(
            seconds=(ended - begun).total_seconds(), runs=[_run_result(run) for run in runs], trace_id=runs[0].trace_id
        )

    def file_hash(self) -> dict[str, str]:
        """Target file to the SHA-256 of its bytes: the sibling of the state hash."""
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in self.target_files()}

    def target_files(self) -> list[Path]:
        return sorted(file for file in self.out.iterdir() if file.is_file())

    def copy_files_to(self, other: Stage) -> None:
        """The other stage has the same input and target files."""
        for mine, theirs in ((self.data, other.data), (self.out, other.out)):
            shutil.copytree(mine, theirs)

    async def state_hash(self) -> tuple[str, dict[str, str]]:
        """The hash over everything, and those of its sections."""
        from anabranch.store.pool import connect
        from anabranch.store.state_hash import state_hash

        connections = [await connect(self.database_url, "demo-hash") for _ in range(2)]
        try:
            found = await state_hash(*connections)
            return found.overall, found.sections
        finally:
            for one in connections:
                await one.close()


async def _details(store: PostgresStore, runs: list[RunLine], ended: dict[int, RunDetail]) -> list[RunDetail]:
    """Those of the runs that have started; one that has ended is looked at once."""
    found = []
    for run in runs:
        detail = ended.get(run.run) or (await store.overview.run(run.run) if run.started_at is not None else None)
        if detail is not None:
            found.append(detail)
            if detail.run.state.is_final:
                ended[run.run] = detail
    return found


async def _what_went_wrong(store: PostgresStore, run: RunLine) -> str:
    detail = await store.overview.run(run.run)
    errors = [f"{error.kind} ({error.count}): {error.message}" for error in detail.errors[:5]] if detail else []
    state = f"{run.state.value}, {run.failed_reason}" if run.failed_reason else run.state.value
    return "\n  ".join(filter(None, [f"run {run.run} ({run.profile}) ended {state}:", run.message, *errors]))


def _run_result(run: RunLine) -> RunResult:
    seconds = (run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else 0.0
    return RunResult(
        run=run.run,
        profile=run.profile,
        state=run.state.value,
        processed=run.totals.get("read", run.totals.get("selected", 0)),
        changes=changes_of(run.kind, run.totals),
        totals=run.totals,
        seconds=seconds,
    )
