"""What two databases that went through the same history have in common.

A fleet of many workers, killed and repeated, must leave what one undisturbed worker leaves. Both states are written
out as canonical lines, with names where the database has numbers, and without what depends on who did it and when:
attempts, instants, runs, sequence numbers. Each section has a hash of its own, so that a difference says where to
look.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from anabranch.store.reading_rows import stored_rows
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection

_PREFETCH: Final = 5_000
_REWRITTEN: Final = "hash_exports"
_PARTS: Final = msgspec.json.Decoder(list[Any])
SECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "csos": ("hash_csos",),
    "cso references": ("hash_cso_references",),
    "joins": ("hash_joins",),
    "mvos": ("hash_mvos",),
    "mvo references": ("hash_mvo_references",),
    "pending exports": ("hash_exports", "hash_export_references"),
    "reservations": ("hash_reservations",),
    "open errors and due": ("hash_due_csos", "hash_due_mvos"),
}
"""Section to the statements that write its lines."""


class StateHash(msgspec.Struct, frozen=True):
    """SHA-256 in hex: over everything, and over each section."""

    overall: str
    sections: dict[str, str]


async def state_hash(connection: Connection, *others: Connection) -> StateHash:
    """The hash of one snapshot of the database; nothing is written, memory stays small.

    No connection may be inside a transaction. The `others` share the snapshot and the work: most of it is the server's,
    so a second one on another core nearly halves the time.
    """
    sections: dict[str, str] = {}
    waiting = list(SECTIONS)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        snapshot = await connection.fetchval(sql("share_snapshot")) if others else ""
        await asyncio.gather(
            _digest(connection, waiting, sections), *(_digest_along(one, snapshot, waiting, sections) for one in others)
        )
    overall = sha256("".join(f"{name} {sections[name]}\n" for name in SECTIONS).encode())
    return StateHash(overall.hexdigest(), {name: sections[name] for name in SECTIONS})


async def _digest_along(connection: Connection, snapshot: str, waiting: list[str], sections: dict[str, str]) -> None:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(sql("take_snapshot").replace("@snapshot", snapshot))
        await _digest(connection, waiting, sections)


async def _digest(connection: Connection, waiting: list[str], sections: dict[str, str]) -> None:
    """Waiting sections are taken one by one and hashed, until none is left."""
    await connection.execute("SET LOCAL work_mem = '64MB'")  # wide lines are sorted
    while waiting:
        section = waiting.pop(0)
        digest = sha256()
        for statement in SECTIONS[section]:
            if statement == _REWRITTEN:
                async for line in _rewritten(connection):
                    digest.update(line.encode())
                    digest.update(b"\n")
            else:
                await _stream(connection, statement, digest)
        sections[section] = digest.hexdigest()


async def _stream(connection: Connection, statement: str, digest: Any) -> None:
    """The lines go from the server into the hash as they come. Two characters that JSON never holds as they are stand
    where CSV would quote and separate, so each line arrives as it is, with its end."""

    async def take(data: bytes) -> None:
        digest.update(data)

    await connection.copy_from_query(
        sql(statement), output=take, format="csv", delimiter="\x01", quote="\x02", encoding="utf8"
    )


async def state_lines(connection: Connection, section: str) -> list[str]:
    """The canonical lines of one section, to see where two states differ."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return [line async for line in _lines(connection, section)]


async def _lines(connection: Connection, section: str) -> AsyncIterator[str]:
    for statement in SECTIONS[section]:
        if statement == _REWRITTEN:
            async for line in _rewritten(connection):
                yield line
        else:
            async for row in connection.cursor(sql(statement), prefetch=_PREFETCH):
                yield row[0]


async def _rewritten(connection: Connection) -> AsyncIterator[str]:
    async for row in connection.cursor(sql(_REWRITTEN), prefetch=_PREFETCH):
        yield _with_sorted_rows(row[0])


def _with_sorted_rows(line: str) -> str:
    *fields, all_sent, rows = _PARTS.decode(line)
    plain = stored_rows(msgspec.json.encode(rows).decode(), all_sent=all_sent)
    return msgspec.json.encode([*fields, sorted(plain, key=msgspec.json.encode)]).decode()


async def counts(connection: Connection) -> dict[str, int]:
    """Rows of each data table, and under `change_seq` the last number drawn.

    Equal before and after means that nothing was added, removed or touched.
    """
    return {row["name"]: row["n"] for row in await connection.fetch(sql("count_rows"))}
