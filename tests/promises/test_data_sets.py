"""Which objects a step concerns: what a keeper promises about sets, their ranges, and what a run keeps while it works."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
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
    a_link,
    a_link_of,
    a_new_cso,
    a_new_mvo,
    a_ref_change,
    a_staged_row,
    altered,
    an_export,
    an_mvo_write,
    id_hash,
)
from tests.promises.data_keepers import DataKeeper, write

from anabranch.model.changes import Changes, SeenHashes, Verdict
from anabranch.model.enums import CsoState, ExportKind, ExportState, GuardPoint, MvoState, StepState
from anabranch.model.errors import Permanent
from anabranch.model.identity import CsoId, ExportId, MvoId, RunId, SystemId, TypeId
from anabranch.model.objects import GuardOp, Proposal
from anabranch.store.port import Due, IdRange, Reader, SecondaryConflict

STAMP = 7
ALWAYS = 10**9


def due(what: str = "evaluate", **fields: Any) -> Due:
    defaults: dict[str, Any] = {"stamps": {PERSON: STAMP}, "config_version": 2, "now": NOW, "max_seq": ALWAYS}
    return Due(system=HR, what=what, **(defaults | fields))


async def ids(keeper: DataKeeper, due: Due) -> list[int]:
    """What is due, read range by range with the smallest ranges there are."""
    async with keeper.reader() as reader:
        ranges = await reader.due_ranges(due, 1)
        assert all(one.lo == one.hi and one.total == 1 for one in ranges)
        return [cso.id for one in ranges for cso in await reader.due_csos(due, one.lo, one.hi)]


async def evaluated(keeper: DataKeeper, *numbers: int, **fields: Any) -> None:
    """CSOs that were evaluated as they are, by the rules of today."""
    await write(keeper, Changes(new_csos=[a_new_cso(n) for n in numbers]))
    async with keeper.reader() as reader:
        csos = await reader.csos([CsoId(n) for n in numbers])
    link = {"rule_stamp": STAMP, "config_version": 2} | fields
    await write(keeper, Changes(links=[a_link_of(cso, **link) for cso in csos]))


# --- due for evaluation


@pytest.mark.behaviour("SYN-2", "SYN-5")
async def test_a_changed_cso_is_due_until_it_was_evaluated_as_it_is(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso(1), a_new_cso(2)]))
    assert await ids(data_keeper, due()) == [1, 2]
    await evaluated(data_keeper, 3)
    assert await ids(data_keeper, due()) == [1, 2]
    await write(data_keeper, Changes(csos=[a_cso_write(3)]))
    assert await ids(data_keeper, due()) == [1, 2, 3]
    async with data_keeper.reader() as reader:
        csos = await reader.csos([CsoId(1), CsoId(2), CsoId(3)])
    link = {"rule_stamp": STAMP, "config_version": 2}
    await write(data_keeper, Changes(links=[a_link_of(cso, **link) for cso in csos]))
    assert await ids(data_keeper, due()) == []


@pytest.mark.behaviour("EXP-28", "IMP-19")
async def test_neither_an_echo_nor_a_remembered_fingerprint_makes_due(data_keeper: DataKeeper) -> None:
    await evaluated(data_keeper, 1, 2)
    await write(data_keeper, Changes(csos=[a_cso_write(1, synced=True), a_cso_write(2, touch=False)]))
    assert await ids(data_keeper, due()) == []


@pytest.mark.behaviour("SYN-2", "SYN-8", "SYN-95")
@pytest.mark.parametrize(
    ("link", "is_due"),
    [
        ({}, False),
        ({"failed": True}, True),
        ({"rule_stamp": -1, "config_version": 1}, True),
        ({"rule_stamp": 99, "config_version": 1}, True),
        ({"rule_stamp": 99, "config_version": 2}, False),
        ({"turns_at": NOW}, True),
        ({"turns_at": NOW + timedelta(seconds=1)}, False),
        ({"turns_at": NOW, "rule_stamp": 1, "config_version": 1, "failed": True}, True),
    ],
    ids=["fresh", "failed", "stale", "stale above", "newer rules", "turned", "turns later", "all at once"],
)
async def test_a_quiet_cso_is_due_for_other_reasons_once(
    data_keeper: DataKeeper, link: dict[str, Any], is_due: bool
) -> None:
    await evaluated(data_keeper, 1, **link)
    await evaluated(data_keeper, 2)
    assert await ids(data_keeper, due()) == ([1] if is_due else [])


@pytest.mark.behaviour("SYN-4")
@pytest.mark.parametrize(
    ("link", "is_due"),
    [
        ({}, False),
        ({"failed": True}, True),
        ({"turns_at": NOW}, True),
        ({"rule_stamp": 1, "config_version": 1}, True),
    ],
    ids=["fresh", "failed", "turned", "stale"],
)
async def test_a_change_after_the_start_waits_unless_the_cso_was_due_already(
    data_keeper: DataKeeper, link: dict[str, Any], is_due: bool
) -> None:
    await evaluated(data_keeper, 1, **link)
    async with data_keeper.reader() as reader:
        start = await reader.change_seq_now()
    await write(data_keeper, Changes(csos=[a_cso_write(1)], new_csos=[a_new_cso(2)]))
    assert await ids(data_keeper, due(max_seq=start)) == ([1] if is_due else [])
    assert await ids(data_keeper, due(max_seq=start, everything=True)) == [1]


@pytest.mark.behaviour("SYN-3")
async def test_everything_is_every_normal_cso_of_the_types(data_keeper: DataKeeper) -> None:
    await evaluated(data_keeper, 1)
    others = [
        a_new_cso(2),
        a_new_cso(3, state=CsoState.OBSOLETE),
        a_new_cso(4, state=CsoState.PENDING_PROVISIONING),
        a_new_cso(5, type_id=TypeId(2)),
        a_new_cso(6, system_id=SystemId(2)),
    ]
    await write(data_keeper, Changes(new_csos=others))
    assert await ids(data_keeper, due(everything=True)) == [1, 2]
    assert await ids(data_keeper, due()) == [2]


async def test_due_csos_divide_by_their_join(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso(1), a_new_cso(2, mvo_id=1)]))
    for everything in (False, True):
        assert await ids(data_keeper, due("unjoined", everything=everything)) == [1]
        assert await ids(data_keeper, due("joined", everything=everything)) == [2]


async def test_obsolete_csos_divide_by_their_join_whatever_their_type(data_keeper: DataKeeper) -> None:
    csos = [a_new_cso(n, state=CsoState.OBSOLETE, mvo_id=mvo) for n, mvo in ((1, None), (2, 5))]
    await write(data_keeper, Changes(new_csos=[*csos, a_new_cso(3)]))
    assert await ids(data_keeper, due("obsolete_unjoined", stamps={})) == [1]
    assert await ids(data_keeper, due("obsolete_joined", stamps={})) == [2]


@pytest.mark.behaviour("SYN-51")
async def test_references_are_due_at_normal_joined_csos(data_keeper: DataKeeper) -> None:
    csos = [
        a_new_cso(1, refs_due=True, mvo_id=1),
        a_new_cso(2, refs_due=True),
        a_new_cso(3, mvo_id=3),
        a_new_cso(4, refs_due=True, mvo_id=4, state=CsoState.OBSOLETE),
    ]
    await write(data_keeper, Changes(new_csos=csos))
    assert await ids(data_keeper, due("references")) == [1]
    await write(data_keeper, Changes(links=[a_link(1, 1)]))
    assert await ids(data_keeper, due("references")) == []


async def test_an_unknown_set_is_refused(data_keeper: DataKeeper) -> None:
    with pytest.raises(Permanent, match="'nonsense'"):
        await ids(data_keeper, due("nonsense"))


async def test_ranges_cover_the_set_and_no_more(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso(n) for n in (1, 4, 5, 9, 10, 30, 31)]))
    async with data_keeper.reader() as reader:
        assert await reader.due_ranges(due(), 3) == [IdRange(1, 5, 3), IdRange(9, 30, 3), IdRange(31, 31, 1)]
        assert [one.id for one in await reader.due_csos(due(), 5, 10)] == [5, 9, 10]


# --- owed by the metaverse


@pytest.mark.behaviour("SYN-8", "SYN-69", "SYN-95")
async def test_an_mvo_owes_an_evaluation_when_marked_stale_or_turned(data_keeper: DataKeeper) -> None:
    fresh = {"outbound_stamp": STAMP, "outbound_version": 2}
    writes = [
        an_mvo_write(1, **fresh),
        an_mvo_write(2, **fresh, outbound_due=True),
        an_mvo_write(3, outbound_stamp=6, outbound_version=1),
        an_mvo_write(4, outbound_stamp=8, outbound_version=2),
        an_mvo_write(5, **fresh, outbound_turns_at=NOW, state=MvoState.PENDING_DELETION),
        an_mvo_write(6, **fresh, outbound_turns_at=NOW + timedelta(days=1)),
        an_mvo_write(7, outbound_due=True, evaluated=False),
        an_mvo_write(8, outbound_stamp=6, outbound_version=1, outbound_turns_at=NOW, outbound_due=True),
        an_mvo_write(9, outbound_due=True),
    ]
    types = {9: TypeId(8)}
    mvos = [a_new_mvo(one.id, type_id=types.get(one.id, PERSON_MVO)) for one in writes]
    await write(data_keeper, Changes(new_mvos=mvos, mvos=writes))
    async with data_keeper.reader() as reader:
        owed = {PERSON_MVO: STAMP}, 2, NOW
        assert await reader.outbound_ranges(*owed, 3) == [IdRange(2, 5, 3), IdRange(8, 8, 1)]
        assert [one.id for one in await reader.outbound_mvos(*owed, 3, 9)] == [3, 5, 8]


async def pending_deletions(reader: Reader, run: int | None) -> list[int]:
    return [mvo for _, mvo in await reader.due_deletions(None if run is None else RunId(run), [PERSON_MVO], NOW)]


@pytest.mark.behaviour("SYN-60", "SYN-94")
async def test_a_deletion_is_due_to_others_once_its_run_or_a_later_one_has_matched(data_keeper: DataKeeper) -> None:
    def doomed(number: int, run: int | None, when: timedelta = timedelta()) -> Any:
        deletion = {"run": run} if run else None
        return an_mvo_write(number, state=MvoState.PENDING_DELETION, delete_after=NOW + when, deletion=deletion)

    writes = [doomed(1, 1), doomed(2, 2), doomed(3, None), doomed(4, 1, timedelta(seconds=1)), an_mvo_write(5)]
    await write(data_keeper, Changes(new_mvos=[a_new_mvo(one.id) for one in writes], mvos=writes))
    await data_keeper.a_run(RunId(1), HR, "match.settle", StepState.SKIPPED, ended=True)
    await data_keeper.a_run(RunId(2), SystemId(2), "match.settle", StepState.CLOSED)
    async with data_keeper.reader() as reader:
        assert await pending_deletions(reader, 1) == [1]
        assert await pending_deletions(reader, None) == [2, 3]
    await data_keeper.a_run(RunId(3), HR, "match.settle", StepState.CLOSED_ERRORS)
    async with data_keeper.reader() as reader:
        assert await pending_deletions(reader, None) == [1, 2, 3]
        assert await reader.due_deletions(None, [TypeId(8)], NOW) == []


# --- exports


async def executable(keeper: DataKeeper, run: int | None = None) -> list[int]:
    async with keeper.reader() as reader:
        return [one[0] for one in await reader.executable_exports(HR, None if run is None else RunId(run))]


@pytest.mark.behaviour("EXP-14")
async def test_an_export_is_executable_when_nothing_holds_it_back(data_keeper: DataKeeper) -> None:
    hidden: list[dict[str, Any]] = [
        {},
        {"state": ExportState.UNCONFIRMED},
        {"not_before": NOW - timedelta(days=9_999)},
        {"not_before": NOW + timedelta(days=9_999)},
        {"system_id": SystemId(2)},
        {"state": ExportState.EXPORTED},
        {"state": ExportState.DEAD_LETTER},
        {},
    ]
    exports = [an_export(n, n, **fields) for n, fields in enumerate(hidden, start=1)]
    csos = [a_new_cso(n) for n in range(1, 8)]
    obsolete = a_new_cso(8, state=CsoState.OBSOLETE)
    await write(data_keeper, Changes(new_csos=[*csos, obsolete], exports=exports))
    await data_keeper.a_run(RUN, HR, "outbound", StepState.CLOSED)
    assert await executable(data_keeper) == [1, 2, 3]


@pytest.mark.behaviour("EXP-14")
@pytest.mark.parametrize(
    ("step", "state", "ended", "may_go"),
    [
        ("outbound", StepState.OPEN, False, False),
        ("outbound", StepState.SEALED, False, False),
        ("outbound", StepState.CLOSED_ERRORS, False, True),
        ("outbound", StepState.CANCELLED, False, False),
        ("outbound", StepState.CANCELLED, True, True),
        ("flow", StepState.CLOSED, False, False),
    ],
)
async def test_an_export_waits_until_its_outbound_step_has_closed_or_its_run_is_over(
    data_keeper: DataKeeper, step: str, state: StepState, ended: bool, may_go: bool
) -> None:
    await write(data_keeper, Changes(new_csos=[a_new_cso(1)], exports=[an_export(1, 1)]))
    await data_keeper.a_run(RUN, HR, step, state, ended=ended)
    assert await executable(data_keeper) == ([1] if may_go else [])


@pytest.mark.behaviour("EXP-47")
async def test_a_run_exports_only_what_its_assess_listed_with_that_operation(data_keeper: DataKeeper) -> None:
    def listed(export: int, op: ExportKind, verdict: str = "listed") -> GuardOp:
        return GuardOp(GuardPoint.EXPORT_WRITES, PERSON, export, op, "", verdict)

    ops = [
        listed(1, ExportKind.UPDATE),
        listed(2, ExportKind.DELETE),
        listed(3, ExportKind.UPDATE, "held"),
        altered(listed(5, ExportKind.UPDATE), point=GuardPoint.OUTBOUND_RELEASES),
    ]
    csos, exports = [a_new_cso(n) for n in range(1, 6)], [an_export(n, n) for n in range(1, 6)]
    async with data_keeper.unit(a_claimed(run=RunId(4))) as unit:
        await unit.persist(Changes(new_csos=csos, exports=exports, guard_ops=ops))
    await data_keeper.a_run(RUN, HR, "outbound", StepState.CLOSED)
    assert await executable(data_keeper, 4) == [1]
    assert await executable(data_keeper, 5) == []


async def test_exports_with_sent_rows_come_page_by_page(data_keeper: DataKeeper) -> None:
    states = [ExportState.EXPORTED, ExportState.READY, ExportState.UNCONFIRMED, ExportState.EXPORTED]
    exports = [an_export(n, n, state=state) for n, state in enumerate(states, start=1)]
    await write(data_keeper, Changes(exports=[*exports, an_export(9, 9, state="exported", system_id=SystemId(2))]))
    async with data_keeper.reader() as reader:
        assert [one.id for one in await reader.confirmable_exports(HR, ExportId(0), 2)] == [1, 3]
        assert [one.id for one in await reader.confirmable_exports(HR, ExportId(3), 2)] == [4]


# --- what an import keeps


async def test_ids_are_never_given_twice(data_keeper: DataKeeper) -> None:
    async with data_keeper.reader() as reader:
        first, second = await reader.new_ids("cso", 1_500), await reader.new_ids("cso", 2)
        assert len(first) == len(set(first)) == 1_500
        assert list(first) == sorted(first)
        assert first[999] - first[0] == 999
        assert not set(first) & set(second)
        assert list(await reader.new_ids("mvo", 0)) == []
        with pytest.raises(Permanent, match="'run'"):
            await reader.new_ids("run", 1)


@pytest.mark.behaviour("IMP-18", "IMP-22")
async def test_fingerprints_are_those_of_normal_csos_of_the_partition(data_keeper: DataKeeper) -> None:
    csos = [
        a_new_cso(1, fingerprint=b"1", partition="p"),
        a_new_cso(2, fingerprint=b"2", partition="q"),
        a_new_cso(3, fingerprint=b"3", partition="p", state=CsoState.OBSOLETE),
        a_new_cso(4, partition="p"),
    ]
    await write(data_keeper, Changes(new_csos=csos))
    async with data_keeper.reader() as reader:
        found = await reader.fingerprints(PERSON, "p", [id_hash(f"a{n}") for n in range(9)])
    assert found == {id_hash("a1"): b"1"}


async def test_staged_rows_come_back_by_ranges_until_the_run_is_purged(data_keeper: DataKeeper) -> None:
    refs = {"manager": ["a2"]}
    rows = [a_staged_row(n, refs=refs, kept=("x",), secondary="s", fingerprint=b"f") for n in (3, 5, 8)]
    async with data_keeper.unit(a_claimed()) as unit:
        await unit.persist(Changes(import_rows=rows, verdicts=[Verdict(PERSON, id_hash("a3"), "kind", "why")]))
        await unit.persist(Changes(proposals=[Proposal("match", 1, "k", {})]))
        await unit.persist(Changes(import_seen=[SeenHashes("", 1, PERSON, b"0" * 16)]))
        assert await unit.import_row_ranges(RUN, 2) == [IdRange(3, 5, 2), IdRange(8, 8, 1)]
        assert await unit.import_rows(RUN, 3, 7) == rows[:2]
        assert await unit.import_rows(RunId(2), 3, 7) == []
        await unit.purge_run_data(RunId(2))
        assert await unit.import_row_ranges(RUN, 9) == [IdRange(3, 8, 3)]
        await unit.purge_run_data(RUN)
        assert await unit.import_row_ranges(RUN, 9) == []
        assert await unit.verdicts(RUN, [id_hash("a3")]) == {}
        assert [page async for page in unit.import_seen(RUN)] == []
        assert await unit.order_proposals(RUN, "match") == 0


async def test_what_was_seen_comes_page_by_page_in_order(data_keeper: DataKeeper) -> None:
    pages = [SeenHashes(p, n, PERSON, f"{p}{n:015}".encode()) for p in ("b", "a") for n in range(20, 0, -1)]
    await write(data_keeper, Changes(import_seen=[*pages, SeenHashes("a", 1, TypeId(2), b"x" * 16)]))
    async with data_keeper.reader() as reader:
        seen = [page async for page in reader.import_seen(RUN)]
    assert seen[:2] == [("a", PERSON, b"a000000000000001"), ("a", 2, b"x" * 16)]
    assert len(seen) == 41
    assert seen[-1] == ("b", PERSON, b"b000000000000020")


async def test_the_first_verdict_about_an_identity_stands_and_rejected_rows_are_counted(
    data_keeper: DataKeeper,
) -> None:
    first, second = (Verdict(PERSON, id_hash("a1"), kind, kind) for kind in ("one", "two"))
    rows = [a_staged_row(1), a_staged_row(2, anchor="a1"), a_staged_row(3)]
    await write(data_keeper, Changes(verdicts=[first], import_rows=rows))
    await write(data_keeper, Changes(verdicts=[second]))
    async with data_keeper.reader() as reader:
        assert await reader.verdicts(RUN, [id_hash("a1"), id_hash("a2")]) == {(PERSON, id_hash("a1")): ("one", "one")}
        assert await reader.count_rejected_rows(RUN) == {"one": 2}


@pytest.mark.behaviour("IMP-20", "IMP-22")
async def test_candidates_for_absence_are_normal_csos_no_other_run_has_changed(data_keeper: DataKeeper) -> None:
    csos = [
        a_new_cso(1, partition="p"),
        a_new_cso(2, partition="q"),
        a_new_cso(3, partition="p", state=CsoState.PENDING_PROVISIONING),
        a_new_cso(4, partition="p"),
        a_new_cso(5, partition="p", type_id=TypeId(2)),
    ]
    await write(data_keeper, Changes(new_csos=csos))
    async with data_keeper.reader() as reader:
        start = await reader.change_seq_now()
    await write(data_keeper, Changes(csos=[a_cso_write(4, partition="p")]))
    async with data_keeper.reader() as reader:
        assert await reader.present_hashes(PERSON, "p", start, CsoId(0), 9) == [(1, id_hash("a1"))]
        assert [one[0] for one in await reader.present_hashes(PERSON, None, ALWAYS, CsoId(0), 2)] == [1, 2]
        assert [one[0] for one in await reader.present_hashes(PERSON, None, ALWAYS, CsoId(2), 9)] == [4]


@pytest.mark.behaviour("IMP-32")
async def test_csos_are_found_by_anchor_and_waiting_creates_by_secondary_id(data_keeper: DataKeeper) -> None:
    waiting = a_new_cso(1, anchor=None, secondary="s", state=CsoState.PENDING_PROVISIONING)
    await write(data_keeper, Changes(new_csos=[waiting, a_new_cso(2, secondary="s"), a_new_cso(3)]))
    async with data_keeper.reader() as reader:
        assert [one.id for one in await reader.csos_by_secondary(PERSON, [id_hash("s")])] == [1]
        assert [one.id for one in await reader.csos_by_anchor(PERSON, [id_hash("a3"), id_hash("a2")])] == [2, 3]


@pytest.mark.behaviour("IMP-30")
async def test_references_that_stay_unresolved_are_counted_for_the_rows_a_run_staged(data_keeper: DataKeeper) -> None:
    refs = [a_ref_change(1, "x", "y"), a_ref_change(2, "z"), a_ref_change(3, "w")]
    rows = [a_staged_row(1), a_staged_row(2, change="delete")]
    await write(data_keeper, Changes(new_csos=[a_new_cso(n) for n in (1, 2, 3)], cso_refs=refs, import_rows=rows))
    async with data_keeper.reader() as reader:
        assert await reader.unresolved_of_run(RUN) == [(PERSON, "manager", 2, "x")]


async def conflicts(keeper: DataKeeper, rows: Sequence[Any], **lists: Any) -> list[tuple[bytes, bytes | None]]:
    await write(keeper, Changes(import_rows=list(rows), **lists))
    async with keeper.reader() as reader:
        found = await reader.secondary_conflicts(RUN, [PERSON])
    assert found == sorted(found, key=lambda one: (one.type_id, one.anchor_hash, one.holder is None, one.holder))
    return [(one.anchor_hash, one.holder) for one in found]


@pytest.mark.behaviour("IMP-34")
async def test_objects_that_exchange_secondary_ids_do_not_conflict(data_keeper: DataKeeper) -> None:
    csos = [a_new_cso(1, secondary="s"), a_new_cso(2, secondary="t")]
    rows = [a_staged_row(1, secondary="t"), a_staged_row(2, secondary="s")]
    assert await conflicts(data_keeper, rows, new_csos=csos) == []


@pytest.mark.behaviour("IMP-34")
async def test_objects_that_end_with_one_secondary_id_conflict_until_all_are_rejected(data_keeper: DataKeeper) -> None:
    # 1 takes s, 2 takes s as well; 3 wants t, which 2 would have given up.
    csos = [a_new_cso(2, secondary="t")]
    rows = [a_staged_row(1, secondary="s"), a_staged_row(2, secondary="s"), a_staged_row(3, secondary="t")]
    first = await conflicts(data_keeper, rows, new_csos=csos)
    assert sorted(first, key=str) == sorted([(id_hash("a1"), None), (id_hash("a2"), None)], key=str)
    rejected = [Verdict(PERSON, anchor, "secondary_id_conflict", "") for anchor, _ in first]
    assert await conflicts(data_keeper, [], verdicts=rejected) == [(id_hash("a3"), id_hash("a2"))]
    rejected = [Verdict(PERSON, id_hash("a3"), "secondary_id_conflict", "")]
    assert await conflicts(data_keeper, [], verdicts=rejected) == []


@pytest.mark.behaviour("IMP-34")
async def test_a_deleted_object_gives_its_secondary_id_up_and_an_unread_one_is_named(data_keeper: DataKeeper) -> None:
    csos = [a_new_cso(1, secondary="s"), a_new_cso(2, secondary="t"), a_new_cso(3, secondary="u")]
    rows = [
        a_staged_row(1, change="delete"),
        a_staged_row(4, secondary="s"),
        a_staged_row(5, secondary="t"),
        a_staged_row(3, change="partial"),
        a_staged_row(6, secondary="u"),
    ]
    found = await conflicts(data_keeper, rows, new_csos=csos)
    assert set(found) == {(id_hash("a5"), id_hash("a2")), (id_hash("a3"), None), (id_hash("a6"), None)}


async def test_a_conflict_belongs_to_one_object_type(data_keeper: DataKeeper) -> None:
    rows = [a_staged_row(1, secondary="s"), a_staged_row(2, secondary="s", type_id=TypeId(2))]
    await write(data_keeper, Changes(import_rows=rows))
    async with data_keeper.reader() as reader:
        assert await reader.secondary_conflicts(RUN, [PERSON, TypeId(2)]) == []


def test_conflicts_have_an_order() -> None:
    assert SecondaryConflict(PERSON, b"a") < SecondaryConflict(PERSON, b"b")


# --- proposals and listed operations


async def test_proposals_are_numbered_in_canonical_order(data_keeper: DataKeeper) -> None:
    keys = {1: "b", 2: "B", 3: "ä", 4: "a", 5: "B"}
    found = [Proposal("match", n, key, {"n": n}) for n, key in keys.items()]
    async with data_keeper.unit(a_claimed()) as unit:
        await unit.persist(Changes(proposals=[*found, Proposal("reserve", 1, "z", {})]))
        assert await unit.proposal_ranges(RUN, "match", 2) == []
        assert await unit.order_proposals(RUN, "match") == 5
        assert await unit.proposal_ranges(RUN, "match", 2) == [IdRange(1, 2, 2), IdRange(3, 4, 2), IdRange(5, 5, 1)]
        settled = await unit.proposals(RUN, "match", 1, 5)
        assert [(one.n, one.object_id) for one in settled] == [(1, 2), (2, 5), (3, 4), (4, 1), (5, 3)]
        assert settled[0] == altered(found[1], n=1)
        assert [one.n for one in await unit.proposals(RUN, "match", 4, 9)] == [4, 5]


async def test_only_listed_operations_are_carried_out(data_keeper: DataKeeper) -> None:
    verdicts = {1: "listed", 2: "held", 3: "dropped", 4: "listed"}
    ops = [GuardOp(GuardPoint.METAVERSE_DELETIONS, PERSON_MVO, n, "delete", "", to) for n, to in verdicts.items()]
    await write(data_keeper, Changes(guard_ops=ops))
    async with data_keeper.reader() as reader:
        assert await reader.guard_op_ranges(RUN, GuardPoint.METAVERSE_DELETIONS, 9) == [IdRange(1, 4, 2)]
        assert await reader.guard_ops(RUN, GuardPoint.METAVERSE_DELETIONS, 1, 4) == [ops[0], ops[3]]
        assert await reader.guard_op_ranges(RUN, GuardPoint.IMPORT_OBSOLETIONS, 9) == []


async def test_unknown_objects_are_simply_not_found(data_keeper: DataKeeper) -> None:
    async with data_keeper.reader() as reader:
        assert await reader.csos([CsoId(1)]) == []
        assert await reader.mvos([MvoId(1)]) == []
        assert await reader.links([MvoId(1)]) == []
        assert await reader.cso_refs([CsoId(1)]) == []
        assert await reader.exports_of([CsoId(1)]) == []
        assert list(await reader.anchor_order(PERSON)) == []
