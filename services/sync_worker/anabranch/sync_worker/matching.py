"""The step `match.settle`: joins and projections, in canonical order.

Batch follows batch, so each sees what the ones before it did. Every look-up is made again in PostgreSQL: what counts is
what is there now, under the turn. A join meets a slot that is free or an error; a would-be projection that now finds a
partner projected earlier in the same run does not make a second one (SYN-30, SYN-34).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from anabranch.engine.deletion import join_cancels
from anabranch.engine.joining import Search, candidates, find_partner, wanted_hashes
from anabranch.engine.keys import key_hash
from anabranch.model.changes import Changes, Item, KeyChange, MvoWrite, NewMvo
from anabranch.model.enums import CsoState, JoinType, MvoState
from anabranch.model.identity import CsoId, MvoId, TypeId
from anabranch.model.objects import Cso, CsoRef, KeyHit, Mvo, Proposal
from anabranch.runtime.loading import links_by_mvo, refs_by_cso
from anabranch.runtime.work import Task, batches_of, decide_and_commit
from anabranch.store.port import Reader
from anabranch.sync_worker.extent import evaluated, is_settled, relinked, rewritten, with_refs
from anabranch.sync_worker.proposing import MATCH, fail_object, projected_keys
from anabranch.sync_worker.teardown import connector


async def plan_settle(task: Task) -> None:
    """The proposals are numbered in canonical order and cut into ranges that follow one another."""
    async with task.store.unit(task.claimed) as unit:
        await unit.order_proposals(task.claimed.run, MATCH)
        ranges = await unit.proposal_ranges(task.claimed.run, MATCH, task.claimed.batch_size)
        await unit.add_batches(batches_of(ranges, ordered=True))
        await unit.seal()
        await unit.done({})
    task.hold.sealed_with = len(ranges) + 1


class _Loaded(msgspec.Struct, frozen=True):
    proposals: list[Proposal]
    searches: dict[int, list[Search]]
    csos: dict[CsoId, Cso]
    hits: dict[tuple[TypeId, str, bytes], list[KeyHit]]
    mvos: dict[MvoId, Mvo]
    links: dict[MvoId, list[Cso]]
    new_ids: Sequence[int]
    refs: dict[CsoId, list[CsoRef]]


async def settle_range(task: Task) -> None:
    """Every object of the range is joined, projected, or reported."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> _Loaded:
        proposals = await reader.proposals(task.claimed.run, MATCH, lo, hi)
        searches = {one.object_id: msgspec.convert(one.body["searches"], list[Search]) for one in proposals}
        csos = await reader.csos([CsoId(one.object_id) for one in proposals])
        hits: dict[tuple[TypeId, str, bytes], list[KeyHit]] = {}
        wanted = wanted_hashes([search for some in searches.values() for search in some])
        for (type_id, attr), hashes in sorted(wanted.items()):
            for hit in await reader.match_candidates(type_id, attr, sorted(hashes)):
                hits.setdefault((type_id, attr, hit.key_hash), []).append(hit)
        found = sorted({MvoId(hit.object_id) for some in hits.values() for hit in some})
        return _Loaded(
            proposals=proposals,
            searches=searches,
            csos={cso.id: cso for cso in csos},
            hits=hits,
            mvos={mvo.id: mvo for mvo in await reader.mvos(found)},
            links=await links_by_mvo(reader, found),
            new_ids=await reader.new_ids("mvo", len(proposals)),
            refs=await refs_by_cso(reader, [cso.id for cso in csos if task.compiled.inbound[cso.type_id].needs_refs]),
        )

    await decide_and_commit(task, load, lambda loaded: _Settler(task, loaded).settle())


