"""How a record finds its metaverse object, or becomes the origin of one."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.site import (
    PERSON,
    Site,
    a_configuration,
    a_context,
    a_mapping,
    a_match,
    a_rule,
    a_system,
    an_object_type,
    attributes,
)

from anabranch.engine.expressions import EvaluationError, NeedsDraw
from anabranch.engine.joining import (
    Hits,
    Lookup,
    Search,
    candidates,
    find_partner,
    projection_rule,
    searches,
    wanted_hashes,
    would_be_keys,
)
from anabranch.engine.keys import key_changes, key_hash, keys_of
from anabranch.model.configuration import Criterion, MatchCondition, MatchRule, Source, UniqueValue
from anabranch.model.enums import ValueType
from anabranch.model.identity import MvoId
from anabranch.model.objects import KeyHit

ACTIVE = Criterion(attribute="status", operator="equals", value="active")
OTHERS = {"type": ValueType.TEXT, "multi_valued": True}
METAVERSE = attributes(
    "number",
    "name",
    mails=OTHERS,
    login={"type": ValueType.TEXT, "case_sensitive": False},
    born=ValueType.DATETIME,
    pay=ValueType.DECIMAL,
    guid=ValueType.UUID,
)
SOURCE = attributes("number", "name", "status", "guid", mails=OTHERS, born=ValueType.DATETIME, grade=ValueType.INTEGER)


def a_site(*rules: Any, **fields: Any) -> Site:
    return Site(a_configuration(METAVERSE, [a_system("hr", an_object_type(SOURCE))], rules, **fields))


def found_searches(site: Site, **doc: Any) -> list[Search]:
    inbound, seen, cs = site.inbound(), a_context(), {"id": "a1"} | doc
    return searches(inbound, cs, inbound.scope(cs, seen), seen)


def hits(*held: tuple[int, str, str]) -> Hits:
    """(MVO, attribute, key) as the look-up index would answer."""
    found: dict[Any, list[KeyHit]] = {}
    for mvo, attr, key in held:
        found.setdefault((PERSON, attr, key_hash(key)), []).append(KeyHit(key_hash(key), key, mvo))
    return found


def a_search(*lookups: Lookup, rule: str = "rule") -> Search:
    return Search(rule, PERSON, lookups)


# --- the searches


@pytest.mark.behaviour("SYN-24", "SYN-14")
def test_match_rules_are_tried_in_order_of_the_enabled_rules_in_scope() -> None:
    site = a_site(
        a_rule("hr", key="late", order=20, match=(a_match(("name", "name")),)),
        a_rule("hr", key="off", order=5, enabled=False, match=(a_match(("name", "name")),)),
        a_rule("hr", key="narrow", order=7, scope=ACTIVE, match=(a_match(("name", "name")),)),
        a_rule("hr", key="early", order=10, match=(a_match(("number", "number")), a_match(("name", "name")))),
    )

    assert [one.rule for one in found_searches(site, number="1", name="Ann")] == ["early", "early", "late"]


@pytest.mark.behaviour("SYN-25")
def test_all_conditions_of_a_match_rule_must_hold() -> None:
    both = a_search(Lookup("name", ("Ann",), True), Lookup("number", ("1",), True))

    assert candidates(both, hits((7, "name", "Ann"), (8, "name", "Ann"), (8, "number", "1"))) == {8}
    assert candidates(both, hits((7, "name", "Ann"), (8, "number", "1"))) == set()


@pytest.mark.behaviour("SYN-26")
@pytest.mark.parametrize("name", [{}, {"name": " "}, {"name": "\t\u00a0"}])
def test_nothing_matches_on_emptiness(name: dict[str, str]) -> None:
    site = a_site(a_rule("hr", match=(a_match(("number", "number"), ("name", "name")),)))

    assert found_searches(site, number="1", **name) == []


@pytest.mark.behaviour("SYN-27", "TRAP-17")
@pytest.mark.parametrize(
    ("held", "key", "exact", "matches"),
    [
        ("Ann", "Ann", True, True),
        ("ANN", "Ann", True, False),
        ("ANN", "Ann", False, True),
        ("Straße", "STRASSE", False, True),
        ("Zoë", "Zoe", False, False),
        ("Ann Lee", "Ann%", False, False),
        ("Ann", "An_", False, False),
        ("A*n", "Ann", False, False),
    ],
)
def test_keys_compare_literally_with_or_without_case(held: str, key: str, exact: bool, matches: bool) -> None:
    search = a_search(Lookup("name", (key,), exact))

    assert bool(candidates(search, hits((7, "name", held)))) is matches


@pytest.mark.behaviour("SYN-27")
def test_a_hash_finds_candidates_and_never_decides() -> None:
    collision = {(PERSON, "name", key_hash("Ann")): [KeyHit(key_hash("Ann"), "Bob", 7)]}

    assert candidates(a_search(Lookup("name", ("Ann",), False)), collision) == set()


@pytest.mark.behaviour("SYN-27")
def test_any_value_of_one_side_may_equal_any_of_the_other() -> None:
    site = a_site(a_rule("hr", match=(a_match(("mails", "mails")),)))
    (search,) = found_searches(site, mails=["a@x", "b@x"])

    assert candidates(search, hits((7, "mails", "b@x"), (7, "mails", "c@x"))) == {7}


@pytest.mark.behaviour("SYN-27")
@pytest.mark.parametrize(
    ("fields", "equals", "exact"),
    [({}, "name", True), ({"ignore_case": True}, "name", False), ({}, "login", False)],
)
def test_case_counts_unless_the_condition_or_the_attribute_says_otherwise(
    fields: dict[str, bool], equals: str, exact: bool
) -> None:
    site = a_site(a_rule("hr", match=(a_match(("name", equals), **fields),)))

    assert found_searches(site, name="Ann")[0].lookups == (Lookup(equals, ("Ann",), exact),)


@pytest.mark.behaviour("SYN-25", "SYN-27")
@pytest.mark.parametrize(
    ("source", "equals", "key"),
    [
        (Source(expression='upper(cs["name"])'), "name", "ANN"),
        (Source(expression='to_decimal(cs["number"]) * 2'), "pay", "15"),
        (Source(expression='cs["born"]'), "born", "1990-05-01T00:00:00Z"),
        (Source(expression='[cs["name"], null]'), "mails", "Ann"),
        (Source(constant="2020-01-01T00:00:00+01:00"), "born", "2019-12-31T23:00:00Z"),
        (Source(attribute="grade"), "pay", "3"),
        (Source(attribute="guid"), "guid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    ],
)
def test_a_key_is_compared_in_the_stored_form_of_the_attribute_it_must_equal(
    source: Source, equals: str, key: str
) -> None:
    site = a_site(a_rule("hr", match=(MatchRule(conditions=(MatchCondition(source=source, equals=equals),)),)))
    guid = "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"

    (search,) = found_searches(site, name="Ann", number="7.50", grade=3, born="1990-05-01T00:00:00Z", guid=guid)

    assert search.lookups[0].keys == (key,)


@pytest.mark.behaviour("MOD-11")
def test_a_condition_that_cannot_be_compared_is_an_error_and_no_match() -> None:
    condition = MatchCondition(source=Source(expression='cs["name"]'), equals="pay")
    site = a_site(a_rule("hr", match=(MatchRule(conditions=(condition,)),)))

    with pytest.raises(EvaluationError, match="cannot be compared"):
        found_searches(site, name="Ann")


def test_every_wanted_hash_is_asked_for_once() -> None:
    one = a_search(Lookup("name", ("Ann", "Bob"), True))
    other = a_search(Lookup("name", ("Ann",), False), Lookup("number", ("1",), True))

    assert wanted_hashes([one, other]) == {
        (PERSON, "name"): {key_hash("Ann"), key_hash("Bob")},
        (PERSON, "number"): {key_hash("1")},
    }


# --- the verdict


@pytest.mark.behaviour("SYN-24", "SYN-29")
@pytest.mark.parametrize(
    ("held", "rule", "found"),
    [
        ([(7, "number", "1"), (8, "name", "Ann")], "first", (7,)),
        ([(8, "name", "Ann")], "second", (8,)),
        ([(9, "number", "1"), (7, "number", "1"), (8, "name", "Ann")], "first", (7, 9)),
        ([], None, ()),
    ],
)
def test_the_first_rule_with_a_candidate_decides_alone(
    held: list[tuple[int, str, str]], rule: str | None, found: tuple[int, ...]
) -> None:
    asked = [
        a_search(Lookup("number", ("1",), True), rule="first"),
        a_search(Lookup("name", ("Ann",), True), rule="second"),
    ]

    partner = find_partner(asked, lambda search: candidates(search, hits(*held)))

    assert (partner.rule, partner.candidates) == (rule, tuple(MvoId(one) for one in found))


# --- projection


@pytest.mark.behaviour("SYN-33")
def test_the_first_enabled_rule_in_scope_that_projects_projects() -> None:
    site = a_site(
        a_rule("hr", key="joins", order=1),
        a_rule("hr", key="off", order=2, project=True, enabled=False),
        a_rule("hr", key="narrow", order=3, project=True, scope=ACTIVE),
        a_rule("hr", key="projects", order=4, project=True),
    )
    inbound = site.inbound()

    def rule_for(**doc: str) -> str | None:
        index = projection_rule(inbound, inbound.scope({"id": "a1"} | doc, a_context()))
        return None if index is None else inbound.rules[index].record.key

    assert (rule_for(), rule_for(status="active")) == ("projects", "narrow")


@pytest.mark.behaviour("SYN-33")
def test_without_a_projecting_rule_nothing_is_projected() -> None:
    inbound = a_site(a_rule("hr")).inbound()

    assert projection_rule(inbound, (0,)) is None


@pytest.mark.behaviour("SYN-34")
def test_a_projection_has_the_keys_its_own_mappings_would_give() -> None:
    site = a_site(
        a_rule(
            "hr",
            a_mapping("number"),
            a_mapping("name", "name", key="b", priority=2),
            a_mapping("name", "status", key="a", priority=1),
            a_mapping("pay", expression='to_decimal("none")'),
            a_mapping("login", expression='unique_value("login", numbered(cs["name"], 2, 3))'),
            a_mapping("mails", expression='[mv["number"] + "@x"]'),
            match=(a_match(("number", "number"), ("name", "name"), ("name", "pay"), ("mails", "mails")),),
        ),
        unique_values={"login": UniqueValue(key="login", metaverse="person.login")},
    )

    def draw(name: str, offered: tuple[str, ...]) -> str:
        raise NeedsDraw(name, offered)

    keys = would_be_keys(
        site.inbound(), site.side, {"number": "1", "name": "Ann", "status": "boss"}, (0,), a_context(draw=draw)
    )

    assert keys == {"number": ("1",), "name": ("boss",), "mails": ("1@x",)}


# --- keys


@pytest.mark.behaviour("SYN-26")
@pytest.mark.parametrize(
    ("value", "keys"), [(None, []), ("", []), (" ", []), (["a", " "], ["a"]), (0, ["0"]), (True, ["true"])]
)
def test_blank_text_is_no_key(value: Any, keys: list[str]) -> None:
    assert keys_of(value) == keys


def test_only_changed_keys_are_written() -> None:
    (change,) = key_changes(
        PERSON,
        frozenset({"mails", "name"}),
        7,
        {"name": "Ann", "mails": ["a", "b"]},
        {"name": "Ann", "mails": ["b", "c"]},
    )

    assert (change.attr, change.add, change.remove) == ("mails", ((key_hash("c"), "c"),), ((key_hash("a"), "a"),))


def test_an_object_without_changed_keys_writes_none() -> None:
    assert key_changes(PERSON, frozenset({"name"}), 7, {"name": " "}, {"other": 1}) == []


def test_spellings_of_one_key_share_a_hash() -> None:
    assert key_hash("Ann") == key_hash("ANN")
    assert key_hash("Ann") != key_hash("Änn")
