"""What a change is called, and when results must be computed again."""

from __future__ import annotations

import json

import pytest
from tests.config.school import SCHOOL, Load

from anabranch.config.differences import plan
from anabranch.config.stamps import rule_stamps
from anabranch.model.configuration import Configuration
from anabranch.model.enums import ChangeClass

COSMETIC, AFFECTING, DESTRUCTIVE = ChangeClass

CHANGES = [
    ("label: The school register", "label: Register", COSMETIC, "systems.register.label"),
    ("page-size: 500", "page-size: 501", COSMETIC, "run_profiles.register-full.page_size"),
    (
        "  tidy: {kind: housekeeping}\n",
        "  tidy: {kind: housekeeping}\n  more: {kind: housekeeping}\n",
        COSMETIC,
        "run_profiles.more",
    ),
    ("continue-on-failure: true", "continue-on-failure: false", COSMETIC, "executions.night.continue_on_failure"),
    (
        "name: {type: text}",
        "name: {type: text, sensitive: true}",
        COSMETIC,
        "metaverse.pupil.attributes.name.sensitive",
    ),
    ("{directory: data,", "{directory: date,", AFFECTING, "systems.register.options.directory"),
    ("order: 10", "order: 11", AFFECTING, "rules.pupil-in.order"),
    ("a: 0123", "a: 0124", AFFECTING, "lookups.houses.a"),
    ("value: 4}", "value: 5}", AFFECTING, "rules.pupil-in.scope"),
    ("priority: 1", "priority: 2", AFFECTING, "rules.pupil-in.mappings.number.priority"),
    ("      born: {to: born, from: {attribute: born}}\n", "", AFFECTING, "rules.pupil-in.mappings.born"),
    ("grace: 14d", "grace: 15d", AFFECTING, "metaverse.pupil.deletion.grace"),
    ("max-percent: 10", "max-percent: 9", AFFECTING, "systems.register.guards.import_obsoletions.max_percent"),
    (
        "          cn: {type: text}\n",
        "          cn: {type: text}\n          sn: {type: text}\n",
        AFFECTING,
        "systems.directory.object_types.account.attributes.sn",
    ),
    ("max-percent: 10", "max-percent: 11", DESTRUCTIVE, "systems.register.guards.import_obsoletions.max_percent"),
    (", max-count: 50", "", DESTRUCTIVE, "systems.register.guards.import_obsoletions.max_count"),
    (
        "{creates: true}",
        "{creates: true, allow-empty: true}",
        DESTRUCTIVE,
        "systems.register.guards.export_writes.allow_empty",
    ),
    (
        "{max-percent: 5}",
        "{max-percent: 5, enabled: false}",
        DESTRUCTIVE,
        "metaverse.pupil.guards.metaverse_deletions.enabled",
    ),
    ("grace: 14d", "grace: 13d", DESTRUCTIVE, "metaverse.pupil.deletion.grace"),
    ("grace: 14d", "grace: 14d, mode: any", DESTRUCTIVE, "metaverse.pupil.deletion.mode"),
    ("connector: ldif", "connector: csv", DESTRUCTIVE, "systems.directory.connector"),
    ("anchor: no\n", "anchor: last\n", DESTRUCTIVE, "systems.register.object_types.pupil.anchor"),
    (
        "created: {type: datetime,",
        "created: {type: text,",
        DESTRUCTIVE,
        "systems.directory.object_types.account.attributes.created.type",
    ),
    (
        "          created: {type: datetime, writability: read-only}\n",
        "",
        DESTRUCTIVE,
        "systems.directory.object_types.account.attributes.created",
    ),
    (
        "provision: true",
        "provision: true\n    deprovision-action: delete",
        DESTRUCTIVE,
        "rules.account-out.deprovision_action",
    ),
    ("  account-out:\n", "  account-away:\n", DESTRUCTIVE, "rules.account-out"),
]


@pytest.mark.behaviour("MOD-30")
@pytest.mark.parametrize(("old", "new", "graveness", "path"), CHANGES)
def test_a_change_has_its_path_and_class(
    load: Load, school: Configuration, old: str, new: str, graveness: ChangeClass, path: str
) -> None:
    assert SCHOOL.count(old) == 1
    made = plan(school, load(school=SCHOOL.replace(old, new)))
    assert made.change_class is graveness
    assert {change.path: change.change_class for change in made.changes}[path] is graveness


@pytest.mark.behaviour("MOD-29")
@pytest.mark.parametrize(("old", "new", "graveness", "path"), [row for row in CHANGES if row[2] is COSMETIC])
def test_a_cosmetic_change_leaves_every_stamp(
    load: Load, school: Configuration, old: str, new: str, graveness: ChangeClass, path: str
) -> None:
    assert rule_stamps(load(school=SCHOOL.replace(old, new))) == rule_stamps(school)


