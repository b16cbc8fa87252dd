"""anabranch in short stories. Read these first.

HR exports people and teams as CSV. They become objects of the metaverse, and from there accounts and groups of a
directory, which is one LDIF file. A cycle is: import what HR says, sync, export to the directory, and import the
directory again to see that it is so. `tests/services/organisation.py` is the configuration, in 150 lines.
"""

from __future__ import annotations

from tests.services.driver import World
from tests.services.organisation import with_crm


async def test_a_person_of_hr_becomes_an_account(organisation: World) -> None:
    organisation.people("7,Ada Lovelace,Research,555-7")
    await organisation.apply()
    await organisation.run()
    account = organisation.target()["7"]
    assert account["cn"] == ["Ada Lovelace"]
    assert account["dn"] == ["uid=7,ou=people,dc=x"]
    assert account["telephoneNumber"] == ["555-7"]


async def test_every_run_says_what_it_did(organisation: World) -> None:
    organisation.people("7,Ada,Research", "8,Bo,Sales")
    await organisation.apply()
    ran = await organisation.run()
    assert ran["import"].totals["read"] == ran["import"].totals["added"] == 2
    assert ran["export"].totals["exported"] == 2
    assert {one.state for one in ran.values()} == {"completed"}


async def test_a_change_reaches_the_account_and_nothing_else_is_written(organisation: World) -> None:
    organisation.people("7,Ada,Research", "8,Bo,Sales")
    await organisation.apply()
    await organisation.run()
    organisation.people("7,Ada,Archives", "8,Bo,Sales")
    ran = await organisation.run()
    assert organisation.target()["7"]["ou"] == ["Archives"]
    assert ran["export"].changed("exported") == ["7"]


async def test_when_nothing_changes_nothing_is_exported(organisation: World) -> None:
    organisation.people("7,Ada,Research")
    await organisation.apply()
    await organisation.run()
    before = (organisation.place / "directory.ldif").stat()
    ran = await organisation.run()
    after = (organisation.place / "directory.ldif").stat()
    assert ran["import"].totals["unchanged"] == 1
    assert ran["export"].totals.get("selected", 0) == 0
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


async def test_a_manager_is_found_wherever_she_stands_in_the_file(organisation: World) -> None:
    organisation.people("7,Ada,Research,,9", "9,Cleo,Research")
    await organisation.apply()
    await organisation.run()
    assert organisation.target()["7"]["manager"] == ["uid=9,ou=people,dc=x"]


async def test_a_manager_who_joins_later_is_linked_without_touching_her_people(organisation: World) -> None:
    organisation.people("7,Ada,Research,,9")
    await organisation.apply()
    await organisation.run()
    assert "manager" not in organisation.target()["7"]
    organisation.people("7,Ada,Research,,9", "9,Cleo,Research")
    await organisation.run()
    assert organisation.target()["7"]["manager"] == ["uid=9,ou=people,dc=x"]


async def test_who_leaves_loses_the_account_and_every_membership(organisation: World) -> None:
    people = [f"{n},Person {n},Research" for n in range(1, 10)]
    organisation.people(*people)
    organisation.teams("T1,Research,1;2;3")
    await organisation.apply()
    await organisation.run()
    organisation.people(*people[1:])
    organisation.teams("T1,Research,2;3")
    await organisation.run()
    directory = organisation.target()
    assert "1" not in directory
    assert directory["T1"]["member"] == ["uid=2,ou=people,dc=x", "uid=3,ou=people,dc=x"]


async def test_a_second_source_fills_in_what_the_first_does_not_know(organisation: World) -> None:
    with_crm(organisation.plan, organisation.place)
    organisation.people("7,Ada,Research,555-7", "8,Bo,Sales")
    organisation.contacts("c1,7,999-7", "c2,8,999-8")
    await organisation.apply()
    await organisation.run()
    directory = organisation.target()
    assert directory["7"]["telephoneNumber"] == ["555-7"]
    assert directory["8"]["telephoneNumber"] == ["999-8"]


async def test_one_bad_row_is_reported_and_the_others_go_on(organisation: World) -> None:
    organisation.people("7,Ada,Research", ",Nobody,Nowhere", "8,Bo,Sales")
    await organisation.apply()
    ran = await organisation.run()
    assert [kind for kind, _ in ran["import"].kinds()] == ["missing_anchor"]
    assert sorted(organisation.target()) == ["7", "8"]


async def test_an_empty_file_holds_the_run_and_deletes_nobody(organisation: World) -> None:
    organisation.people("7,Ada,Research", "8,Bo,Sales")
    await organisation.apply()
    await organisation.run()
    organisation.people()
    held = (await organisation.run())["import"]
    assert held.state == "held"
    await organisation.store.reject_hold(held.run, "Ada", "HR's export was cut off")
    await organisation.settle()
    assert sorted(organisation.target()) == ["7", "8"]


async def test_a_change_of_nearly_everybody_waits_until_somebody_releases_it(organisation: World) -> None:
    organisation.people(*(f"{n},Person {n},Research" for n in range(20)))
    await organisation.apply()
    await organisation.run()
    organisation.people(*(f"{n},Person {n},Archives" for n in range(20)))
    held = (await organisation.run())["export"]
    assert (held.state, organisation.target()["7"]["ou"]) == ("held", ["Research"])
    await organisation.store.release_hold(held.run, "Ada", "Research is called Archives from today")
    await organisation.settle()
    released = await organisation.told(held.run)
    assert (released.state, released.totals["exported"]) == ("completed", 20)
    assert organisation.target()["7"]["ou"] == ["Archives"]
