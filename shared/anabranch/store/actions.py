"""The record of what operators did, and what the fleet did in their place (AUD-12).

A row is written in the transaction of the deed itself, so neither exists without the other, and never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Executor


async def record_action(
    executor: Executor, actor: str, verb: str, concerned: str, reason: str = "", result: str = "ok"
) -> None:
    """The deed is recorded with actor, time, reason and result."""
    await executor.execute(sql("insert_action"), actor, verb, concerned, reason, result)
