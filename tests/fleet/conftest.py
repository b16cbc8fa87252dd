"""The sites of the fleet tests: one is founded for the whole session, each test gets a copy of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis
from tests.fleet.sites import (
    Ground,
    Outcome,
    Site,
    Template,
    administer,
    configuration,
    copied_site,
    copy_database,
    open_site,
    organisation,
)
from tests.promises.fleet_keepers import PgFleetKeeper, postgres_fleet
from tests.telemetry.judge import Judge, Judgement, is_there, judging

from anabranch.runtime.local_servers import LocalServers
from anabranch.store.overview import RunDetail

SMALL_BATCH = 7


@pytest.fixture(scope="session")
def ground(server_pair: LocalServers, tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[Ground]:
    """Where sites are made; nothing they left in Redis remains after the session."""
    made = Ground(server_pair.database_url, server_pair.redis_url, tmp_path_factory.mktemp("sites"), project_root)
    yield made
    with redis.Redis.from_url(made.redis_url) as client:
        for key in client.scan_iter(match="site_*", count=1000):
            client.delete(key)


@pytest.fixture(scope="session")
def bare(ground: Ground, template_database: str) -> str:
    """The name of a database that has all migrations and nothing else."""
    return urlsplit(template_database).path.removeprefix("/")


@pytest.fixture(scope="session")
def founded(ground: Ground, bare: str) -> Iterator[Template]:
    """An organisation after its first cycle, by one undisturbed worker of each kind; batches will be small from now."""
    name = f"site_{bare.removeprefix('template_')}"
    directory = ground.directory / name

    async def make() -> Outcome:
        await copy_database(ground, bare, name)
        directory.mkdir()
        (directory / "out").mkdir()
        async with open_site(ground, name, directory) as site:
            await site.configure(configuration(ground.project_root, 50, 50))
            site.write(organisation())
            await site.staff()
            await site.cycle()
            await site.configure(configuration(ground.project_root, SMALL_BATCH, 50))
            await asyncio.to_thread(site.fleet.stop)  # gently: a worker found gone would be told of in every copy
            return await site.outcome()

    try:
        yield Template(name, directory, asyncio.run(make()))
    finally:
        asyncio.run(administer(ground, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


class Peace(NamedTuple):
    """The first week as one worker of each kind goes through it in peace, with a collector that listens."""

    outcome: Outcome
    runs: list[RunDetail]
    sums: dict[int, dict[str, int]]
    """Run to the sums of the counters of its batches."""
    batches: set[int]
    """Every batch that was committed during the week."""
    trace: str
    seconds: float
    """How long the cycle took."""
    judgement: Judgement | None
    """What was told about it, as a collector understood it; None where there is none for this platform."""


@pytest.fixture(scope="session")
def peace(ground: Ground, founded: Template, tmp_path_factory: pytest.TempPathFactory) -> Peace:
    """What the first week leaves, and what was told about it."""

    async def play(judge: Judge | None) -> Peace:
        async with copied_site(ground, founded, settings={}) as site:
            site.write(organisation(1))
            await site.staff()
            execution = await site.start(week=1)
            runs = await site.ended(execution)
            line = await site.store.overview.execution(execution)
            assert line is not None
            outcome, sums = await site.outcome(), await site.sums()
            numbers = [run.run.run for run in runs]
            done = await site.connection.fetch(
                "SELECT id FROM batch WHERE state = 'done' AND run_id = ANY($1)", numbers
            )
            await asyncio.to_thread(site.fleet.stop)  # gently: what is still to be told is told at the end
            judgement = judge.end() if judge is not None else None
            assert line.ended_at is not None
            seconds = (line.ended_at - line.requested_at).total_seconds()
            return Peace(outcome, runs, sums, {row["id"] for row in done}, line.trace_id, seconds, judgement)

    with contextlib.ExitStack() as stack:
        judge = stack.enter_context(judging(tmp_path_factory.mktemp("judge"))) if is_there() else None
        if judge is not None:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", judge.endpoint)
        return asyncio.run(play(judge))


@pytest.fixture
async def site(ground: Ground, founded: Template) -> AsyncIterator[Site]:
    """A copy of the founded site whose sources hold the first week; no process runs yet."""
    async with copied_site(ground, founded) as made:
        made.write(organisation(1))
        yield made


@pytest.fixture
def database(clocked_database: str) -> str:
    """The address of a database whose clock can be moved."""
    return clocked_database


@pytest.fixture
async def keeper(database: str) -> AsyncIterator[PgFleetKeeper]:
    """A store on PostgreSQL with a small configuration applied; no process works on it."""
    async with postgres_fleet(database) as made:
        yield made


@pytest.fixture
async def gate(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection of the test's own, to hold locks that others wait for."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()
