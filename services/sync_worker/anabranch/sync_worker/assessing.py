"""The step `assess`: every disconnection of the run is known before the first is carried out.

Nothing of the domain is written here. The complete set, obsolete objects with a join and objects that fell out of
scope, is listed for the guard `sync_disconnections`; `teardown` later disconnects only what is listed and still holds
(SYN-18).
"""

from __future__ import annotations

from anabranch.model.changes import Changes
from anabranch.model.enums import CsoState, GuardPoint, OutOfScopeAction
from anabranch.model.identity import CsoId
from anabranch.model.objects import Cso, GuardOp, RawRef
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan
from anabranch.store.port import Reader
from anabranch.sync_worker.extent import context, due, inbound_types, read_refs, with_refs
from anabranch.sync_worker.scoping import has_scopes, judge, leaving_action


async def plan_assess(task: Task) -> None:
    """Obsolete joined objects are listed at once; due joined objects of types with scopes are cut into ranges."""
    changes = Changes()
    async with task.store.reader() as reader:
        gone = due(task, "obsolete_joined")
        for one in await reader.due_ranges(gone, task.claimed.batch_size):
            for cso in await reader.due_csos(gone, one.lo, one.hi):
                changes.guard_ops.append(_listed(cso, "no longer in the source"))
                changes.count("selected")
        scoped = [one.type_id for one in inbound_types(task) if has_scopes(one)]
        ranges = await reader.due_ranges(due(task, "joined", scoped), task.claimed.batch_size) if scoped else []
    await plan(task, batches_of(ranges), changes)


async def assess_range(task: Task) -> None:
    """The range's joined objects that no rule accepts any more are listed."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]
    scoped = [one.type_id for one in inbound_types(task) if has_scopes(one)]

    async def load(reader: Reader) -> tuple[list[Cso], dict[CsoId, list[RawRef]]]:
        csos = await reader.due_csos(due(task, "joined", scoped), lo, hi)
        return csos, await read_refs(task, reader, csos)

    def decide(loaded: tuple[list[Cso], dict[CsoId, list[RawRef]]]) -> Changes:
        changes = Changes()
        for cso in loaded[0]:
            inbound = task.compiled.inbound[cso.type_id]
            verdict = judge(inbound, with_refs(inbound, cso, loaded[1].get(cso.id, ())), context(task))
            if verdict.out and leaving_action(inbound) is OutOfScopeAction.DISCONNECT:
                changes.guard_ops.append(_listed(cso, "out of scope of every rule"))
        return changes

    await decide_and_commit(task, load, decide)


def _listed(cso: Cso, reason: str) -> GuardOp:
    op = "remove" if cso.state is CsoState.OBSOLETE else "disconnect"
    return GuardOp(GuardPoint.SYNC_DISCONNECTIONS, cso.type_id, cso.id, op, reason)
