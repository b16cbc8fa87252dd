"""A directory that takes change records: a journal a batch, loaded by somebody else."""

from __future__ import annotations

import pytest
from tests.services.driver import World

from anabranch.connectors.ldif import LdifConnector
from anabranch.connectors.port import ExportBatch, ExportChange, Outcome
from anabranch.model.enums import CsoState
from anabranch.model.errors import Retryable


def journals(world: World) -> str:
    """Every change record written so far, journal by journal in the order of runs and batches."""
    files = sorted((world.place / "journal").glob("*.ldif"), key=lambda one: [int(n) for n in one.stem.split("-")])
    return "\n".join(one.read_text() for one in files)


async def in_changes(world: World) -> None:
    world.plan["systems"]["directory"]["options"] = {"path": str(world.place / "journal"), "mode": "changes"}
    world.plan["executions"]["cycle"] = {"groups": [["import"], ["sync"], ["export"]]}
    await world.apply()


@pytest.mark.behaviour("EXP-16", "EXP-18", "EXP-30")
async def test_new_accounts_that_refer_to_each_other_are_complete_after_one_run(any_world: World) -> None:
    world = any_world
    await in_changes(world)
    world.people("p1,Ann,Sales,,p2", "p2,Bob,Sales,,p1")
    world.teams("t1,Red,p1;p2")
    ran = await world.run()
    assert (ran["export"].state, ran["export"].errors) == ("completed", [])
    text = journals(world)
    assert text.count("changetype: add") == 3
    for line in ("manager: uid=p1,ou=people,dc=x", "manager: uid=p2,ou=people,dc=x", "member: uid=p1,ou=people,dc=x"):
        assert text.count(line) == 1
    assert await world.exports() == []
    assert {cso.state for cso in (await world.csos("account")).values()} == {CsoState.NORMAL}


@pytest.mark.behaviour("EXP-16", "EXP-30")
async def test_a_change_a_departure_and_a_delete_are_records_in_that_order(world: World) -> None:
    await in_changes(world)
    world.people("p1,Ann,Sales", "p2,Bob,Sales", "p3,Cid,Sales")
    world.teams("t1,Red,p1;p2;p3")
    await world.run()
    before = journals(world)
    world.people("p1,Anna,Sales", "p3,Cid,Sales")
    ran = await world.run()
    assert (ran["export"].state, await world.exports()) == ("completed", [])
    text = journals(world).removeprefix(before)
    assert text.index("replace: cn\ncn: Anna") >= 0
    assert text.index("delete: member\nmember: uid=p2,ou=people,dc=x") < text.index("changetype: delete")
    assert text.count("changetype: delete") == 1


@pytest.mark.behaviour("EXP-26", "EXP-27")
async def test_a_call_whose_answer_was_lost_is_repeated_word_for_word(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[ExportChange, ...]] = []
    apply = LdifConnector.apply

    async def apply_and_lose_the_first_answer(self: LdifConnector, batch: ExportBatch) -> list[Outcome]:
        told.append(batch.changes)
        outcomes = await apply(self, batch)
        if len(told) == 1:
            raise Retryable("the answer was lost", delay=1.0)
        return outcomes

    monkeypatch.setattr(LdifConnector, "apply", apply_and_lose_the_first_answer)
    await in_changes(any_world)
    any_world.people("p1,Ann,Sales,,p2", "p2,Bob,Sales,,p1")
    any_world.teams("t1,Red,p1;p2")
    await any_world.run()
    await any_world.pass_time(seconds=2)
    await any_world.settle()
    first, *again = told
    assert again == [first]
    assert await any_world.exports() == []


@pytest.mark.behaviour("IMP-17", "SYN-7")
async def test_an_unchanged_cycle_writes_no_journal(world: World) -> None:
    await in_changes(world)
    world.people("p1,Ann,Sales,,p2", "p2,Bob,Sales,,p1")
    await world.run()
    before = journals(world)
    ran = await world.run()
    assert (journals(world), ran["export"].totals.get("selected", 0)) == (before, 0)


@pytest.mark.behaviour("EXP-32", "EXP-35")
async def test_a_change_the_journal_cannot_hold_is_refused_alone(world: World) -> None:
    world.plan["systems"]["directory"]["object-types"]["account"]["source"]["base"] = "ou=staff,dc=x"
    world.plan["systems"]["directory"]["object-types"]["group"]["source"]["base"] = "ou=teams,dc=x"
    await in_changes(world)
    world.people("p1,Ann")
    world.teams("t1,Red,p1")
    ran = await world.run()
    assert ran["export"].kinds() == [("outside_managed_scope", "p1")]
    assert "dn: cn=t1,ou=teams,dc=x" in journals(world)
    assert "dn: uid=p1" not in journals(world)
