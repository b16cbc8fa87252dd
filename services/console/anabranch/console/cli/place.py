"""Where the fleet is that a command speaks to.

Flags say it, or the environment, or the file `anabranch up` left in its directory, in this order. Addresses carry
passwords, so they are shown by their host and port alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import click
import msgspec

from anabranch.console.cli.exit_codes import CommandFault, ExitCode

if TYPE_CHECKING:
    from anabranch.bus.redis_streams import RedisBus
    from anabranch.store.pool import Connection
    from anabranch.store.postgres import PostgresStore

DEFAULT_DIRECTORY: Final = Path(".anabranch")
_T = TypeVar("_T")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One fleet: its database and its bus, each None when nothing names it."""

    database_url: str | None
    redis_url: str | None
    key_prefix: str
    directory: Path

    def database(self) -> str:
        """Raises CommandFault when no database is known."""
        if self.database_url is None:
            raise CommandFault(
                f"no database is known: run `anabranch up` here, or give --database-url or ANABRANCH_DATABASE_URL "
                f"(there is no state file in {self.directory})",
                ExitCode.USAGE,
            )
        return self.database_url

    def redis(self) -> str:
        """Raises CommandFault when no Redis is known."""
        if self.redis_url is None:
            raise CommandFault(
                f"no Redis is known: run `anabranch up` here, or give --redis-url or ANABRANCH_REDIS_URL "
                f"(there is no state file in {self.directory})",
                ExitCode.USAGE,
            )
        return self.redis_url


def host_and_port(url: str, usual: int) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "localhost", parts.port or usual


def _secret(name: str) -> str | None:
    """An address from the environment, or from the file the environment names."""
    value = os.environ.get(f"ANABRANCH_{name}")
    if value:
        return value
    path = os.environ.get(f"ANABRANCH_{name}_FILE")
    if not path:
        return None
    from anabranch.config.secret_references import read_secret_file

    try:
        return read_secret_file(Path(path))
    except (OSError, ValueError) as fault:
        raise CommandFault(f"ANABRANCH_{name}_FILE: {path} cannot be read: {fault}", ExitCode.USAGE) from fault


def find_place(database_url: str | None, redis_url: str | None, key_prefix: str | None, directory: Path) -> Place:
    """The fleet that flags, environment and the state file in `directory` name together."""
    database = database_url or _secret("DATABASE_URL")
    redis = redis_url or _secret("REDIS_URL")
    if database is None or redis is None:
        state = _left_by_up(directory)
        if state is not None:
            database, redis = database or state[0], redis or state[1]
    prefix = key_prefix if key_prefix is not None else os.environ.get("ANABRANCH_KEY_PREFIX", "")
    return Place(database_url=database, redis_url=redis, key_prefix=prefix, directory=directory)


def _left_by_up(directory: Path) -> tuple[str, str] | None:
    if not (directory / "servers.json").exists():
        return None
    from anabranch.runtime.local_servers import LocalServers

    state = LocalServers.find_detached(directory)
    if state is None:
        raise CommandFault(f"the servers of {directory} do not run any more; start them with `anabranch up`")
    return state.database_url, state.redis_url


def with_place(command: Callable[..., _T]) -> Callable[..., _T]:
    """The command takes the options that name a fleet and gets a `place`."""

    @click.option("--database-url", metavar="URL", help="PostgreSQL of the fleet.  [env: ANABRANCH_DATABASE_URL]")
    @click.option("--redis-url", metavar="URL", help="Redis of the fleet.  [env: ANABRANCH_REDIS_URL]")
    @click.option("--key-prefix", metavar="TEXT", help="What its keys begin with.  [env: ANABRANCH_KEY_PREFIX]")
    @click.option(
        "--directory",
        type=click.Path(file_okay=False, path_type=Path),
        default=DEFAULT_DIRECTORY,
        show_default=True,
        help="Where `anabranch up` left its state.",
    )
    @wraps(command)
    def wrapped(
        *args: Any, database_url: str | None, redis_url: str | None, key_prefix: str | None, directory: Path, **kw: Any
    ) -> _T:
        return command(*args, place=find_place(database_url, redis_url, key_prefix, directory), **kw)

    return wrapped


def run_async(work: Coroutine[Any, Any, _T]) -> _T:
    """The result of the coroutine, in an event loop of its own."""
    return asyncio.run(work)


@asynccontextmanager
async def connected(place: Place) -> AsyncIterator[Connection]:
    """One connection to a database this program can use. Raises CommandFault when its tables are missing or newer."""
    from anabranch.store.migrate import schema_problems
    from anabranch.store.pool import connect

    connection = await connect(place.database(), f"cli-{os.getpid()}")
    try:
        problems = await schema_problems(connection)
        if problems:
            raise CommandFault(f"{'; '.join(problems)} (`anabranch db migrate`)")
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[PostgresStore]:
    """The store of a database this program can use."""
    from anabranch.model.identity import WorkerId
    from anabranch.store.postgres import PostgresStore

    async with connected(place):
        pass
    store = await PostgresStore.open(place.database(), WorkerId(f"cli-{os.getpid()}"), connections=2)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def on_bus(place: Place) -> AsyncIterator[RedisBus]:
    """The bus, not yet asked anything."""
    from anabranch.bus.redis_streams import RedisBus

    bus = RedisBus(place.redis(), prefix=place.key_prefix)
    try:
        yield bus
    finally:
        await bus.close()
