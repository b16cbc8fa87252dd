"""Distinguished names: what is one name, what lies below another (RFC 4514)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.connectors.dn import BadName, escape, format_dn, is_within, key, parse


@pytest.mark.parametrize(
    ("text", "components"),
    [
        ("", ()),
        ("dc=example", ((("dc", "example"),),)),
        ("cn=Amy Wong+sn=Kroker, ou=people", ((("cn", "Amy Wong"), ("sn", "Kroker")), (("ou", "people"),))),
        (r"cn=Smith\, J.,ou=a\+b", ((("cn", "Smith, J."),), (("ou", "a+b"),))),
        (r"cn=Lu\C4\8Di\C4\87", ((("cn", "Lučić"),),)),
        (r"cn=\ padded\ ,o=x", ((("cn", " padded "),), (("o", "x"),))),
        ("cn = spaced  ,o=x", ((("cn", "spaced"),), (("o", "x"),))),
        ('o="a, b",c=de', ((("o", "a, b"),), (("c", "de"),))),
        ("2.5.4.3=x;o=y", ((("2.5.4.3", "x"),), (("o", "y"),))),
        ("cn=,o=x", ((("cn", ""),), (("o", "x"),))),
        ("cn=a=b", ((("cn", "a=b"),),)),
    ],
)
def test_a_name_is_taken_apart_at_its_real_boundaries(text: str, components: object) -> None:
    assert parse(text) == components


@pytest.mark.parametrize("text", ["people", "cn=a,,o=x", "cn=a,", r"cn=\zz", "1cn=a", 'cn="open', 'cn="a"b', r"cn=\FF"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_escaped_value_reads_back(value: str) -> None:
    assert parse(f"cn={escape(value)},o=x") == ((("cn", value),), (("o", "x"),))


@given(st.lists(st.tuples(st.sampled_from(["cn", "OU"]), st.text('ab ,+="\\#;<>é')), min_size=1, max_size=4))
def test_a_formatted_name_reads_back(pairs: list[tuple[str, str]]) -> None:
    name = tuple((pair,) for pair in pairs)
    assert parse(format_dn(name)) == name


def test_case_spaces_and_order_within_a_component_make_no_difference() -> None:
    assert key(parse("CN=Ann  Lee+SN=x, O=Y")) == key(parse("sn=X+cn=ann lee,o=y"))


@pytest.mark.behaviour("EXP-23")
@pytest.mark.parametrize(
    ("text", "within"),
    [
        ("uid=a,OU=People,dc=example", True),
        ("ou=people,dc=example", True),
        (r"uid=a\,ou=people,dc=example", False),
        ("uid=a,ou=notpeople,dc=example", False),
        ("dc=example", False),
    ],
)
def test_being_below_a_container_is_judged_by_components(text: str, within: bool) -> None:
    assert is_within(parse(text), parse("ou=people,dc=example")) is within
