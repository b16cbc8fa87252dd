"""Values have one stored form, one equality and one order, and nothing is lost on the way in."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.engine.fingerprints import content_fingerprint
from anabranch.engine.values import (
    ConversionProblem,
    ValueProblem,
    anchor_key,
    canonical_set,
    clean,
    compare_key,
    fold,
    order_key,
    order_text,
    parse_value,
    parse_values,
    same_values,
    set_difference,
    to_engine,
    to_stored,
)
from anabranch.model.configuration import Attribute
from anabranch.model.enums import TextCleanup, ValueType

BERLIN = ZoneInfo("Europe/Berlin")


def an_attribute(kind: ValueType = ValueType.TEXT, **fields: Any) -> Attribute:
    return Attribute(name="value", type=kind, **fields)


def parsed(raw: object, kind: ValueType, zone: Any = UTC) -> Any:
    return parse_value(raw, an_attribute(kind), zone)


def problem(raw: object, kind: ValueType, **fields: Any) -> ValueProblem:
    with pytest.raises(ValueProblem) as caught:
        parse_value(raw, an_attribute(kind, **fields), UTC)
    return caught.value


# ----------------------------------------------------------------- text


@pytest.mark.behaviour("MOD-2")
@pytest.mark.parametrize("raw", [" padded ", "e\u0301", "\u00e9", "ﬀ", "a\tb"])
def test_text_is_stored_as_it_is(raw: str) -> None:
    assert parsed(raw, ValueType.TEXT) == raw
    assert parsed(raw.encode(), ValueType.TEXT) == raw


@pytest.mark.parametrize("raw", ["a\0b", b"a\0b", "\ud800", b"\xff"])
def test_text_that_cannot_be_stored_is_refused(raw: object) -> None:
    assert problem(raw, ValueType.TEXT).kind == "attribute_value_error"


@pytest.mark.parametrize(("raw", "stored"), [(5, "5"), (True, "true"), (Decimal("5.00"), "5"), (0.1, "0.1")])
def test_a_native_value_becomes_the_text_of_its_stored_form(raw: object, stored: str) -> None:
    assert parsed(raw, ValueType.TEXT) == stored


@pytest.mark.behaviour("MOD-2")
@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Straße", "STRASSE", True),
        ("\u00e9", "E\u0301", True),
        ("e", "\u00e9", False),
        ("Ann", "ann", True),
        ("Ann", "Ann ", False),
    ],
)
def test_folding_ignores_case_and_composition_but_not_accents(one: str, other: str, equal: bool) -> None:
    assert same_values(one, other, an_attribute(case_sensitive=False)) is equal
    assert not same_values(one, other, an_attribute())


@given(st.text())
def test_folding_is_the_same_for_both_cases_of_ascii(text: str) -> None:
    ascii_text = text.encode("ascii", "ignore").decode()
    assert fold(ascii_text.upper()) == fold(ascii_text.lower())


# ----------------------------------------------------------------- numbers


@pytest.mark.behaviour("MOD-3", "TRAP-20")
@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        (" 42 ", 42),
        ("+7", 7),
        ("0" * 50 + "5", 5),
        (Decimal("5.0"), 5),
        ("-007", -7),
        ("-0", 0),
        (5.0, 5),
        (b"12", 12),
    ],
)
def test_whole_numbers_arrive_whole(raw: object, stored: int) -> None:
    value = parsed(raw, ValueType.INTEGER)
    assert value == stored
    assert type(value) is int


@pytest.mark.behaviour("MOD-3")
@pytest.mark.parametrize(
    "raw", ["9223372036854775808", "-9223372036854775809", "9" * 5000, 2**63, 1e30, Decimal("1e1000000")]
)
def test_an_integer_outside_64_bits_is_out_of_range(raw: object) -> None:
    assert problem(raw, ValueType.INTEGER).kind == "value_out_of_range"


@pytest.mark.behaviour("MOD-3")
@pytest.mark.parametrize(
    "raw", ["5.5", "1e3", "1_000", "x", "٣", True, 5.5, float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN")]
)
def test_what_is_no_whole_number_is_no_integer(raw: object) -> None:
    assert problem(raw, ValueType.INTEGER).kind == "attribute_value_error"


@pytest.mark.behaviour("MOD-4", "TRAP-20")
@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("5", "5"),
        ("5.0", "5"),
        ("5.00", "5"),
        ("-12.50", "-12.5"),
        ("1E+3", "1000"),
        ("-0", "0"),
        ("0.000", "0"),
        (0.1, "0.1"),
        (1e22, "10000000000000000000000"),
        (7, "7"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ("0.12345678901234567890123456789012345678", "0.12345678901234567890123456789012345678"),
    ],
)
def test_a_decimal_has_one_text(raw: object, stored: str) -> None:
    assert parsed(raw, ValueType.DECIMAL) == stored


@pytest.mark.behaviour("MOD-4")
@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("NaN", "attribute_value_error"),
        ("Infinity", "attribute_value_error"),
        (float("inf"), "attribute_value_error"),
        (True, "attribute_value_error"),
        ("1_0", "attribute_value_error"),
        ("123456789012345678901234567890123456789", "value_out_of_range"),
        ("1e999999999999", "value_out_of_range"),
    ],
)
def test_a_decimal_that_cannot_be_kept_is_refused(raw: object, kind: str) -> None:
    assert problem(raw, ValueType.DECIMAL).kind == kind


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20))
def test_decimals_equal_by_number_are_the_same_text(number: Decimal) -> None:
    attribute = an_attribute(ValueType.DECIMAL)
    assert parse_value(str(number), attribute) == parse_value(number.normalize(), attribute)
    assert Decimal(str(parse_value(number, attribute))) == number


# ----------------------------------------------------------------- instants


@pytest.mark.behaviour("MOD-5", "TRAP-20")
@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z"),
        ("2026-01-01 12:00", "2026-01-01T12:00:00Z"),
        ("2026-01-01", "2026-01-01T00:00:00Z"),
        ("20260101T120000Z", "2026-01-01T12:00:00Z"),
        ("2026-01-01T12:00:00+02:00", "2026-01-01T10:00:00Z"),
        ("2026-01-01T12:00:00.1234569Z", "2026-01-01T12:00:00.123456Z"),
        ("2026-01-01T12:00:00,5-0530", "2026-01-01T17:30:00.500000Z"),
        ("20260101120000Z", "2026-01-01T12:00:00Z"),
        ("20260101120000.25+0100", "2026-01-01T11:00:00.250000Z"),
        ("202601011230Z", "2026-01-01T12:30:00Z"),
        ("2026010112.5Z", "2026-01-01T12:30:00Z"),
        ("202601011200.5Z", "2026-01-01T12:00:30Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        (datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=3))), "2026-01-01T09:00:00Z"),
    ],
)
def test_an_instant_has_one_text(raw: object, stored: str) -> None:
    assert parsed(raw, ValueType.DATETIME) == stored


@pytest.mark.parametrize(
    "raw",
    ["2026-02-30", "yesterday", "2026-01-01T25:00Z", "1712010112", "2026-01-01T00:00+99:99", 5, "20261301120000Z"],
)
def test_what_is_no_instant_is_refused(raw: object) -> None:
    assert problem(raw, ValueType.DATETIME).kind == "attribute_value_error"


@pytest.mark.behaviour("MOD-5")
@pytest.mark.parametrize("raw", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_an_instant_outside_the_calendar_is_out_of_range(raw: str) -> None:
    assert problem(raw, ValueType.DATETIME).kind == "value_out_of_range"


@pytest.mark.behaviour("MOD-6", "TRAP-20")
@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("2026-07-01T12:00:00", "2026-07-01T10:00:00Z"),
        ("2026-03-29T02:30:00", "2026-03-29T01:30:00Z"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
        ("20261025023000", "2026-10-25T00:30:00Z"),
        (datetime(2026, 10, 25, 2, 30, fold=1), "2026-10-25T00:30:00Z"),  # noqa: DTZ001 - naive on purpose
    ],
)
def test_a_time_without_zone_is_read_in_the_assumed_one(raw: object, stored: str) -> None:
    assert parsed(raw, ValueType.DATETIME, BERLIN) == stored


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_instants_are_ordered_by_time(one: datetime, other: datetime) -> None:
    attribute = an_attribute(ValueType.DATETIME)
    keys = [order_key(parse_value(moment, attribute), attribute) for moment in (one, other)]
    assert (keys[0] < keys[1]) is (one < other)


# ----------------------------------------------------------------- the other types


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("true", True),
        ("YES", True),
        ("1", True),
        (True, True),
        (1, True),
        ("False", False),
        ("no", False),
        ("0", False),
    ],
)
def test_booleans_are_read(raw: object, stored: bool) -> None:
    assert parsed(raw, ValueType.BOOLEAN) is stored


@pytest.mark.parametrize("raw", ["maybe", "2", 2, "truee"])
def test_what_is_neither_true_nor_false_is_refused(raw: object) -> None:
    assert problem(raw, ValueType.BOOLEAN).kind == "attribute_value_error"


@pytest.mark.behaviour("MOD-7")
@pytest.mark.parametrize(
    "raw",
    [
        "6F9619FF-8B86-D011-B42D-00C04FC964FF",
        "{6f9619ff-8b86-d011-b42d-00c04fc964ff}",
        "6f9619ff8b86d011b42d00c04fc964ff",
        bytes.fromhex("6f9619ff8b86d011b42d00c04fc964ff"),
    ],
)
def test_a_uuid_has_one_spelling(raw: object) -> None:
    assert parsed(raw, ValueType.UUID) == "6f9619ff-8b86-d011-b42d-00c04fc964ff"


@pytest.mark.behaviour("MOD-7")
@given(st.binary(min_size=1))
def test_binary_keeps_its_bytes(raw: bytes) -> None:
    stored = parsed(raw, ValueType.BINARY)
    assert to_engine(stored, ValueType.BINARY) == raw
    assert parsed(base64.b64encode(raw).decode(), ValueType.BINARY) == stored


@pytest.mark.parametrize(
    ("raw", "kind"), [("no uuid", ValueType.UUID), ("é", ValueType.BINARY), ("abc", ValueType.BINARY)]
)
def test_what_cannot_be_read_is_refused(raw: str, kind: ValueType) -> None:
    assert problem(raw, kind).kind == "attribute_value_error"


def test_a_sensitive_value_is_never_told() -> None:
    assert "hunter2" not in str(problem("hunter2", ValueType.INTEGER, sensitive=True))
    assert "hunter2" in str(problem("hunter2", ValueType.INTEGER))


# ----------------------------------------------------------------- whole attributes


@pytest.mark.behaviour("IMP-16")
@pytest.mark.parametrize("raw", ["", b"", None])
def test_empty_is_no_value(raw: object) -> None:
    assert parse_values([raw], an_attribute()) is None
    assert parse_values([raw], an_attribute(ValueType.BINARY)) is None


@pytest.mark.behaviour("IMP-16")
def test_empty_text_is_kept_where_the_attribute_says_so() -> None:
    assert parse_values([""], an_attribute(keep_empty_text=True)) == ""


@pytest.mark.behaviour("MOD-9", "MOD-10")
def test_a_multi_valued_attribute_is_a_set_in_canonical_order() -> None:
    assert parse_values(["b", "a", "b", ""], an_attribute(multi_valued=True)) == ["a", "b"]
    assert parse_values(["10", "9", "9.0"], an_attribute(ValueType.DECIMAL, multi_valued=True)) == ["9", "10"]
    assert parse_values([""], an_attribute(multi_valued=True)) is None


def test_several_values_do_not_fit_a_single_valued_attribute() -> None:
    with pytest.raises(ValueProblem, match="may hold one"):
        parse_values(["a", "b"], an_attribute())


@pytest.mark.behaviour("MOD-9")
@pytest.mark.parametrize("order", [["ann", "Ann", "ANN"], ["ANN", "ann", "Ann"]])
def test_the_lowest_of_several_spellings_is_kept(order: list[str]) -> None:
    assert canonical_set(order, an_attribute(case_sensitive=False, multi_valued=True)) == ["ANN"]


@pytest.mark.behaviour("MOD-9")
def test_a_change_of_case_alone_is_no_change() -> None:
    attribute = an_attribute(case_sensitive=False, multi_valued=True)
    assert same_values(["Ann", "bob"], ["ANN", "Bob"], attribute)
    assert set_difference(["Ann", "bob"], ["ANN", "Bob"], attribute) == ([], [])


@pytest.mark.behaviour("MOD-10")
@pytest.mark.parametrize(
    ("kind", "ordered"),
    [
        (ValueType.TEXT, ["A", "B", "a", "é", "\U0001f600"]),
        (ValueType.INTEGER, [-10, -9, 0, 9, 10]),
        (ValueType.DECIMAL, ["-10", "-9.5", "0", "0.05", "9", "10"]),
        (ValueType.DATETIME, ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.500000Z", "2026-01-01T00:00:01Z"]),
        (ValueType.BINARY, [base64.b64encode(raw).decode() for raw in (b"\x00", b"\x00\x01", b"~", b"\xff")]),
        (ValueType.BOOLEAN, [False, True]),
    ],
)
def test_canonical_order(kind: ValueType, ordered: list[Any]) -> None:
    attribute = an_attribute(kind, multi_valued=True)
    assert canonical_set(reversed(ordered), attribute) == ordered


@pytest.mark.behaviour("MOD-10")
@given(
    st.one_of(
        st.tuples(st.just(ValueType.INTEGER), st.lists(st.integers(-(2**63), 2**63 - 1))),
        st.tuples(
            st.just(ValueType.DECIMAL),
            st.lists(st.decimals(-(10**15), 10**15, allow_nan=False, allow_infinity=False, places=20)),
        ),
        st.tuples(
            st.just(ValueType.TEXT),
            st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
        ),
    )
)
def test_order_texts_sort_like_the_values(case: tuple[ValueType, list[Any]]) -> None:
    attribute = an_attribute(case[0], multi_valued=True, keep_empty_text=True)
    ordered = canonical_set([parse_value(value, attribute) for value in case[1]], attribute)
    texts = [order_text(value, attribute) for value in ordered]
    assert texts == sorted(texts)
    assert len(set(texts)) == len(texts)


@given(st.lists(st.sampled_from(["a", "A", "b", "B", "c"])), st.lists(st.sampled_from(["a", "A", "b", "B", "c"])))
def test_a_difference_leads_from_the_old_set_to_the_new(old: list[str], new: list[str]) -> None:
    attribute = an_attribute(case_sensitive=False, multi_valued=True)
    added, removed = set_difference(old, new, attribute)
    gone = {compare_key(value, attribute) for value in removed}
    reached = [value for value in old if compare_key(value, attribute) not in gone] + added
    assert same_values(reached, new, attribute)
    assert not {compare_key(value, attribute) for value in added} & {compare_key(value, attribute) for value in old}


# ----------------------------------------------------------------- conversions


@pytest.mark.behaviour("MOD-11")
@pytest.mark.parametrize(
    ("value", "kind", "stored"),
    [
        (5, ValueType.DECIMAL, "5"),
        (Decimal("5.0"), ValueType.INTEGER, 5),
        (Decimal("5.50"), ValueType.DECIMAL, "5.5"),
        ("6F9619FF8B86D011B42D00C04FC964FF", ValueType.UUID, "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        (datetime(2026, 1, 1, tzinfo=UTC), ValueType.DATETIME, "2026-01-01T00:00:00Z"),
        (b"\x00\xff", ValueType.BINARY, "AP8="),
        (True, ValueType.BOOLEAN, True),
    ],
)
def test_a_mapping_converts_where_nothing_is_lost(value: object, kind: ValueType, stored: object) -> None:
    assert to_stored(value, an_attribute(kind)) == stored


@pytest.mark.behaviour("MOD-11")
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Decimal("5.5"), ValueType.INTEGER),
        (Decimal("1e30"), ValueType.INTEGER),
        ("5", ValueType.INTEGER),
        (5, ValueType.TEXT),
        (True, ValueType.INTEGER),
        (True, ValueType.TEXT),
        (1, ValueType.BOOLEAN),
        ("2026-01-01", ValueType.DATETIME),
        ("no uuid", ValueType.UUID),
        ("AP8=", ValueType.BINARY),
    ],
)
def test_anything_else_needs_a_function(value: object, kind: ValueType) -> None:
    with pytest.raises(ConversionProblem) as caught:
        to_stored(value, an_attribute(kind))
    assert caught.value.kind == "value_conversion_failed"


@pytest.mark.parametrize(
    ("kind", "stored", "value"),
    [
        (ValueType.DECIMAL, "5.5", Decimal("5.5")),
        (ValueType.DATETIME, "2026-01-01T00:00:00.500000Z", datetime(2026, 1, 1, 0, 0, 0, 500000, UTC)),
        (ValueType.BINARY, "AP8=", b"\x00\xff"),
        (ValueType.INTEGER, 5, 5),
    ],
)
def test_engine_values_and_stored_values_lead_to_each_other(kind: ValueType, stored: Any, value: object) -> None:
    assert to_engine(stored, kind) == value
    assert to_stored(value, an_attribute(kind)) == stored


@pytest.mark.behaviour("SYN-37")
@pytest.mark.parametrize(
    ("value", "cleanups", "cleaned"),
    [
        ("  a \t b ", ["trim", "collapse_spaces"], "a b"),
        ("  a  b ", ["collapse_spaces"], " a b "),
        ("  a  b ", ["title", "collapse_spaces", "trim"], "A B"),
        ("straße", ["upper"], "STRASSE"),
        ("O'NEIL they're", ["title"], "O'Neil They're"),
        ("   ", ["upper"], None),
        (5, ["upper"], 5),
    ],
)
def test_text_is_cleaned_in_a_fixed_order(value: object, cleanups: list[str], cleaned: object) -> None:
    assert clean(value, [TextCleanup(one) for one in cleanups]) == cleaned


# ----------------------------------------------------------------- identity


@pytest.mark.behaviour("MOD-15")
def test_an_anchor_is_found_under_the_case_rule_of_its_schema() -> None:
    assert anchor_key("Ann", an_attribute())[1] != anchor_key("ANN", an_attribute())[1]
    folded = an_attribute(case_sensitive=False)
    assert anchor_key("Ann", folded)[1] == anchor_key("ANN", folded)[1]
    assert anchor_key("Ann", folded)[0] == "Ann"
    assert anchor_key(5, an_attribute(ValueType.INTEGER)) == anchor_key("5", an_attribute())


@pytest.mark.behaviour("IMP-18")
def test_a_fingerprint_is_free_of_the_order_of_names_and_references() -> None:
    one = content_fingerprint({"a": 1, "b": ["x", "y"]}, {"m": ["p", "q"]}, "s1")
    assert one == content_fingerprint({"b": ["x", "y"], "a": 1}, {"m": ["q", "p", "q"]}, "s1")
    assert len(one) == 16


@pytest.mark.behaviour("IMP-18")
@pytest.mark.parametrize(
    ("doc", "refs", "schema"),
    [
        ({"a": "1"}, {}, "s1"),
        ({"a": 2}, {}, "s1"),
        ({"b": 1}, {}, "s1"),
        ({}, {"a": ["1"]}, "s1"),
        ({"a": 1}, {}, "s2"),
    ],
)
def test_a_fingerprint_differs_with_names_types_values_and_schema(doc: Any, refs: Any, schema: str) -> None:
    assert content_fingerprint(doc, refs, schema) != content_fingerprint({"a": 1}, {}, "s1")
