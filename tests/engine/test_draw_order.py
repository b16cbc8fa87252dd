"""Which draws may be settled side by side: whoever does so gets what canonical order would have given."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.site import Site, a_configuration, a_mapping, a_rule, a_system, an_object_type, attributes

from anabranch.engine.draw_order import EVERYBODY, contests, family
from anabranch.engine.draw_parts import Part, in_parts
from anabranch.engine.drawing import Drawing
from anabranch.engine.expressions.functions_identity import candidates
from anabranch.engine.keys import key_hash
from anabranch.model.configuration import Mapping as MappingRecord
from anabranch.model.configuration import UniqueValue
from anabranch.model.enums import TextCleanup
from anabranch.model.identity import MvoId, SystemId

BASES = st.text(st.sampled_from("aA\u00e4\u0308\u00df@2-\u1e9e\u0130"), min_size=1, max_size=4)
NAMED = st.sampled_from(["a", "A2", "a22", "a@x", "a2@X", "b", "b3", "\u00e4-", "a\u0308-2"])
NUMBERED = st.builds(lambda base, many: candidates(base, 2, many), NAMED, st.integers(1, 14))
OFFERS = NUMBERED | st.lists(NAMED, min_size=1, max_size=3, unique=True).map(tuple)
WANTED = st.lists(st.dictionaries(st.sampled_from(["login", "mail"]), OFFERS, min_size=1), min_size=1, max_size=12)


def pairs_of(found: Sequence[Sequence[int]]) -> array[int]:
    return array("q", [one for place, some in enumerate(found) for contest in some for one in (place, contest)])


def chains_of(parts: Sequence[Part]) -> list[list[int]]:
    """What is settled one after the other; between the chains there is no order."""
    chains: list[list[int]] = []
    for part in parts:
        if part.follows:
            chains[-1].extend(part.places)
        else:
            chains.append(list(part.places))
    return chains


@given(base=BASES, first=st.integers(-12, 12), many=st.integers(0, 30))
def test_all_that_is_numbered_from_one_base_is_one_family(base: str, first: int, many: int) -> None:
    assert {family(one) for one in candidates(base, first, first + many)} == {family(base)}


@given(BASES, BASES)
def test_what_is_one_value_is_one_family(one: str, other: str) -> None:
    if key_hash(one) == key_hash(other):
        assert family(one) == family(other)


@pytest.mark.parametrize(
    ("one", "other", "related"),
    [
        ("ann", "Ann17", True),
        ("ann@x.org", "ann2@x.org", True),
        ("ann", "anna", False),
        ("ann@x.org", "ann@y.org", False),
        ("ann", "ann@x.org", False),
    ],
)
def test_a_family_is_a_name_without_its_number(one: str, other: str, related: bool) -> None:
    assert (family(one) == family(other)) is related


@given(st.lists(st.lists(st.integers(1, 6), max_size=3, unique=True), max_size=15), st.integers(1, 5))
def test_linked_objects_are_in_one_part_or_in_parts_that_follow_one_another(found: list[list[int]], size: int) -> None:
    parts = in_parts(len(found), pairs_of(found), size)

    assert sorted(place for part in parts for place in part.places) == list(range(len(found)))
    assert all(1 <= len(part.places) <= size and part.places == sorted(part.places) for part in parts)
    chains = chains_of(parts)
    assert all(chain == sorted(chain) for chain in chains)
    of = {place: number for number, chain in enumerate(chains) for place in chain}
    for one, some in enumerate(found):
        for other, others in enumerate(found):
            assert of[one] == of[other] or set(some).isdisjoint(others)


def test_objects_without_a_common_contest_need_no_order() -> None:
    parts = in_parts(5, pairs_of([[1], [2], [1], [3], [4]]), 2)

    assert parts == [Part([0, 2], follows=False), Part([1, 3], follows=False), Part([4], follows=False)]


def test_one_object_that_may_get_in_anybodys_way_links_all() -> None:
    parts = in_parts(4, pairs_of([[1], [EVERYBODY], [2], []]), 3)

    assert parts == [Part([0, 1, 2], follows=False), Part([3], follows=True)]


def test_a_group_too_large_for_a_part_is_cut_in_canonical_order() -> None:
    parts = in_parts(4, pairs_of([[1], [2], [1], [1]]), 2)

    assert parts == [Part([0, 2], follows=False), Part([3], follows=True), Part([1], follows=False)]


@pytest.mark.behaviour("SYN-65", "SYN-66")
@given(data=st.data(), wanted=WANTED, size=st.integers(1, 4))
def test_chains_that_do_not_see_one_another_draw_what_canonical_order_gives(
    data: st.DataObject, wanted: list[dict[str, Sequence[str]]], size: int
) -> None:
    named = sorted({one for offers in wanted for some in offers.values() for one in some})
    holders = st.sampled_from([None, *range(len(wanted))])
    standing = data.draw(
        st.dictionaries(st.tuples(st.sampled_from(["login", "mail"]), st.sampled_from(named)), holders)
    )
    found = [
        contests(offers.values(), [value for (_, value), holder in standing.items() if holder == place])
        for place, offers in enumerate(wanted)
    ]

    def drawn_by(places: Sequence[int]) -> dict[tuple[int, str], str | None]:
        drawing = Drawing()
        for name in ("login", "mail"):
            drawing.looked_up(name, [key_hash(one) for one in named])
        for (name, value), holder in standing.items():
            drawing.hold(name, key_hash(value), None if holder is None else MvoId(holder))
        return {
            (place, name): drawing.draw(name, offered, MvoId(place), 12)
            for place in places
            for name, offered in wanted[place].items()
        }

    apart: dict[tuple[int, str], str | None] = {}
    for chain in chains_of(in_parts(len(wanted), pairs_of(found), size)):
        apart |= drawn_by(chain)
    assert apart == drawn_by(range(len(wanted)))


# --- rules that draw apart

NAMES = attributes("name", "login", "nick")
DRAWING = 'unique_value("login", numbered(cs["name"], 2, 9))'


def draw_apart(*mappings: MappingRecord, watched: str = "login", more: Sequence[MappingRecord] = ()) -> bool:
    """Whether the first system's rule draws apart; `more` is what the second one's does."""
    configuration = a_configuration(
        NAMES,
        [a_system(key, an_object_type(NAMES)) for key in ("hr", "second")],
        [a_rule("hr", *mappings), *([a_rule("second", *more)] if more else [])],
        unique_values={"login": UniqueValue(key="login", metaverse=f"person.{watched}")},
    )
    return SystemId(1) in Site(configuration).compiled.draws_apart


@pytest.mark.parametrize(
    ("expression", "apart"),
    [
        (DRAWING, True),
        ('unique_value("login", [cs["name"], cs["login"]])', True),
        ('lower(unique_value("login", [cs["name"]]))', False),
        ('unique_value("login", [mv["name"]])', False),
        ('unique_value("login", [unique_value("login", [cs["name"]])])', False),
    ],
)
def test_only_a_draw_by_itself_among_what_the_cso_says_is_apart(expression: str, apart: bool) -> None:
    assert draw_apart(a_mapping("login", expression=expression)) is apart


def test_a_drawn_text_that_is_cleaned_up_is_another() -> None:
    assert not draw_apart(a_mapping("login", expression=DRAWING, text_cleanup=(TextCleanup.UPPER,)))


def test_whatever_else_feeds_a_watched_attribute_entangles() -> None:
    drawing, other = a_mapping("login", expression=DRAWING), a_mapping("login", key="other")

    assert not draw_apart(drawing, other)
    assert not draw_apart(drawing, more=[other])
    assert not draw_apart(drawing, a_mapping("nick"), watched="nick")
    assert draw_apart(drawing, a_mapping("nick"))


def test_a_system_that_draws_nothing_is_not_told_of() -> None:
    assert not draw_apart(a_mapping("name"))
