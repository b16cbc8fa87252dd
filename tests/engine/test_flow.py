"""Flow through a really compiled configuration: what mappings give, keep, refuse and draw."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import altered, an_mvo
from tests.engine.site import (
    PERSON,
    Site,
    a_configuration,
    a_mapping,
    a_record,
    a_rule,
    a_system,
    an_object_type,
    attributes,
    one_source,
)

from anabranch.engine.compilation import stratify
from anabranch.engine.expressions import NeedsDraw
from anabranch.model.configuration import Mapping as MappingRecord
from anabranch.model.configuration import UniqueValue
from anabranch.model.enums import OnError, TextCleanup, ValueType, WhenMissing

TAGS = {"type": ValueType.TEXT, "multi_valued": True}
BOTH = attributes("first", "last", "name", "mail", tags=TAGS, age=ValueType.INTEGER)


def a_site(*mappings: MappingRecord, **rule: Any) -> Site:
    return one_source(BOTH, BOTH, *mappings, **rule)


def person(**doc: Any) -> Any:
    return an_mvo(type_id=PERSON, doc=doc, provenance={name: [1, 1] for name in doc})


# --- the unit


@pytest.mark.behaviour("SYN-36")
def test_an_evaluation_returns_new_records_and_leaves_its_arguments_alone() -> None:
    site, mvo, cso = a_site(a_mapping("name", "first")), person(name="Old"), a_record(first="New")

    outcome = site.flow(cso, mvo)

    assert (outcome.doc, mvo.doc, cso.doc) == ({"name": "New"}, {"name": "Old"}, {"id": "a1", "first": "New"})


@pytest.mark.behaviour("SYN-36")
def test_an_equal_value_is_no_change_at_all() -> None:
    mvo = person(name="Ann")

    outcome = a_site(a_mapping("name", "first")).flow(a_record(first="Ann"), mvo)

    assert outcome.values == ()
    assert outcome.doc is mvo.doc
    assert outcome.provenance is mvo.provenance


def test_a_changed_value_tells_old_new_and_mapping() -> None:
    outcome = a_site(a_mapping("name", "first")).flow(a_record(first="Ann"), person(name="Old"), run=7)

    assert outcome.values == (("name", "Old", "Ann", 1),)
    assert outcome.provenance == {"name": [1, 7]}


def test_only_contested_attributes_are_kept_as_contributions() -> None:
    site = a_site(a_mapping("name", "first", key="one"), a_mapping("name", "last", key="two"), a_mapping("mail"))

    outcome = site.flow(a_record(first="Ann", last="Lee", mail="a@x"))

    assert outcome.contributions == {"name": {"1": "Ann", "2": "Lee"}}


def test_a_value_that_left_its_source_leaves_the_metaverse() -> None:
    outcome = a_site(a_mapping("name", "first")).flow(a_record(), person(name="Ann"))

    assert outcome.doc == {}
    assert outcome.provenance == {}


# --- order of mappings


@pytest.mark.behaviour("MOD-39")
def test_a_mapping_sees_the_value_another_one_has_just_written() -> None:
    site = a_site(
        a_mapping("mail", expression='lower(mv["name"]) + "@x"'),
        a_mapping("name", expression='cs["first"] + cs["last"]'),
    )

    assert site.flow(a_record(first="Ann", last="Lee"), person(name="Old")).doc["mail"] == "annlee@x"


@pytest.mark.behaviour("MOD-39")
def test_strata_follow_the_dependencies_not_the_declaration() -> None:
    reads = {0: ("c", frozenset("b")), 1: ("b", frozenset("a")), 2: ("a", frozenset("x")), 3: ("d", frozenset())}

    assert stratify(reads) == [frozenset("ad"), frozenset("b"), frozenset("c")]


@pytest.mark.behaviour("MOD-39")
@pytest.mark.parametrize(
    "reads",
    [
        {0: ("a", frozenset("a"))},
        {0: ("a", frozenset("b")), 1: ("b", frozenset("a"))},
    ],
)
def test_mappings_that_read_each_other_in_a_circle_are_refused(reads: dict[int, tuple[str, frozenset[str]]]) -> None:
    with pytest.raises(ValueError, match="in a circle"):
        stratify(reads)


# --- missing inputs


@pytest.mark.behaviour("SYN-38")
@pytest.mark.parametrize(
    ("when_missing", "doc", "failures", "untouched"),
    [
        (WhenMissing.EVALUATE, {"name": "nobody", "mail": "a@x"}, [], False),
        (WhenMissing.NO_VALUE, {"mail": "a@x"}, [], False),
        (WhenMissing.FAIL_MAPPING, {"name": "Old", "mail": "a@x"}, ["missing_input"], False),
        (WhenMissing.FAIL_OBJECT, {"name": "Old"}, ["missing_input"], True),
    ],
)
def test_a_missing_input_is_treated_as_the_mapping_says(
    when_missing: WhenMissing, doc: dict[str, str], failures: list[str], untouched: bool
) -> None:
    site = a_site(
        a_mapping("name", expression='coalesce(cs["first"], "nobody")', when_missing=when_missing), a_mapping("mail")
    )

    outcome = site.flow(a_record(mail="a@x"), person(name="Old"))

    assert (outcome.doc, [kind for _, kind, _ in outcome.failures], outcome.untouched) == (doc, failures, untouched)


@pytest.mark.behaviour("SYN-38")
def test_white_space_is_not_missing() -> None:
    outcome = a_site(a_mapping("name", "first", when_missing=WhenMissing.FAIL_OBJECT)).flow(a_record(first=" "))

    assert outcome.doc == {"name": " "}


@pytest.mark.behaviour("SYN-38", "SYN-44")
def test_a_missing_input_without_value_asserts_null_where_null_is_a_value() -> None:
    site = a_site(
        a_mapping("name", "first", key="best", priority=1, when_missing=WhenMissing.NO_VALUE, null_is_value=True),
        a_mapping("name", "last", key="next", priority=2),
    )

    assert site.flow(a_record(last="Lee"), person(name="Old")).doc == {}


# --- errors

BAD = a_mapping("age", expression='to_integer(cs["first"])', on_error=OnError.FAIL_MAPPING)


@pytest.mark.behaviour("SYN-39", "TRAP-19")
def test_a_mapping_that_fails_leaves_the_whole_object_untouched() -> None:
    mvo = person(age=40, mail="old@x")

    outcome = a_site(altered(BAD, on_error=OnError.FAIL_OBJECT), a_mapping("mail")).flow(
        a_record(first="x", mail="new@x"), mvo
    )

    assert outcome.untouched
    assert outcome.doc is mvo.doc
    assert [(index, kind) for index, kind, _ in outcome.failures] == [(0, "expression_error")]


@pytest.mark.behaviour("SYN-39", "TRAP-19")
def test_a_mapping_that_may_fail_keeps_its_value_and_lets_its_siblings_flow() -> None:
    outcome = a_site(BAD, a_mapping("mail")).flow(a_record(first="x", mail="new@x"), person(age=40, mail="old@x"))

    assert outcome.doc == {"age": 40, "mail": "new@x"}
    assert [kind for _, kind, _ in outcome.failures] == ["expression_error"]


@pytest.mark.behaviour("SYN-39", "MOD-47")
def test_a_failed_mapping_keeps_its_earlier_contribution_where_others_contribute_too() -> None:
    site = a_site(altered(BAD, priority=1), a_mapping("age", key="other", priority=2))
    cso = altered(a_record(first="x", age=3), contributions={"age": {"1": 40, "2": 9}})

    outcome = site.flow(cso, person(age=40))

    assert outcome.contributions == {"age": {"1": 40, "2": 3}}
    assert outcome.doc == {"age": 40}


@pytest.mark.behaviour("SYN-39", "MOD-11")
def test_a_conversion_that_would_lose_something_is_an_error_and_never_a_stand_in() -> None:
    outcome = a_site(a_mapping("age", expression='cs["first"]', on_error=OnError.FAIL_MAPPING)).flow(
        a_record(first="40"), person(age=39)
    )

    assert outcome.doc == {"age": 39}
    assert outcome.failures[0][1] == "value_conversion_failed"


# --- null


@pytest.mark.behaviour("SYN-44")
@pytest.mark.parametrize(("null_is_value", "doc"), [(False, {"name": "Lee"}), (True, {})])
def test_a_contributor_without_a_value_abstains_or_asserts_null(null_is_value: bool, doc: dict[str, str]) -> None:
    site = a_site(
        a_mapping("name", "first", key="best", priority=1, null_is_value=null_is_value),
        a_mapping("name", "last", key="next", priority=2),
    )

    outcome = site.flow(a_record(last="Lee"), person(name="Old"))

    assert outcome.doc == doc


@pytest.mark.behaviour("SYN-45")
def test_a_rule_out_of_scope_or_disabled_asserts_nothing() -> None:
    strict = a_mapping("name", "first", priority=1, null_is_value=True)
    rules = [
        a_rule("hr", strict, key="off", enabled=False),
        a_rule("hr", a_mapping("name", "last", priority=2), key="on"),
    ]
    site = Site(a_configuration(BOTH, [a_system("hr", an_object_type(BOTH))], rules))

    assert site.flow(a_record(last="Lee")).doc == {"name": "Lee"}


# --- text and sets


@pytest.mark.behaviour("SYN-37")
@pytest.mark.parametrize(
    ("cleanup", "given", "kept"),
    [
        ((TextCleanup.TRIM,), "  Ann  Lee ", "Ann  Lee"),
        ((TextCleanup.COLLAPSE_SPACES,), " Ann \t Lee ", " Ann Lee "),
        ((TextCleanup.TITLE, TextCleanup.COLLAPSE_SPACES, TextCleanup.TRIM), " ANN   lee ", "Ann Lee"),
        ((TextCleanup.UPPER,), "ann", "ANN"),
        ((TextCleanup.LOWER,), "ANN", "ann"),
        ((TextCleanup.TRIM,), " \t ", None),
        ((TextCleanup.LOWER,), "   ", None),
    ],
)
def test_text_is_cleaned_in_order_and_blank_is_no_value(
    cleanup: tuple[TextCleanup, ...], given: str, kept: str | None
) -> None:
    outcome = a_site(a_mapping("name", "first", text_cleanup=cleanup)).flow(a_record(first=given))

    assert outcome.doc.get("name") == kept


@pytest.mark.behaviour("SYN-37")
def test_lists_are_cleaned_value_by_value() -> None:
    outcome = a_site(a_mapping("tags", text_cleanup=(TextCleanup.TRIM,))).flow(a_record(tags=[" b", "a", "  "]))

    assert outcome.doc == {"tags": ["a", "b"]}


@pytest.mark.behaviour("SYN-37")
def test_other_types_are_not_cleaned() -> None:
    outcome = a_site(a_mapping("age", text_cleanup=(TextCleanup.UPPER,))).flow(a_record(age=7))

    assert outcome.doc == {"age": 7}


@pytest.mark.behaviour("SYN-40", "MOD-43")
@pytest.mark.parametrize(
    ("tags", "name"), [(["Ann"], "Ann"), (["Ann", "Ann "], "Ann"), (["Ann", "  "], "Ann"), ([], None)]
)
def test_many_values_feed_a_single_one_when_one_is_left_after_cleanup(tags: list[str], name: str | None) -> None:
    outcome = a_site(a_mapping("name", "tags", text_cleanup=(TextCleanup.TRIM,))).flow(a_record(tags=tags))

    assert outcome.doc.get("name") == name
    assert outcome.failures == ()


@pytest.mark.behaviour("SYN-40")
def test_of_several_values_none_is_picked() -> None:
    outcome = a_site(a_mapping("name", "tags")).flow(a_record(tags=["Ann", "Lee"]), person(name="Old"))

    assert outcome.untouched
    assert outcome.failures[0][1] == "multiple_values_for_single"


@pytest.mark.behaviour("MOD-9", "MOD-43")
def test_a_list_becomes_a_set_in_canonical_order_without_nulls() -> None:
    outcome = a_site(a_mapping("tags", expression='["b", cs["first"], "a", "b", ""]')).flow(a_record())

    assert outcome.doc == {"tags": ["a", "b"]}


# --- draws


def a_drawing_site(*more: MappingRecord) -> Site:
    drawing = a_mapping("name", expression='unique_value("login", numbered(cs["first"], 2, 9))')
    configuration = a_configuration(
        BOTH,
        [a_system("hr", an_object_type(BOTH))],
        [a_rule("hr", drawing, *more)],
        unique_values={"login": UniqueValue(key="login", metaverse="person.name")},
    )
    return Site(configuration)


def nothing_drawn(name: str, candidates: tuple[str, ...]) -> str:
    raise NeedsDraw(name, candidates)


@pytest.mark.behaviour("SYN-66")
def test_a_value_that_must_be_drawn_first_is_owed_and_told_to_nobody() -> None:
    mvo = person()

    outcome = a_drawing_site(a_mapping("mail", expression='mv["name"] + "@x"')).flow(
        a_record(first="ann"), mvo, draw=nothing_drawn
    )

    assert outcome.owes_draw
    assert (outcome.untouched, outcome.failures, outcome.doc) == (False, (), {})


@pytest.mark.behaviour("SYN-64")
def test_an_evaluation_that_owes_a_draw_tells_other_failures_only_when_it_is_made_again() -> None:
    site = a_drawing_site(BAD)

    first = site.flow(a_record(first="ann"), draw=nothing_drawn)
    again = site.flow(a_record(first="ann"), draw=lambda _name, offered: offered[0])

    assert first.failures == ()
    assert [kind for _, kind, _ in again.failures] == ["expression_error"]


@pytest.mark.behaviour("SYN-64", "SYN-66")
def test_what_reads_a_drawn_value_flows_with_it() -> None:
    site = a_drawing_site(a_mapping("mail", expression='mv["name"] + "@x"'))

    outcome = site.flow(a_record(first="ann"), draw=lambda _name, offered: offered[1])

    assert outcome.doc == {"name": "ann2", "mail": "ann2@x"}


@pytest.mark.behaviour("SYN-67")
def test_a_value_held_before_is_drawn_again_whatever_the_candidates_are_now() -> None:
    outcome = a_drawing_site().flow(a_record(first="changed"), draw=lambda _name, _offered: "ann")

    assert outcome.doc == {"name": "ann"}
