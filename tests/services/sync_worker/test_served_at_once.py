"""New people whose targets get what they lack in the commit that makes them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.services.conftest import memory_world
from tests.services.driver import Ran, World
from tests.services.organisation import flow

from anabranch.sync_worker import matching
from anabranch.sync_worker.newcomers import Newcomers


async def synced(world: World, *people: str) -> Ran:
    """HR's people have no managers, and are in the metaverse."""
    del world.plan["rules"]["hr-person"]["mappings"]["manager"]
    await world.apply()
    world.people(*people)
    await world.one("import")
    return await world.one("sync")


async def standing(world: World) -> list[Any]:
    """What the directory is owed, and what the metaverse says of it, without ids and numbers."""
    exports = [(one.kind, one.state, one.rows, one.rule, one.config_version) for one in await world.exports()]
    accounts = [(one.anchor, one.secondary, one.state, one.join_type) for one in (await world.csos("account")).values()]
    mvos = [
        (one.doc, one.evaluated, one.outbound_due, one.outbound_stamp, one.outbound_version)
        for one in (await world.mvos()).values()
    ]
    return [sorted(some, key=str) for some in (exports, accounts, mvos)]


def told(ran: Ran) -> list[Any]:
    items = sorted((one.key, one.change, one.detail, [value[:3] for value in one.values]) for one in ran.items)
    return [ran.state, ran.totals, ran.kinds(), items]


PEOPLE = ("p1,Ann,Sales,1", "p2,Bob,,2", "p3,Eve,Audit,")


@pytest.mark.behaviour("SYN-69", "SYN-70", "SYN-71")
async def test_they_are_served_as_if_it_had_been_left_to_the_last_step(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = any_world
    served: list[str] = []
    lacking = Newcomers.lacking

    def watched(self: Newcomers, targets: Any, doc: Any, seen: Any) -> Any:
        served.append(doc["number"])
        return lacking(self, targets, doc, seen)

    monkeypatch.setattr(Newcomers, "lacking", watched)
    first = await synced(world, *PEOPLE)
    assert sorted(served) == ["p1", "p2", "p3"]
    assert first.totals["outbound_evaluated"] == first.totals["creates_staged"] == 3
    at_once = [told(first), await standing(world)]
    again = await world.one("sync")
    assert (again.totals.get("outbound_evaluated", 0), await standing(world)) == (0, at_once[1])
    assert (await world.one("export")).changed("exported") == ["p1", "p2", "p3"]

    monkeypatch.setattr(matching, "_served_at_once", lambda *_: ())
    later = memory_world(world.place / "later")
    assert [told(await synced(later, *PEOPLE)), await standing(later)] == at_once
    assert len(served) == 3


@pytest.mark.behaviour("SYN-74")
async def test_whose_evaluation_fails_is_told_of_once_and_stays_owed(world: World) -> None:
    world.plan["rules"]["account"]["mappings"]["ou"] = flow("ou", expression='to_text(to_integer(mv["phone"]))')
    ran = await synced(world, "p1,Ann,Sales,1", "p2,Bob,,many", "p3,Eve,Audit,3")
    assert ran.kinds() == [("expression_error", "hr/person/p2")]
    assert {one.doc["number"]: one.outbound_due for one in (await world.mvos()).values()} == {
        "p1": False,
        "p2": True,
        "p3": False,
    }
    assert sorted(await world.csos("account")) == ["p1", "p3"]
    assert ran.totals["outbound_evaluated"] == 3


async def test_whoever_refers_to_others_is_left_to_the_last_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Newcomers, "lacking", None)
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,2,p1")
    await world.one("import")
    assert (await world.one("sync")).totals["creates_staged"] == 2
