"""Names that must exist and types that must fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.config.school import SCHOOL, Faults, Load

from anabranch.config.checking import check
from anabranch.config.load import load_directory
from anabranch.model.configuration import Configuration, MetaverseType, RunProfile, System
from anabranch.model.enums import RunKind
from anabranch.model.errors import BadInput

BAD_NAMES_AND_TYPES = [
    ("anchor: no\n", "anchor: nr\n", "the attribute 'nr' of register.pupil is not declared"),
    (
        "anchor: no\n",
        "anchor: born\n",
        "the anchor 'born' is of type datetime; it must be one of text, integer, decimal",
    ),
    ("anchor: no\n", "anchor: clubs\n", "the anchor 'clubs' is multi-valued"),
    ("secondary: dn", "secondary: tutor", "the secondary 'tutor' is of type reference"),
    ("secondary: dn", "secondary: uid", "the secondary identifier is the anchor itself"),
    ("no: {type: text}", "no: {type: text, selected: false}", "the anchor 'no' is not selected"),
    ("to: [account]", "to: [accounts]", "the type 'accounts' is not declared; did you mean 'account'?"),
    ("tutor: {type: reference, to: [account]}", "tutor: {type: reference}", "the key 'to' is missing"),
    ("cn: {type: text}", "cn: {type: text, to: [account]}", "only a reference points to types"),
    ("multi-valued: true, multi-value-policy: union", "multi-value-policy: union", "a union needs multi-valued: true"),
    ("systems: [register]", "systems: [registry]", "the system 'registry' is not declared; did you mean 'register'?"),
    ("assume-time-zone: Europe/Berlin", "assume-time-zone: ../etc/passwd", "is no time zone"),
    ("time-zone: Europe/Berlin\n    scope", "time-zone: Europe/Bärlin\n    scope", "is unknown; write a name such as"),
    ("order: 10", "order: 10\n    enabled: 1", "expected true or false"),
    (
        "system: directory\n    object-type",
        "system: directroy\n    object-type",
        "the system 'directroy' is not declared",
    ),
    ("object-type: account\n", "object-type: acount\n", "the object type 'acount' of directory is not declared"),
    (
        "attribute: year, operator",
        "attribute: yaer, operator",
        "the attribute 'yaer' of register.pupil is not declared",
    ),
    (
        "attribute: year, operator: greater-than",
        "attribute: last, operator: less-than",
        "'less-than' is not defined for",
    ),
    ("operator: greater-than, value: 4", "operator: greater-than, value: four", "'four' is no value of type integer"),
    ("operator: greater-than, value: 4", "operator: equals, value: {ago: 1, unit: days}", "needs a datetime"),
    ('value: [chess, "NO"]', "value: [chess, 12]", "12 is no value of type text; write it in quotes"),
    ("value: {ago: 20, unit: years}", "value: yesterday", "'yesterday' is no value of type datetime; write it as"),
    ("operator: greater-than, value: 4", "operator: equals, value: true", "true is no value of type integer"),
    ("year: {to: year, from: {attribute: year}", "year: {to: born, from: {constant: 2026-02-30}", "'2026-02-30' is no"),
    ("equals: number}", "equals: numbr}", "the attribute 'numbr' of metaverse.pupil is not declared"),
    ("equals: number}", "equals: tutor}", "'tutor' is a reference; objects match by values only"),
    ("{from: {attribute: born}, equals: born}", "{from: {attribute: born}, equals: year}", "they can never be equal"),
    ("to: number, from: {attribute: no}", "to: nummer, from: {attribute: no}", "'nummer' of metaverse.pupil is not"),
    ("year: {to: year, from: {attribute: year}", "year: {to: year, from: {attribute: last}", "without loss"),
    ("tutor: {to: tutor, from: {attribute: tutor}", "tutor: {to: tutor, from: {attribute: last}", "without loss"),
    ("cn: {to: cn, from: {attribute: name}", "cn: {to: created, from: {attribute: born}", "'created' is read-only in"),
    ("cn: {to: cn, from: {attribute: name}", "cn: {to: cn, from: {constant: 5}", "5 is no value of type text"),
    ("cn: {to: cn, from: {attribute: name}", "cn: {to: cn, from: {constant: [a]}", "a list needs a multi-valued"),
    ("cn: {to: cn, from", "cn: {to: uid, from", "the mapping 'uid' of this rule already computes 'uid'"),
    (
        "uid: {to: uid, from: {attribute: login}}",
        "sn: {to: cn, from: {attribute: name}}",
        "nothing is mapped to 'uid', the",
    ),
    ("metaverse: pupil.login", "metaverse: login", "is not of the form TYPE.ATTRIBUTE"),
    ("metaverse: pupil.login", "metaverse: pupil.year", "must be single-valued text to be drawn"),
    ("targets: [directory.account.uid]", "targets: [directory.account.uuid]", "did you mean 'uid'?"),
    ("targets: [directory.account.uid]", "targets: [directory.account.number]", "drawn values are text"),
    ("{kind: full-import, system: register,", "{kind: full-import,", "the key 'system' is missing: a run of kind"),
    ("{kind: housekeeping}", "{kind: housekeeping, system: register}", "a housekeeping run is about no system"),
    ("[directory-export]]", "[directory-exprt]]", "the run profile 'directory-exprt' is not declared; did you mean"),
    ("  night:", "  tidy:", "'tidy' is also a run profile"),
    ('!= cs["last"]', '!= cs["lost"]', "cs has no attribute 'lost'; did you mean 'last'?"),
    ('!= cs["last"]', '!= mv["name"]', "mv is not visible here"),
    ('!= cs["last"]', '+ cs["last"]', "a condition is true or false; this expression gives text"),
    ('escape_dn(mv["login"])', 'escape_dn(mv["logon"])', "mv has no attribute 'logon'; did you mean 'login'?"),
    ('lookup("houses"', 'lookup("horses"', "there is no table 'horses'; did you mean 'houses'?"),
    ('unique_value("login"', 'unique_value("logins"', "there is no unique value 'logins'; did you mean 'login'?"),
    (
        "number: {to: number, from: {attribute: year}",
        "number: {to: number, from: {expression: 'lower(mv[\"name\"])'}",
        "the expression gives text and 'number' is decimal",
    ),
    (
        "{from: {attribute: born}, equals: born}",
        "{from: {expression: 'lower(cs[\"last\"])'}, equals: year}",
        "the expression gives text and 'year' is integer",
    ),
    ("grace: 14d", "grace: 14d, condition: 'lower(mv[\"name\"])'", "a condition is true or false"),
    ("grace: 14d", "grace: 14d, condition: 'cs[\"name\"] == 1'", "cs is not visible here"),
]


@pytest.mark.behaviour("MOD-31")
@pytest.mark.parametrize(("old", "new", "message"), BAD_NAMES_AND_TYPES)
def test_what_does_not_fit_together_is_refused_with_its_place(faults: Faults, old: str, new: str, message: str) -> None:
    told = faults((old, new))
    assert any(message in fault for fault in told), told
    changed = SCHOOL.replace(old, new)
    line = next(
        n for n, pair in enumerate(zip(SCHOOL.split("\n"), changed.split("\n"), strict=False), 1) if pair[0] != pair[1]
    )
    assert any(message in fault and abs(int(fault.split(":")[1]) - line) <= 2 for fault in told), (line, told)


@pytest.mark.behaviour("MOD-31")
def test_an_empty_any_is_refused(faults: Faults) -> None:
    (told,) = faults(("        - {expression: 'cs[", "        - {any: []}\n        - {expression: 'cs["))
    line = SCHOOL[: SCHOOL.index("- {expression: 'cs[")].count("\n") + 1
    assert told == f"school.yaml:{line}:17: an empty 'any' is never true; name at least one condition"


@pytest.mark.behaviour("MOD-31")
def test_the_anchor_of_what_is_provisioned_may_come_from_another_rule_for_the_same_two_types(load: Load) -> None:
    apart = """
  account-names:
    direction: outbound
    system: directory
    object-type: account
    metaverse-type: pupil
    mappings:
      uid: {to: uid, from: {attribute: login}}
