"""Connections to PostgreSQL, all alike.

Each connection says in `application_name` whose it is, because a peer must be able to end the transaction of a worker
that froze inside it. JSON travels as text and JSONB in its binary form, both written and read by msgspec, so a document
is never parsed twice. Limits that must hold through a pooler are not set here but by `SET LOCAL` inside each
transaction; what is set here (keep-alive of the socket) only makes a dead peer be noticed sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg
import msgspec

from anabranch.model.errors import Permanent
from anabranch.store.faults import translated

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Executor: TypeAlias = Pool | Connection
    """Whatever runs a statement: the pool (each statement on any connection) or one connection."""

APPLICATION: Final = "anabranch/"
COMMITTING: Final = "anabranch-commit/"
"""The name of a connection while it is inside a batch's transaction; `SET LOCAL` gives it back at the end."""
MAX_WORKER_ID: Final = 63 - len(COMMITTING)
"""PostgreSQL cuts `application_name` at 63 bytes, and a cut name could belong to two workers."""

_CONNECT_SECONDS: Final = 10.0
_COMMAND_SECONDS: Final = 300.0
_SOCKET: Final = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "3", "tcp_keepalives_count": "3"}
_PLANS: Final = {"plan_cache_mode": "force_custom_plan"}
"""Tables grow from nothing to millions of rows within a run; a plan kept from its start would scan them for ever."""


_json = msgspec.json.Encoder(order="sorted")
"""Equal documents are equal texts, whatever order they came to be in."""


def _encode_jsonb(value: Any) -> bytes:
    return b"\x01" + _json.encode(value)


def _decode_jsonb(data: bytes) -> Any:
    return msgspec.json.decode(memoryview(data)[1:])


async def prepare_connection(connection: Connection) -> None:
    """JSON and JSONB parameters and columns of this connection are Python values (or `msgspec.Raw` on the way in)."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary"
    )
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=_json.encode, decoder=msgspec.json.decode, format="binary"
    )


def _settings(owner: str) -> dict[str, str]:
    if len(owner.encode()) > MAX_WORKER_ID:
        raise Permanent(
            f"worker id {owner!r} has more than {MAX_WORKER_ID} bytes: PostgreSQL would cut it; choose a shorter one"
        )
    return {"application_name": APPLICATION + owner, **_SOCKET, **_PLANS}


async def connect(url: str, owner: str) -> asyncpg.Connection[asyncpg.Record]:
    """One connection of its own. Raises StoreUnavailable when the server gives none within 10 seconds."""
    with translated("connect", connecting=True):
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            url, timeout=_CONNECT_SECONDS, command_timeout=_COMMAND_SECONDS, server_settings=_settings(owner)
        )
        await prepare_connection(connection)
    return connection


async def _as_it_is(_: Connection) -> None:
    """A connection goes back to its pool without a word to the server: nothing of ours sets a session or locks in it,
    and the pool itself rolls back what was left open."""


async def open_pool(url: str, owner: str, *, least: int = 1, most: int = 8) -> Pool:
    """A pool of prepared connections; `owner` is the worker's id. Raises StoreUnavailable when the server is away."""
    with translated("connect", connecting=True):
        return await asyncpg.create_pool(
            url,
            min_size=least,
            max_size=most,
            timeout=_CONNECT_SECONDS,
            command_timeout=_COMMAND_SECONDS,
            statement_cache_size=400,
            server_settings=_settings(owner),
            init=prepare_connection,
            reset=_as_it_is,
        )


async def one_row(executor: Executor, statement: str, *arguments: Any) -> asyncpg.Record:
    """The first row of a statement that always has one. Raises LookupError when there is none: our own fault."""
    row = await executor.fetchrow(statement, *arguments)
    if row is None:
        raise LookupError(f"no row from: {statement[:80]}")
    return row
