"""A file of LDIF that is cut and read in bulk says what the careful reading of it says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.connectors.systems import an_ldif_system, an_object_type

from anabranch.connectors import ldif_blocks, ldif_reading
from anabranch.connectors.ldif_blocks import Block, LdifBlocks
from anabranch.connectors.ldif_entries import EntryReader
from anabranch.connectors.ldif_format import BadRecord, RawRecord, parse_record, split_records, whole_record
from anabranch.connectors.ldif_options import CHANGES, read_options, types_of
from anabranch.connectors.ldif_reading import LdifFileReader
from anabranch.connectors.ldif_regular import RegularEntries
from anabranch.connectors.ldif_unread import LdifRecords, says_all
from anabranch.connectors.port import Entry, EntryError, IncompleteRead, SourceFault
from anabranch.model.enums import ValueType

_LARGEST = 1024
_STAFF = an_object_type("staff", "dn", {"object-classes": ["person", "staff"], "base": "ou=s,dc=x"}, "dn", "uid")
_PERSON = an_object_type(
    "person", "uid", {"object-classes": ["person"]}, "uid", "dn", "cn", "mail*", photo=ValueType.BINARY
)
_NAMES = (
    b"dn: uid=ann,ou=s,dc=x",
    b"dn: uid=bob,dc=x",
    b"dn: ou=s,dc=x",
    b"dn: OU=S, dc=x ",
    b"dn: uid=a\\,ou=s,dc=x",
    b'dn: uid="a,b",ou=s,dc=x',
    b"dn: uid=a,ou=s,dc=x,",
    b"dn: uid=a,uid=b,ou=s,dc=x",
    b"DN: cn=cyd",
    b"Dn: cn=dan",
    b"dn:: dWlkPWV2ZQ==",
    b"dn: no name",
    b"dn:",
    b"dn: uid=\xff",
)
_LINES = (
    *(b"objectClass: person", b"objectclass: STAFF", b"objectClass:: cGVyc29u", b"changetype: add"),
    *(
        b"uid: ann",
        b"uid: bob",
        b"uid:",
        b"mail: a",
        b"MAIL: b",
        b"mail:: Yw==",
        b"mail:: /w==",
        b"mail::  Yw== ",
        b"mail:a",
    ),
    *(b"photo:: AP8=", b"photo;binary:: AQ==", b"photo: raw", b"photo:: *", b"jpeg:: AP8=", b"jpeg:: *", b"jpeg: x"),
    *(
        b"cn: ",
        b"cn:  x",
        b"cn: a:<b",
        b"cn:< file:///x",
        b"cn:",
        b" < file:///x",
        b" folded",
        b"cn: \xc3\xbc",
        b"cn: \xc3",
    ),
    *(
        b" \xbc",
        b"cn: \xff",
        b"cn: \0",
        b"cn: a\r",
        b"\r",
        b"",
        b" ",
        b"# said",
        b"\xef\xbb\xbf# marked",
        b"no colon",
        b"-",
    ),
    *(b"version: 1", b"version: 2", b"changetype: delete", b"changetype: what", b"control: x", b"c:n: x"),
    *(b"cn: " + b"x" * 990, b"cn: " + b"x" * 1010),
)
_lines = st.one_of(st.sampled_from(_LINES), st.sampled_from(_NAMES))
_plain = st.builds(
    lambda name, line, lines: [name, b"objectClass: person", line, *lines],
    st.sampled_from(_NAMES),
    st.sampled_from((b"uid: ann", b"uid: bob", b"objectClass: staff")),
    st.lists(st.sampled_from(_LINES), max_size=3),
)
_pieces = st.one_of(st.integers(1, 90), st.integers(100, 4000))
_records = st.one_of(_plain, _plain, _plain, st.lists(_lines, max_size=4))


@st.composite
def _files(draw: st.DrawFn) -> bytes:
    """Mostly regular files, of one kind of line ends, with anything at all in between."""
    ends = draw(st.sampled_from((b"\n", b"\r\n")))
    mixed = draw(st.sampled_from((False, False, True)))
    pick = st.sampled_from((b"\n", b"\r\n")) if mixed else st.just(ends)
    text = draw(st.sampled_from((b"", b"version: 1" + ends + ends, b"\xef\xbb\xbf", ends)))
    for lines in draw(st.lists(_records, max_size=8)):
        text += b"".join(line + draw(pick) for line in lines)
        text += draw(pick) * draw(st.sampled_from((1, 1, 1, 1, 1, 2, 3) if mixed else (1,)))
    return text[: len(text) - draw(st.sampled_from((0, 0, 1, 2, 7)))]


def _cut_with_care(data: bytes, offset: int = 0, line: int = 0) -> list[tuple[bytes, int, int, int, bool, bool]]:
    found = split_records(BytesIO(data), offset, line, _LARGEST)
    return [(one.data, one.line, one.end, one.lines, one.oversized, one.whole_lines) for one in found]


@settings(deadline=None)
@given(_files(), _pieces, st.integers(1, 5), st.sampled_from((1, 100, 10_000)))
def test_blocks_are_the_records_that_a_careful_cut_gives(data: bytes, piece: int, size: int, most: int) -> None:
    wanted = _cut_with_care(data)
    with patch.object(ldif_blocks, "_PIECE", piece), patch.object(ldif_blocks, "_MOST", 4 * piece):
        blocks = LdifBlocks(BytesIO(data), 0, 0, _LARGEST)
        cut: list[tuple[bytes, int, bool]] = []
        while (taken := blocks.take(size, most)) is not None:
            if isinstance(taken, RawRecord):
                cut.append((taken.data, taken.line, taken.oversized))
            else:
                assert 1 <= len(taken.raw) <= size
                assert sum(map(len, taken.raw[:-1])) < most
                line = taken.line
                for raw in taken.raw:
                    cut.append((raw + b"\n", line, False))
                    line += raw.count(b"\n") + 2
            assert (blocks.offset, blocks.line) == wanted[len(cut) - 1][2:4]
    assert cut == [(data, line, oversized) for data, line, _, _, oversized, _ in wanted]
    assert blocks.take(size, most) is None


def test_a_regular_file_is_cut_in_bulk_and_what_is_irregular_in_it_alone_with_care() -> None:
    regular = b"dn: a\ncn: b\n\n" * 50
    for data in (regular, regular.replace(b"\n", b"\r\n")):
        blocks = LdifBlocks(BytesIO(data), 0, 0, _LARGEST)
        taken = blocks.take(1000, 1 << 20)
        assert isinstance(taken, Block)
        assert len(taken.raw) == 50
    with patch.object(ldif_blocks, "_PIECE", 100):
        blocks = LdifBlocks(BytesIO(regular + b"\n" + regular), 0, 0, _LARGEST)
        kinds = [type(one) for one in iter(lambda: blocks.take(1000, 1 << 20), None)]
    assert (kinds[0], kinds[-1], kinds.count(RawRecord) < 30) == (Block, Block, True)


@pytest.mark.parametrize("size", [_LARGEST - 1, _LARGEST, _LARGEST + 1])
def test_the_limit_of_a_record_is_the_same_in_bulk(size: int) -> None:
    data = (b"dn: " + b"x" * (size - 5) + b"\n\n") * 2
    blocks = LdifBlocks(BytesIO(data), 0, 0, _LARGEST)
    taken = blocks.take(2, 1 << 20)
    assert isinstance(taken, RawRecord) is (size > _LARGEST)
    assert [one[4] for one in _cut_with_care(data)] == [size > _LARGEST] * 2


def _reader(place: Path, *, records: bool, token: dict[str, Any] | None, **options: Any) -> LdifFileReader:
    system = an_ldif_system(_STAFF, _PERSON, max_record_size=_LARGEST, **options)
    return LdifFileReader(
        place / "directory.ldif", types_of(system), read_options(system.options, []), place, token, records=records
    )


def _told(found: Entry | EntryError | int | None) -> list[str]:
    if isinstance(found, EntryError):
        return [repr(found)]
    if not isinstance(found, Entry):
        return []
    values = found.values | {name: [text] for name, text in (found.texts or {}).items()}
    return [repr((found.object_type, sorted(values.items()), found.place, found.change, found.added, found.removed))]


def _all_of(next_page: Callable[[], Any]) -> tuple[list[Any], list[str]]:
    """What each page says, its objects as texts in an order of their own, and the fault that ended the read."""
    pages: list[Any] = []
    fault: list[str] = []
    try:
        while not pages or not pages[-1][0]:
            page = next_page()
            held = page.records.read(range(len(page.records.raw))) if page.records is not None else ()
            found = list(held)
            objects = sorted(text for one in (*page.entries, *page.errors, *found) for text in _told(one))
            ignored = page.ignored + found.count(None)
            pages.append((page.complete, page.next_token, page.total_hint, ignored, objects))
    except (IncompleteRead, SourceFault) as error:
        fault = [type(error).__name__, str(error)]
    return pages, fault


class _OneByOne(LdifFileReader):
    """Reads as if no record could be cut out but line by line."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        blocks = self._blocks
        blocks._careful = split_records(self._file, blocks.offset, blocks.line, _LARGEST)
        blocks._careful_until = 1 << 60


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # it reads and writes files
@given(
    _files(),
    st.integers(1, 6),
    _pieces,
    st.sampled_from((60, 1 << 25)),
    st.sampled_from(("content", CHANGES)),
)
def test_pages_say_the_same_in_bulk_and_one_by_one_as_records_and_as_entries(
    tmp_path: Path, data: bytes, size: int, piece: int, page_bytes: int, mode: str
) -> None:
    (tmp_path / "directory.ldif").write_bytes(data or b"\n")
    with (
        patch.object(ldif_blocks, "_PIECE", piece),
        patch.object(ldif_reading, "_PAGE_BYTES", page_bytes),
    ):
        system = an_ldif_system(_STAFF, _PERSON, max_record_size=_LARGEST, mode=mode)
        given_all = (tmp_path / "directory.ldif", types_of(system), read_options(system.options, []), tmp_path, None)
        careful = _OneByOne(*given_all)
        wanted, fault = _all_of(partial(careful.next_page, size))
        careful.close()
        for records in (False, True):
            reader = _reader(tmp_path, records=records, token=None, mode=mode)
            assert _all_of(partial(reader.next_page, size)) == (wanted, fault)
            reader.close()
        for before, after in pairwise(wanted):
            reader = _reader(tmp_path, records=True, token=before[1], mode=mode)
            page = _all_of(partial(reader.next_page, size))[0][0]
            assert page[4] == after[4]
            reader.close()


