"""The steps `deletions.count` and `deletions.write`: metaverse objects go, and their accounts with them.

What is due is listed over the complete set for the guard `metaverse_deletions`. A deletion locks the MVO and looks
again: a join that cancelled it meanwhile wins (SYN-63). Deleting commits together the deprovisioning in every target,
the release of keys and reservations, and the removal from every MVO that refers to it (SYN-61).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from anabranch.engine.compiled import Target
from anabranch.engine.expressions import EvaluationError
from anabranch.model.changes import Changes, ErrorItem, Item
from anabranch.model.enums import GuardPoint, MvoState, RunKind
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import Cso, GuardOp, Mvo, PendingExport, Reservation
from anabranch.runtime.loading import links_by_mvo
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan
from anabranch.store.port import Reader
from anabranch.sync_worker.deprovisioning import deprovision, is_under_way, strongest_action
from anabranch.sync_worker.extent import context, types_in_turn, unjoined


async def count_deletions(task: Task) -> None:
    """Every due deletion is listed: those this run scheduled, or, in housekeeping, all whose grace is over (SYN-60).

    A sync also takes over what was due at once in a run of its system that is over: it was cancelled or failed before
    it came so far, an object was just being sent, or a guard's operations were rejected. Nobody has to wait for
    housekeeping then, except where a condition is to be asked again: that may stay false for long, and would be counted
    by the guard of every sync.
    """
    metaverse = task.compiled.metaverse
    run = None if task.claimed.kind is RunKind.HOUSEKEEPING else task.claimed.run
    inherits = [one for one in sorted(types_in_turn(task)) if metaverse[one].condition is None]
    changes = Changes()
    async with task.store.reader() as reader:
        for type_id, mvo_id in await reader.due_deletions(run, list(metaverse), task.claimed.now, inherits):
            changes.guard_ops.append(
                GuardOp(GuardPoint.METAVERSE_DELETIONS, type_id, mvo_id, "delete", "its rule fired")
            )
    await plan(task, [], changes)


async def plan_write(task: Task) -> None:
    """The listed deletions, cut into ranges."""
    async with task.store.reader() as reader:
        ranges = await reader.guard_op_ranges(task.claimed.run, GuardPoint.METAVERSE_DELETIONS, task.claimed.batch_size)
    await plan(task, batches_of(ranges))


class _Loaded(msgspec.Struct, frozen=True):
    mvos: list[Mvo]
    links: dict[MvoId, list[Cso]]
    exports: dict[CsoId, PendingExport]
    reservations: dict[MvoId, list[Reservation]]
    new_ids: list[int]


async def delete_range(task: Task) -> None:
    """The range's deletions that still hold have happened."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> _Loaded:
        ops = await reader.guard_ops(task.claimed.run, GuardPoint.METAVERSE_DELETIONS, lo, hi)
        ids = [MvoId(op.object_id) for op in ops]
        links = await links_by_mvo(reader, ids)
        csos = [cso for some in links.values() for cso in some]
        held: dict[MvoId, list[Reservation]] = {}
        for one in await reader.reservations_of(ids):
            if one.mvo_id is not None:
                held.setdefault(one.mvo_id, []).append(one)
        return _Loaded(
            mvos=await reader.mvos(ids),
            links=links,
            exports={one.cso_id: one for one in await reader.exports_of([cso.id for cso in csos])},
            reservations=held,
            new_ids=list(await reader.new_ids("export", len(csos))),
        )

    await decide_and_commit(task, load, lambda loaded: _decide(task, loaded))


def _decide(task: Task, loaded: _Loaded) -> Changes:
    changes = Changes()
    ids = iter(loaded.new_ids)
    for mvo in loaded.mvos:
        due = mvo.state is MvoState.PENDING_DELETION and mvo.delete_after is not None
        if not due or (mvo.delete_after is not None and mvo.delete_after > task.claimed.now):
            continue
        if not _condition_holds(task, changes, mvo):
            continue
        links = loaded.links.get(mvo.id, ())
        if any(is_under_way(loaded.exports.get(cso.id)) for cso in links):
            detail = "not deleted yet: a change of one of its objects is just being sent"
            changes.item("mvo", Item(mvo.id, mvo.origin_key, "waiting", detail=detail))
            continue  # it stays due; the next sync or housekeeping deletes it
        changes.expect_mvos[mvo.id] = mvo.change_seq
        side = task.compiled.metaverse[mvo.type_id]
        for cso in links:
            changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
            target = next((one for one in side.targets if one.type_id == cso.type_id), None)
            if target is None:
                changes.links.append(unjoined(cso, released=True))
            else:
                _deprovision(task, changes, target, cso, loaded.exports.get(cso.id), next(ids))
        freed = {one.name: _free_after(task, one) for one in loaded.reservations.get(mvo.id, ())}
        if freed:
            changes.release_reservations.append((mvo.id, freed))
        changes.gone_mvos.append(mvo.id)
        trigger = (mvo.deletion or {}).get("system", "")
        changes.item("mvo", Item(mvo.id, mvo.origin_key, "mvo_deleted", detail=f"{trigger} left"))
        changes.count("mvos_deleted")
    return changes


def _deprovision(
    task: Task, changes: Changes, target: Target, cso: Cso, export: PendingExport | None, new_id: int
) -> None:
    deprovision(task, changes, cso, export, new_id, strongest_action(target.rules), mvo_goes=True)


def _free_after(task: Task, reservation: Reservation) -> datetime:
    declared = task.compiled.unique_values.get(reservation.name)
    return task.claimed.now + declared.reuse_after if declared is not None else task.claimed.now


def _condition_holds(task: Task, changes: Changes, mvo: Mvo) -> bool:
    """The deletion condition must be true at this moment; an error never deletes (SYN-57)."""
    condition = task.compiled.metaverse[mvo.type_id].condition
    if condition is None:
        return True
    try:
        return condition(mvo.doc, context(task)) is True
    except EvaluationError as problem:
        changes.errors.append(
            ErrorItem(
                space="mvo",
                kind="condition_error",
                key=mvo.origin_key,
                message=f"the deletion condition failed: {problem}",
                type_id=mvo.type_id,
                object_id=mvo.id,
            )
        )
        return False
