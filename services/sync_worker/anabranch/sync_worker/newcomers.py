"""What a metaverse object gets in a target where it has nothing yet: an account about to be created.

Both the step `outbound` and the settling of matches provision; what they write is made here. Which rules accept decides
most of it, and most objects of a batch are accepted by the same ones, so that is found out once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from anabranch.engine.compiled import Failure, Target
from anabranch.engine.creating import Columns, Created, columns_of, created
from anabranch.engine.expressions import EvalContext
from anabranch.engine.packing import cso_in, export_in, portions
from anabranch.engine.scope import ScopeProblem
from anabranch.model.changes import Changes, Item
from anabranch.model.enums import CsoState, MvoState
from anabranch.model.identity import CsoId, ExportId, MvoId, SystemId, TypeId
from anabranch.model.objects import Connector, Document, ServedMvo
from anabranch.model.provisioning import Provisioned, ProvisionPack
from anabranch.runtime.connecting import keeps_packs
from anabranch.runtime.work import Task
from anabranch.sync_worker.outbound_view import outbound_context

PARTS = 50
"""New objects of one type of a target are packed from this fraction of a batch on. Whoever looks for one of them has to
take a pack apart, and a few rows cost nothing."""


class Way(msgspec.Struct, frozen=True):
    """What follows from which rules of a target accept an object."""

    accepted: frozenset[int]
    """Those of them that are enabled."""
    columns: Columns
    provisions: bool


class _Place(msgspec.Struct):
    """What everything has in common that a batch provisions for one metaverse type in one type of a target: a pack
    without objects, whether they stay packed, and what history says of them. `packed` are those that do."""

    pack: ProvisionPack
    keeps_packs: bool
    created: str
    named: str
    packed: list[Provisioned]
    provisioned: int = 0


class Newcomers:
    """Makes what one batch provisions, with the ids it was given. `packs`: nobody stands in the way of packs."""

    def __init__(self, task: Task, cso_ids: Iterator[int], export_ids: Iterator[int], *, packs: bool) -> None:
        self._task = task
        self._packs = packs
        self._cso_ids = cso_ids
        self._export_ids = export_ids
        self._ways: dict[tuple[str, tuple[int, ...]], Way] = {}
        self._places: dict[tuple[TypeId, TypeId], _Place] = {}
        self._contexts: dict[tuple[TypeId, CsoState, MvoState, datetime | None], EvalContext] = {}

    def way(self, target: Target, accepted: tuple[int, ...]) -> Way:
        """What follows for the target when these rules accept, enabled or not."""
        key = (target.rules[0].record.key, accepted)  # several metaverse types may serve one type of a target
        found = self._ways.get(key)
        if found is None:
            enabled = tuple(index for index in accepted if target.rules[index].record.enabled)
            provisions = any(target.rules[index].record.provision for index in enabled)
            found = self._ways[key] = Way(frozenset(enabled), columns_of(target, enabled), provisions)
        return found

    def context(self, mvo: ServedMvo, link: Connector) -> EvalContext:
        """What outbound expressions see of a metaverse object that is about to be made of one CSO, besides values."""
        key = (link.type_id, link.state, mvo.state, mvo.delete_after)
        found = self._contexts.get(key)
        if found is None:
            found = self._contexts[key] = outbound_context(self._task, mvo, [link])
        return found

    def serve_new(self, changes: Changes, mvo: ServedMvo, link: Connector) -> bool:
        """All targets of a metaverse object that is about to be made of one CSO get what they lack; False, and nothing
        is changed, where an evaluation fails. It is told when that is made again."""
        found = self.lacking(self._task.compiled.metaverse[mvo.type_id].targets, mvo.doc, self.context(mvo, link))
        if found is None:
            return False
        for target, new in found:
            self.provision(changes, mvo, target, new)
        changes.count("outbound_evaluated")
        return True

    def lacking(
        self, targets: Sequence[Target], doc: Document, seen: EvalContext
    ) -> list[tuple[Target, Created]] | None:
        """What the targets lack of a metaverse object that has nothing in any of them and refers to nobody; None where
        an evaluation fails, or two of them want the same place."""
        found: list[tuple[Target, Created]] = []
        given: set[SystemId] = set()
        for target in targets:
            try:
                way = self.way(target, target.scope(doc, seen))
            except ScopeProblem:
                return None
            if not way.accepted:
                continue
            offers = offers_of(target, {}, doc, seen, way.accepted)
            if isinstance(offers, tuple):
                return None
            if way.provisions:
                new = created(way.columns, offers, _refers_to_nothing)
                if target.system_id in given or new.sets.get(target.record.anchor) is None:
                    return None
                given.add(target.system_id)
                found.append((target, new))
        return found

    def provision(self, changes: Changes, mvo: ServedMvo, target: Target, new: Created) -> None:
        """The object is provisioned, with an anchor among what it is created with."""
        place = self._places.get((target.type_id, mvo.type_id))
        if place is None:
            place = self._places[target.type_id, mvo.type_id] = self._place_of(target, mvo.type_id)
        anchor = str(new.sets[target.record.anchor])
        cso_id, export_id = CsoId(next(self._cso_ids)), ExportId(next(self._export_ids))
        one = Provisioned(cso_id, export_id, mvo.id, mvo.change_seq, anchor, new.sets)
        if new.rows is None and place.keeps_packs:
            place.packed.append(one)
        else:
            export = export_in(place.pack, one)
            if new.rows is not None:
                export = replace(export, rows=new.rows, sets=None)
            changes.new_csos.append(replace(cso_in(place.pack, one), secondary=secondary_of(target, new.sets)))
            changes.exports.append(export)
        changes.item("mvo", Item(mvo.id, mvo.origin_key, "staged", (), place.created))
        changes.item("mvo", Item(mvo.id, mvo.origin_key, "provisioned", (), place.named + anchor))
        place.provisioned += 1

    def _place_of(self, target: Target, mvo_type: TypeId) -> _Place:
        claimed = self._task.claimed
        pack = ProvisionPack(
            system_id=target.system_id,
            type_id=target.type_id,
            mvo_type_id=mvo_type,
            rule=target.rules[0].record.key,
            staged_run=claimed.run,
            config_version=claimed.config_version,
            staged_now=claimed.now,
            objects=(),
        )
        key = target.system.key
        packs = self._packs and target.record.selected and keeps_packs(self._task, target.system)
        return _Place(pack, packs, f"{key}: create", f"{key}: ", [])

    def finish(self, changes: Changes) -> None:
        """What was held back to be packed is in the changes: packed, or by itself where there is too little of it; and
        everything provisioned is counted."""
        least = self._task.claimed.batch_size // PARTS
        for place in self._places.values():
            changes.count("creates_staged", place.provisioned)
            changes.count("provisioned", place.provisioned)
            if len(place.packed) < least:
                changes.new_csos += [cso_in(place.pack, one) for one in place.packed]
                changes.exports += [export_in(place.pack, one) for one in place.packed]
            else:
                changes.provision_packs += [replace(place.pack, objects=some) for some in portions(place.packed)]
        self._places.clear()


def _refers_to_nothing(_: str) -> tuple[MvoId, ...]:
    return ()


def offers_of(
    target: Target, held: Document, values: Document, seen: EvalContext, live: frozenset[int]
) -> list[Any] | Failure:
    """What the accepting rules' mappings give, by index of link; where one failed, the failure that is told."""
    offers: list[Any] = [msgspec.UNSET] * len(target.links)
    failures: list[Failure] = []
    target.values(held, values, seen, live, offers, failures)
    return min(failures) if failures else offers


def secondary_of(target: Target, values: Mapping[str, Any]) -> str | None:
    """The secondary id an object with these values has."""
    value = values.get(target.record.secondary) if target.record.secondary is not None else None
    return None if value is None else str(value)
