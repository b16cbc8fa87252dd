"""What is sent, what the target refuses, and what an import says about it afterwards."""

from __future__ import annotations

import pytest
from tests.services.driver import Ran, World
from tests.services.organisation import flow

from anabranch.export_worker import identifiers, whole_file
from anabranch.model.enums import CsoState, ExportKind, ExportState, RowState


async def steps(world: World, *names: str) -> list[Ran]:
    return [await world.one(name) for name in names]


def edit(world: World, old: str, new: str) -> None:
    """Somebody changes the directory by hand."""
    path = world.place / "directory.ldif"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.behaviour("EXP-25")
async def test_a_lost_file_is_written_anew_from_what_it_should_hold(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,2,p1")
    world.teams("t1,Red,p1;p2")
    await world.run()
    file = world.place / "directory.ldif"
    before = file.read_bytes()
    file.unlink()
    (ran,) = await steps(world, "export")
    assert (ran.state, ran.totals.get("selected", 0), ran.errors) == ("completed", 0, [])
    assert file.read_bytes() == before
    stamp = file.stat().st_mtime_ns
    await steps(world, "export")
    assert file.stat().st_mtime_ns == stamp


@pytest.mark.behaviour("EXP-25")
async def test_no_file_is_made_where_nothing_was_ever_known(world: World) -> None:
    await world.apply()
    (ran,) = await steps(world, "export")
    assert ran.state == "completed"
    assert not (world.place / "directory.ldif").exists()


@pytest.mark.behaviour("EXP-28", "EXP-29")
async def test_what_was_sent_is_believed_only_when_an_import_has_seen_it(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1")
    await steps(world, "import", "sync", "export")
    account = (await world.csos("account"))["p1"]
    (export,) = await world.exports()
    assert (account.state, account.doc["cn"]) == (CsoState.PENDING_PROVISIONING, "Ann")
    assert (export.state, {row.state for row in export.rows}) == (ExportState.EXPORTED, {RowState.SENT})
    (ran,) = await steps(world, "confirm")
    assert ran.changed("confirmed") == ["p1", "p1"]
    assert (await world.csos("account"))["p1"].state is CsoState.NORMAL
    assert await world.exports() == []


@pytest.mark.behaviour("EXP-38", "EXP-39", "EXP-40", "EXP-41")
async def test_a_value_the_target_does_not_hold_is_sent_again(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,2")
    await world.run()
    world.people("p1,Anna,Audit,1", "p2,Bob,Sales,2")
    await steps(world, "import", "sync", "export")
    edit(world, "cn: Anna", "cn: Ann")
    (ran,) = await steps(world, "confirm")
    assert ran.kinds() == [("export_not_confirmed", "p1")]
    (left,) = await world.exports()
    assert (left.state, [(row.attr, row.value, row.state) for row in left.rows]) == (
        ExportState.UNCONFIRMED,
        [("cn", "Anna", RowState.NOT_CONFIRMED)],
    )
    await steps(world, "export", "confirm")
    assert world.target()["p1"]["cn"] == ["Anna"]
    assert await world.exports() == []


@pytest.mark.behaviour("EXP-40")
async def test_what_is_refuted_five_times_is_given_up(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1")
    await world.run()
    world.people("p1,Anna,Sales,1")
    await steps(world, "import", "sync")
    kinds = []
    for _ in range(5):
        await world.run("export")
        edit(world, "cn: Anna", "cn: Ann")
        (ran,) = await steps(world, "confirm")
        kinds += [kind for kind, _ in ran.kinds()]
    assert kinds == ["export_not_confirmed"] * 4 + ["confirmation_exhausted"]
    (left,) = await world.exports()
    assert (left.state, left.rows[0].state) == (ExportState.DEAD_LETTER, RowState.FAILED)
    assert (await world.one("export")).totals.get("selected", 0) == 0


@pytest.mark.behaviour("EXP-48")
async def test_a_created_account_that_a_full_import_does_not_find_is_created_again(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob")
    await steps(world, "import", "sync", "export")
    path = world.place / "directory.ldif"
    entries = path.read_text().split("\n\n")
    path.write_text("\n\n".join(one for one in entries if "uid: p1" not in one))
    (ran,) = await steps(world, "confirm")
    assert ran.kinds() == [("export_not_confirmed", "p1")]
    await steps(world, "export", "confirm")
    assert world.target()["p1"]["cn"] == ["Ann"]
    assert await world.exports() == []


@pytest.mark.behaviour("EXP-17", "EXP-19")
async def test_a_reference_to_somebody_without_an_account_waits_and_is_sent_when_there_is_one(
    world: World,
) -> None:
    world.plan["rules"]["account"]["scope"] = {"attribute": "dept", "operator": "equals", "value": "Sales"}
    await world.apply()
    world.people("p1,Ann,Audit", "p2,Bob,Sales,,p1")
    ran = await world.run()
    assert (ran["export"].state, ran["export"].errors) == ("completed", [])
    assert sorted(world.target()) == ["p2"]
    (left,) = await world.exports()
    assert (left.waiting, left.attempts, [row.attr for row in left.rows]) == (True, 0, ["manager"])
    assert (await world.one("export")).totals.get("selected", 0) == 0
    world.people("p1,Ann,Sales", "p2,Bob,Sales,,p1")
    await world.run()
    await world.run()
    assert world.target()["p2"]["manager"] == ["uid=p1,ou=people,dc=x"]
    assert await world.exports() == []


@pytest.mark.behaviour("EXP-29")
async def test_a_target_that_vouches_for_itself_keeps_references_until_they_are_cleared(any_world: World) -> None:
    world = any_world
    world.plan["systems"]["directory"]["options"]["self-confirming"] = True
    await world.apply()
    world.people("p1,Ann,Sales", "p2,Bob,Sales,,p1")
    await steps(world, "import", "sync", "export")
    world.people("p1,Ann,Sales", "p2,Bea,Sales,,p1")
    await steps(world, "import", "sync", "export")
    bea = world.target()["p2"]
    assert (bea["cn"], bea["manager"]) == (["Bea"], ["uid=p1,ou=people,dc=x"])
    for somebody in ("p1,Ann,Sales", "p1,Anna,Sales"):  # the file is written anew from what was recorded
        world.people(somebody, "p2,Bea,Sales,,")
        await steps(world, "import", "sync", "export")
        assert "manager" not in world.target()["p2"]
    assert await world.exports() == []


@pytest.mark.behaviour("EXP-22")
async def test_a_rename_takes_the_references_to_it_along(world: World) -> None:
    world.plan["rules"]["account"]["mappings"]["dn"] = flow(
        "dn", expression='"uid=" + escape_dn(mv["number"]) + ",ou=" + escape_dn(coalesce(mv["dept"], "x")) + ",dc=x"'
    )
    await world.apply()
    world.people("p1,Ann,Sales", "p2,Bob,Sales,,p1")
    await world.run()
    world.people("p1,Ann,Audit", "p2,Bob,Sales,,p1")
    ran = await world.run()
    assert world.target()["p1"]["dn"] == ["uid=p1,ou=Audit,dc=x"]
    assert world.target()["p2"]["manager"] == ["uid=p1,ou=Audit,dc=x"]
    assert (ran["confirm"].errors, await world.exports()) == ([], [])
    before = (world.place / "directory.ldif").read_bytes()
    await world.run()
    assert (world.place / "directory.ldif").read_bytes() == before


@pytest.mark.behaviour("EXP-23", "EXP-32", "EXP-34", "EXP-35")
async def test_a_refused_object_is_a_dead_letter_with_a_reason_and_the_others_are_written(world: World) -> None:
    account = world.plan["systems"]["directory"]["object-types"]["account"]
    account["source"]["base"] = "ou=people,dc=x"
    world.plan["rules"]["account"]["mappings"]["dn"] = flow(
        "dn", expression='"uid=" + mv["number"] + ",ou=" + coalesce(mv["dept"], "people") + ",dc=x"'
    )
    await world.apply()
    world.people("p1,Ann,elsewhere", "p2,Bob")
    ran = await world.run()
    (error,) = ran["export"].errors
    assert (error.kind, error.key, ran["export"].state) == ("outside_managed_scope", "p1", "completed_with_errors")
    assert "ou=people,dc=x" in error.message
    assert sorted(world.target()) == ["p2"]
    (dead,) = await world.exports()
    assert (dead.state, dead.failure, bool(dead.rows)) == (ExportState.DEAD_LETTER, "outside_managed_scope", True)
    assert (await world.run())["export"].totals.get("selected", 0) == 0
    world.people("p1,Ann", "p2,Bob")
    await world.run()
    assert sorted(world.target()) == ["p1", "p2"]
    assert await world.exports() == []


@pytest.mark.behaviour("EXP-25")
async def test_two_new_accounts_that_want_one_name_give_one_account_and_one_clear_refusal(world: World) -> None:
    world.plan["rules"]["account"]["mappings"]["uid"] = flow("uid", "name")
    await world.apply()
    world.people("p1,Ann", "p2,Ann")
    ran = await world.run()
    (error,) = ran["export"].errors
    assert (error.kind, error.key) == ("already_exists", "Ann")
    assert list(world.target()) == ["p1"]


@pytest.mark.behaviour("EXP-25", "IMP-17")
async def test_a_whole_file_is_not_touched_when_nothing_is_to_be_written(world: World) -> None:
    await world.apply()
    world.people("p1,Ann")
    await world.run()
    path = world.place / "directory.ldif"
    before = path.stat().st_mtime_ns
    await world.run()
    assert path.stat().st_mtime_ns == before


@pytest.mark.behaviour("EXP-36")
async def test_a_target_that_cannot_be_written_ends_the_run_and_costs_no_attempt(world: World) -> None:
    await world.apply()
    world.people("p1,Ann")
    (world.place / "directory.ldif").mkdir()
    await steps(world, "import", "sync")
    ran = await world.one("export")
    assert (ran.state, "directory.ldif" in ran.message) == ("failed", True)
    (export,) = await world.exports()
    assert (export.state, export.attempts, export.kind) == (ExportState.READY, 0, ExportKind.CREATE)
    (world.place / "directory.ldif").rmdir()
    await world.one("export")
    assert sorted(world.target()) == ["p1"]


@pytest.mark.behaviour("EXP-35")
async def test_of_two_objects_with_one_name_the_one_left_out_of_the_file_is_reported(world: World) -> None:
    world.plan["rules"]["account"]["mappings"]["dn"] = flow("dn", expression='"uid=same,ou=people,dc=x"')
    await world.apply()
    world.people("p1,Ann,Sales", "p2,Bob,Sales")
    _, _, ran = await steps(world, "import", "sync", "export")
    assert (ran.totals["exported"], ran.totals["errored"]) == (1, 1)
    assert len(world.target()) == 1
    assert [one.state for one in await world.exports()].count(ExportState.DEAD_LETTER) == 1


@pytest.mark.behaviour("EXP-17", "EXP-19")
async def test_identifiers_that_are_forgotten_between_two_pages_are_looked_up_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_file, "_PAGE", 5)
    monkeypatch.setattr(identifiers, "_REMEMBERED", 12)
    await world.apply()
    world.people(*(f"p{n:02},N{n},Sales,,p{(n + 7) % 40:02}" for n in range(40)))
    await world.run()
    found = {name: entry.get("manager") for name, entry in world.target().items()}
    assert found == {f"p{n:02}": [f"uid=p{(n + 7) % 40:02},ou=people,dc=x"] for n in range(40)}


@pytest.mark.behaviour("EXP-17", "EXP-40")
async def test_a_refuted_value_is_sent_again_though_its_manager_is_still_waited_for(any_world: World) -> None:
    world = any_world
    world.plan["rules"]["account"]["scope"] = {"attribute": "dept", "operator": "equals", "value": "Sales"}
    await world.apply()
    world.people("p1,Ann,Audit", "p2,Bob,Sales,,p1")
    await world.run()
    world.people("p1,Ann,Audit", "p2,Bea,Sales,,p1")
    await steps(world, "import", "sync", "export")
    edit(world, "cn: Bea", "cn: Bob")
    assert (await world.one("confirm")).kinds() == [("export_not_confirmed", "p2")]
    await world.run()
    assert world.target()["p2"]["cn"] == ["Bea"]


@pytest.mark.behaviour("MOD-24")
async def test_a_type_that_is_not_selected_any_more_stays_in_the_file_as_it_is(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people("p1,Ann,Sales", "p2,Bob,Sales,,p1")
    world.teams("t1,Team,p1;p2")
    await steps(world, "import", "sync", "export", "confirm")
    before = world.target()
    assert sorted(before) == ["p1", "p2", "t1"]
    world.plan["systems"]["directory"]["object-types"]["group"]["selected"] = False
    await world.apply()
    world.people("p1,Anna,Sales", "p2,Bob,Sales,,p1", "p3,Eve,Sales")
    world.teams("t1,Renamed,p1;p2;p3", "t2,New,p3")
    *_, export = await steps(world, "import", "sync", "export")
    after = world.target()
    assert (after["t1"], sorted(after), after["p1"]["cn"]) == (before["t1"], ["p1", "p2", "p3", "t1"], ["Anna"])
    assert export.errors == []
    del world.plan["systems"]["directory"]["object-types"]["group"]["selected"]
    await world.apply()
    await steps(world, "import", "full-sync", "export", "confirm")
    thawed = world.target()
    assert (thawed["t1"]["description"], sorted(thawed)) == (["Renamed"], ["p1", "p2", "p3", "t1", "t2"])
    assert len(thawed["t1"]["member"]) == 3


@pytest.mark.behaviour("MOD-25")
@pytest.mark.parametrize("gone", ["ou", "manager", "telephoneNumber"])
async def test_an_attribute_that_is_declared_no_more_takes_nobody_out_of_the_file(world: World, gone: str) -> None:
    """Neither those that have it there already, nor those that were about to get it."""
    await without(world, gone)


@pytest.mark.behaviour("MOD-25")
async def test_so_it_is_in_postgresql(postgres_world: World) -> None:
    await without(postgres_world, "manager")


async def without(world: World, gone: str) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,1", "p2,Bob,Sales,2,p1")
    await steps(world, "import", "sync", "export", "confirm")
    world.people("p1,Ann,Sales,1", "p2,Bob,Audit,22,p1", "p3,Eve,Sales,3,p2")
    await steps(world, "import", "sync")
    del world.plan["systems"]["directory"]["object-types"]["account"]["attributes"][gone]
    mappings = world.plan["rules"]["account"]["mappings"]
    world.plan["rules"]["account"]["mappings"] = {key: one for key, one in mappings.items() if one["to"] != gone}
    await world.apply()
    export = await world.one("export")
    assert (export.state, export.errors, export.totals.get("exported")) == ("completed", [], 2)
    assert sorted(world.target()) == ["p1", "p2", "p3"]
    assert not any(gone in entry for entry in world.target().values())
    *_, confirmed = await steps(world, "full-sync", "export", "confirm", "full-sync", "export", "confirm")
    assert (confirmed.state, await world.exports()) == ("completed", [])
    assert not any(gone in one.doc for one in (await world.csos("account")).values())
