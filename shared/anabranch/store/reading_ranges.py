"""Sets of objects, cut into batches and read batch by batch.

A plan asks for ranges, a batch later reads its own range: both must mean the same set, so the set is one statement
in one file (`set_*.sql`, selecting ids) and cutting or reading wraps around it. A set takes the lowest and the
highest id as its first two parameters; ranges are keyset ranges on stable ids, never offsets into a set that the
run itself changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncpg

from anabranch.store.port import IdRange
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection

LOWEST: Final = -(2**63)
HIGHEST: Final = 2**63 - 1


def set_statement(name: str) -> str:
    """The statement of a set, with what it includes in place."""
    whole = sql(name).replace("@resolvable", sql("resolvable_references"))
    return whole.replace("@unresolved", sql("unresolved_references"))


async def cut(connection: Connection, name: str, size: int, *params: Any) -> list[IdRange]:
    """The set cut into ranges of at most `size` objects, ascending; empty when nothing is in it."""
    wrapped = sql("cut_into_ranges").replace("@objects", set_statement(name)).replace("@size", f"${len(params) + 3}")
    rows = await connection.fetch(wrapped, LOWEST, HIGHEST, *params, size)
    return [IdRange(row["lo"], row["hi"], row["total"]) for row in rows]


async def pick(connection: Connection, picture: str, name: str, lo: int, hi: int, *params: Any) -> list[asyncpg.Record]:
    """What a statement over a set (such as `pick_csos`) says of what it holds in the range now."""
    return await connection.fetch(sql(picture).replace("@objects", set_statement(name)), lo, hi, *params)
