"""The step `match.propose`: what every unjoined object would do, before any of them does it.

An object looks for its partner by the match rules in whose scope it is, and would, without one, become a metaverse
object that others find by its keys. Who might get in whose way shows only over the complete set: each batch therefore
leaves, packed, which of its objects have something to settle and every contest each of them may be in. An object that
shares no contest with any other comes out the same whenever it is settled; only the rest needs an order.

Where anchors decide who may get in whose way, and no two anchors are alike, there is no contest to be found: then
nothing is proposed, and the objects are settled as they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from anabranch.engine.compiled import InboundType
from anabranch.engine.expressions import EvalContext, EvaluationError
from anabranch.engine.joining import Search, projection_rule, searches, wanted_hashes, would_be_keys
from anabranch.engine.values import order_text
from anabranch.model.changes import Changes, ErrorItem, ProposalPack
from anabranch.model.identity import MvoId, TypeId
from anabranch.model.objects import Cso, KeyHit, RawRef
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan, system_id
from anabranch.store.port import Reader
from anabranch.sync_worker.contests import Contests, anchors_decide, one_key_finds_all
from anabranch.sync_worker.extent import (
    context,
    due,
    evaluated,
    inbound_types,
    is_settled,
    read_refs,
    relinked,
    with_refs,
)
from anabranch.sync_worker.keying import complete_keys
from anabranch.sync_worker.scoping import judge

MATCH = "match"
APART = "apart"
"""The kind of the pack that says, in place of all others, that no object can get in the way of another one."""
Hits = Mapping[tuple[TypeId, str, bytes], Sequence[KeyHit]]


async def plan_propose(task: Task) -> None:
    """The due objects without a join, cut into ranges; all of them when the metaverse has moved since they were last
    matched, because a partner may have come or become recognisable (SYN-2). By then everybody has the keys that are
    looked by."""
    await complete_keys(task)
    rules = [rule for inbound in inbound_types(task) for rule in inbound.rules]
    matched = {rule.mvo_type for rule in rules if rule.matches and rule.record.enabled}
    async with task.store.reader() as reader:
        moved = await reader.metaverse_moved(system_id(task), task.claimed.run, sorted(matched))
        wanted = due(task, "unjoined", everything=moved)
        if anchors_decide(inbound_types(task), task.compiled.metaverse) and await reader.anchors_differ(wanted):
            apart = ProposalPack(APART, msgspec.msgpack.encode(moved), b"")
            await plan(task, [], Changes(proposal_packs=[apart]))
            return
        ranges = await reader.due_ranges(wanted, task.claimed.batch_size)
    batches = batches_of(ranges)
    await plan(task, [replace(one, payload={**one.payload, "all": moved}) for one in batches])


async def propose_range(task: Task) -> None:
    """Every object of the range that may join or project is proposed; the others are evaluated to their end."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> tuple[list[Seeker], Hits]:
        wanted = due(task, "unjoined", everything=task.claimed.payload["all"])
        seekers = await seekers_of(task, reader, await reader.due_csos(wanted, lo, hi))
        sides = task.compiled.metaverse
        plain = {one for one, side in sides.items() if one_key_finds_all(inbound_types(task), side)}
        several = [search for seeker in seekers for search in seeker.searches if search.mvo_type not in plain]
        return seekers, await hits_of(reader, several)

    def decide(loaded: tuple[list[Seeker], Hits]) -> Changes:
        changes = Changes()
        contests = Contests(MATCH, loaded[1])
        for seeker in loaded[0]:
            _propose(task, changes, contests, seeker)
        changes.proposal_packs.extend(contests.packed())
        return changes

    await decide_and_commit(task, load, decide)


class Seeker(msgspec.Struct, frozen=True, gc=False):
    """An object that looks for its partner: what it looks for, or why that could not be told (kind, message)."""

    cso: Cso
    cs: dict[str, Any]
    accepted: tuple[int, ...]
    searches: list[Search]
    fault: tuple[str, str] | None = None


async def seekers_of(task: Task, reader: Reader, csos: Sequence[Cso]) -> list[Seeker]:
    """What each of these unjoined objects looks for."""
    refs = await read_refs(task, reader, csos)
    seen = context(task)
    return [_seek(task.compiled.inbound[cso.type_id], cso, refs.get(cso.id, ()), seen) for cso in csos]


def _seek(inbound: InboundType, cso: Cso, refs: Iterable[RawRef], seen: EvalContext) -> Seeker:
    cs = with_refs(inbound, cso, refs)
    verdict = judge(inbound, cs, seen)
    if verdict.problem is not None:
        return Seeker(cso, cs, (), [], ("scope_error", verdict.problem))
    try:
        return Seeker(cso, cs, verdict.accepted, searches(inbound, cs, verdict.accepted, seen))
    except EvaluationError as problem:
        return Seeker(cso, cs, (), [], ("expression_error", str(problem)))


async def hits_of(reader: Reader, all_searches: Sequence[Search]) -> Hits:
    """The metaverse objects that hold a key one of the searches asks for."""
    hits: dict[tuple[TypeId, str, bytes], list[KeyHit]] = {}
    for (type_id, attr), hashes in sorted(wanted_hashes(all_searches).items()):
        for hit in await reader.match_candidates(type_id, attr, sorted(hashes)):
            hits.setdefault((type_id, attr, hit.key_hash), []).append(hit)
    return hits


def found_by(hits: Hits) -> list[MvoId]:
    """Whom the hits name, in id order."""
    return sorted({MvoId(hit.object_id) for some in hits.values() for hit in some})


def _propose(task: Task, changes: Changes, contests: Contests, seeker: Seeker) -> None:
    cso = seeker.cso
    inbound = task.compiled.inbound[cso.type_id]
    if seeker.fault is not None:
        changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
        fail_object(changes, cso, *seeker.fault)
        return
    project = projection_rule(inbound, seeker.accepted)
    if not seeker.searches and project is None:
        if not is_settled(task, cso):
            changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
            changes.links.append(evaluated(task, cso))
        changes.count("selected")
        changes.count("unchanged")
        return
    mvo_type = inbound.rules[project].mvo_type if project is not None else None
    keys = projected_keys(task, inbound, seeker, mvo_type) if mvo_type is not None else {}
    contests.enter(cso.id, seeker.searches, mvo_type, keys)


def projected_keys(task: Task, inbound: InboundType, seeker: Seeker, mvo_type: TypeId) -> dict[str, tuple[str, ...]]:
    """The look-up keys the object's own mappings would give a metaverse object of its own (SYN-34)."""
    side = task.compiled.metaverse[mvo_type]
    return would_be_keys(inbound, side, seeker.cs, seeker.accepted, context(task))


def canonical_place(task: Task, cso: Cso) -> str:
    """The object's place in canonical order among those of its system: object type, then anchor (MOD-10)."""
    record = task.compiled.object_types[cso.type_id][1]
    return f"{record.key}\x1f{order_text(cso.doc.get(record.anchor, cso.anchor), record.attributes[record.anchor])}"


def fail_object(changes: Changes, cso: Cso, kind: str, message: str, rule: str | None = None) -> None:
    """The object is left untouched but for its error, and stays due for the next run (SYN-92)."""
    changes.errors.append(
        ErrorItem(
            space="cso",
            kind=kind,
            key=cso.anchor or "",
            message=message,
            type_id=cso.type_id,
            object_id=cso.id,
            rule=rule,
        )
    )
    changes.links.append(relinked(cso, failed=True))
    changes.count("selected")
    changes.count("errored")
