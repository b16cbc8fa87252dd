"""A configuration made ready to be executed: every name resolved, and nothing of a user's text run."""

from __future__ import annotations

import ast
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.engine.site import (
    HR,
    PERSON,
    SECOND,
    Site,
    a_configuration,
    a_context,
    a_mapping,
    a_match,
    a_record,
    a_revision,
    a_rule,
    a_system,
    an_object_type,
    attributes,
    one_source,
)

from anabranch.engine import generation
from anabranch.engine.compilation import compile_revision, zone_names
from anabranch.model.configuration import Configuration, Criterion, UniqueValue
from anabranch.model.enums import Direction, ValueType
from anabranch.model.errors import Permanent

EVIL = '"]; __import__("os").system("x") #'
"""What a hostile hand would write as a name or a value."""
NAMES = attributes("first", "last", "name")


class Watched:
    """Stands for the module `ast` in the generator and remembers every text that is parsed there."""

    def __init__(self) -> None:
        self.parsed: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(ast, name)

    def parse(self, text: str, *arguments: Any, **options: Any) -> Any:
        self.parsed.append(text)
        return ast.parse(text, *arguments, **options)


def a_hostile_configuration() -> Configuration:
    known = attributes(EVIL, "name")
    return a_configuration(
        known,
        [a_system("hr", an_object_type(known))],
        [
            a_rule(
                "hr",
                a_mapping(EVIL, EVIL),
                a_mapping("name", expression=f"cs[{EVIL!r}] + {EVIL!r}"),
                a_mapping("name", constant=EVIL, key=f"z{EVIL}"),
                scope=Criterion(attribute=EVIL, operator="equals", value=EVIL),
                match=(a_match((EVIL, EVIL)),),
            )
        ],
    )


@pytest.mark.behaviour("MOD-35")
def test_nothing_a_user_wrote_reaches_the_compiler_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    watched, given = Watched(), []

    def compiling(source: Any, *arguments: Any) -> Any:
        given.append(source)
        return compile(source, *arguments)

    monkeypatch.setattr(generation, "ast", watched)
    monkeypatch.setattr(generation, "compile", compiling, raising=False)
    site = Site(a_hostile_configuration())

    assert given
    assert all(isinstance(one, ast.Module) for one in given)
    assert not any("__import__" in text for text in watched.parsed)
    for node in (node for one in given for node in ast.walk(one)):
        named = [getattr(node, field, None) for field in ("id", "name", "arg", "attr")]
        assert not any(isinstance(name, str) and "__import__" in name for name in named)
    record: dict[str, Any] = {EVIL: EVIL}
    assert site.flow(a_record(**record)).doc == {EVIL: EVIL, "name": EVIL + EVIL}


def test_the_independent_mappings_of_a_type_are_one_function() -> None:
    site = one_source(NAMES, NAMES, a_mapping("first"), a_mapping("last"), a_mapping("name", expression='cs["first"]'))

    flow = site.inbound().flows[PERSON]

    assert [one.attrs for one in flow.strata] == [("first", "last", "name")]
    assert len(flow.strata) == 1


def test_a_mapping_that_reads_another_waits_for_the_next_function() -> None:
    site = one_source(NAMES, NAMES, a_mapping("first"), a_mapping("name", expression='upper(mv["first"])'))

    assert [one.attrs for one in site.inbound().flows[PERSON].strata] == [("first",), ("name",)]


def test_a_disabled_mapping_is_not_compiled_and_keeps_its_number() -> None:
    site = one_source(NAMES, NAMES, a_mapping("first", enabled=False), a_mapping("last"))

    assert [(link.key, link.id) for link in site.inbound().links] == [("hr-rule/last", 2)]
    assert site.compiled.mapping_keys == {1: "hr-rule/first", 2: "hr-rule/last"}


def test_one_object_type_may_feed_two_metaverse_types() -> None:
    base = a_configuration(
        NAMES,
        [a_system("hr", an_object_type(NAMES))],
        [
            a_rule("hr", a_mapping("name")),
            a_rule("hr", a_mapping("name", "first"), key="other", metaverse_type="unit"),
        ],
    )
    person = base.metaverse["person"]
    unit = type(person)(key="unit", attributes=NAMES)

    site = Site(Configuration(metaverse={"person": person, "unit": unit}, systems=base.systems, rules=base.rules))

    assert set(site.inbound().flows) == {PERSON, PERSON + 1}
    assert site.flow(a_record(name="Ann", first="no")).doc == {"name": "Ann"}


