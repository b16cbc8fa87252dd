"""Newcomers about whom nothing is special go a shorter way: what is written is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.services.driver import World
from tests.services.organisation import flow, match, outbound, text, with_phonebook

from anabranch.model.changes import Changes
from anabranch.sync_worker import matching, projecting

PEOPLE = (
    "p1,Ann,Sales,1", "p2,Bob,,2", "p3,Eve,Audit,", "p4,,Sales,many", "p5,Kim,Audit,5", "p6,Joy,,", "p7,Ann,Sales,7",
)  # fmt: skip
Change = Callable[[dict[str, Any]], object]


def hide_the_phone(plan: dict[str, Any]) -> None:
    plan["metaverse"]["person"]["attributes"]["phone"]["sensitive"] = True


def only_sales(plan: dict[str, Any]) -> None:
    plan["rules"]["entry"]["scope"] = {"attribute": "dept", "operator": "equals", "value": "Sales"}


def not_everybody_is_projected(plan: dict[str, Any]) -> None:
    plan["rules"]["hr-person"]["scope"] = {"attribute": "dept", "operator": "present"}


def numbers_are_computed(plan: dict[str, Any]) -> None:
    plan["rules"]["hr-person"]["mappings"]["phone"] = flow("phone", expression='to_text(to_integer(cs["phone"]))')


def numbers_are_computed_for_the_book(plan: dict[str, Any]) -> None:
    plan["rules"]["entry"]["mappings"]["phone"] = flow("phone", expression='to_text(to_integer(mv["phone"]))')


def an_asserted_null(plan: dict[str, Any]) -> None:
    plan["rules"]["hr-person"]["mappings"]["dept"]["null-is-value"] = True


def the_name_is_missing(plan: dict[str, Any]) -> None:
    plan["rules"]["hr-person"]["mappings"]["name"]["when-missing"] = "fail-object"


def the_anchor_is_missing(plan: dict[str, Any]) -> None:
    plan["rules"]["entry"]["mappings"]["id"] = flow("id", "name")


def found_by_name_too(plan: dict[str, Any]) -> None:
    plan["rules"]["hr-person"]["match"].append(match("name", "name"))


def the_scope_fails(plan: dict[str, Any]) -> None:
    plan["rules"]["entry"]["scope"] = {"expression": 'to_integer(mv["phone"]) > 1'}


def two_books(plan: dict[str, Any]) -> None:
    copy = msgspec.json.decode(msgspec.json.encode(plan["systems"]["phonebook"]))
    copy["options"]["directory"] += "2"
    plan["systems"]["other"] = copy
    plan["rules"]["other"] = outbound(
        "other", "entry", order=30, mappings={"id": flow("id", "number"), "name": flow("name", "dept")}
    )


def a_rule_that_is_off(plan: dict[str, Any]) -> None:
    plan["rules"]["off"] = outbound(
        "phonebook", "entry", order=5, enabled=False, mappings={"id": flow("id", "name"), "name": flow("name", "dept")}
    )


def nobody_is_provisioned(plan: dict[str, Any]) -> None:
    plan["rules"]["entry"]["provision"] = False


def several_phones(plan: dict[str, Any]) -> None:
    entry = plan["systems"]["phonebook"]["object-types"]["entry"]["attributes"]
    entry["phone"] = text(**{"multi-valued": True})


def nothing(_: dict[str, Any]) -> None:
    """The plan as it is."""


KINDS: list[Change] = [
    nothing, hide_the_phone, only_sales, not_everybody_is_projected, numbers_are_computed,
    numbers_are_computed_for_the_book, an_asserted_null, the_name_is_missing, the_anchor_is_missing, found_by_name_too,
    the_scope_fails, two_books, a_rule_that_is_off, nobody_is_provisioned, several_phones,
]  # fmt: skip
STRAIGHT = {
    "not_everybody_is_projected": 5, "numbers_are_computed": 6, "numbers_are_computed_for_the_book": 6,
    "an_asserted_null": 5, "the_name_is_missing": 6, "the_anchor_is_missing": 6, "found_by_name_too": 5,
    "the_scope_fails": 6,
}  # fmt: skip
"""How many of the seven go the short way: all but those about whom the plan makes something special."""


@pytest.mark.behaviour("SYN-33", "SYN-69", "SYN-70", "SYN-71", "SYN-74")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_the_short_way_writes_what_the_long_one_does(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: Change
) -> None:
    with_phonebook(world.plan, world.place)
    kind(world.plan)
    await world.apply()
    world.people(*PEOPLE)
    await world.one("import")
    seen: list[Changes] = []
    straight: list[int] = []
    settle, take = matching._Settler.settle, projecting.StraightWay.take

    def counted(self: projecting.StraightWay, *given: Any) -> Any:
        found = take(self, *given)
        straight.append(found is not None)
        return found

    def both(self: matching._Settler) -> Changes:
        task, found = self._task, self._found
        with monkeypatch.context() as patch:
            patch.setattr(matching, "is_straight", lambda *_: False)
            long = matching._Settler(task, found)
            seen.append(settle(long))
        seen.append(settle(self))
        return seen[-1]

    monkeypatch.setattr(projecting.StraightWay, "take", counted)
    monkeypatch.setattr(matching._Settler, "settle", both)
    await world.one("sync")
    for long, short in zip(seen[::2], seen[1::2], strict=True):
        assert msgspec.to_builtins(short) == msgspec.to_builtins(long)
    assert sum(straight) == STRAIGHT.get(kind.__name__, len(PEOPLE))
    assert any(one.new_mvos for one in seen)
