"""The step `teardown`: what left a source leaves the metaverse.

All disconnections of a run commit before its first join, so a re-keyed person's new object finds the slot free
(SYN-19). For each MVO the deletion rule is asked before anything is recalled: an MVO that will be deleted in this run
keeps its values until then, so that nothing flows out on the way, or a join can rescue it whole (SYN-21).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from anabranch.engine.deletion import Connector, rule_fires, schedule
from anabranch.engine.flow import recall
from anabranch.engine.keys import key_changes
from anabranch.model.changes import Changes, Item
from anabranch.model.enums import CsoState, GuardPoint, JoinType, MvoState
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import Cso, Document, Mvo, MvoRef, Provenance
from anabranch.runtime.loading import links_by_mvo, refs_by_mvo
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan
from anabranch.store.port import Reader
from anabranch.sync_worker.extent import due, rewritten, unjoined


async def plan_teardown(task: Task) -> None:
    """The listed disconnections and the obsolete objects without a join, cut into ranges."""
    async with task.store.reader() as reader:
        listed = await reader.guard_op_ranges(task.claimed.run, GuardPoint.SYNC_DISCONNECTIONS, task.claimed.batch_size)
        loose = await reader.due_ranges(due(task, "obsolete_unjoined"), task.claimed.batch_size)
    batches = batches_of(listed)
    batches += [
        NewBatch(n=len(batches) + n, payload={"lo": one.lo, "hi": one.hi, "loose": True}, total=one.total)
        for n, one in enumerate(loose, start=1)
    ]
    await plan(task, batches)


class _Loaded(msgspec.Struct, frozen=True):
    csos: list[Cso]
    mvos: dict[MvoId, Mvo]
    links: dict[MvoId, list[Cso]]
    refs: dict[MvoId, list[MvoRef]]


async def tear_down(task: Task) -> None:
    """The range's objects are disconnected, and removed where their source no longer has them."""
    payload = task.claimed.payload

    async def load(reader: Reader) -> _Loaded:
        if payload.get("loose"):
            lo, hi = payload["lo"], payload["hi"]
            # One that was listed, and has lost its join to somebody else's deletion, is in a batch of the listed.
            listed = await reader.guard_ops(task.claimed.run, GuardPoint.SYNC_DISCONNECTIONS, lo, hi)
            known = {op.object_id for op in listed}
            found = await reader.due_csos(due(task, "obsolete_unjoined"), lo, hi)
            return _Loaded([cso for cso in found if cso.id not in known], {}, {}, {})
        ops = await reader.guard_ops(task.claimed.run, GuardPoint.SYNC_DISCONNECTIONS, payload["lo"], payload["hi"])
        reasons = {op.object_id: op.op for op in ops}
        csos = [
            cso
            for cso in await reader.csos([CsoId(one) for one in reasons])
            if reasons[cso.id] == "disconnect" or cso.state is CsoState.OBSOLETE
        ]
        ids = sorted({cso.mvo_id for cso in csos if cso.mvo_id is not None})
        refs = await refs_by_mvo(reader, ids)
        return _Loaded(
            csos, {mvo.id: mvo for mvo in await reader.mvos(ids)}, await links_by_mvo(reader, ids, csos), refs
        )

    await decide_and_commit(task, load, lambda loaded: _decide(task, loaded, loose=bool(payload.get("loose"))))


def _decide(task: Task, loaded: _Loaded, *, loose: bool) -> Changes:
    changes = Changes()
    for cso in loaded.csos:
        changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
        mvo = loaded.mvos.get(cso.mvo_id) if cso.mvo_id is not None else None
        if mvo is not None:
            _leave(task, changes, cso, mvo, loaded)
        if cso.state is CsoState.OBSOLETE:
            changes.gone_csos.append(cso.id)
            changes.item("cso", Item(cso.id, cso.anchor or "", "removed"))
            changes.count("removed")
            if loose:  # one with a join was selected when `assess` listed it, held back or not
                changes.count("selected")
        elif mvo is not None:
            changes.links.append(unjoined(cso))
            changes.item("cso", Item(cso.id, cso.anchor or "", "disconnected"))
            changes.count("disconnected")
    return changes