@pytest.mark.behaviour("SYN-14", "SYN-15")
def test_a_scope_names_the_rules_that_accept_disabled_ones_included() -> None:
    active = Criterion(attribute="name", operator="equals", value="Ann")
    rules = [
        a_rule("hr", key="all", order=1),
        a_rule("hr", key="ann", order=2, scope=active),
        a_rule("hr", key="off", order=3, enabled=False),
    ]
    site = Site(a_configuration(NAMES, [a_system("hr", an_object_type(NAMES))], rules))
    scope = site.inbound().scope

    assert scope({"name": "Ann"}, a_context()) == (0, 1, 2)
    assert scope({"name": "Bob"}, a_context()) == (0, 2)


def test_only_types_that_a_rule_names_have_an_inbound_side_and_targets_one_without_rules() -> None:
    systems = [a_system(key, an_object_type(NAMES)) for key in ("hr", "directory", "idle")]
    out = a_rule("directory", a_mapping("name"), direction=Direction.OUTBOUND, provision=True)

    site = Site(a_configuration(NAMES, systems, [a_rule("hr", a_mapping("name")), out]))

    assert {type_id: len(one.rules) for type_id, one in site.compiled.inbound.items()} == {HR: 1, SECOND: 0}
    assert (site.target.type_id, site.side.provisioned_types) == (SECOND, frozenset({SECOND}))


def test_look_up_keys_are_what_rules_match_by_and_what_must_be_unique() -> None:
    systems = [a_system("hr", an_object_type(NAMES)), a_system("directory", an_object_type(attributes("uid")))]
    site = Site(
        a_configuration(
            NAMES,
            systems,
            [a_rule("hr", match=(a_match(("last", "last")),))],
            unique_values={
                "login": UniqueValue(key="login", metaverse="person.name", targets=("directory.person.uid",))
            },
        )
    )

    assert site.side.key_attrs == {"last", "name"}
    assert site.compiled.cso_key_attrs == {SECOND: frozenset({"uid"})}
    assert site.compiled.unique_targets == {"login": ((SECOND, "uid"),)}


@pytest.mark.parametrize(
    ("expression", "read"),
    [('cs["manager"]', {"manager"}), ('cs["first"]', set())],
    ids=["reads a reference", "reads none"],
)
def test_references_are_loaded_only_for_expressions_that_read_them(expression: str, read: set[str]) -> None:
    source = NAMES | attributes(
        manager={"type": ValueType.REFERENCE, "to": ("person",)},
        deputy={"type": ValueType.REFERENCE, "to": ("person",)},
    )

    assert one_source(NAMES, source, a_mapping("name", expression=expression)).inbound().reads_refs == read


# --- time zones


def in_zone(zone: str) -> Configuration:
    return a_configuration(
        NAMES,
        [a_system("hr", an_object_type(NAMES), assume_time_zone="Europe/Berlin")],
        [a_rule("hr", a_mapping("name"), time_zone=zone)],
    )


def test_a_configuration_names_its_zones() -> None:
    assert zone_names(in_zone("America/New_York")) == {"UTC", "Europe/Berlin", "America/New_York"}


@pytest.mark.behaviour("MOD-31")
def test_a_revision_whose_zone_is_unknown_here_is_refused_by_name() -> None:
    zones = {name: ZoneInfo(name) for name in ("UTC", "Europe/Berlin")}

    with pytest.raises(Permanent, match="revision 1: no time zone 'Mars/Olympus'"):
        compile_revision(a_revision(in_zone("Mars/Olympus")), zones)


@pytest.mark.behaviour("MOD-44")
def test_today_is_the_date_of_the_rules_zone() -> None:
    known = attributes("name", since=ValueType.DATETIME)
    site = one_source(known, known, a_mapping("since", expression="today()"), time_zone="Pacific/Auckland")

    assert site.flow(a_record()).doc == {"since": "2026-03-01T11:00:00Z"}