class _Settler:
    """Settles one range, object by object in canonical order; remembers what the range itself has done."""

    def __init__(self, task: Task, loaded: _Loaded) -> None:
        self._task = task
        self._loaded = loaded
        self._ids: Iterator[int] = iter(loaded.new_ids)
        self._hits = {key: list(some) for key, some in loaded.hits.items()}
        self._taken: dict[MvoId, CsoId] = {}
        self._changes = Changes()

    def settle(self) -> Changes:
        """What the range writes."""
        for proposal in self._loaded.proposals:
            cso = self._loaded.csos.get(CsoId(proposal.object_id))
            if cso is None or cso.mvo_id is not None or cso.state is not CsoState.NORMAL:
                continue
            self._changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
            self._settle(proposal, cso)
        return self._changes

    def _settle(self, proposal: Proposal, cso: Cso) -> None:
        partner = find_partner(self._loaded.searches[proposal.object_id], lambda search: candidates(search, self._hits))
        if len(partner.candidates) > 1:
            names = ", ".join(self._name(one) for one in partner.candidates)
            message = f"{len(partner.candidates)} metaverse objects match: {names}; make the key unique or join by hand"
            fail_object(self._changes, cso, "ambiguous_match", message, partner.rule)
        elif partner.candidates:
            self._join(cso, partner.candidates[0], partner.rule or "")
        elif proposal.body["project"] is not None and not cso.released:
            self._project(cso, proposal.body["project"])
        else:
            if not is_settled(self._task, cso):
                self._changes.links.append(evaluated(self._task, cso))
            self._changes.count("selected")
            self._changes.count("unchanged")

    def _join(self, cso: Cso, mvo_id: MvoId, rule: str) -> None:
        holder = self._taken.get(mvo_id)
        mvo = self._loaded.mvos.get(mvo_id)
        for other in self._loaded.links.get(mvo_id, []):
            if other.system_id == cso.system_id:
                holder = other.id
        if holder is not None or mvo is None:
            message = f"its match {self._name(mvo_id)} already has an object of this system; one of the two is wrong"
            fail_object(self._changes, cso, "join_slot_taken", message, rule)
            return
        self._taken[mvo_id] = cso.id
        self._changes.expect_mvos[mvo_id] = mvo.change_seq
        self._changes.links.append(
            relinked(
                cso,
                mvo_id=mvo_id,
                synced_seq=0,
                join_type=JoinType.JOINED,
                join_rule=rule,
                refs_due=True,
                released=False,
            )
        )
        self._changes.joined_csos.append(cso.id)
        self._changes.item("cso", Item(cso.id, cso.anchor or "", "joined", detail=rule))
        self._changes.count("joined")
        self._changes.mvos.append(self._touched(mvo, cso))

    def _touched(self, mvo: Mvo, cso: Cso) -> MvoWrite:
        """The MVO is due for outbound evaluation; a scheduled deletion may be cancelled by this join (SYN-58)."""
        cancels = mvo.state is MvoState.PENDING_DELETION and join_cancels(mvo.deletion, connector(self._task, mvo, cso))
        if cancels:
            self._changes.item("mvo", Item(mvo.id, mvo.origin_key, "deletion_cancelled"))
            self._changes.count("deletions_cancelled")
        return rewritten(mvo, state=MvoState.ACTIVE, delete_after=None, deletion=None) if cancels else rewritten(mvo)

    def _project(self, cso: Cso, project: dict[str, Any]) -> None:
        mvo_id = MvoId(next(self._ids))
        mvo_type = TypeId(project["mvo_type"])
        system, record = self._task.compiled.object_types[cso.type_id]
        origin_key = f"{system.key}/{record.key}/{cso.anchor}"
        self._changes.new_mvos.append(NewMvo(id=mvo_id, type_id=mvo_type, origin_key=origin_key))
        self._taken[mvo_id] = cso.id
        for attr, keys in sorted(self._keys(cso, project, mvo_type).items()):
            add = {key_hash(key): key for key in keys}
            self._changes.match_keys.append(KeyChange(mvo_type, attr, mvo_id, tuple(add.items()), ()))
            for digest, key in add.items():
                self._hits.setdefault((mvo_type, attr, digest), []).append(KeyHit(digest, key, mvo_id))
        self._changes.links.append(
            relinked(
                cso,
                mvo_id=mvo_id,
                synced_seq=0,
                join_type=JoinType.PROJECTED,
                join_rule=project["rule"],
                refs_due=True,
                released=False,
            )
        )
        self._changes.joined_csos.append(cso.id)
        self._changes.item("cso", Item(cso.id, cso.anchor or "", "projected", detail=project["rule"]))
        self._changes.count("projected")

    def _keys(self, cso: Cso, project: dict[str, Any], mvo_type: TypeId) -> dict[str, Sequence[str]]:
        """The keys of the new MVO: those proposed, or found out now where a hint had promised a partner."""
        if project["keys"] is not None:
            return dict(project["keys"])
        cs = with_refs(self._task.compiled.inbound[cso.type_id], cso, self._loaded.refs.get(cso.id, ()))
        return dict(projected_keys(self._task, cso, cs, project["accepted"], mvo_type))

    def _name(self, mvo_id: MvoId) -> str:
        mvo = self._loaded.mvos.get(mvo_id)
        return mvo.origin_key if mvo is not None else f"an object projected in this run ({mvo_id})"
