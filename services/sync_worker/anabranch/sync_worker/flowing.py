"""The step `flow`: joined objects give their MVOs their values.

Each range of CSOs is evaluated by the engine's generated functions; an MVO changes only when a value does, and what
changes is marked for outbound evaluation in the same commit, until that evaluation has happened. Objects that want a
unique value nobody has drawn yet are proposed for `reserve`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from anabranch.engine.compiled import Failure, InboundType
from anabranch.engine.draw_order import EVERYBODY, contests
from anabranch.engine.expressions import EvalContext, NeedsDraw
from anabranch.engine.flow import Evaluation, evaluate, recall
from anabranch.engine.keys import first_keys, key_hash, keys_of
from anabranch.model.changes import Changes, ErrorItem, Item, KeyChange, NewMvo
from anabranch.model.enums import JoinType, OutOfScopeAction
from anabranch.model.identity import CsoId, MvoId, RunId, TypeId
from anabranch.model.objects import Cso, Document, Mvo, Proposal, RawRef, Reservation
from anabranch.runtime.loading import links_by_mvo
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan
from anabranch.store.port import Reader
from anabranch.sync_worker.extent import context, due, evaluated, read_refs, relinked, rewritten, with_refs
from anabranch.sync_worker.proposing import canonical_place, fail_object
from anabranch.sync_worker.scoping import judge, leaving_action

DRAW = "draw"
Draw = Callable[[Cso, str, Sequence[str]], str]
Wishes = list[tuple[str, Sequence[str]]]
"""What an evaluation would like to draw: the name of the unique value, and its candidates, best first."""
_HINTED: Final = 6
"""How many candidates a proposal names: more are seldom tried, and are looked up when they are."""


async def plan_flow(task: Task) -> None:
    """The due joined objects, cut into ranges; without those that have got their values where they got their place."""
    async with task.store.reader() as reader:
        ranges = await reader.due_ranges(due(task, "joined", apart_from_settled=True), task.claimed.batch_size)
    await plan(task, batches_of(ranges))


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Joined objects and everything their evaluation reads."""

    csos: list[Cso]
    refs: dict[CsoId, list[RawRef]]
    mvos: dict[MvoId, Mvo]
    links: dict[MvoId, list[Cso]]
    keys: dict[MvoId, dict[str, dict[bytes, str]]]
    reservations: dict[tuple[MvoId, str], Reservation]
    before_references: bool = True
    """True while the step `references` is still to come, so that it is owed what this evaluation changes."""
    settling: RunId | None = None
    """The run whose matches are being settled, when that is what goes on: its `flow` leaves these objects out."""


async def load_joined(task: Task, reader: Reader, csos: list[Cso]) -> Loaded:
    """What the evaluation of these joined objects needs, in one query a table."""
    inbound = {cso.type_id: task.compiled.inbound[cso.type_id] for cso in csos}
    ids = sorted({cso.mvo_id for cso in csos if cso.mvo_id is not None})
    mvos = {mvo.id: mvo for mvo in await reader.mvos(ids)}
    linked = ids
    if not any(_is_contested(task, one) for one in inbound.values()):
        linked = sorted({one.mvo_id for one in csos if one.mvo_id in mvos and _may_be_early(one, mvos[one.mvo_id])})
    return Loaded(
        csos=csos,
        refs=await read_refs(task, reader, csos),
        mvos=mvos,
        links=await links_by_mvo(reader, linked, csos) if linked else {},
        keys=await keys_by_mvo(task, reader, mvos),
        reservations=await draws_of(task, reader, csos, ids),
    )


def _may_be_early(cso: Cso, mvo: Mvo) -> bool:
    """Whether the object may come to its metaverse object before the one that projected it has given it anything."""
    return not mvo.evaluated and cso.join_type is not JoinType.PROJECTED


