"""Names in a file: who has one keeps it, whoever else would like it is told."""

from __future__ import annotations

import csv

import pytest
from tests.services.driver import Ran, World
from tests.services.organisation import Plan, flow

from anabranch.export_worker import names
from anabranch.model.enums import CsoState, ExportState
from anabranch.model.identity import CsoId


def by_name(world: World) -> None:
    """Accounts are named for their people in the directory, and known by their numbers."""
    named = '"cn=" + escape_dn(mv["name"]) + ",ou=people,dc=x"'
    world.plan["rules"]["account"]["mappings"]["dn"] = flow("dn", expression=named)
    world.plan["systems"]["directory"]["object-types"]["account"]["source"]["rdn"] = "cn"
    world.plan["systems"]["directory"]["options"]["self-confirming"] = True


async def changed(world: World, *people: str) -> Ran:
    """The export after these people have come."""
    world.people(*people)
    await world.one("import")
    await world.one("sync")
    return await world.one("export")


def numbers(world: World) -> dict[str, str]:
    """Whose number stands under which name."""
    return {name: entry["uid"][0] for name, entry in world.target().items()}


@pytest.mark.behaviour("EXP-25", "EXP-35")
async def test_a_new_object_does_not_take_the_name_of_one_that_is_there(any_world: World) -> None:
    world = any_world
    by_name(world)
    await world.apply()
    await changed(world, "p5,Ann", "p6,Bob")
    ran = await changed(world, "p1,Ann", "p5,Ann", "p6,Bob")  # in order of numbers the new one comes first
    assert (ran.state, ran.kinds()) == ("completed_with_errors", [("uniqueness_conflict", "p1")])
    assert numbers(world) == {"Ann": "p5", "Bob": "p6"}
    assert {anchor: cso.state for anchor, cso in (await world.csos("account")).items()} == {
        "p1": CsoState.PENDING_PROVISIONING, "p5": CsoState.NORMAL, "p6": CsoState.NORMAL
    }  # fmt: skip
    assert [one.state for one in await world.exports()] == [ExportState.DEAD_LETTER]


@pytest.mark.behaviour("EXP-22", "EXP-35")
async def test_who_is_renamed_to_a_taken_name_keeps_the_old_one(any_world: World) -> None:
    world = any_world
    by_name(world)
    await world.apply()
    await changed(world, "p5,Ann", "p6,Bob")
    ran = await changed(world, "p5,Ann", "p6,ANN")
    assert ran.kinds() == [("uniqueness_conflict", "p6")]
    assert numbers(world) == {"Ann": "p5", "Bob": "p6"}


@pytest.mark.behaviour("EXP-22")
async def test_names_that_become_free_in_a_run_may_be_taken_in_it(any_world: World) -> None:
    world = any_world
    by_name(world)
    world.plan["rules"]["account"]["scope"] = {"attribute": "dept", "operator": "equals", "value": "Sales"}
    await world.apply()
    await changed(world, "p1,Ann,Sales", "p2,Bob,Sales", "p3,Cid,Sales")
    ran = await changed(world, "p1,Bob,Sales", "p2,Ann,Sales", "p3,Cid,Audit", "p4,Cid,Sales")
    assert (ran.state, ran.errors) == ("completed", [])
    assert numbers(world) == {"Bob": "p1", "Ann": "p2", "Cid": "p4"}


@pytest.mark.behaviour("EXP-22", "EXP-35")
async def test_a_name_that_does_not_become_free_after_all_is_not_taken(any_world: World) -> None:
    world = any_world
    by_name(world)
    await world.apply()
    await changed(world, "p5,Ann", "p6,Bob", "p7,Cid")
    # Cid would be called Ann, and Ann Bob, whom somebody else is called; the newcomer counts on the name of Cid.
    ran = await changed(world, "p1,Cid", "p5,Bob", "p6,Bob", "p7,Ann")
    assert ran.kinds() == [("uniqueness_conflict", "p1"), ("uniqueness_conflict", "p5"), ("uniqueness_conflict", "p7")]
    assert numbers(world) == {"Ann": "p5", "Bob": "p6", "Cid": "p7"}


