"""Syncs of several systems at once: none decides about what another one has half done."""

from __future__ import annotations

import pytest
from tests.services.driver import World
from tests.services.organisation import flow, inbound, match, outbound, text, with_crm

from anabranch.runtime.work import Task
from anabranch.sync_worker import handler

FREE = {"enabled": False}


def with_devices(world: World) -> None:
    """A second source, of things that have nothing to do with people."""
    plan = world.plan
    plan["metaverse"]["device"] = {"attributes": {"serial": text()}}
    kinds = {"device": {"source": {"file": "d.csv"}, "anchor": "serial", "attributes": {"serial": text()}}}
    plan["systems"]["inv"] = {
        "connector": "csv",
        "options": {"directory": str(world.place / "inv")},
        "object-types": kinds,
    }
    plan["rules"]["inv-device"] = inbound(
        "inv", "device", "device", project=True, match=[match("serial", "serial")], mappings={"serial": flow("serial")}
    )
    plan["run-profiles"]["inv-import"] = {"kind": "full-import", "system": "inv"}
    plan["run-profiles"]["inv-sync"] = {"kind": "delta-sync", "system": "inv"}
    world.write("inv/d.csv", "serial", "d1")


def without_guards(world: World) -> None:
    world.plan["systems"]["hr"]["guards"] = {"import-obsoletions": FREE, "sync-disconnections": FREE}
    world.plan["systems"]["directory"]["guards"] = {"outbound-releases": FREE, "export-writes": FREE}
    world.plan["metaverse"]["person"]["guards"] = {"metaverse-deletions": FREE}


@pytest.mark.behaviour("FLT-15", "SYN-56")
@pytest.mark.parametrize("action", ["disconnect", "delete"])
async def test_a_person_between_two_keys_is_not_judged_by_the_sync_of_another_type(
    any_world: World, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    world = any_world
    with_devices(world)
    without_guards(world)
    world.plan["rules"]["hr-person"]["match"] = [match("phone", "phone")]
    world.plan["rules"]["account"] |= {"scope": {"expression": 'joined("hr")'}, "deprovision-action": action}
    await world.apply()
    world.people("p1,Ann,Sales,555", "p2,Bob,Sales,556")
    await world.run()
    await world.one("inv-import")
    world.people("p9,Ann,Sales,555", "p2,Bob,Sales,556")  # Ann has a new key; her phone tells who she is
    await world.one("import")
    plan = handler.HANDLERS.plans["match.propose"]
    beside = [("inv-sync", "export")]

    async def met(task: Task) -> None:
        for profile in beside.pop() if beside else ():
            assert (await world.one(profile)).state == "completed"
        await plan(task)

    monkeypatch.setitem(handler.HANDLERS.plans, "match.propose", met)
    ran = await world.one("sync")
    assert (ran.state, ran.totals["removed"]) == ("completed", 1)
    assert not beside
    assert sorted(world.target()) == ["p1", "p2"], "nobody has lost her account in between"
    accounts = await world.csos("account")
    assert {anchor: (cso.released, cso.mvo_id is None) for anchor, cso in accounts.items()} == {
        "p1": (False, False),
        "p2": (False, False),
    }
    await world.one("export")
    assert sorted(world.target()) == ["p2", "p9"]


@pytest.mark.behaviour("AUD-6", "GRD-6")
async def test_who_is_deleted_by_another_sync_while_this_one_is_held_is_counted_once(any_world: World) -> None:
    world = any_world
    with_crm(world.plan, world.place)
    world.plan["metaverse"]["person"]["deletion"]["systems"] = ["crm"]
    without_guards(world)
    world.plan["systems"]["hr"]["guards"] = {"import-obsoletions": FREE, "sync-disconnections": {"max-count": 1}}
    world.plan["systems"]["crm"]["guards"] = {"import-obsoletions": FREE, "sync-disconnections": FREE}
    await world.apply()
    people, contacts = [f"p{n},N{n},Sales,{n}" for n in range(7)], [f"c{n},p{n},{n}" for n in range(7)]
    world.people(*people)
    world.contacts(*contacts)
    await world.run()
    world.people(*people[2:])
    await world.one("import")
    held = await world.one("sync")
    assert held.state == "held"
    world.contacts(*contacts[2:])
    await world.one("crm-import")
    assert (await world.one("crm-sync")).totals["mvos_deleted"] == 2
    await world.store.release_hold(held.run, "tester")
    await world.settle()
    ran = await world.told(held.run)
    assert (ran.state, ran.totals["selected"], ran.totals["removed"]) == ("completed", 2, 2)


@pytest.mark.behaviour("SYN-79")
async def test_two_kinds_of_object_of_one_target_do_not_both_become_a_person_s(any_world: World) -> None:
    world = any_world
    number = '"cn=" + escape_dn(mv["number"]) + ",ou=teams,dc=x"'
    mappings = {"cn": flow("cn", "number"), "dn": flow("dn", expression=number)}
    world.plan["rules"]["person-group"] = outbound("directory", "group", "person", order=20, mappings=mappings)
    await world.apply()
    world.people("p1,Ann,Sales,1")
    ran = await world.run()
    assert ran["sync"].kinds() == [("target_slot_taken", "hr/person/p1")]
    assert [mvo.origin_key for mvo in await world.view.mvos()] == ["hr/person/p1"]
    assert (sorted(world.target()), world.put_off) == (["p1"], [])