@given(_files())
def test_a_record_that_is_left_unread_counts_as_one_and_asks_for_no_url(data: bytes) -> None:
    for raw, line, _, _, oversized, whole in _cut_with_care(data):
        if line > 1 and whole and not oversized and says_all(raw[:-1]):
            with suppress(BadRecord):
                assert parse_record(whole_record(raw[:-1], line), _no_url) is not None


def _no_url(url: str) -> bytes:
    raise AssertionError(f"{url} was asked for")


_regular = st.builds(
    lambda name, classes, lines: [name, b"objectClass: person", *classes, b"uid: ann", *lines],
    st.sampled_from((*_NAMES[:6], b"dn: uid=ann,dc=x")),
    st.sampled_from(([], [b"objectClass: staff"])),
    st.lists(st.sampled_from(_LINES), max_size=2),
)


@settings(deadline=None, max_examples=400)
@given(st.lists(_regular, min_size=1, max_size=8), st.sampled_from((b"\n", b"\r\n")))
def test_a_regular_record_says_on_the_short_way_what_it_says_on_the_long_one(
    records: list[list[bytes]], end: bytes
) -> None:
    types = types_of(an_ldif_system(_STAFF, _PERSON))
    entries = EntryReader(types, "directory.ldif")
    regular = RegularEntries(types, entries, "directory.ldif")
    for lines in records:
        raw = end.join([*lines, b""])[:-1]
        if any(line in (b"", b"\r") for line in lines) or not says_all(raw):
            continue
        found = regular.entry(raw, 7)
        if found is None:
            continue
        record = whole_record(raw, 7)
        parsed = parse_record(record, _no_url)
        assert parsed is not None
        assert _told(found) == _told(entries.entry(record, parsed))


