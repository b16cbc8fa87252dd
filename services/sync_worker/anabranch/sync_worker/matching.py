"""The step `match.settle`: joins and projections, and the first values of what was joined or projected.

Objects that share no contest with another come out the same in any order, and are settled range by range, side by side.
The contested ones follow one another in canonical order, so each sees what the ones before it did: a join meets a slot
that is free or an error, and a would-be projection that finds a partner projected earlier in the run makes no second
one (SYN-30, SYN-34). Every look-up is made again in PostgreSQL: what counts is what is there now, under the turn.

An object that found its place is evaluated at once. Nobody else touches its metaverse object before `flow`, so the
values are the ones `flow` would have given, without reading and writing everything a second time; only where they would
change a key that somebody may still look for, the evaluation is left to `flow` (SYN-28). A new metaverse object that is
complete then, and that no later step of the run can touch, is held against its targets at once as well: what is found
here is what `outbound` would find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from msgspec.structs import replace

from anabranch.engine.compiled import InboundType, Target
from anabranch.engine.deletion import join_cancels
from anabranch.engine.flow import Evaluation
from anabranch.engine.joining import Partner, Search, candidates, find_partner, projection_rule
from anabranch.engine.keys import key_hash
from anabranch.model.changes import Changes, Item, KeyChange, NewMvo, ProposalPack
from anabranch.model.enums import CsoState, JoinType, MvoState
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import BatchId, CsoId, MvoId, TypeId
from anabranch.model.objects import Connector, Cso, KeyHit, Mvo, Proposal, ServedMvo
from anabranch.runtime.loading import links_by_mvo
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan
from anabranch.store.port import Reader
from anabranch.sync_worker.contests import contested, objects_of
from anabranch.sync_worker.extent import due, evaluated, inbound_types, is_settled, relinked, rewritten
from anabranch.sync_worker.flowing import (
    Loaded,
    Wishes,
    draws_of,
    evaluation_of,
    key_changes_of,
    keys_by_mvo,
    write_values,
)
from anabranch.sync_worker.hinting import partners_of, tell_cache
from anabranch.sync_worker.newcomers import Newcomers
from anabranch.sync_worker.projecting import StraightWay, is_straight
from anabranch.sync_worker.proposing import (
    APART,
    MATCH,
    Hits,
    Seeker,
    canonical_place,
    fail_object,
    projected_keys,
    seekers_of,
)
from anabranch.sync_worker.teardown import connector

_PAGE = 5000


async def plan_settle(task: Task) -> None:
    """What each batch proposed is a batch again, without its contested objects; those are numbered in canonical order
    and cut into ranges that follow one another."""
    run, size = task.claimed.run, task.claimed.batch_size
    types = {rule.mvo_type for inbound in inbound_types(task) for rule in inbound.rules}
    async with task.store.reader() as reader:
        empty = sorted(types - await reader.types_with_keys(sorted(types)))
        if told := await reader.proposal_packs(run, APART):
            await plan(task, await _due_batches(task, reader, told[0][1], empty))
            return
        packs = await reader.proposal_packs(run, MATCH)
        waiting = contested([pack for _, pack in packs])
        ordered = await _in_order(task, reader, waiting.tolist())
    batches: list[NewBatch] = []
    for batch, pack in packs:
        apart = np.setdiff1d(objects_of(pack.objects), waiting, assume_unique=True)
        if len(apart):
            mixed = len(apart) < len(objects_of(pack.objects))
            payload = {"pack": batch, "lo": int(apart[0]), "hi": int(apart[-1]), "mixed": mixed, "empty": empty}
            batches.append(NewBatch(n=len(batches) + 1, payload=payload, total=len(apart)))
    for start in range(0, len(ordered), size):
        part = ordered[start : start + size]
        payload = {"lo": start + 1, "hi": start + len(part)}
        batches.append(NewBatch(n=len(batches) + 1, payload=payload, total=len(part), waits_for_previous=start > 0))
    async with task.store.unit(task.claimed) as unit:
        await unit.persist(Changes(proposals=ordered))
        await unit.add_batches(batches)
        await unit.seal()
        await unit.done({})
    task.hold.sealed_with = len(batches) + 1


async def _due_batches(task: Task, reader: Reader, apart: ProposalPack, empty: Sequence[TypeId]) -> list[NewBatch]:
    """Everything due, where no object can get in the way of another one."""
    everything = msgspec.msgpack.decode(apart.objects, type=bool)
    ranges = await reader.due_ranges(due(task, "unjoined", everything=everything), task.claimed.batch_size)
    return [replace(one, payload={**one.payload, "all": everything, "empty": empty}) for one in batches_of(ranges)]


async def _in_order(task: Task, reader: Reader, ids: Sequence[int]) -> list[Proposal]:
    """The contested objects as numbered proposals."""
    places: list[tuple[str, int]] = []
    for start in range(0, len(ids), _PAGE):
        csos = await reader.csos([CsoId(one) for one in ids[start : start + _PAGE]])
        places.extend((canonical_place(task, cso), cso.id) for cso in csos)
    return [Proposal(MATCH, cso, place, {}, n) for n, (place, cso) in enumerate(sorted(places), start=1)]


class _Found(msgspec.Struct, frozen=True):
    """The objects of a batch in the order in which they are settled, and everything their settling reads."""

    seekers: list[Seeker]
    hits: Hits
    values: Loaded
    new_ids: Sequence[int]
    cso_ids: Sequence[int]
    export_ids: Sequence[int]
    """For what new metaverse objects are given in their targets."""
    packs: bool
    """Whether that may be packed."""


async def settle_range(task: Task) -> None:
    """Every object of the range is joined, projected, or reported, and has its first values."""

    async def load(reader: Reader) -> _Found:
        seekers = await seekers_of(task, reader, [one for one in await _wanted(task, reader) if _may(one)])
        # What was empty when the settling began holds by now only what shares no contest with these.
        empty = frozenset(task.claimed.payload.get("empty", ()))
        searches = [one for seeker in seekers for one in seeker.searches if one.mvo_type not in empty]
        hits, mvos = await partners_of(task, reader, searches)
        values = Loaded(
            csos=[],
            refs={},
            mvos=mvos,
            links=await links_by_mvo(reader, list(mvos)) if mvos else {},
            keys=await keys_by_mvo(task, reader, mvos),
            reservations=await draws_of(task, reader, [one.cso for one in seekers], list(mvos)),
            settling=task.claimed.run,
        )
        alike = Counter((one.cso.type_id, one.accepted) for one in seekers)
        provided = sum(count * _most_targets(task, *kind) for kind, count in alike.items())
        return _Found(
            seekers,
            hits,
            values,
            await reader.new_ids("mvo", len(seekers)),
            await reader.new_ids("cso", provided),
            await reader.new_ids("export", provided),
            bool(provided) and not await reader.is_awaited_within_turn(task.claimed.run),
        )

    found: list[_Found] = []

    def decide(loaded: _Found) -> Changes:
        found.append(loaded)
        return _Settler(task, loaded).settle()

    await decide_and_commit(task, load, decide)
    await tell_cache(task, found[-1].hits)


async def _wanted(task: Task, reader: Reader) -> list[Cso]:
    """The objects of the batch, in the order in which they are settled."""
    payload = task.claimed.payload
    if "all" in payload:
        return await reader.due_csos(due(task, "unjoined", everything=payload["all"]), payload["lo"], payload["hi"])
    ids = await _proposed(task, reader)
    csos = {cso.id: cso for cso in await reader.csos(ids)}
    return [csos[one] for one in ids if one in csos]


async def _proposed(task: Task, reader: Reader) -> list[CsoId]:
    payload, run = task.claimed.payload, task.claimed.run
    pack: BatchId | None = payload.get("pack")
    if pack is None:
        return [CsoId(one.object_id) for one in await reader.proposals(run, MATCH, payload["lo"], payload["hi"])]
    proposed = objects_of(await reader.proposed_objects(run, MATCH, pack))
    mine = proposed[(proposed >= payload["lo"]) & (proposed <= payload["hi"])].tolist()
    ordered = await reader.ordered_among(run, MATCH, mine) if payload["mixed"] else frozenset()
    return [CsoId(one) for one in mine if one not in ordered]


def _most_targets(task: Task, type_id: TypeId, accepted: tuple[int, ...]) -> int:
    """How many target objects such a seeker may lead to when it becomes a metaverse object and is served at once."""
    inbound = task.compiled.inbound[type_id]
    project = projection_rule(inbound, accepted)
    return 0 if project is None else len(_served_at_once(task, inbound, inbound.rules[project].mvo_type))


def _served_at_once(task: Task, inbound: InboundType, mvo_type: TypeId) -> Sequence[Target]:
    """The targets of a new metaverse object of the type; none where a later step of the run may still touch it: its
    references follow, or its own system is one of the targets."""
    targets = task.compiled.metaverse[mvo_type].targets
    if inbound.refers or any(one.system_id == inbound.system_id for one in targets):
        return ()
    return targets


def _may(cso: Cso) -> bool:
    return cso.mvo_id is None and cso.state is CsoState.NORMAL


class _Settler:
    """Settles one batch, object by object; remembers what the batch itself has done."""

    def __init__(self, task: Task, found: _Found) -> None:
        self._task = task
        self._found = found
        self._ids: Iterator[int] = iter(found.new_ids)
        self._hits = {key: list(some) for key, some in found.hits.items()}
        self._contested = not {"pack", "all"} & task.claimed.payload.keys()
        self._taken: dict[MvoId, CsoId] = {}
        self._at_once: dict[tuple[TypeId, TypeId], bool] = {}
        self._changes = Changes()
        self._newcomers = Newcomers(task, iter(found.cso_ids), iter(found.export_ids), packs=found.packs)
        self._straight: dict[tuple[TypeId, tuple[int, ...]], StraightWay | None] = {}

    def settle(self) -> Changes:
        """What the batch writes."""
        for seeker in self._found.seekers:
            if self._goes_straight(seeker):
                continue
            if seeker.fault is not None:
                self._changes.expect_csos[seeker.cso.id] = (seeker.cso.change_seq, seeker.cso.link_version)
                fail_object(self._changes, seeker.cso, *seeker.fault)
            else:
                self._settle(seeker)
        for way in self._straight.values():
            if way is not None:
                way.finish(self._changes)
        self._newcomers.finish(self._changes)
        return self._changes

    def _goes_straight(self, seeker: Seeker) -> bool:
        """True, and it is done, for a newcomer that nothing is special about."""
        cso = seeker.cso
        key = (cso.type_id, seeker.accepted)
        way = self._straight[key] if key in self._straight else self._straight.setdefault(key, self._way(*key))
        if way is None or cso.released or seeker.fault is not None or self._partner(seeker).candidates:
            return False
        mvo_id = way.take(self._changes, cso, seeker.cs)
        if mvo_id is not None:
            self._taken[mvo_id] = cso.id
        return mvo_id is not None

    def _way(self, type_id: TypeId, accepted: tuple[int, ...]) -> StraightWay | None:
        inbound = self._task.compiled.inbound[type_id]
        project = projection_rule(inbound, accepted)
        if project is None or self._contested or not is_straight(self._task, inbound, project):
            return None
        if not self._is_served_at_once(type_id, inbound.rules[project].mvo_type):
            return None
        return StraightWay(self._task, inbound, accepted, project, self._ids, self._newcomers)

    def _partner(self, seeker: Seeker) -> Partner:
        return find_partner(seeker.searches if self._hits else (), self._candidates)

    def _settle(self, seeker: Seeker) -> None:
        cso = seeker.cso
        self._changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
        inbound = self._task.compiled.inbound[cso.type_id]
        partner = self._partner(seeker)
        project = projection_rule(inbound, seeker.accepted)
        if len(partner.candidates) > 1:
            names = ", ".join(self._name(one) for one in partner.candidates)
            message = f"{len(partner.candidates)} metaverse objects match: {names}; make the key unique or join by hand"
            fail_object(self._changes, cso, "ambiguous_match", message, partner.rule)
        elif partner.candidates:
            self._join(seeker, partner.candidates[0], partner.rule or "")
        elif project is not None and not cso.released:
            self._project(seeker, project)
        else:
            if is_settled(self._task, cso):
                del self._changes.expect_csos[cso.id]  # nothing is written, so nothing has to be locked
            else:
                self._changes.links.append(evaluated(self._task, cso))
            self._changes.count("selected")
            self._changes.count("unchanged")

    def _candidates(self, search: Search) -> set[MvoId]:
        return candidates(search, self._hits)

    def _join(self, seeker: Seeker, mvo_id: MvoId, rule: str) -> None:
        cso = seeker.cso
        holder = self._taken.get(mvo_id)
        mvo = self._found.values.mvos.get(mvo_id)
        for other in self._found.values.links.get(mvo_id, []):
            if other.system_id == cso.system_id:
                holder = other.id
        if holder is not None or mvo is None:
            message = f"its match {self._name(mvo_id)} already has an object of this system; one of the two is wrong"
            fail_object(self._changes, cso, "join_slot_taken", message, rule)
            return
        joined = self._joined(cso, mvo_id, JoinType.JOINED, rule)
        self._changes.count("joined")
        self._changes.expect_mvos[mvo_id] = mvo.change_seq
        mvo = self._kept_alive(mvo, cso)
        outcome, wishes = self._evaluated(seeker, joined, mvo)
        changed = [] if outcome.untouched else key_changes_of(self._task, self._found.values, mvo, outcome)
        if outcome.untouched or changed:
            self._changes.links.append(relinked(joined))
            self._changes.mvos.append(rewritten(mvo))
        else:
            self._write(joined, mvo, outcome, changed, wishes, created=False)

    def _kept_alive(self, mvo: Mvo, cso: Cso) -> Mvo:
        """A scheduled deletion may be cancelled by this join (SYN-58)."""
        cancels = mvo.state is MvoState.PENDING_DELETION and join_cancels(mvo.deletion, connector(self._task, mvo, cso))
        if not cancels:
            return mvo
        self._changes.item("mvo", Item(mvo.id, mvo.origin_key, "deletion_cancelled"))
        self._changes.count("deletions_cancelled")
        return replace(mvo, state=MvoState.ACTIVE, delete_after=None, deletion=None)

    def _project(self, seeker: Seeker, project: int) -> None:
        cso = seeker.cso
        rule = self._task.compiled.inbound[cso.type_id].rules[project]
        mvo = _fresh(self._task, cso, MvoId(next(self._ids)), rule.mvo_type)
        joined = self._joined(cso, mvo.id, JoinType.PROJECTED, rule.record.key)
        self._changes.count("projected")
        outcome, wishes = self._evaluated(seeker, joined, mvo)
        if outcome.untouched:
            self._changes.new_mvos.append(NewMvo(id=mvo.id, type_id=mvo.type_id, origin_key=mvo.origin_key))
            self._changes.links.append(relinked(joined))
            known: set[str] = set()
        else:
            changed = key_changes_of(self._task, self._found.values, mvo, outcome)
            served = self._serve(joined, mvo, outcome)
            self._write(joined, mvo, outcome, changed, wishes, created=True, served=served)
            known = {one.attr for one in changed}
            self._remember(changed)
        if outcome.untouched or outcome.owes_draw:
            inbound = self._task.compiled.inbound[cso.type_id]
            keys = projected_keys(self._task, inbound, seeker, mvo.type_id)
            changed = [
                KeyChange(mvo.type_id, attr, mvo.id, tuple((key_hash(key), key) for key in dict.fromkeys(some)), ())
                for attr, some in sorted(keys.items())
                if attr not in known
            ]
            self._changes.match_keys.extend(changed)
            self._remember(changed)

    def _evaluated(self, seeker: Seeker, joined: Cso, mvo: Mvo) -> tuple[Evaluation, Wishes]:
        wishes: Wishes = []
        values = self._found.values
        return evaluation_of(self._task, values, joined, seeker.cs, mvo, seeker.accepted, wishes=wishes), wishes

    def _serve(self, joined: Cso, mvo: Mvo, outcome: Evaluation) -> bool:
        """The new object's targets get what `outbound` would give them; False where that is left to it."""
        if outcome.owes_draw or not self._is_served_at_once(joined.type_id, mvo.type_id):
            return False
        # The object's number is drawn when it is written, and is higher than any before the run.
        start = self._task.claimed.start_seq
        new = ServedMvo(mvo.id, mvo.type_id, mvo.origin_key, mvo.state, mvo.delete_after, outcome.doc, start)
        link = Connector(joined.id, mvo.id, joined.type_id, joined.system_id, joined.state)
        return self._newcomers.serve_new(self._changes, new, link)

    def _is_served_at_once(self, type_id: TypeId, mvo_type: TypeId) -> bool:
        found = self._at_once.get((type_id, mvo_type))
        if found is None:
            targets = _served_at_once(self._task, self._task.compiled.inbound[type_id], mvo_type)
            found = self._at_once[type_id, mvo_type] = bool(targets)
        return found

    def _write(
        self,
        joined: Cso,
        mvo: Mvo,
        outcome: Evaluation,
        keys: list[KeyChange],
        wishes: Wishes,
        *,
        created: bool,
        served: bool = False,
    ) -> None:
        write_values(
            self._task,
            self._changes,
            self._found.values,
            joined,
            mvo,
            outcome,
            keys,
            created=created,
            always=not created,
            wishes=wishes,
            served=served,
        )

    def _remember(self, changed: Sequence[KeyChange]) -> None:
        """Later objects of this batch find the new metaverse object by its keys, where any look for them."""
        for one in changed if self._contested else ():
            for digest, key in one.add:
                hit = KeyHit(digest, key, one.object_id)
                self._hits.setdefault((one.type_id, one.attr, digest), []).append(hit)

    def _joined(self, cso: Cso, mvo_id: MvoId, kind: JoinType, rule: str) -> Cso:
        """The object as it is once it has its place."""
        self._taken[mvo_id] = cso.id
        if cso.type_id in self._task.compiled.referable:
            self._changes.joined_csos.append(cso.id)
        self._changes.item("cso", Item(cso.id, cso.anchor or "", kind.value, detail=rule))
        refers = self._task.compiled.inbound[cso.type_id].refers
        return replace(
            cso, mvo_id=mvo_id, join_type=kind, join_rule=rule, synced_seq=0, refs_due=refers, released=False
        )

    def _name(self, mvo_id: MvoId) -> str:
        mvo = self._found.values.mvos.get(mvo_id)
        return mvo.origin_key if mvo is not None else f"an object projected in this run ({mvo_id})"


def _fresh(task: Task, cso: Cso, mvo_id: MvoId, mvo_type: TypeId) -> Mvo:
    """A metaverse object with nothing in it yet; its number is drawn when it is written."""
    system, record = task.compiled.object_types[cso.type_id]
    return Mvo(
        id=mvo_id,
        type_id=mvo_type,
        origin_key=f"{system.key}/{record.key}/{cso.anchor}",
        state=MvoState.ACTIVE,
        delete_after=None,
        deletion=None,
        doc={},
        provenance={},
        evaluated=False,
        outbound_due=False,
        outbound_stamp=0,
        outbound_version=0,
        change_seq=0,
    )
