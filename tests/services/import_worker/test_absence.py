"""Whoever is absent is found; and where everybody there was came again, the connector space is not gone through."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from tests.services.driver import World

from anabranch.import_worker import known
from anabranch.model.errors import Retryable
from anabranch.model.identity import TypeId
from anabranch.store.memory_reading_import import MemoryImportReading
from anabranch.store.reading_import import ImportReading

PEOPLE = ("p1,Ann", "p2,Bob", "p3,Cid")


@pytest.fixture
def gone_through(monkeypatch: pytest.MonkeyPatch) -> list[TypeId]:
    """The object types whose connector space was gone through for absent objects."""
    found: list[TypeId] = []
    for keeper in (ImportReading, MemoryImportReading):

        async def telling(
            self: ImportReading,
            type_id: TypeId,
            partition: str | None,
            max_seq: int,
            reading: Callable[..., object] = keeper.present_hashes,
        ) -> object:
            found.append(type_id)
            return await reading(self, type_id, partition, max_seq)  # type: ignore[misc]

        monkeypatch.setattr(keeper, "present_hashes", telling)
    return found


async def settled(world: World, rows: Sequence[str] = PEOPLE) -> None:
    """These people have been imported."""
    await world.apply()
    world.people(*rows)
    assert (await world.one("import")).state == "completed"


@pytest.mark.behaviour("IMP-20", "IMP-21")
@pytest.mark.parametrize(
    ("rows", "absent", "through"),
    [
        (PEOPLE, [], False),
        (PEOPLE[::-1], [], False),
        ((*PEOPLE, "p4,Dan"), [], False),
        (("p1,Ann", "p2,Bobby", "p3,Cid"), [], False),
        (("p1,Anna", "p2,Bobby", "p3,Cyd"), [], False),
        (("p1,Ann", "p2,Bob", "p2,Bob", "p3,Cid"), [], False),
        (("p1,Ann", "p3,Cid"), ["p2"], True),
        (("p1,Ann", "p3,Cid", "p4,Dan"), ["p2"], True),
        (("p1,Ann", "p3,Cid", "p3,Cid"), ["p2"], True),
        (("p1,Ann", "p3,Cid", "p3,Cyd", "p1,Anna"), ["p2"], True),
        (("p1,Anna", "p3,Cyd"), ["p2"], True),
        (("p1,Ann", "p2,Bob,,surplus,surplus,surplus,surplus", "p3,Cid"), [], False),
        (("p1,Ann", ",Bob", "p3,Cid"), ["p2"], True),
    ],
)
async def test_who_is_absent_is_found_and_nothing_is_gone_through_where_nobody_is(
    world: World, gone_through: list[TypeId], rows: Sequence[str], absent: list[str], through: bool
) -> None:
    await settled(world)
    gone_through.clear()
    world.people(*rows)
    ran = await world.one("import")
    assert ran.changed("obsoleted") == absent
    assert (ran.totals["known_before"], ran.totals["seen_known"]) == (3, 3 - len(absent))
    assert bool(gone_through) is through


@pytest.mark.behaviour("IMP-20", "IMP-21")
async def test_so_it_is_week_by_week(any_world: World, gone_through: list[TypeId]) -> None:
    world = any_world
    await settled(world)
    told = []
    for rows in (PEOPLE, ("p1,Anna", "p2,Bob", "p3,Cid", "p4,Dan"), ("p1,Anna", "p4,Dan", "p5,Eve"), PEOPLE):
        gone_through.clear()
        world.people(*rows)
        ran = await world.one("import")
        told.append(
            (ran.totals["known_before"], ran.totals["seen_known"], ran.changed("obsoleted"), bool(gone_through))
        )
    assert told == [(3, 3, [], False), (3, 3, [], False), (4, 2, ["p2", "p3"], True), (3, 1, ["p4", "p5"], True)]


@pytest.mark.behaviour("IMP-20")
async def test_a_first_import_goes_through_nothing(world: World, gone_through: list[TypeId]) -> None:
    await settled(world)
    assert gone_through == []


@pytest.mark.behaviour("IMP-20")
async def test_who_was_obsolete_already_is_not_waited_for(world: World, gone_through: list[TypeId]) -> None:
    await settled(world)
    world.people(*PEOPLE[:2])
    await world.one("import")
    gone_through.clear()
    ran = await world.one("import")
    assert (ran.totals["known_before"], ran.totals["seen_known"], gone_through) == (2, 2, [])


@pytest.mark.behaviour("IMP-20")
async def test_more_objects_than_are_held_are_gone_through(
    world: World, gone_through: list[TypeId], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "MOST", 3)
    await settled(world)
    gone_through.clear()
    world.people("p1,Ann", "p3,Cid")
    ran = await world.one("import")
    assert ran.changed("obsoleted") == ["p2"]
    assert gone_through
    gone_through.clear()
    await world.one("import")
    assert gone_through == []


@pytest.mark.behaviour("IMP-2", "IMP-20")
async def test_a_read_that_is_taken_up_again_does_not_answer_for_the_pages_before(
    any_world: World, gone_through: list[TypeId]
) -> None:
    world = any_world
    world.plan["run-profiles"]["import"]["page-size"] = 1
    everybody = [f"p{n},Ann" for n in range(10, 40)]
    await settled(world, everybody)
    gone_through.clear()
    world.people(*everybody, "p40,Eve")

    def break_off() -> None:
        raise Retryable("the worker stumbles")

    world.changing(1, break_off)
    begun = await world.one("import")
    assert (world.put_off, begun.state) == (["the worker stumbles"], "running")
    await world.pass_time(minutes=10)
    await world.settle()
    ran = await world.told(begun.run)
    assert (ran.state, ran.totals["known_before"], ran.totals["seen_known"]) == ("completed", 30, 30)
    assert gone_through
