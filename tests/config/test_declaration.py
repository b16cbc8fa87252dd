"""From files to records."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.config.school import SCHOOL, Faults, Load

from anabranch.config.load import load_directory
from anabranch.model.configuration import (
    Configuration,
    Criterion,
    GuardLimit,
    RelativeDate,
    ScopeExpression,
    ScopeGroup,
    Source,
)
from anabranch.model.enums import (
    DeprovisionAction,
    GuardPoint,
    MultiValuePolicy,
    OnError,
    OnNull,
    RunKind,
    TextCleanup,
    ValueType,
    WhenMissing,
    Writability,
)
from anabranch.model.errors import BadInput


@pytest.mark.behaviour("MOD-25")
def test_a_rule_links_an_object_type_and_a_metaverse_type(school: Configuration) -> None:
    rule = school.rules["pupil-in"]
    assert (rule.direction, rule.system, rule.object_type, rule.metaverse_type) == (
        "inbound",
        "register",
        "pupil",
        "pupil",
    )
    assert (rule.order, rule.enabled, rule.project, len(rule.match)) == (10, True, True, 2)


@pytest.mark.behaviour("MOD-26")
def test_an_outbound_rule_has_its_defaults(school: Configuration, faults: Faults) -> None:
    rule = school.rules["account-out"]
    assert rule.deprovision_action is DeprovisionAction.DISCONNECT


@pytest.mark.behaviour("MOD-26")
def test_without_provision_a_target_object_is_kept(load: Load) -> None:
    rule = load(school=SCHOOL.replace("    provision: true\n", "")).rules["account-out"]
    assert (rule.provision, rule.deprovision_action) == (False, DeprovisionAction.KEEP)


@pytest.mark.behaviour("MOD-27")
def test_a_mapping_keeps_everything_that_was_said(school: Configuration) -> None:
    mappings = school.rules["pupil-in"].mappings
    assert (mappings["number"].to, mappings["number"].source, mappings["number"].priority) == (
        "number",
        Source(attribute="no"),
        1,
    )
    assert mappings["name"].text_cleanup == (TextCleanup.TRIM, TextCleanup.TITLE)
    assert mappings["tutor"].when_missing is WhenMissing.NO_VALUE
    assert (mappings["year"].on_error, mappings["year"].null_is_value) == (OnError.FAIL_MAPPING, True)
    outbound = school.rules["account-out"].mappings
    assert (outbound["cn"].on_null, outbound["uid"].on_null) == (OnNull.KEEP, OnNull.CLEAR)
    assert (outbound["number"].initial_only, outbound["cn"].initial_only) == (True, False)


def test_a_scope_is_a_tree_with_positive_operators(school: Configuration) -> None:
    scope = school.rules["pupil-in"].scope
    assert isinstance(scope, ScopeGroup)
    older, not_x, any_of, expression = scope.members
    assert older == Criterion(attribute="year", operator="greater_than", value=4)
    assert isinstance(not_x, ScopeGroup)
    assert not_x.kind == "not"
    assert isinstance(any_of, ScopeGroup)
    assert any_of.members == (
        Criterion(attribute="born", operator="less_than", value=RelativeDate(count=-20, unit="years"), negated=True),
        Criterion(attribute="clubs", operator="in", value=["chess", "NO"]),
        Criterion(attribute="born", operator="present", negated=True),
    )
    assert expression == ScopeExpression(expression='cs["first"] != cs["last"]')


@pytest.mark.behaviour("MOD-49")
def test_a_table_keeps_keys_and_values_as_written(school: Configuration) -> None:
    assert school.lookups == {"houses": {"a": "0123", "b": "NO", "c": "1.50"}}


@pytest.mark.behaviour("MOD-49")
def test_a_table_may_stand_in_a_csv_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_bytes('\ufeffcode,name\r\n01,"Aix, old"\r\n02,Bern\r\n'.encode())
    configuration = load(lookups="lookups: {sites: {file: sites.csv, header: true}}")
    assert configuration.lookups["sites"] == {"01": "Aix, old", "02": "Bern"}


def test_every_line_of_a_table_that_is_no_pair_is_told(load: Load, tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_text('a,1\nb\n"c\nd",1,2\na,2\n', encoding="utf-8")
    with pytest.raises(BadInput) as error:
        load(lookups="lookups: {sites: {file: sites.csv}}")
    assert [str(fault) for fault in error.value.faults] == [
        "sites.csv:2:1: expected a key and a value, found 1 columns",
        "sites.csv:3:1: expected a key and a value, found 3 columns",
        "sites.csv:5:1: the key 'a' stands in the table twice",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../other.csv", "lies outside the configuration directory"),
        ("/etc/passwd", "lies outside the configuration directory"),
        ("away.csv", "cannot be read: No such file or directory"),
    ],
)
def test_a_table_is_read_from_the_directory_only(load: Load, name: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load(lookups=f"lookups: {{sites: {{file: {name}}}}}")


def test_attributes_and_guards_have_what_was_declared(school: Configuration) -> None:
    account = school.systems["directory"].object_types["account"]
    assert account.attributes["created"].writability is Writability.READ_ONLY
    assert account.attributes["tutor"].to == ("account",)
    pupil = school.metaverse["pupil"]
    assert pupil.attributes["clubs"].multi_value_policy is MultiValuePolicy.UNION
    assert (pupil.deletion.grace, pupil.deletion.systems) == (timedelta(days=14), ("register",))
    assert pupil.guards == {GuardPoint.METAVERSE_DELETIONS: GuardLimit(max_percent=5)}
    assert school.systems["register"].guards == {
        GuardPoint.IMPORT_OBSOLETIONS: GuardLimit(max_percent=10, max_count=50),
        GuardPoint.EXPORT_WRITES: GuardLimit(creates=True),
    }


def test_profiles_take_the_batch_size_of_their_kind(school: Configuration) -> None:
    profiles = school.run_profiles
    assert (profiles["register-sync"].kind, profiles["register-sync"].batch_size) == (RunKind.DELTA_SYNC, 5000)
    assert profiles["directory-export"].batch_size == 100
    assert (profiles["register-full"].page_size, profiles["register-full"].deadline) == (500, timedelta(hours=2))
    assert school.executions["night"].groups == (("register-full",), ("register-sync", "tidy"), ("directory-export",))


def test_an_attribute_may_be_named_anything(school: Configuration) -> None:
    assert school.systems["register"].object_types["pupil"].attributes["no"].type is ValueType.TEXT


def test_decimals_in_constants_are_exact(load: Load) -> None:
    text = SCHOOL.replace("number: {to: number, from: {attribute: year}", "number: {to: number, from: {constant: 0.10}")
    source = load(school=text).rules["account-out"].mappings["number"].source
    assert source == Source(constant=Decimal("0.1"))


def test_files_of_a_directory_merge(load: Load) -> None:
    half = SCHOOL.index("rules:")
    assert load(a=SCHOOL[:half], b=SCHOOL[half:]) == load_directory_of_one(SCHOOL, load)


def load_directory_of_one(text: str, load: Load) -> Configuration:
    return load(a=text, b="metaverse:\n")


def test_a_name_defined_twice_names_both_places(load: Load) -> None:
    with pytest.raises(BadInput) as error:
        load(a="lookups:\n  x: {a: b}\n", b="lookups:\n  y: {a: b}\n  x: {a: c}\n")
    assert [str(fault) for fault in error.value.faults] == [
        "b.yaml:3:3: lookups 'x' is defined twice: at a.yaml:2:3 and at b.yaml:3:3; keep one"
    ]


TWELVE = """\
metaverse:
  person:
    atributes: {}
    attributes:
      id: {type: txt}
      name: {type: text, multi-valued: yes}
    deletion: {grace: 7 days}
