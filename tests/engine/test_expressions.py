"""The language: what it accepts, what it means, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.language import BERLIN, NOW, a_context, an_environment, value_of

from anabranch.engine.expressions import EvaluationError, ExpressionError, NeedsDraw, check


def refusal(source: str, **environment: Any) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        check(source, an_environment(**environment))
    return caught.value


PERSON = {"first": "Ann", "number": 3, "mails": ["a@x", "b@x"], "active": True}


# ----------------------------------------------------------------- meaning


@pytest.mark.behaviour("MOD-34")
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('"a" + "b"', "ab"),
        ("1 + 2 * 3 - 4", 3),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("-7 % 3", 2),
        ("-7.5 // 2", Decimal("-4")),
        ("-7.5 % 2", Decimal("0.5")),
        ("+5 - -3", 8),
        ("1 < 2 <= 2 < 3", True),
        ("1 < 3 < 2", False),
        ('"a" in ["a", "b"]', True),
        ('"c" not in ["a", "b"]', True),
        ('cs["first"] in ["Ann", null]', True),
        ('cs["number"] in [1, 3.0]', True),
        ("true and not false or false", True),
        ('"yes" if cs["active"] else "no"', "yes"),
        ('cs["mails"][0]', "a@x"),
        ('cs["mails"][-1]', "b@x"),
        ('cs["mails"][2]', None),
        ('cs["mails"][-3]', None),
        ('cs["mails"][null]', None),
        ("null", None),
        ("[1, 2][1]", 2),
        ("None == null", True),
        ("True == true", True),
        ("-9223372036854775808", -(2**63)),
        ('"a" "b"', "ab"),
        ('"a"  # a remark', "a"),
    ],
)
def test_an_expression_means_what_it_says(source: str, value: object) -> None:
    assert value_of(source, PERSON) == value


@pytest.mark.behaviour("MOD-34")
def test_an_expression_may_spread_over_lines() -> None:
    assert value_of('"a"\n  + cs["first"]\n', PERSON) == "aAnn"


@pytest.mark.behaviour("MOD-37")
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('cs["last"]', None),
        ('cs["mails"]', ["a@x", "b@x"]),
        ('count(cs["mails"])', 2),
        ('cs["boss"]', "E7"),
        ('upper(cs["boss"])', "E7"),
        ('mv["manager"] == null', True),
    ],
)
def test_accessors_give_values_lists_and_raw_identifiers(source: str, value: object) -> None:
    assert value_of(source, {**PERSON, "boss": "E7"}) == value


@pytest.mark.behaviour("MOD-37")
def test_a_missing_list_reads_as_empty() -> None:
    assert value_of('count(cs["mails"])') == 0
    assert value_of('cs["mails"]') == []


@pytest.mark.behaviour("MOD-40")
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('cs["last"] + "x"', None),
        ('"x" + cs["last"] + "y"', None),
        ('cs["number"] + null', None),
        ("null - 1", None),
        ("null / 0", None),
        ("-null", None),
        ('upper(cs["last"])', None),
        ("left(null, 2)", None),
        ('replace("abc", "b", cs["last"])', None),
        ('cs["last"] < "x"', False),
        ('"x" >= cs["last"]', False),
        ("null < 1", False),
        ("1 < null < 3", False),
        ('cs["last"] == null', True),
        ('null == cs["first"]', False),
        ('cs["last"] != null', False),
        ('cs["last"] == cs["guid"]', True),
        ('not cs["last"] == "x"', True),
        ("null and true", False),
        ("null or true", True),
        ("not null", True),
        ('1 if cs["active"] == null else 2', 2),
        ('cs["last"] in ["a"]', False),
        ('"a" in null', False),
    ],
)
def test_null_propagates(source: str, value: object) -> None:
    assert value_of(source, PERSON) == value


@pytest.mark.behaviour("MOD-40")
@pytest.mark.parametrize("condition", ["null", 'cs["active"]', 'coalesce(cs["active"], null)'])
def test_null_is_a_false_condition(condition: str) -> None:
    assert value_of(f"1 if {condition} else 2") == 2


@pytest.mark.behaviour("MOD-41")
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 + 1.5", Decimal("2.5")),
        ("0.1 + 0.2 == 0.3", True),
        ("1.0000000000000000000000000000000000001 > 1", True),
        ("6 / 2", Decimal(3)),
        ("1 / 3", Decimal("0." + "3" * 38)),
        ("1 == 1.0", True),
        ("true == 1", False),
        ('"1" == 1', False),
        ('"1" != 1', True),
        ('cs["number"] == cs["active"]', False),
        ('coalesce(cs["active"]) == coalesce(cs["number"])', False),
        ("[1, 2] == [1.0, 2]", True),
        ("[1] == 1", False),
        ('cs["guid"] == "6f9619ff-8b86-d011-b42d-00c04fc964ff"', False),
        ('to_text(cs["guid"]) == "6f9619ff-8b86-d011-b42d-00c04fc964ff"', True),
    ],
)
def test_types_meet_only_where_they_should(source: str, value: object) -> None:
    person = {"number": 1, "active": True, "guid": "6f9619ff-8b86-d011-b42d-00c04fc964ff"}
    assert value_of(source, person) == value


@pytest.mark.behaviour("MOD-41")
def test_a_quotient_is_a_decimal() -> None:
    assert type(value_of("6 / 2")) is Decimal


@pytest.mark.behaviour("MOD-41", "MOD-42")
@pytest.mark.parametrize(
    "source",
    [
        "1 / 0",
        "1 // 0",
        "1.5 % 0",
        '5 / (cs["number"] - 3)',
        'coalesce(cs["first"], 1) + 1',
        'coalesce(cs["number"], "x") + "x"',
        'coalesce(cs["active"], 1) + 1',
        'coalesce(cs["first"], 1) * 3',
        'coalesce(cs["first"], 1) < 3',
        'coalesce(cs["first"], true) and true',
        '1 if coalesce(cs["number"], true) else 2',
        'upper(coalesce(cs["number"], "x"))',
        'coalesce(cs["first"], cs["mails"])[0]',
        '"a" in coalesce(cs["first"], cs["mails"])',
        "9223372036854775807 + 1",
        "-9223372036854775808 - 1",
        "4611686018427387904 * 2",
        "-(-9223372036854775807 - 1)",
        "99999999999999999999999999999999999999.0 * 10.5",
        "1.0000000000000000000000000000000000001 * 1.0000000000000000000000000000000000001",
    ],
)
def test_what_cannot_be_computed_is_an_error(source: str) -> None:
    with pytest.raises(EvaluationError):
        value_of(source, PERSON)


@pytest.mark.behaviour("MOD-42")
def test_an_error_never_tells_the_value() -> None:
    for source in ('to_integer(cs["first"])', 'to_uuid(cs["first"])', 'parse_date(cs["first"], "yyyy-MM-dd")'):
        with pytest.raises(EvaluationError) as caught:
            value_of(source, {"first": "hunter2"})
        assert "hunter2" not in str(caught.value)


@pytest.mark.behaviour("MOD-41")
@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_integer_division_and_remainder_belong_together(number: int, divisor: int) -> None:
    if divisor and -(2**63) <= number // divisor < 2**63:
        pair = value_of(f'[cs["number"] // ({divisor}), cs["number"] % ({divisor})]', {"number": number})
        assert pair[0] * divisor + pair[1] == number


@given(st.one_of(st.none(), st.text(max_size=5)), st.one_of(st.none(), st.text(max_size=5)))
def test_certain_and_uncertain_types_give_the_same_result(first: str | None, last: str | None) -> None:
    person = {key: value for key, value in (("first", first), ("last", last)) if value is not None}
    for operator in ("==", "!=", "<", "<=", ">", ">=", "+"):
        certain = value_of(f'cs["first"] {operator} cs["last"]', person)
        hidden = value_of(f'choose(1, 1, cs["first"], 2, 3) {operator} choose(1, 1, cs["last"], 2, 3)', person)
        assert certain == hidden
        assert type(certain) is type(hidden)


# ----------------------------------------------------------------- what is refused


@pytest.mark.behaviour("MOD-35")
@pytest.mark.parametrize(
    "source",
    [
        "",
        "   ",
        "1 +",
        "a.b",
        '"x".upper()',
        "[x for x in [1]]",
        "(x for x in [1])",
        "{1: 2}",
        "{1}",
        "(1, 2)",
        "1, 2",
        "lambda: 1",
        'f"{1}"',
        "(x := 1)",
        "max(*[1])",
        "upper(*[1])",
        "2 ** 3",
        '"abc"[0:1]',
        'cs["mails"][0:1]',
        '"a" * 3',
        '3 * "a"',
        '"%s" % 1',
        "~1",
        "1 | 2",
        "1 << 2",
        "1 @ 2",
        "x",
        "print(1)",
        "__import__('os')",
        "cs",
        'cs[cs["first"]]',
        'cs["nope"]',
        "upper",
        "upper()",
        "upper('a', 'b')",
        'upper(text="a")',
        "b'x'",
        "1j",
        "...",
        "9223372036854775808",
        "await x",
        "yield",
        "import os",
        "1; 2",
        "1) + (2",
        "1] + [2",
        "random_password(8)",
        "random_passphrase(3)",
        "\x00",
        '"\\x00"',
        '"\\ud800"',
    ],
)
def test_what_is_not_of_the_language_is_refused(source: str) -> None:
    assert refusal(source).line >= 1


@pytest.mark.behaviour("MOD-35")
@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ('cs["first"] + nope', 1, 15),
        ('"ä" + nope', 1, 7),
        ('"a" +\nnope', 2, 1),
        ('"a" +\n  upper(nope)', 2, 9),
        ("1 + * 2", 1, 5),
    ],
)
def test_a_refusal_names_line_and_column(source: str, line: int, column: int) -> None:
    error = refusal(source)
    assert (error.line, error.column) == (line, column)


@pytest.mark.parametrize(
    ("source", "hint"),
    [('cs["frist"]', "first"), ("uper('a')", "upper"), ('lookup("site", "a")', "sites"), ("mv_stat", "mv_state")],
)
def test_a_refusal_knows_what_was_meant(source: str, hint: str) -> None:
    assert f"did you mean {hint!r}" in str(refusal(source))


@pytest.mark.behaviour("MOD-36")
def test_the_size_of_an_expression_is_limited() -> None:
    assert value_of('"' + "a" * 4094 + '"') == "a" * 4094
    refusal('"' + "a" * 4095 + '"')
    assert value_of("[" + "1," * 900 + "1][0]") == 1
    refusal("[" + "1," * 1000 + "1][0]")
    assert value_of("-" * 31 + "1") == -1
    refusal("-" * 33 + "1")
    refusal("(" * 1000 + "1" + ")" * 1000)


@pytest.mark.behaviour("MOD-36")
@pytest.mark.timeout(20)
def test_a_chain_inside_a_chain_costs_no_more_than_its_size() -> None:
    source = "1"
    for _ in range(14):
        source = f"0 < (1 if {source} == 1 else 2) < 3"
    value_of(source)


@pytest.mark.behaviour("MOD-36")
@pytest.mark.parametrize(
    "source",
    [
        'cs["first"] + cs["first"]',
        'concat(cs["first"], cs["first"])',
        'replace(cs["first"], "x", "xx")',
        'replace(left(cs["first"], 300), "x", cs["last"])',
        "pad_left('x', 70000)",
        "pad_right('x', 9223372036854775807)",
        'join_text([cs["first"], cs["first"]], ",")',
        'upper(cs["last"] + cs["last"])',
        'regex_replace(left(cs["first"], 4000), "x", left(cs["first"], 100))',
    ],
)
def test_text_an_expression_builds_is_limited(source: str) -> None:
    with pytest.raises(EvaluationError):
        value_of(source, {"first": "x" * 40_000, "last": "ß" * 20_000})


@pytest.mark.behaviour("MOD-36")
def test_a_list_an_expression_builds_is_limited() -> None:
    half = [f"{number:06}" for number in range(60_000)]
    assert len(value_of('union(cs["mails"], ["x"])', {"mails": half})) == 60_001
    with pytest.raises(EvaluationError):
        value_of(
            'union(cs["mails"], split(cs["first"], ","))', {"mails": half, "first": ",".join(map(str, range(50_000)))}
        )


def test_a_value_passed_on_has_no_limit() -> None:
    assert value_of('cs["first"]', {"first": "x" * 100_000}) == "x" * 100_000


# ----------------------------------------------------------------- where an expression stands


@pytest.mark.behaviour("MOD-38")
def test_a_side_that_cannot_be_seen_is_refused() -> None:
    assert "not visible" in str(refusal('mv["account"]', mv=None))
    assert "not visible" in str(refusal('cs["first"]', cs=None))


@pytest.mark.behaviour("MOD-44")
def test_now_is_refused_where_it_would_make_results_wander() -> None:
    assert value_of("now()") == NOW
    assert "initial-only" in str(refusal("now()", allows_now=False))


@pytest.mark.behaviour("MOD-44")
def test_today_is_the_day_of_the_rules_zone() -> None:
    assert value_of("today()") == datetime(2026, 5, 4, tzinfo=UTC)
    assert value_of("today()", zone=BERLIN) == datetime(2026, 5, 4, 22, tzinfo=UTC)
    assert check("today()", an_environment()).calls_today
    assert not check("now()", an_environment()).calls_today


@pytest.mark.behaviour("MOD-48")
def test_outbound_expressions_see_the_state_of_the_metaverse_object() -> None:
    context = a_context(mv_state="pending_deletion", delete_after=NOW, joined=frozenset({"hr"}))
    assert value_of('mv_state == "pending_deletion"', context=context) is True
    assert value_of("delete_after", context=context) == NOW
    assert value_of('[joined("hr"), joined("erp")]', context=context) == [True, False]
    for source in ("mv_state", "delete_after", 'joined("hr")'):
        refusal(source, sees_metaverse_state=False)


@pytest.mark.behaviour("MOD-49")
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('lookup("sites", "B")', "Berlin"),
        ('lookup("sites", "b")', None),
        ('lookup("sites", "X", "else")', "else"),
        ('lookup("sites", null, "else")', None),
        ('upper(lookup("sites", cs["first"], "x"))', "X"),
    ],
)
def test_a_table_is_looked_up(source: str, value: object) -> None:
    assert value_of(source, PERSON) == value


@pytest.mark.behaviour("MOD-49")
@pytest.mark.parametrize("source", ['lookup("nope", "a")', 'lookup(cs["first"], "a")', 'lookup("sites")'])
def test_a_table_is_named_by_a_literal(source: str) -> None:
    refusal(source)


# ----------------------------------------------------------------- what an expression tells of itself


@pytest.mark.behaviour("MOD-39")
def test_an_expression_tells_what_it_reads() -> None:
    checked = check('cs["first"] + mv["account"] + unique_value("account", [cs["last"]])', an_environment())
    assert checked.reads_cs == {"first", "last"}
    assert checked.reads_mv == {"account"}
    assert checked.draws == ("account",)


def test_drawing_asks_for_what_is_reserved() -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []

    def draw(name: str, candidates: Sequence[str]) -> str:
        asked.append((name, tuple(candidates)))
        return "ann2"

    source = 'unique_value("account", numbered(lower(cs["first"]), 2, 4))'
    assert value_of(source, PERSON, context=a_context(draw=draw)) == "ann2"
    assert asked == [("account", ("ann", "ann2", "ann3", "ann4"))]


def test_an_undrawn_value_stops_the_evaluation() -> None:
    def draw(name: str, candidates: Sequence[str]) -> str:
        raise NeedsDraw(name, candidates)

    with pytest.raises(NeedsDraw) as caught:
        value_of('unique_value("account", ["a", null, " ", "a", "b"])', context=a_context(draw=draw))
    assert caught.value.name == "account"
    assert tuple(caught.value.candidates) == ("a", "b")


@pytest.mark.parametrize("source", ['unique_value("nope", ["a"])', 'unique_value(cs["first"], ["a"])'])
def test_a_unique_value_is_named_by_a_literal(source: str) -> None:
    refusal(source)


def test_drawing_is_refused_where_nothing_is_reserved() -> None:
    refusal('unique_value("account", ["a"])', allows_draw=False)


def test_nothing_is_drawn_from_nothing() -> None:
    assert value_of('unique_value("account", null)') is None
    assert value_of('unique_value("account", [null, ""])') is None
