"""People leave: at once, after a grace period, for a while only, or out of a rule's scope."""

from __future__ import annotations

import pytest
from tests.services.driver import World
from tests.services.organisation import with_crm

from anabranch.model.enums import CsoState, JoinType, MvoState

ALL = ("p1,Ann,Sales,1", "p2,Bob,Sales,,p1", "p3,Cid,Sales,,p1")
WITHOUT_ANN = ("p2,Bob,Sales,,p1", "p3,Cid,Sales,,p1")


def with_grace(world: World, grace: str = "7d") -> None:
    world.plan["metaverse"]["person"]["deletion"]["grace"] = grace


def with_scope(world: World, **rule: object) -> None:
    scope = {"attribute": "dept", "operator": "equals", "value": "Sales"}
    world.plan["rules"]["hr-person"] |= {"scope": scope, **rule}


@pytest.mark.behaviour("SYN-53", "SYN-56", "SYN-61", "SYN-62", "TRAP-23", "EXP-30")
async def test_a_leaver_without_grace_goes_in_the_same_cycle_with_account_membership_and_reference(
    any_world: World,
) -> None:
    world = any_world
    await world.apply()
    world.people(*ALL)
    world.teams("t1,Red,p1;p2;p3")
    await world.run()
    assert len(world.target()["t1"]["member"]) == 3
    world.people(*WITHOUT_ANN)
    ran = await world.run()
    assert [one.state for one in ran.values()] == ["completed"] * 4
    assert ran["sync"].changed("mvo_deleted") == ["hr/person/p1"]
    assert ran["export"].changed("deprovisioned") == ["p1"]
    assert sorted(await world.mvos()) == ["p2", "p3", "t1"]
    assert await world.refers("manager") == {}
    target = world.target()
    assert sorted(target) == ["p2", "p3", "t1"]
    assert "manager" not in target["p2"]
    assert target["t1"]["member"] == ["uid=p2,ou=people,dc=x", "uid=p3,ou=people,dc=x"]
    assert await world.exports() == []


@pytest.mark.behaviour("SYN-62", "EXP-10")
async def test_a_departure_stages_one_removal_at_the_group_and_leaves_its_other_members_alone(world: World) -> None:
    await world.apply()
    world.people(*ALL)
    world.teams("t1,Red,p1;p2;p3")
    await world.run()
    world.people(*WITHOUT_ANN)
    await world.run("import")
    await world.run("sync")
    (group,) = [one for one in await world.exports() if one.kind == "update" and one.rows[0].attr == "member"]
    assert [(row.op, row.raw) for row in group.rows] == [("remove", "uid=p1,ou=people,dc=x")]


@pytest.mark.behaviour("SYN-55", "SYN-59")
async def test_a_leaver_with_grace_waits_with_values_and_account(world: World) -> None:
    with_grace(world)
    await world.apply()
    world.people(*ALL)
    await world.run()
    before = (await world.mvo("p1")).doc
    world.people(*WITHOUT_ANN)
    ran = await world.run()
    assert ran["sync"].changed("deletion_scheduled") == ["hr/person/p1"]
    waiting = await world.mvo("p1")
    assert (waiting.state, waiting.doc) == (MvoState.PENDING_DELETION, before)
    assert waiting.deletion is not None
    assert (waiting.deletion["system"], waiting.deletion["grace_seconds"]) == ("hr", 7 * 86_400)
    assert "p1" in world.target()


@pytest.mark.behaviour("SYN-58", "SYN-59", "TRAP-25")
async def test_a_return_within_the_grace_period_rescues_the_same_object(any_world: World) -> None:
    world = any_world
    with_grace(world)
    await world.apply()
    world.people(*ALL)
    await world.run()
    before = await world.mvo("p1")
    world.people(*WITHOUT_ANN)
    await world.run()
    world.people(*ALL)
    ran = await world.run()
    assert ran["sync"].changed("deletion_cancelled") == ["hr/person/p1"]
    rescued = await world.mvo("p1")
    assert (rescued.id, rescued.state, rescued.delete_after) == (before.id, MvoState.ACTIVE, None)
    assert rescued.deletion is None
    assert rescued.doc == before.doc
    assert world.target()["p2"]["manager"] == ["uid=p1,ou=people,dc=x"]
    await world.pass_time(days=8)
    assert (await world.one("housekeeping")).changed("mvo_deleted") == []


@pytest.mark.behaviour("SYN-60")
async def test_housekeeping_deletes_when_the_grace_is_over_and_not_before(world: World) -> None:
    with_grace(world)
    await world.apply()
    world.people(*ALL)
    await world.run()
    world.people(*WITHOUT_ANN)
    await world.run()
    await world.pass_time(days=6)
    assert (await world.one("housekeeping")).changed("mvo_deleted") == []
    await world.pass_time(days=2)
    ran = await world.one("housekeeping")
    assert (ran.state, ran.changed("mvo_deleted")) == ("completed", ["hr/person/p1"])
    await world.run("export")
    assert sorted(world.target()) == ["p2", "p3"]
    assert "manager" not in world.target()["p2"]


@pytest.mark.behaviour("SYN-57")
async def test_a_condition_keeps_the_leaver_until_it_is_true(world: World) -> None:
    world.plan["metaverse"]["person"]["deletion"]["condition"] = 'mv["phone"] == "returned"'
    with_crm(world.plan, world.place)
    await world.apply()
    world.people(*ALL)
    world.contacts("c1,p1,laptop")
    await world.run()
    world.people(*WITHOUT_ANN)
    await world.run()
    assert (await world.mvo("p1")).state is MvoState.PENDING_DELETION
    assert (await world.one("housekeeping")).changed("mvo_deleted") == []
    world.contacts("c1,p1,returned")
    await world.run("crm-import")
    await world.run("crm-sync")
    assert (await world.one("housekeeping")).changed("mvo_deleted") == ["hr/person/p1"]


