"""What outbound rules do when they, or the people they concern, change."""

from __future__ import annotations

from typing import Any

import pytest
from tests.services.driver import World
from tests.services.organisation import Plan, flow, outbound, text, with_phonebook

from anabranch.model.enums import CsoState, ExportKind, JoinType
from anabranch.sync_worker import matching

SALES = {"attribute": "dept", "operator": "equals", "value": "Sales"}


def phonebook(world: World, **rule: Any) -> Plan:
    """A second target: a CSV file of telephone numbers."""
    world.plan["systems"]["phonebook"] = {
        "connector": "csv",
        "options": {"directory": str(world.place / "out")},
        "object-types": {
            "entry": {
                "source": {"file": "phonebook.csv"},
                "anchor": "id",
                "attributes": {"id": text(), "name": text(), "phone": text()},
            }
        },
    }
    made = outbound(
        "phonebook",
        "entry",
        order=30,
        mappings={"id": flow("id", "number"), "name": flow("name"), "phone": flow("phone")},
        **rule,
    )
    world.plan["rules"]["phonebook"] = made
    world.plan["run-profiles"]["print"] = {"kind": "export", "system": "phonebook"}
    return made


def printed(world: World) -> list[str]:
    return (world.place / "out" / "phonebook.csv").read_text().splitlines()[1:]


