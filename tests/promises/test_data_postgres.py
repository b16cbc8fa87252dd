"""What only the database has: packed items, the state hash, and statements that must not read what they need not."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from tests.builders import (
    HR,
    NOW,
    PERSON,
    PERSON_MVO,
    RUN,
    a_claimed,
    a_cso_write,
    a_link_of,
    a_new_cso,
    a_new_mvo,
    a_ref_change,
    altered,
    an_export,
    an_mvo_ref,
    an_mvo_write,
    id_hash,
)
from tests.promises.data_keepers import PgDataKeeper, cso, joined, write

from anabranch.model.changes import Changes, ErrorItem, Item
from anabranch.model.enums import ExportState, RowOp, RowState, StepState
from anabranch.model.errors import Permanent
from anabranch.model.identity import CsoId, ExportId, MvoId, RunId
from anabranch.model.objects import Cso, Mvo, PendingRow, Reservation
from anabranch.store.due import due_set
from anabranch.store.items import pack_items, unpack_items
from anabranch.store.port import Due, ReferenceTargets
from anabranch.store.reading_export import executable_set, unpacked
from anabranch.store.reading_ranges import HIGHEST, LOWEST, set_statement
from anabranch.store.state_hash import StateHash, counts, state_hash, state_lines


async def hash_of(keeper: PgDataKeeper) -> StateHash:
    async with keeper.pool.acquire() as connection:
        return await state_hash(connection)


async def counts_of(keeper: PgDataKeeper) -> dict[str, int]:
    async with keeper.pool.acquire() as connection:
        return await counts(connection)


async def hash_of_two(keeper: PgDataKeeper) -> StateHash:
    async with keeper.pool.acquire() as connection, keeper.pool.acquire() as other:
        return await state_hash(connection, other)


# --- items


@pytest.mark.behaviour("AUD-1")
async def test_items_of_a_batch_are_one_row_a_space_found_by_its_ids(pg_keeper: PgDataKeeper) -> None:
    items = [
        Item(9, "a9", "updated", (("name", "x", None, 3), ("mail", ["a"], {"b": 1}, None))),
        Item(4, "a4", "added", detail="why"),
        Item(6, "a6", "added"),
    ]
    changes = Changes(items={"cso": items, "mvo": [Item(1, "m1", "projected")], "export": []})
    await write(pg_keeper, changes, batch=5)
    await write(pg_keeper, Changes(items={"cso": [Item(70, "a70", "added")]}), batch=5)
    async with pg_keeper.pool.acquire() as connection:
        rows = await connection.fetch("SELECT * FROM run_item_pack ORDER BY page, space")
    assert [(row["batch_id"], row["page"], row["space"], row["lo_id"], row["hi_id"]) for row in rows] == [
        (5, 0, "cso", 4, 9),
        (5, 0, "mvo", 1, 1),
        (5, 1, "cso", 70, 70),
    ]
    assert rows[0]["counts"] == {"added": 2, "updated": 1}
    assert unpack_items(rows[0]["packed"]) == [items[1], items[2], items[0]]


def test_a_damaged_pack_is_named_as_such() -> None:
    packed = pack_items("cso", [Item(1, "a", "added")]).packed
    with pytest.raises(Permanent, match="packed row"):
        unpack_items(packed[:-4])


async def test_errors_stand_in_rows_of_their_own(pg_keeper: PgDataKeeper) -> None:
    error = ErrorItem(space="source", kind="missing_anchor", key="line 3", message="m", count=4)
    other = ErrorItem(space="cso", kind="k", key="a1", message="m", severity="warning", type_id=PERSON, object_id=1)
    await write(pg_keeper, Changes(errors=[error, other]))
    async with pg_keeper.pool.acquire() as connection:
        rows = await connection.fetch("SELECT run_id, kind, severity, count, object_id FROM run_error ORDER BY id")
    assert [tuple(row) for row in rows] == [
        (RUN, "missing_anchor", "error", 4, None),
        (RUN, "k", "warning", 1, 1),
    ]


# --- state hash


async def a_state(keeper: PgDataKeeper, shift: int, run: int, *, reverse: bool = False) -> None:
    """The same three people under other ids, in another order, by another run."""
    numbers = [3, 2, 1] if reverse else [1, 2, 3]
    rows = [PendingRow("name", RowOp.SET, "x"), PendingRow("mail", RowOp.ADD, "y")]
    for n in numbers:
        own = n + shift
        naming = PendingRow("manager", RowOp.ADD, target_mvo_id=MvoId(shift + 1))
        changes = Changes(
            new_csos=[a_new_cso(own, anchor=f"a{n}", doc={"n": n}, mvo_id=own)],
            new_mvos=[a_new_mvo(own, origin_key=f"a{n}", doc={"n": n}, provenance={"n": [4, run]})],
            cso_refs=[a_ref_change(own, "a1")],
            add_mvo_refs=[an_mvo_ref(own, shift + 1, raw="a1", contributor=CsoId(own))],
            reservations=[Reservation("account", id_hash(str(n)), str(n), MvoId(own))],
            exports=[an_export(own, own, rows=(*(rows[::-1] if reverse else rows), naming), staged_run=RunId(run))],
        )
        await write(keeper, changes)
    waiting = a_new_cso(shift + 9, anchor=None, type_id=2, mvo_id=shift + 1, system_id=2, doc={})
    await write(keeper, Changes(new_csos=[waiting]))


async def empty(keeper: PgDataKeeper) -> None:
    async with keeper.pool.acquire() as connection:
        await connection.execute("TRUNCATE cso, cso_sync, cso_ref, mvo, mvo_ref, reservation, pending_export, pe_value")


async def test_the_hash_knows_neither_ids_nor_runs_nor_the_order_of_things(pg_keeper: PgDataKeeper) -> None:
    await a_state(pg_keeper, 0, 1)
    first = await hash_of(pg_keeper)
    await empty(pg_keeper)
    await a_state(pg_keeper, 500, 7, reverse=True)
    assert await hash_of(pg_keeper) == first


@pytest.mark.parametrize(
    ("changes", "section"),
    [
        (Changes(csos=[a_cso_write(1, doc={"n": 5}, touch=False)]), "csos"),
        (Changes(cso_refs=[a_ref_change(1, "a7")]), "cso references"),
        (Changes(mvos=[an_mvo_write(1, doc={"n": 1}, provenance={"n": [5, 1]}, evaluated=False)]), "mvos"),
        (Changes(add_mvo_refs=[an_mvo_ref(1, 3, raw="a3")]), "mvo references"),
        (Changes(gone_exports=[ExportId(1)]), "pending exports"),
        (Changes(exports=[altered(an_export(1, 1, rows=()), version=1)]), "pending exports"),
        (Changes(release_reservations=[(MvoId(1), {"account": NOW})]), "reservations"),
    ],
    ids=["document", "reference", "provenance", "mvo reference", "export", "export rows", "reservation"],
)
async def test_a_difference_changes_the_hash_of_its_section_alone(
    pg_keeper: PgDataKeeper, changes: Changes, section: str
) -> None:
    await a_state(pg_keeper, 0, 1)
    before = await hash_of(pg_keeper)
    await write(pg_keeper, changes)
    after = await hash_of(pg_keeper)
    assert {name for name in before.sections if before.sections[name] != after.sections[name]} == {section}
    assert before.overall != after.overall


async def test_the_hash_does_not_tell_how_the_rows_of_an_export_are_stored(pg_keeper: PgDataKeeper) -> None:
    await a_state(pg_keeper, 0, 1)
    rows = (
        PendingRow("b", RowOp.SET, 1),
        PendingRow("a", RowOp.SET, "x"),
        PendingRow("m", RowOp.ADD, None, target_mvo_id=MvoId(1)),
    )
    staged = altered(an_export(1, 1, rows=rows), version=1)
    await write(pg_keeper, Changes(exports=[staged]))
    before = await hash_of(pg_keeper)
    await write(pg_keeper, Changes(sent_exports=[ExportId(1)], sent_seq=9))
    marked = await hash_of(pg_keeper)
    sent = tuple(altered(row, state=RowState.SENT) for row in (rows[1], rows[0], rows[2]))
    await write(pg_keeper, Changes(exports=[altered(staged, rows=sent, state=ExportState.EXPORTED)]))
    assert await hash_of(pg_keeper) == marked != before


async def test_what_is_due_or_failed_is_in_the_hash(pg_keeper: PgDataKeeper) -> None:
    await joined(pg_keeper, 1)
    quiet = await hash_of(pg_keeper)
    await write(pg_keeper, Changes(csos=[a_cso_write(1)]))
    due = await hash_of(pg_keeper)
    await write(pg_keeper, Changes(links=[a_link_of(await cso(pg_keeper, 1), 1, failed=True)]))
    failed = await hash_of(pg_keeper)
    assert await hash_of_two(pg_keeper) == failed
    assert len({one.sections["open errors and due"] for one in (quiet, due, failed)}) == 3


async def test_the_hash_is_that_of_the_lines_whatever_they_hold(pg_keeper: PgDataKeeper) -> None:
    await a_state(pg_keeper, 0, 1)
    odd = {"n": '\x01\x02\x7f " \\ \\. \n\r\t,;\u2028 é\U0001f600', "\x01": ["\\.", "", "\x02\x02"]}
    await write(pg_keeper, Changes(csos=[a_cso_write(1, doc=odd)]))
    found = await hash_of(pg_keeper)
    async with pg_keeper.pool.acquire() as connection:
        for section, digest in found.sections.items():
            lines = await state_lines(connection, section)
            assert digest == sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest(), section
            assert lines or section == "open errors and due"


async def test_lines_name_objects_as_people_do(pg_keeper: PgDataKeeper) -> None:
    async with pg_keeper.pool.acquire() as connection:
        await connection.execute("INSERT INTO system (key) VALUES ('hr')")
        await connection.execute("INSERT INTO object_type (system_id, key) VALUES (1, 'person')")
        await write(
            pg_keeper, Changes(new_csos=[a_new_cso(1, secondary="s"), a_new_cso(2, anchor=None, secondary="t")])
        )
        lines = await state_lines(connection, "csos")
    assert [line.split('"')[1] for line in lines] == ["hr/person/anchor=a1", "hr/person/secondary=t"]


@pytest.mark.behaviour("IMP-17")
async def test_counts_tell_whether_anything_was_written(pg_keeper: PgDataKeeper) -> None:
    await joined(pg_keeper, 1)
    before = await counts_of(pg_keeper)
    assert (before["cso"], before["cso_sync"], before["mvo"], before["pending_export"]) == (1, 1, 1, 0)
    await write(pg_keeper, Changes())
    assert await counts_of(pg_keeper) == before
    await write(pg_keeper, Changes(csos=[a_cso_write(1)]))
    assert await counts_of(pg_keeper) == before | {"change_seq": before["change_seq"] + 1}


# --- how it is stored and found


async def test_the_narrow_row_repeats_state_and_number_through_every_kind_of_write(pg_keeper: PgDataKeeper) -> None:
    await joined(pg_keeper, 1, 2, 3, 4)
    refs = [a_ref_change(1, "a4"), a_ref_change(2, "a3")]
    await write(pg_keeper, Changes(cso_refs=refs, csos=[a_cso_write(2), a_cso_write(3, synced=True)]))
    async with pg_keeper.unit(a_claimed()) as unit:
        await unit.resolve_references(ReferenceTargets({(PERSON, "manager"): (PERSON,)}), CsoId(1), CsoId(9))
    await write(pg_keeper, Changes(obsolete_csos=[CsoId(3)], gone_csos=[CsoId(4)]))
    async with pg_keeper.pool.acquire() as connection:
        apart = "SELECT id FROM cso c FULL JOIN cso_sync s ON s.cso_id = c.id WHERE c.id IS NULL OR s.cso_id IS NULL"
        assert await connection.fetch(f"{apart} OR (c.state, c.change_seq) <> (s.state, s.change_seq)") == []
        assert await connection.fetchval("SELECT count(*) FROM cso") == 3


def _scanned(plan: dict[str, Any]) -> set[str]:
    """Tables a plan really read from end to end."""
    mine = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" and plan["Actual Loops"] else set()
    return mine.union(*(_scanned(one) for one in plan.get("Plans", ())))


@pytest.mark.behaviour("SYN-7")
async def test_nothing_due_is_known_without_reading_every_object(pg_keeper: PgDataKeeper) -> None:
    numbers = range(1, 3_001)
    csos = [a_new_cso(n, mvo_id=n) for n in numbers]
    await write(pg_keeper, Changes(new_csos=csos, new_mvos=[a_new_mvo(n) for n in numbers]))
    async with pg_keeper.reader() as reader:
        loaded = await reader.csos([CsoId(n) for n in numbers])
    links = [a_link_of(one, one.id, rule_stamp=7, config_version=2) for one in loaded]
    mvos = [an_mvo_write(n, outbound_stamp=7, outbound_version=2) for n in numbers]
    await write(pg_keeper, Changes(links=links, mvos=mvos))
    due = Due(system=HR, what="evaluate", stamps={PERSON: 7}, config_version=2, now=NOW, max_seq=10**9)
    sets = [due_set(altered(due, what=what)) for what in ("evaluate", "unjoined", "references", "obsolete_unjoined")]
    sets.append(("set_outbound", ([PERSON_MVO], [7], 2, NOW)))
    async with pg_keeper.pool.acquire() as connection:
        await connection.execute("ANALYZE")
        for name, params in sets:
            explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {set_statement(name)}"
            (plan,) = await connection.fetchval(explained, LOWEST, HIGHEST, *params)
            assert plan["Plan"]["Actual Rows"] == 0
            assert _scanned(plan["Plan"]) == set(), name


def _looked_at(plan: dict[str, Any]) -> int:
    """Rows that the parts of a plan have made or thrown away."""
    rows = plan["Actual Rows"] + plan.get("Rows Removed by Join Filter", 0) + plan.get("Rows Removed by Filter", 0)
    return int(rows * plan["Actual Loops"]) + sum(_looked_at(one) for one in plan.get("Plans", ()))


@pytest.mark.behaviour("EXP-47")
async def test_a_list_of_exports_is_not_gone_through_for_each_of_its_members(pg_keeper: PgDataKeeper) -> None:
    await pg_keeper.a_run(RUN, HR, "outbound", StepState.CLOSED)
    earlier, listed = range(1, 2_001), range(2_001, 2_501)
    listing = "INSERT INTO guard_op SELECT $1, 'export_writes', $2, id, kind FROM pending_export"
    async with pg_keeper.pool.acquire() as connection:
        for run, numbers in ((RUN + 1, earlier), (RUN, listed)):
            csos = [a_new_cso(n, mvo_id=n) for n in numbers]
            exports = [an_export(n, n, mvo_id=MvoId(n)) for n in numbers]
            await write(pg_keeper, Changes(new_csos=csos, new_mvos=[a_new_mvo(n) for n in numbers], exports=exports))
            await connection.execute(listing, run, PERSON)
            if numbers is earlier:  # the planner has seen that those went, and nothing since
                await write(pg_keeper, Changes(gone_exports=[ExportId(n) for n in numbers]))
                await connection.execute("ANALYZE")
        explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {executable_set('pack_counted_exports')}"
        (plan,) = await connection.fetchval(explained, HR, RUN)
        packed = await connection.fetchval(executable_set("pack_counted_exports"), HR, RUN)
        explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {executable_set('find_counted_exports_of', under_way=True)}"
        (of_few,) = await connection.fetchval(explained, HR, RUN, [2_010, 2_020, 2_030])
    assert list(unpacked(packed)) == list(listed)
    assert _looked_at(plan["Plan"]) < 20 * len(listed)
    assert _looked_at(of_few["Plan"]) < 100


@pytest.mark.parametrize(("view", "record"), [("cso_picture", Cso), ("mvo_picture", Mvo)])
async def test_a_picture_has_the_order_of_its_record(pg_keeper: PgDataKeeper, view: str, record: type[Any]) -> None:
    async with pg_keeper.pool.acquire() as connection:
        columns = (await connection.prepare(f"SELECT * FROM {view}")).get_attributes()
    assert tuple(column.name for column in columns) == record.__struct_fields__
