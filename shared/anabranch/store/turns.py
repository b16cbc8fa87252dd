"""The turn of a metaverse type: a row that one run holds, and a queue of those that wait for it.

Which types a run needs the turn of, and in which steps, the protocol says; here it is taken, awaited and given up, each
inside the transaction that opens or closes a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch.model.identity import RunId, TypeId
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


async def has_file_in_hand(connection: Connection, run: RunId) -> bool:
    """Whether the run, an export, may not end yet: what it has begun to write is not recorded."""
    return bool(await connection.fetchval(sql("has_file_in_hand").replace("@run", "$1"), run))


async def take_turn(connection: Connection, run: RunId, types: Sequence[TypeId]) -> bool:
    """True: the turn of all these types is the run's. False: it has none of them and waits, in order of start."""
    if not types or await connection.fetchval(sql("has_turn"), run, types):
        return True
    if not await connection.fetchval(sql("is_turn_awaited"), run, types):
        taken = await connection.fetchval(sql("take_turn"), run, types)
        if taken == len(types):
            await connection.execute(sql("leave_turn_wait"), run)
            return True
        await give_up_turn(connection, run)
    await connection.execute(sql("wait_for_turn"), run, types)
    return False


async def give_up_turn(connection: Connection, run: RunId) -> None:
    """The run has no turn and waits for none."""
    await connection.execute(sql("give_up_turn"), run)
