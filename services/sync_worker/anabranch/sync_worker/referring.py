"""The step `references`: who refers to whom, in the metaverse.

A CSO's references lead to CSOs, and where those are joined, to their MVOs. References flow after every join of the run
is settled, so forward, circular and self references need nothing special (SYN-50). What a reference led to before stays
while its source cannot be resolved, and goes when the source value goes (SYN-52).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from anabranch.engine.compiled import InboundType, Link
from anabranch.engine.referring import Offer, elect_references
from anabranch.model.changes import Changes, Item
from anabranch.model.enums import OutOfScopeAction
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import Cso, CsoRef, Mvo, MvoRef
from anabranch.runtime.loading import links_by_mvo, refs_by_cso, refs_by_mvo
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan
from anabranch.store.port import Reader
from anabranch.sync_worker.extent import context, due, relinked, rewritten, with_refs
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
        joined = await links_by_mvo(reader, ids)
        refs = await refs_by_mvo(reader, ids)
        everyone = {cso.id for some in joined.values() for cso in some}
        return _Loaded(
            csos, {mvo.id: mvo for mvo in await reader.mvos(ids)}, joined, await refs_by_cso(reader, everyone), refs
        )

    await decide_and_commit(task, load, lambda loaded: _decide(task, loaded))


def _decide(task: Task, loaded: _Loaded) -> Changes:
    changes = Changes()
    for cso in loaded.csos:
        mvo = loaded.mvos.get(cso.mvo_id) if cso.mvo_id is not None else None
        if mvo is None:
            continue
        changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
        changes.links.append(relinked(cso, refs_due=False))
        _refer(task, changes, loaded, mvo)
    return changes


def _refer(task: Task, changes: Changes, loaded: _Loaded, mvo: Mvo) -> None:
    standing = loaded.mvo_refs.get(mvo.id, [])
    offers = list(_offers(task, loaded, mvo))
    joined = {cso.id for cso in loaded.joined.get(mvo.id, ()) if not _keeps_values(task, loaded, cso)}
    add, remove = elect_references(task.compiled.metaverse[mvo.type_id], mvo.id, offers, standing, joined)
    if not add and not remove:
        return
    changes.expect_mvos[mvo.id] = mvo.change_seq
    changes.remove_mvo_refs.extend((ref.mvo_id, ref.attr, ref.target_mvo_id) for ref in remove)
    changes.add_mvo_refs.extend(add)
    values: dict[str, tuple[int, int]] = {}
    for ref in add:
        values[ref.attr] = (values.get(ref.attr, (0, 0))[0] + 1, values.get(ref.attr, (0, 0))[1])
    for ref in remove:
        values[ref.attr] = (values.get(ref.attr, (0, 0))[0], values.get(ref.attr, (0, 0))[1] + 1)
    detail = ", ".join(f"{attr}: {new} added, {gone} removed" for attr, (new, gone) in sorted(values.items()))
    changes.item("mvo", Item(mvo.id, mvo.origin_key, "flowed", detail=detail))
    changes.mvos.append(rewritten(mvo))


def _keeps_values(task: Task, loaded: _Loaded, cso: Cso) -> bool:
    """True for an object without a say whose references stay: out of scope and retained (SYN-16), or of a scope that
    cannot be evaluated, which never counts as false (SYN-17)."""
    inbound = task.compiled.inbound.get(cso.type_id)
    if inbound is None:
        return False
    verdict = judge(inbound, with_refs(inbound, cso, loaded.cso_refs.get(cso.id, [])), context(task))
    retained = verdict.out and leaving_action(inbound) is OutOfScopeAction.REMAIN_JOINED
    return retained or verdict.problem is not None


def _offers(task: Task, loaded: _Loaded, mvo: Mvo) -> Iterable[Offer]:
    """What every joined CSO offers: its reference mappings whose rule accepts it (SYN-14)."""
    for cso in loaded.joined.get(mvo.id, ()):
        inbound = task.compiled.inbound.get(cso.type_id)
        if inbound is None:
            continue
        refs = loaded.cso_refs.get(cso.id, [])
        for link in _live_links(task, inbound, cso, refs, mvo):
            source = link.mapping.source.attribute
            named = tuple(ref for ref in refs if ref.attr == source)
            yield Offer(cso.id, link.id, link.target.name, named, link.mapping.null_is_value)


def _live_links(task: Task, inbound: InboundType, cso: Cso, refs: Sequence[CsoRef], mvo: Mvo) -> list[Link]:
    if not any(rule.references for rule in inbound.rules):
        return []
    verdict = judge(inbound, with_refs(inbound, cso, refs), context(task))
    return [
        inbound.links[index]
        for accepted in verdict.accepted
        for index in inbound.rules[accepted].references
        if inbound.rules[accepted].record.enabled and inbound.rules[accepted].mvo_type == mvo.type_id
    ]
