"""One place where cycles are measured: private servers, a real fleet, one source, one target that confirms itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from tests.bench.meters import cpu_seconds, family_seconds, peak_mebibytes
from tests.bench.people import COLUMNS

from anabranch.config.differences import plan
from anabranch.config.load import load_directory
from anabranch.config.stamps import rule_stamps
from anabranch.connectors.registry import check_options, known_connectors
from anabranch.console.local_fleet import LocalFleet, Service, Surroundings
from anabranch.model.enums import ChangeClass, RunState
from anabranch.model.identity import WorkerId
from anabranch.protocol.accounting import balance
from anabranch.runtime.local_servers import LocalServers
from anabranch.store.migrate import migrate
from anabranch.store.postgres import PostgresStore

CONFIGURATION: Final = Path(__file__).parent / "config"
ROLES: Final = (Service.SCHEDULER, Service.IMPORT, Service.SYNC, Service.EXPORT)
_PATIENCE: Final = 3600.0


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """What one cycle came to: wall seconds, processor seconds and peak MiB by role, wall seconds by step, counters."""

    seconds: float
    cpu: dict[str, float]
    peak: dict[str, float]
    steps: dict[str, float]
    totals: dict[str, dict[str, int]]


class Place:
    """A directory with servers and a fleet; `measured_copy` and `cycle` may be called as often as wished."""

    def __init__(self, directory: Path, servers: LocalServers, fleet: LocalFleet) -> None:
        self.directory = directory
        self.source = directory / "data" / "people.csv"
        self.target = directory / "out" / "accounts.csv"
        self._servers = servers
        self._fleet = fleet

    @property
    def database_url(self) -> str:
        return self._servers.database_url

    def measured_copy(self) -> float:
        """F: the seconds in which PostgreSQL copies the source file into a bare logged table of as many columns."""
        return asyncio.run(self._copy())

    async def _copy(self) -> float:
        connection = await asyncpg.connect(self._servers.database_url)
        try:
            columns = ", ".join(f'"{name}" text' for name in COLUMNS)
            await connection.execute(f"DROP TABLE IF EXISTS bench_copy; CREATE TABLE bench_copy ({columns})")
            begun = time.monotonic()
            await connection.copy_to_table("bench_copy", source=self.source, format="csv", header=True)
            taken = time.monotonic() - begun
            await connection.execute("DROP TABLE bench_copy")
            return taken
        finally:
            await connection.close()

    def cycle(self) -> Cycle:
        """One whole cycle has run to its end, every run completed and its figures adding up."""
        before = self._cpu()
        begun = time.monotonic()
        execution = asyncio.run(self._run())
        seconds = time.monotonic() - begun
        cpu = {role: used - before[role] for role, used in self._cpu().items()}
        peak = {role.slug: peak_mebibytes(one.pid for one in self._fleet.running(role)) for role in ROLES}
        steps, totals = asyncio.run(self._told(execution))
        return Cycle(seconds=seconds, cpu=cpu, peak=peak, steps=steps, totals=totals)

    async def _run(self) -> int:
        store = await PostgresStore.open(self._servers.database_url, WorkerId("bench"), connections=1)
        try:
            execution = await store.start_execution("cycle", "bench", None)
            async with asyncio.timeout(_PATIENCE):
                while True:
                    line = await store.overview.execution(execution)
                    if line is not None and line.ended_at is not None:
                        return execution
                    await asyncio.sleep(0.1)
        finally:
            await store.close()

    async def _told(self, execution: int) -> tuple[dict[str, float], dict[str, dict[str, int]]]:
        store = await PostgresStore.open(self._servers.database_url, WorkerId("bench"), connections=1)
        try:
            steps: dict[str, float] = {}
            totals: dict[str, dict[str, int]] = {}
            for run in await store.overview.runs_of(execution):  # type: ignore[arg-type]
                faults = balance(run.kind, run.totals)
                if run.state is not RunState.COMPLETED or faults:
                    raise RuntimeError(f"{run.profile} ended {run.state.value}: {run.message} {faults}")
                totals[run.profile] = run.totals
                detail = await store.overview.run(run.run)
                for step in detail.steps if detail is not None else ():
                    if step.closed_at is not None:
                        steps[f"{run.profile} {step.name}"] = (step.closed_at - step.opened_at).total_seconds()
            return steps, totals
        finally:
            await store.close()

    def _cpu(self) -> dict[str, float]:
        used = {role.slug: sum(cpu_seconds(one.pid) for one in self._fleet.running(role)) for role in ROLES}
        postgres, redis = self._servers.postgres_pid, self._servers.redis_pid
        used["postgres"] = family_seconds(postgres) if postgres is not None else 0.0
        used["redis"] = cpu_seconds(redis) if redis is not None else 0.0
        return used


@contextmanager
def open_place(directory: Path, *, sync_workers: int = 2, batch_size: int | None = None) -> Iterator[Place]:
    """Private servers and a fleet of one scheduler, one import, some sync and one export worker; gone at the end."""
    (directory / "out").mkdir(parents=True)
    with LocalServers(directory / "servers", durable=True, purge=True) as servers:
        asyncio.run(_prepare(servers.database_url, batch_size))
        surroundings = Surroundings(
            database_url=servers.database_url, redis_url=servers.redis_url, settings={"idle_poll_seconds": "1"}
        )
        with LocalFleet(directory, surroundings, logs=directory / "logs") as fleet:
            for role in ROLES:
                fleet.add(role, sync_workers if role is Service.SYNC else 1)
            fleet.wait_ready()
            yield Place(directory, servers, fleet)


async def _prepare(database_url: str, batch_size: int | None) -> None:
    await migrate(database_url)
    declared = load_directory(CONFIGURATION, connectors=known_connectors(), check_options=check_options)
    if batch_size is not None:
        profiles = {
            key: msgspec.structs.replace(one, batch_size=batch_size) for key, one in declared.run_profiles.items()
        }
        declared = msgspec.structs.replace(declared, run_profiles=profiles)
    difference = plan(None, declared)
    store = await PostgresStore.open(database_url, WorkerId("bench"), connections=1)
    try:
        await store.apply_configuration(
            declared,
            rule_stamps(declared),
            change_class=difference.change_class or ChangeClass.COSMETIC,
            difference=difference,
            author="bench",
            reason="measuring",
        )
    finally:
        await store.close()
