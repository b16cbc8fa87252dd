"""What cannot be read: the object, the value or the whole file, and what stays as it was."""

from __future__ import annotations

import pytest
from tests.services.driver import World

from anabranch.model.enums import CsoState


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
async def test_an_object_without_an_anchor_is_rejected_alone_with_its_line(any_world: World) -> None:
    world = any_world
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
async def test_a_value_that_cannot_be_read_keeps_the_stored_one_and_the_others_are_applied(any_world: World) -> None:
    world = any_world
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
async def test_a_source_that_cannot_be_read_fails_the_run_and_obsoletes_nobody(any_world: World) -> None:
    world = any_world
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
    world.plan["run-profiles"]["import"]["page-size"] = 2
    await world.apply()
    world.people("p1,Ann", "p2,Bob", "p3,Cid", "p4,Dan", "p5,Eve")
    before = world.people_pages_left(world, 1)
    world.people("p1,Ann", "p2,Bob", "p3,Cid", "p4,Dan", "p5,Eve")
    ran = await world.one("import")
    assert before
    assert ran.state == "completed"


@pytest.mark.behaviour("IMP-31", "IMP-34")
async def test_two_accounts_that_exchange_their_names_both_end_with_the_new_ones(world: World) -> None:
    await world.apply()

    def accounts(*names: str) -> None:
        lines = ["version: 1", ""]
        for uid, name in zip(("a", "b"), names, strict=True):
            lines += [f"dn: cn={name}+uid={uid},dc=x", "objectClass: inetOrgPerson", f"uid: {uid}", ""]
        world.write("directory.ldif", *lines)

    accounts("one", "two")
    await world.run("confirm")
    accounts("two+uid=x", "one")
    ran = await world.one("confirm")
    assert ran.errors == []


@pytest.mark.behaviour("IMP-34")
async def test_objects_that_would_end_with_one_secondary_id_are_all_rejected(any_world: World) -> None:
    world = any_world
    await world.apply()
    entry = ("objectClass: inetOrgPerson", "uid: {0}", "")
    first = ["version: 1", ""]
    for uid in ("a", "b"):
        first += [f"dn: uid={uid},dc=x", *(line.format(uid) for line in entry)]
    world.write("directory.ldif", *first)
    await world.run("confirm")
    both = ["version: 1", ""]
    for uid in ("a", "b"):
        both += ["dn: uid=z,dc=x", *(line.format(uid) for line in entry)]
    world.write("directory.ldif", *both)
    ran = await world.one("confirm")
    assert ran.kinds() == [("secondary_id_conflict", "a"), ("secondary_id_conflict", "b")]
    assert [cso.secondary for cso in (await world.csos("account")).values()] == ["uid=a,dc=x", "uid=b,dc=x"]
