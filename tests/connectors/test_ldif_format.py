"""LDIF out of bytes and into bytes (RFC 2849)."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.connectors import ldif_writing
from anabranch.connectors.ldif_format import (
    BadRecord,
    ChangeType,
    Modification,
    Record,
    parse_record,
    refuse_url,
    split_records,
)


def records(text: bytes) -> list[Record]:
    parsed = [parse_record(raw, refuse_url) for raw in split_records(BytesIO(text), 0, 0, 1 << 20)]
    return [one for one in parsed if one is not None]


def attributes(text: bytes) -> list[tuple[bytes, bytes]]:
    (record,) = records(text)
    return list(record.attributes)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"cn: Ann", b"Ann"),
        (b"cn:Ann", b"Ann"),
        (b"cn:   Ann ", b"Ann "),
        (b"cn:", b""),
        (b"cn:: R3LDvMOfZQ==", "Grüße".encode()),
        (b"cn:: R3LDvM\n OfZQ\n ==", "Grüße".encode()),
        (b"cn: An\n n\n  Lee", b"Ann Lee"),
        (b"# a comment\n  folded\n# another\ncn: Ann", b"Ann"),
        ("cn: Jörg".encode(), "Jörg".encode()),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_value_is_read_however_it_is_spelled(line: bytes, value: bytes, end: bytes) -> None:
    assert attributes(b"version: 1\ndn: dc=x\n".replace(b"\n", end) + line.replace(b"\n", end) + end) == [
        (b"cn", value)
    ]


def test_records_are_parted_by_any_number_of_blank_lines() -> None:
    text = b"\xef\xbb\xbf# head\nversion: 1\n\n\n# lonely\n\ndn: dc=a\ndc: a\n\n\n\ndn: dc=b\ndc: b"
    assert [one.dn for one in records(text)] == ["dc=a", "dc=b"]


def test_options_belong_to_the_attribute_name() -> None:
    assert attributes(b"dn: dc=x\nuserCertificate;binary:: AAE=\ncn;lang-fr: x\n") == [
        (b"userCertificate;binary", b"\0\1"),
        (b"cn;lang-fr", b"x"),
    ]


def test_change_records_are_taken_apart() -> None:
    text = (
        b"dn: cn=a\ncontrol: 1.2.3 true\nchangetype: add\ncn: a\n\n"
        b"dn: cn=b\nchangetype: delete\n\n"
        b"dn: cn=c\nchangetype: modify\nadd: mail\nmail: x\nmail: y\n-\ndelete: sn\n-\nreplace: title\n-\n\n"
        b"dn: cn=d\nchangetype: moddn\nnewrdn: cn=e\ndeleteoldrdn: 0\nnewsuperior: o=z\n"
    )
    assert records(text) == [
        Record("cn=a", ChangeType.ADD, ((b"cn", b"a"),)),
        Record("cn=b", ChangeType.DELETE),
        Record(
            "cn=c",
            ChangeType.MODIFY,
            modifications=(
                Modification("add", b"mail", (b"x", b"y")),
                Modification("delete", b"sn", ()),
                Modification("replace", b"title", ()),
            ),
        ),
        Record("cn=d", ChangeType.RENAME, new_rdn="cn=e", delete_old_rdn=False, new_superior="o=z"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"dn: dc=x\ncn Ann\n", 2, "has no colon"),
        (b"cn: Ann\n", 1, "has to begin with dn"),
        (b"dn: dc=x\ncn: a\n b\n# c\nsn:: ***\n", 5, "is not base64"),
        (b"dn: dc=x\nc n: a\n", 2, "is no attribute name"),
        (b"dn: dc=x\nphoto:< file:///etc/passwd\n", 2, "which is not allowed"),
        (b"dn: dc=x\nchangetype: replace\n", 2, "is no changetype"),
        (b"dn: dc=x\nchangetype: delete\ncn: a\n", 3, "nothing after"),
        (b"dn: dc=x\nchangetype: modify\nadd: cn\nsn: a\n-\n", 4, "end that one with -"),
        (b"dn: dc=x\nchangetype: modify\ncn: a\n", 3, "begins no modification"),
        (b"dn: dc=x\nchangetype: modify\nadd: cn\n-\n", 3, "names no value"),
        (b"dn: dc=x\nchangetype: modrdn\nnewrdn: dc=y\n", 2, "needs newrdn and deleteoldrdn"),
        (b"dn: dc=x\nchangetype: modrdn\nnewrdn: dc=y\ndeleteoldrdn: 2\n", 4, "is 0 or 1"),
        (b"version: 2\n\ndn: dc=x\n", 1, "only 1 exists"),
        (b"dn:: /w==\ncn: a\n", 1, "not valid UTF-8"),
    ],
)
def test_a_broken_record_names_its_line(text: bytes, line: int, message: str) -> None:
    with pytest.raises(BadRecord, match=message) as caught:
        records(b"# one\n# two\n\n" + text)
    assert caught.value.line == line + 3


@given(st.binary(max_size=300))
def test_every_value_reads_back_from_lines_of_seventy_six(value: bytes) -> None:
    line = ldif_writing.line("description", value)
    assert max(len(one) for one in line.split(b"\n")) <= 76
    assert attributes(b"dn: dc=x\n" + line) == [(b"description", value)]


@pytest.mark.parametrize("value", [b" a", b"a ", b":a", b"<a", b"a\nb", b"a\rb", b"a\0", "é".encode()])
def test_what_is_no_safe_string_is_written_as_base64(value: bytes) -> None:
    assert ldif_writing.line("cn", value).startswith(b"cn:: ")


@pytest.mark.parametrize("value", [b"", b"a", b"a b: <c>", b"#a", b"-"])
def test_a_safe_string_is_written_as_it_is(value: bytes) -> None:
    assert ldif_writing.line("cn", value) == (b"cn: " + value if value else b"cn:") + b"\n"


def test_a_record_beyond_the_limit_is_cut_and_the_next_one_found() -> None:
    text = b"dn: dc=a\n" + b"cn: " + b"x" * 5000 + b"\n\ndn: dc=b\n"
    found = list(split_records(BytesIO(text), 0, 0, 1000))
    assert [(one.oversized, one.line, one.end) for one in found] == [(True, 1, 5015), (False, 4, len(text))]
