"""People arrive, change and stay: from a source's file to a directory that an import has confirmed."""

from __future__ import annotations

import pytest
from tests.services.driver import World


@pytest.mark.behaviour("SYN-33", "SYN-77", "EXP-28", "EXP-38")
async def test_a_joiner_is_projected_exported_and_confirmed(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,,p1")
    ran = await world.run()
    assert [one.state for one in ran.values()] == ["completed"] * 4
    assert ran["sync"].changed("projected") == ["p1", "p2"]
    assert (await world.mvo("p2")).doc == {"number": "p2", "name": "Bob", "dept": "Sales"}
    assert world.target()["p2"]["manager"] == ["uid=p1,ou=people,dc=x"]
    assert world.target()["p1"]["telephoneNumber"] == ["1"]
    assert await world.exports() == []


@pytest.mark.behaviour("IMP-17", "SYN-7")
async def test_a_second_cycle_over_unchanged_files_writes_nothing(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,,p1")
    world.teams("t1,Red,p1;p2")
    await world.run()
    await world.run()
    before = await world.view.change_seq()
    state = (await world.view.csos(), await world.view.mvos(), await world.exports())
    ran = await world.run()
    assert await world.view.change_seq() == before
    assert (await world.view.csos(), await world.view.mvos(), await world.exports()) == state
    assert [(one.items, one.errors) for one in ran.values()] == [([], [])] * 4


@pytest.mark.behaviour("SYN-7")
async def test_a_full_sync_over_a_consistent_state_writes_nothing(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,,p1")
    world.teams("t1,Red,p1;p2")
    await world.run()
    before = await world.view.change_seq()
    ran = await world.one("full-sync")
    assert (ran.state, ran.items, await world.exports()) == ("completed", [], [])
    assert await world.view.change_seq() == before


@pytest.mark.behaviour("SYN-69", "SYN-71", "SYN-72")
async def test_a_change_reaches_the_target_as_the_one_value_that_differs(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales")
    await world.run()
    world.people("p1,Ann,Audit,1", "p2,Bob,Sales")
    await world.run("import")
    await world.run("sync")
    (export,) = await world.exports()
    assert [(row.attr, row.value) for row in export.rows] == [("ou", "Audit")]
    await world.run("export")
    assert world.target()["p1"]["ou"] == ["Audit"]
    assert world.target()["p2"]["ou"] == ["Sales"]


@pytest.mark.behaviour("SYN-72")
async def test_a_change_that_is_taken_back_before_it_was_sent_leaves_nothing_to_send(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1")
    await world.run()
    for dept in ("Audit", "Sales"):
        world.people(f"p1,Ann,{dept},1")
        await world.run("import")
        await world.run("sync")
    assert await world.exports() == []


@pytest.mark.behaviour("SYN-73")
async def test_a_value_that_goes_is_cleared_in_the_target(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1")
    await world.run()
    world.people("p1,Ann,Sales")
    await world.run()
    assert "telephoneNumber" not in world.target()["p1"]
    assert await world.exports() == []
