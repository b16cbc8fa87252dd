"""What cannot be read: the object, the value or the whole file, and what stays as it was."""

from __future__ import annotations

import pytest
from tests.services.driver import World

from anabranch.model.enums import CsoState
from anabranch.model.errors import Retryable


async def stored(world: World) -> dict[str, dict[str, object]]:
    return {anchor: cso.doc for anchor, cso in (await world.csos("person")).items()}


@pytest.mark.behaviour("IMP-9", "IMP-13", "TRAP-7")
@pytest.mark.parametrize("size", [1, 100])
async def test_two_objects_of_one_identity_are_both_rejected_whatever_pages_they_came_on(
    world: World, size: int
) -> None:
    world.plan["run-profiles"]["import"]["page-size"] = size
    await world.apply()
    world.people("p1,Ann", "p2,Bob", "p3,Cid")
    await world.run("import")
    world.people("p1,Anna", "p2,Bobby", "p3,Cid", "p1,Hannah")
    ran = await world.one("import")
    assert ran.kinds() == [("duplicate_anchor", "p1")] * 2
    assert (ran.state, ran.changed("updated"), ran.changed("obsoleted")) == ("completed_with_errors", ["p2"], [])
    assert (await stored(world))["p1"] == {"id": "p1", "name": "Ann"}
    assert (await world.csos("person"))["p1"].state is CsoState.NORMAL


