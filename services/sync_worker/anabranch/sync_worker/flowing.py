"""The step `flow`: joined objects give their MVOs their values.

Each range of CSOs is evaluated by the engine's generated functions; an MVO changes only when a value does, and what
changes is marked for outbound evaluation in the same commit, until that evaluation has happened. Objects that want a
unique value nobody has drawn yet are proposed for `reserve`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from anabranch.engine.compiled import Failure, InboundType, MetaverseSide
from anabranch.engine.expressions import EvalContext, NeedsDraw
from anabranch.engine.flow import Evaluation, evaluate, recall
from anabranch.engine.keys import key_hash, keys_of
from anabranch.model.changes import Changes, ErrorItem, Item, KeyChange
from anabranch.model.enums import OutOfScopeAction
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import Cso, CsoRef, Mvo, Proposal, Reservation
from anabranch.runtime.loading import links_by_mvo, refs_by_cso
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan
from anabranch.store.port import Reader
from anabranch.sync_worker.extent import context, due, evaluated, relinked, rewritten, with_refs
from anabranch.sync_worker.proposing import canonical_place, fail_object
from anabranch.sync_worker.scoping import judge, leaving_action

DRAW = "draw"
Draw = Callable[[Cso, str, tuple[str, ...]], str]


async def plan_flow(task: Task) -> None:
    """The due joined objects, cut into ranges."""
    async with task.store.reader() as reader:
        ranges = await reader.due_ranges(due(task, "joined"), task.claimed.batch_size)
    await plan(task, batches_of(ranges))


class Loaded(msgspec.Struct, frozen=True):
    """Joined objects and everything their evaluation reads."""

    csos: list[Cso]
    refs: dict[CsoId, list[CsoRef]]
    mvos: dict[MvoId, Mvo]
    links: dict[MvoId, list[Cso]]
    keys: dict[MvoId, dict[str, dict[bytes, str]]]
    reservations: dict[tuple[MvoId, str], Reservation]
    before_references: bool = True
    """True while the step `references` is still to come, so that it is owed what this evaluation changes."""


async def load_joined(task: Task, reader: Reader, csos: list[Cso]) -> Loaded:
    """What the evaluation of these joined objects needs, in one query a table."""
    inbound = {cso.type_id: task.compiled.inbound[cso.type_id] for cso in csos}
    ids = sorted({cso.mvo_id for cso in csos if cso.mvo_id is not None})
    needing = [cso.id for cso in csos if inbound[cso.type_id].needs_refs]
    mvos = {mvo.id: mvo for mvo in await reader.mvos(ids)}
    contested = any(_is_contested(task, one) for one in inbound.values())
    keyed = [mvo.id for mvo in mvos.values() if task.compiled.metaverse[mvo.type_id].key_attrs]
    keys: dict[MvoId, dict[str, dict[bytes, str]]] = {}
    for mvo_id, attr, digest, key in await reader.match_keys_of(keyed):
        keys.setdefault(mvo_id, {}).setdefault(attr, {})[digest] = key
    draws = any(link.draws for one in inbound.values() for link in one.links)
    reservations = await reader.reservations_of(ids) if draws else []
    return Loaded(
        csos=csos,
        refs=await refs_by_cso(reader, needing),
        mvos=mvos,
        links=await links_by_mvo(reader, ids) if contested else {},
        keys=keys,
        reservations={(one.mvo_id, one.name): one for one in reservations if one.mvo_id is not None},
    )


def _is_contested(task: Task, inbound: InboundType) -> bool:
    return any(
        task.compiled.metaverse[rule.mvo_type].rankings[inbound.links[index].target.name].is_contested
        for rule in inbound.rules
        for index in rule.links
    )


async def flow_range(task: Task) -> None:
    """The range's values are in the metaverse."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> Loaded:
        return await load_joined(task, reader, await reader.due_csos(due(task, "joined"), lo, hi))

    def decide(loaded: Loaded) -> Changes:
        changes = Changes()
        for cso in loaded.csos:
            flow_object(task, changes, loaded, cso, None)
        return changes

    await decide_and_commit(task, load, decide)


def flow_object(task: Task, changes: Changes, loaded: Loaded, cso: Cso, draw: Draw | None) -> None:
    """One object's evaluation, written into `changes`: its values, its errors, or (without `draw`) its proposal to
    draw."""
    mvo = loaded.mvos.get(cso.mvo_id) if cso.mvo_id is not None else None
    if mvo is None:
        return
    inbound = task.compiled.inbound[cso.type_id]
    changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
    cs = with_refs(inbound, cso, loaded.refs.get(cso.id, ()))
    seen = _drawing_context(task, loaded, cso, draw)
    verdict = judge(inbound, cs, seen)
    if verdict.problem is not None:
        fail_object(changes, cso, "scope_error", verdict.problem)
        return
    if verdict.out:
        if leaving_action(inbound) is OutOfScopeAction.REMAIN_JOINED:
            _retain(task, changes, loaded, cso, inbound, mvo)
        else:  # its disconnection was held back: a person decided against it
            changes.count("selected")
        return
    side = task.compiled.metaverse[mvo.type_id]
    others = [other for other in loaded.links.get(mvo.id, ()) if other.id != cso.id]
    outcome = evaluate(inbound, side, cso, cs, mvo, others, verdict.accepted, seen, task.claimed.run)
    if outcome.untouched:
        index, kind, message = first_failure(outcome.failures)
        fail_object(changes, cso, kind, f"{inbound.links[index].key}: {message}", inbound.links[index].rule)
        return
    _write(task, changes, loaded, cso, inbound, side, mvo, outcome)


