"""Comparing, ordering and converting stored values: laws that hold for all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import an_attribute

from anabranch.engine.values import (
    canonical_set,
    compare_key,
    fold,
    order_key,
    order_text,
    parse_value,
    same_values,
    set_difference,
    to_engine,
    to_stored,
)
from anabranch.model.enums import ValueType

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
NAMES = st.text("aAbBéÉß\u0301e ", min_size=1, max_size=4)
DECIMALS = st.decimals(-(10**20), 10**20, places=6) | st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal)
NATIVE: dict[ValueType, st.SearchStrategy[Any]] = {
    ValueType.TEXT: TEXTS,
    ValueType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    ValueType.DECIMAL: DECIMALS,
    ValueType.BOOLEAN: st.booleans(),
    ValueType.DATETIME: st.datetimes(timezones=st.just(UTC)),
    ValueType.BINARY: st.binary(min_size=1, max_size=8),
    ValueType.UUID: st.uuids().map(str),
}
KINDS = sorted(NATIVE)
FOLDED = an_attribute(case_sensitive=False, multi_valued=True)


def stored(value: Any, kind: ValueType) -> Any:
    return parse_value(value, an_attribute(type=kind))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_reading_a_stored_value_again_changes_nothing(kind: ValueType, data: st.DataObject) -> None:
    once = stored(data.draw(NATIVE[kind]), kind)

    assert stored(once, kind) == once


@pytest.mark.behaviour("MOD-2", "MOD-3", "MOD-4", "MOD-5", "MOD-7", "TRAP-20")
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_value_survives_the_way_to_expressions_and_back(kind: ValueType, data: st.DataObject) -> None:
    once = stored(data.draw(NATIVE[kind]), kind)

    assert to_stored(to_engine(once, kind), an_attribute(type=kind)) == once


@pytest.mark.behaviour("MOD-4", "MOD-5", "MOD-7")
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_values_are_equal_exactly_when_their_stored_forms_are(kind: ValueType, data: st.DataObject) -> None:
    one, other = data.draw(NATIVE[kind]), data.draw(NATIVE[kind])

    assert same_values(stored(one, kind), stored(other, kind), an_attribute(type=kind)) is (one == other)


@pytest.mark.behaviour("MOD-10")
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_canonical_order_is_that_of_the_values(kind: ValueType, data: st.DataObject) -> None:
    one, other = data.draw(NATIVE[kind]), data.draw(NATIVE[kind])
    attribute = an_attribute(type=kind)
    left, right = order_key(stored(one, kind), attribute), order_key(stored(other, kind), attribute)

    assert (left < right) is (one < other)


@pytest.mark.behaviour("MOD-10")
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_order_text_sorts_by_code_points_into_canonical_order(kind: ValueType, data: st.DataObject) -> None:
    one, other = data.draw(NATIVE[kind]), data.draw(NATIVE[kind])
    attribute = an_attribute(type=kind)
    left, right = order_text(stored(one, kind), attribute), order_text(stored(other, kind), attribute)

    assert (left < right) is (one < other)


@pytest.mark.behaviour("MOD-9")
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_set_forgets_order_and_repetition(kind: ValueType, data: st.DataObject) -> None:
    values = [stored(one, kind) for one in data.draw(st.lists(NATIVE[kind], max_size=6))]
    attribute = an_attribute(type=kind, multi_valued=True)
    once = canonical_set(values, attribute)

    assert canonical_set([*reversed(values), *values], attribute) == once
    assert once == sorted(once, key=lambda one: order_key(one, attribute))
    assert len(once) == len({compare_key(one, attribute) for one in values})


@pytest.mark.behaviour("MOD-9")
@given(values=st.lists(NAMES, max_size=6))
def test_of_several_spellings_the_lowest_is_kept(values: list[str]) -> None:
    kept = canonical_set(values, FOLDED)

    assert {fold(one) for one in kept} == {fold(one) for one in values}
    assert all(one == min(other for other in values if fold(other) == fold(one)) for one in kept)


@pytest.mark.behaviour("MOD-9", "MOD-12")
@given(old=st.lists(NAMES, max_size=6), new=st.lists(NAMES, max_size=6))
def test_a_difference_leads_from_the_old_set_to_the_new_one(old: list[str], new: list[str]) -> None:
    before, after = canonical_set(old, FOLDED), canonical_set(new, FOLDED)
    added, removed = set_difference(before, after, FOLDED)
    gone = {fold(one) for one in removed}

    assert same_values([*added, *(one for one in before if fold(one) not in gone)], after, FOLDED)
    assert (added == [] and removed == []) is same_values(before, after, FOLDED)


@pytest.mark.behaviour("MOD-9")
def test_a_change_of_case_alone_is_no_change() -> None:
    assert set_difference(["Ann", "Bob"], ["ANN", "bob"], FOLDED) == ([], [])
    assert same_values("Ann", "ANN", an_attribute(case_sensitive=False))


@pytest.mark.behaviour("MOD-2")
@pytest.mark.parametrize(
    ("one", "other", "exact", "folded"),
    [
        ("ann", "ANN", False, True),
        ("Straße", "STRASSE", False, True),
        ("e\u0301", "\u00e9", False, True),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ", False, True),
        ("e", "é", False, False),
        ("ann", "ann ", False, False),
        ("a_b", "a%b", False, False),
        ("ann", "ann", True, True),
    ],
)
def test_text_compares_by_code_points_or_by_folded_key(one: str, other: str, exact: bool, folded: bool) -> None:
    assert same_values(one, other, an_attribute()) is exact
    assert same_values(one, other, an_attribute(case_sensitive=False)) is folded


@pytest.mark.behaviour("MOD-3")
def test_a_boolean_equals_no_number() -> None:
    assert not same_values(1, True, an_attribute(type=ValueType.INTEGER))
    assert compare_key(True, an_attribute(type=ValueType.BOOLEAN)) != compare_key(1, an_attribute())


@pytest.mark.behaviour("MOD-6", "TRAP-20")
@pytest.mark.parametrize(
    ("raw", "zone", "expected"),
    [
        ("2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:30:00Z"),  # in the gap: an hour forward
        ("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00Z"),  # repeated: the first, still summer time
        ("2026-03-08T02:30:00", "America/New_York", "2026-03-08T07:30:00Z"),
        ("2011-12-30T12:00:00", "Pacific/Apia", "2011-12-30T22:00:00Z"),  # a day that never was there: a day forward
    ],
)
def test_a_local_time_that_is_missing_or_repeated_has_one_meaning(raw: str, zone: str, expected: str) -> None:
    assert parse_value(raw, an_attribute(type=ValueType.DATETIME), ZoneInfo(zone)) == expected


@pytest.mark.behaviour("MOD-6")
@pytest.mark.parametrize("kind", [ValueType.DATETIME, ValueType.TEXT])
def test_a_drivers_time_without_a_zone_is_read_in_the_systems_also_as_text(kind: ValueType) -> None:
    naive = datetime(2026, 7, 15, 12)  # noqa: DTZ001 - a driver's time without a zone is what is tested

    assert parse_value(naive, an_attribute(type=kind), ZoneInfo("Europe/Berlin")) == "2026-07-15T10:00:00Z"