@pytest.mark.behaviour("IMP-9")
async def test_duplicates_of_which_one_is_unchanged_are_rejected_too(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people("p1,Ann", "p2,Bob")
    await world.run("import")
    world.people("p1,Ann", "p2,Bob", "p1,Hannah")
    ran = await world.one("import")
    assert {kind for kind, _ in ran.kinds()} == {"duplicate_anchor"}
    assert await stored(world) == {"p1": {"id": "p1", "name": "Ann"}, "p2": {"id": "p2", "name": "Bob"}}
    assert (ran.totals["read"], ran.totals["rejected"], ran.totals["unchanged"]) == (3, 2, 1)


@pytest.mark.behaviour("IMP-11", "TRAP-4")
async def test_an_object_without_an_anchor_is_rejected_alone_with_its_line(world: World) -> None:
    await world.apply()
    world.people("p1,Ann", ",Nobody", "p2,Bob")
    ran = await world.one("import")
    (error,) = ran.errors
    assert (error.kind, error.key) == ("missing_anchor", "people.csv:3")
    assert sorted(await stored(world)) == ["p1", "p2"]


@pytest.mark.behaviour("IMP-11", "IMP-13", "TRAP-4")
async def test_a_broken_line_is_rejected_alone_and_its_object_is_not_obsoleted(world: World) -> None:
    await world.apply()
    world.people("p1,Ann", "p2,Bob", "p3,Cid")
    await world.run("import")
    world.write("hr/people.csv", "id,name,dept,phone,manager", "p1,Ann,,,", "p2,Bob,too,many,,,cells", "p3,Cid,,,")
    ran = await world.one("import")
    assert [(one.kind, one.key) for one in ran.errors] == [("connector_object_error", "people.csv:3")]
    assert ran.changed("obsoleted") == []
    assert (await stored(world))["p2"] == {"id": "p2", "name": "Bob"}


@pytest.mark.behaviour("IMP-12", "TRAP-19")
async def test_a_value_that_cannot_be_read_keeps_the_stored_one_and_the_others_are_applied(world: World) -> None:
    person = world.plan["systems"]["hr"]["object-types"]["person"]["attributes"]
    person["phone"] = {"type": "integer"}
    del world.plan["rules"]["hr-person"]["mappings"]["phone"]
    await world.apply()
    world.people("p1,Ann,Sales,7")
    await world.run("import")
    world.people("p1,Anna,Sales,seven")
    ran = await world.one("import")
    assert ran.kinds() == [("attribute_value_error", "p1")]
    assert (await stored(world))["p1"] == {"id": "p1", "name": "Anna", "dept": "Sales", "phone": 7}
    assert (await world.csos("person"))["p1"].fingerprint is None
    ran = await world.one("import")
    assert (ran.kinds(), ran.changed("updated")) == ([("attribute_value_error", "p1")], [])
    world.people("p1,Anna,Sales,99999999999999999999")
    assert (await world.one("import")).kinds() == [("value_out_of_range", "p1")]
    world.people("p1,Anna,Sales,8")
    await world.run("import")
    assert (await stored(world))["p1"]["phone"] == 8


@pytest.mark.behaviour("IMP-15", "IMP-16")
async def test_an_empty_cell_is_no_value_and_takes_the_stored_one_away(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales")
    await world.run("import")
    world.people("p1,Ann,")
    await world.run("import")
    assert (await stored(world))["p1"] == {"id": "p1", "name": "Ann"}


@pytest.mark.behaviour("IMP-4")
async def test_a_source_that_cannot_be_read_fails_the_run_and_obsoletes_nobody(world: World) -> None:
    await world.apply()
    world.people("p1,Ann", "p2,Bob")
    await world.run("import")
    (world.place / "hr/people.csv").unlink()
    ran = await world.one("import")
    assert ran.state == "failed"
    assert "people.csv" in ran.message
    assert {cso.state for cso in (await world.csos("person")).values()} == {CsoState.NORMAL}


@pytest.mark.behaviour("IMP-3")
async def test_a_file_replaced_between_two_pages_is_read_again_from_its_beginning(any_world: World) -> None:
    world = any_world
    world.plan["run-profiles"]["import"]["page-size"] = 1  # one page is read while the one before is committed
    await world.apply()
    world.people("p1,Ann", "p2,Bob", "p3,Cid")
    world.changing(1, lambda: world.people("p3,Cid", "p4,Dan", "p5,Eve", "p6,Fay", "p7,Gil"))
    ran = await world.one("import")
    assert (ran.state, ran.totals["read"], ran.totals["added"]) == ("completed", 5, 5)
    assert sorted(await stored(world)) == ["p3", "p4", "p5", "p6", "p7"]


async def _thirty_pages(world: World) -> list[str]:
    """The rows of thirty people who are there already, and of whom a page holds one."""
    world.plan["run-profiles"]["import"]["page-size"] = 1
    await world.apply()
    everybody = [f"p{n},Ann" for n in range(10, 40)]
    world.people(*everybody)
    await world.run("import")
    return everybody


@pytest.mark.behaviour("IMP-2", "IMP-3")
async def test_a_file_replaced_after_pages_without_a_change_is_counted_once(any_world: World) -> None:
    world = any_world
    everybody = await _thirty_pages(world)
    world.changing(1, lambda: world.people(*everybody[5:], "p40,Eve"))
    ran = await world.one("import")
    assert (ran.totals["read"], ran.totals["unchanged"], ran.totals["added"]) == (26, 25, 1)
    assert ran.changed("obsoleted") == [f"p{n}" for n in range(10, 15)]


@pytest.mark.behaviour("IMP-2", "IMP-3")
async def test_a_read_broken_off_among_pages_without_a_change_is_taken_up_again(any_world: World) -> None:
    world = any_world
    everybody = await _thirty_pages(world)
    world.people(*everybody[1:], "p40,Eve")

    def break_off() -> None:
        raise Retryable("the worker stumbles")

    world.changing(1, break_off)
    begun = await world.one("import")
    assert world.put_off == ["the worker stumbles"]
    assert begun.state == "running"
    await world.pass_time(minutes=10)
    await world.settle()
    ran = await world.told(begun.run)
    assert (ran.totals["read"], ran.totals["unchanged"], ran.totals["added"]) == (30, 29, 1)
    assert (ran.totals["known_before"], ran.totals["seen_known"]) == (30, 29)


@pytest.mark.behaviour("IMP-3", "IMP-4")
async def test_a_file_that_never_stops_changing_is_left_for_later(world: World) -> None:
    world.plan["run-profiles"]["import"]["page-size"] = 1
    await world.apply()
    world.people("p1,Ann", "p2,Bob")
    names = iter(range(1_000))
    world.changing(10, lambda: world.people("p1,Ann", f"p2,{'x' * next(names)}"))
    await world.run("import")
    (why,) = world.put_off
    assert "people.csv" in why
    assert await stored(world) == {}
    await world.pass_time(minutes=10)
    world.on_progress = None
    await world.settle()
    assert sorted(await stored(world)) == ["p1", "p2"]


@pytest.mark.behaviour("IMP-21")
async def test_a_source_of_changes_alone_is_refused_before_anybody_could_seem_absent(world: World) -> None:
    world.plan["systems"]["directory"]["options"] = {"path": str(world.place / "feed.ldif"), "mode": "changes"}
    await world.apply()
    world.write("feed.ldif", "version: 1", "", "dn: uid=a,dc=x", "changetype: delete", "")
    ran = await world.one("confirm")
    assert (ran.state, "directory gives changes only" in ran.message) == ("failed", True)


def _accounts(world: World, **names: str) -> None:
    lines = ["version: 1", ""]
    for uid, name in names.items():
        lines += [f"dn: {name},dc=x", "objectClass: inetOrgPerson", f"uid: {uid}", ""]
    world.write("directory.ldif", *lines)


@pytest.mark.behaviour("IMP-34")
async def test_two_objects_that_exchange_their_names_both_end_with_the_new_ones(world: World) -> None:
    await world.apply()
    _accounts(world, a="uid=a", b="uid=b")
    await world.run("confirm")
    _accounts(world, a="uid=b", b="uid=a")
    ran = await world.one("confirm")
    names = {anchor: cso.secondary for anchor, cso in (await world.csos("account")).items()}
    assert (ran.errors, names) == ([], {"a": "uid=b,dc=x", "b": "uid=a,dc=x"})


@pytest.mark.behaviour("IMP-34")
async def test_objects_that_would_end_with_one_name_are_all_rejected_and_keep_theirs(world: World) -> None:
    await world.apply()
    _accounts(world, a="uid=a", b="uid=b")
    await world.run("confirm")
    _accounts(world, a="uid=z", b="uid=z")
    ran = await world.one("confirm")
    assert ran.kinds() == [("secondary_id_conflict", "a"), ("secondary_id_conflict", "b")]
    names = {anchor: cso.secondary for anchor, cso in (await world.csos("account")).items()}
    assert names == {"a": "uid=a,dc=x", "b": "uid=b,dc=x"}
