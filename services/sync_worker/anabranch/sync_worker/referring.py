"""The step `references`: who refers to whom, in the metaverse.

A CSO's references lead to CSOs, and where those are joined, to their MVOs. References flow after every join of the run
is settled, so forward, circular and self references need nothing special (SYN-50). What a reference led to before stays
while its source cannot be resolved, and goes when the source value goes (SYN-52).
"""

from __future__ import annotations

from collections import Counter

import msgspec

from anabranch.engine.expressions import EvalContext
from anabranch.engine.referring import Offer, elect_references
from anabranch.model.changes import Changes, Item, MvoMark
from anabranch.model.enums import OutOfScopeAction
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import Cso, CsoRef, Mvo, MvoRef
from anabranch.runtime.loading import links_by_mvo, refs_by_cso, refs_by_mvo
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan
from anabranch.store.port import Reader
from anabranch.sync_worker.extent import context, due, relinked, with_refs
from anabranch.sync_worker.scoping import judge, leaving_action


async def plan_references(task: Task) -> None:
    """Joined objects whose references are due, cut into ranges."""
    async with task.store.reader() as reader:
        ranges = await reader.due_ranges(due(task, "references"), task.claimed.batch_size)
    await plan(task, batches_of(ranges))


class _Loaded(msgspec.Struct, frozen=True):
    csos: list[Cso]
    mvos: dict[MvoId, Mvo]
    joined: dict[MvoId, list[Cso]]
    cso_refs: dict[CsoId, list[CsoRef]]
    mvo_refs: dict[MvoId, list[MvoRef]]


async def refer_range(task: Task) -> None:
    """The range's references stand in the metaverse."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> _Loaded:
        csos = await reader.due_csos(due(task, "references"), lo, hi)
        ids = sorted({cso.mvo_id for cso in csos if cso.mvo_id is not None})
        joined = await links_by_mvo(reader, ids, csos)
        speaking = {cso.id for some in joined.values() for cso in some if cso.type_id in task.compiled.inbound}
        return _Loaded(
            csos,
            {mvo.id: mvo for mvo in await reader.mvos(ids)},
            joined,
            await refs_by_cso(reader, speaking),
            await refs_by_mvo(reader, ids),
        )

    await decide_and_commit(task, load, lambda loaded: _decide(task, loaded))


def _decide(task: Task, loaded: _Loaded) -> Changes:
    changes = Changes()
    seen = context(task)
    for cso in loaded.csos:
        mvo = loaded.mvos.get(cso.mvo_id) if cso.mvo_id is not None else None
        if mvo is None:
            continue
        changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
        changes.links.append(relinked(cso, refs_due=False))
        _refer(task, changes, loaded, mvo, seen)
    return changes


def _refer(task: Task, changes: Changes, loaded: _Loaded, mvo: Mvo, seen: EvalContext) -> None:
    offers: list[Offer] = []
    joined: set[CsoId] = set()
    for cso in loaded.joined.get(mvo.id, ()):
        if not _keeps(task, loaded, mvo, cso, seen, offers):
            joined.add(cso.id)
    add, remove = elect_references(
        task.compiled.metaverse[mvo.type_id], mvo.id, offers, loaded.mvo_refs.get(mvo.id, ()), joined
    )
    if not add and not remove:
        return
    changes.expect_mvos[mvo.id] = mvo.change_seq
    changes.remove_mvo_refs.extend((ref.mvo_id, ref.attr, ref.target_mvo_id) for ref in remove)
    changes.add_mvo_refs.extend(add)
    new, gone = Counter(ref.attr for ref in add), Counter(ref.attr for ref in remove)
    detail = ", ".join(f"{attr}: {new[attr]} added, {gone[attr]} removed" for attr in sorted({*new, *gone}))
    changes.item("mvo", Item(mvo.id, mvo.origin_key, "flowed", detail=detail))
    changes.mvo_marks.append(MvoMark(mvo.id, True, mvo.outbound_stamp, mvo.outbound_version, touch=True))


def _keeps(task: Task, loaded: _Loaded, mvo: Mvo, cso: Cso, seen: EvalContext, offers: list[Offer]) -> bool:
    """What a joined CSO offers is among `offers`: its reference mappings whose rule accepts it (SYN-14).

    True for an object without a say whose references stay: out of scope and retained (SYN-16), or of a scope that
    cannot be evaluated, which never counts as false (SYN-17).
    """
    inbound = task.compiled.inbound.get(cso.type_id)
    if inbound is None:
        return False
    refs = loaded.cso_refs.get(cso.id, [])
    verdict = judge(inbound, with_refs(inbound, cso, refs), seen)
    for accepted in verdict.accepted:
        rule = inbound.rules[accepted]
        if rule.record.enabled and rule.mvo_type == mvo.type_id:
            for index in rule.references:
                link = inbound.links[index]
                source = link.mapping.source.attribute
                named = tuple(ref for ref in refs if ref.attr == source)
                offers.append(Offer(cso.id, link.id, link.target.name, named, link.mapping.null_is_value))
    retained = verdict.out and leaving_action(inbound) is OutOfScopeAction.REMAIN_JOINED
    return retained or verdict.problem is not None
