"""The servers every live test talks to, and what each test gets of them.

One real PostgreSQL and one real Redis-protocol server live as long as the test session, for each process where several
run the tests. A test gets a database of its own (empty, or a copy of one with all migrations) and a key prefix of its
own, so tests never meet each other's data. Tests that kill servers start a pair for themselves with `LocalServers`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import redis
from tests.databases import MOVABLE_CLOCK, Databases, administer, drop, with_database

from anabranch.runtime.local_servers import LocalServers

_NUMBERS = itertools.count(1)
_SESSION = f"{os.getpid()}_{secrets.token_hex(3)}"  # several sessions may share a server named by the environment


@pytest.fixture(scope="session")
def server_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServers]:
    """A running PostgreSQL and Redis for the whole session; never restarted or killed by a test."""
    with LocalServers(tmp_path_factory.mktemp("servers"), durable=False, purge=True) as servers:
        yield servers


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.fixture
def empty_database(server_pair: LocalServers) -> Iterator[str]:
    """The address of a database without any table, dropped after the test."""
    yield from _created(server_pair.database_url, f"empty_{_SESSION}_{next(_NUMBERS)}")


def _created(server_url: str, name: str) -> Iterator[str]:
    asyncio.run(administer(server_url, f'CREATE DATABASE "{name}" TEMPLATE template0'))
    try:
        yield with_database(server_url, name)
    finally:
        asyncio.run(drop(server_url, name))


@pytest.fixture(scope="session")
def template_database(server_pair: LocalServers) -> Iterator[str]:
    """The address of a database with all migrations, made once; only ever copied, because a copy wants it idle."""
    from anabranch.store.migrate import migrate  # the room is heavy, and pure tests need none of it

    async def prepare(url: str) -> None:
        await migrate(url)

    for url in _created(server_pair.database_url, f"template_{_SESSION}"):
        asyncio.run(prepare(url))
        yield url


@pytest.fixture(scope="session")
def migrated_databases(server_pair: LocalServers, template_database: str) -> Iterator[Databases]:
    """Where `database` comes from."""
    yield from _copies(server_pair.database_url, template_database, "test")


@pytest.fixture(scope="session")
def clocked_databases(server_pair: LocalServers, template_database: str) -> Iterator[Databases]:
    """Where `clocked_database` comes from."""
    yield from _copies(server_pair.database_url, template_database, "clocked", MOVABLE_CLOCK)


def _copies(server_url: str, template_url: str, prefix: str, addition: str = "") -> Iterator[Databases]:
    template = urlsplit(template_url).path.removeprefix("/")
    found = Databases(server_url, template, f"{prefix}_{_SESSION}", addition)
    yield found
    asyncio.run(found.close())


@pytest.fixture
def database(server_pair: LocalServers, migrated_databases: Databases) -> Iterator[str]:
    """The address of a migrated database of this test's own, without any row of another test."""
    yield from _taken(server_pair, migrated_databases)


@pytest.fixture
def clocked_database(server_pair: LocalServers, clocked_databases: Databases) -> Iterator[str]:
    """The same, with a clock that is as far ahead as the only row of its table `test_clock` says."""
    yield from _taken(server_pair, clocked_databases)


def _taken(servers: LocalServers, databases: Databases) -> Iterator[str]:
    name = asyncio.run(databases.take())
    yield with_database(servers.database_url, name)
    asyncio.run(databases.give_back(name))


# --- Redis -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def redis_url(server_pair: LocalServers) -> str:
    """The address of the session's Redis; use only keys below `key_prefix`."""
    return server_pair.redis_url


@pytest.fixture
def key_prefix(redis_url: str) -> Iterator[str]:
    """A prefix no other test uses, such as `t4711_a1b2c3_7:`; its keys are removed after the test."""
    prefix = f"t{_SESSION}_{next(_NUMBERS)}:"
    yield prefix
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter(match=f"{prefix}*", count=1000):
            client.delete(key)


class LeakCheck(NamedTuple):
    """Tells which keys of a test would stay in Redis for ever."""

    url: str
    prefix: str

    def keys_for_ever(self) -> list[str]:
        """The keys below the prefix that have no time to live, in order."""
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return sorted(key for key in client.scan_iter(match=f"{self.prefix}*") if client.ttl(key) == -1)

    def assert_none(self, *allowed: str) -> None:
        """Fails when a key without expiry remains, apart from those whose name after the prefix is allowed."""
        left = [key for key in self.keys_for_ever() if key.removeprefix(self.prefix) not in allowed]
        assert not left, f"these keys would stay in Redis for ever: {', '.join(left)}"


@pytest.fixture
def leak_check(redis_url: str, key_prefix: str) -> LeakCheck:
    """Call `leak_check.assert_none()` at the end of a test that cleans up after itself."""
    return LeakCheck(redis_url, key_prefix)


# --- Several processes ------------------------------------------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With `-n 2` tests are divided by file, the long ones first; each process has its own servers."""
    from tests.parallel import scheduler

    return scheduler(config, log)


# --- Places ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout these tests belong to."""
    return Path(__file__).resolve().parents[1]
