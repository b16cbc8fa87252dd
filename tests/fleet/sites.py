"""Sites: a small organisation, a database of its own, and real processes at work on it.

A site is made once from nothing (`founding`) and copied for every test, database and files, so that a test begins where
something can already be changed, moved and deleted. Whatever a test does to the processes of its site, they are gone
when it ends. Nothing here waits for time: every wait is for a fact in the database and fails at its deadline.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from msgspec.structs import replace

from anabranch.config.differences import plan
from anabranch.config.load import load_directory
from anabranch.config.stamps import rule_stamps
from anabranch.connectors.registry import check_options, known_connectors
from anabranch.console.demo.generator import Organisation, found, next_week, write
from anabranch.console.local_fleet import FleetMember, LocalFleet, Service, Surroundings
from anabranch.model.configuration import Configuration, GuardLimit
from anabranch.model.enums import ChangeClass, GuardPoint, RunState
from anabranch.model.identity import ExecutionId, WorkerId
from anabranch.store.inspection import Inspection, LeasedBatch
from anabranch.store.overview import ExecutionLine, RunDetail
from anabranch.store.pool import connect
from anabranch.store.postgres import PostgresStore
from anabranch.store.state_hash import SECTIONS, counts, state_hash, state_lines

PEOPLE: Final = 240
SEED: Final = 11
FIRST: Final = datetime(2026, 1, 5, 6, tzinfo=UTC)
LEASE: Final = 1.0
SETTINGS: Final = {
    "lease_seconds": str(LEASE),
    "sweep_seconds": "0.1",
    "idle_poll_seconds": "0.5",
    "drain_seconds": "15",
}
PATIENCE: Final = 150.0
CYCLE: Final = "cycle"
_NUMBERS = count(1)
T = TypeVar("T")


class Outcome(NamedTuple):
    """What a cycle leaves: the state hash with its sections, and the target files by name."""

    state: str
    sections: dict[str, str]
    files: dict[str, str]


def organisation(weeks: int = 0) -> Organisation:
    """The same people for ever; in the first week one in twelve gets another telephone number."""
    made = found(PEOPLE, SEED)
    for week in range(1, weeks + 1):
        made, _ = next_week(made, SEED, week, new_phones=0.08)
    return made


def configuration(project_root: Path, batch_size: int, page_size: int) -> Configuration:
    """The example of the documentation with other batch and page sizes, and room for a small organisation's changes:
    a new head of one of four teams is a change of a quarter of all accounts."""
    declared = load_directory(
        project_root / "examples" / "organisation" / "config",
        connectors=known_connectors(),
        check_options=check_options,
    )
    profiles = {
        key: replace(profile, batch_size=batch_size, page_size=page_size)
        for key, profile in declared.run_profiles.items()
    }
    roomy = {GuardPoint.EXPORT_WRITES: GuardLimit(max_percent=80)}
    systems = {key: replace(system, guards={**system.guards, **roomy}) for key, system in declared.systems.items()}
    return replace(declared, run_profiles=profiles, systems=systems)


class Site:
    """One place with its processes; made by `open_site`, which ends them."""

    def __init__(
        self, directory: Path, surroundings: Surroundings, store: PostgresStore, connection: asyncpg.Connection[Any]
    ) -> None:
        self.directory = directory
        self.surroundings = surroundings
        self.store = store
        self.connection = connection
        self.fleet = LocalFleet(directory, surroundings, logs=directory / "logs")
        self.inspection = Inspection(connection)

    # --- what it is made of

    async def configure(self, declared: Configuration) -> None:
        """The configuration is the newest revision."""
        found_change = plan(None, declared)
        await self.store.apply_configuration(
            declared,
            rule_stamps(declared),
            change_class=found_change.change_class or ChangeClass.COSMETIC,
            difference=[],
            author="tester",
        )

    def write(self, made: Organisation) -> None:
        """The sources hold this organisation."""
        write(made, self.directory / "data")

    async def staff(self, *, sync: int = 1, imports: int = 1, exports: int = 1, schedulers: int = 1) -> None:
        """So many processes of each kind work."""
        self.fleet.add(Service.SCHEDULER, schedulers)
        self.fleet.add(Service.IMPORT, imports)
        self.fleet.add(Service.SYNC, sync)
        self.fleet.add(Service.EXPORT, exports)
        await self.ready()

    async def ready(self) -> None:
        """Every process that was added works."""
        await asyncio.to_thread(self.fleet.wait_ready)

    # --- what happens there

    async def start(self, name: str = CYCLE, week: int = 0) -> ExecutionId:
        """The execution is queued, for the moment its week has."""
        return await self.store.start_execution(name, "tester", FIRST + timedelta(weeks=week))

    async def ended(self, execution: ExecutionId) -> list[RunDetail]:
        """The runs of the execution once all of them are completed; a hold or another end fails at once."""
        runs = await self.finished(execution, hold_is_failure=True)
        told = [(run.run.profile, run.run.state.value, run.run.message, run.errors[:3]) for run in runs]
        assert all(run.run.state is RunState.COMPLETED for run in runs), told
        return runs

    async def finished(self, execution: ExecutionId, *, hold_is_failure: bool = False) -> list[RunDetail]:
        """The runs of the execution once it has ended, however."""

        async def over() -> ExecutionLine | None:
            line = await self.store.overview.execution(execution)
            holds = await self.store.overview.holds() if hold_is_failure else []
            assert not holds, f"a guard holds run {holds[0].run}: {holds[0].findings}"
            return line if line is not None and line.ended_at is not None else None

        await self.until(over, f"execution {execution} has ended")
        return await self.runs(execution)

    async def cycle(self, week: int = 0) -> list[RunDetail]:
        """A whole cycle has run to its end."""
        return await self.ended(await self.start(week=week))

    async def runs(self, execution: ExecutionId) -> list[RunDetail]:
        lines = await self.store.overview.runs_of(execution)
        details = [await self.store.overview.run(line.run) for line in lines]
        return [detail for detail in details if detail is not None]

    async def until(self, fact: Callable[[], Awaitable[T | None]], words: str, seconds: float = PATIENCE) -> T:
        """What `fact` gives once it gives something; fails with everything unfinished when it never does."""
        try:
            async with asyncio.timeout(seconds):
                while (found_fact := await fact()) is None:  # noqa: ASYNC110 - the fact is made by other processes
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"never true: {words}\n{await self._unfinished()}") from None
        return found_fact

    async def row(self, statement: str, *arguments: object) -> asyncpg.Record | None:
        """The one row of a statement; a fact to wait for."""
        return await self.connection.fetchrow(statement, *arguments)

    async def exit_code(self, member: FleetMember, seconds: float = PATIENCE) -> int:
        """What the process ended with, by itself; minus the signal when one ended it."""

        async def ended() -> os.waitid_result | None:
            return os.waitid(os.P_PID, member.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # noqa: ASYNC222 - never blocks

        found_end = await self.until(ended, f"{member.name} has ended", seconds)
        return found_end.si_status if found_end.si_code == os.CLD_EXITED else -found_end.si_status

    async def caught(self, service: Service, step: str | None = None, role: str = "work") -> Caught:
        """A process of that kind is frozen with a batch in its hands, of that step where one is named."""

        async def holder() -> Caught | None:
            for held in await self.inspection.leased():
                member = next((one for one in self.fleet.running(service) if one.pid == held.pid), None)
                if member is None or held.role != role or step not in (None, held.step):
                    continue
                member.identity.signal(signal.SIGSTOP)
                if any(one.claim == held.claim for one in await self.inspection.leased()):
                    return Caught(member, held)
                member.identity.signal(signal.SIGCONT)
            return None

        return await self.until(holder, f"a {service} holds a batch of {step or 'any step'}")

    # --- what became of it

    async def outcome(self) -> Outcome:
        found_hash = await state_hash(self.connection)
        return Outcome(found_hash.overall, found_hash.sections, self.files())

    def files(self) -> dict[str, str]:
        """Target file to the SHA-256 of its bytes; a temporary file left behind is one of them."""
        return {
            file.name: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted((self.directory / "out").iterdir())
        }

    def moments(self) -> dict[str, int]:
        """Target file to the nanosecond it was last written."""
        return {file.name: file.stat().st_mtime_ns for file in (self.directory / "out").iterdir()}

    async def sums(self) -> dict[int, dict[str, int]]:
        """Run to the sums of the counters of its committed batches."""
        rows = await self.connection.fetch(
            "SELECT run_id, key, sum(value::bigint)::bigint AS n"
            "  FROM batch, jsonb_each_text(counters) GROUP BY run_id, key"
        )
        found_sums: dict[int, dict[str, int]] = {}
        for row in rows:
            found_sums.setdefault(row["run_id"], {})[row["key"]] = row["n"]
        return found_sums

    async def counts(self) -> dict[str, int]:
        return await counts(self.connection)

    async def lines(self) -> dict[str, list[str]]:
        """The canonical lines of each section, to see where two states differ."""
        return {section: await state_lines(self.connection, section) for section in SECTIONS}

    async def _unfinished(self) -> str:
        rows = await self.connection.fetch(
            "SELECT b.id, b.run_id, s.name, b.n, b.role, b.state, b.epoch, b.owner, b.failures, b.losses, b.error"
            " FROM batch b JOIN run_step s USING (run_id, ordinal)"
            " WHERE b.state IN ('ready', 'leased', 'blocked', 'dead')"
            " ORDER BY b.id"
        )
        runs = await self.connection.fetch("SELECT id, profile, state, message FROM run ORDER BY id")
        return "\n".join(str(dict(row)) for row in [*runs, *rows[:20]])


class Caught(NamedTuple):
    """A frozen process and the batch it holds."""

    member: FleetMember
    batch: LeasedBatch

    def thaw(self) -> None:
        """The process goes on where it was."""
        self.member.identity.signal(signal.SIGCONT)


# --- places ----------------------------------------------------------------------------------------------------------


class Ground(NamedTuple):
    """Where sites are made: both servers, a directory, and the example's checkout."""

    server_url: str
    redis_url: str
    directory: Path
    project_root: Path


