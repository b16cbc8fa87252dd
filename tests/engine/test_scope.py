"""Whether a rule concerns an object, and until when that holds."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.language import BERLIN, NOW, a_context, an_attribute, attributes

from anabranch.engine.expressions import Environment, make_function
from anabranch.engine.scope import (
    CheckedScope,
    ScopeFault,
    ScopeProblem,
    check_scope,
    compile_scope_function,
    scope_node,
    scope_turns_at,
)
from anabranch.model.configuration import Criterion, RelativeDate, Scope, ScopeExpression, ScopeGroup
from anabranch.model.enums import ValueType

CS = attributes(
    an_attribute("dept"),
    an_attribute("loose", case_sensitive=False),
    an_attribute("tags", multi_valued=True),
    an_attribute("rank", ValueType.INTEGER),
    an_attribute("pay", ValueType.DECIMAL),
    an_attribute("active", ValueType.BOOLEAN),
    an_attribute("guid", ValueType.UUID),
    an_attribute("photo", ValueType.BINARY),
    an_attribute("boss", ValueType.REFERENCE),
    an_attribute("ends", ValueType.DATETIME),
    an_attribute("dates", ValueType.DATETIME, multi_valued=True),
)


def that(attribute: str, operator: str, value: Any = None, **fields: Any) -> Criterion:
    negated = operator.startswith("not_")
    return Criterion(
        attribute=attribute, operator=operator.removeprefix("not_"), value=value, negated=negated, **fields
    )


def group(kind: str, *members: Scope) -> ScopeGroup:
    return ScopeGroup(kind=kind, members=members)


def checked(scope: Scope, zone: tzinfo = UTC) -> CheckedScope:
    result = check_scope(scope, Environment(cs=CS, zone=zone), zone)
    assert isinstance(result, CheckedScope), result
    return result


def faults(scope: Scope) -> tuple[ScopeFault, ...]:
    result = check_scope(scope, Environment(cs=CS), UTC)
    assert not isinstance(result, CheckedScope)
    return result


def accepts(scope: Scope, values: Mapping[str, Any], *, now: datetime = NOW, zone: tzinfo = UTC) -> bool:
    return compile_scope_function(checked(scope, zone))(values, a_context(now=now))


PERSON = {
    "dept": "Sales",
    "loose": "Straße",
    "tags": ["blue", "Red_1"],
    "rank": 5,
    "pay": Decimal("10.5"),
    "active": True,
    "guid": "6f9619ff-8b86-d011-b42d-00c04fc964ff",
    "photo": b"\x01",
    "boss": "E7",
    "ends": datetime(2026, 5, 1, tzinfo=UTC),
}

HOLDS = [
    that("dept", "equals", "Sales"),
    that("dept", "starts_with", "Sa"),
    that("dept", "ends_with", "les"),
    that("dept", "contains", "ale"),
    that("dept", "in", ["HR", "Sales"]),
    that("dept", "equals", "SALES", ignore_case=True),
    that("dept", "in", ["SALES"], ignore_case=True),
    that("dept", "starts_with", "SA", ignore_case=True),
    that("loose", "equals", "STRASSE"),
    that("loose", "contains", "SS"),
    that("tags", "equals", "blue"),
    that("tags", "starts_with", "bl"),
    that("tags", "in", ["green", "blue"]),
    that("tags", "present"),
    that("rank", "equals", 5),
    that("rank", "less_than", 6),
    that("rank", "less_or_equal", 5),
    that("rank", "greater_than", 4),
    that("rank", "greater_or_equal", 5),
    that("rank", "in", [1, 5]),
    that("pay", "equals", "10.50"),
    that("pay", "less_than", 11),
    that("active", "equals", True),
    that("active", "in", [True]),
    that("guid", "equals", "{6F9619FF-8B86-D011-B42D-00C04FC964FF}"),
    that("photo", "present"),
    that("boss", "present"),
    that("ends", "less_than", "2026-05-01T00:00:01Z"),
    that("ends", "equals", "2026-05-01"),
    that("ends", "greater_or_equal", "2026-05-01T02:00+02:00"),
]
FAILS = [
    that("dept", "equals", "sales"),
    that("dept", "starts_with", "ales"),
    that("dept", "in", []),
    that("loose", "equals", "Strase"),
    that("tags", "equals", "red_1"),
    that("rank", "less_than", 5),
    that("rank", "in", [1]),
    that("active", "equals", False),
    that("ends", "greater_than", "2026-05-01"),
]
MISSING = [*HOLDS, *FAILS]


@pytest.mark.behaviour("SYN-10")
@pytest.mark.parametrize("criterion", HOLDS, ids=str)
def test_a_criterion_holds_and_its_complement_does_not(criterion: Criterion) -> None:
    assert accepts(criterion, PERSON)
    assert not accepts(
        that(criterion.attribute, f"not_{criterion.operator}", criterion.value, ignore_case=criterion.ignore_case),
        PERSON,
    )


@pytest.mark.behaviour("SYN-10", "SYN-11")
@pytest.mark.parametrize("criterion", FAILS, ids=str)
def test_a_criterion_fails_and_its_complement_does_not(criterion: Criterion) -> None:
    assert not accepts(criterion, PERSON)
    assert accepts(that(criterion.attribute, f"not_{criterion.operator}", criterion.value), PERSON)


@pytest.mark.behaviour("SYN-11")
@pytest.mark.parametrize("criterion", MISSING, ids=str)
def test_a_missing_value_satisfies_the_complement_only(criterion: Criterion) -> None:
    assert not accepts(criterion, {})
    assert accepts(that(criterion.attribute, f"not_{criterion.operator}", criterion.value), {})


@pytest.mark.behaviour("SYN-12", "TRAP-17")
@pytest.mark.parametrize("wildcard", ["%", "_", "*", "\\", "Sal%", "Sal_s", "S*", ".*"])
def test_wildcards_mean_themselves(wildcard: str) -> None:
    for operator in ("equals", "starts_with", "ends_with", "contains"):
        assert not accepts(that("dept", operator, wildcard), PERSON)
        assert accepts(that("dept", operator, wildcard), {"dept": wildcard})


@pytest.mark.behaviour("SYN-12", "TRAP-17")
def test_accents_count_whatever_the_case_rule() -> None:
    assert not accepts(that("loose", "equals", "rene"), {"loose": "René"})
    assert accepts(that("loose", "equals", "RENE\u0301"), {"loose": "René"})


@pytest.mark.behaviour("SYN-9")
@pytest.mark.parametrize(
    ("scope", "verdict"),
    [
        (group("all", that("dept", "equals", "Sales"), that("rank", "equals", 5)), True),
        (group("all", that("dept", "equals", "Sales"), that("rank", "equals", 6)), False),
        (group("any", that("dept", "equals", "HR"), that("rank", "equals", 5)), True),
        (group("any", that("dept", "equals", "HR"), that("rank", "equals", 6)), False),
        (group("not", that("dept", "equals", "HR")), True),
        (group("not", group("any", that("dept", "equals", "HR"), that("rank", "equals", 5))), False),
        (group("all"), True),
        (group("not", group("all")), False),
    ],
)
def test_a_scope_is_a_tree(scope: Scope, verdict: bool) -> None:
    assert accepts(scope, PERSON) is verdict


@pytest.mark.behaviour("SYN-10", "SYN-11")
@pytest.mark.parametrize(
    ("expression", "verdict"),
    [('cs["rank"] > 4', True), ('cs["rank"] > 5', False), ("null", False), ("choose(1, 2, true)", False)],
)
def test_an_expression_is_a_scope_and_null_is_false(expression: str, verdict: bool) -> None:
    assert accepts(ScopeExpression(expression=expression), PERSON) is verdict


@pytest.mark.behaviour("SYN-17")
@pytest.mark.parametrize(
    "expression", ['to_integer(cs["dept"]) > 1', '1 / (cs["rank"] - 5) > 0', 'coalesce(cs["dept"], 1)']
)
def test_a_scope_that_cannot_be_evaluated_is_never_false(expression: str) -> None:
    for scope in (ScopeExpression(expression=expression), group("not", ScopeExpression(expression=expression))):
        with pytest.raises(ScopeProblem):
            accepts(scope, PERSON)


@pytest.mark.behaviour("SYN-17")
def test_a_scope_inside_a_larger_function_raises_the_same() -> None:
    constants: dict[str, Any] = {}

    def const(value: object) -> ast.expr:
        constants[name := f"k{len(constants)}"] = value
        return ast.Name(id=name, ctx=ast.Load())

    def names(_side: str, attribute: str) -> ast.expr:
        return ast.Subscript(value=ast.Name(id="cs", ctx=ast.Load()), slice=ast.Constant(attribute), ctx=ast.Load())

    scope = ScopeExpression(expression='to_integer(cs["dept"]) > 1')
    node = scope_node(scope, attributes=CS, environment=Environment(cs=CS), zone=UTC, names=names, const=const)
    function = make_function(("cs", "ctx"), node, constants)
    assert function({"dept": "2"}, a_context()) is True
    with pytest.raises(ScopeProblem):
        function({"dept": "x"}, a_context())


@pytest.mark.parametrize(
    ("scope", "place", "message"),
    [
        (that("dpet", "equals", "x"), "attribute", "did you mean 'dept'"),
        (that("dept", "less_than", "x"), "operator", "not defined"),
        (that("photo", "equals", "AQ=="), "operator", "not defined"),
        (that("rank", "equals", "five"), "value", "whole number"),
        (that("rank", "in", [1, "x"]), "value[1]", "whole number"),
        (that("rank", "in", 1), "value", "list"),
        (that("rank", "equals", 1, ignore_case=True), "ignore_case", "only text has case"),
        (that("rank", "equals", RelativeDate(count=1, unit="days")), "value", "datetime"),
        (that("ends", "less_than", RelativeDate(count=1, unit="moons")), "value.unit", "moons"),
        (group("any"), "any", "never true"),
        (group("all", that("dept", "present"), that("nope", "present")), "all[1].attribute", "nope"),
        (group("not", ScopeExpression(expression="1 +")), "not[0].expression", "not an expression"),
        (ScopeExpression(expression='cs["dept"]'), "expression", "true, false or null"),
    ],
)
def test_a_fault_is_told_where_it_stands(scope: Scope, place: str, message: str) -> None:
    (fault,) = faults(scope)
    assert fault.place == place
    assert message in fault.message


def test_all_faults_are_told_at_once() -> None:
    scope = group("all", that("x", "present"), that("rank", "equals", "y"), ScopeExpression(expression="nope"))
    assert len(faults(scope)) == 3


# ----------------------------------------------------------------- time


def relative(operator: str, count: int, unit: str) -> Criterion:
    return that("ends", operator, RelativeDate(count=count, unit=unit))


@pytest.mark.behaviour("SYN-13")
@pytest.mark.parametrize(
    ("count", "unit", "border", "zone"),
    [
        (-36, "hours", datetime(2026, 5, 3, 10, 30, tzinfo=UTC), UTC),
        (0, "days", datetime(2026, 5, 4, tzinfo=UTC), UTC),
        (0, "days", datetime(2026, 5, 4, 22, tzinfo=UTC), BERLIN),
        (-30, "days", datetime(2026, 4, 4, tzinfo=UTC), UTC),
        (2, "weeks", datetime(2026, 5, 18, tzinfo=UTC), UTC),
        (-2, "months", datetime(2026, 3, 4, tzinfo=UTC), UTC),
        (-2, "months", datetime(2026, 3, 4, 23, tzinfo=UTC), BERLIN),
        (1, "years", datetime(2027, 5, 4, tzinfo=UTC), UTC),
    ],
)
def test_a_relative_date_counts_from_midnight_and_hours_from_now(
    count: int, unit: str, border: datetime, zone: tzinfo
) -> None:
    before = border - timedelta(microseconds=1)
    assert accepts(relative("less_than", count, unit), {"ends": before}, zone=zone)
    assert not accepts(relative("less_than", count, unit), {"ends": border}, zone=zone)
    assert accepts(relative("equals", count, unit), {"ends": border}, zone=zone)
    assert accepts(relative("greater_or_equal", count, unit), {"ends": border}, zone=zone)


@pytest.mark.behaviour("SYN-13")
@pytest.mark.parametrize(
    ("now", "count", "unit", "border"),
    [
        (datetime(2026, 3, 31, 9, tzinfo=UTC), -1, "months", datetime(2026, 2, 28, tzinfo=UTC)),
        (datetime(2024, 2, 29, 9, tzinfo=UTC), 1, "years", datetime(2025, 2, 28, tzinfo=UTC)),
    ],
)
def test_months_and_years_clamp_to_the_last_day(now: datetime, count: int, unit: str, border: datetime) -> None:
    assert accepts(relative("equals", count, unit), {"ends": border}, now=now)


def test_a_relative_date_beyond_the_calendar_is_its_end() -> None:
    assert accepts(relative("less_than", 9000, "years"), PERSON)
    assert not accepts(relative("less_than", -9000, "years"), PERSON)


def turns(scope: Scope, values: Mapping[str, Any], now: datetime = NOW, zone: tzinfo = UTC) -> datetime | None:
    return scope_turns_at(checked(scope, zone), values, now)


@pytest.mark.behaviour("SYN-8")
@pytest.mark.parametrize(
    ("scope", "moment"),
    [
        (relative("less_than", -30, "days"), datetime(2026, 6, 1, tzinfo=UTC)),
        (relative("greater_or_equal", -30, "days"), datetime(2026, 6, 1, tzinfo=UTC)),
        (relative("less_or_equal", -30, "days"), datetime(2026, 5, 31, tzinfo=UTC)),
        (relative("greater_than", -30, "days"), datetime(2026, 5, 31, tzinfo=UTC)),
        (relative("equals", -30, "days"), datetime(2026, 5, 31, tzinfo=UTC)),
        (relative("less_than", 0, "days"), None),
        (relative("less_than", -120, "hours"), datetime(2026, 5, 6, microsecond=1, tzinfo=UTC)),
        (relative("less_or_equal", -120, "hours"), datetime(2026, 5, 6, tzinfo=UTC)),
        (that("ends", "less_than", "2030-01-01"), None),
        (that("dept", "present"), None),
        (ScopeExpression(expression='days_between(cs["ends"], today()) > 30'), datetime(2026, 5, 5, tzinfo=UTC)),
        (
            group("any", relative("less_than", -30, "days"), group("not", relative("less_or_equal", -30, "days"))),
            datetime(2026, 5, 31, tzinfo=UTC),
        ),
    ],
)
def test_the_next_turn_of_a_verdict_is_known(scope: Scope, moment: datetime | None) -> None:
    assert turns(scope, PERSON) == moment


def test_a_missing_value_never_turns_and_of_several_the_first_does() -> None:
    scope = that("dates", "less_than", RelativeDate(count=-30, unit="days"))
    assert turns(scope, {}) is None
    dates = [datetime(2026, 4, day, tzinfo=UTC) for day in (20, 10)]
    assert turns(scope, {"dates": dates}) == datetime(2026, 5, 11, tzinfo=UTC)


@pytest.mark.behaviour("SYN-8")
@given(
    operator=st.sampled_from(["equals", "less_than", "less_or_equal", "greater_than", "greater_or_equal"]),
    count=st.integers(-40, 40),
    unit=st.sampled_from(["hours", "days", "weeks", "months", "years"]),
    value=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - naive bounds
    zone=st.sampled_from([UTC, BERLIN]),
)
def test_a_verdict_stands_until_its_turn_and_changes_there(
    operator: str, count: int, unit: str, value: datetime, zone: tzinfo
) -> None:
    scope, values = relative(operator, count, unit), {"ends": value}
    verdict = accepts(scope, values, zone=zone)
    turn = turns(scope, values, zone=zone)
    if turn is None:
        for days in (1, 30, 400, 40_000):
            assert accepts(scope, values, now=NOW + timedelta(days=days), zone=zone) is verdict
        return
    assert turn > NOW
    assert accepts(scope, values, now=turn - timedelta(microseconds=1), zone=zone) is verdict
    if operator != "equals":
        assert accepts(scope, values, now=turn, zone=zone) is not verdict