def _drawing_context(task: Task, loaded: Loaded, cso: Cso, draw: Draw | None) -> EvalContext:
    """The context in which the object keeps what it has drawn, and draws what it lacks where draws are settled."""

    def held(name: str) -> str | None:
        found = loaded.reservations.get((cso.mvo_id, name)) if cso.mvo_id is not None else None
        if found is None and draw is None:
            raise NeedsDraw(name, ())
        return found.value if found is not None else None

    if draw is None:
        return context(task, held)
    return context(task, held, lambda name, offered: draw(cso, name, offered))


def _retain(task: Task, changes: Changes, loaded: Loaded, cso: Cso, inbound: InboundType, mvo: Mvo) -> None:
    """The object has no say any more but keeps its join; its values stay until a living contributor wins (SYN-16)."""
    side = task.compiled.metaverse[mvo.type_id]
    others = [other for other in loaded.links.get(mvo.id, ()) if other.id != cso.id]
    mappings = frozenset(link.id for link in inbound.links)
    doc, provenance, values = recall(side, mvo, mappings, others, task.claimed.run, keep=True)
    if provenance is not mvo.provenance:
        changes.item("cso", Item(cso.id, cso.anchor or "", "retained_out_of_scope"))
    outcome = Evaluation(doc, provenance, None, tuple(values), (), untouched=False, owes_draw=False)
    _write(task, changes, loaded, cso, inbound, side, mvo, outcome)


def first_failure(failures: Sequence[Failure]) -> Failure:
    """The failure that is told of an object left untouched: the first in the order of the mappings."""
    return min(failures)


def _write(
    task: Task,
    changes: Changes,
    loaded: Loaded,
    cso: Cso,
    inbound: InboundType,
    side: MetaverseSide,
    mvo: Mvo,
    outcome: Evaluation,
) -> None:
    _tell_failures(changes, cso, inbound, outcome.failures)
    refers = loaded.before_references and any(rule.references for rule in inbound.rules)
    if outcome.owes_draw:
        changes.proposals.append(Proposal(DRAW, cso.id, canonical_place(task, cso), {}))
        changes.links.append(relinked(cso, contributions=outcome.contributions, refs_due=refers or cso.refs_due))
    else:
        failed = bool(outcome.failures)
        changes.links.append(
            evaluated(task, cso, contributions=outcome.contributions, refs_due=refers or cso.refs_due, failed=failed)
        )
        changes.count("selected")
        changes.count("errored" if failed else ("changed" if outcome.values or not mvo.evaluated else "unchanged"))
    differs = outcome.doc is not mvo.doc or outcome.provenance is not mvo.provenance
    serves = any(target.type_id == cso.type_id for target in side.targets)
    complete = mvo.evaluated or not outcome.owes_draw
    if not (differs or complete is not mvo.evaluated or (serves and not mvo.outbound_due)):
        return
    changes.expect_mvos[mvo.id] = mvo.change_seq
    due_now = mvo.outbound_due or bool(outcome.values) or not mvo.evaluated or serves
    changes.mvos.append(
        rewritten(
            mvo,
            doc=outcome.doc,
            provenance=outcome.provenance,
            evaluated=complete,
            outbound_due=due_now,
            touch=bool(outcome.values),
        )
    )
    changes.match_keys.extend(_key_changes(side, mvo, loaded, outcome))
    if outcome.values:
        shown = tuple(_shown(side, value) for value in outcome.values)
        changes.item("mvo", Item(mvo.id, mvo.origin_key, "flowed", shown))


def _tell_failures(changes: Changes, cso: Cso, inbound: InboundType, failures: Sequence[Failure]) -> None:
    for index, kind, message in failures:
        link = inbound.links[index]
        changes.errors.append(
            ErrorItem(
                space="cso",
                kind=kind,
                key=cso.anchor or "",
                message=f"{link.key}: {message}",
                type_id=cso.type_id,
                object_id=cso.id,
                rule=link.rule,
            )
        )


def _shown(
    side: MetaverseSide, value: tuple[str, object, object, int | None]
) -> tuple[str, object, object, int | None]:
    """A value change as history keeps it; of a sensitive attribute only that it changed (AUD-13)."""
    attr, _, _, mapping = value
    return (attr, None, "***", mapping) if side.record.attributes[attr].sensitive else value


def _key_changes(side: MetaverseSide, mvo: Mvo, loaded: Loaded, outcome: Evaluation) -> list[KeyChange]:
    """Look-up keys follow the values; compared with the keys that stand, because a projection has put some there."""
    found: list[KeyChange] = []
    for attr in sorted(side.key_attrs):
        standing = loaded.keys.get(mvo.id, {}).get(attr, {})
        wanted = {key_hash(key): key for key in keys_of(outcome.doc.get(attr))}
        if standing == wanted:
            continue
        if outcome.owes_draw and attr not in outcome.doc:
            continue
        add = tuple((digest, key) for digest, key in wanted.items() if standing.get(digest) != key)
        remove = tuple((digest, key) for digest, key in standing.items() if wanted.get(digest) != key)
        found.append(KeyChange(side.type_id, attr, mvo.id, add, remove))
    return found
