"""One batch in hand: load, decide, persist.

Every batch that writes follows one pattern. It loads outside any transaction, decides, and only then opens the fenced
transaction, locks what it decided about and compares versions. What moved meanwhile is loaded and decided again under
those locks, so no decision is ever written over a version it has not seen; then everything is written at once. A
handler therefore never sees a transaction: it gives a `load` and a pure `decide`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from anabranch.bus.lookup_cache import LookupCache, NullCache
from anabranch.engine.compiled import Compiled
from anabranch.model.changes import Changes
from anabranch.model.errors import Retryable
from anabranch.model.fleet import Claimed, NewBatch
from anabranch.model.identity import SystemId
from anabranch.runtime.holding import Hold
from anabranch.store.port import Reader, Store, Unit

Loaded = TypeVar("Loaded")
Load = Callable[[Reader], Awaitable[Loaded]]
Decide = Callable[[Loaded], Changes]


class Task(msgspec.Struct, frozen=True):
    """What a handler works with: the claimed batch, the compiled configuration of its run, the store, and its hold."""

    claimed: Claimed
    compiled: Compiled
    store: Store
    hold: Hold
    cache: LookupCache = msgspec.field(default_factory=NullCache)
    """Where match keys were last seen: a hint that changes nothing but speed."""


def system_id(task: Task) -> SystemId:
    """The number of the run's system. Raises KeyError for a run without one."""
    return task.compiled.registry.systems[task.compiled.system_of(task.claimed).key]


async def decide_and_commit(task: Task, load: Load[Loaded], decide: Decide[Loaded]) -> Changes:
    """The batch is done and everything it decided is written, or nothing is."""
    async with task.store.reader() as reader:
        loaded = await load(reader)
    task.hold.progress()
    changes = decide(loaded)
    task.hold.progress()
    async with task.store.unit(task.claimed) as unit:
        changes = await write(unit, load, decide, changes)
        await unit.done(changes.counters)
    return changes


async def write(unit: Unit, load: Load[Loaded], decide: Decide[Loaded], changes: Changes) -> Changes:
    """`changes` are written in the unit, decided again where what they were made from has moved; what was written."""
    if await unit.lock(changes):
        changes = decide(await load(unit))
        if moved := await unit.lock(changes):
            raise Retryable(f"the objects decided about changed twice while they were decided: {moved}", delay=0.1)
    await unit.persist(changes)
    return changes


async def plan(task: Task, batches: Sequence[NewBatch], changes: Changes | None = None) -> None:
    """The step is sealed with these batches; the set-based part of the plan is written with it."""
    async with task.store.unit(task.claimed) as unit:
        if changes is not None:
            await unit.persist(changes)
        await unit.add_batches(batches)
        await unit.seal()
        await unit.done(changes.counters if changes is not None else {})
    task.hold.sealed_with = len(batches) + 1


def batches_of(ranges: Sequence[Any], *, ordered: bool = False) -> list[NewBatch]:
    """One batch a keyset range; in an ordered step each waits for the one before."""
    return [
        NewBatch(n=n, payload={"lo": one.lo, "hi": one.hi}, total=one.total, waits_for_previous=ordered and n > 1)
        for n, one in enumerate(ranges, start=1)
    ]
