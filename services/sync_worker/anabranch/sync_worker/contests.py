"""Who might get in whose way when matches are settled.

Two objects compete when one looks for a key that the other looks for or would hold, or when both would join the same
metaverse object. Each such thing is a contest with a number; a batch packs its (contest, object) pairs, and over all
packs of a run an object is contested when another one is in one of its contests. Numbers are 64-bit hashes: two
contests that fall together make objects wait their turn needlessly, and nothing else.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt

from anabranch.engine.compiled import InboundType, MetaverseSide
from anabranch.engine.joining import Search, candidates
from anabranch.engine.keys import key_hash
from anabranch.model.changes import ProposalPack
from anabranch.model.enums import ValueType
from anabranch.model.identity import CsoId, TypeId
from anabranch.model.objects import KeyHit

Ids = npt.NDArray[np.int64]
_PAIR: Final = np.dtype([("contest", "<u8"), ("object", "<i8")])
_ID: Final = np.dtype("<i8")


class Contests:
    """The contests of one batch's objects. `hits` are the candidates of those searches for which it matters who they
    are; an object that already has one does not project."""

    def __init__(self, kind: str, hits: Mapping[tuple[TypeId, str, bytes], Sequence[KeyHit]]) -> None:
        self._kind = kind
        self._hits = hits
        self._objects = array("q")
        self._contests = array("Q")
        self._members = array("q")

    def enter(
        self,
        cso: CsoId,
        all_searches: Sequence[Search],
        mvo_type: TypeId | None,
        keys: Mapping[str, Sequence[str]],
    ) -> None:
        """The object is proposed, with what it looks for and the keys it would hold as an object of `mvo_type`."""
        self._objects.append(cso)
        mine: set[int] = set()
        for search in all_searches:
            for lookup in search.lookups:
                room = _room(search.mvo_type, lookup.attr)
                for key in lookup.keys:
                    mine.add(room ^ _number(key))
            if self._hits:
                mine.update(_room(0, "object") ^ found for found in candidates(search, self._hits))
        if mvo_type is not None:
            for attr, some in keys.items():
                room = _room(mvo_type, attr)
                for key in some:
                    mine.add(room ^ _number(key))
        self._contests.extend(mine)
        self._members.extend([cso] * len(mine))

    def packed(self) -> list[ProposalPack]:
        """The one pack of the batch; none when nothing is proposed."""
        if not self._objects:
            return []
        objects = np.sort(np.array(self._objects, dtype=_ID))
        pairs = np.empty(len(self._members), dtype=_PAIR)
        pairs["contest"], pairs["object"] = self._contests, self._members
        return [ProposalPack(self._kind, objects.tobytes(), pairs.tobytes())]


@lru_cache(maxsize=32_768)
def _number(key: str) -> int:
    return int.from_bytes(key_hash(key), "little")


@lru_cache(maxsize=1024)
def _room(type_id: int, attr: str) -> int:
    """What keeps equal keys of different attributes apart."""
    return int.from_bytes(blake2b(f"{type_id}/{attr}".encode(), digest_size=8).digest(), "little")


def contested(packs: Sequence[ProposalPack]) -> Ids:
    """The objects, ascending, that share a contest with another one."""
    pairs = np.frombuffer(b"".join(one.contests for one in packs), dtype=_PAIR)
    order = np.argsort(pairs["contest"], kind="stable")
    contests, objects = pairs["contest"][order], pairs["object"][order]
    # An object is in each of its contests once, so equal neighbours are different objects.
    same = contests[1:] == contests[:-1]
    shared = np.zeros(len(contests), dtype=np.bool_)
    shared[1:] |= same
    shared[:-1] |= same
    return np.unique(objects[shared])


def objects_of(packed: bytes) -> Ids:
    """The ids a pack names, ascending."""
    return np.frombuffer(packed, dtype=_ID)


def one_key_finds_all(inbounds: Sequence[InboundType], side: MetaverseSide) -> bool:
    """True where objects of a system can only meet at one metaverse object by looking for the same key: all of their
    match rules ask for one attribute, which holds one value."""
    asked = {
        condition.attr
        for inbound in inbounds
        for rule in inbound.rules
        if rule.mvo_type == side.type_id and rule.record.enabled
        for conditions in rule.matches
        for condition in conditions
    }
    return len(asked) == 1 and not any(side.record.attributes[attr].multi_valued for attr in asked)


def anchors_decide(inbounds: Sequence[InboundType], metaverse: Mapping[TypeId, MetaverseSide]) -> bool:
    """True where objects of a system can only be in each other's way when their anchors differ in case alone: each
    metaverse type is fed by one object type, whose match rules ask for one text that holds the anchor as it is, and
    whose mappings give it nothing else."""
    fed: set[TypeId] = set()
    for inbound in inbounds:
        mine = {
            rule.mvo_type for rule in inbound.rules if rule.record.enabled and (rule.matches or rule.record.project)
        }
        if fed & mine or not all(_anchor_decides(inbound, metaverse[one]) for one in mine):
            return False
        fed |= mine
    return True


def _anchor_decides(inbound: InboundType, side: MetaverseSide) -> bool:
    anchor = inbound.record.anchor
    rules = [rule for rule in inbound.rules if rule.mvo_type == side.type_id and rule.record.enabled]
    asked = {
        (condition.attr, condition.source_attr)
        for rule in rules
        for conditions in rule.matches
        for condition in conditions
    }
    if not asked:
        return True
    attr, source = min(asked, key=str)
    held = side.record.attributes[attr]
    if len(asked) > 1 or source != anchor or held.multi_valued:
        return False
    if held.type is not ValueType.TEXT or inbound.record.attributes[anchor].type is not ValueType.TEXT:
        return False
    feeding = [inbound.links[index] for rule in rules for index in rule.links]
    return all(
        one.mapping.source.attribute == anchor and not one.mapping.text_cleanup
        for one in feeding
        if one.target.name == attr
    )
