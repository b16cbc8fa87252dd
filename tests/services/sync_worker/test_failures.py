"""Bad expressions, unreadable scopes and what they leave untouched."""

from __future__ import annotations

from typing import Any

import pytest
from tests.services.driver import World
from tests.services.organisation import flow


def with_number(world: World, **more: Any) -> None:
    """The department must be a number."""
    world.plan["rules"]["hr-person"]["mappings"]["dept"] = flow(
        "dept", expression='to_text(to_integer(cs["dept"]) + 1)', **more
    )


@pytest.mark.behaviour("MOD-42", "SYN-39", "SYN-92")
async def test_a_bad_expression_leaves_its_object_untouched_and_the_others_go_on(any_world: World) -> None:
    world = any_world
    with_number(world)
    await world.apply()
    world.people("p1,Ann,1", "p2,Bob,2")
    await world.run()
    world.people("p1,Anna,one", "p2,Bobby,3")
    ran = await world.run()
    (error,) = ran["sync"].errors
    assert (error.kind, error.key, ran["sync"].state) == ("expression_error", "p1", "completed_with_errors")
    assert "dept" in error.message
    assert (await world.mvo("p1")).doc["name"] == "Ann"
    assert (await world.mvo("p2")).doc == {"number": "p2", "name": "Bobby", "dept": "4"}
    assert world.target()["p1"]["cn"] == ["Ann"]
    assert world.target()["p2"]["cn"] == ["Bobby"]


@pytest.mark.behaviour("SYN-92", "SYN-2")
async def test_what_failed_is_tried_again_by_the_next_run_and_succeeds_when_mended(world: World) -> None:
    with_number(world)
    await world.apply()
    world.people("p1,Ann,one", "p2,Bob,2")
    ran = await world.run()
    assert ran["sync"].kinds() == [("expression_error", "p1")]
    assert "p1" not in world.target()
    ran = await world.run()
    assert ran["sync"].kinds() == [("expression_error", "p1")]
    with_number(world, **{"on-error": "fail-mapping"})
    await world.apply()
    ran = await world.run()
    assert ran["sync"].kinds() == [("expression_error", "p1")]
    assert (await world.mvo("p1")).doc == {"number": "p1", "name": "Ann"}
    world.people("p1,Ann,1", "p2,Bob,2")
    ran = await world.run()
    assert (ran["sync"].errors, (await world.mvo("p1")).doc["dept"]) == ([], "2")
    assert world.target()["p1"]["ou"] == ["2"]


@pytest.mark.behaviour("SYN-39")
async def test_a_failed_mapping_keeps_its_earlier_value_and_lets_its_siblings_flow(world: World) -> None:
    with_number(world, **{"on-error": "fail-mapping"})
    await world.apply()
    world.people("p1,Ann,1")
    await world.run()
    world.people("p1,Anna,one")
    await world.run()
    assert (await world.mvo("p1")).doc == {"number": "p1", "name": "Anna", "dept": "2"}


@pytest.mark.behaviour("SYN-17")
async def test_a_scope_that_cannot_be_evaluated_never_counts_as_false(world: World) -> None:
    await world.apply()
    world.people("p1,Ann,1", "p2,Bob,2")
    await world.run()
    world.plan["rules"]["hr-person"]["scope"] = {"expression": 'to_integer(cs["dept"]) > 0'}
    await world.apply()
    world.people("p1,Ann,one", "p2,Bob,2")
    ran = await world.run()
    assert ran["sync"].kinds() == [("scope_error", "p1")]
    assert ran["sync"].changed("disconnected") == []
    assert (await world.mvo("p1")).doc["dept"] == "1"


@pytest.mark.behaviour("SYN-74")
async def test_an_outbound_expression_that_fails_stages_nothing_for_its_object_alone(world: World) -> None:
    account = world.plan["rules"]["account"]["mappings"]
    account["ou"] = flow("ou", expression='to_text(to_integer(mv["dept"]))')
    await world.apply()
    world.people("p1,Ann,one", "p2,Bob,2")
    ran = await world.run()
    assert ran["sync"].kinds() == [("expression_error", "hr/person/p1")]
    assert sorted(world.target()) == ["p2"]
    account["ou"] = flow("ou", "dept")
    await world.apply()
    await world.run()
    assert world.target()["p1"]["ou"] == ["one"]


@pytest.mark.behaviour("SYN-74")
async def test_an_outbound_failure_stays_owed_until_it_is_mended_in_the_source(world: World) -> None:
    world.plan["rules"]["account"]["mappings"]["ou"] = flow("ou", expression='to_text(to_integer(mv["dept"]))')
    await world.apply()
    world.people("p1,Ann,one")
    await world.run()
    ran = await world.run()
    assert ran["sync"].kinds() == [("expression_error", "hr/person/p1")]
    world.people("p1,Ann,1")
    ran = await world.run()
    assert (ran["sync"].errors, world.target()["p1"]["ou"]) == ([], ["1"])


@pytest.mark.behaviour("SYN-38")
@pytest.mark.parametrize(
    ("when_missing", "kinds", "doc"),
    [
        ("evaluate", [], {"number": "p1", "name": "Ann", "phone": "none"}),
        ("no-value", [], {"number": "p1", "name": "Ann"}),
        ("fail-mapping", [("missing_input", "p1")], {"number": "p1", "name": "Ann"}),
        ("fail-object", [("missing_input", "p1")], {}),
    ],
)
async def test_a_missing_input_does_what_the_mapping_says(
    world: World, when_missing: str, kinds: list[tuple[str, str]], doc: dict[str, str]
) -> None:
    world.plan["rules"]["hr-person"]["mappings"]["phone"] = flow(
        "phone", expression='coalesce(cs["phone"], "none")', **{"when-missing": when_missing}
    )
    await world.apply()
    world.people("p1,Ann")
    ran = await world.run()
    assert (ran["sync"].kinds(), (await world.mvo("p1")).doc) == (kinds, doc)
