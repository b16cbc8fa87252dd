"""Packs of provisioned objects in one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from anabranch.model.changes import Changes
from anabranch.model.enums import GuardPoint, RunKind
from anabranch.model.identity import PackId, RunId, SystemId, TypeId
from anabranch.model.objects import GuardOp
from anabranch.model.provisioning import PackLine, ProvisionPack
from anabranch.store.memory_reading_import import Sequences
from anabranch.store.memory_tables import Tables


class MemoryPackReading:
    """The share of `Reader` that concerns packs."""

    _tables: Tables

    async def packs_of_types(self, mvo_types: Sequence[TypeId]) -> list[PackLine]:
        return _lines(pack for pack in self._tables.provision_packs.values() if pack.mvo_type_id in mvo_types)

    async def packs_of_system(self, system: SystemId) -> list[PackLine]:
        return _lines(pack for pack in self._tables.provision_packs.values() if pack.system_id == system)

    async def counted_packs(self, system: SystemId, run: RunId) -> list[PackLine]:
        counted = (pack for pack in self._tables.provision_packs.values() if pack.system_id == system)
        lines = _lines(pack for pack in counted if self._tables.counted_packs.get(pack.id) == run)
        return sorted(lines, key=lambda line: (line.lo_anchor, line.id))

    async def is_awaited_within_turn(self, run: RunId) -> bool:
        return any(
            step.name == "unpack" and step.is_closed
            for (of, _), step in self._tables.steps.items()
            if of != run and self._is_open_sync(of)
        )

    def _is_open_sync(self, number: RunId) -> bool:
        run = self._tables.runs.get(number)
        return run is not None and run.ended_at is None and run.kind is not RunKind.EXPORT

    async def provision_packs(self, ids: Sequence[PackId]) -> list[ProvisionPack]:
        found = (self._tables.provision_packs.get(one) for one in sorted(set(ids)))
        return [pack for pack in found if pack is not None]


def _lines(packs: Iterable[ProvisionPack]) -> list[PackLine]:
    lines = []
    for pack in packs:
        first, last = pack.objects[0].anchor, pack.objects[-1].anchor
        lines.append(PackLine(pack.id, pack.type_id, pack.config_version, len(pack.objects), first, last))
    return sorted(lines, key=lambda line: line.id)


def write_packs(tables: Tables, sequences: Sequences, changes: Changes) -> None:
    """What goes is gone, what is new stands; its objects have been through JSON."""
    for unpacked in changes.unpacked:
        _list_counted_creates(tables, unpacked)
    for gone in (*changes.gone_packs, *changes.unpacked):
        tables.provision_packs.remove(gone)
        tables.counted_packs.remove(gone)
    for pack in changes.provision_packs:
        number = PackId(sequences.next_row("provision_pack"))
        copy = msgspec.json.decode(msgspec.json.encode(pack), type=ProvisionPack)
        tables.provision_packs.put(number, msgspec.structs.replace(copy, id=number))


def _list_counted_creates(tables: Tables, number: PackId) -> None:
    """What a run has counted in the pack it has counted one by one from now on."""
    pack, counted_in = tables.provision_packs.get(number), tables.counted_packs.get(number)
    run = tables.runs.get(counted_in) if counted_in is not None else None
    if pack is None or run is None or run.ended_at is not None:
        return
    point = GuardPoint.EXPORT_WRITES
    for one in pack.objects:
        tables.guard_ops.put((run.id, point.value, one.export), GuardOp(point, pack.type_id, one.export, "create"))


def count_packs(
    tables: Tables, system: SystemId, run: RunId, config_version: int, is_over: Callable[[RunId], bool]
) -> int:
    """The packs the run may carry out are counted in it; how many objects that are."""
    mine = [
        pack
        for pack in tables.provision_packs.values()
        if pack.system_id == system and pack.config_version == config_version and is_over(pack.staged_run)
    ]
    for pack in mine:
        tables.counted_packs.put(pack.id, run)
    return sum(len(pack.objects) for pack in mine)


def creates_by_type(
    tables: Tables, *, system: SystemId | None = None, counted_in: RunId | None = None
) -> Counter[TypeId]:
    """How many objects are in packs, by type: in all of them, or in those of a system, or that a run has counted."""
    found: Counter[TypeId] = Counter()
    for pack in tables.provision_packs.values():
        is_counted = counted_in is None or tables.counted_packs.get(pack.id) == counted_in
        if is_counted and system in (None, pack.system_id):
            found[pack.type_id] += len(pack.objects)
    return found


def hold_packs(tables: Tables, run: RunId, types: Iterable[TypeId]) -> int:
    """The packs of these types that the run has counted are counted no longer; how many objects that are."""
    tripped, count = set(types), 0
    for pack in tables.provision_packs.values():
        if pack.type_id in tripped and tables.counted_packs.get(pack.id) == run:
            tables.counted_packs.remove(pack.id)
            count += len(pack.objects)
    return count
