"""Who gives an attribute its value: a function of the contributions present, never of who came last."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import altered, an_attribute, an_mvo
from tests.engine.site import (
    PERSON,
    SECOND,
    Site,
    a_configuration,
    a_mapping,
    a_record,
    a_rule,
    a_system,
    an_object_type,
    attributes,
)

from anabranch.engine.election import KEPT_MARK, NULL_MARK, Ranking, apply_elections, elect
from anabranch.engine.flow import recall
from anabranch.model.configuration import Mapping as MappingRecord
from anabranch.model.enums import MultiValuePolicy, ValueType
from anabranch.model.identity import RunId
from anabranch.model.objects import Cso, Mvo

RUN, LATER = RunId(1), RunId(2)
TITLE, TAGS = an_attribute("title"), an_attribute("tags", multi_valued=True)
UNION = altered(TAGS, multi_value_policy=MultiValuePolicy.UNION)


def ranked(*mappings: int, attribute: Any = TITLE, also: tuple[int, ...] = ()) -> Ranking:
    """Mappings best first; `also` are known and disabled."""
    return Ranking(attribute, mappings, frozenset((*mappings, *also)))


# --- the choice


@pytest.mark.behaviour("SYN-43", "SYN-44")
@pytest.mark.parametrize(
    ("offers", "value", "provenance"),
    [
        ({1: "A", 2: "B"}, "A", [1, LATER]),
        ({2: "B"}, "B", [2, LATER]),
        ({1: None, 2: "B"}, None, [1, LATER, NULL_MARK]),
        ({2: None}, None, [2, LATER, NULL_MARK]),
        ({3: "unranked"}, None, None),
        ({}, None, None),
    ],
)
def test_the_best_ranked_value_or_asserted_null_wins(
    offers: dict[int, Any], value: str | None, provenance: list[Any] | None
) -> None:
    outcome = elect(ranked(1, 2), offers, None, None, LATER)

    assert (outcome.value, outcome.provenance) == (value, provenance)


@pytest.mark.behaviour("SYN-46")
@pytest.mark.parametrize("offers", [{2: "B"}, {2: "B", 3: "C"}])
def test_the_next_contributor_takes_over_when_the_winner_withdraws(offers: dict[int, str]) -> None:
    outcome = elect(ranked(1, 2, 3), offers, "A", [1, RUN], LATER)

    assert (outcome.value, outcome.provenance, outcome.value_changed) == ("B", [2, LATER], True)


@pytest.mark.behaviour("SYN-47", "TRAP-22")
@pytest.mark.parametrize(
    ("attribute", "old", "new"),
    [
        (TITLE, "Boss", "Boss"),
        (an_attribute(case_sensitive=False), "Boss", "BOSS"),
        (TAGS, ["a", "b"], ["a", "b"]),
    ],
)
def test_an_equal_value_of_a_new_winner_changes_only_the_provenance(attribute: Any, old: Any, new: Any) -> None:
    outcome = elect(ranked(1, 2, attribute=attribute), {2: new}, old, [1, RUN], LATER)

    assert (outcome.value, outcome.value_changed) == (old, False)
    assert (outcome.provenance, outcome.provenance_changed) == ([2, LATER], True)


@pytest.mark.behaviour("SYN-43", "MOD-20")
def test_a_value_that_stands_keeps_the_run_it_stands_since() -> None:
    outcome = elect(ranked(1), {1: "A"}, "A", [1, RUN], LATER)

    assert (outcome.provenance, outcome.value_changed, outcome.provenance_changed) == ([1, RUN], False, False)


@pytest.mark.behaviour("SYN-44")
def test_a_null_that_stands_keeps_the_run_it_stands_since() -> None:
    outcome = elect(ranked(1), {1: None}, None, [1, RUN, NULL_MARK], LATER)

    assert (outcome.provenance, outcome.value_changed) == ([1, RUN, NULL_MARK], False)
    assert not outcome.provenance_changed


@pytest.mark.behaviour("SYN-44")
def test_without_any_opinion_the_value_goes() -> None:
    outcome = elect(ranked(1, 2), {}, "A", [1, RUN], LATER)

    assert (outcome.value, outcome.provenance, outcome.value_changed) == (None, None, True)


# --- kept values


@pytest.mark.behaviour("SYN-41", "SYN-44")
def test_what_a_disabled_mapping_wrote_stays_as_a_kept_value() -> None:
    outcome = elect(ranked(2, also=(1,)), {}, "A", [1, RUN], LATER)

    assert (outcome.value, outcome.provenance, outcome.value_changed) == ("A", [1, RUN, KEPT_MARK], False)


@pytest.mark.behaviour("SYN-44")
def test_a_kept_value_stays_kept_evaluation_after_evaluation() -> None:
    outcome = elect(ranked(1), {}, "A", [1, RUN, KEPT_MARK], LATER)

    assert (outcome.value, outcome.provenance_changed) == ("A", False)


@pytest.mark.behaviour("SYN-44")
@pytest.mark.parametrize(("offers", "value"), [({3: "C"}, "C"), ({3: None}, None)])
def test_a_kept_value_ranks_below_every_living_contribution(offers: dict[int, Any], value: str | None) -> None:
    outcome = elect(ranked(1, 2, 3), offers, "A", [1, RUN, KEPT_MARK], LATER)

    assert outcome.value == value


@pytest.mark.behaviour("SYN-44")
def test_a_kept_value_that_is_given_again_is_living_again() -> None:
    outcome = elect(ranked(1), {1: "A"}, "A", [1, RUN, KEPT_MARK], LATER)

    assert (outcome.provenance, outcome.value_changed) == ([1, LATER], False)


# --- sets


@pytest.mark.behaviour("SYN-48")
def test_a_set_goes_whole_to_the_winner() -> None:
    assert elect(ranked(1, 2, attribute=TAGS), {1: ["b"], 2: ["a", "c"]}, None, None, RUN).value == ["b"]


@pytest.mark.behaviour("SYN-48")
def test_a_union_holds_the_values_of_all_with_the_provenance_of_the_best() -> None:
    outcome = elect(ranked(1, 2, 3, attribute=UNION), {3: ["c"], 2: ["b", "a"]}, None, None, RUN)

    assert (outcome.value, outcome.provenance) == (["a", "b", "c"], [2, RUN])


@pytest.mark.behaviour("SYN-44", "SYN-48")
def test_a_union_of_nothing_but_an_asserted_null_is_empty_and_says_so() -> None:
    outcome = elect(ranked(1, 2, attribute=UNION), {2: None}, ["kept"], [1, RUN, KEPT_MARK], LATER)

    assert (outcome.value, outcome.provenance) == (None, [2, LATER, NULL_MARK])


@pytest.mark.behaviour("SYN-43")
@given(
    offers=st.dictionaries(st.integers(1, 4), st.none() | st.sampled_from(["A", "B"])),
    before=st.none() | st.sampled_from(["A", "B"]),
)
def test_the_outcome_is_the_same_whatever_stood_there(offers: dict[int, Any], before: str | None) -> None:
    ranking = ranked(3, 1, 2, 4)
    fresh = elect(ranking, offers, None, None, RUN)
    again = elect(ranking, offers, before, [1, RUN] if before else None, RUN)

    assert (again.value, again.provenance) == (fresh.value, fresh.provenance)
    assert again.value_changed is (again.value != before)


@pytest.mark.behaviour("SYN-43")
def test_electing_leaves_its_arguments_alone() -> None:
    doc, provenance = {"title": "A", "other": 1}, {"title": [1, RUN]}

    new_doc, new_provenance, changes = apply_elections(
        [("title", ranked(1))], {"title": {1: "B"}}, doc, provenance, LATER
    )

    assert (doc, provenance) == ({"title": "A", "other": 1}, {"title": [1, RUN]})
    assert (new_doc, new_provenance) == ({"title": "B", "other": 1}, {"title": [1, LATER]})
    assert changes == [("title", "A", "B", 1)]


# --- ranks of a compiled configuration

BOTH = attributes("title", "name", tags={"type": ValueType.TEXT, "multi_valued": True})


def ranks_of(*rules: Any) -> tuple[int, ...]:
    systems = [a_system(key, an_object_type(BOTH)) for key in dict.fromkeys(rule.system for rule in rules)]
    return Site(a_configuration(BOTH, systems, rules)).side.rankings["title"].mappings


@pytest.mark.behaviour("SYN-42")
def test_the_lowest_priority_number_ranks_first_and_unranked_mappings_last() -> None:
    ranks = ranks_of(
        a_rule("hr", a_mapping("title", key="none"), a_mapping("title", key="two", priority=2)),
        a_rule("second", a_mapping("title", priority=0)),
    )

    assert ranks == (3, 2, 1)


@pytest.mark.behaviour("SYN-42")
def test_ties_go_by_rule_order_then_mapping_key() -> None:
    ranks = ranks_of(
        a_rule("hr", a_mapping("title", key="b"), a_mapping("title", key="a"), order=20),
        a_rule("second", a_mapping("title"), order=10),
    )

    assert ranks == (3, 2, 1)


@pytest.mark.behaviour("SYN-41", "SYN-45")
def test_disabled_mappings_and_rules_are_known_and_do_not_rank() -> None:
    rules = [
        a_rule("hr", a_mapping("title", enabled=False)),
        a_rule("second", a_mapping("title"), enabled=False),
        a_rule("third", a_mapping("title")),
    ]
    systems = [a_system(key, an_object_type(BOTH)) for key in ("hr", "second", "third")]

    ranking = Site(a_configuration(BOTH, systems, rules)).side.rankings["title"]

    assert (ranking.mappings, ranking.known) == ((3,), frozenset({1, 2, 3}))


# --- several contributors


def two_systems(*more: MappingRecord, **metaverse: Any) -> Site:
    """`hr` ranks before `second` for the title."""
    known = attributes("title", "name", **metaverse)
    return Site(
        a_configuration(
            known,
            [a_system("hr", an_object_type(BOTH)), a_system("second", an_object_type(BOTH))],
            [
                a_rule("hr", a_mapping("title", priority=1), *more),
                a_rule("second", a_mapping("title", priority=2), *more),
            ],
        )
    )


def settle(site: Site, order: tuple[Cso, ...]) -> tuple[Mvo, dict[int, Cso]]:
    """Each record evaluated in turn, with what the others contributed by then."""
    mvo, joined = an_mvo(type_id=PERSON), {int(cso.id): cso for cso in order}
    for cso in order:
        others = [one for one in joined.values() if one.id != cso.id]
        outcome = site.flow(cso, mvo, others)
        mvo = altered(mvo, doc=outcome.doc, provenance=outcome.provenance)
        joined[int(cso.id)] = altered(cso, contributions=outcome.contributions)
    return mvo, joined


@pytest.mark.behaviour("SYN-43", "MOD-47")
def test_the_order_of_evaluation_does_not_matter() -> None:
    site = two_systems()
    records = (a_record(title="Boss"), a_record(SECOND, title="Clerk"))

    outcomes = [settle(site, order)[0] for order in permutations(records)]

    assert [one.doc for one in outcomes] == [{"title": "Boss"}] * 2
    assert [one.provenance for one in outcomes] == [{"title": [1, 1]}] * 2


@pytest.mark.behaviour("SYN-49")
def test_a_contributor_that_is_not_elected_may_change_without_any_effect() -> None:
    site = two_systems()
    mvo, joined = settle(site, (a_record(title="Boss"), a_record(SECOND, title="Clerk")))

    outcome = site.flow(altered(joined[2], doc={"id": "a2", "title": "Porter"}), mvo, [joined[1]], run=2)

    assert (outcome.values, outcome.doc) == ((), mvo.doc)
    assert outcome.doc is mvo.doc
    assert outcome.contributions == {"title": {"2": "Porter"}}


@pytest.mark.behaviour("SYN-46", "MOD-47")
def test_a_withdrawn_value_is_replaced_from_what_the_others_stored() -> None:
    site = two_systems()
    mvo, joined = settle(site, (a_record(title="Boss"), a_record(SECOND, title="Clerk")))

    outcome = site.flow(altered(joined[1], doc={"id": "a1"}), mvo, [joined[2]], run=2)

    assert outcome.doc == {"title": "Clerk"}
    assert outcome.provenance == {"title": [2, 2]}


@pytest.mark.behaviour("SYN-22", "SYN-46")
def test_recall_hands_over_to_the_next_contributor() -> None:
    site = two_systems()
    mvo, joined = settle(site, (a_record(title="Boss"), a_record(SECOND, title="Clerk")))

    doc, provenance, changes = recall(site.side, mvo, frozenset({1}), [joined[2]], LATER, keep=False)

    assert (doc, provenance) == ({"title": "Clerk"}, {"title": [2, LATER]})
    assert changes == [("title", "Boss", "Clerk", 2)]


@pytest.mark.behaviour("SYN-59")
@pytest.mark.parametrize(("keep", "doc"), [(False, {}), (True, {"title": "Boss"})])
def test_during_grace_a_value_nobody_else_gives_stays(keep: bool, doc: dict[str, str]) -> None:
    site = two_systems()
    mvo, _ = settle(site, (a_record(title="Boss"),))

    assert recall(site.side, mvo, frozenset({1}), [], LATER, keep=keep)[0] == doc


@pytest.mark.behaviour("SYN-46", "SYN-48")
def test_a_leaver_takes_its_members_of_a_union_along_though_another_won_it() -> None:
    union = {"type": ValueType.TEXT, "multi_valued": True, "multi_value_policy": MultiValuePolicy.UNION}
    site = two_systems(a_mapping("tags", priority=1), tags=union)
    mvo, joined = settle(site, (a_record(tags=["a"]), a_record(SECOND, tags=["b"])))

    doc, _, _ = recall(site.side, mvo, frozenset({3, 4}), [joined[1]], LATER, keep=False)

    assert mvo.doc == {"tags": ["a", "b"]}
    assert doc == {"tags": ["a"]}