def _is_early(task: Task, loaded: Loaded, cso: Cso, mvo: Mvo) -> bool:
    """The object that projected this one owes its first evaluation: it failed, or its run was ended in between. Until
    then what others give it makes nothing that a target could get."""
    return _may_be_early(cso, mvo) and any(
        _owes_its_first(task, other, mvo.type_id) for other in loaded.links.get(mvo.id, ()) if other.id != cso.id
    )


def _owes_its_first(task: Task, cso: Cso, mvo_type: TypeId) -> bool:
    """Whether the object projected its metaverse object, has given it nothing yet, and will: a rule for it is there."""
    inbound = task.compiled.inbound.get(cso.type_id)
    if cso.join_type is not JoinType.PROJECTED or cso.synced_seq or inbound is None or not inbound.record.selected:
        return False
    return any(rule.mvo_type == mvo_type and index in inbound.enabled for index, rule in enumerate(inbound.rules))


async def keys_by_mvo(
    task: Task, reader: Reader, mvos: Mapping[MvoId, Mvo]
) -> dict[MvoId, dict[str, dict[bytes, str]]]:
    """The look-up keys these objects have, by object and attribute."""
    keyed = [mvo.id for mvo in mvos.values() if task.compiled.metaverse[mvo.type_id].key_attrs]
    keys: dict[MvoId, dict[str, dict[bytes, str]]] = {}
    if keyed:
        for mvo_id, attr, digest, key in await reader.match_keys_of(keyed):
            keys.setdefault(mvo_id, {}).setdefault(attr, {})[digest] = key
    return keys


async def draws_of(
    task: Task, reader: Reader, csos: Sequence[Cso], mvos: Sequence[MvoId]
) -> dict[tuple[MvoId, str], Reservation]:
    """What these metaverse objects have drawn, where a rule of these CSOs draws at all."""
    types = {cso.type_id for cso in csos}
    draws = any(link.draws for one in types for link in task.compiled.inbound[one].links)
    held = await reader.reservations_of(mvos) if draws and mvos else []
    return {(one.mvo_id, one.name): one for one in held if one.mvo_id is not None}


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
        csos = await reader.due_csos(due(task, "joined", apart_from_settled=True), lo, hi)
        return await load_joined(task, reader, csos)

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
    verdict = judge(inbound, cs, _drawing_context(task, loaded, cso, draw))
    if verdict.problem is not None:
        fail_object(changes, cso, "scope_error", verdict.problem)
        return
    if verdict.out:
        if leaving_action(inbound) is OutOfScopeAction.REMAIN_JOINED:
            _retain(task, changes, loaded, cso, inbound, mvo)
        else:  # its disconnection was held back: a person decided against it
            changes.count("selected")
        return
    wishes: Wishes = []
    outcome = evaluation_of(task, loaded, cso, cs, mvo, verdict.accepted, draw, wishes)
    if outcome.untouched:
        index, kind, message = first_failure(outcome.failures)
        fail_object(changes, cso, kind, f"{inbound.links[index].key}: {message}", inbound.links[index].rule)
        return
    write_values(task, changes, loaded, cso, mvo, outcome, wishes=wishes)


def evaluation_of(
    task: Task,
    loaded: Loaded,
    cso: Cso,
    cs: Document,
    mvo: Mvo,
    accepted: Sequence[int],
    draw: Draw | None = None,
    wishes: Wishes | None = None,
) -> Evaluation:
    """What the accepting rules' mappings of the joined object make of its metaverse object. Without `draw` nothing is
    drawn, and what would have been is added to `wishes`."""
    inbound, side = task.compiled.inbound[cso.type_id], task.compiled.metaverse[mvo.type_id]
    others = [other for other in loaded.links.get(mvo.id, ()) if other.id != cso.id]
    seen = _drawing_context(task, loaded, cso, draw, wishes)
    return evaluate(inbound, side, cso, cs, mvo, others, accepted, seen, task.claimed.run)