@pytest.mark.behaviour("SYN-70", "TRAP-12")
async def test_a_new_outbound_rule_reaches_people_who_did_not_change(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,2")
    await world.run()
    phonebook(world)
    await world.apply()
    await world.run("sync")
    ran = await world.one("print")
    assert (ran.state, printed(world)) == ("completed", ["p1,Ann,1", "p2,Bob,2"])


@pytest.mark.behaviour("SYN-2", "TRAP-11", "MOD-29")
async def test_a_changed_mapping_reaches_people_who_did_not_change(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,2")
    await world.run()
    world.plan["rules"]["hr-person"]["mappings"]["name"] = flow("name", expression='upper(cs["name"])')
    await world.apply()
    ran = await world.run()
    assert ran["import"].totals["unchanged"] == 2
    assert {one.doc["name"] for one in (await world.mvos()).values()} == {"ANN", "BOB"}
    assert world.target()["p1"]["cn"] == ["ANN"]


@pytest.mark.behaviour("MOD-29")
async def test_a_cosmetic_change_makes_nobody_due(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1")
    await world.run()
    world.plan["systems"]["hr"]["label"] = "Human resources"
    await world.apply()
    before = await world.view.change_seq()
    ran = await world.run()
    assert (await world.view.change_seq(), ran["sync"].totals.get("selected", 0)) == (before, 0)


@pytest.mark.behaviour("EXP-8", "SYN-80", "TRAP-24")
async def test_an_unsent_create_vanishes_with_its_person(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,2")
    await world.run("import")
    await world.run("sync")
    assert len(await world.exports()) == 2
    world.people("p1,Ann,Sales,1")
    await world.run("import")
    await world.run("sync")
    (export,) = await world.exports()
    assert [cso.anchor for cso in (await world.csos("account")).values()] == ["p1"]
    assert export.kind is ExportKind.CREATE
    await world.run("export")
    assert sorted(world.target()) == ["p1"]


@pytest.mark.behaviour("SYN-80", "SYN-82")
@pytest.mark.parametrize(
    ("action", "left", "join"),
    [
        ("delete", ["p1"], None),
        ("disconnect", ["p1", "p2"], JoinType.NONE),
        ("keep", ["p1", "p2"], JoinType.PROVISIONED),
    ],
)
async def test_who_leaves_the_scope_is_deprovisioned_as_the_rule_says(
    world: World, action: str, left: list[str], join: JoinType | None
) -> None:
    world.plan["rules"]["account"] |= {"scope": SALES, "deprovision-action": action}
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,2", "p3,Cid,Audit")
    await world.run()
    assert sorted(world.target()) == ["p1", "p2"]
    world.people("p1,Ann,Sales,1", "p2,Bobby,Audit,2", "p3,Cid,Audit")
    ran = await world.run()
    assert [one.state for one in ran.values()] == ["completed"] * 4
    assert sorted(world.target()) == left
    accounts = await world.csos("account")
    assert (accounts["p2"].join_type if "p2" in accounts else None) is join
    if "p2" in left:
        assert world.target()["p2"]["cn"] == ["Bob"]


@pytest.mark.behaviour("SYN-81")
async def test_returning_to_scope_cancels_a_delete_that_was_not_sent(world: World) -> None:
    world.plan["rules"]["account"]["scope"] = SALES
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,2")
    await world.run()
    world.people("p1,Ann,Sales,1", "p2,Bob,Audit,2")
    await world.run("import")
    await world.run("sync")
    assert [one.kind for one in await world.exports()] == [ExportKind.DELETE]
    world.people("p1,Ann,Sales,1", "p2,Bobby,Sales,2")
    await world.run()
    assert world.target()["p2"]["cn"] == ["Bobby"]
    assert (await world.csos("account"))["p2"].state is CsoState.NORMAL
    assert await world.exports() == []


@pytest.mark.behaviour("SYN-83")
async def test_of_two_rules_for_one_object_the_first_gives_the_value_and_the_stronger_deprovisions(
    world: World,
) -> None:
    world.plan["rules"]["account"]["deprovision-action"] = "disconnect"
    world.plan["rules"]["account"]["scope"] = SALES
    world.plan["rules"]["second"] = outbound(
        "directory", "account", order=15, scope=SALES, mappings={"cn": flow("cn", "number")}
    )
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,2")
    await world.run()
    assert world.target()["p2"]["cn"] == ["Bob"]
    world.people("p1,Ann,Sales,1", "p2,Bob,Audit,2")
    await world.run()
    assert sorted(world.target()) == ["p1"]


@pytest.mark.behaviour("SYN-75")
async def test_an_initial_value_is_written_once_and_never_again(world: World) -> None:
    world.plan["rules"]["account"]["mappings"]["ou"]["initial-only"] = True
    await world.apply()
    world.people("p1,Ann,Sales,1")
    await world.run()
    world.people("p1,Ann,Audit,1")
    await world.run()
    assert world.target()["p1"]["ou"] == ["Sales"]
    assert await world.exports() == []


@pytest.mark.behaviour("SYN-77")
async def test_a_create_that_waits_is_brought_up_to_date(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1")
    await world.run("import")
    await world.run("sync")
    world.people("p1,Anna,Sales")
    await world.run("import")
    await world.run("sync")
    (export,) = await world.exports()
    assert export.kind is ExportKind.CREATE
    assert "telephoneNumber" not in {row.attr for row in export.rows}
    await world.run("export")
    assert world.target()["p1"]["cn"] == ["Anna"]


@pytest.mark.behaviour("SYN-86", "SYN-72")
async def test_what_somebody_changed_in_the_target_is_set_right(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,,p1")
    world.teams("t1,Red,p1")
    await world.run()
    path = world.place / "directory.ldif"
    original = path.read_text()
    forged = original.replace("cn: Bob", "cn: Mallory").replace("member: uid=p1,", "member: uid=p2,")
    assert forged != original
    path.write_text(forged)
    world.plan["run-profiles"]["directory-sync"] = {"kind": "delta-sync", "system": "directory"}
    await world.apply()
    await world.run("confirm")
    await world.run("directory-sync")
    ran = await world.one("export")
    assert ran.totals["exported_updates"] == 2
    assert path.read_text() == original


@pytest.mark.behaviour("SYN-70")
@pytest.mark.parametrize("at_once", [True, False])
async def test_two_metaverse_types_may_serve_one_type_of_a_target(
    world: World, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    with_phonebook(world.plan, world.place)
    if not at_once:
        monkeypatch.setattr(matching, "_served_at_once", lambda *_: ())
    del world.plan["rules"]["hr-team"]["mappings"]["members"]
    mappings = {"a": flow("name"), "b": flow("id", "number"), "c": flow("phone", expression='"0"')}
    world.plan["rules"]["team-entry"] = outbound("phonebook", "entry", "team", order=20, mappings=mappings)
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,2")
    world.teams("t1,Red,", "t2,Blue,")
    for profile in ("import", "sync", "export"):
        assert not (await world.one(profile)).errors
    lines = (world.place / "phonebook" / "entries.csv").read_text().splitlines()
    assert lines == ["id,name,phone", "p1,Ann,1", "p2,Bob,2", "t1,Red,0", "t2,Blue,0"]
