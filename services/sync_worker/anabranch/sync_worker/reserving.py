"""The steps `reserve.propose` and `reserve.settle`: unique values are drawn, in canonical order.

An object whose mapping wants a value that nobody has drawn for it was left by `flow` with a proposal. Here each object
takes its first candidate that no MVO, no target object and no reservation holds, and the reservation commits with the
values it serves (SYN-65, SYN-66). Only over the complete set it shows who may want what another wants: such objects are
settled in canonical order, in one batch or in batches that follow one another; different batches else side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from anabranch.engine.draw_parts import in_parts
from anabranch.engine.drawing import Drawing, Need
from anabranch.engine.expressions import NeedsDraw
from anabranch.engine.keys import key_hash
from anabranch.model.changes import Changes
from anabranch.model.enums import CsoState
from anabranch.model.errors import Retryable
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import Cso, Proposal, Reservation
from anabranch.runtime.work import Task, decide_and_commit
from anabranch.store.port import Reader
from anabranch.sync_worker.flowing import DRAW, Loaded, flow_object, load_joined
from anabranch.sync_worker.proposing import fail_object


async def propose_draws(task: Task) -> None:
    """The proposals are complete: settling matches and `flow` have made them."""
    async with task.store.unit(task.claimed) as unit:
        await unit.seal()
        await unit.done({})


async def plan_settle(task: Task) -> None:
    """The proposals numbered and cut into ranges of numbers, so that no range has anything to do with another, but for
    those that follow one another."""
    run = task.claimed.run
    async with task.store.reader() as reader:
        objects, pairs = await reader.proposed_contests(run, DRAW)
    batches: list[NewBatch] = []
    order: list[int] = []
    for part in in_parts(len(objects), pairs, task.claimed.batch_size):
        payload = {"lo": len(order) + 1, "hi": len(order) + len(part.places)}
        order.extend(objects[place] for place in part.places)
        batches.append(
            NewBatch(n=len(batches) + 1, payload=payload, total=len(part.places), waits_for_previous=part.follows)
        )
    async with task.store.unit(task.claimed) as unit:
        if order:
            await unit.number_proposals(run, DRAW, order)
        await unit.add_batches(batches)
        await unit.seal()
        await unit.done({})
    task.hold.sealed_with = len(batches) + 1


class _Draws(msgspec.Struct, frozen=True):
    """The objects of a range in canonical order, and who holds what they may want."""

    loaded: Loaded
    order: list[CsoId]
    drawing: Drawing


class _Settled(msgspec.Struct, frozen=True):
    """What the range writes, decided over everything that had to be looked up for it."""

    changes: Changes


class _Offer(msgspec.Struct, frozen=True):
    """What one object would like to draw, best first."""

    mvo: MvoId
    name: str
    candidates: tuple[str, ...]


async def settle_range(task: Task) -> None:
    """Every object of the range has its values, or is reported as out of candidates."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> _Settled:
        proposals = await reader.proposals(task.claimed.run, DRAW, lo, hi)
        order = [CsoId(one.object_id) for one in proposals]
        csos = [cso for cso in await reader.csos(order) if cso.mvo_id is not None and cso.state is CsoState.NORMAL]
        loaded = msgspec.structs.replace(await load_joined(task, reader, csos), before_references=False)
        drawing = Drawing()
        await _learn(task, reader, drawing, _offers(csos, proposals))
        for _ in range(_ROUNDS):  # a draw that depends on an earlier one of the same object shows itself here
            trial = drawing.fresh()
            changes = _evaluate(task, _Draws(loaded, order, trial))
            if not trial.needs:
                return _Settled(changes)
            await _look_up(task, reader, trial.needs, drawing)
        raise Retryable(f"the draws of batch {task.claimed.batch} do not settle after {_ROUNDS} rounds", delay=5.0)

    await decide_and_commit(task, load, lambda settled: settled.changes)