@pytest.mark.behaviour("SYN-60")
async def test_housekeeping_leaves_nothing_of_what_finished_runs_kept_while_they_worked(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people(*ALL)
    ran = await world.run()
    async with world.store.reader() as reader:
        assert await reader.import_rows(ran["import"].run, 0, 2**62)
    assert (await world.one("housekeeping")).state == "completed"
    async with world.store.reader() as reader:
        assert await reader.import_rows(ran["import"].run, 0, 2**62) == []


@pytest.mark.behaviour("SYN-15", "SYN-16", "SYN-22")
async def test_a_person_out_of_scope_is_disconnected_and_rejoins_when_back(world: World) -> None:
    with_grace(world)
    with_scope(world)
    await world.apply()
    world.people(*ALL)
    await world.run()
    before = await world.mvo("p2")
    world.people(ALL[0], "p2,Bob,Audit,,p1", ALL[2])
    ran = await world.run()
    assert ran["sync"].changed("disconnected") == ["p2"]
    assert (await world.csos("person"))["p2"].join_type is JoinType.NONE
    assert (await world.mvo("p2")).state is MvoState.PENDING_DELETION
    world.people(*ALL)
    await world.run()
    back = await world.mvo("p2")
    assert (back.id, back.state, back.doc) == (before.id, MvoState.ACTIVE, before.doc)


@pytest.mark.behaviour("SYN-16")
async def test_a_person_out_of_scope_may_remain_joined_without_flow(world: World) -> None:
    with_scope(world, **{"out-of-scope-action": "remain-joined"})
    await world.apply()
    world.people(*ALL)
    await world.run()
    world.people(ALL[0], "p2,Bobby,Audit,,p1", ALL[2])
    ran = await world.run()
    assert ran["sync"].changed("retained_out_of_scope") == ["p2"]
    assert ran["sync"].changed("disconnected") == []
    assert (await world.mvo("p2")).doc["name"] == "Bob"
    world.people(*ALL)
    again = await world.run()
    assert (again["sync"].errors, (await world.mvo("p2")).doc["dept"]) == ([], "Sales")


@pytest.mark.behaviour("SYN-16")
async def test_retention_is_told_when_it_begins_and_not_again(world: World) -> None:
    with_scope(world, **{"out-of-scope-action": "remain-joined"})
    await world.apply()
    world.people(*ALL)
    await world.run()
    world.people(ALL[0], "p2,Bobby,Audit,,p1", ALL[2])
    await world.run()
    assert (await world.one("full-sync")).changed("retained_out_of_scope") == []


@pytest.mark.behaviour("SYN-16", "SYN-46")
async def test_who_is_retained_hands_over_to_a_living_contributor_and_keeps_the_rest(world: World) -> None:
    with_scope(world, **{"out-of-scope-action": "remain-joined"})
    with_crm(world.plan, world.place)
    await world.apply()
    world.people(*ALL)
    world.contacts("c1,p1,77")
    world.teams("t1,Red,p1")
    await world.run()
    world.people("p1,Anna,Audit,2,p2", *WITHOUT_ANN)
    await world.run()
    assert (await world.mvo("p1")).doc == {"number": "p1", "name": "Ann", "dept": "Sales", "phone": "77"}
    assert await world.refers("manager") == {"p2": ["p1"], "p3": ["p1"]}


@pytest.mark.behaviour("SYN-16")
async def test_who_is_retained_keeps_a_manager(world: World) -> None:
    with_scope(world, **{"out-of-scope-action": "remain-joined"})
    await world.apply()
    world.people(*ALL)
    await world.run()
    world.people(ALL[0], "p2,Bob,Audit", ALL[2])
    await world.run()
    assert (await world.refers("manager"))["p2"] == ["p1"]


@pytest.mark.behaviour("IMP-20", "IMP-26")
async def test_an_absent_object_is_obsolete_until_it_is_read_again(world: World) -> None:
    await world.apply()
    world.people(*ALL)
    await world.run()
    mvo = await world.mvo("p1")
    world.people(*WITHOUT_ANN)
    ran = await world.one("import")
    assert ran.changed("obsoleted") == ["p1"]
    assert (await world.csos("person"))["p1"].state is CsoState.OBSOLETE
    world.people(*ALL)
    ran = await world.one("import")
    assert ran.changed("revived") == ["p1"]
    revived = (await world.csos("person"))["p1"]
    assert (revived.state, revived.mvo_id) == (CsoState.NORMAL, mvo.id)
    assert (await world.one("sync")).changed("disconnected") == []


@pytest.mark.behaviour("SYN-20")
async def test_an_obsolete_object_without_a_join_is_removed(world: World) -> None:
    world.plan["rules"]["hr-person"]["project"] = False
    await world.apply()
    world.people(*ALL)
    await world.run()
    world.people(*WITHOUT_ANN)
    ran = await world.run()
    assert ran["sync"].changed("removed") == ["p1"]
    assert sorted(await world.csos("person")) == ["p2", "p3"]


@pytest.mark.behaviour("SYN-54")
async def test_an_account_we_made_does_not_keep_its_person_alive(world: World) -> None:
    world.plan["metaverse"]["person"]["deletion"] = {"rule": "when-last-connector-disconnected", "grace": "0d"}
    await world.apply()
    world.people(*ALL)
    await world.run()
    world.people(*WITHOUT_ANN)
    await world.run()
    assert sorted(await world.mvos()) == ["p2", "p3"]
    assert sorted(world.target()) == ["p2", "p3"]
