"""What a keeper promises about the data of connector spaces, metaverse and pending exports."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.builders import (
    HR,
    NOW,
    PERSON,
    PERSON_MVO,
    a_claimed,
    a_cso_write,
    a_key_change,
    a_key_hash,
    a_link,
    a_link_of,
    a_new_cso,
    a_new_mvo,
    a_ref_change,
    altered,
    an_export,
    an_mvo_ref,
    an_mvo_write,
    expecting,
    id_hash,
)
from tests.promises.data_keepers import DataKeeper, cso, joined, mvo, write

from anabranch.model.changes import Changes, MvoMark
from anabranch.model.enums import CsoState, ExportKind, ExportState, JoinType, MvoState, RowOp, RowState
from anabranch.model.identity import CsoId, ExportId, MvoId, SystemId
from anabranch.model.objects import PendingRow, Reservation
from anabranch.store.port import Collision, Moved

OTHER = SystemId(2)


# --- connector space


async def test_a_new_cso_is_read_as_it_was_written(data_keeper: DataKeeper) -> None:
    doc = {"id": "a1", "n": 3, "on": True, "none": None, "many": ["ä", "b"]}
    await write(
        data_keeper,
        Changes(new_csos=[a_new_cso(doc=doc, secondary="S", partition="p", fingerprint=b"f", refs_due=True)]),
    )
    found = await cso(data_keeper)
    assert (found.doc, found.secondary, found.partition, found.fingerprint) == (doc, "S", "p", b"f")
    assert (found.anchor_hash, found.secondary_hash) == (id_hash("a1"), id_hash("S"))
    assert (found.state, found.join_type, found.system_id, found.refs_due) == ("normal", "none", HR, True)
    assert (found.link_version, found.synced_seq, found.failed, found.contributions) == (0, 0, False, None)
    assert isinstance(found.state, CsoState)
    assert isinstance(found.join_type, JoinType)


@pytest.mark.behaviour("MOD-22")
async def test_a_touch_takes_the_next_number_and_its_absence_takes_none(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso(1), a_new_cso(2)]))
    before = await cso(data_keeper), await cso(data_keeper, 2)
    async with data_keeper.reader() as reader:
        highest = await reader.change_seq_now()
    assert highest == max(one.change_seq for one in before)
    await write(
        data_keeper, Changes(csos=[a_cso_write(1, doc={"x": 1}), a_cso_write(2, fingerprint=b"f", touch=False)])
    )
    first, second = await cso(data_keeper), await cso(data_keeper, 2)
    assert first.change_seq > highest
    assert first.doc == {"x": 1}
    assert (second.change_seq, second.fingerprint) == (before[1].change_seq, b"f")


@pytest.mark.behaviour("EXP-28")
async def test_an_echo_is_changed_and_synced_by_the_same_number(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso()]))
    await write(data_keeper, Changes(csos=[a_cso_write(doc={"x": 1}, synced=True)]))
    found = await cso(data_keeper)
    assert found.change_seq == found.synced_seq > 1


async def test_an_obsolete_cso_keeps_everything_but_state_and_number(data_keeper: DataKeeper) -> None:
    await joined(data_keeper, 1)
    before = await cso(data_keeper)
    await write(data_keeper, Changes(obsolete_csos=[CsoId(1)]))
    after = await cso(data_keeper)
    assert after.change_seq > before.change_seq
    assert altered(after, state=before.state, change_seq=before.change_seq) == before


async def test_a_link_is_stored_as_it_shall_be_and_counts_its_versions(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso()], new_mvos=[a_new_mvo(7)]))
    contributions = {"name": {"3": "x", "4": None}}
    link = a_link(1, 7, synced_seq=5, rule_stamp=-9, failed=True, released=True, contributions=contributions)
    await write(data_keeper, Changes(links=[altered(link, join_rule="hr-in", refs_due=True)]))
    found = await cso(data_keeper)
    assert (found.mvo_id, found.join_type, found.join_rule, found.link_version) == (7, "projected", "hr-in", 1)
    assert (found.synced_seq, found.rule_stamp, found.config_version) == (5, -9, 1)
    assert (found.failed, found.released, found.refs_due, found.contributions) == (True, True, True, contributions)
    async with data_keeper.reader() as reader:
        assert await reader.links([MvoId(7), MvoId(8)]) == [found]


@pytest.mark.behaviour("MOD-17")
async def test_a_second_cso_of_a_system_finds_the_slot_taken(data_keeper: DataKeeper) -> None:
    await joined(data_keeper, 1)
    with pytest.raises(Collision) as caught:
        await write(data_keeper, Changes(new_csos=[a_new_cso(2, mvo_id=1)]))
    assert caught.value.table == "cso_sync"
    await write(data_keeper, Changes(new_csos=[a_new_cso(3, mvo_id=1, system_id=OTHER)]))
    async with data_keeper.reader() as reader:
        assert [one.id for one in await reader.links([MvoId(1)])] == [1, 3]
        assert [one.id for one in await reader.links([MvoId(1)], besides=[CsoId(1), CsoId(2)])] == [3]


@pytest.mark.behaviour("MOD-17")
async def test_csos_exchange_their_places_in_one_commit(data_keeper: DataKeeper) -> None:
    await joined(data_keeper, 1, 2)
    await write(data_keeper, Changes(links=[a_link(1, 2), a_link(2, 1)]))
    assert (await cso(data_keeper, 1)).mvo_id == 2
    assert (await cso(data_keeper, 2)).mvo_id == 1


async def test_a_place_left_by_a_removed_cso_is_free_in_the_same_commit(data_keeper: DataKeeper) -> None:
    await joined(data_keeper, 1)
    await write(data_keeper, Changes(gone_csos=[CsoId(1)], new_csos=[a_new_cso(2, anchor="a1", mvo_id=1)]))
    assert (await cso(data_keeper, 2)).mvo_id == 1


async def test_an_anchor_that_is_taken_is_a_collision_and_nothing_is_written(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso(1)]))
    with pytest.raises(Collision) as caught:
        await write(data_keeper, Changes(new_mvos=[a_new_mvo(5)], new_csos=[a_new_cso(2, anchor="a1")]))
    assert caught.value.table == "cso"
    async with data_keeper.reader() as reader:
        assert await reader.mvos([MvoId(5)]) == []


async def test_a_removed_cso_takes_references_keys_and_export_with_it(data_keeper: DataKeeper) -> None:
    rows = (PendingRow("manager", RowOp.ADD, target_mvo_id=MvoId(4)),)
    await write(
        data_keeper,
        Changes(
            new_csos=[a_new_cso(1)],
            cso_refs=[a_ref_change(1, "a2")],
            cso_keys=[a_key_change(1, "k", type_id=PERSON)],
            exports=[an_export(3, 1, rows=rows)],
        ),
    )
    await write(data_keeper, Changes(gone_csos=[CsoId(1)]))
    async with data_keeper.reader() as reader:
        assert await reader.csos([CsoId(1)]) == []
        assert await reader.cso_refs([CsoId(1)]) == []
        assert await reader.cso_key_holders(PERSON, "mail", [a_key_hash("k")]) == []
        assert await reader.exports([ExportId(3)]) == []


async def test_keys_of_csos_are_found_with_the_mvo_behind_them(data_keeper: DataKeeper) -> None:
    await joined(data_keeper, 1)
    await write(data_keeper, Changes(cso_keys=[a_key_change(1, "x", "y", type_id=PERSON)]))
    await write(data_keeper, Changes(cso_keys=[a_key_change(1, "z", type_id=PERSON, remove=("x",))]))
    async with data_keeper.reader() as reader:
        hits = await reader.cso_key_holders(PERSON, "mail", [a_key_hash(key) for key in "xyz"])
        assert {(hit.key, hit.object_id, hit.mvo_id) for hit in hits} == {("y", 1, 1), ("z", 1, 1)}
        assert await reader.cso_key_holders(PERSON, "other", [a_key_hash("y")]) == []


async def test_anchors_come_in_order_of_their_bytes(data_keeper: DataKeeper) -> None:
    anchors = {1: "b", 2: "B", 3: "ä", 4: "a", 5: None, 6: "10", 7: "9"}
    await write(data_keeper, Changes(new_csos=[a_new_cso(n, anchor=anchor) for n, anchor in anchors.items()]))
    async with data_keeper.reader() as reader:
        assert list(await reader.anchor_order(PERSON)) == [6, 7, 2, 4, 1, 3, 5]


# --- metaverse


async def test_an_mvo_is_read_as_it_was_written(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_mvos=[a_new_mvo(1)]))
    new = await mvo(data_keeper)
    assert (new.state, new.evaluated, new.outbound_due, new.doc) == ("active", False, False, {})
    deletion = {"run": 3, "rule": "manual"}
    change = an_mvo_write(
        1,
        state=MvoState.PENDING_DELETION,
        delete_after=NOW,
        deletion=deletion,
        doc={"name": "x"},
        provenance={"name": [1, 2]},
        outbound_due=True,
        outbound_stamp=-5,
        outbound_version=4,
    )
    await write(data_keeper, Changes(mvos=[change]))
    found = await mvo(data_keeper)
    assert (found.state, found.delete_after, found.deletion) == ("pending_deletion", NOW, deletion)
    assert (found.doc, found.provenance) == ({"name": "x"}, {"name": [1, 2]})
    assert (found.evaluated, found.outbound_due, found.outbound_stamp, found.outbound_version) == (True, True, -5, 4)
    assert found.change_seq > new.change_seq
    await write(data_keeper, Changes(mvos=[an_mvo_write(1, provenance={"name": [3, 4]}, touch=False)]))
    assert (await mvo(data_keeper)).change_seq == found.change_seq


async def test_marks_leave_values_and_draw_a_number_only_when_they_touch(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_mvos=[a_new_mvo(1), a_new_mvo(2)]))
    before = [await mvo(data_keeper, one) for one in (1, 2)]
    marks = [MvoMark(MvoId(1), True, 7, 3, touch=True), MvoMark(MvoId(2), True, 7, 3)]
    await write(data_keeper, Changes(mvo_marks=marks))
    touched, quiet = [await mvo(data_keeper, one) for one in (1, 2)]
    marked = {"outbound_due": True, "outbound_stamp": 7, "outbound_version": 3}
    assert touched.change_seq > before[0].change_seq
    assert touched == altered(before[0], change_seq=touched.change_seq, **marked)
    assert quiet == altered(before[1], **marked)


async def test_match_keys_find_every_holder(data_keeper: DataKeeper) -> None:
    keys = [a_key_change(1, "x"), a_key_change(2, "x", "y")]
    await write(data_keeper, Changes(new_mvos=[a_new_mvo(1), a_new_mvo(2)], match_keys=keys))
    async with data_keeper.reader() as reader:
        hits = await reader.match_candidates(PERSON_MVO, "mail", [a_key_hash("x")])
        assert [(hit.key, hit.object_id) for hit in hits] == [("x", 1), ("x", 2)]
        assert len(await reader.match_keys_of([MvoId(2)])) == 2
    await write(data_keeper, Changes(match_keys=[a_key_change(2, remove=("x",))]))
    async with data_keeper.reader() as reader:
        assert await reader.match_keys_of([MvoId(2)]) == [(2, "mail", a_key_hash("y"), "y")]


@pytest.mark.behaviour("SYN-61", "SYN-62")
async def test_a_removed_mvo_frees_its_csos_and_makes_referrers_owe_an_evaluation(data_keeper: DataKeeper) -> None:
    await joined(data_keeper, 1, 2, 3)
    refs = [an_mvo_ref(1, 2), an_mvo_ref(1, 3), an_mvo_ref(2, 1)]
    await write(data_keeper, Changes(add_mvo_refs=refs, match_keys=[a_key_change(2, "x")]))
    referring, bystander = await mvo(data_keeper, 1), await mvo(data_keeper, 3)
    # The same commit writes the referring MVO as owing nothing: the mark stays all the same.
    await write(data_keeper, expecting(referring, mvos=[an_mvo_write(1, touch=False)], gone_mvos=[MvoId(2)]))
    after = await mvo(data_keeper, 1)
    assert after.outbound_due
    assert after.change_seq > referring.change_seq
    assert await mvo(data_keeper, 3) == bystander
    async with data_keeper.reader() as reader:
        assert await reader.mvos([MvoId(2)]) == []
        assert await reader.mvo_refs([MvoId(1), MvoId(2)]) == [an_mvo_ref(1, 3)]
        assert await reader.match_candidates(PERSON_MVO, "mail", [a_key_hash("x")]) == []
    freed = await cso(data_keeper, 2)
    assert (freed.mvo_id, freed.join_type, freed.released, freed.link_version) == (None, "none", True, 2)


async def test_single_mvo_references_are_added_and_taken_away(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_mvos=[a_new_mvo(1)], add_mvo_refs=[an_mvo_ref(1, 2), an_mvo_ref(1, 3)]))
    changed = an_mvo_ref(1, 3, contributor=CsoId(8), mapping_id=4)
    await write(
        data_keeper,
        Changes(
            remove_mvo_refs=[(MvoId(1), "manager", MvoId(2)), (MvoId(1), "manager", MvoId(3))], add_mvo_refs=[changed]
        ),
    )
    async with data_keeper.reader() as reader:
        assert await reader.mvo_refs([MvoId(1)]) == [changed]


@pytest.mark.behaviour("SYN-66")
async def test_a_value_held_by_another_is_not_reserved_twice(data_keeper: DataKeeper) -> None:
    mine, other = (Reservation("account", id_hash("jdoe"), "jdoe", MvoId(n)) for n in (1, 2))
    await write(data_keeper, Changes(reservations=[mine]))
    await write(data_keeper, Changes(reservations=[mine]))
    with pytest.raises(Collision) as caught:
        await write(data_keeper, Changes(new_mvos=[a_new_mvo(2)], reservations=[other]))
    assert caught.value.table == "reservation"
    async with data_keeper.reader() as reader:
        assert await reader.reservations("account", [id_hash("jdoe")]) == [mine]
        assert await reader.reservations_of([MvoId(1), MvoId(2)]) == [mine]
        assert await reader.mvos([MvoId(2)]) == []


@pytest.mark.behaviour("SYN-68")
async def test_a_released_value_names_when_it_is_free_and_can_then_be_taken(data_keeper: DataKeeper) -> None:
    drawn = Reservation("account", id_hash("jdoe"), "jdoe", MvoId(1))
    later = NOW + timedelta(days=90)
    await write(data_keeper, Changes(reservations=[drawn, altered(drawn, name="mail")]))
    await write(data_keeper, Changes(release_reservations=[(MvoId(1), {"account": later})]))
    async with data_keeper.reader() as reader:
        assert await reader.reservations("account", [id_hash("jdoe")]) == [
            altered(drawn, mvo_id=None, free_after=later)
        ]
        assert [one.name for one in await reader.reservations_of([MvoId(1)])] == ["mail"]
    taken = altered(drawn, mvo_id=MvoId(2))
    await write(data_keeper, Changes(reservations=[taken]))
    async with data_keeper.reader() as reader:
        assert await reader.reservations("account", [id_hash("jdoe")]) == [taken]


# --- pending exports


async def test_an_export_keeps_plain_rows_and_rows_that_name_an_mvo(data_keeper: DataKeeper) -> None:
    plain = (
        PendingRow("name", RowOp.SET, "x", RowState.SENT, 2),
        PendingRow("manager", RowOp.CLEAR),
        PendingRow("mail", RowOp.ADD, ["a", 1], RowState.FAILED),
    )
    naming = (
        PendingRow("manager", RowOp.ADD, target_mvo_id=MvoId(3)),
        PendingRow("member", RowOp.REMOVE, None, RowState.NOT_CONFIRMED, 1, MvoId(2), "cn=x"),
    )
    export = an_export(
        rows=(*plain, *naming),
        kind=ExportKind.CREATE,
        state=ExportState.UNCONFIRMED,
        mvo_id=MvoId(4),
        sent_seq=8,
        attempts=2,
        not_before=NOW,
        failure="no",
    )
    await write(data_keeper, Changes(new_csos=[a_new_cso(1)], exports=[export]))
    stored = altered(export, version=1)
    async with data_keeper.reader() as reader:
        assert await reader.exports([ExportId(1), ExportId(2)]) == [stored]
        assert await reader.exports_of([CsoId(1), CsoId(2)]) == [stored]


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (PendingRow("b", RowOp.SET, 1), PendingRow("a", RowOp.SET, None), PendingRow("c", RowOp.SET, ["x", True])),
        (PendingRow("a", RowOp.SET, 1), PendingRow("a", RowOp.SET, 2)),
        (PendingRow("a", RowOp.SET, 1), PendingRow("b", RowOp.CLEAR)),
        (PendingRow("a", RowOp.SET, 1), PendingRow("b", RowOp.SET, 2, RowState.SENT)),
        (PendingRow("a", RowOp.SET, 1), PendingRow("b", RowOp.SET, 2, refuted=1)),
        (PendingRow("a", RowOp.SET, 1), PendingRow("b", RowOp.ADD, target_mvo_id=MvoId(3))),
    ],
    ids=["none", "values alone", "one twice", "a clear", "one sent", "one refuted", "a reference"],
)
async def test_rows_come_back_as_they_were_however_they_are_stored(
    data_keeper: DataKeeper, rows: tuple[PendingRow, ...]
) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso(1)], exports=[an_export(rows=rows)]))
    async with data_keeper.reader() as reader:
        (stored,) = await reader.exports([ExportId(1)])
        (target,) = await reader.target_objects([CsoId(1)])
        (sent,) = await reader.sent_exports([ExportId(1)])
    assert stored.rows == rows
    for picture, naming in ((target, ()), (sent, sent.naming)):
        sets = tuple(PendingRow(attr, RowOp.SET, value) for attr, value in (picture.sets or {}).items())
        assert (*sets, *picture.rows, *naming) == rows


async def test_an_export_that_went_out_whole_has_only_sent_rows(data_keeper: DataKeeper) -> None:
    rows = (
        PendingRow("name", RowOp.SET, "x"),
        PendingRow("member", RowOp.ADD, target_mvo_id=MvoId(3)),
        PendingRow("member", RowOp.REMOVE, target_mvo_id=MvoId(4), raw="cn=y"),
    )
    waiting = {"waiting": True, "attempts": 2, "not_before": NOW, "failure": "no", "kind": ExportKind.CREATE}
    exports = [
        an_export(1, 1, rows=rows, **waiting),
        an_export(2, 2, rows=(*rows[:1], PendingRow("m", RowOp.CLEAR))),
        an_export(3, 3),
    ]
    await write(data_keeper, Changes(new_csos=[a_new_cso(n) for n in (1, 2, 3)], exports=exports))
    async with data_keeper.reader() as reader:
        before = {one.id: one for one in await reader.exports([ExportId(1), ExportId(2), ExportId(3)])}
    mark = Changes(
        sent_exports=[ExportId(1), ExportId(2)], sent_seq=77, expect_exports={ExportId(1): 1, ExportId(2): 1}
    )
    assert not await write(data_keeper, mark)
    async with data_keeper.reader() as reader:
        after = {one.id: one for one in await reader.exports([ExportId(1), ExportId(2), ExportId(3)])}
        (target,) = await reader.target_objects([CsoId(1)])
        (picture,) = await reader.sent_exports([ExportId(1)])
    for number in (ExportId(1), ExportId(2)):
        sent = tuple(altered(row, state=RowState.SENT) for row in before[number].rows)
        assert after[number] == altered(
            before[number], rows=sent, state=ExportState.EXPORTED, sent_seq=77, waiting=False, attempts=0,
            not_before=None, failure=None, version=2,
        )  # fmt: skip
    assert after[ExportId(3)] == before[ExportId(3)]
    assert (target.sets, target.rows) == (None, after[ExportId(1)].rows)
    assert (picture.sets, (*picture.rows, *picture.naming)) == (None, after[ExportId(1)].rows)
    assert (await write(data_keeper, mark)).exports == {1, 2}
    again = altered(after[ExportId(1)], rows=(PendingRow("name", RowOp.SET, "z"), after[ExportId(1)].rows[1]))
    await write(data_keeper, Changes(exports=[again]))
    async with data_keeper.reader() as reader:
        assert (await reader.exports([ExportId(1)]))[0].rows == again.rows


async def test_an_export_that_exists_is_replaced_with_its_rows(data_keeper: DataKeeper) -> None:
    rows = tuple(PendingRow("member", RowOp.ADD, target_mvo_id=MvoId(n)) for n in (1, 2, 3))
    await write(data_keeper, Changes(exports=[an_export(rows=rows), an_export(2, 2)]))
    async with data_keeper.reader() as reader:
        (first, second) = await reader.exports([ExportId(1), ExportId(2)])
    changed = altered(first, rows=(PendingRow("name", RowOp.SET, "y"), rows[1]), state=ExportState.EXPORTED, sent_seq=3)
    assert not await write(data_keeper, expecting(first, exports=[changed]))
    async with data_keeper.reader() as reader:
        assert await reader.exports([ExportId(1), ExportId(2)]) == [altered(changed, version=2), second]
    assert (await write(data_keeper, expecting(first, exports=[changed]))).exports == {1}
    await write(data_keeper, Changes(gone_exports=[ExportId(1)], exports=[an_export(5, 1)]))
    async with data_keeper.reader() as reader:
        assert [one.id for one in await reader.exports_of([CsoId(1)])] == [5]


async def test_a_second_new_export_of_one_cso_is_a_collision(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(exports=[an_export(1, 1)]))
    with pytest.raises(Collision) as caught:
        await write(data_keeper, Changes(exports=[an_export(2, 1)]))
    assert caught.value.table == "pending_export"


# --- versions


async def test_a_decision_is_not_written_over_a_version_it_has_not_seen(data_keeper: DataKeeper) -> None:
    await joined(data_keeper, 1, 2, 3)
    await write(data_keeper, Changes(exports=[an_export(1, 1)]))
    async with data_keeper.reader() as reader:
        first, second, third = await reader.csos([CsoId(1), CsoId(2), CsoId(3)])
        one, two, _ = await reader.mvos([MvoId(1), MvoId(2), MvoId(3)])
        (export,) = await reader.exports([ExportId(1)])
    stale = expecting(first, second, third, one, two, export, new_mvos=[a_new_mvo(8)])
    await write(data_keeper, Changes(csos=[a_cso_write(1)], links=[a_link_of(second, 2)], mvos=[an_mvo_write(2)]))
    moved = await write(data_keeper, stale)
    assert moved == Moved(csos=frozenset({CsoId(1), CsoId(2)}), mvos=frozenset({MvoId(2)}))
    async with data_keeper.reader() as reader:
        assert await reader.mvos([MvoId(8)]) == []


async def test_what_is_gone_has_moved(data_keeper: DataKeeper) -> None:
    moved = await write(data_keeper, Changes(expect_csos={CsoId(1): (1, 0)}, expect_mvos={MvoId(2): 1}))
    assert moved == Moved(csos=frozenset({CsoId(1)}), mvos=frozenset({MvoId(2)}))


async def test_a_second_decision_waits_for_the_first_and_then_sees_it(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso(1)]))
    before = await cso(data_keeper)
    async with data_keeper.unit(a_claimed(1)) as first:
        assert not await first.lock(expecting(before))
        second = asyncio.create_task(
            write(data_keeper, expecting(before, csos=[a_cso_write(1, doc={"by": 2})]), batch=2)
        )
        done, _ = await asyncio.wait({second}, timeout=0.2)
        assert not done, "the row is locked until the first transaction ends"
        await first.persist(Changes(csos=[a_cso_write(1, doc={"by": 1})]))
    assert (await second).csos == {1}
    assert (await cso(data_keeper)).doc == {"by": 1}


@pytest.mark.behaviour("IMP-17")
async def test_nothing_to_write_writes_nothing(data_keeper: DataKeeper) -> None:
    await joined(data_keeper, 1)
    async with data_keeper.reader() as reader:
        before = await reader.change_seq_now()
    await write(data_keeper, Changes())
    async with data_keeper.reader() as reader:
        assert await reader.change_seq_now() == before