def _offers(csos: Sequence[Cso], proposals: Sequence[Proposal]) -> list[_Offer]:
    """What each object would have drawn first when it was proposed: most probably what it wants to draw now."""
    mvos = {cso.id: cso.mvo_id for cso in csos if cso.mvo_id is not None}
    return [
        _Offer(mvos[CsoId(one.object_id)], name, tuple(candidates))
        for one in proposals
        if one.object_id in mvos
        for name, candidates in one.body["wants"].items()
    ]


async def _learn(task: Task, reader: Reader, drawing: Drawing, offers: Sequence[_Offer]) -> None:
    """Everything is known that the contests between these offers turn on, looked up in few rounds."""
    for _ in range(_ROUNDS):
        trial = drawing.fresh()
        for one in offers:
            trial.draw(one.name, one.candidates, one.mvo)
        if not trial.needs:
            return
        await _look_up(task, reader, trial.needs, drawing)


_ROUNDS = 200
"""More than any object can ask for: at most 50 candidates a name, and a few names an object."""


async def _look_up(task: Task, reader: Reader, needs: set[Need], drawing: Drawing) -> None:
    """Who holds the candidates that were asked for: MVOs, target objects, reservations."""
    by_name: dict[str, list[Need]] = {}
    for need in needs:
        by_name.setdefault(need.name, []).append(need)
    for name, some in sorted(by_name.items()):
        hashes = sorted({key_hash(need.candidate) for need in some})
        declared = task.compiled.unique_values[name]
        mvo_type, _, attr = declared.metaverse.partition(".")
        for hit in await reader.match_candidates(task.compiled.registry.metaverse_types[mvo_type], attr, hashes):
            drawing.hold(name, hit.key_hash, MvoId(hit.object_id))
        for type_id, target_attr in task.compiled.unique_targets[name]:
            for hit in await reader.cso_key_holders(type_id, target_attr, hashes):
                drawing.hold(name, hit.key_hash, hit.mvo_id)
        for one in await reader.reservations(name, hashes):
            if one.mvo_id is not None or (one.free_after is not None and one.free_after > task.claimed.now):
                drawing.hold(name, one.value_hash, one.mvo_id)
        drawing.looked_up(name, hashes)


def _evaluate(task: Task, draws: _Draws) -> Changes:
    changes = Changes()
    csos = {cso.id: cso for cso in draws.loaded.csos}

    def draw(cso: Cso, name: str, offered: Sequence[str]) -> str:
        assert cso.mvo_id is not None  # noqa: S101 - only joined objects are evaluated
        limit = task.compiled.unique_values[name].max_candidates
        value = draws.drawing.draw(name, offered, cso.mvo_id, limit)
        if value is None:
            raise NeedsDraw(name, offered)
        return value

    for cso_id in draws.order:
        cso = csos.get(cso_id)
        if cso is None or cso.mvo_id is None:
            continue
        before = len(changes.proposals)
        flow_object(task, changes, draws.loaded, cso, draw)
        if len(changes.proposals) > before:
            _give_up(changes, cso, draws.drawing)
    for name, value, mvo_id in draws.drawing.drawn:
        changes.reservations.append(Reservation(name, key_hash(value), value, mvo_id))
    return changes


def _give_up(changes: Changes, cso: Cso, drawing: Drawing) -> None:
    """Every candidate is taken: the object keeps what earlier steps gave it, and stays due (SYN-68)."""
    changes.proposals.pop()
    changes.links.pop()
    for writes in (changes.mvos, changes.match_keys):
        while writes and _concerns(writes[-1], cso):
            writes.pop()
    drawing.forget(cso.mvo_id)
    fail_object(
        changes, cso, "unique_value_exhausted", "every candidate is taken; widen the candidates or free one of them"
    )


def _concerns(write: object, cso: Cso) -> bool:
    return getattr(write, "id", None) == cso.mvo_id or getattr(write, "object_id", None) == cso.mvo_id