unique-values:"""
    text = SCHOOL.replace("      uid: {to: uid, from: {attribute: login}}\n", "")
    assert load(school=text.replace("\nunique-values:", apart)).rules["account-out"].provision
    disabled = apart.replace("    mappings:", "    enabled: false\n    mappings:")
    with pytest.raises(BadInput, match="nothing is mapped to 'uid'"):
        load(school=text.replace("\nunique-values:", disabled))


@pytest.mark.behaviour("MOD-31")
def test_a_rule_that_is_not_enabled_needs_no_anchor_and_a_misspelled_one_is_told_once(
    load: Load, faults: Faults
) -> None:
    text = SCHOOL.replace("      uid: {to: uid, from: {attribute: login}}\n", "")
    load(school=text.replace("    provision: true\n", "    provision: true\n    enabled: false\n"))
    (told,) = faults(("uid: {to: uid, from: {attribute: login}}", "uid: {to: uidd, from: {attribute: login}}"))
    assert "did you mean 'uid'" in told


@pytest.mark.behaviour("SYN-54")
def test_an_authoritative_rule_without_systems_is_refused(faults: Faults) -> None:
    (told,) = faults(("systems: [register], ", ""))
    assert "this rule needs 'systems'" in told
    (told,) = faults(("when-authoritative-source-disconnected", "manual"))
    assert "the rule manual does not look at 'systems'" in told


@pytest.mark.behaviour("MOD-39")
@pytest.mark.parametrize(
    ("expressions", "message"),
    [
        ({"name": 'mv["name"]'}, 'the mapping reads mv["name"], which it computes itself'),
        (
            {"name": 'lower(mv["login"])', "login": 'lower(mv["number"])', "number": 'upper(mv["name"])'},
            'in a circle: mv["login"] -> mv["number"] -> mv["name"] -> mv["login"]',
        ),
    ],
)
def test_mappings_that_wait_for_each_other_are_refused(load: Load, expressions: dict[str, str], message: str) -> None:
    text = SCHOOL[: SCHOOL.index("  account-out:")]
    head, mappings = text[: text.index("    mappings:\n      number:")], "    mappings:\n"
    for name, expression in expressions.items():
        mappings += f"      {name}: {{to: {name}, from: {{expression: '{expression}'}}}}\n"
    with pytest.raises(BadInput) as error:
        load(school=head + mappings)
    (fault,) = error.value.faults
    assert message in fault.message
    assert fault.line > head.count("\n")


@pytest.mark.behaviour("MOD-39")
def test_a_circle_over_two_rules_of_one_flow_is_refused(load: Load) -> None:
    second = """\