def _drawing_context(
    task: Task, loaded: Loaded, cso: Cso, draw: Draw | None, wishes: Wishes | None = None
) -> EvalContext:
    """The context in which the object keeps what it has drawn, and draws what it lacks where draws are settled."""

    def held(name: str) -> str | None:
        found = loaded.reservations.get((cso.mvo_id, name)) if cso.mvo_id is not None else None
        if found is None and draw is None and wishes is None:
            raise NeedsDraw(name, ())
        return found.value if found is not None else None

    def wish(name: str, offered: Sequence[str]) -> str:
        if draw is not None:
            return draw(cso, name, offered)
        if wishes is not None:
            wishes.append((name, offered))
        raise NeedsDraw(name, offered)

    return context(task, held, wish)


def _retain(task: Task, changes: Changes, loaded: Loaded, cso: Cso, inbound: InboundType, mvo: Mvo) -> None:
    """The object has no say any more but keeps its join; its values stay until a living contributor wins (SYN-16)."""
    side = task.compiled.metaverse[mvo.type_id]
    others = [other for other in loaded.links.get(mvo.id, ()) if other.id != cso.id]
    mappings = frozenset(link.id for link in inbound.links)
    doc, provenance, values = recall(side, mvo, mappings, others, task.claimed.run, keep=True)
    if provenance is not mvo.provenance:
        changes.item("cso", Item(cso.id, cso.anchor or "", "retained_out_of_scope"))
    outcome = Evaluation(doc, provenance, None, tuple(values), (), untouched=False, owes_draw=False)
    write_values(task, changes, loaded, cso, mvo, outcome)


def first_failure(failures: Sequence[Failure]) -> Failure:
    """The failure that is told of an object left untouched: the first in the order of the mappings."""
    return min(failures)


def write_values(
    task: Task,
    changes: Changes,
    loaded: Loaded,
    cso: Cso,
    mvo: Mvo,
    outcome: Evaluation,
    keys: Sequence[KeyChange] | None = None,
    *,
    created: bool = False,
    always: bool = False,
    wishes: Wishes | None = None,
    served: bool = False,
) -> None:
    """The evaluation is in `changes`, with what it still owes. A metaverse object that is `created` by it is new, and
    `served` when its targets have got what they lack; one that stays as it is is written only with `always`. `keys` are
    its `key_changes_of` where they are known already; `wishes` what it would have drawn."""
    inbound, side = task.compiled.inbound[cso.type_id], task.compiled.metaverse[mvo.type_id]
    complete = mvo.evaluated or not (outcome.owes_draw or _is_early(task, loaded, cso, mvo))
    _tell_failures(changes, cso, inbound, outcome.failures)
    _write_link(task, changes, loaded, cso, mvo, outcome, wishes or [], completes=complete and not mvo.evaluated)
    differs = outcome.doc is not mvo.doc or outcome.provenance is not mvo.provenance
    serves = any(target.type_id == cso.type_id for target in side.targets)
    if not (always or created or differs or complete is not mvo.evaluated or (serves and not mvo.outbound_due)):
        return
    due_now = always or mvo.outbound_due or bool(outcome.values) or not mvo.evaluated or serves
    if created:
        changes.new_mvos.append(
            NewMvo(
                id=mvo.id,
                type_id=mvo.type_id,
                origin_key=mvo.origin_key,
                doc=outcome.doc,
                provenance=outcome.provenance,
                evaluated=complete,
                outbound_due=due_now and not served,
                outbound_stamp=task.compiled.revision.outbound_stamps.get(mvo.type_id, 0) if served else 0,
                outbound_version=task.claimed.config_version if served else 0,
            )
        )
    else:
        changes.expect_mvos[mvo.id] = mvo.change_seq
        changes.mvos.append(
            rewritten(
                mvo,
                doc=outcome.doc,
                provenance=outcome.provenance,
                evaluated=complete,
                outbound_due=due_now,
                touch=always or bool(outcome.values),
            )
        )
    changes.match_keys.extend(key_changes_of(task, loaded, mvo, outcome) if keys is None else keys)
    if outcome.values:
        hidden = side.sensitive
        told = tuple(shown(hidden, value) for value in outcome.values) if hidden else outcome.values
        changes.item("mvo", Item(mvo.id, mvo.origin_key, "flowed", told))


