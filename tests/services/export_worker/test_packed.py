"""Objects from packs on their way into a file, and what became of them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.services.driver import World
from tests.services.sync_worker.test_packs import PEOPLE, entries, founded, lines

from anabranch.connectors import csv_files
from anabranch.connectors.port import Capabilities, Rejection
from anabranch.export_worker import packed
from anabranch.export_worker.packed import Page, merged
from anabranch.model.enums import CsoState, ExportKind, ExportState, RowState, WriteGuarantee
from anabranch.model.identity import CsoId, TypeId
from anabranch.model.objects import TargetPicture
from anabranch.sync_worker import newcomers


def picture(number: int, anchor: str | None) -> TargetPicture:
    return TargetPicture(CsoId(number), TypeId(1), anchor, True, None, CsoState.NORMAL, {})


async def paged(pictures: list[TargetPicture], size: int) -> AsyncIterator[Page]:
    """Pages of at most so many, some of them empty."""
    for at in range(0, len(pictures), size):
        yield Page(pictures[at : at + size], {})
        yield Page([], {})


@pytest.mark.parametrize(("own", "others"), [(0, 0), (0, 7), (7, 0), (1, 1), (9, 4), (4, 9), (20, 20)], ids=str)
async def test_objects_with_rows_and_objects_from_packs_come_in_one_order(own: int, others: int) -> None:
    chance = random.Random(f"{own}/{others}")  # noqa: S311 - repeatable, not a secret
    made = [
        picture(n, chance.choice([None, "a", "b", "é", "z", f"{n:02}"]) if n < own else f"{n % 7}")
        for n in range(own + others)
    ]

    def place(one: TargetPicture) -> tuple[bool, str, int]:
        return one.anchor is None, one.anchor or "", one.id

    mine, theirs = sorted(made[:own], key=place), sorted(made[own:], key=place)
    found = [one async for page in merged(paged(mine, 3), paged(theirs, 2)) for one in page.pictures]
    assert found == sorted(made, key=place)


@pytest.fixture
def packing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single new object makes a pack."""
    monkeypatch.setattr(newcomers, "PARTS", 10**9)


@pytest.mark.usefixtures("packing")
async def test_packs_of_batches_in_no_order_make_one_ordered_file(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anabranch.engine.packing.OBJECTS_A_PACK", 3)
    monkeypatch.setattr(packed, "_PACKS_AT_ONCE", 2)
    world = any_world
    world.plan["run-profiles"]["sync"]["batch-size"] = 8
    await founded(world)
    names = [f"p{n:02}" for n in range(40)]
    random.Random(4).shuffle(names)  # noqa: S311 - repeatable, not a secret
    world.people(*(f"{name},Name" for name in names))
    await world.one("import")
    await world.one("sync")
    assert [one.objects for one in await lines(world)] == [3, 3, 2] * 5
    ran = await world.one("export")
    assert (ran.totals["selected"], ran.totals["exported"], ran.kinds()) == (40, 40, [])
    assert entries(world)[1:] == [f"{name},Name," for name in sorted(names)]
    assert {one.state for one in (await world.csos("entry")).values()} == {CsoState.NORMAL}


@pytest.mark.behaviour("EXP-28", "EXP-29")
@pytest.mark.usefixtures("packing")
async def test_a_target_that_does_not_vouch_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    capable = Capabilities(resumable=True, partitions=True, write_guarantee=WriteGuarantee.IDEMPOTENT, whole_file=True)
    original = csv_files.CsvConnector.__init__

    def init(self: Any, *given: Any) -> None:
        original(self, *given)
        self.capabilities = capable

    monkeypatch.setattr(csv_files.CsvConnector, "__init__", init)
    await founded(world)
    world.people(*PEOPLE)
    await world.one("import")
    await world.one("sync")
    assert len(await lines(world)) == 1
    await world.one("export")
    waiting = await world.exports()
    assert [(one.kind, one.state) for one in waiting] == [(ExportKind.CREATE, ExportState.EXPORTED)] * 4
    assert {row.state for one in waiting for row in one.rows} == {RowState.SENT}
    assert {one.state for one in (await world.csos("entry")).values()} == {CsoState.PENDING_PROVISIONING}
    await world.one("confirm")
    assert (await world.exports(), {one.state for one in (await world.csos("entry")).values()}) == (
        [],
        {CsoState.NORMAL},
    )


@pytest.mark.behaviour("EXP-25", "EXP-37")
@pytest.mark.usefixtures("packing")
async def test_what_was_written_and_not_recorded_is_written_again(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await founded(any_world)
    world.people(*PEOPLE)
    await world.one("import")
    await world.one("sync")

    def lost(claimed: Any) -> None:
        if (claimed.step, claimed.role) == ("export.record", "record"):
            raise ConnectionError("the worker is gone")

    world.on_claim = lost
    with pytest.raises(ConnectionError):
        await world.one("export")
    assert (len(entries(world)), len(await lines(world)), await world.csos("entry")) == (5, 1, {})
    world.on_claim = None
    await world.pass_time(hours=1)
    await world.settle()
    assert (await lines(world), sorted(await world.csos("entry"))) == ([], ["p1", "p2", "p3", "p4"])


@pytest.mark.behaviour("EXP-32", "EXP-33")
@pytest.mark.usefixtures("packing")
async def test_what_the_file_cannot_hold_stands_by_itself_with_a_create_that_failed(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await founded(any_world)
    refusal = csv_files.CsvConnector.refusal

    def picky(self: Any, wanted: Any) -> Any:
        if wanted.anchor in ("p2", "p3"):
            return Rejection(wanted.object_type, wanted.anchor, "export_refused", "not this one")
        return refusal(self, wanted)

    monkeypatch.setattr(csv_files.CsvConnector, "refusal", picky)
    world.people(*PEOPLE)
    await world.one("import")
    await world.one("sync")
    ran = await world.one("export")
    assert ran.kinds() == [("export_refused", "p2"), ("export_refused", "p3")]
    assert (ran.totals["selected"], ran.totals["exported"], ran.totals["errored"]) == (4, 2, 2)
    failed = await world.exports()
    assert [(one.kind, one.state, one.failure) for one in failed] == [
        (ExportKind.CREATE, ExportState.DEAD_LETTER, "export_refused")
    ] * 2
    assert [len(one.all_rows()) for one in failed] == [3, 2]
    states = {anchor: one.state for anchor, one in (await world.csos("entry")).items()}
    assert states == {
        "p1": CsoState.NORMAL,
        "p2": CsoState.PENDING_PROVISIONING,
        "p3": CsoState.PENDING_PROVISIONING,
        "p4": CsoState.NORMAL,
    }
