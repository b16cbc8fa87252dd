"""What a CSV source gives for good files, broken rows and files that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.connectors.systems import a_csv_system, an_object_type, connect, pages_of, read_all

from anabranch.connectors.port import Entry, EntryError, IncompleteRead, ReadRequest, SourceChanged, SourceFault
from anabranch.connectors.registry import check_options
from anabranch.connectors.testing import text_attribute
from anabranch.model.configuration import ObjectType

HEADER = b"id,name,tags\n"


async def read(place: Path, content: bytes, **options: Any) -> tuple[list[Entry], list[EntryError]]:
    (place / "people.csv").write_bytes(content)
    return await read_all(a_csv_system(**options), place)


def ids(entries: list[Entry]) -> list[str]:
    return [str(one.values["id"][0]) for one in entries]


async def test_cells_become_values_and_empty_cells_none(tmp_path: Path) -> None:
    entries, _ = await read(tmp_path, b"id,name,tags,extra\n1,Ann,a;;b,x\n2,,,\n")
    assert [one.values for one in entries] == [{"id": ["1"], "name": ["Ann"], "tags": ["a", "b"]}, {"id": ["2"]}]


async def test_an_empty_text_counts_where_the_attribute_keeps_it(tmp_path: Path) -> None:
    kept = ObjectType(
        key="person",
        anchor="id",
        attributes={"id": text_attribute("id"), "name": text_attribute("name", keep_empty_text=True)},
        source={"file": "people.csv"},
    )
    (tmp_path / "people.csv").write_bytes(HEADER + b"1,,\n")
    entries, _ = await read_all(a_csv_system(kept), tmp_path)
    assert entries[0].values == {"id": ["1"], "name": [""]}


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"\xef\xbb\xbf" + HEADER + "1,Jörg,\n".encode(), "utf-8"),
        (HEADER + "1,Jörg,\n".encode("cp1252"), "cp1252"),
        ((HEADER.decode() + "1,Jörg,\n").encode("utf-16"), "utf-16"),
        ((HEADER.decode() + "1,Jörg,\n").encode("utf-16-le"), "utf-16-le"),
        (HEADER.replace(b"\n", b"\r\n") + "1,Jörg,\r\n".encode(), "utf-8"),
        (HEADER.replace(b"\n", b"\r") + "1,Jörg,\r".encode(), "utf-8"),
        (HEADER + "1,Jörg,".encode(), "utf-8"),
        (b"\n\n" + HEADER + "\n1,Jörg,\n\n".encode(), "utf-8"),
    ],
)
async def test_marks_encodings_and_line_ends_make_no_difference(tmp_path: Path, content: bytes, encoding: str) -> None:
    entries, errors = await read(tmp_path, content, encoding=encoding)
    assert ([one.values for one in entries], errors) == ([{"id": ["1"], "name": ["Jörg"]}], [])


@pytest.mark.behaviour("IMP-11", "IMP-13")
@pytest.mark.parametrize(
    ("row", "message", "anchor"),
    [
        (b"2,too,many,cells\n", "4 cells, the header 3", "2"),
        (b"2\n", "1 cells, the header 3", "2"),
        (b"2,\xff\xfe,\n", "is not valid utf-8", "2"),
        (b"2,a\0b,\n", "NUL", "2"),
        (b'2,"open" and on,\n', "goes on after its quote", "2"),
        (b"2,a\rb,\n", "carriage return", "2"),
    ],
)
async def test_a_broken_row_is_located_keeps_its_anchor_and_harms_no_other(
    tmp_path: Path, row: bytes, message: str, anchor: str
) -> None:
    entries, errors = await read(tmp_path, HEADER + b"1,a,\n" + row + b"3,b,\n")
    assert ids(entries) == ["1", "3"]
    assert [(one.place, one.kind, one.anchor) for one in errors] == [("people.csv:3", "connector_object_error", anchor)]
    assert message in errors[0].message


@pytest.mark.behaviour("IMP-11")
@pytest.mark.parametrize("row", [b",Ann,\n", b"  ,Ann,\n", b'"",Ann,\n'])
async def test_a_row_without_anchor_is_told_as_such(tmp_path: Path, row: bytes) -> None:
    entries, errors = await read(tmp_path, HEADER + row + b"2,b,\n")
    assert (ids(entries), errors[0].kind, errors[0].place) == (["2"], "missing_anchor", "people.csv:2")


async def test_a_stray_quote_costs_its_line_alone(tmp_path: Path) -> None:
    entries, errors = await read(tmp_path, HEADER + b'1,"stray,\n2,Bo,\n3,"Cy, Jr",\n4,Di,\n')
    assert (ids(entries), [one.place for one in errors]) == (["2", "3", "4"], ["people.csv:2"])


async def test_a_ten_megabyte_field_is_read_on_purpose(tmp_path: Path) -> None:
    entries, errors = await read(tmp_path, HEADER + b"1," + b"x" * 10_000_000 + b",\n2,b,\n")
    assert (len(entries[0].values["name"][0]), ids(entries), errors) == (10_000_000, ["1", "2"], [])


@pytest.mark.parametrize(
    "field", [b"x" * 5000, b'"' + b"x\n" * 3000 + b'"', b'"' + b'""' * 3000 + b'"', b'"' + b"y\n" * 600 + b'"']
)
async def test_a_field_beyond_the_limit_is_an_error_and_the_next_row_is_found(tmp_path: Path, field: bytes) -> None:
    entries, errors = await read(tmp_path, HEADER + b"1," + field + b",\n2,b,\n", max_field_size=1024)
    assert (ids(entries), [(one.place, one.anchor) for one in errors]) == (["2"], [("people.csv:2", "1")])
    assert "max-field-size" in errors[0].message


async def test_lines_are_counted_through_quoted_line_ends(tmp_path: Path) -> None:
    entries, errors = await read(tmp_path, HEADER + b'1,"a\nb\nc",\n2,x,\n3\n')
    assert ([one.place for one in entries], errors[0].place) == (["people.csv:2", "people.csv:5"], "people.csv:6")


@pytest.mark.behaviour("IMP-4")
@pytest.mark.parametrize("tail", [b'2,"cut', b'2,"cut\n3,b,\n', b'2,"' + b"x" * 50_000])
async def test_a_file_cut_off_inside_quotes_is_no_complete_read(tmp_path: Path, tail: bytes) -> None:
    with pytest.raises(IncompleteRead, match=r"people\.csv:3: a quote opened here is never closed"):
        await read(tmp_path, HEADER + b"1,a,\n" + tail, max_field_size=2048)


async def test_a_header_alone_is_a_complete_read_of_nobody(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(HEADER)
    pages = await pages_of(connect(a_csv_system(), tmp_path))
    assert [(page.entries, page.complete, page.total_hint) for page in pages] == [([], True, 0)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"id,name\n1,a\n", "no column 'tags', an attribute of 'person'"),
        (b"ID,name,tags\n", "did you mean 'ID'"),
        (b"id,name,tags,name\n", "names 'name' twice"),
        (b"id,n\xffme,tags\n", "the header .line 1. cannot be read"),
        (b'id,"name,tags\n', "the header cannot be read"),
        ((HEADER.decode() + "1,a,\n").encode("utf-16"), "set encoding: utf-16"),
    ],
)
async def test_a_file_without_usable_header_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SourceFault, match=message):
        await read(tmp_path, content)


async def test_a_missing_file_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(SourceFault, match=r"people\.csv: the file does not exist"):
        await read_all(a_csv_system(), tmp_path)


async def test_a_directory_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "people.csv").mkdir()
    with pytest.raises(SourceFault, match="is a directory"):
        await read_all(a_csv_system(), tmp_path)


@pytest.mark.behaviour("IMP-3")
@pytest.mark.parametrize("options", [{}, {"encoding": "utf-16"}])
async def test_a_read_resumes_behind_broken_rows_and_multi_line_fields(tmp_path: Path, options: dict[str, Any]) -> None:
    rows = '1,"a\nb",\n2\n3,c,\n4,"stray,\n5,"d",\n6,é,\n'
    (tmp_path / "people.csv").write_bytes((HEADER.decode() + rows).encode(options.get("encoding", "utf-8")))
    connector = connect(a_csv_system(**options), tmp_path)
    for n, page in enumerate(await pages_of(connector, 1), start=1):
        if page.next_token is not None:
            rest = await pages_of(connector, 1, page.next_token)
            assert sum(len(one.entries) + len(one.errors) for one in rest) == 6 - n


@pytest.mark.behaviour("IMP-3")
async def test_a_token_of_another_content_restarts_the_read(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(HEADER + b"1,a,\n2,b,\n")
    connector = connect(a_csv_system(), tmp_path)
    token = (await pages_of(connector, 1))[0].next_token
    (tmp_path / "people.csv").write_bytes(HEADER + b"1,a,\n2,c,\n")
    with pytest.raises(SourceChanged, match="read from its beginning"):
        await pages_of(connector, 1, token)


async def test_a_file_that_grows_while_it_is_read_restarts_the_read(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(HEADER + b"1,a,\n2,b,\n")
    connector = connect(a_csv_system(), tmp_path)
    first = (await connector.partitions())[0]
    pages = connector.read(ReadRequest(partition=first.key, page_size=1, object_types=first.object_types))
    await anext(pages)
    with file.open("ab") as more:
        more.write(b"3,c,\n")
    with pytest.raises(SourceChanged, match="written to while it was read"):
        await anext(pages)


@pytest.mark.behaviour("IMP-2")
async def test_huge_values_end_a_page_before_its_rows_do(tmp_path: Path) -> None:
    row = b"%d," + b"x" * 9_000_000 + b",\n"
    (tmp_path / "people.csv").write_bytes(HEADER + b"".join(row % n for n in range(6)))
    sizes = [len(page.entries) for page in await pages_of(connect(a_csv_system(), tmp_path), 1000)]
    assert sizes == [4, 2]


@pytest.mark.behaviour("IMP-7")
async def test_a_column_of_passwords_is_refused_when_declared(tmp_path: Path) -> None:
    secret = an_object_type("person", "id", {"file": "people.csv"}, "id", "userPassword")
    assert [path for path, _ in check_options(a_csv_system(secret))] == [
        ("object-types", "person", "attributes", "userPassword")
    ]


async def test_each_object_type_is_a_partition_of_its_own_file(tmp_path: Path) -> None:
    unit = an_object_type("unit", "code", {"file": "units.csv"}, "code")
    person = an_object_type("person", "id", {"file": "people.csv"}, "id")
    connector = connect(a_csv_system(person, unit), tmp_path)
    assert [(one.key, one.object_types) for one in await connector.partitions()] == [
        ("person", ("person",)),
        ("unit", ("unit",)),
    ]


async def test_a_check_tells_faults_of_all_files_and_forgives_a_target_its_missing_file(tmp_path: Path) -> None:
    connector = connect(a_csv_system(), tmp_path)
    assert [fault.place for fault in await connector.check()] == ["people.csv"]
    assert await connector.check(reading=False) == []


async def test_discovery_shows_undeclared_columns(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(b"id,name,shoe size\n")
    found = await connect(a_csv_system(), tmp_path).schema()
    assert [(one.name, [column.name for column in one.attributes]) for one in found] == [
        ("people.csv", ["id", "name", "shoe size"])
    ]
