"""The schema of a database, step by step.

Each numbered file of `migrations/` is applied once, in order, in a transaction together with the row that says so; an
advisory lock lets several starting processes meet here without harm. A database that is ahead of this program is
refused rather than guessed at: a newer program has already changed it.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from anabranch.model.errors import Permanent
from anabranch.store.pool import connect, one_row
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection

OLDEST_SERVER: Final = 15
_IN_THE_WAY: Final = (
    asyncpg.DependentObjectsStillExistError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.UndefinedObjectError,
    asyncpg.UndefinedFunctionError,
)
"""What PostgreSQL says when a table cannot be changed because of something that stands on it."""
_NAME: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class Migration(NamedTuple):
    """One numbered step of the schema."""

    version: int
    name: str
    text: str


def migrations() -> list[Migration]:
    """All steps this program knows, in order of their number."""
    found = []
    for file in (files(__package__) / "migrations").iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    return sorted(found)


async def migrate(url: str) -> list[str]:
    """The database has every table this program needs; the answer names the migrations that were applied now.

    Raises:
        Permanent: the server is older than PostgreSQL 15, or the database is at a newer schema than this program.
        StoreUnavailable: the server does not answer.
    """
    connection = await connect(url, "migrate")
    try:
        _refuse_old_server(connection)
        async with _alone(connection):
            return [f"{step.version:04}_{step.name}" for step in await _apply_missing(connection)]
    finally:
        await connection.close()


def _refuse_old_server(connection: Connection) -> None:
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        raise Permanent(
            f"PostgreSQL {version.major}.{version.minor} is too old: {OLDEST_SERVER} or newer is needed; "
            "upgrade the server or name another one"
        )


class _alone:  # noqa: N801  (reads as a phrase: `async with _alone(connection)`)
    """No other process migrates this database inside the block."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        await self._connection.execute(sql("lock_migrations"))

    async def __aexit__(self, *_: object) -> None:
        if not self._connection.is_closed():
            await self._connection.execute(sql("unlock_migrations"))


async def _apply_missing(connection: Connection) -> list[Migration]:
    await connection.execute(sql("create_schema_migration"))
    applied = {row["version"] for row in await connection.fetch(sql("list_migrations"))}
    known = migrations()
    refuse_newer(applied, known)
    missing = [step for step in known if step.version not in applied]
    for step in missing:
        try:
            async with connection.transaction():
                await connection.execute(step.text)
                await connection.execute(sql("record_migration"), step.version, step.name)
        except asyncpg.RaiseError as refused:  # the step itself says why it cannot be done now
            raise Permanent(f"schema {step.version:04} cannot be applied: {refused}") from refused
        except _IN_THE_WAY as found:
            detail = f" ({found.detail})" if found.detail else ""
            raise Permanent(
                f"schema {step.version:04} cannot be applied, and nothing of it was: {found.message}{detail}; "
                "drop what you have made over the tables of anabranch (an index, a view), migrate, and make it anew"
            ) from found
    return missing


def refuse_newer(applied: set[int], known: list[Migration]) -> None:
    """Raises Permanent when the database carries a step this program has never heard of."""
    newest = known[-1].version
    ahead = sorted(version for version in applied if version > newest)
    if ahead:
        raise Permanent(
            f"the database is at schema {ahead[-1]:04}, this program knows {newest:04}: "
            "a newer anabranch has changed it; upgrade this program"
        )


async def check(url: str) -> list[str]:
    """One sentence for each reason why this database must not be used by the fleet; empty when it may.

    Raises StoreUnavailable when the server does not answer.
    """
    first = await connect(url, "doctor")
    try:
        second = await connect(url, "doctor")
        try:
            return [*_server_problems(first), *await _setting_problems(first), *await _pooler_problems(first, second)]
        finally:
            await second.close()
    finally:
        await first.close()


def _server_problems(connection: Connection) -> list[str]:
    try:
        _refuse_old_server(connection)
    except Permanent as error:
        return [str(error)]
    return []


async def _setting_problems(connection: Connection) -> list[str]:
    row = await one_row(connection, sql("read_server_settings"))
    problems = []
    if row["synchronous_commit"] == "off":
        problems.append(
            "synchronous_commit is off: a crash of the server would forget commits the fleet has built upon; "
            "set it to on (or local) for this database"
        )
    if row["server_encoding"] != "UTF8":
        problems.append(f"the database is encoded in {row['server_encoding']}: create it with ENCODING 'UTF8'")
    if row["in_recovery"]:
        problems.append("the server is a standby and takes no writes: name the primary")
    return [*problems, *await schema_problems(connection)]


async def schema_problems(connection: Connection) -> list[str]:
    """One sentence for each reason why this program cannot use the tables of this database; empty when it can."""
    try:
        applied = {row["version"] for row in await connection.fetch(sql("list_migrations"))}
    except asyncpg.UndefinedTableError:
        return ["the database has no schema of anabranch yet: migrate it first"]
    known = migrations()
    try:
        refuse_newer(applied, known)
    except Permanent as error:
        return [str(error)]
    missing = [f"{step.version:04}_{step.name}" for step in known if step.version not in applied]
    return [f"the database lacks {', '.join(missing)}: migrate it"] if missing else []


async def _pooler_problems(first: Connection, second: Connection) -> list[str]:
    """A pooler that hands out a server per transaction gives the idle server of `first` to `second`."""
    before = await first.fetchval(sql("mark_session"))
    async with second.transaction():
        await second.fetchval(sql("read_backend"))
        after = await one_row(first, sql("read_session_mark"))
    if after["pid"] == before and after["mark"] == "kept":
        return []
    return [
        "a connection pooler in transaction mode stands before PostgreSQL: it loses what a session is set to; "
        "connect directly, or use the pooler in session mode"
    ]