def _leave(task: Task, changes: Changes, cso: Cso, mvo: Mvo, loaded: _Loaded) -> None:
    """The MVO loses one connector: its deletion rule, then recall."""
    side = task.compiled.metaverse[mvo.type_id]
    changes.expect_mvos[mvo.id] = mvo.change_seq
    remaining = [other for other in loaded.links.get(mvo.id, []) if other.id != cso.id]
    leaving = connector(task, mvo, cso)
    state, delete_after, deletion = mvo.state, mvo.delete_after, mvo.deletion
    fires = mvo.state is MvoState.ACTIVE and rule_fires(
        side.record.deletion, [leaving], [connector(task, mvo, other) for other in remaining]
    )
    if fires:
        decided = schedule(side.record.deletion, leaving, task.claimed.run, task.claimed.now)
        state, delete_after, deletion = MvoState.PENDING_DELETION, decided.delete_after, decided.snapshot
        changes.item("mvo", Item(mvo.id, mvo.origin_key, "deletion_scheduled", detail=f"{leaving.system} left"))
        changes.count("deletions_scheduled")
    at_once = delete_after is not None and delete_after <= task.claimed.now
    doc, provenance = mvo.doc, mvo.provenance
    if not at_once and task.compiled.object_types[cso.type_id][1].recall_on_disconnect:
        doc, provenance = _recall(task, changes, cso, mvo, remaining, keep=state is MvoState.PENDING_DELETION)
        _recall_references(changes, cso, loaded.refs.get(mvo.id, ()), keep=state is MvoState.PENDING_DELETION)
    changes.mvos.append(
        rewritten(
            mvo,
            state=state,
            delete_after=delete_after,
            deletion=deletion,
            doc=doc,
            provenance=provenance,
            evaluated=mvo.evaluated or _completes(task, cso, remaining),
            parted_in=task.claimed.run,
        )
    )


def _completes(task: Task, leaving: Cso, remaining: Sequence[Cso]) -> bool:
    """Whether the metaverse object had only waited for the one that leaves, which projected it and gave it nothing."""
    givers = [other for other in remaining if other.type_id in task.compiled.inbound]
    early = leaving.join_type is JoinType.PROJECTED and not leaving.synced_seq
    return early and bool(givers) and all(other.synced_seq for other in givers)


def _recall(
    task: Task, changes: Changes, cso: Cso, mvo: Mvo, remaining: Sequence[Cso], *, keep: bool
) -> tuple[Document, Provenance]:
    side = task.compiled.metaverse[mvo.type_id]
    inbound = task.compiled.inbound.get(cso.type_id)
    mappings = frozenset(link.id for link in inbound.links) if inbound is not None else frozenset()
    doc, provenance, values = recall(side, mvo, mappings, remaining, task.claimed.run, keep=keep)
    if values:
        changes.item("mvo", Item(mvo.id, mvo.origin_key, "recalled", tuple(values)))
    changes.match_keys.extend(key_changes(mvo.type_id, side.key_attrs, mvo.id, mvo.doc, doc))
    return doc, provenance


def _recall_references(changes: Changes, cso: Cso, refs: Sequence[MvoRef], *, keep: bool) -> None:
    if keep:
        return
    for ref in refs:
        if ref.contributor == cso.id:
            changes.remove_mvo_refs.append((ref.mvo_id, ref.attr, ref.target_mvo_id))


def connector(task: Task, mvo: Mvo, cso: Cso) -> Connector:
    """The CSO as deletion sees it: whose it is, and whether it counts (SYN-54)."""
    side = task.compiled.metaverse[mvo.type_id]
    system = task.compiled.object_types[cso.type_id][0].key
    policy = side.record.deletion
    provisioned = cso.type_id in side.provisioned_types and not policy.provisioned_counts
    return Connector(cso.id, system, counts=not provisioned and system not in policy.ignored_systems)
