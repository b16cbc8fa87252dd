"""YAML as version 1.2 means it, with places."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.config.yaml12 import MappingNode, ScalarNode, SequenceNode, parse


def value_of(text: str) -> object:
    node, faults = parse(f"key: {text}".encode(), "x.yaml")
    assert not faults
    assert isinstance(node, MappingNode)
    scalar = node.entries["key"].node
    assert isinstance(scalar, ScalarNode)
    return scalar.value


@pytest.mark.parametrize(
    "text",
    [
        "NO",
        "no",
        "Yes",
        "on",
        "off",
        "y",
        "0123",
        "-0123",
        "1_000",
        "12:30:00",
        "2024-01-01",
        "0b11",
        "1e",
        "08",
        "0.1.2",
    ],
)
def test_what_version_1_1_misreads_stays_text(text: str) -> None:
    assert value_of(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0o17", 15),
        ("0x1F", 31),
        ("-12", -12),
        ("+12", 12),
        ("0", 0),
        ("1.50", Decimal("1.50")),
        (".5", Decimal("0.5")),
        ("1e3", Decimal("1000")),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!int 12", 12),
    ],
)
def test_the_core_rules_resolve_plain_scalars(text: str, value: object) -> None:
    found = value_of(text)
    assert (found, type(found)) == (value, type(value))


def test_a_key_is_its_characters() -> None:
    node, _ = parse(b"0123: a\nNO: b\ntrue: c\n1.50: d\n", "x.yaml")
    assert isinstance(node, MappingNode)
    assert list(node.entries) == ["0123", "NO", "true", "1.50"]


def test_places_count_lines_and_columns_from_one() -> None:
    node, _ = parse("a:\n  ä: [x, yz]\n".encode(), "x.yaml")
    assert isinstance(node, MappingNode)
    inner = node.entries["a"].node
    assert isinstance(inner, MappingNode)
    assert inner.entries["ä"].where[1:] == (2, 3)
    listed = inner.entries["ä"].node
    assert isinstance(listed, SequenceNode)
    assert [item.where[1:] for item in listed.items] == [(2, 7), (2, 10)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: 2\na: 3", "x.yaml:3:1: the key 'a' stands here twice; first at line 1, column 1"),
        (b"a: 1\n'a': 2", "x.yaml:2:1: the key 'a' stands here twice; first at line 1, column 1"),
        (b"a: [1,\n b: {", "x.yaml:3:1: not YAML: while parsing a flow node, did not find expected node content"),
        (b"a: b: c", "x.yaml:1:5: not YAML: mapping values are not allowed in this context"),
        (b"a: 1\n\tb: 2", "x.yaml:2:1: not YAML: while scanning a plain scalar, found a tab character"),
        (b"a: \xff", "x.yaml:1:4: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"\xff\xfea\x00", "x.yaml:1:1: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"a: 1\nb\x00", "x.yaml:2:2: a NUL character; is this a text file?"),
        (b"a: \x07", "x.yaml:1:4: a control character (U+0007)"),
        (b"a: 1\n---\nb: 2", "x.yaml:2:1: a second document begins here; one document a file"),
        (b"a: &x 1\n<<: *x", "x.yaml:2:1: merge keys (<<) are not part of YAML 1.2; write the keys out"),
        (b"[1]: a", "x.yaml:1:1: a list cannot be a key"),
        (b"'': a", "x.yaml:1:1: a key is empty"),
        (
            b"a: !python/object:os.system x",
            "x.yaml:1:4: the tag !python/object:os.system means nothing here; remove it",
        ),
        (b"a: !!int x", "x.yaml:1:4: 'x' is not what its tag says (int)"),
        (b'a: "x\\0"', "x.yaml:1:4: the text spells out a NUL or half a character; neither can be stored"),
        (b'a: "\\ud800"', "x.yaml:1:"),
        (b"a: &x [*x]", "x.yaml:1:8: the alias *x names no anchor that ends before it"),
        (b"a: " + b"[" * 100, "x.yaml:1:67: nested more than 64 levels deep"),
        (b"a: " + b"1" * 500, "x.yaml:1:4: a number of more than 400 digits; write it in quotes if it is text"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(data: bytes, message: str) -> None:
    _, faults = parse(data, "x.yaml")
    assert str(faults[0]).startswith(message)
    assert len(faults) == 1


def test_a_duplicate_key_hides_no_other_fault() -> None:
    _, faults = parse(b"a: 1\na: 2\nb: 1\nb: 2", "x.yaml")
    assert [fault.line for fault in faults] == [2, 4]


def test_anchors_repeat_a_value() -> None:
    node, faults = parse(b"a: &x {type: text}\nb: *x", "x.yaml")
    assert not faults
    assert isinstance(node, MappingNode)
    assert node.entries["b"].node == node.entries["a"].node


def test_nested_aliases_cannot_swell_to_millions() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    _, faults = parse("\n".join(lines).encode(), "x.yaml")
    assert "aliases repeat more than 100000 values" in str(faults[0])


@given(st.text())
def test_any_text_gives_a_tree_or_a_fault_and_never_an_exception(text: str) -> None:
    data = text.encode("utf-8", errors="surrogatepass")
    node, faults = parse(data, "x.yaml")
    assert node is None or not any("not YAML" in str(fault) for fault in faults)


@given(st.binary())
def test_any_bytes_give_a_tree_or_a_fault_and_never_an_exception(data: bytes) -> None:
    parse(data, "x.yaml")