rules:
  second:
    direction: inbound
    system: register
    object-type: pupil
    metaverse-type: pupil
    mappings: {name: {to: number, from: {expression: 'lower(mv["login"])'}}}
"""
    assert load(school=SCHOOL, second=second.replace('lower(mv["login"])', 'to_text(mv["year"])')).rules["second"]
    with pytest.raises(BadInput) as error:
        load(school=SCHOOL.replace('join_text([cs["first"], cs["last"]], " ")', 'upper(mv["number"])'), second=second)
    assert 'mv["login"] -> mv["name"] -> mv["number"] -> mv["login"]' in str(error.value)


@pytest.mark.behaviour("MOD-31")
def test_a_fault_in_an_expression_points_at_its_character(faults: Faults) -> None:
    (told,) = faults(('join_text([cs["first"]', 'join_text([cs["frist"]'))
    line = SCHOOL[: SCHOOL.index("join_text")].count("\n") + 1
    column = SCHOOL.split("\n")[line - 1].index('cs["first"]') + 1
    assert told == f"school.yaml:{line}:{column}: cs has no attribute 'frist'; did you mean 'first'?"


def test_a_fault_in_a_folded_expression_tells_the_way_inside_it(faults: Faults) -> None:
    whole = """{expression: 'join_text([cs["first"], cs["last"]], " ")'}"""
    (told,) = faults((whole, """{expression: "lower(cs[\\"frist\\"])"}"""))
    assert "line 1, column 7 of the expression: cs has no attribute 'frist'" in told


def test_a_reference_to_something_unreadable_is_not_told_twice(faults: Faults) -> None:
    told = faults(("uid: {type: text, case-sensitive: false}", "uid: {type: txt}"))
    assert len(told) == 1
    told = faults(("first: {type: text}", "first: {type: txt}"), ("max-candidates: 20", "max-candidates: 0"))
    assert len(told) == 2


@pytest.mark.behaviour("MOD-31")
def test_an_unknown_connector_is_refused(tmp_path: Path) -> None:
    (tmp_path / "school.yaml").write_text(SCHOOL, encoding="utf-8")
    with pytest.raises(BadInput, match="the connector 'ldif' is not installed; did you mean 'ldiff'") as error:
        load_directory(tmp_path, connectors={"csv", "ldiff"})
    (fault,) = error.value.faults
    assert SCHOOL.split("\n")[fault.line - 1] == "    connector: ldif"


def test_a_connector_judges_its_options_and_their_places_are_told(tmp_path: Path) -> None:
    def check_options(system: System) -> list[tuple[tuple[str | int, ...], str]]:
        return [(("options", "path"), "must end in .txt")] if system.connector == "ldif" else []

    (tmp_path / "school.yaml").write_text(SCHOOL, encoding="utf-8")
    with pytest.raises(BadInput) as error:
        load_directory(tmp_path, connectors={"csv", "ldif"}, check_options=check_options)
    line = SCHOOL[: SCHOOL.index("out.ldif")].count("\n") + 1
    assert str(error.value) == f"school.yaml:{line}:21: must end in .txt"


def test_a_configuration_without_files_is_checked_by_paths() -> None:
    configuration = Configuration(
        metaverse={"person": MetaverseType(key="person", attributes={})},
        run_profiles={"x": RunProfile(key="x", kind=RunKind.EXPORT, system="away")},
    )
    assert [str(fault) for fault in check(configuration)] == [
        "run-profiles.x.system: the system 'away' is not declared; there is none"
    ]


def test_a_kind_of_run_that_cannot_be_carried_out_is_refused(faults: Faults) -> None:
    (told,) = faults(more="run-profiles: {feed: {kind: delta-import, system: register}}\n")
    assert "runs of kind delta-import cannot be carried out yet; use one of delta-sync, export" in told
