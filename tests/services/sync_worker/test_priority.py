"""Two sources know a telephone number: who wins, and who takes over."""

from __future__ import annotations

import pytest
from tests.services.driver import World
from tests.services.organisation import with_crm


async def told_by_both(world: World) -> None:
    with_crm(world.plan, world.place)
    await world.apply()
    world.people("p1,Ann,Sales,10", "p2,Bob,Sales,20")
    world.contacts("c1,p1,77", "c2,p2,88")
    await world.run()


async def phone(world: World, person: str = "p1") -> str | None:
    found: str | None = (await world.mvo(person)).doc.get("phone")
    return found


@pytest.mark.behaviour("SYN-42", "SYN-43")
async def test_the_best_ranked_contributor_wins_whoever_came_last(world: World) -> None:
    await told_by_both(world)
    assert await phone(world) == "10"
    world.contacts("c1,p1,78", "c2,p2,88")
    ran = await world.run()
    assert (await phone(world), ran["crm-sync"].changed("flowed")) == ("10", [])


@pytest.mark.behaviour("SYN-46", "SYN-44", "TRAP-22")
async def test_the_next_contributor_takes_over_in_the_same_run_when_the_winner_withdraws_its_value(
    world: World,
) -> None:
    await told_by_both(world)
    world.people("p1,Ann,Sales", "p2,Bob,Sales,20")
    await world.run("import")
    await world.run("sync")
    assert await phone(world) == "77"


@pytest.mark.behaviour("SYN-46", "SYN-45", "SYN-22", "TRAP-22")
async def test_the_next_contributor_takes_over_when_the_winner_leaves(world: World) -> None:
    with_crm(world.plan, world.place)
    world.plan["rules"]["hr-person"]["mappings"]["phone"]["priority"] = 2
    world.plan["rules"]["crm-person"]["mappings"]["phone"]["priority"] = 1
    await world.apply()
    world.people("p1,Ann,Sales,10", "p2,Bob,Sales,20")
    world.contacts("c1,p1,77", "c2,p2,88")
    await world.run()
    assert await phone(world) == "77"
    world.contacts("c2,p2,88")
    ran = await world.run()
    assert await phone(world) == "10"
    assert world.target()["p1"]["telephoneNumber"] == ["10"]
    assert ran["crm-sync"].changed("removed") == ["c1"]


@pytest.mark.behaviour("SYN-42")
async def test_a_change_of_ranks_elects_anew_at_the_next_sync_of_either_source(world: World) -> None:
    await told_by_both(world)
    world.plan["rules"]["hr-person"]["mappings"]["phone"]["priority"] = 3
    await world.apply()
    await world.run("sync")
    assert (await phone(world), await phone(world, "p2")) == ("77", "88")


@pytest.mark.behaviour("SYN-44")
async def test_an_asserted_null_blocks_the_lower_ranks(world: World) -> None:
    with_crm(world.plan, world.place)
    world.plan["rules"]["hr-person"]["mappings"]["phone"]["null-is-value"] = True
    await world.apply()
    world.people("p1,Ann,Sales", "p2,Bob,Sales,20")
    world.contacts("c1,p1,77", "c2,p2,88")
    await world.run()
    assert await phone(world) is None


@pytest.mark.behaviour("SYN-47")
async def test_a_new_winner_with_the_same_value_changes_the_provenance_and_exports_nothing(world: World) -> None:
    await told_by_both(world)
    world.contacts("c1,p1,10", "c2,p2,88")
    await world.run()
    before = await world.mvo("p1")
    world.people("p1,Ann,Sales", "p2,Bob,Sales,20")
    await world.run("import")
    await world.run("sync")
    after = await world.mvo("p1")
    assert (after.doc["phone"], after.change_seq) == ("10", before.change_seq)
    assert after.provenance["phone"] != before.provenance["phone"]
    assert await world.exports() == []


@pytest.mark.behaviour("SYN-41")
async def test_a_disabled_mapping_neither_flows_nor_clears(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,Sales,10")
    await world.run()
    world.plan["rules"]["hr-person"]["mappings"]["phone"]["enabled"] = False
    await world.apply()
    world.people("p1,Ann,Sales,11")
    await world.run()
    assert await phone(world) == "10"


@pytest.mark.behaviour("SYN-59", "SYN-21")
async def test_during_grace_a_value_with_another_contributor_hands_over_and_the_others_stay(world: World) -> None:
    world.plan["metaverse"]["person"]["deletion"]["grace"] = "7d"
    await told_by_both(world)
    world.people("p2,Bob,Sales,20")
    await world.run()
    leaver = await world.mvo("p1")
    assert (leaver.doc["phone"], leaver.doc["name"]) == ("77", "Ann")
    assert world.target()["p1"]["telephoneNumber"] == ["77"]
    assert world.target()["p1"]["cn"] == ["Ann"]
