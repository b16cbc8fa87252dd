"""People whose anchors keep them apart are settled as they come; all others are proposed first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.services.conftest import memory_world
from tests.services.driver import Ran, World
from tests.services.organisation import Plan, flow, inbound, match, text, with_crm

from anabranch.model.fleet import Claimed
from anabranch.store.memory_reading_sync import MemoryReader
from anabranch.sync_worker import proposing
from anabranch.sync_worker.contests import anchors_decide

PEOPLE = ("p1,Ann,Sales,1", "p2,Bob,,2,p1", "p3,Eve,Audit,,p1")


def steps_with_work(world: World) -> set[str]:
    """The steps in which some batch has done work; filled while the world runs."""
    found: set[str] = set()

    def remember(claimed: Claimed) -> None:
        if claimed.role == "work":
            found.add(claimed.step)

    world.on_claim = remember
    return found


def told(ran: Ran) -> list[Any]:
    items = sorted(
        (one.key, one.change, one.detail, sorted(str(value[:3]) for value in one.values)) for one in ran.items
    )
    return [ran.state, ran.totals, ran.kinds(), items]


async def standing(world: World) -> list[Any]:
    """The connector space of HR and the metaverse, without ids and numbers."""
    csos = [(one.anchor, one.join_type, one.failed, one.contributions) for one in (await world.csos("person")).values()]
    mvos = [(one.doc, one.origin_key, one.evaluated, one.outbound_due) for one in (await world.mvos()).values()]
    return [sorted(some, key=str) for some in (csos, mvos)]


async def weeks(world: World) -> list[Any]:
    """Somebody comes, is changed, leaves, and comes back under a name that is taken."""
    found: list[Any] = []
    for people in (PEOPLE, (*PEOPLE, "p4,Dan"), PEOPLE[1:], (*PEOPLE, "p5,Fay")):
        world.people(*people)
        ran = await world.run()
        found += [told(ran["sync"]), await standing(world), world.target()]
    return found


@pytest.mark.behaviour("SYN-30", "SYN-34")
async def test_the_result_is_the_one_of_proposing_first(any_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    worked = steps_with_work(any_world)
    await any_world.apply()
    as_they_come = await weeks(any_world)
    assert "match.settle" in worked
    assert "match.propose" not in worked

    monkeypatch.setattr(proposing, "anchors_decide", lambda *_: False)
    proposed = memory_world(any_world.place / "proposed")
    worked = steps_with_work(proposed)
    await proposed.apply()
    assert await weeks(proposed) == as_they_come
    assert {"match.propose", "match.settle"} <= worked


@pytest.mark.behaviour("SYN-25", "SYN-30", "SYN-34")
@pytest.mark.parametrize("rows", [("p1,Ann", "P1,Bob"), ("p1,Ann", "p²,Bob"), ("p1,Ann", "é1,Bob")])
async def test_anchors_that_differ_in_case_or_are_not_plain_are_proposed(world: World, rows: tuple[str, ...]) -> None:
    worked = steps_with_work(world)
    world.plan["metaverse"]["person"]["attributes"]["number"] = text(**{"case-sensitive": False})
    await world.apply()
    world.people(*rows)
    ran = await world.run()
    assert "match.propose" in worked
    clash = rows[1].startswith("P")
    assert ran["sync"].kinds() == ([("join_slot_taken", "p1")] if clash else [])
    assert len(await world.mvos()) == (1 if clash else 2)


@pytest.mark.behaviour("SYN-2", "SYN-17", "SYN-92")
async def test_who_has_no_place_to_find_is_told_of_once_and_looked_at_again(world: World) -> None:
    """Without a projection nobody is proposed and nobody is written; a scope that cannot be judged is an error."""
    rule = world.plan["rules"]["hr-person"]
    rule["project"] = False
    rule["scope"] = {"expression": 'to_integer(cs["phone"]) < 3'}
    worked = steps_with_work(world)
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,many")
    ran = (await world.run())["sync"]
    assert "match.propose" not in worked
    assert ran.kinds() == [("scope_error", "p2")]
    assert (ran.totals["selected"], ran.totals["unchanged"], ran.totals["errored"]) == (2, 1, 1)
    again = (await world.run())["sync"]
    assert (again.totals["selected"], again.kinds()) == (1, [("scope_error", "p2")])


def _without_match(plan: Plan) -> None:
    plan["rules"]["hr-person"]["match"] = []


def _by_another_attribute(plan: Plan) -> None:
    plan["rules"]["hr-person"]["match"] = [match("phone", "phone")]


def _by_an_expression(plan: Plan) -> None:
    condition = {"from": {"expression": 'cs["id"]'}, "equals": "number"}
    plan["rules"]["hr-person"]["match"] = [{"conditions": [condition]}]


def _by_two(plan: Plan) -> None:
    plan["rules"]["hr-person"]["match"] = [match("id", "number"), match("id", "name")]


def _cleaned(plan: Plan) -> None:
    plan["rules"]["hr-person"]["mappings"]["id"] = {**flow("number", "id"), "text-cleanup": ["trim"]}


def _given_something_else_by_another_rule(plan: Plan) -> None:
    plan["rules"]["hr-guest"] = inbound(
        "hr", "person", order=15, project=True, mappings={"phone": flow("number", "phone")}
    )


def _switched_off(plan: Plan) -> None:
    _given_something_else_by_another_rule(plan)
    plan["rules"]["hr-guest"]["enabled"] = False


def _several_values(plan: Plan) -> None:
    plan["metaverse"]["person"]["attributes"]["number"] = text(**{"multi-valued": True})
    plan["rules"]["account"]["mappings"]["uid"] = flow("uid", "name")
    plan["rules"]["account"]["mappings"]["dn"] = flow("dn", expression='"uid=" + escape_dn(mv["name"]) + ",dc=x"')


def _a_number(plan: Plan) -> None:
    plan["metaverse"]["person"]["attributes"]["number"] = {"type": "integer"}
    plan["systems"]["hr"]["object-types"]["person"]["attributes"]["id"] = {"type": "integer"}
    plan["rules"]["account"]["mappings"]["uid"] = flow("uid", "name")
    plan["rules"]["account"]["mappings"]["dn"] = flow("dn", expression='"uid=" + escape_dn(mv["name"]) + ",dc=x"')


def _teams_are_people(plan: Plan) -> None:
    plan["rules"]["hr-team"] = inbound(
        "hr", "team", order=20, project=True, match=[match("id", "number")], mappings={"id": flow("number", "id")}
    )
    del plan["rules"]["group"]


@pytest.mark.behaviour("SYN-30", "SYN-34")
@pytest.mark.parametrize(
    ("change", "decide"),
    [
        (lambda _: None, True),
        (_without_match, True),
        (_switched_off, True),
        (_by_another_attribute, False),
        (_by_an_expression, False),
        (_by_two, False),
        (_cleaned, False),
        (_given_something_else_by_another_rule, False),
        (_several_values, False),
        (_a_number, False),
        (_teams_are_people, False),
    ],
)
async def test_anchors_decide_only_where_the_one_key_is_the_anchor(
    tmp_path: Path, change: Callable[[Plan], None], decide: bool
) -> None:
    world = memory_world(tmp_path)
    change(world.plan)
    assert await _decide(world, "hr") is decide


@pytest.mark.behaviour("SYN-30")
async def test_anchors_decide_for_each_system_by_itself(world: World) -> None:
    with_crm(world.plan, world.place)
    assert await _decide(world, "hr")
    assert not await _decide(world, "crm")


async def _decide(world: World, system: str) -> bool:
    compiled = await world.compiled(await world.apply())
    system_id = compiled.registry.systems[system]
    inbounds = [compiled.inbound[one] for one in compiled.types_of(system_id) if one in compiled.inbound]
    return anchors_decide(inbounds, compiled.metaverse)


@pytest.mark.behaviour("SYN-25", "SYN-30")
@pytest.mark.parametrize("proposed", [False, True])
@pytest.mark.parametrize(
    ("people", "searched"),
    [
        (("p1,Ann", "p2,Bob"), []),
        (("p1,Ann", "p2,Bob", "P2,Bo"), [("number", 1)]),  # those two that differ in case, in their order
    ],
)
async def test_a_metaverse_without_keys_is_not_searched(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    people: tuple[str, ...],
    searched: list[tuple[str, int]],
    proposed: bool,
) -> None:
    asked: list[tuple[str, int]] = []
    asking = MemoryReader.match_candidates

    async def telling(self: Any, type_id: Any, attr: str, hashes: Any) -> Any:
        asked.append((attr, len(hashes)))
        return await asking(self, type_id, attr, hashes)

    monkeypatch.setattr(MemoryReader, "match_candidates", telling)
    if proposed:
        monkeypatch.setattr(proposing, "anchors_decide", lambda *_: False)
    await world.apply()
    world.people(*people)
    ran = await world.run()
    assert ran["sync"].changed("projected") == sorted(one.split(",")[0] for one in people)
    assert asked == searched
    asked.clear()
    world.people(*people, "p3,Cid")
    assert (await world.run())["sync"].changed("projected") == ["p3"]
    assert asked == [("number", 1)]


@pytest.mark.behaviour("SYN-25")
async def test_types_with_keys_are_told_apart(any_world: World) -> None:
    world = any_world
    world.plan["rules"]["hr-team"]["match"] = []
    revision = await world.compiled(await world.apply())
    types = sorted(revision.metaverse)
    world.people("p1,Ann")
    world.teams("t1,One,")
    async with world.store.reader() as reader:
        assert await reader.types_with_keys(types) == frozenset()
    await world.run()
    async with world.store.reader() as reader:
        assert await reader.types_with_keys(types) == {revision.registry.metaverse_types["person"]}
        assert await reader.types_with_keys([]) == frozenset()
