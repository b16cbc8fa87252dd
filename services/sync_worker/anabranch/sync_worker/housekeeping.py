"""The ends of a housekeeping run: it needs nothing to begin, and it leaves nothing behind.

A housekeeping run carries out deletions whose grace is over, completes outbound evaluations that are owed, and removes
what finished runs kept only while they worked.
"""

from __future__ import annotations

from anabranch.runtime.work import Task, plan


async def plan_assess(task: Task) -> None:
    """Nothing is to be assessed: what is due follows from the clock, and the next step counts it."""
    await plan(task, [])


async def purge(task: Task) -> None:
    """Staged rows, seen hashes, verdicts and proposals of finished runs are gone."""
    async with task.store.unit(task.claimed) as unit:
        await unit.purge_finished_runs()
        await unit.seal()
        await unit.done({})