def test_what_most_records_are_is_regular() -> None:
    types = types_of(an_ldif_system(_STAFF, _PERSON))
    entries = RegularEntries(types, EntryReader(types, "directory.ldif"), "directory.ldif")
    plain = "dn: uid=ann,ou=s,dc=x\nobjectClass: person\nuid: ann\nmail: a\nmail:: w7w=\nsn: Müller\njpeg:: AP8=\ncn: A"
    plain += "\n nn"
    for text in (plain, plain.replace("\n", "\r\n") + "\r"):
        found = entries.entry(text.encode(), 7)
        assert found is not None
        assert found.texts == {"dn": "uid=ann,ou=s,dc=x", "uid": "ann", "cn": "Ann"}
        assert found.values == {"mail": ["a", "ü"]}
    for odd in ("\ncn:  a", "\nmail:: *", "\ncn:", "\nchangetype: add", "\nno colon", "\nobjectClass:: eA=="):
        assert entries.entry((plain + odd).encode(), 7) is None


def test_equal_entries_are_equal_bytes_wherever_they_stand_and_fetched_values_never_are(tmp_path: Path) -> None:
    one, two = b"dn: uid=a\nobjectClass: person\nuid: a\n", b"dn: uid=b\nobjectClass: person\nuid: b\ncn:< file:///x\n"
    three = two.replace(b"cn:<", b"cn:\n <")

    def raw_of(data: bytes) -> list[bytes]:
        (tmp_path / "directory.ldif").write_bytes(data)
        reader = _reader(tmp_path, records=True, token=None)
        page = reader.next_page(10)
        reader.close()
        assert isinstance(page.records, LdifRecords)
        return page.records.raw

    first = b"version: 1\n\n"
    assert raw_of(first + one + b"\n" + two + b"\n" + three + b"\n" + one) == [one[:-1], one[:-1]]
    assert raw_of(first + b"\n\n" + one + b"\n\n\n") == [one[:-1]]
    assert raw_of((first + one + b"\n").replace(b"\n", b"\r\n")) == [one.replace(b"\n", b"\r\n")[:-1]]
    assert raw_of(one) == []
