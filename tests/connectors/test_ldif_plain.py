"""The short way of an object into a record gives the bytes of the long one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connectors.systems import an_ldif_system, an_object_type

from anabranch.connectors import dn as names
from anabranch.connectors.ldif_options import types_of
from anabranch.connectors.ldif_records import RecordWriter, Refused
from anabranch.connectors.port import RawValue, TargetObject
from anabranch.model.enums import ValueType

_SOURCE = {"object-classes": ["top", "person"], "rdn": "uid", "base": "dc=x"}
_KIND = an_object_type("person", "uid", _SOURCE, "uid", "dn", "cn", "mail*", "objectClass*", photo=ValueType.BINARY)

_letters = st.text(alphabet='aB1 ,;:+=<>\\"#\t\r\n\0é\udc80', max_size=6)
_values = st.one_of(
    _letters, _letters, st.text(max_size=4), st.text(alphabet="x y", min_size=60, max_size=160), st.just("AP8=")
)
_raw = st.one_of(_values, _values, _values, st.binary(max_size=3))
_names = st.one_of(
    st.builds(lambda rdn, rest: f"{rdn},{rest}", st.sampled_from(("uid=a", "UID=Ann B", "cn=a")), st.just("dc=x")),
    st.builds(
        lambda attribute, value, rest: f"{attribute}={value},{rest}",
        st.sampled_from(("uid", "UID", "cn", " uid", "uid=a+cn")),
        _letters,
        st.sampled_from(("dc=x", "DC=X ", "ou=a\\, b,dc=x", "ou=é,dc=x", "ou=A  b,dc=x", "dc=y", "", " ", "x")),
    ),
)
_attributes = st.dictionaries(
    st.sampled_from(("uid", "dn", "cn", "mail", "mail", "photo", "objectClass", "unknown")),
    st.lists(_raw, max_size=3),
    max_size=4,
)


class _NeverPlain:
    def place(self, text: str) -> None:
        return None

    def record(self, text: str, rdn: names.Rdn, values: dict[str, list[RawValue]]) -> None:
        return None


def _long_way() -> RecordWriter:
    writer = _writer()
    writer._plain = _NeverPlain()  # type: ignore[assignment]
    return writer


def _writer() -> RecordWriter:
    return RecordWriter(types_of(an_ldif_system(_KIND))[0])


def _an_object(dn: str, values: dict[str, list[RawValue]]) -> TargetObject:
    return TargetObject(object_type="person", anchor="ann", identifier=dn, values=values)


def _told(writer: RecordWriter, wanted: TargetObject) -> object:
    try:
        place, record = writer.entry(wanted)
    except Refused as refused:
        return (refused.kind, str(refused))
    return (place.key, place.depth, record)


_SHORT, _LONG = _writer(), _long_way()


@given(dn=_names, values=_attributes)
def test_both_ways_give_the_same_bytes_or_the_same_refusal(dn: str, values: dict[str, list[RawValue]]) -> None:
    wanted = _an_object(dn, values)
    assert _told(_SHORT, wanted) == _told(_LONG, wanted)


@pytest.mark.parametrize(
    "values",
    [
        {"cn": ["Ann"], "mail": ["b", "a", "b"]},
        {"cn": ["Jörg"]},
        {"cn": [" x"], "mail": ["", "y "]},
        {"cn": [":x"], "mail": ["<y", "x" * 200]},
        {"cn": ["a\nmail: b"]},
        {"uid": ["ann"], "dn": ["x"]},
    ],
)
def test_texts_go_the_short_way(values: dict[str, list[RawValue]]) -> None:
    plain = _SHORT._plain.place("UID=Ann B,dc=x")
    assert plain is not None
    record = _SHORT._plain.record("UID=Ann B,dc=x", plain.rdn, values)
    assert record is not None
    assert record == _LONG.entry(_an_object("UID=Ann B,dc=x", values))[1]


@given(
    first=st.lists(st.tuples(st.sampled_from(("a", "B")), st.text(alphabet='aA ,+=\\"#é\0', max_size=4)), min_size=1),
    second=st.lists(st.tuples(st.sampled_from(("a", "B")), st.text(alphabet='aA ,+=\\"#é\0', max_size=4)), min_size=1),
)
def test_folded_names_are_equal_where_keys_are(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> None:
    one, other = tuple((pair,) for pair in first), tuple((pair,) for pair in second)
    assert (names.folded(one) == names.folded(other)) == (names.key(one) == names.key(other))
    assert names.key(names.parse(names.folded(one))) == names.key(one)
