"""From a source's raw values to a stored document, or to an object that has no identity."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import an_attribute
from tests.engine.site import an_object_type, attributes

from anabranch.engine import parsing
from anabranch.engine.identifiers import reference_hashes
from anabranch.engine.parsing import DIGEST_SIZE, NoIdentity, Parsed, Parser, untyped_digests
from anabranch.engine.values import ValueProblem, anchor_key, datetime_text, parse_value, text_hash
from anabranch.model.configuration import Attribute, ObjectType
from anabranch.model.enums import ValueType

MANY = {"type": ValueType.TEXT, "multi_valued": True}
REFERENCE = {"type": ValueType.REFERENCE, "to": ("person",)}
KNOWN = attributes(
    "name",
    hidden={"type": ValueType.TEXT, "selected": False},
    age=ValueType.INTEGER,
    since=ValueType.DATETIME,
    tags=MANY,
    manager=REFERENCE,
    members=REFERENCE | {"multi_valued": True},
    note={"type": ValueType.TEXT, "keep_empty_text": True},
)


def a_parser(zone: str = "UTC", schema: str = "s", **fields: Any) -> Parser:
    return Parser(an_object_type(KNOWN, **fields), ZoneInfo(zone), schema)


def parsed(parser: Parser | None = None, **raw: str | bytes | list[str]) -> Any:
    lists = {name: value if isinstance(value, list) else [value] for name, value in raw.items()}
    return (parser or a_parser()).parse(lists)


def test_an_object_is_read_by_attribute() -> None:
    found = parsed(id="1", name="Ann", age="40", tags=["b", "a", "b"], manager="2", members=["5", "4"], note="")

    assert found.doc == {"id": "1", "name": "Ann", "age": 40, "tags": ["a", "b"], "note": ""}
    assert found.refs == {"manager": ["2"], "members": ["4", "5"]}
    assert (found.anchor, found.problems) == ("1", ())


@pytest.mark.behaviour("IMP-15", "IMP-16")
@pytest.mark.parametrize("raw", [{}, {"name": "", "age": "", "tags": [""], "manager": ""}, {"tags": [], "members": []}])
def test_what_is_absent_or_empty_has_no_value(raw: dict[str, Any]) -> None:
    found = parsed(id="1", **raw)

    assert (found.doc, found.refs) == ({"id": "1"}, {})


def test_attributes_that_are_unknown_or_not_selected_are_not_read() -> None:
    assert parsed(id="1", hidden="x", stranger="y").doc == {"id": "1"}


def test_text_comes_as_text_or_bytes() -> None:
    assert parsed(id="1", name=b"Z\xc3\xbcrich").doc == parsed(id="1", name="Zürich").doc


@pytest.mark.behaviour("MOD-6")
def test_times_without_a_zone_are_read_in_the_systems() -> None:
    assert parsed(a_parser("Europe/Berlin"), id="1", since="2026-07-01T12:00:00").doc["since"] == "2026-07-01T10:00:00Z"


@pytest.mark.behaviour("IMP-12")
@pytest.mark.parametrize(
    ("attr", "raw", "kind"),
    [
        ("age", "forty", "attribute_value_error"),
        ("age", "9" * 30, "value_out_of_range"),
        ("name", ["Ann", "Bob"], "attribute_value_error"),
        ("name", b"\xff", "attribute_value_error"),
        ("name", "a\0b", "attribute_value_error"),
        ("tags", ["fine", "a\0b"], "attribute_value_error"),
        ("manager", ["1", "2"], "attribute_value_error"),
        ("members", ["1", "a\0b"], "attribute_value_error"),
    ],
)
def test_a_value_that_cannot_be_read_is_reported_and_the_rest_is_read(attr: str, raw: Any, kind: str) -> None:
    found = parsed(id="1", note="kept", **{attr: raw})

    assert [(one.kind, one.attribute) for one in found.problems] == [(kind, attr)]
    assert found.doc == {"id": "1", "note": "kept"}


@pytest.mark.behaviour("IMP-12")
def test_an_object_with_an_unreadable_value_has_no_fingerprint() -> None:
    assert parsed(id="1", age="forty").fingerprint is None
    assert parsed(id="1", age="40").fingerprint is not None


@pytest.mark.behaviour("IMP-18")
@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"age": "40"}, {"age": "+040"}, True),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a", "b"]}, True),
        ({"members": ["1", "2"]}, {"members": ["2", "1"]}, True),
        ({"name": ""}, {}, True),
        ({"name": "Ann"}, {"name": "ann"}, False),
        ({"manager": "1"}, {"manager": "2"}, False),
    ],
)
def test_a_fingerprint_is_that_of_the_values_however_they_are_spelled(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    assert (parsed(id="1", **one).fingerprint == parsed(id="1", **other).fingerprint) is same


@pytest.mark.behaviour("IMP-18")
def test_a_changed_schema_makes_another_fingerprint() -> None:
    assert parsed(id="1").fingerprint != parsed(a_parser(schema="next"), id="1").fingerprint


@pytest.mark.behaviour("IMP-18")
def test_digests_of_bytes_of_an_unknown_type_are_worth_something_else_under_each_reading() -> None:
    raw = [b"one", b"two", b"one"]
    untyped = b"".join(untyped_digests(raw, "layout"))
    parsers = [a_parser(), a_parser(schema="next"), a_parser(zone="Europe/Berlin")]
    read = [parser.digests_as_read(untyped) for parser in parsers]
    each = [[one[at : at + DIGEST_SIZE] for at in range(0, len(one), DIGEST_SIZE)] for one in read]

    assert [(one[0] == one[2], one[0] == one[1]) for one in each] == [(True, False)] * 3
    assert len({one[0] for one in each}) == 3
    assert untyped_digests(raw, "layout") != untyped_digests(raw, "other")
    assert a_parser().digests_as_read(untyped) == read[0]
    assert a_parser().digests_as_read(b"") == b""


# --- the short ways give what the long ones give

_odd = st.text(alphabet="aÉ1-: T\0\n\t\u00a0\u2028\udc80", max_size=4)
_texts = st.one_of(_odd, st.sampled_from(("40", "+040", "x", "2024-02-30", "2024-02-29", "20240229101112Z", "a")))


@given(
    st.dictionaries(st.sampled_from((*KNOWN, "id", "stranger")), _texts.filter(bool)),
    st.lists(_texts, max_size=3),
    st.lists(_texts, max_size=3),
)
def test_single_texts_say_the_same_apart_and_as_lists(
    texts: dict[str, str], tags: list[str], members: list[str]
) -> None:
    parser = a_parser(anchor="id")
    lists: dict[str, list[str | bytes]] = {"tags": [*tags], "members": [*members]}
    texts = {name: text for name, text in texts.items() if name not in lists}
    found = parser.parse(lists, texts)

    assert found == parser.parse({**lists, **{name: [text] for name, text in texts.items()}})


PLAIN = ("id", "name", "age", "since", "manager")
TEXTS = st.sampled_from(["", "1", "a", "Ä", "007", "2020-01-01T00:00:00Z", "2020-01-01 12:00", "x y", "\u200b", "a\nb"])
ROWS = st.lists(st.tuples(*(TEXTS for _ in PLAIN)), max_size=4)


@pytest.mark.behaviour("IMP-15", "IMP-16")
@given(ROWS, st.booleans())
def test_rows_of_plain_texts_are_read_as_each_of_them_is(rows: list[tuple[str, ...]], second: bool) -> None:
    parser = a_parser("Europe/Berlin", secondary="name") if second else a_parser()
    found = parser.parse_plain(PLAIN, rows)
    alone = [parser.parse({}, {k: v for k, v in zip(PLAIN, row, strict=True) if v}) for row in rows]
    clean = all(isinstance(one, Parsed) and not one.problems for one in alone)
    printable = all(text.isprintable() for row in rows for text in row)
    assert found == (alone if clean and printable else None)


@pytest.mark.parametrize("names", [("id", "tags"), ("id", "note"), ("id", "hidden"), ("id", "unheard-of"), ("name",)])
def test_rows_with_something_else_than_single_texts_are_not_read_as_a_whole(names: tuple[str, ...]) -> None:
    assert a_parser().parse_plain(names, [("1", "x")[: len(names)]]) is None


@given(st.lists(st.one_of(_texts, st.binary(max_size=2)), max_size=4), st.booleans())
def test_references_say_the_same_all_at_once_and_one_by_one(values: list[str | bytes], many: bool) -> None:
    raw: dict[str, list[str | bytes]] = {"id": ["1"], "members" if many else "manager": values}
    found = a_parser().parse(raw)
    with patch.object(parsing, "_plain_texts", return_value=None):
        assert found == a_parser().parse(raw)


@given(_texts, st.booleans(), st.booleans(), st.sampled_from((ValueType.TEXT, ValueType.REFERENCE, ValueType.INTEGER)))
def test_a_reference_has_the_hashes_of_the_object_it_names(
    raw: str, anchor_folds: bool, secondary_folds: bool, kind: ValueType
) -> None:
    known = attributes(
        id={"type": kind, "case_sensitive": not anchor_folds},
        dn={"type": ValueType.TEXT, "case_sensitive": not secondary_folds},
    )

    def expected(attribute: Attribute) -> bytes:
        try:
            value = parse_value(raw, attribute)
        except ValueProblem:
            value = None
        return anchor_key(value, attribute)[1] if value is not None else text_hash(raw)

    wanted = expected(known["id"]), expected(known["dn"])
    for _ in range(2):
        target = ObjectType(key="person", anchor="id", secondary="dn", attributes=known)
        assert reference_hashes(raw, target) == wanted


_TOKYO = ZoneInfo("Asia/Tokyo")  # once, so that no example waits for the disk
_SINCE = an_attribute("since", type=ValueType.DATETIME)


@given(st.datetimes(timezones=st.sampled_from((UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")))))
def test_an_instant_is_written_out_in_utc(moment: datetime) -> None:
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        return
    fraction = f".{utc.microsecond:06d}" if utc.microsecond else ""
    date = f"{utc.year:04}-{utc.month:02}-{utc.day:02}"
    text = f"{date}T{utc.hour:02}:{utc.minute:02}:{utc.second:02}{fraction}Z"

    assert datetime_text(moment) == text
    assert [parse_value(text, _SINCE, _TOKYO) for _ in range(2)] == [text] * 2


def test_a_local_time_that_came_before_is_read_in_the_zone_asked_for() -> None:
    zones = ["UTC", "Europe/Berlin", "UTC", "Europe/Berlin"]

    assert [parse_value("2024-06-01 12:00", _SINCE, ZoneInfo(zone)) for zone in zones] == [
        "2024-06-01T12:00:00Z",
        "2024-06-01T10:00:00Z",
    ] * 2


# --- identity


@pytest.mark.behaviour("IMP-11")
@pytest.mark.parametrize(
    ("anchor", "raw", "kind"),
    [
        ("id", {}, "missing_anchor"),
        ("id", {"id": ""}, "missing_anchor"),
        ("id", {"id": ["1", "2"]}, "unsupported_anchor"),
        ("age", {"id": "1", "age": "x"}, "unsupported_anchor"),
    ],
)
def test_an_object_without_a_usable_anchor_has_no_identity(anchor: str, raw: dict[str, Any], kind: str) -> None:
    found = parsed(a_parser(anchor=anchor), **raw)

    assert isinstance(found, NoIdentity)
    assert found.kind == kind
    assert repr(anchor) in found.message


@pytest.mark.behaviour("MOD-15")
@pytest.mark.parametrize(
    ("attribute", "one", "other", "same"),
    [
        (an_attribute("id"), "Ann", "ANN", False),
        (an_attribute("id", case_sensitive=False), "Ann", "ANN", True),
        (an_attribute("id", type=ValueType.INTEGER), "7", "007", True),
        (an_attribute("id", type=ValueType.DECIMAL), "7", "7.0", True),
        (an_attribute("id", type=ValueType.UUID), "6BA7B8109DAD11D180B400C04FD430C8", None, True),
    ],
)
def test_the_anchor_identifies_under_its_own_equality(
    attribute: Attribute, one: str, other: str | None, same: bool
) -> None:
    parser = Parser(ObjectType(key="person", anchor="id", attributes={"id": attribute}), None, "s")
    first, second = parsed(parser, id=one), parsed(parser, id=other or f"{{{one.lower()}}}")

    assert isinstance(first, Parsed)
    assert (first.anchor_hash == second.anchor_hash) is same


def test_the_secondary_id_is_read_beside_the_anchor() -> None:
    parser = a_parser(secondary="name")
    with_one, without = parsed(parser, id="1", name="cn=ann"), parsed(parser, id="1")

    assert (with_one.secondary, with_one.secondary_hash) == ("cn=ann", text_hash("cn=ann"))
    assert (without.secondary, without.secondary_hash) == (None, None)


# --- identifiers


@pytest.mark.behaviour("IMP-28", "MOD-15", "MOD-16")
@pytest.mark.parametrize("raw", ["7", "007"])
def test_a_reference_is_looked_for_by_anchor_and_by_secondary_id_under_their_own_types(raw: str) -> None:
    target = an_object_type(attributes(id=ValueType.INTEGER, dn={"type": ValueType.TEXT, "case_sensitive": False}))
    target = ObjectType(key="person", anchor="id", secondary="dn", attributes=target.attributes)
    other = parsed(Parser(target, None, "s"), id="7", dn=raw)

    assert reference_hashes(raw, target) == (other.anchor_hash, other.secondary_hash)


@pytest.mark.behaviour("IMP-28")
def test_a_dn_leads_to_its_object_whatever_its_case() -> None:
    target = ObjectType(
        key="person",
        anchor="id",
        secondary="dn",
        attributes=attributes("id", dn={"type": ValueType.TEXT, "case_sensitive": False}),
    )

    assert reference_hashes("CN=Ann", target)[1] == reference_hashes("cn=ann", target)[1]
    assert reference_hashes("CN=Ann", target)[0] != reference_hashes("cn=ann", target)[0]


@pytest.mark.behaviour("IMP-29")
def test_an_identifier_that_is_no_anchor_at_all_finds_nothing_and_fails_nothing() -> None:
    target = ObjectType(key="person", anchor="id", attributes=attributes(id=ValueType.INTEGER))

    by_anchor, by_secondary = reference_hashes("cn=ann", target)

    assert by_anchor == by_secondary == text_hash("cn=ann")
