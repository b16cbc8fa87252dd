"""Gates: named points in PostgreSQL at which a connection waits until the test lets it go. Nothing here waits for time.

A gate is an advisory lock that the test holds and that whoever comes to the point asks for: when a row is changed, when
a transaction commits, or in the middle of a statement whose snapshot has been taken. `reached` tells for certain who
waits there, so what a test does meanwhile happens exactly in between.

A wire is a point between a client and PostgreSQL: answers can get lost on it, and traffic can stand still in either
direction, as it does when a process is frozen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Final, TypeAlias, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from tests.promises.fleet_keepers import PgFleetKeeper

from anabranch.store.pool import APPLICATION, COMMITTING

PATIENCE: Final = 60.0
_KEYS = count(4_711)
T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_LOCK_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
_AT_GATE = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1::bigint::oid AND NOT granted"
_TRIGGER = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared({key}); RETURN NEW; END $$;
CREATE {kind} {name} {moment} UPDATE ON {table} {deferred} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}();
"""
_CLOCK = """
CREATE OR REPLACE FUNCTION anabranch_now() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF current_setting('application_name') IN ('{names}') THEN
        PERFORM pg_advisory_xact_lock_shared({key});
    END IF;
    RETURN clock_timestamp() + (SELECT ahead FROM test_clock);
END $$
"""


async def all_wait(connection: Connection, n: int) -> None:
    """So many connections wait for a lock."""
    async with asyncio.timeout(PATIENCE):
        while await connection.fetchval(_LOCK_WAITS) < n:  # noqa: ASYNC110 - other processes make the fact
            await asyncio.sleep(0)


async def released_together(
    keeper: PgFleetKeeper, gate: Connection, lock: str, number: object, *calls: Awaitable[T]
) -> list[T]:
    """What the calls gave that were let go at the same moment, all waiting behind one row lock."""
    async with gate.transaction():
        await gate.execute(lock, number)
        tasks = [asyncio.ensure_future(call) for call in calls]
        await all_wait(keeper.connection, len(tasks))
    return await asyncio.gather(*tasks)


class Gate:
    """A gate that is shut until `open`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._key = next(_KEYS)

    async def shut(self) -> None:
        await self._connection.execute("SELECT pg_advisory_lock($1)", self._key)

    async def open(self) -> None:
        """Everybody goes on."""
        await self._connection.execute("SELECT pg_advisory_unlock($1)", self._key)

    async def reached(self, n: int = 1) -> None:
        """So many connections stand at the gate."""
        async with asyncio.timeout(PATIENCE):
            while await self._connection.fetchval(_AT_GATE, self._key) < n:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)

    async def before_update(self, table: str, when: str) -> None:
        """Whoever changes such a row holds its lock and waits."""
        await self._trigger("TRIGGER", "BEFORE", table, when, "")

    async def at_commit(self, table: str, when: str) -> None:
        """Whoever has changed such a row waits inside its COMMIT."""
        await self._trigger("CONSTRAINT TRIGGER", "AFTER", table, when, "DEFERRABLE INITIALLY DEFERRED")

    async def _trigger(self, kind: str, moment: str, table: str, when: str, deferred: str) -> None:
        name = f"gate_{self._key}"
        await self.shut()
        await self._connection.execute(
            _TRIGGER.format(
                name=name, key=self._key, kind=kind, moment=moment, table=table, deferred=deferred, when=when
            )
        )

    async def at_the_clock_of(self, worker: str) -> None:
        """Whatever this worker asks PostgreSQL waits where it first reads the time: its snapshot is taken by then."""
        await self.shut()
        names = "', '".join((APPLICATION + worker, COMMITTING + worker))
        await self._connection.execute(_CLOCK.format(names=names, key=self._key))


class Wire:
    """A relay between a client and PostgreSQL that can lose answers, and with them the connection, or stand still."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: list[asyncio.StreamWriter] = []
        self._thawed = asyncio.Event()
        self.deaf = False
        """The next answer is lost, and the connection ends."""
        self.freezes_after: bytes | None = None
        """What the client says last before it is frozen: from then on it sends nothing and takes nothing."""
        self.frozen = False

    def cut(self) -> None:
        """The client has lost its connection; PostgreSQL does not know it yet."""
        for client in self._clients:
            client.transport.abort()

    def thaw(self) -> None:
        """The client wakes up."""
        self.frozen = False
        self._thawed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.append(writer)
        up_reader, up_writer = await asyncio.open_connection(self._server.hostname, self._server.port)
        pumps = [
            asyncio.ensure_future(self._pump(reader, up_writer)),
            asyncio.ensure_future(self._pump(up_reader, writer, answers=True)),
        ]
        self._tasks.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for side in (writer, up_writer):
            side.close()
            with suppress(ConnectionError):
                await side.wait_closed()
        await asyncio.wait(pumps)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if answers and self.deaf:
                    return
                if self.frozen:
                    await self._thawed.wait()
                if not answers and self.freezes_after is not None and self.freezes_after in data:
                    end = _end_of_statement(data, self.freezes_after)
                    writer.write(data[:end])
                    data, self.freezes_after, self.frozen = data[end:], None, True
                    await self._thawed.wait()
                writer.write(data)
                await writer.drain()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """The address under which clients reach PostgreSQL over this wire."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        account = self._server.netloc.rpartition("@")[0]
        try:
            yield urlunsplit(self._server._replace(netloc=f"{account}@127.0.0.1:{port}"))
        finally:
            self.thaw()
            self.cut()
            server.close()
            await asyncio.gather(*self._tasks, return_exceptions=True)


def _end_of_statement(data: bytes, words: bytes) -> int:
    """Where the simple query that begins with the words ends; without words, where everything ends.

    The driver sends the rows of a COPY right behind the statement, without waiting for an answer.
    """
    if not words:
        return len(data)
    start = data.index(b"Q", max(0, data.index(words) - 5))
    return start + 1 + int.from_bytes(data[start + 1 : start + 5], "big")
