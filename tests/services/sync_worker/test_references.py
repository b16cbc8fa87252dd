"""Managers and members: whoever comes first, in whatever order and page, the references end the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.services.conftest import memory_world
from tests.services.driver import World
from tests.services.organisation import flow, inbound

from anabranch.model.enums import MvoState

CIRCLE = ("p1,Ann,Sales,,p3", "p2,Bob,Sales,,p1", "p3,Cid,Sales,,p2", "p4,Dan,Sales,,p4", "p5,Eve,Sales,,p1")


@pytest.mark.behaviour("SYN-50", "EXP-18")
@pytest.mark.parametrize("size", [1, 7, 1_000])
async def test_circular_forward_and_self_references_are_complete_after_one_cycle(tmp_path: Path, size: int) -> None:
    world = memory_world(tmp_path)
    for profile in world.plan["run-profiles"].values():
        profile |= {"page-size": size, "batch-size": size}
    await world.apply()
    world.people(*CIRCLE)
    world.teams("t1,Red,p5;p1;p4", "t2,Blue,p2")
    await world.run()
    assert await world.refers("manager") == {"p1": ["p3"], "p2": ["p1"], "p3": ["p2"], "p4": ["p4"], "p5": ["p1"]}
    assert await world.refers("members") == {"t1": ["p1", "p4", "p5"], "t2": ["p2"]}
    target = world.target()
    assert target["p1"]["manager"] == ["uid=p3,ou=people,dc=x"]
    assert target["p4"]["manager"] == ["uid=p4,ou=people,dc=x"]
    assert [one.partition(",")[0] for one in target["t1"]["member"]] == ["uid=p1", "uid=p4", "uid=p5"]
    assert await world.exports() == []


@pytest.mark.behaviour("IMP-29", "SYN-51", "TRAP-13", "EXP-17")
async def test_a_manager_who_comes_a_week_later_is_linked_without_touching_the_team(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people("p2,Bob,Sales,,p9", "p3,Cid,Sales,,p9")
    world.teams("t1,Red,p2;p9")
    ran = await world.run()
    assert [(kind, key) for kind, key in ran["import"].kinds()] == [
        ("unresolved_reference", "person.manager"),
        ("unresolved_reference", "team.members"),
    ]
    assert await world.refers("manager") == {}
    await world.pass_time(days=7)
    world.people("p2,Bob,Sales,,p9", "p3,Cid,Sales,,p9", "p9,Zoe,Sales")
    ran = await world.run()
    assert ran["import"].changed("updated") == []
    assert await world.refers("manager") == {"p2": ["p9"], "p3": ["p9"]}
    assert await world.refers("members") == {"t1": ["p2", "p9"]}
    target = world.target()
    assert target["p2"]["manager"] == ["uid=p9,ou=people,dc=x"]
    assert len(target["t1"]["member"]) == 2


@pytest.mark.behaviour("SYN-52")
async def test_a_reference_goes_when_its_source_value_goes(world: World) -> None:
    await world.apply()
    world.people("p1,Ann", "p2,Bob,,,p1")
    await world.run()
    world.people("p1,Ann", "p2,Bob")
    await world.run()
    assert await world.refers("manager") == {}
    assert "manager" not in world.target()["p2"]


@pytest.mark.behaviour("SYN-52", "IMP-31")
async def test_a_reference_moves_with_its_source_value(world: World) -> None:
    await world.apply()
    world.people("p1,Ann", "p2,Bob,,,p1", "p3,Cid")
    await world.run()
    world.people("p1,Ann", "p2,Bob,,,p3", "p3,Cid")
    await world.run()
    assert await world.refers("manager") == {"p2": ["p3"]}
    assert world.target()["p2"]["manager"] == ["uid=p3,ou=people,dc=x"]
    assert await world.exports() == []


@pytest.mark.behaviour("SYN-59")
async def test_references_of_and_to_a_leaver_stay_during_grace(world: World) -> None:
    world.plan["metaverse"]["person"]["deletion"]["grace"] = "7d"
    await world.apply()
    world.people("p1,Ann", "p2,Bob,,,p1", "p3,Cid,,,p2")
    world.teams("t1,Red,p2;p3")
    await world.run()
    world.people("p1,Ann", "p3,Cid,,,p2")
    await world.run()
    assert (await world.mvo("p2")).state is MvoState.PENDING_DELETION
    assert await world.refers("manager") == {"p2": ["p1"], "p3": ["p2"]}
    assert await world.refers("members") == {"t1": ["p2", "p3"]}


@pytest.mark.behaviour("IMP-30")
@pytest.mark.parametrize(
    ("policy", "state"),
    [("error", "completed_with_errors"), ("warn", "completed_with_warnings"), ("ignore", "completed")],
)
async def test_an_unresolved_reference_is_told_as_the_system_wants_it(world: World, policy: str, state: str) -> None:
    world.plan["systems"]["hr"]["unresolved-reference-policy"] = policy
    await world.apply()
    world.people("p2,Bob,Sales,,p9")
    assert (await world.one("import")).state == state
    assert (await world.one("import")).state == "completed"


@pytest.mark.behaviour("SYN-46", "SYN-48")
@pytest.mark.parametrize(("policy", "members"), [("winner-takes-all", ["p1"]), ("union", ["p1", "p2"])])
async def test_a_set_goes_whole_to_the_winner_or_is_the_union_of_all(
    world: World, policy: str, members: list[str]
) -> None:
    attributes: dict[str, Any] = world.plan["metaverse"]["team"]["attributes"]
    attributes["members"]["multi-value-policy"] = policy
    hr = world.plan["systems"]["hr"]["object-types"]["team"]
    hr["attributes"]["deputies"] = hr["attributes"]["members"]
    world.plan["rules"]["hr-team"]["mappings"]["members"]["priority"] = 1
    world.plan["rules"]["hr-deputies"] = inbound(
        "hr", "team", "team", order=25, mappings={"deputies": flow("members", "deputies", priority=2)}
    )
    await world.apply()
    world.people("p1,Ann", "p2,Bob")
    world.write("hr/teams.csv", "id,name,members,deputies", "t1,Red,p1,p2")
    await world.run()
    assert await world.refers("members") == {"t1": members}
    world.write("hr/teams.csv", "id,name,members,deputies", "t1,Red,,p2")
    await world.run()
    assert await world.refers("members") == {"t1": ["p2"]}


@pytest.mark.behaviour("SYN-2", "IMP-31")
async def test_who_changes_while_her_manager_leaves_is_evaluated_in_the_same_sync(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people("p1,Ann,Sales,,p2", "p3,Cid,Sales,,p2", "p2,Bob,Sales")
    await world.run()
    world.people("p1,Anna,Sales,,p3", "p3,Cidney,Sales,,p2")  # one is led by another now, the other still names Bob
    ran = await world.run()
    assert {name: run.state for name, run in ran.items() if name != "import"} == {
        "sync": "completed", "export": "completed", "confirm": "completed"
    }  # fmt: skip
    target = world.target()
    assert {name: entry["cn"] for name, entry in target.items()} == {"p1": ["Anna"], "p3": ["Cidney"]}
    assert [entry.get("manager") for entry in target.values()] == [["uid=p3,ou=people,dc=x"], None]
    again = await world.run()
    assert again["sync"].totals.get("changed", 0) == 0
