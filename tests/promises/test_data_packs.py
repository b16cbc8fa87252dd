"""What every keeper promises of packs of provisioned objects."""

from __future__ import annotations

import asyncio

import pytest
from tests.builders import HR, NOW, RUN, a_claimed
from tests.promises.data_keepers import DataKeeper, write

from anabranch.model.changes import Changes
from anabranch.model.enums import GuardPoint, StepState
from anabranch.model.identity import CsoId, ExportId, MvoId, PackId, RunId, SystemId, TypeId
from anabranch.model.provisioning import PackLine, Provisioned, ProvisionPack

PERSON, TEAM, ENTRY = TypeId(100), TypeId(101), TypeId(7)
OTHER = SystemId(2)


def one(number: int, **sets: object) -> Provisioned:
    return Provisioned(CsoId(number), ExportId(number + 100), MvoId(number + 200), 5, f"p{number}", {"n": "x", **sets})


def a_pack(*numbers: int, system: SystemId = HR, mvo_type: TypeId = PERSON, revision: int = 1) -> ProvisionPack:
    return ProvisionPack(
        system_id=system,
        type_id=ENTRY,
        mvo_type_id=mvo_type,
        rule="entry",
        staged_run=RUN,
        config_version=revision,
        staged_now=NOW,
        objects=tuple(one(number, é='"ü"\n', list=[1, None]) for number in numbers),
    )


async def lines(keeper: DataKeeper, system: SystemId = HR) -> list[PackLine]:
    async with keeper.reader() as reader:
        return await reader.packs_of_system(system)


async def test_a_pack_comes_back_as_it_was_written(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(provision_packs=[a_pack(1, 2, 3), a_pack(4)]))
    first, second = await lines(data_keeper)
    assert (first.objects, first.lo_anchor, first.type_id, first.config_version) == (3, "p1", ENTRY, 1)
    async with data_keeper.reader() as reader:
        found = await reader.provision_packs([second.id, first.id, PackId(99)])
    assert [pack.id for pack in found] == [first.id, second.id]
    assert [pack.objects for pack in found] == [a_pack(1, 2, 3).objects, a_pack(4).objects]
    assert (found[0].rule, found[0].staged_run, found[0].staged_now) == ("entry", RUN, NOW)


async def test_packs_are_found_by_their_system_and_by_their_metaverse_types(data_keeper: DataKeeper) -> None:
    packs = [a_pack(1), a_pack(2, mvo_type=TEAM), a_pack(3, system=OTHER), a_pack(4, system=OTHER, mvo_type=TEAM)]
    await write(data_keeper, Changes(provision_packs=packs))
    async with data_keeper.reader() as reader:
        found = [
            [line.lo_anchor for line in some]
            for some in (
                await reader.packs_of_system(HR),
                await reader.packs_of_types([PERSON]),
                await reader.packs_of_types([PERSON, TEAM]),
                await reader.packs_of_types([]),
            )
        ]
    assert found == [["p1", "p2"], ["p1", "p3"], ["p1", "p2", "p3", "p4"], []]


async def test_who_takes_a_pack_that_is_gone_is_told(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(provision_packs=[a_pack(1), a_pack(2)]))
    first, second = (line.id for line in await lines(data_keeper))
    assert not await write(data_keeper, Changes(gone_packs=[first]))
    moved = await write(data_keeper, Changes(gone_packs=[first, second]))
    assert moved.packs == {first}
    assert [line.id for line in await lines(data_keeper)] == [second]


async def test_of_two_that_take_a_pack_at_once_one_gets_it(data_keeper: DataKeeper) -> None:
    await write(data_keeper, Changes(provision_packs=[a_pack(1)]))
    (pack,) = [line.id for line in await lines(data_keeper)]
    begun = asyncio.Event()

    async def first() -> bool:
        async with data_keeper.unit(a_claimed(1)) as unit:
            moved = await unit.lock(Changes(gone_packs=[pack]))
            begun.set()
            await unit.persist(Changes(gone_packs=[pack]))
        return bool(moved)

    async def second() -> bool:
        await begun.wait()
        return bool(await write(data_keeper, Changes(gone_packs=[pack]), batch=2))

    assert tuple(await asyncio.gather(first(), second())) == (False, True)


@pytest.mark.behaviour("EXP-14", "EXP-15")
@pytest.mark.parametrize(
    ("state", "ended", "counted"),
    [(StepState.OPEN, False, []), (StepState.CLOSED, False, ["p1"]), (StepState.OPEN, True, ["p1"])],
)
async def test_a_pack_is_counted_once_its_sync_is_past_its_outbound(
    data_keeper: DataKeeper, state: StepState, ended: bool, counted: list[str]
) -> None:
    await data_keeper.a_run(RUN, HR, "outbound", state, ended=ended)
    await data_keeper.a_run(RunId(2), OTHER, "assess", StepState.OPEN)
    packs = [a_pack(1, 2), a_pack(3, system=OTHER), a_pack(4, revision=2)]
    await write(data_keeper, Changes(provision_packs=packs))
    async with data_keeper.unit(a_claimed(9, run=RunId(2))) as unit:
        assert await unit.list_executable_exports(HR) == 2 * len(counted)
    async with data_keeper.reader() as reader:
        assert [line.lo_anchor for line in await reader.counted_packs(HR, RunId(2))] == counted
        assert await reader.counted_packs(HR, RUN) == await reader.counted_packs(OTHER, RunId(2)) == []
        listed = await reader.count_listed(RunId(2), GuardPoint.EXPORT_WRITES)
        others = await reader.count_listed(RunId(2), GuardPoint.OUTBOUND_RELEASES)
    assert (listed, others) == (2 * len(counted), 0)


async def test_counted_packs_come_in_the_order_of_the_file(data_keeper: DataKeeper) -> None:
    await data_keeper.a_run(RUN, HR, "outbound", StepState.CLOSED)
    await write(data_keeper, Changes(provision_packs=[a_pack(5, 6), a_pack(2), a_pack(1, 9)]))
    async with data_keeper.unit(a_claimed(9)) as unit:
        await unit.list_executable_exports(HR)
    async with data_keeper.reader() as reader:
        assert [line.lo_anchor for line in await reader.counted_packs(HR, RUN)] == ["p1", "p2", "p5"]
