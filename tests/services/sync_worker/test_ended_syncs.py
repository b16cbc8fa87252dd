"""Syncs that were ended in between, by somebody or by a failure: what other syncs make of what they left."""

from __future__ import annotations

import pytest
from tests.services.driver import Ran, World
from tests.services.organisation import Plan, flow, match, with_crm

from anabranch.model.enums import GuardPoint, MvoState
from anabranch.runtime.work import Task
from anabranch.sync_worker.handler import HANDLERS

ALL = ("p1,Ann,Sales,1", "p2,Bob,Sales,,p1", "p3,Cid,Sales,,p1")
WITHOUT_ANN = ("p2,Bob,Sales,,p1", "p3,Cid,Sales,,p1")


async def cancelled_at(world: World, monkeypatch: pytest.MonkeyPatch, step: str, sync: str = "sync") -> Ran:
    """A sync that somebody cancels when that step of it is planned."""
    plan = HANDLERS.plans[step]

    async def met(task: Task) -> None:
        await world.store.cancel_run(task.claimed.run, "tester")
        await plan(task)

    with monkeypatch.context() as meanwhile:
        meanwhile.setitem(HANDLERS.plans, step, met)
        ran = await world.one(sync)
    assert ran.state == "cancelled"
    return ran


async def one_who_left(world: World, **deletion: object) -> None:
    """Ann has an account, and HR has her no more."""
    with_crm(world.plan, world.place)
    world.plan["metaverse"]["person"]["deletion"] |= deletion
    world.contacts("c1,p1,77")
    await world.apply()
    world.people(*ALL)
    await world.run()
    world.people(*WITHOUT_ANN)
    await world.one("import")