class Template(NamedTuple):
    """A site that is only copied: nobody is connected to its database."""

    database: str
    directory: Path
    outcome: Outcome


@asynccontextmanager
async def new_database(ground: Ground, template: str) -> AsyncIterator[str]:
    """A copy of the database `template`; gone at the end."""
    name = f"{template[:40]}_{next(_NUMBERS)}"
    await copy_database(ground, template, name)
    try:
        yield name
    finally:
        await administer(ground, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def copy_database(ground: Ground, template: str, name: str) -> None:
    """The copy exists; whoever was still connected to the original is not any more."""
    administrator = await asyncpg.connect(ground.server_url)
    try:
        await administrator.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", template
        )
        await administrator.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await administrator.close()


async def administer(ground: Ground, statement: str) -> None:
    administrator = await asyncpg.connect(ground.server_url)
    try:
        await administrator.execute(statement)
    finally:
        await administrator.close()


@asynccontextmanager
async def open_site(
    ground: Ground, database: str, directory: Path, *, redis_url: str = "", settings: Mapping[str, str] | None = None
) -> AsyncIterator[Site]:
    """A site over an existing database and directory; its processes are gone at the end, whatever state they are in."""
    url = urlunsplit(urlsplit(ground.server_url)._replace(path=f"/{database}"))
    surroundings = Surroundings(
        database_url=url,
        redis_url=redis_url or ground.redis_url,
        key_prefix=f"{database}:",
        settings={**SETTINGS, **(settings or {})},
    )
    store = await PostgresStore.open(url, WorkerId("tester"), connections=3)
    connection = await connect(url, "tester")
    site = Site(directory, surroundings, store, connection)
    try:
        yield site
    finally:
        await asyncio.to_thread(site.fleet.stop, drain_seconds=0.0)
        await connection.close()
        await store.close()


@asynccontextmanager
async def copied_site(
    ground: Ground, template: Template, *, redis_url: str = "", settings: Mapping[str, str] | None = None
) -> AsyncIterator[Site]:
    """A site of a test's own that is as the template was."""
    async with new_database(ground, template.database) as database:
        directory = ground.directory / database
        shutil.copytree(template.directory, directory, ignore=shutil.ignore_patterns("logs"))
        async with open_site(ground, database, directory, redis_url=redis_url, settings=settings) as site:
            yield site
