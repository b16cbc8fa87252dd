"""Which objects a step concerns: what a keeper promises about sets and the ranges they are cut into."""

from __future__ import annotations

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
    altered,
    an_export,
    an_mvo_write,
)
from tests.promises.data_keepers import DataKeeper, write

from anabranch.model.changes import Changes
from anabranch.model.enums import CsoState, ExportKind, ExportState, GuardPoint, MvoState, StepState
from anabranch.model.errors import Permanent
from anabranch.model.identity import CsoId, ExportId, MvoId, RunId, SystemId, TypeId
from anabranch.model.objects import GuardOp, Proposal
from anabranch.store.port import Due, IdRange, Reader

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


@pytest.mark.behaviour("SYN-30")
@pytest.mark.parametrize(
    ("anchors", "differ"),
    [
        ((), True),
        (("a1", "a2", "B3", "x y ~"), True),
        (("a1", "A1"), False),
        (("a1", "é1"), False),
        (("a1", "a\t2"), False),
        (("a1", ""), False),
        (("a1", None), False),
    ],
)
async def test_anchors_differ_where_they_are_plain_and_not_alike(
    data_keeper: DataKeeper, anchors: tuple[str | None, ...], differ: bool
) -> None:
    csos = [a_new_cso(n, anchor=anchor) for n, anchor in enumerate(anchors, 1)]
    others = [a_new_cso(101, anchor="A2", mvo_id=1), a_new_cso(102, anchor="A1", type_id=TypeId(2))]
    await write(data_keeper, Changes(new_csos=[*csos, *others]))
    async with data_keeper.reader() as reader:
        assert await reader.anchors_differ(due("unjoined")) is differ
        both = due("unjoined", stamps={PERSON: STAMP, TypeId(2): STAMP})
        assert await reader.anchors_differ(both) is differ


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


@pytest.mark.behaviour("SYN-69", "SYN-94")
async def test_who_lost_a_source_is_owed_nothing_until_that_run_or_a_later_one_of_its_system_has_matched(
    data_keeper: DataKeeper,
) -> None:
    writes = [
        an_mvo_write(1, outbound_due=True, parted_in=RunId(1)),
        an_mvo_write(2, outbound_due=True),
        an_mvo_write(3, outbound_due=True, parted_in=RunId(9)),  # a run that is not known any more
        an_mvo_write(4, outbound_due=True, parted_in=RunId(2)),
    ]
    await write(data_keeper, Changes(new_mvos=[a_new_mvo(one.id) for one in writes], mvos=writes))
    later = [an_mvo_write(one.id, outbound_due=True) for one in writes]
    await write(data_keeper, Changes(mvos=later))  # what is written of them afterwards changes nothing about that
    await data_keeper.a_run(RunId(1), HR, "match.settle", StepState.CANCELLED, ended=True)
    await data_keeper.a_run(RunId(2), SystemId(2), "match.settle", StepState.CLOSED)

    async def owed() -> list[int]:
        async with data_keeper.reader() as reader:
            return [one.id for one in await reader.outbound_mvos({PERSON_MVO: 0}, 2, NOW, 0, 9)]

    assert await owed() == [2, 3, 4]
    await data_keeper.a_run(RunId(3), SystemId(2), "match.settle", StepState.CLOSED)
    assert await owed() == [2, 3, 4]
    await data_keeper.a_run(RunId(4), HR, "match.settle", StepState.CLOSED)
    assert await owed() == [1, 2, 3, 4]


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