systems:
  hr:
    options: {}
    object-types:
      person:
        anchor: badge
        attributes:
          id: {type: integer, to: [person]}
          boss: {type: reference, to: [persn]}
    guards: {metaverse-deletions: {max-percent: 5}}
    assume-time-zone: Mars/Olympus
rules: {}
run-profiles:
  nightly: {kind: full-import, system: hrr}
  tidy: {kind: housekeeping, deadline: 30}
"""


@pytest.mark.behaviour("MOD-31")
def test_a_file_with_twelve_faults_gives_twelve_located_messages(load: Load) -> None:
    with pytest.raises(BadInput) as error:
        load(twelve=TWELVE)
    places = [(fault.place, fault.line, fault.column) for fault in error.value.faults]
    assert places == [
        ("twelve.yaml", 3, 5),
        ("twelve.yaml", 5, 18),
        ("twelve.yaml", 6, 40),
        ("twelve.yaml", 7, 23),
        ("twelve.yaml", 10, 5),
        ("twelve.yaml", 13, 17),
        ("twelve.yaml", 15, 35),
        ("twelve.yaml", 16, 40),
        ("twelve.yaml", 17, 14),
        ("twelve.yaml", 18, 23),
        ("twelve.yaml", 21, 40),
        ("twelve.yaml", 22, 40),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("label: The school register", "lable: x", "unknown key 'lable'; did you mean 'label'?"),
        ("label: The school register", "label: 2024", "expected text, found the integer 2024; write it in quotes"),
        ("connector: csv\n", "connector:\n", "expected a name, found nothing"),
        ("writability: read-only", "writability: readonly", "expected one of writable, read-only, create-only; found"),
        ("grace: 14d", "grace: 14", "expected a duration such as 7d, 12h, 30m or 90s; found the integer 14"),
        ("grace: 14d", "grace: 99999d", "expected a duration from 0d to 36500d"),
        ("max-percent: 5}", "max-percent: 101}", "expected a number from 0 to 100, found 101"),
        ("systems: [register]", "systems: register", "expected a list, found text; write it in [ ]"),
        ("systems: [register]", "systems: [register, register]", "'register' stands twice in the list"),
        ("order: 10", "order: ten", "expected a whole number, found 'ten'"),
        ("order: 10", "order: true", "expected a whole number, found the boolean true"),
        ("project: true", "project: yes", "expected true or false, found 'yes' (YAML 1.2 knows only true and false)"),
        ("project: true", "provision: true", "'provision' does nothing in an inbound rule"),
        ("provision: true", "project: true", "'project' does nothing in an outbound rule"),
        (", priority: 1", ", on-null: keep", "'on-null' does nothing in an inbound rule"),
        ("from: {attribute: no}, priority: 1", "from: {attribute: no, constant: 1}", "exactly one source is needed"),
        ("from: {attribute: no}, priority: 1", "from: {}", "exactly one source is needed; found none"),
        (
            "operator: greater-than",
            "operator: greater-then",
            "'greater-then' is no operator; did you mean 'greater-than'?",
        ),
        ("operator: not-present", "operator: present, value: 1", "the operator present takes no value"),
        ("operator: greater-than, value: 4", "operator: greater-than", "the key 'value' is missing"),
        ('value: [chess, "NO"]', "value: chess", "the operator in takes a list of values"),
        ("value: {ago: 20, unit: years}", "value: {ago: 20}", "a relative date is {ago: COUNT, unit: UNIT}"),
        ("value: {ago: 20, unit: years}", "value: {ago: 20, unit: eons}", "expected one of hours, days, weeks"),
        ("import-obsoletions: {max-percent: 10", "import-obsoletions: {creates: true", "only the guard export-writes"),
        (
            "import-obsoletions:",
            "import-obsoletion:",
            "unknown key 'import-obsoletion'; did you mean 'import-obsoletions'?",
        ),
        ("  tidy: {kind", "  tidy up: {kind", "'tidy up' is no name; use letters, digits, _ and -"),
        ("groups: [[register-full]", "groups: [[]", "the list is empty; it needs at least one member"),
        ("page-size: 500", "page-size: 0", "expected a whole number from 1 to 100000, found 0"),
        ("a: 0123", "a: [0123]", "expected the value of 'a', found a list"),
        ("max-candidates: 20", "max-candidates: 2.5", "expected a whole number, found the number 2.5"),
        ("{directory: data,", "{depth: .inf,", ".inf is no number that can be kept"),
        ("{directory: data,", "{depth: 9223372036854775808,", "does not fit 64 bits"),
    ],
)
@pytest.mark.behaviour("MOD-31")
def test_a_value_of_the_wrong_shape_is_told(faults: Faults, old: str, new: str, message: str) -> None:
    told = faults((old, new))
    assert any(message in fault for fault in told), told
    assert all(fault.startswith("school.yaml:") for fault in told)


def test_a_secret_may_be_named_in_options_only(faults: Faults) -> None:
    told = faults(("label: The school register", 'label: "${env:X}"'), ("file: pupils.csv", 'file: "${file:/x}"'))
    assert ["references to secrets" in fault for fault in told] == [True, True]


@pytest.mark.parametrize(
    ("reference", "message"),
    [("${env:A B}", "names no environment variable"), ("${env:A", "has no end"), ("${file:x}", "an absolute path")],
)
def test_a_malformed_reference_to_a_secret_is_told(faults: Faults, reference: str, message: str) -> None:
    (told,) = faults(("${env:REGISTER_PASSWORD}", reference))
    assert message in told


def test_files_that_are_none_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_bytes(b"# nothing\n")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "list.yaml").write_bytes(b"- a\n")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "nul.yml").write_bytes(b"a\0")
    (tmp_path / ".hidden.yaml").write_bytes(b"\0")
    (tmp_path / "notes.txt").write_bytes(b"\0")
    with pytest.raises(BadInput) as error:
        load_directory(tmp_path)
    assert [str(fault).split(";")[0] for fault in error.value.faults] == [
        "empty.yaml: the file is empty",
        "folder.yaml: a directory stands where a file is expected",
        "list.yaml:1:1: expected the sections executions, lookups, metaverse, rules, run-profiles, "
        "systems, unique-values",
        "loop.yaml: the file cannot be read: Too many levels of symbolic links",
        "nul.yml:1:2: a NUL character",
    ]


def test_a_directory_without_files_and_a_path_to_nothing_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no \.yaml or \.yml file"):
        load_directory(tmp_path)
    with pytest.raises(BadInput, match="no such file or directory"):
        load_directory(tmp_path / "away")


def test_one_file_may_be_the_whole_configuration(load: Load, tmp_path: Path) -> None:
    expected = load(school=SCHOOL)
    assert load_directory(tmp_path / "school.yaml") == expected
