"""Account names nobody else has: who gets which, and for how long."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import pairwise, permutations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.services.conftest import memory_world
from tests.services.driver import World
from tests.services.organisation import flow, text

from anabranch.engine.draw_order import EVERYBODY
from anabranch.engine.draw_parts import Part, in_parts
from anabranch.model.enums import JoinType
from anabranch.sync_worker import reserving


def with_logins(world: World, last: int = 9) -> None:
    world.plan["metaverse"]["person"]["attributes"]["login"] = text(**{"case-sensitive": False})
    world.plan["unique-values"] = {"login": {"metaverse": "person.login", "targets": ["directory.account.uid"]}}
    mappings = world.plan["rules"]["hr-person"]["mappings"]
    mappings["login"] = flow("login", expression=f'unique_value("login", numbered(lower(cs["name"]), 2, {last}))')
    account = world.plan["rules"]["account"]["mappings"]
    account["uid"] = flow("uid", "login")
    account["dn"] = flow("dn", expression='"uid=" + escape_dn(mv["login"]) + ",ou=people,dc=x"')


async def logins(world: World) -> dict[str, str | None]:
    return {anchor: mvo.doc.get("login") for anchor, mvo in (await world.mvos()).items()}


@pytest.mark.behaviour("SYN-64", "SYN-66")
@pytest.mark.parametrize("order", list(permutations(["p1,Ann", "p2,ANN", "p3,ann"])))
async def test_one_name_for_three_goes_in_canonical_order_whatever_the_order_of_the_file(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    world = memory_world(tmp_path)
    with_logins(world)
    world.plan["run-profiles"]["sync"]["batch-size"] = 1
    await world.apply()
    world.people(*order)
    await world.run()
    assert await logins(world) == {"p1": "ann", "p2": "ann2", "p3": "ann3"}
    assert sorted(world.target()) == ["ann", "ann2", "ann3"]


@pytest.mark.behaviour("SYN-67")
async def test_a_drawn_value_stays_when_the_candidates_change(world: World) -> None:
    with_logins(world)
    await world.apply()
    world.people("p1,Ann", "p2,Ann")
    await world.run()
    world.people("p1,Beth,Sales", "p2,Ann,Sales")
    await world.run()
    await world.run("full-sync")
    assert await logins(world) == {"p1": "ann", "p2": "ann2"}
    assert world.target()["ann"]["cn"] == ["Beth"]


@pytest.mark.behaviour("SYN-68", "SYN-92")
async def test_who_finds_no_free_candidate_is_reported_and_gets_no_account(world: World) -> None:
    with_logins(world, last=2)
    await world.apply()
    world.people("p1,Ann", "p2,Ann", "p3,Ann", "p4,Bob")
    ran = await world.run()
    assert ran["sync"].kinds() == [("unique_value_exhausted", "p3")]
    assert await logins(world) == {"p1": "ann", "p2": "ann2", "p3": None, "p4": "bob"}
    assert (await world.mvo("p3")).doc == {}
    assert sorted(world.target()) == ["ann", "ann2", "bob"]
    assert (await world.run())["sync"].kinds() == [("unique_value_exhausted", "p3")]
    world.people("p1,Ann", "p2,Ann", "p3,Anne", "p4,Bob")
    ran = await world.run()
    assert (ran["sync"].errors, (await logins(world))["p3"]) == ([], "anne")


@pytest.mark.behaviour("SYN-68", "SYN-61")
async def test_a_name_is_free_again_some_time_after_its_person_has_gone(any_world: World) -> None:
    world = any_world
    with_logins(world)
    world.plan["unique-values"]["login"]["reuse-after"] = "30d"
    await world.apply()
    world.people("p1,Ann", "p2,Bob")
    await world.run()
    world.people("p2,Bob")
    await world.run()
    world.people("p2,Bob", "p3,Ann")
    await world.run()
    assert (await logins(world))["p3"] == "ann2"
    await world.pass_time(days=31)
    world.people("p2,Bob", "p3,Ann", "p4,Ann")
    await world.run()
    assert (await logins(world))["p4"] == "ann"


@pytest.mark.behaviour("SYN-65")
async def test_a_name_that_a_foreign_account_holds_is_not_free(world: World) -> None:
    with_logins(world)
    await world.apply()
    world.write(
        "directory.ldif",
        "version: 1",
        "",
        "dn: uid=Ann,ou=people,dc=x",
        "objectClass: inetOrgPerson",
        "uid: Ann",
        "cn: x",
    )
    await world.run("confirm")
    world.people("p1,Ann")
    await world.run()
    assert await logins(world) == {"p1": "ann2"}
    assert sorted(world.target()) == ["Ann", "ann2"]
    assert (await world.csos("account"))["Ann"].join_type is JoinType.NONE


@pytest.mark.behaviour("SYN-64")
async def test_a_mapping_that_reads_the_drawn_value_flows_with_it(world: World) -> None:
    with_logins(world)
    world.plan["rules"]["hr-person"]["mappings"]["phone"] = flow("phone", expression='mv["login"] + "@example.org"')
    await world.apply()
    world.people("p1,Ann", "p2,Ann")
    await world.run()
    assert (await world.mvo("p2")).doc["phone"] == "ann2@example.org"
    assert world.target()["ann2"]["telephoneNumber"] == ["ann2@example.org"]


# --- side by side


@pytest.mark.behaviour("SYN-65", "SYN-66", "SYN-67")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    weeks=st.lists(
        st.lists(
            st.sampled_from(["Ann", "ANN", "ann2", "ann22", "Bea", "bea-", "Bea@x", "Cy"]), min_size=1, max_size=9
        ),
        min_size=1,
        max_size=2,
    ),
    taken=st.sets(st.sampled_from(["ann", "ann3", "bea", "bea2@x", "cy2"])),
    size=st.integers(1, 3),
)
async def test_groups_settled_in_any_order_draw_what_one_after_the_other_draws(
    tmp_path_factory: pytest.TempPathFactory, weeks: list[list[str]], taken: set[str], size: int
) -> None:
    async def play(cut: Callable[[int, array[int], int], list[Part]]) -> dict[str, str | None]:
        world = memory_world(tmp_path_factory.mktemp("world"))
        with_logins(world, last=5)
        world.plan["run-profiles"]["sync"]["batch-size"] = size
        foreign = (("", f"dn: uid={one},ou=people,dc=x", "objectClass: inetOrgPerson", f"uid: {one}") for one in taken)
        world.write("directory.ldif", "version: 1", *(line for entry in foreign for line in entry))
        await world.apply()
        await world.run("confirm")
        people: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reserving, "in_parts", cut)
            for names in weeks:
                people.extend(f"p{len(people) + place},{name}" for place, name in enumerate(names))
                world.people(*people)
                await world.run()
        return await logins(world)

    def serially(count: int, _pairs: array[int], size: int) -> list[Part]:
        return in_parts(count, array("q", [0, EVERYBODY]), size)

    def backwards(count: int, pairs: array[int], size: int) -> list[Part]:
        parts = in_parts(count, pairs, size)
        starts = [n for n, part in enumerate(parts) if not part.follows]
        chains = [parts[a:b] for a, b in pairwise([*starts, len(parts)])]
        return [part for chain in reversed(chains) for part in chain]

    assert await play(backwards) == await play(serially)