@pytest.mark.behaviour("SYN-56", "SYN-94")
async def test_a_run_inherits_what_was_due_at_once_in_a_run_of_its_system_that_is_over(data_keeper: DataKeeper) -> None:
    def doomed(number: int, run: int, when: timedelta = timedelta()) -> Any:
        deletion = {"run": run}
        return an_mvo_write(number, state=MvoState.PENDING_DELETION, delete_after=NOW + when, deletion=deletion)

    writes = [doomed(1, 1), doomed(2, 2), doomed(3, 4), doomed(4, 1, timedelta(hours=-1)), doomed(5, 3), doomed(6, 5)]
    await write(data_keeper, Changes(new_mvos=[a_new_mvo(one.id) for one in writes], mvos=writes))
    hour = timedelta(hours=1)
    await data_keeper.a_run(RunId(1), HR, "match.settle", StepState.CANCELLED, ended=True, now=NOW - hour)
    await data_keeper.a_run(RunId(2), HR, "match.settle", StepState.CANCELLED, ended=True, now=NOW)
    await data_keeper.a_run(RunId(3), SystemId(2), "match.settle", StepState.CLOSED, ended=True, now=NOW)
    await data_keeper.a_run(RunId(5), HR, "match.settle", StepState.CLOSED, now=NOW)
    await data_keeper.a_run(RunId(4), HR, "match.settle", StepState.CLOSED, now=NOW)
    async with data_keeper.reader() as reader:

        async def due(*inherits: TypeId) -> list[int]:
            found = await reader.due_deletions(RunId(4), [PERSON_MVO], NOW, inherits)
            return [one for _, one in found]

        assert await due() == [3], "its own"
        # Not 1, which was due an hour after its run; not 5, of another system; not 6, whose run is under way.
        assert await due(PERSON_MVO) == [2, 3, 4]
        assert await due(TypeId(8)) == [3]


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
    ops += [listed(6, ExportKind.UPDATE), listed(7, ExportKind.UPDATE)]
    states = {6: ExportState.EXPORTING, 7: ExportState.EXPORTED}
    csos = [a_new_cso(n + 100) for n in range(1, 8)]
    exports = [an_export(n, n + 100, state=states.get(n, ExportState.READY)) for n in range(1, 8)]
    async with data_keeper.unit(a_claimed(run=RunId(4))) as unit:
        await unit.persist(Changes(new_csos=csos, exports=exports, guard_ops=ops))
    await data_keeper.a_run(RUN, HR, "outbound", StepState.CLOSED)
    assert await executable(data_keeper, 4) == [1]
    assert await executable(data_keeper, 5) == []
    async with data_keeper.reader() as reader:
        everybody = [one.id for one in csos]
        assert list(await reader.counted_exports(HR, RunId(4))) == [1]
        assert await reader.counted_exports_of(HR, RunId(4), everybody) == {1, 6}
        assert await reader.counted_exports_of(HR, RunId(4), [CsoId(106), CsoId(103)]) == {6}
        assert await reader.counted_exports_of(HR, RunId(5), everybody) == frozenset()
        assert await reader.counted_exports_of(SystemId(2), RunId(4), everybody) == frozenset()


async def test_exports_with_sent_rows_come_page_by_page(data_keeper: DataKeeper) -> None:
    states = [ExportState.EXPORTED, ExportState.READY, ExportState.UNCONFIRMED, ExportState.EXPORTED]
    exports = [an_export(n, n, state=state) for n, state in enumerate(states, start=1)]
    await write(data_keeper, Changes(exports=[*exports, an_export(9, 9, state="exported", system_id=SystemId(2))]))
    async with data_keeper.reader() as reader:
        assert [one.id for one in await reader.confirmable_exports(HR, ExportId(0), 2)] == [1, 3]
        assert [one.id for one in await reader.confirmable_exports(HR, ExportId(3), 2)] == [4]
        assert await reader.confirmable_ranges(HR, 2) == [IdRange(1, 3, 2), IdRange(4, 4, 1)]
        assert await reader.confirmable_ranges(SystemId(7), 2) == []


# --- proposals and listed operations


async def test_proposals_come_in_canonical_order_and_are_numbered_in_any(data_keeper: DataKeeper) -> None:
    keys = {1: "b", 2: "B", 3: "ä", 4: "a", 5: "B"}
    found = [Proposal("match", n, key, {"contests": [7, -n][: n % 3]}) for n, key in keys.items()]
    async with data_keeper.unit(a_claimed()) as unit:
        await unit.persist(Changes(proposals=[*found, Proposal("reserve", 1, "z", {})]))
        objects, pairs = await unit.proposed_contests(RUN, "match")
        assert list(objects) == [2, 5, 4, 1, 3]
        assert sorted(zip(pairs[::2], pairs[1::2], strict=True)) == [(0, -2), (0, 7), (1, -5), (1, 7), (2, 7), (3, 7)]
        assert await unit.proposals(RUN, "match", 1, 5) == []
        await unit.number_proposals(RUN, "match", objects)
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
