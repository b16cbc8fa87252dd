"""The step `match.propose`: what every unjoined object would do, before any of them does it.

An object looks for its partner by the match rules in whose scope it is, and says which keys it would give a metaverse
object of its own. The look-up cache may answer first; what it does not know, PostgreSQL does. Neither decides: a
proposal is only a picture, and `match.settle` looks again under the turn, in canonical order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from anabranch.engine.compiled import InboundType
from anabranch.engine.expressions import EvaluationError
from anabranch.engine.joining import Search, projection_rule, searches, would_be_keys
from anabranch.engine.values import order_text
from anabranch.model.changes import Changes, ErrorItem
from anabranch.model.identity import TypeId
from anabranch.model.objects import Cso, CsoRef, Proposal
from anabranch.runtime.loading import refs_by_cso
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan, system_id
from anabranch.store.port import Reader
from anabranch.sync_worker.extent import (
    context,
    due,
    evaluated,
    inbound_types,
    is_settled,
    relinked,
    with_refs,
)
from anabranch.sync_worker.hinting import Known, known_keys, probably_joins
from anabranch.sync_worker.scoping import judge

MATCH = "match"


async def plan_propose(task: Task) -> None:
    """The due objects without a join, cut into ranges; all of them when the metaverse has moved since they were last
    matched, because a partner may have come or become recognisable (SYN-2)."""
    rules = [rule for inbound in inbound_types(task) for rule in inbound.rules]
    matched = {rule.mvo_type for rule in rules if rule.matches and rule.record.enabled}
    async with task.store.reader() as reader:
        moved = await reader.metaverse_moved(system_id(task), task.claimed.run, sorted(matched))
        ranges = await reader.due_ranges(due(task, "unjoined", everything=moved), task.claimed.batch_size)
    batches = batches_of(ranges)
    await plan(task, [replace(one, payload={**one.payload, "all": moved}) for one in batches])


async def propose_range(task: Task) -> None:
    """Every object of the range that may join or project has a proposal; the others are evaluated to their end."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> tuple[list[_Seeker], Known]:
        wanted = due(task, "unjoined", everything=task.claimed.payload["all"])
        csos = await reader.due_csos(wanted, lo, hi)
        needing = [cso.id for cso in csos if task.compiled.inbound[cso.type_id].needs_refs]
        refs = await refs_by_cso(reader, needing)
        seekers = [_seek(task, cso, refs.get(cso.id, [])) for cso in csos]
        return seekers, await known_keys(task, reader, [one.searches for one in seekers])

    def decide(loaded: tuple[list[_Seeker], Known]) -> Changes:
        changes = Changes()
        for seeker in loaded[0]:
            _propose(task, changes, seeker, loaded[1])
        return changes

    await decide_and_commit(task, load, decide)


class _Seeker(msgspec.Struct, frozen=True):
    """An object that looks for its partner: what it looks for, or why that could not be told (kind, message)."""

    cso: Cso
    cs: dict[str, Any]
    accepted: tuple[int, ...]
    searches: list[Search]
    fault: tuple[str, str] | None = None


def _seek(task: Task, cso: Cso, refs: list[CsoRef]) -> _Seeker:
    inbound = task.compiled.inbound[cso.type_id]
    cs = with_refs(inbound, cso, refs)
    verdict = judge(inbound, cs, context(task))
    if verdict.problem is not None:
        return _Seeker(cso, cs, (), [], ("scope_error", verdict.problem))
    try:
        return _Seeker(cso, cs, verdict.accepted, searches(inbound, cs, verdict.accepted, context(task)))
    except EvaluationError as problem:
        return _Seeker(cso, cs, (), [], ("expression_error", str(problem)))


def _propose(task: Task, changes: Changes, seeker: _Seeker, known: Known) -> None:
    cso, looked_for = seeker.cso, seeker.searches
    inbound = task.compiled.inbound[cso.type_id]
    changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
    if seeker.fault is not None:
        fail_object(changes, cso, *seeker.fault)
        return
    body = _body(inbound, seeker)
    if body["project"] is not None and not probably_joins(looked_for, known):
        body["project"]["keys"] = projected_keys(task, cso, seeker.cs, seeker.accepted, body["project"]["mvo_type"])
    if not looked_for and body["project"] is None:
        if not is_settled(task, cso):
            changes.links.append(evaluated(task, cso))
        changes.count("selected")
        changes.count("unchanged")
        return
    changes.proposals.append(Proposal(MATCH, cso.id, canonical_place(task, cso), body))


def _body(inbound: InboundType, seeker: _Seeker) -> dict[str, Any]:
    project = projection_rule(inbound, seeker.accepted)
    body: dict[str, Any] = {"searches": msgspec.to_builtins(seeker.searches), "project": None}
    if project is not None:
        rule = inbound.rules[project]
        body["project"] = {
            "rule": rule.record.key,
            "mvo_type": rule.mvo_type,
            "accepted": seeker.accepted,
            "keys": None,
        }
    return body


def projected_keys(
    task: Task, cso: Cso, cs: dict[str, Any], accepted: Sequence[int], mvo_type: TypeId
) -> dict[str, tuple[str, ...]]:
    """The look-up keys the object's own mappings would give a metaverse object of its own (SYN-34)."""
    inbound = task.compiled.inbound[cso.type_id]
    return would_be_keys(inbound, task.compiled.metaverse[mvo_type], cs, accepted, context(task))


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