@pytest.mark.behaviour("SYN-56", "SYN-58", "SYN-60", "SYN-94", "FLT-24")
@pytest.mark.parametrize("step", ["match.propose", "flow"])
async def test_what_a_cancelled_sync_was_about_to_delete_is_deleted_by_the_next_one_of_its_system(
    any_world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    world = any_world
    await one_who_left(world)
    ran = await cancelled_at(world, monkeypatch, step)
    assert (ran.changed("deletion_scheduled"), ran.changed("mvo_deleted")) == (["hr/person/p1"], [])
    assert (await world.one("crm-sync")).changed("mvo_deleted") == [], "HR may still rescue her"
    ran = await world.one("sync")
    assert (ran.state, ran.changed("mvo_deleted")) == ("completed", ["hr/person/p1"])
    await world.run("export")
    assert sorted(world.target()) == ["p2", "p3"]


@pytest.mark.behaviour("SYN-58")
async def test_who_returns_after_the_sync_that_was_about_to_delete_her_was_cancelled_is_rescued(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one_who_left(world)
    await cancelled_at(world, monkeypatch, "flow")
    world.people(*ALL)
    await world.one("import")
    ran = await world.one("sync")
    assert (ran.changed("deletion_cancelled"), ran.changed("mvo_deleted")) == (["hr/person/p1"], [])


@pytest.mark.behaviour("SYN-57", "SYN-59")
@pytest.mark.parametrize("deletion", [{"grace": "7d"}, {"condition": 'mv["phone"] == "returned"'}])
async def test_a_sync_takes_over_no_deletion_that_was_not_due_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, deletion: dict[str, str]
) -> None:
    await one_who_left(world, **deletion)
    await cancelled_at(world, monkeypatch, "flow")
    await world.pass_time(days=8)
    ran = await world.one("sync")
    assert (ran.state, ran.changed("mvo_deleted")) == ("completed", [])
    async with world.store.reader() as reader:
        assert await reader.guard_ops(ran.run, GuardPoint.METAVERSE_DELETIONS, 0, 2**62) == []
    assert (await world.mvo("p1")).state is MvoState.PENDING_DELETION


def with_departments_that_fail(world: World) -> Plan:
    """Departments must be numbers; a second source knows the number of Ann, which is all that an account needs. HR's
    mappings of people."""
    with_crm(world.plan, world.place)
    person: Plan = world.plan["rules"]["hr-person"]["mappings"]
    person["dept"] = flow("dept", expression='to_text(to_integer(cs["dept"]) + 1)')
    account = world.plan["rules"]["account"]["mappings"]
    account["uid"] = flow("uid", "phone")
    account["dn"] = flow("dn", expression='"uid=" + mv["phone"] + ",ou=people,dc=x"')
    world.contacts("c1,p1,77")
    return person


async def half_a_person(world: World, monkeypatch: pytest.MonkeyPatch, *, cancelled: bool) -> None:
    """HR has projected Ann and given her nothing, because its sync was cancelled before it drew her name, or because
    her department is none. The second source has a number for her, which is all that her account needs."""
    person = with_departments_that_fail(world)
    if cancelled:
        world.plan["metaverse"]["person"]["attributes"]["login"] = {"type": "text", "case-sensitive": False}
        world.plan["unique-values"] = {"login": {"metaverse": "person.login", "targets": ["directory.account.uid"]}}
        person["login"] = flow("login", expression='unique_value("login", numbered(lower(cs["name"]), 2, 9))')
    await world.apply()
    world.people("p1,Ann," + ("1" if cancelled else "one"))
    await world.one("import")
    if cancelled:
        await cancelled_at(world, monkeypatch, "reserve.settle")
    else:
        assert (await world.one("sync")).state == "completed_with_errors"


@pytest.mark.behaviour("SYN-69", "SYN-92", "FLT-24")
@pytest.mark.parametrize("cancelled", [True, False])
async def test_nobody_gets_an_account_from_another_source_before_the_own_one_has_given_anything(
    world: World, monkeypatch: pytest.MonkeyPatch, *, cancelled: bool
) -> None:
    await half_a_person(world, monkeypatch, cancelled=cancelled)
    await world.one("crm-import")
    ran = await world.one("crm-sync")
    assert (ran.state, ran.errors, ran.changed("provisioned")) == ("completed", [], [])
    early = await world.mvo("p1")
    assert (early.doc["phone"], early.evaluated) == ("77", False)
    world.people("p1,Ann,4")
    await world.one("import")
    ran = await world.one("sync")
    assert (ran.state, ran.changed("provisioned")) == ("completed", ["hr/person/p1"])
    await world.one("export")
    assert world.target()["77"]["cn"] == ["Ann"]


@pytest.mark.behaviour("SYN-19", "SYN-69", "SYN-94", "FLT-24")
@pytest.mark.parametrize("action", ["disconnect", "delete"])
async def test_who_is_between_two_keys_when_a_sync_is_cancelled_keeps_the_account_until_it_was_tried_again(
    any_world: World, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    world = any_world
    with_crm(world.plan, world.place)
    world.plan["metaverse"]["person"]["deletion"] = {"rule": "when-last-connector-disconnected"}
    world.plan["rules"]["hr-person"]["match"] = [match("phone", "phone")]
    world.plan["rules"]["account"] |= {"scope": {"expression": 'joined("hr")'}, "deprovision-action": action}
    world.contacts("c1,p1,555")
    await world.apply()
    world.people("p1,Ann,Sales,555", "p2,Bob,Sales,556")
    await world.run()
    world.people("p9,Ann,Sales,555", "p2,Bob,Sales,556")  # Ann has a new key; her phone tells who she is
    await world.one("import")
    await cancelled_at(world, monkeypatch, "match.propose")
    assert (await world.csos("contact"))["c1"].mvo_id == (await world.mvo("p1")).id
    assert (await world.one("crm-sync")).state == "completed"
    assert await world.exports() == [], "she is left to the next sync of HR"
    assert not any(one.released for one in (await world.csos("account")).values())
    assert (await world.one("sync")).state == "completed"
    await world.one("export")
    assert sorted(world.target()) == ["p2", "p9"]
    assert len(await world.csos("account")) == 2, "the same account, renamed"


@pytest.mark.behaviour("SYN-69", "SYN-92")
async def test_who_waited_for_a_source_that_leaves_gets_accounts_from_the_others(world: World) -> None:
    with_departments_that_fail(world)
    world.plan["metaverse"]["person"]["deletion"] = {"rule": "when-last-connector-disconnected"}
    await world.apply()
    others = ("p2,Bob,4,82", "p3,Cid,4,83", "p4,Dan,4,84")
    world.people("p1,Ann,one", *others)
    await world.one("import")
    assert (await world.one("sync")).state == "completed_with_errors"
    await world.one("crm-import")
    assert (await world.one("crm-sync")).changed("provisioned") == []
    world.people(*others)
    await world.one("import")
    assert (await world.one("sync")).changed("provisioned") == ["hr/person/p1"]


@pytest.mark.behaviour("SYN-69", "SYN-92")
@pytest.mark.parametrize("how", ["rule", "type"])
async def test_nobody_waits_for_a_source_that_no_rule_speaks_of_any_more(world: World, how: str) -> None:
    with_departments_that_fail(world)
    world.plan["run-profiles"]["crm-full-sync"] = {"kind": "full-sync", "system": "crm"}
    await world.apply()
    world.people("p1,Ann,one")
    await world.one("import")
    assert (await world.one("sync")).state == "completed_with_errors"
    await world.one("crm-import")
    await world.one("crm-sync")
    ran = await world.one("crm-full-sync")
    assert (ran.totals["selected"], ran.totals.get("changed", 0)) == (1, 0), "waiting is no change"
    if how == "rule":
        del world.plan["rules"]["hr-person"], world.plan["rules"]["hr-team"]
    else:
        world.plan["systems"]["hr"]["object-types"]["person"]["selected"] = False
    await world.apply()
    world.contacts("c1,p1,78")
    await world.one("crm-import")
    assert (await world.one("crm-sync")).changed("provisioned") == ["hr/person/p1"]


async def between_two_keys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ann has another key in HR, whose sync was cancelled before it found out; her account stands while HR has her."""
    with_crm(world.plan, world.place)
    world.plan["systems"]["hr"]["object-types"]["person"]["recall-on-disconnect"] = False
    world.plan["metaverse"]["person"]["deletion"] = {"rule": "when-last-connector-disconnected", "grace": "0d"}
    world.plan["rules"]["hr-person"]["match"] = [match("phone", "phone")]
    world.plan["rules"]["account"] |= {"scope": {"expression": 'joined("hr")'}, "deprovision-action": "delete"}
    world.contacts("c1,p1,555", "c2,p2,556", "c3,p3,557")
    await world.apply()
    world.people("p1,Ann,Sales,555", "p2,Bob,Sales,556", "p3,Cid,Sales,557")
    await world.run()
    world.people("p9,Ann,Sales,555", "p2,Bob,Sales,556", "p3,Cid,Sales,557")
    await world.one("import")
    await cancelled_at(world, monkeypatch, "match.propose")


@pytest.mark.behaviour("SYN-19", "SYN-69", "SYN-94")
@pytest.mark.parametrize("contacts", [["c9,p1,555"], []])
async def test_another_source_that_loses_her_too_takes_nothing_from_her_before_her_own_was_tried_again(
    any_world: World, monkeypatch: pytest.MonkeyPatch, contacts: list[str]
) -> None:
    world = any_world
    await between_two_keys(world, monkeypatch)
    before = await world.mvo("p1")
    world.contacts(*contacts, "c2,p2,556", "c3,p3,557")
    await world.one("crm-import")
    ran = await world.one("crm-sync")
    assert (ran.state, ran.changed("mvo_deleted")) == ("completed", [])
    await world.one("export")
    assert (await world.one("sync")).state == "completed"
    assert (await world.csos("person"))["p9"].mvo_id == before.id
    await world.one("export")
    assert len(world.target()) == 3
    assert len(await world.csos("account")) == 3, "the same accounts"


@pytest.mark.behaviour("SYN-69")
async def test_nobody_waits_for_a_system_that_is_not_declared_any_more(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = any_world
    with_crm(world.plan, world.place)
    world.contacts("c1,p1,555", "c2,p2,556", "c3,p3,557")
    await world.apply()
    world.people("p1,Ann,Sales", "p2,Bob,Sales", "p3,Cid,Sales")
    await world.run()
    world.contacts("c2,p2,556", "c3,p3,557")
    await world.one("crm-import")
    await cancelled_at(world, monkeypatch, "match.propose", "crm-sync")
    del world.plan["systems"]["crm"], world.plan["rules"]["crm-person"]
    del world.plan["run-profiles"]["crm-import"], world.plan["run-profiles"]["crm-sync"]
    world.plan["executions"]["cycle"]["groups"] = [["import"], ["sync"], ["export"], ["confirm"]]
    await world.apply()
    world.people("p1,Anna,Sales", "p2,Bob,Sales", "p3,Cid,Sales")
    await world.run()
    assert world.target()["p1"]["cn"] == ["Anna"]
