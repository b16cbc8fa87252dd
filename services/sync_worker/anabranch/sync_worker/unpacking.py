"""The plan of `unpack`: from here on a sync sees every object that its metaverse types have in a target.

What was provisioned and has not reached its target may still be packed. A sync may change or end any of that, so it
begins, once it has the turn, by making rows of all packs of the types it has the turn of.
"""

from __future__ import annotations

from anabranch.runtime.unpacking import batches_over
from anabranch.runtime.work import Task, plan
from anabranch.sync_worker.extent import types_in_turn


async def plan_unpack(task: Task) -> None:
    """The packs of the types in turn, cut into batches."""
    async with task.store.reader() as reader:
        lines = await reader.packs_of_types(sorted(types_in_turn(task)))
    await plan(task, batches_over(lines, task.claimed.batch_size))