@pytest.mark.behaviour("GRD-9")
def test_loosening_any_limit_of_a_guard_is_destructive_and_tightening_it_is_not(load: Load) -> None:
    tight = load(school=SCHOOL)
    loose = load(school=SCHOOL.replace("max-count: 50", "max-count: 60, percent-floor: 20"))
    assert plan(tight, loose).change_class is DESTRUCTIVE
    assert plan(loose, tight).change_class is AFFECTING


@pytest.mark.behaviour("MOD-30")
def test_removing_a_system_a_type_or_an_attribute_is_destructive(school: Configuration) -> None:
    for section in ("systems", "metaverse", "rules"):
        fewer = Configuration(**{name: getattr(school, name) for name in school.__struct_fields__ if name != section})
        made = plan(school, fewer)
        assert made.change_class is DESTRUCTIVE
        assert {change.kind for change in made.changes} == {"removed"}


def test_nothing_changed_is_no_change(school: Configuration) -> None:
    made = plan(school, school)
    assert (made.changes, made.change_class, made.text()) == ((), None, "no changes")


def test_the_first_configuration_adds_everything(school: Configuration) -> None:
    made = plan(None, school)
    assert made.change_class is AFFECTING
    assert {change.kind for change in made.changes} == {"added"}


def test_a_plan_is_lines_for_people_and_data_for_machines(load: Load, school: Configuration) -> None:
    changed = SCHOOL.replace("The school register", "Register").replace("grace: 14d", "grace: 1d")
    made = plan(school, load(school=changed))
    assert made.text() == (
        '~ metaverse.pupil.deletion.grace: "P14D" -> "P1D"  [destructive]\n'
        '~ systems.register.label: "The school register" -> "Register"\n'
        "2 changes: 1 cosmetic, 1 destructive"
    )
    assert json.loads(json.dumps(made.to_plain()))["changes"][1] == {
        "path": "systems.register.label",
        "kind": "changed",
        "before": "The school register",
        "after": "Register",
        "change_class": "cosmetic",
    }


def test_a_plan_hides_passwords_but_shows_references(load: Load) -> None:
    reference = load(school=SCHOOL)
    plain = load(school=SCHOOL.replace("${env:REGISTER_PASSWORD}", "hunter2"))
    url = load(school=SCHOOL.replace("{directory: data,", '{directory: "ldap://u:hunter2@host/x",'))
    shown = plan(reference, plain).text() + plan(None, plain).text() + plan(reference, url).text()
    assert "hunter2" not in shown + json.dumps(plan(None, plain).to_plain()) + json.dumps(plan(None, url).to_plain())
    assert "${env:REGISTER_PASSWORD}" in plan(reference, plain).text()


STALE = [
    ("a: 0123", "a: 0124", set(), {"pupil"}),
    ("max-candidates: 20", "max-candidates: 21", {("register", "pupil")}, set()),
    ("cn: {type: text}", "cn: {type: text, case-sensitive: false}", {("directory", "account")}, {"pupil"}),
    ("on-null: keep", "on-null: clear", set(), {"pupil"}),
    ("priority: 1", "priority: 2", {("register", "pupil")}, set()),
    ("value: 4}", "value: 5}", {("register", "pupil")}, set()),
    ("order: 10", "order: 20", {("register", "pupil")}, set()),
    (
        "login: {type: text, case-sensitive: false}",
        "login: {type: text}",
        {("register", "pupil"), ("directory", "account")},
        {"pupil"},
    ),
]


@pytest.mark.behaviour("MOD-29")
@pytest.mark.parametrize(("old", "new", "inbound", "outbound"), STALE)
def test_a_stamp_changes_where_a_result_can(
    load: Load, school: Configuration, old: str, new: str, inbound: set[tuple[str, str]], outbound: set[str]
) -> None:
    assert SCHOOL.count(old) == 1
    before, after = rule_stamps(school), rule_stamps(load(school=SCHOOL.replace(old, new)))
    assert {key for key in before.inbound if before.inbound[key] != after.inbound[key]} == inbound
    assert {key for key in before.outbound if before.outbound[key] != after.outbound[key]} == outbound


@pytest.mark.behaviour("SYN-42", "MOD-29")
def test_a_new_contributor_of_another_system_changes_the_stamp_of_the_first(load: Load, school: Configuration) -> None:
    second = """\
rules:
  account-in:
    direction: inbound
    system: directory
    object-type: account
    metaverse-type: pupil
    mappings: {name: {to: name, from: {attribute: cn}}}
"""
    before, after = rule_stamps(school), rule_stamps(load(school=SCHOOL, second=second))
    assert before.inbound["register", "pupil"] != after.inbound["register", "pupil"]


def test_stamps_are_63_bits(school: Configuration) -> None:
    stamps = rule_stamps(school)
    assert all(0 <= stamp < 2**63 for stamp in [*stamps.inbound.values(), *stamps.outbound.values()])
    assert set(stamps.inbound) == {("register", "pupil"), ("directory", "account")}
