"""Who is who: matches, contests, and people whose identifier changes."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from tests.services.conftest import memory_world
from tests.services.driver import World
from tests.services.organisation import flow, inbound, match, text, with_crm

from anabranch.model.enums import JoinType, MvoState
from anabranch.model.errors import Retryable
from anabranch.model.fleet import Claimed
from anabranch.sync_worker import keying


def with_passport(world: World) -> None:
    """People are recognised by a passport number that stays when HR gives them a new key."""
    world.plan["metaverse"]["person"]["attributes"]["passport"] = text()
    rule = world.plan["rules"]["hr-person"]
    rule["match"] = [match("phone", "passport")]
    rule["mappings"]["passport"] = flow("passport", "phone")
    rule["mappings"]["id"] = flow("number", "id")


@pytest.mark.behaviour("SYN-19", "SYN-56", "TRAP-14")
async def test_a_person_with_a_new_key_keeps_the_metaverse_object(any_world: World) -> None:
    world = any_world
    with_passport(world)
    world.plan["rules"]["account"]["mappings"]["uid"] = flow("uid", "passport")
    await world.apply()
    world.people("p1,Ann,Sales,A1", "p2,Bob,Sales,B2")
    await world.run()
    before = await world.mvo("p1")
    world.people("p2,Bob,Sales,B2", "x9,Ann,Sales,A1")
    ran = await world.run()
    assert ran["sync"].changed("mvo_deleted") == []
    assert ran["sync"].changed("joined") == ["x9"]
    assert ran["sync"].changed("deletion_cancelled") == ["hr/person/p1"]
    after = await world.mvo("p1")
    assert (after.id, after.state, after.doc["number"]) == (before.id, MvoState.ACTIVE, "x9")
    assert ran["export"].changed("deprovisioned") == []


@pytest.mark.behaviour("SYN-30", "SYN-32", "TRAP-15")
@pytest.mark.parametrize("order", list(permutations(["c1,p1,11", "c2,p1,22", "c3,p1,33"])))
async def test_of_two_records_that_claim_one_person_the_lowest_joins_whatever_the_order(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    world = memory_world(tmp_path)
    with_crm(world.plan, world.place)
    world.plan["run-profiles"]["crm-sync"]["batch-size"] = 1
    await world.apply()
    world.people("p1,Ann", "p2,Bob")
    world.contacts(*order)
    ran = await world.run()
    assert ran["crm-sync"].changed("joined") == ["c1"]
    assert ran["crm-sync"].kinds() == [("join_slot_taken", "c2"), ("join_slot_taken", "c3")]
    assert (await world.mvo("p1")).doc["phone"] == "11"
    assert sorted(await world.mvos()) == ["p1", "p2"]


@pytest.mark.behaviour("SYN-30")
async def test_a_slot_that_is_held_is_reported_to_every_later_newcomer(world: World) -> None:
    with_crm(world.plan, world.place)
    await world.apply()
    world.people("p1,Ann")
    world.contacts("c2,p1,22")
    await world.run()
    world.contacts("c1,p1,11", "c2,p1,22")
    ran = await world.run()
    assert ran["crm-sync"].kinds() == [("join_slot_taken", "c1")]
    assert (await world.run())["crm-sync"].kinds() == [("join_slot_taken", "c1")]
    assert (await world.mvo("p1")).doc["phone"] == "22"


@pytest.mark.behaviour("SYN-29", "SYN-33")
async def test_an_ambiguous_match_names_the_candidates_and_neither_joins_nor_projects(world: World) -> None:
    with_crm(world.plan, world.place)
    world.plan["rules"]["crm-person"] |= {"match": [match("number", "name")], "project": True}
    await world.apply()
    world.people("p1,Ann", "p2,Ann")
    world.contacts("c1,Ann,11")
    ran = await world.run()
    (error,) = ran["crm-sync"].errors
    assert (error.kind, error.key) == ("ambiguous_match", "c1")
    assert "hr/person/p1" in error.message
    assert "hr/person/p2" in error.message
    assert (await world.csos("contact"))["c1"].join_type is JoinType.NONE
    assert sorted(await world.mvos()) == ["p1", "p2"]


@pytest.mark.behaviour("SYN-24", "SYN-2", "SYN-32")
async def test_a_record_that_came_before_its_person_joins_when_the_person_comes(any_world: World) -> None:
    world = any_world
    with_crm(world.plan, world.place)
    await world.apply()
    world.contacts("c1,p1,11")
    ran = await world.run()
    assert (ran["crm-sync"].state, ran["crm-sync"].changed("joined")) == ("completed", [])
    world.people("p1,Ann")
    ran = await world.run()
    assert ran["crm-sync"].changed("joined") == ["c1"]
    assert (await world.mvo("p1")).doc["phone"] == "11"


@pytest.mark.behaviour("SYN-26")
async def test_nothing_matches_on_an_empty_key(world: World) -> None:
    with_crm(world.plan, world.place)
    world.plan["rules"]["crm-person"]["match"] = [match("number", "dept")]
    await world.apply()
    world.people("p1,Ann")
    world.contacts("c1,,11")
    ran = await world.run()
    assert (ran["crm-sync"].changed("joined"), ran["crm-sync"].errors) == ([], [])


@pytest.mark.behaviour("SYN-34")
async def test_two_would_be_projections_of_one_person_make_one_object(world: World) -> None:
    with_passport(world)
    await world.apply()
    world.people("p1,Ann,Sales,A1", "p2,Anna,Sales,A1")
    ran = await world.run()
    assert ran["sync"].changed("projected") == ["p1"]
    assert ran["sync"].kinds() == [("join_slot_taken", "p2")]
    assert sorted(await world.mvos()) == ["p1"]


@pytest.mark.behaviour("SYN-31")
async def test_a_joined_record_is_not_matched_again_when_its_key_changes(world: World) -> None:
    with_crm(world.plan, world.place)
    await world.apply()
    world.people("p1,Ann", "p2,Bob")
    world.contacts("c1,p1,11")
    await world.run()
    world.contacts("c1,p2,11")
    await world.run()
    assert (await world.csos("contact"))["c1"].mvo_id == (await world.mvo("p1")).id


@pytest.mark.behaviour("SYN-2", "SYN-26")
async def test_a_revision_that_matches_by_another_attribute_finds_who_is_there_already(any_world: World) -> None:
    world = any_world
    await world.apply()
    world.people("p1,Ann,Sales", "p2,Bob,Sales")
    await world.run()
    with_crm(world.plan, world.place)
    by_name = [match("number", "name")]
    world.plan["rules"]["crm-person"]["match"] = by_name
    await world.apply()
    world.contacts("k1,Ann,1")
    await world.run()
    joined = (await world.mvo("p1")).id
    assert {anchor: cso.mvo_id for anchor, cso in (await world.csos("contact")).items()} == {"k1": joined}
    # While no rule matches by the name nobody keeps its keys; when one does again, they are those of today.
    world.plan["rules"]["crm-person"]["match"] = [match("number", "number")]
    await world.apply()
    world.people("p1,Ann,Sales", "p2,Rob,Sales")
    await world.run()
    world.plan["rules"]["crm-person"]["match"] = by_name
    await world.apply()
    world.contacts("k1,Ann,1", "k2,Bob,2", "k3,Rob,3")
    await world.run()
    renamed = (await world.mvo("p2")).id
    found = {anchor: cso.mvo_id for anchor, cso in (await world.csos("contact")).items()}
    assert found == {"k1": joined, "k2": None, "k3": renamed}


@pytest.mark.behaviour("SYN-26")
async def test_keys_are_completed_page_by_page_and_again_after_a_worker_was_lost(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = any_world
    await world.apply()
    world.people(*(f"p{n},N{n},Sales" for n in range(7)))
    await world.run()
    with_crm(world.plan, world.place)
    world.plan["rules"]["crm-person"]["match"] = [match("number", "name")]
    await world.apply()
    world.contacts(*(f"k{n},N{n},{n}" for n in range(7)))
    monkeypatch.setattr(keying, "_PAGE", 2)
    pages = iter(["the first", "the second"])

    def progress(claimed: Claimed) -> None:
        if (claimed.step, claimed.role) == ("match.propose", "plan") and next(pages, "") == "the second":
            raise Retryable("lost among the pages")

    world.on_progress = progress
    await world.run()
    await world.pass_time(minutes=5)
    await world.settle()
    assert world.put_off == ["lost among the pages"]
    assert all(cso.mvo_id is not None for cso in (await world.csos("contact")).values())


@pytest.mark.behaviour("FLT-13", "SYN-34")
@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("turned", [False, True], ids=["in order", "turned round"])
async def test_an_object_is_known_by_every_value_that_several_rules_unite(
    tmp_path: Path, size: int, *, turned: bool
) -> None:
    world = memory_world(tmp_path)
    plan = world.plan
    united = text(**{"multi-valued": True, "multi-value-policy": "union"})
    plan["metaverse"]["person"]["attributes"]["mails"] = united
    plan["rules"]["hr-person"]["match"] = [match("dept", "mails")]
    plan["rules"]["hr-person"]["mappings"] = {
        "id": flow("number", "id"),
        "first": flow("mails", "dept", priority=1),
        "name": flow("name"),
    }
    more = inbound("hr", "person", order=15, mappings={"second": flow("mails", "phone", priority=2)})
    plan["rules"]["hr-more"] = more
    for gone in ("manager", "phone", "ou"):
        del plan["rules"]["account"]["mappings"][gone]
    plan["run-profiles"]["sync"]["batch-size"] = size
    await world.apply()
    world.people("p0,Zed,z@x,")
    await world.run()
    rows = ["p1,Ann,a@x,b@x", "p2,Bob,b@x,"]
    world.people("p0,Zed,z@x,", *(reversed(rows) if turned else rows))
    ran = await world.run()
    assert ran["sync"].kinds() == [("join_slot_taken", "p2")]
    assert sorted(mvo.origin_key for mvo in await world.view.mvos()) == ["hr/person/p0", "hr/person/p1"]
