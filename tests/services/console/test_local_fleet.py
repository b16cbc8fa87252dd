"""A fleet on this machine: real processes on real servers, and none of them outlives its owner."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from anabranch.console.local_fleet import FleetError, LocalFleet, Service, Surroundings
from anabranch.runtime.server_process import ProcessIdentity, wait_until
from anabranch.store.databases import copy_database

OWNER = """
import sys
from pathlib import Path
import msgspec
from anabranch.console.local_fleet import LocalFleet, Service, Surroundings

surroundings = msgspec.json.decode(sys.argv[2].encode(), type=Surroundings)
fleet = LocalFleet(Path(sys.argv[1]), surroundings)
members = fleet.add(Service.SCHEDULER) + fleet.add(Service.SYNC)
fleet.wait_ready()
print(msgspec.json.encode([member.identity for member in members]).decode(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def surroundings(database: str, redis_url: str, key_prefix: str) -> Surroundings:
    return Surroundings(
        database_url=database, redis_url=redis_url, key_prefix=key_prefix, settings={"drain_seconds": "5"}
    )


@pytest.fixture
def fleet(tmp_path: Path, surroundings: Surroundings) -> Iterator[LocalFleet]:
    with LocalFleet(tmp_path, surroundings) as fleet:
        yield fleet


def test_a_fleet_is_ready_when_each_process_beats(fleet: LocalFleet) -> None:
    fleet.add(Service.SCHEDULER)
    fleet.add(Service.IMPORT)
    fleet.wait_ready()
    assert [member.name for member in fleet.running()] == ["scheduler-1", "import-worker-1"]


def test_a_killed_worker_can_be_replaced_and_a_drained_one_is_gone(fleet: LocalFleet) -> None:
    fleet.add(Service.SYNC, 2)
    fleet.wait_ready()
    killed = fleet.kill("sync-worker-1")
    fleet.remove("sync-worker-2")
    (replaced,) = fleet.add(Service.SYNC)
    fleet.wait_ready()
    assert not killed.is_running()
    assert [member.pid for member in fleet.running(Service.SYNC)] == [replaced.pid]


def test_a_fleet_that_stood_still_while_its_database_was_copied_works_on(
    fleet: LocalFleet, surroundings: Surroundings
) -> None:
    members = fleet.add(Service.SCHEDULER) + fleet.add(Service.SYNC)
    fleet.wait_ready()
    name = f"{urlsplit(surroundings.database_url).path.removeprefix('/')}_still"
    with fleet.frozen():
        assert wait_until(lambda: all(_is_stopped(member.pid) for member in members), 10)
        asyncio.run(copy_database(surroundings.database_url, name))
        copied = _asked(surroundings.database_url, "SELECT clock_timestamp()")
    try:
        beating = "SELECT count(*) FROM worker WHERE last_beat > $1 AND state = 'running'"
        assert wait_until(lambda: _asked(surroundings.database_url, beating, copied) == len(members), 30)
        assert [member.is_running() for member in members] == [True, True]
    finally:
        _asked(surroundings.database_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def _is_stopped(pid: int) -> bool:
    """Where the kernel tells: elsewhere it is believed."""
    stat = Path(f"/proc/{pid}/stat")
    return not Path("/proc/self/stat").exists() or stat.read_text().rpartition(")")[2].split()[0] == "T"


def _asked(url: str, query: str, *arguments: object) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_a_drained_worker_says_that_it_has_ended(fleet: LocalFleet) -> None:
    (member,) = fleet.add(Service.EXPORT)
    fleet.wait_ready()
    fleet.remove(member.name)
    assert "has ended" in Path(member.log).read_text(encoding="utf-8")


def test_a_process_that_cannot_start_is_told_with_the_end_of_its_log(
    tmp_path: Path, surroundings: Surroundings
) -> None:
    wrong = msgspec.structs.replace(surroundings, settings={"lease_seconds": "for ever"})
    with LocalFleet(tmp_path, wrong) as fleet:
        fleet.add(Service.SYNC)
        with pytest.raises(FleetError, match=r"(?s)sync-worker-1 has ended.*LEASE_SECONDS"):
            fleet.wait_ready(30)


def test_variables_that_no_service_knows_do_not_reach_it(surroundings: Surroundings) -> None:
    single = {"ANABRANCH_HEALTH_PORT": "80", "ANABRANCH_ALIVE_FILE": "/tmp/alive"}  # noqa: S108 - a name, not a file
    theirs = surroundings.environment(
        {"PATH": "/bin", "ANABRANCH_AUTHOR": "A", "ANABRANCH_LOG_LEVEL": "debug"} | single
    )
    known = {"ANABRANCH_DATABASE_URL", "ANABRANCH_REDIS_URL", "ANABRANCH_KEY_PREFIX", "ANABRANCH_DRAIN_SECONDS"}
    assert {name for name in theirs if name.startswith("ANABRANCH_")} == known | {"ANABRANCH_LOG_LEVEL"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_no_process_outlives_its_owner(tmp_path: Path, surroundings: Surroundings, number: int) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = msgspec.json.encode(surroundings).decode()
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), told],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as owner:
        assert owner.stdout is not None
        members = msgspec.json.decode(owner.stdout.readline(), type=list[ProcessIdentity])
        assert [member.is_running() for member in members] == [True, True]
        owner.send_signal(number)
    assert wait_until(lambda: not any(member.is_running() for member in members), 10)
