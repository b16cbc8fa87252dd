"""What an LDIF file gives as a source: content whole, change records as a feed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.connectors.systems import an_ldif_system, an_object_type, connect, pages_of, read_all

from anabranch.connectors.port import Entry, EntryError, IncompleteRead, SourceChanged, SourceFault
from anabranch.model.configuration import ObjectType
from anabranch.model.enums import ValueType

ANN = b"dn: uid=ann,dc=x\nobjectClass: top\nobjectclass: PERSON\nUID: ann\nMail: a@x\nmail: b@x\n\n"
BOB = b"dn: uid=bob,dc=x\nobjectClass: person\nuid: bob\n\n"


async def read(place: Path, content: bytes, *types: ObjectType, **options: Any) -> tuple[list[Entry], list[EntryError]]:
    (place / "directory.ldif").write_bytes(content)
    return await read_all(an_ldif_system(*types, **options), place)


async def test_names_of_classes_and_attributes_are_matched_without_case(tmp_path: Path) -> None:
    entries, _ = await read(tmp_path, ANN)
    assert entries[0].values == {"uid": ["ann"], "mail": ["a@x", "b@x"], "dn": ["uid=ann,dc=x"]}


async def test_an_entry_belongs_to_the_first_type_whose_classes_and_base_it_has(tmp_path: Path) -> None:
    staff = an_object_type("staff", "dn", {"object-classes": ["person"], "base": "ou=staff,dc=x"}, "dn")
    person = an_object_type("person", "dn", {"object-classes": ["person"]}, "dn")
    (tmp_path / "directory.ldif").write_bytes(
        b"dn: cn=a,OU=Staff, dc=x\nobjectClass: person\n\n"
        b"dn: cn=b,dc=x\nobjectClass: person\n\n"
        b"dn: dc=x\nobjectClass: domain\n"
    )
    (page,) = await pages_of(connect(an_ldif_system(staff, person), tmp_path))
    assert ([one.object_type for one in page.entries], page.ignored) == (["staff", "person"], 1)


@pytest.mark.behaviour("TRAP-21")
async def test_a_binary_attribute_keeps_its_bytes_and_needs_no_option(tmp_path: Path) -> None:
    kind = an_object_type("person", "uid", {"object-classes": ["person"]}, "uid", cert=ValueType.BINARY)
    entries, _ = await read(tmp_path, BOB[:-1] + b"cert;binary:: AP8=\n", kind)
    assert entries[0].values["cert"] == [b"\0\xff"]


@pytest.mark.behaviour("IMP-7")
async def test_a_password_is_not_read_even_where_a_type_declares_everything(tmp_path: Path) -> None:
    entries, _ = await read(tmp_path, BOB[:-1] + b"userPassword: secret\n")
    assert "secret" not in str(entries[0].values)


@pytest.mark.behaviour("IMP-11", "IMP-13")
async def test_a_broken_record_is_located_keeps_its_anchor_and_harms_no_other(tmp_path: Path) -> None:
    entries, errors = await read(tmp_path, ANN + BOB[:-1] + b"cn:: *\n\n" + ANN.replace(b"ann", b"cyd"))
    assert [one.values["uid"] for one in entries] == [["ann"], ["cyd"]]
    assert [(one.place, one.kind, one.object_type, one.anchor) for one in errors] == [
        ("directory.ldif:11", "connector_object_error", "person", "bob")
    ]


@pytest.mark.behaviour("IMP-11")
async def test_an_entry_without_anchor_is_told_as_such(tmp_path: Path) -> None:
    _, errors = await read(tmp_path, b"dn: cn=x\nobjectClass: person\ncn: x\n")
    assert [(one.place, one.kind) for one in errors] == [("directory.ldif:1", "missing_anchor")]


async def test_a_record_beyond_the_limit_is_an_error_that_keeps_its_anchor(tmp_path: Path) -> None:
    entries, errors = await read(tmp_path, BOB[:-1] + b"cn: " + b"x" * 2000 + b"\n\n" + ANN, max_record_size=1024)
    assert ([one.anchor for one in errors], len(entries), "max-record-size" in errors[0].message) == (["bob"], 1, True)


@pytest.mark.behaviour("IMP-4")
@pytest.mark.parametrize("cut", [b"dn: uid=bob,dc=x\nobjectCl", b"dn: uid=bob,dc=x\nobjectClass: person\nuid:: Ym9"])
async def test_a_file_cut_off_inside_a_record_is_no_complete_read(tmp_path: Path, cut: bytes) -> None:
    with pytest.raises(IncompleteRead, match="the last record"):
        await read(tmp_path, ANN + cut)


@pytest.mark.parametrize(("content", "message"), [(b"", "the file is empty"), (b"version: 2\n", "only 1 exists")])
async def test_a_file_that_is_no_ldif_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(SourceFault, match=message):
        await read(tmp_path, content)


async def test_urls_are_read_from_the_declared_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "bob.txt").write_bytes(b"Bob")
    (tmp_path / "secret").write_bytes(b"secret")
    inside = BOB[:-1] + f"cn:< file://{tmp_path}/photos/bob.txt\n\n".encode()
    outside = BOB[:-1] + f"cn:< file://{tmp_path}/photos/../secret\n\n".encode()
    entries, errors = await read(tmp_path, inside + outside, url_directory="photos")
    assert ([one.values["cn"] for one in entries], "outside" in errors[0].message) == ([["Bob"]], True)


async def test_a_change_record_in_a_file_of_content_is_told(tmp_path: Path) -> None:
    entries, errors = await read(tmp_path, b"dn: uid=ann,dc=x\nchangetype: delete\n\n" + BOB)
    assert ([one.values["uid"] for one in entries], "mode: changes" in errors[0].message) == ([["bob"]], True)


# --- a feed of changes -----------------------------------------------------------------------------------------------

FEED = (
    b"dn: uid=ann,dc=x\nchangetype: add\nobjectClass: person\nuid: ann\n\n"
    b"dn: uid=ann,dc=x\nchangetype: modify\n"
    b"add: mail\nmail: a\n-\ndelete: mail\nmail: b\n-\nreplace: cn\ncn: Ann\n-\n\n"
    b"dn: uid=ann,dc=x\nchangetype: modrdn\nnewrdn: uid=ann\ndeleteoldrdn: 1\nnewsuperior: ou=y,dc=x\n\n"
    b"dn: uid=ann,ou=y,dc=x\nchangetype: delete\n\n"
)


@pytest.mark.behaviour("IMP-8", "IMP-10")
async def test_a_feed_gives_complete_partial_and_deleted_objects_in_order(tmp_path: Path) -> None:
    entries, errors = await read(tmp_path, FEED, mode="changes")
    moved = "uid=ann,ou=y,dc=x"
    assert errors == []
    assert [(one.change, one.values, one.added, one.removed) for one in entries] == [
        ("complete", {"uid": ["ann"], "dn": ["uid=ann,dc=x"]}, None, None),
        ("partial", {"dn": ["uid=ann,dc=x"], "uid": ["ann"], "cn": ["Ann"]}, {"mail": ["a"]}, {"mail": ["b"]}),
        ("partial", {"dn": [moved], "uid": ["ann"]}, {}, {}),
        ("delete", {"dn": [moved], "uid": ["ann"]}, None, None),
    ]


async def test_a_later_modification_of_a_record_stands(tmp_path: Path) -> None:
    text = b"dn: uid=a\nchangetype: modify\nadd: mail\nmail: a\n-\ndelete: mail\n-\nadd: mail\nmail: c\n-\n"
    entries, _ = await read(tmp_path, text, mode="changes")
    assert (entries[0].values["mail"], entries[0].added) == (["c"], {})


async def test_a_rename_of_the_anchor_is_refused_with_the_object_it_concerns(tmp_path: Path) -> None:
    text = b"dn: uid=ann,dc=x\nchangetype: modrdn\nnewrdn: uid=eve\ndeleteoldrdn: 1\n"
    _, errors = await read(tmp_path, text, mode="changes")
    assert [(one.kind, one.anchor) for one in errors] == [("unsupported_anchor", "ann")]


async def test_a_change_whose_type_nobody_can_tell_is_an_error(tmp_path: Path) -> None:
    one = an_object_type("one", "dn", {"object-classes": ["a"]}, "dn")
    two = an_object_type("two", "dn", {"object-classes": ["b"]}, "dn")
    _, errors = await read(tmp_path, b"dn: uid=a\nchangetype: delete\n", one, two, mode="changes")
    assert [error.kind for error in errors] == ["unknown_object_type"]


@pytest.mark.behaviour("IMP-5")
async def test_a_watermark_stands_behind_the_last_closed_record_and_leads_to_what_came_later(tmp_path: Path) -> None:
    file = tmp_path / "directory.ldif"
    file.write_bytes(FEED + b"dn: uid=zoe,dc=x\nchangetype: mod")
    connector = connect(an_ldif_system(mode="changes"), tmp_path)
    mark = await connector.watermark()
    file.write_bytes(FEED + b"dn: uid=zoe,dc=x\nchangetype: delete\n\n")
    entries = [one for page in await pages_of(connector, 10, mark) for one in page.entries]
    assert [(one.place, one.values["uid"]) for one in entries] == [("directory.ldif:27", ["zoe"])]


async def test_a_feed_that_was_replaced_is_no_continuation(tmp_path: Path) -> None:
    file = tmp_path / "directory.ldif"
    file.write_bytes(FEED)
    connector = connect(an_ldif_system(mode="changes"), tmp_path)
    mark = await connector.watermark()
    file.write_bytes(FEED[70:])
    with pytest.raises(SourceChanged, match="replaced or shortened"):
        await pages_of(connector, 10, mark)


async def test_an_empty_feed_is_a_complete_read_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "directory.ldif").write_bytes(b"")
    pages = await pages_of(connect(an_ldif_system(mode="changes"), tmp_path))
    assert [(page.entries, page.complete) for page in pages] == [([], True)]
