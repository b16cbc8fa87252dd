"""What may stay packed until its target has it, and what becomes of a pack that somebody has to look into.

An object may stay in a pack while nobody can have a reason to look at it by itself: nothing refers to objects of its
system, and an import of the target cannot take it for one of those it reads, because it has no identifier but its
anchor, whose place it does not take before it exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from operator import attrgetter
from typing import Final, TypeVar

from anabranch.model.changes import NewCso
from anabranch.model.configuration import System
from anabranch.model.enums import CsoState, ExportKind, ExportState, JoinType, ValueType
from anabranch.model.objects import PendingExport
from anabranch.model.provisioning import PackLine, Provisioned, ProvisionPack

OBJECTS_A_PACK: Final = 64
"""Few, because whoever writes a file holds all packs that overlap at a place: in the worst case one of each batch."""
_place = attrgetter("anchor", "cso")
_Pack = TypeVar("_Pack")


def may_pack(system: System) -> bool:
    """Whether what is provisioned in the system may be packed."""
    types = system.object_types.values()
    return not any(
        record.secondary is not None or any(one.type is ValueType.REFERENCE for one in record.attributes.values())
        for record in types
    )


def portions(objects: Iterable[Provisioned]) -> Iterator[tuple[Provisioned, ...]]:
    """The objects in order of anchor, a pack at a time."""
    ordered = sorted(objects, key=_place)
    for at in range(0, len(ordered), OBJECTS_A_PACK):
        yield tuple(ordered[at : at + OBJECTS_A_PACK])


def in_batches(packs: Iterable[_Pack], objects: Callable[[_Pack], int], size: int) -> list[list[_Pack]]:
    """Whole packs, in their order, as many at a time as come to about `size` objects."""
    batches: list[list[_Pack]] = []
    seen = size
    for pack in packs:
        if seen >= size:
            batches.append([])
            seen = 0
        batches[-1].append(pack)
        seen += objects(pack)
    return batches


def most_at_once(lines: Iterable[PackLine]) -> int:
    """How many objects are in packs that overlap at one place in the order of anchors, at most."""
    open_packs: list[tuple[str, int]] = []
    held = most = 0
    for line in sorted(lines, key=attrgetter("lo_anchor")):
        while open_packs and open_packs[0][0] < line.lo_anchor:
            held -= heappop(open_packs)[1]
        heappush(open_packs, (line.hi_anchor, line.objects))
        held += line.objects
        most = max(most, held)
    return most


def cso_in(pack: ProvisionPack, one: Provisioned) -> NewCso:
    """The object as a row of its own: provisioned, and not in its target yet."""
    return NewCso(
        id=one.cso,
        type_id=pack.type_id,
        system_id=pack.system_id,
        partition="",
        anchor=one.anchor,
        anchor_hash=None,
        secondary=None,
        secondary_hash=None,
        state=CsoState.PENDING_PROVISIONING,
        doc={},
        fingerprint=None,
        mvo_id=one.mvo,
        join_type=JoinType.PROVISIONED,
        join_rule=pack.rule,
    )


def export_in(pack: ProvisionPack, one: Provisioned) -> PendingExport:
    """The object's pending create as a row of its own, given by what it sets."""
    return PendingExport(
        id=one.export,
        cso_id=one.cso,
        type_id=pack.type_id,
        system_id=pack.system_id,
        mvo_id=one.mvo,
        kind=ExportKind.CREATE,
        state=ExportState.READY,
        rows=(),
        sets=one.sets,
        rule=pack.rule,
        staged_run=pack.staged_run,
        config_version=pack.config_version,
        staged_now=pack.staged_now,
        seen_seq=one.seen_seq,
    )