def _write_link(
    task: Task,
    changes: Changes,
    loaded: Loaded,
    cso: Cso,
    mvo: Mvo,
    outcome: Evaluation,
    wishes: Wishes,
    *,
    completes: bool,
) -> None:
    """The object's sync row: evaluated, or owed the values that have to be drawn first; what those would be is kept
    with the proposal, as a hint of what to look up."""
    refers = cso.refs_due or (loaded.before_references and task.compiled.inbound[cso.type_id].refers)
    if outcome.owes_draw:
        wants = {name: list(offered[:_HINTED]) for name, offered in wishes}
        body = {"wants": wants, "contests": _contests(task, loaded, cso, mvo, wishes)}
        changes.proposals.append(Proposal(DRAW, cso.id, canonical_place(task, cso), body))
        changes.links.append(
            relinked(cso, contributions=outcome.contributions, refs_due=refers, settled_in=loaded.settling)
        )
        return
    failed = bool(outcome.failures)
    changes.links.append(
        evaluated(
            task,
            cso,
            contributions=outcome.contributions,
            refs_due=refers,
            failed=failed,
            settled_in=loaded.settling,
        )
    )
    changes.count("selected")
    changes.count("errored" if failed else ("changed" if outcome.values or completes else "unchanged"))


def _contests(task: Task, loaded: Loaded, cso: Cso, mvo: Mvo, wishes: Wishes) -> list[int]:
    """Which contests the object is in when draws are settled: by all it may draw, and by all it holds."""
    if not wishes or cso.system_id not in task.compiled.draws_apart:
        return [EVERYBODY]
    standing: list[str] = []
    for attr in task.compiled.watched.get(mvo.type_id, ()):
        standing.extend(keys_of(mvo.doc.get(attr)))
        standing.extend(loaded.keys.get(mvo.id, {}).get(attr, {}).values())
    held = (loaded.reservations.get((mvo.id, name)) for name in task.compiled.unique_values)
    standing.extend(one.value for one in held if one is not None)
    return contests([offered for _, offered in wishes], standing)


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


def shown(
    hidden: frozenset[str], value: tuple[str, object, object, int | None]
) -> tuple[str, object, object, int | None]:
    """A value change as history keeps it; of a sensitive attribute only that it changed (AUD-13)."""
    attr, _, _, mapping = value
    return (attr, None, "***", mapping) if attr in hidden else value


def key_changes_of(task: Task, loaded: Loaded, mvo: Mvo, outcome: Evaluation) -> list[KeyChange]:
    """Look-up keys follow the values; compared with the keys that stand, because a projection has put some there."""
    found: list[KeyChange] = []
    side = task.compiled.metaverse[mvo.type_id]
    for attr in sorted(side.key_attrs):
        standing = loaded.keys.get(mvo.id, {}).get(attr, {})
        if not standing:
            if (change := first_keys(side.type_id, attr, mvo.id, outcome.doc.get(attr))) is not None:
                found.append(change)
            continue
        wanted = {key_hash(key): key for key in keys_of(outcome.doc.get(attr))}
        if standing == wanted:
            continue
        if outcome.owes_draw and attr not in outcome.doc:
            continue
        add = tuple((digest, key) for digest, key in wanted.items() if standing.get(digest) != key)
        remove = tuple((digest, key) for digest, key in standing.items() if wanted.get(digest) != key)
        found.append(KeyChange(side.type_id, attr, mvo.id, add, remove))
    return found
