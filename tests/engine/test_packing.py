"""How new objects are packed, and how many of them whoever reads packs in order has to hold."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.engine.packing import OBJECTS_A_PACK, cso_in, export_in, in_batches, most_at_once, portions
from anabranch.model.enums import CsoState, ExportKind, ExportState, RowOp
from anabranch.model.identity import CsoId, ExportId, MvoId, PackId, RunId, SystemId, TypeId
from anabranch.model.objects import PendingRow
from anabranch.model.provisioning import PackLine, Provisioned, ProvisionPack


def one(number: int, anchor: str) -> Provisioned:
    return Provisioned(CsoId(number), ExportId(number), MvoId(number), 0, anchor, {"id": anchor})


def line(number: int, lo: str, hi: str, objects: int = 1) -> PackLine:
    return PackLine(PackId(number), TypeId(1), 1, objects, lo, hi)


@given(st.lists(st.text(max_size=3), max_size=3 * OBJECTS_A_PACK))
def test_portions_hold_everything_once_in_order_of_anchor(anchors: list[str]) -> None:
    objects = [one(n, anchor) for n, anchor in enumerate(anchors)]
    packs = list(portions(objects))
    assert [some for pack in packs for some in pack] == sorted(objects, key=lambda some: (some.anchor, some.cso))
    assert all(len(pack) == OBJECTS_A_PACK for pack in packs[:-1])
    assert all(packs)


@given(st.lists(st.integers(1, 9)), st.integers(1, 20))
def test_batches_are_whole_packs_in_order_and_end_once_they_are_full(sizes: list[int], size: int) -> None:
    batches = in_batches(sizes, int, size)
    assert [some for batch in batches for some in batch] == sizes
    assert all(sum(batch) >= size > sum(batch[:-1]) for batch in batches[:-1])


@pytest.mark.parametrize(
    ("lines", "most"),
    [
        ([], 0),
        ([line(1, "a", "b", 5), line(2, "c", "d", 7)], 7),
        ([line(1, "a", "c", 5), line(2, "b", "d", 7)], 12),
        ([line(1, "a", "b", 5), line(2, "b", "c", 7)], 12),
        ([line(3, "x", "z", 1), line(1, "a", "y", 5), line(2, "b", "c", 7)], 12),
        ([line(n, "a", "z", 64) for n in range(10)], 640),
    ],
)
def test_what_overlaps_is_held_at_once(lines: list[PackLine], most: int) -> None:
    assert most_at_once(lines) == most


def test_an_object_of_a_pack_becomes_what_it_would_have_been() -> None:
    pack = ProvisionPack(
        system_id=SystemId(1),
        type_id=TypeId(2),
        mvo_type_id=TypeId(3),
        rule="entry",
        staged_run=RunId(4),
        config_version=5,
        staged_now=datetime(2026, 3, 1, tzinfo=UTC),
        objects=(one(7, "ann"),),
    )
    cso, export = cso_in(pack, pack.objects[0]), export_in(pack, pack.objects[0])
    assert (cso.id, cso.anchor, cso.anchor_hash, cso.state) == (7, "ann", None, CsoState.PENDING_PROVISIONING)
    assert (cso.mvo_id, cso.join_rule, cso.doc, cso.synced) == (7, "entry", {}, False)
    assert (export.kind, export.state, export.version) == (ExportKind.CREATE, ExportState.READY, 0)
    assert export.all_rows() == (PendingRow("id", RowOp.SET, "ann"),)
