"""The registered functions, one table a group (MOD-46)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.language import BERLIN, value_of

from anabranch.engine.expressions import EvaluationError, ExpressionError


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type] # year, month, day, ..


TEXT = [
    ('trim("  a b ")', "a b"),
    ('collapse_spaces(" a \\t b ")', " a b "),
    ('upper("straße")', "STRASSE"),
    ('lower("ÅSA")', "åsa"),
    ("title(\"mary-ann o'neil they're\")", "Mary-Ann O'Neil They're"),
    ('left("abc", 2)', "ab"),
    ('left("abc", 9)', "abc"),
    ('right("abc", 2)', "bc"),
    ('right("abc", 0)', ""),
    ('substring("abcdef", 2, 3)', "cde"),
    ('substring("abcdef", 2)', "cdef"),
    ('substring("abc", 9)', ""),
    ('replace("a-b-c", "-", "")', "abc"),
    ('length("añb")', 3),
    ('pad_left("7", 3, "0")', "007"),
    ('pad_right("7", 3)', "7  "),
    ('pad_left("1234", 3, "0")', "1234"),
    ('starts_with("abc", "ab")', True),
    ('ends_with("abc", "ab")', False),
    ('contains("a%b", "%")', True),
    ('contains("ABC", "b")', False),
    ('matches("abc-12", "^[a-z]+-\\\\d+$")', True),
    ('matches("ABC", "(?i)b")', True),
    ('matches("abc", "^b")', False),
    ('regex_replace("a1b22", "[0-9]+", "#")', "a#b#"),
    ('regex_replace("Doe, Ann", "^(\\\\w+), (\\\\w+)$", "\\\\2 \\\\1")', "Ann Doe"),
    ('strip_accents("Ångström é")', "Angstrom e"),
    ('to_ascii("Łukasz Ødegård Straße Æon Þór 王")', "Lukasz Odegard Strasse AEon Thor "),
    ('digits_only("+49 (30) 12-3")', "4930123"),
    ('fold("Straße")', "strasse"),
    ('concat("a", null, "b")', "ab"),
    ("concat(null)", ""),
    ('join_text(["a", null, "", "b"], "-")', "a-b"),
    ('join_text([null, ""], "-")', None),
    ('split(" a ; ;b;", ";")', ["a", "b"]),
    ('split(null, ";")', []),
]
LISTS = [
    ("first([3, 1])", 3),
    ("first([])", None),
    ("last([3, 1])", 1),
    ("count([])", 0),
    ('list_contains(["a", "b"], "b")', True),
    ("list_contains([1, 2], 2.0)", True),
    ("list_contains([1, 2], true)", False),
    ('distinct(["b", "a", "b"])', ["b", "a"]),
    ("distinct([1, true, 1.0])", [1, True]),
    ('sort_values(["b", "B", "a"])', ["B", "a", "b"]),
    ("sort_values([10, 9.5, null])", [Decimal("9.5"), 10]),
    ('union(["a"], ["b", "a"])', ["a", "b"]),
    ('intersect(["a", "b", "a"], ["a", "c"])', ["a"]),
    ('difference(["a", "b", "b"], ["a"])', ["b"]),
]
LOGIC = [
    ('coalesce(null, "", "b")', ""),
    ("coalesce(null, null)", None),
    ("coalesce([], 1)", 1),
    ('coalesce("a", to_integer("x"))', "a"),
    ("is_null(null)", True),
    ("is_null([])", True),
    ('is_null("")', False),
    ('is_blank(" \\t")', True),
    ("is_blank(null)", True),
    ("is_blank(0)", False),
    ('is_blank([" ", null])', True),
    ("same(null, null)", True),
    ('same("A", "a")', False),
    ('same("Straße", "STRASSE", true)', True),
    ("same(1, 1.0)", True),
    ('same("1", 1)', False),
    ('same(["a", "B"], ["b", "A"], true)', True),
    ('choose("b", "a", 1, "b", 2, 3)', 2),
    ('choose("x", "a", 1, "b", 2, 3)', 3),
    ('choose("x", "a", 1)', None),
    ('choose(null, null, "none", "some")', "none"),
    ('choose("a", "a", 1, "b", to_integer("x"))', 1),
]
CONVERSION = [
    ("to_text(5)", "5"),
    ("to_text(5.50)", "5.5"),
    ("to_text(true)", "true"),
    ('to_text("a")', "a"),
    ('to_integer(" 42 ")', 42),
    ("to_integer(5.0)", 5),
    ('to_integer("x", 0)', 0),
    ('to_integer("x", null)', None),
    ("to_integer(null, 0)", None),
    ('to_decimal("1.50")', Decimal("1.5")),
    ("to_decimal(5)", Decimal(5)),
    ('to_decimal("1,5", -1)', -1),
    ('to_boolean("YES")', True),
    ('to_boolean("perhaps", false)', False),
    ('to_uuid("{6F9619FF-8B86-D011-B42D-00C04FC964FF}")', "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
    ('to_uuid("x", null)', None),
    ("round_decimal(2.345, 2)", Decimal("2.34")),
    ("round_decimal(-3.5)", Decimal(-4)),
    ("round_decimal(7)", Decimal(7)),
    ("round_decimal(1234, -2)", Decimal(1200)),
    ("abs_value(-5)", 5),
    ("abs_value(-5.5)", Decimal("5.5")),
    ("lowest(3, 1.5, 2)", Decimal("1.5")),
    ("lowest(3, null)", None),
    ("lowest([3, null, 2])", 2),
    ("lowest([])", None),
    ('highest("a", "b")', "b"),
]
TIME = [
    ('parse_date("2026-05-04", "yyyy-MM-dd")', at(2026, 5, 4)),
    ('parse_date("4.5.2026 07:08", "dd.MM.yyyy HH:mm")', at(2026, 5, 4, 7, 8)),
    ('parse_date("2026-05-04 12:00 +0200", "yyyy-MM-dd HH:mm XXX")', at(2026, 5, 4, 10)),
    ('parse_date("31.02.2026", "dd.MM.yyyy", null)', None),
    ('parse_date("2026-05-04T07:08:09Z")', at(2026, 5, 4, 7, 8, 9)),
    ('parse_date("20260504070809Z", null, null)', at(2026, 5, 4, 7, 8, 9)),
    ('format_date(parse_date("2026-05-04"), "iso")', "2026-05-04T00:00:00Z"),
    ('format_date(parse_date("2026-05-04 07:08", "yyyy-MM-dd HH:mm"), "dd.MM.yyyy HH:mm")', "04.05.2026 07:08"),
    ('add_time(parse_date("2026-01-31", "yyyy-MM-dd"), 1, "months")', at(2026, 2, 28)),
    ('add_time(parse_date("2024-02-29", "yyyy-MM-dd"), 1, "years")', at(2025, 2, 28)),
    ('add_time(parse_date("2026-03-31", "yyyy-MM-dd"), -1, "months")', at(2026, 2, 28)),
    ('add_time(parse_date("2026-01-01", "yyyy-MM-dd"), -36, "hours")', at(2025, 12, 30, 12)),
    ('add_time(parse_date("2026-01-01", "yyyy-MM-dd"), 2, "weeks")', at(2026, 1, 15)),
    ('days_between(parse_date("2026-01-01", "yyyy-MM-dd"), parse_date("2026-03-01", "yyyy-MM-dd"))', 59),
    ('days_between(parse_date("2026-01-02", "yyyy-MM-dd"), parse_date("2026-01-01", "yyyy-MM-dd"))', -1),
    ('start_of_day(parse_date("2026-05-04 07:08", "yyyy-MM-dd HH:mm"))', at(2026, 5, 4)),
    ('to_filetime(parse_date("1601-01-02", "yyyy-MM-dd"))', 864_000_000_000),
    ("from_filetime(132514400000000000)", at(2020, 12, 3, 3, 33, 20)),
    ("from_filetime(0)", None),
    ("from_filetime(9223372036854775807)", None),
    ('to_epoch(parse_date("1970-01-02", "yyyy-MM-dd"))', 86_400),
    ("from_epoch(86400)", at(1970, 1, 2)),
]
DIRECTORY = [
    (r'escape_dn("Doe, Ann; +\"<x>\\")', r"Doe\, Ann\; \+\"\<x\>" + "\\\\"),
    ('escape_dn(" a ")', "\\ a\\ "),
    ('escape_dn("#a")', "\\#a"),
    ('escape_dn(" ")', "\\ "),
    ('escape_dn("a=b")', "a=b"),
    (r'dn_parent("cn=Doe\\, Ann,ou=People,dc=x")', "ou=People,dc=x"),
    ('dn_parent("dc=x")', None),
    (r'dn_first_value("cn=Doe\\, Ann,ou=People")', "Doe, Ann"),
    (r'dn_first_value("cn=M\\C3\\BCller,dc=x")', "Müller"),
    ('dn_first_value("cn=a+sn=b,dc=x")', "a"),
    ("has_bit(514, 2)", True),
    ("has_bit(512, 2)", False),
    ("has_bit(null, 2)", False),
    ("set_bit(512, 2)", 514),
    ("set_bit(null, 2)", 2),
    ("clear_bit(514, 2)", 512),
]
BINARY_AND_IDENTITY = [
    ('to_base64(from_base64("AP8="))', "AP8="),
    ('from_base64("AP8=")', b"\x00\xff"),
    ('sha256_hex("abc")', sha256(b"abc").hexdigest()),
    ('numbered("ann", 2, 4)', ["ann", "ann2", "ann3", "ann4"]),
    ('numbered("ann@x.org", 2, 3)', ["ann@x.org", "ann2@x.org", "ann3@x.org"]),
    ('numbered("ann", 3, 2)', ["ann"]),
    ("numbered(null, 2, 3)", None),
]


@pytest.mark.behaviour("MOD-46")
@pytest.mark.parametrize(
    ("source", "value"), [*TEXT, *LISTS, *LOGIC, *CONVERSION, *TIME, *DIRECTORY, *BINARY_AND_IDENTITY]
)
def test_a_function_gives(source: str, value: object) -> None:
    result = value_of(source)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.behaviour("MOD-46")
@pytest.mark.parametrize(
    "source",
    [
        'to_integer("x")',
        'to_integer("")',
        "to_integer(5.5)",
        'to_decimal("NaN")',
        'to_boolean("perhaps")',
        'to_uuid("x")',
        'parse_date("31.02.2026", "dd.MM.yyyy")',
        'parse_date("2026", "yyyy-MM-dd")',
        'from_base64("*")',
        'left("abc", -1)',
        'substring("abc", -1)',
        'replace("abc", "", "x")',
        'split("abc", "")',
        'pad_left("a", 3, "")',
        'add_time(parse_date("9999-12-31", "yyyy-MM-dd"), 1, "years")',
        "from_epoch(9223372036854775807)",
        'dn_first_value("no name")',
        'stable_number("a", 0)',
        'numbered(" ", 2, 3)',
        'numbered("a", 1, 9223372036854775807)',
        'lowest(1, "a")',
    ],
)
def test_what_a_function_cannot_do_is_an_error(source: str) -> None:
    with pytest.raises(EvaluationError):
        value_of(source)


@pytest.mark.behaviour("MOD-45")
@pytest.mark.parametrize(
    "pattern",
    [
        r"(a)\\1",
        "(?P<x>a)(?P=x)",
        "(a)(?(1)b|c)",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?<!a)b",
        "(a+)+",
        "(?:a*)*",
        "((a|b+)c)*",
        "(?:(?:a{2,3}))?",
        "(?P<x>a?){3}",
        "a" * 201,
        "(",
        "[",
        "*",
    ],
)
def test_a_pattern_that_could_run_away_is_refused(pattern: str) -> None:
    with pytest.raises(ExpressionError):
        value_of(f'matches("a", "{pattern}")')


@pytest.mark.behaviour("MOD-45")
@pytest.mark.parametrize(
    "pattern",
    ["^[a-z]+$", "(a|b)+c", "(?i)a", "[(]+[)]*", r"\\(a+\\)+", "a{1,2}?b*", "(?:ab)?c+", "[]+]+", "(a+)(b+)", "{a}"],
)
def test_a_plain_pattern_is_accepted(pattern: str) -> None:
    assert value_of(f'matches("zzz", "{pattern}")') in (True, False)


@pytest.mark.behaviour("MOD-45")
def test_patterns_are_literals_and_search_little_text() -> None:
    with pytest.raises(ExpressionError):
        value_of('matches("a", cs["first"])')
    assert value_of('matches(cs["first"], "x$")', {"first": "x" * 4096}) is True
    with pytest.raises(EvaluationError):
        value_of('matches(cs["first"], "x$")', {"first": "x" * 4097})
    with pytest.raises(EvaluationError):
        value_of('regex_replace(cs["first"], "é", "e")', {"first": "é" * 2049})


@pytest.mark.behaviour("MOD-44")
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('parse_date("2026-07-01", "yyyy-MM-dd")', at(2026, 6, 30, 22)),
        ('parse_date("2026-03-29 02:30", "yyyy-MM-dd HH:mm")', at(2026, 3, 29, 1, 30)),
        ('parse_date("2026-10-25 02:30", "yyyy-MM-dd HH:mm")', at(2026, 10, 25, 0, 30)),
        ('format_date(now(), "dd.MM.yyyy HH:mm")', "05.05.2026 00:30"),
        ('add_time(parse_date("2026-03-28 12:00", "yyyy-MM-dd HH:mm"), 1, "days")', at(2026, 3, 29, 10)),
        ('add_time(parse_date("2026-03-28 12:00", "yyyy-MM-dd HH:mm"), 24, "hours")', at(2026, 3, 29, 11)),
        ("days_between(today(), now())", 0),
        ("start_of_day(now()) == today()", True),
    ],
)
def test_days_follow_the_zone_of_the_rule(source: str, value: object) -> None:
    assert value_of(source, zone=BERLIN) == value


@pytest.mark.behaviour("MOD-46")
def test_a_stable_number_never_changes() -> None:
    numbers = [value_of(f'stable_number("{text}", 100)') for text in ("ann", "bob", "Ann")]
    assert all(0 <= number < 100 for number in numbers)
    assert numbers == [value_of(f'stable_number("{text}", 100)') for text in ("ann", "bob", "Ann")]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_an_escaped_name_is_read_back(text: str) -> None:
    dn = value_of('"cn=" + escape_dn(cs["first"]) + ",dc=x"', {"first": text})
    assert value_of('dn_first_value(cs["first"])', {"first": dn}) == text
    assert value_of('dn_parent(cs["first"])', {"first": dn}) == "dc=x"


@given(st.datetimes(datetime(1602, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_file_times_lead_back(moment: datetime) -> None:
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
    source = 'from_filetime(to_filetime(parse_date(cs["first"], "yyyy-MM-ddTHH:mm:ss.ffffff")))'
    assert value_of(source, {"first": text}) == moment


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6),
    st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6),
)
def test_union_intersection_and_difference_are_those_of_sets(one: list[str], other: list[str]) -> None:
    def of(name: str) -> list[Any]:
        mails = sorted(set(one))
        text = ",".join(other) or None
        person: dict[str, Any] = {"mails": mails} if mails else {}
        if text:
            person["first"] = text
        made: list[Any] = value_of(f'{name}(cs["mails"], split(cs["first"], ","))', person)
        return made

    assert set(of("union")) == set(one) | set(other)
    assert set(of("intersect")) == set(one) & set(other)
    assert set(of("difference")) == set(one) - set(other)
