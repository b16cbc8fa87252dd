"""Mass changes stop at five places, and a person decides."""

from __future__ import annotations

from typing import Any

import pytest
from tests.services.driver import Ran, World

from anabranch.model.enums import CsoState, MvoState

EVERYBODY = [f"p{n},N{n},Sales,{n}" for n in range(1, 6)]


def point(name: str, **limit: Any) -> dict[str, Any]:
    return {name: {"max-count": 1, **limit}}


def prepare(world: World, guard: str) -> str:
    """At most one operation passes the guard; the profile whose run it holds when three people leave."""
    systems, metaverse = world.plan["systems"], world.plan["metaverse"]
    loose = {"import-obsoletions": {"enabled": False}, "sync-disconnections": {"enabled": False}}
    systems["hr"]["guards"] = loose
    systems["directory"]["guards"] = {"export-writes": {"enabled": False}}
    match guard:
        case "import-obsoletions" | "sync-disconnections":
            systems["hr"]["guards"] = {**loose, **point(guard)}
        case "metaverse-deletions":
            metaverse["person"]["guards"] = point(guard)
        case "outbound-releases":
            systems["directory"]["guards"] |= point(guard)
            scope = {"attribute": "dept", "operator": "equals", "value": "Sales"}
            world.plan["rules"]["account"] |= {"scope": scope, "deprovision-action": "disconnect"}
        case "export-writes":
            systems["directory"]["guards"] = point(guard)
    return {"import-obsoletions": "import", "export-writes": "export"}.get(guard, "sync")


async def hold(world: World, guard: str) -> Ran:
    """Five people are known, three of them go, and the run that would let them go is held."""
    profile = prepare(world, guard)
    world.plan["systems"]["directory"].setdefault("guards", {})
    await world.apply()
    world.people(*EVERYBODY)
    first = await world.run()
    for stopped in [one for one in first.values() if one.state == "held"]:
        await world.store.release_hold(stopped.run, "tester")
        await world.settle()
    gone = (f"p{n},N{n},Audit,{n}" for n in range(3, 6)) if guard == "outbound-releases" else ()
    world.people(*EVERYBODY[:2], *gone)
    ran = (await world.run())[profile]
    assert ran.state == "held"
    assert f"{guard.replace('-', '_')} of " in ran.message
    assert ": 3 " in ran.message
    return ran


async def left(world: World, guard: str) -> int:
    """How many of the three are still as they were."""
    gone = {"p3", "p4", "p5"}
    match guard:
        case "import-obsoletions":
            people = await world.csos("person")
            return sum(cso.state is CsoState.NORMAL for anchor, cso in people.items() if anchor in gone)
        case "sync-disconnections":
            people = await world.csos("person")
            return sum(cso.mvo_id is not None for anchor, cso in people.items() if anchor in gone)
        case "metaverse-deletions":
            return len(gone & (await world.mvos()).keys())
        case "outbound-releases":
            accounts = await world.csos("account")
            return sum(accounts[anchor].mvo_id is not None for anchor in gone)
    return len(gone & world.target().keys())


GUARDS = ["import-obsoletions", "sync-disconnections", "metaverse-deletions", "outbound-releases", "export-writes"]


@pytest.mark.behaviour("GRD-1", "GRD-3", "GRD-4", "GRD-5")
@pytest.mark.parametrize("guard", GUARDS)
async def test_a_guard_holds_the_run_before_the_first_operation_and_a_release_carries_out_all(
    world: World, guard: str
) -> None:
    held = await hold(world, guard)
    assert await left(world, guard) == 3
    await world.store.release_hold(held.run, "tester", "a real event")
    await world.settle()
    assert await left(world, guard) == 0
    assert (await world.told(held.run)).state == "completed"


@pytest.mark.behaviour("GRD-6")
@pytest.mark.parametrize("guard", GUARDS)
async def test_a_rejection_drops_the_operations_and_the_next_run_decides_anew(world: World, guard: str) -> None:
    held = await hold(world, guard)
    await world.store.reject_hold(held.run, "tester", "a truncated file")
    await world.settle()
    assert await left(world, guard) == 3
    told = await world.told(held.run)
    assert (told.state, told.errors) == ("completed_with_warnings", [])
    again = await world.run("housekeeping" if guard == "metaverse-deletions" else "cycle")
    assert "held" in {one.state for one in again.values()}
    assert await left(world, guard) == 3


@pytest.mark.behaviour("GRD-6", "SYN-56")
async def test_deletions_that_were_rejected_are_decided_anew_by_the_next_sync_of_their_system(any_world: World) -> None:
    held = await hold(any_world, "metaverse-deletions")
    await any_world.store.reject_hold(held.run, "tester", "a truncated file")
    await any_world.settle()
    again = (await any_world.run())["sync"]
    assert (again.state, await left(any_world, "metaverse-deletions")) == ("held", 3)
    await any_world.store.release_hold(again.run, "tester", "they have left after all")
    await any_world.settle()
    told = await any_world.told(again.run)
    assert (told.state, len(told.changed("mvo_deleted"))) == ("completed", 3)


@pytest.mark.behaviour("GRD-6", "AUD-6")
async def test_who_is_out_of_scope_and_held_back_stays_joined_and_is_accounted_for(world: World) -> None:
    prepare(world, "sync-disconnections")
    world.plan["rules"]["hr-person"]["scope"] = {"attribute": "dept", "operator": "equals", "value": "Sales"}
    await world.apply()
    world.people(*EVERYBODY)
    await world.run()
    world.people(*EVERYBODY[:2], "p3,N3,Audit", "p4,N4,Audit", "p5,N5,Audit")
    held = (await world.run())["sync"]
    await world.store.reject_hold(held.run, "tester")
    await world.settle()
    told = await world.told(held.run)
    assert (told.state, told.totals["held_back"], told.totals["selected"]) == ("completed_with_warnings", 3, 3)
    assert all(cso.mvo_id is not None for cso in (await world.csos("person")).values())


@pytest.mark.behaviour("IMP-21", "GRD-2")
async def test_a_file_with_a_header_alone_holds_the_import_and_deletes_nobody(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people(*EVERYBODY)
    await world.run()
    world.people()
    ran = await world.run()
    assert [one.state for one in ran.values()] == ["held", "queued", "queued", "queued"]
    assert len(world.target()) == 5
    await world.store.reject_hold(ran["import"].run, "tester")
    await world.settle()
    assert (await world.told(ran["import"].run)).state == "completed_with_warnings"
    assert {mvo.state for mvo in (await world.mvos()).values()} == {MvoState.ACTIVE}
    assert len(world.target()) == 5


@pytest.mark.behaviour("GRD-7")
async def test_a_hold_nobody_decides_expires_as_a_rejection(world: World) -> None:
    await world.apply()
    world.people(*EVERYBODY)
    await world.run()
    world.people()
    ran = await world.run("import")
    await world.pass_time(hours=73)
    await world.settle()
    state = (await world.told(ran["import"].run)).state
    assert state in {"completed_with_warnings", "failed"}
    assert {cso.state for cso in (await world.csos("person")).values()} == {CsoState.NORMAL}