@pytest.mark.behaviour("EXP-35", "AUD-5")
async def test_who_is_missing_from_the_file_though_nothing_was_to_change_is_told(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = any_world
    by_name(world)
    await world.apply()
    await changed(world, "p5,Ann", "p6,Bob")

    async def nobody(*_: object) -> dict[CsoId, str]:
        return {}

    monkeypatch.setattr(names.Names, "taken", nobody)
    ran = await changed(world, "p1,Ann", "p5,Ann", "p6,Bob")
    assert numbers(world) == {"Ann": "p1", "Bob": "p6"}
    assert [(one.kind, one.key) for one in ran.errors] == [("uniqueness_conflict", "p5")]
    assert "it is not in the file any more" in ran.errors[0].message


@pytest.mark.behaviour("EXP-22", "EXP-35")
async def test_a_refusal_reaches_an_object_whose_anchor_would_have_changed(any_world: World) -> None:
    world = any_world
    by_name(world)
    world.plan["rules"]["account"]["mappings"]["uid"] = flow("uid", "phone")
    world.plan["rules"]["account"]["mappings"].pop("phone")
    await world.apply()
    await changed(world, "p1,Ann,,1", "p2,Zed,,2")
    ran = await changed(world, "p1,Ann,,1", "p2,Ann,,3")
    assert ran.kinds() == [("uniqueness_conflict", "2")]
    assert numbers(world) == {"Ann": "1", "Zed": "2"}
    assert sorted(await world.csos("account")) == ["1", "2"]


@pytest.mark.behaviour("EXP-17", "EXP-19", "EXP-35")
async def test_nothing_refers_to_an_object_under_the_name_that_was_refused_to_it(any_world: World) -> None:
    world = any_world
    by_name(world)
    await world.apply()
    await changed(world, "p5,Ann", "p6,Bob")
    # Another Ann comes: the head of Eve, who stands before her in the file, of Bob, who is there, and member of a team.
    world.teams("t1,Red,p1;p6")
    newcomers = ("p0,Eve,,,p1", "p1,Ann", "p5,Ann", "p6,Bob,,,p1")
    ran = await changed(world, *newcomers)
    assert (ran.state, ran.kinds()) == ("completed_with_errors", [("uniqueness_conflict", "p1")])
    target = world.target()
    assert target["Ann"]["uid"] == ["p5"]
    assert [target[one].get("manager") for one in ("Eve", "Bob")] == [None, None], "not the Ann who is there"
    assert target["t1"]["member"] == ["cn=Bob,ou=people,dc=x"]
    assert await world.refers("manager") == {"p0": ["p1"], "p6": ["p1"]}
    # Once she is there under a name of her own, the next export names her everywhere.
    ran = await changed(world, "p0,Eve,,,p1", "p1,Anna", "p5,Ann", "p6,Bob,,,p1")
    assert (ran.state, ran.errors) == ("completed", [])
    ran = await world.one("export")
    assert (ran.state, ran.errors) == ("completed", [])
    target = world.target()
    assert [target[one]["manager"] for one in ("Eve", "Bob")] == [["cn=Anna,ou=people,dc=x"]] * 2
    assert target["t1"]["member"] == ["cn=Anna,ou=people,dc=x", "cn=Bob,ou=people,dc=x"]


@pytest.mark.behaviour("EXP-17", "EXP-19", "EXP-25")
async def test_nothing_refers_to_the_second_of_two_new_objects_that_want_one_name(world: World) -> None:
    by_name(world)
    await world.apply()
    world.teams("t1,Red,p2")
    ran = await changed(world, "p0,Eve,,,p2", "p1,Ann", "p2,Ann")
    assert (ran.state, ran.kinds()) == ("completed_with_errors", [("uniqueness_conflict", "p2")])
    target = world.target()
    assert target["Ann"]["uid"] == ["p1"]
    assert "manager" not in target["Eve"]
    assert "member" not in target.get("t1", {})


@pytest.mark.behaviour("EXP-17", "EXP-25", "EXP-35")
async def test_an_account_that_is_not_confirmed_yet_keeps_its_name_and_its_memberships(any_world: World) -> None:
    world = any_world
    by_name(world)
    del world.plan["systems"]["directory"]["options"]["self-confirming"]
    await world.apply()
    await changed(world, "p5,Ann", "p6,Bob")
    world.teams("t1,Red,p5")
    ran = await changed(world, "p1,Ann", "p5,Ann", "p6,Bob")
    assert ran.kinds() == [("uniqueness_conflict", "p1")]
    target = world.target()
    assert (target["Ann"]["uid"], target["t1"]["member"]) == (["p5"], ["cn=Ann,ou=people,dc=x"])


def without_references(world: World) -> None:
    by_name(world)
    del world.plan["rules"]["account"]["mappings"]["manager"], world.plan["rules"]["group"]
    types = world.plan["systems"]["directory"]["object-types"]
    del types["group"], types["account"]["attributes"]["manager"]


@pytest.mark.behaviour("EXP-22", "EXP-35")
@pytest.mark.parametrize("newcomer", [["p1,Zed"], []])
async def test_who_loses_a_new_name_to_another_one_stays_under_the_old_one_also_where_nothing_refers(
    world: World, newcomer: list[str]
) -> None:
    without_references(world)
    await world.apply()
    await changed(world, "p5,Ann", "p6,Bob", "p7,Cid")
    ran = await changed(world, *newcomer, "p5,Ann", "p6,Zed" if not newcomer else "p6,Bob", "p7,Zed")
    assert ran.kinds() == [("uniqueness_conflict", "p7")]
    assert numbers(world) == {"Ann": "p5", "Zed": "p1", "Bob": "p6", "Cid": "p7"} if newcomer else {
        "Ann": "p5", "Zed": "p6", "Cid": "p7"
    }  # fmt: skip
    assert (await world.one("confirm")).changed("obsoleted") == []


def by_phone(world: World) -> None:
    """Accounts are named for their people and known by their telephone numbers."""
    by_name(world)
    account = world.plan["rules"]["account"]["mappings"]
    account["uid"] = flow("uid", "phone")
    account.pop("phone")


@pytest.mark.behaviour("EXP-30", "EXP-35")
async def test_a_refusal_does_not_reach_a_delete_of_the_same_anchor(world: World) -> None:
    by_phone(world)
    world.plan["rules"]["account"]["scope"] = {"attribute": "dept", "operator": "equals", "value": "Sales"}
    await world.apply()
    await changed(world, "p1,Ann,Sales,1", "p2,Bob,Sales,2")
    ran = await changed(world, "p1,Ann,Sales,1", "p2,Bob,Audit,2", "p3,Zed,Sales,11", "p4,Zed,Sales,2")
    assert ran.kinds() == [("uniqueness_conflict", "2")]
    assert [one.kind for one in await world.exports()] == ["create"]


@pytest.mark.behaviour("EXP-22", "EXP-35")
async def test_who_would_move_to_the_anchor_of_a_new_object_stays_where_it_was(world: World) -> None:
    by_phone(world)
    await world.apply()
    await changed(world, "p1,Ann,,1", "p2,Bob,,3")
    ran = await changed(world, "p1,Ann,,2", "p2,Bob,,2", "p4,Zed,,2")
    assert (ran.state, ran.kinds()) == ("completed_with_errors", [("already_exists", "1"), ("already_exists", "3")])
    assert numbers(world) == {"Ann": "1", "Bob": "3", "Zed": "2"}
    assert sorted(await world.csos("account")) == ["1", "2", "3"]


# --- names that are anchors


def in_csv(plan: Plan, place: str, **anchor: bool) -> None:
    """The directory is two CSV files, and accounts are known by the names of their people."""
    directory = plan["systems"]["directory"]
    directory |= {"connector": "csv", "options": {"directory": place}}
    attributes = {"uid": {"type": "text", **anchor}, "cn": {"type": "text"}}
    directory["object-types"] = {
        "account": {"source": {"file": "accounts.csv"}, "anchor": "uid", "attributes": attributes}
    }
    plan["rules"].pop("group")
    plan["rules"]["account"]["mappings"] = {"uid": flow("uid", "name"), "cn": flow("cn", "number")}


def rows(world: World) -> dict[str, str]:
    """What the file says: name to number."""
    with (world.place / "out" / "accounts.csv").open(newline="") as file:
        return {row["uid"]: row["cn"] for row in csv.DictReader(file)}


@pytest.mark.behaviour("EXP-35", "MOD-15")
async def test_two_new_anchors_that_differ_in_case_alone_are_one_where_case_does_not_count(any_world: World) -> None:
    world = any_world
    in_csv(world.plan, str(world.place / "out"), **{"case-sensitive": False})
    await world.apply()
    ran = await changed(world, "p1,Ann", "p2,ann")
    assert (ran.state, ran.kinds()) == ("completed_with_errors", [("uniqueness_conflict", "ann")])
    assert rows(world) == {"Ann": "p1"}
    assert world.put_off == []


@pytest.mark.behaviour("EXP-22", "EXP-35")
async def test_an_anchor_that_changes_to_a_taken_one_stays(any_world: World) -> None:
    world = any_world
    in_csv(world.plan, str(world.place / "out"))
    await world.apply()
    await changed(world, "p1,Ann", "p2,Bob")
    ran = await changed(world, "p1,Bob", "p2,Bob")
    assert (ran.state, ran.kinds()) == ("completed_with_errors", [("uniqueness_conflict", "Ann")])
    assert rows(world) == {"Ann": "p1", "Bob": "p2"}
    assert world.put_off == []
