"""What an LDIF target holds: the whole content, or one journal for each batch."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.connectors.systems import a_target, an_ldif_system, an_object_type, connect, files_of, stream

from anabranch.connectors.port import ChangeRow, ExportBatch, ExportChange, Outcome, Unsupported
from anabranch.connectors.whole_file import WholeFile
from anabranch.model.configuration import System
from anabranch.model.enums import ExportKind, RowOp, ValueType
from anabranch.model.errors import ClaimLost

SOURCE = {"object-classes": ["top", "person"], "rdn": "uid", "base": "dc=x"}


def a_directory(**options: object) -> System:
    kind = an_object_type("person", "uid", SOURCE, "uid", "dn", "cn", "mail*", photo=ValueType.BINARY)
    return an_ldif_system(kind, **options)


@pytest.mark.behaviour("EXP-25", "TRAP-21")
async def test_content_is_written_in_declared_order_with_its_classes(tmp_path: Path) -> None:
    wanted = a_target("ann", dn="uid=ann,dc=x", mail=["b", "a"], cn=["Jörg"], uid=["ann"], photo=["AP8="])
    await connect(a_directory(), tmp_path).replace(stream([wanted]), "c1", 1)
    assert (tmp_path / "directory.ldif").read_bytes() == (
        b"version: 1\n\ndn: uid=ann,dc=x\nobjectClass: top\nobjectClass: person\nuid: ann\ncn:: SsO2cmc=\n"
        b"mail: a\nmail: b\nphoto:: AP8=\n\n"
    )


@pytest.mark.behaviour("EXP-16")
async def test_containers_stand_before_what_is_in_them(tmp_path: Path) -> None:
    objects = [a_target(dn[4], dn=dn, uid=[dn[4]]) for dn in ("uid=a,uid=z,dc=x", "uid=m,dc=x", "uid=z,dc=x")]
    await connect(a_directory(), tmp_path).replace(stream(objects), "c1", 1)
    names = [line for line in (tmp_path / "directory.ldif").read_text().splitlines() if line.startswith("dn:")]
    assert names == ["dn: uid=m,dc=x", "dn: uid=z,dc=x", "dn: uid=a,uid=z,dc=x"]
    assert files_of(tmp_path) == ["directory.ldif"]


async def test_the_naming_value_is_written_where_no_attribute_holds_it(tmp_path: Path) -> None:
    await connect(a_directory(), tmp_path).replace(stream([a_target("ann", dn="uid=ann,dc=x", cn=["A"])]), "c1", 1)
    assert b"uid: ann\ncn: A\n" in (tmp_path / "directory.ldif").read_bytes()


@pytest.mark.behaviour("EXP-23", "EXP-35")
@pytest.mark.parametrize(
    ("dn", "kind", "message"),
    [
        ("uid=a,dc=y", "outside_managed_scope", "is not below 'dc=x'"),
        (r"uid=a\,dc=x", "outside_managed_scope", "is not below"),
        ("cn=a,dc=x", "export_refused", "does not begin with uid="),
        ("nonsense", "export_refused", "cannot be named"),
        (None, "export_refused", "has no distinguished name"),
        ("UID=Ok , DC=x", "uniqueness_conflict", "already names another object"),
    ],
)
async def test_an_object_with_an_unsuitable_name_is_refused_alone(
    tmp_path: Path, dn: str | None, kind: str, message: str
) -> None:
    objects = [a_target("ok", dn="uid=ok,dc=x"), a_target("bad", dn=dn)]
    receipt = await connect(a_directory(), tmp_path).replace(stream(objects), "c1", 1)
    assert (receipt.files[0].objects, [one.kind for one in receipt.rejected]) == (1, [kind])
    assert message in receipt.rejected[0].message


@pytest.mark.behaviour("EXP-29")
def test_a_file_confirms_itself_only_where_the_options_say_so(tmp_path: Path) -> None:
    said = [connect(a_directory(**more), tmp_path).capabilities for more in ({}, {"self_confirming": True})]
    assert [one.self_confirming for one in said] == [False, True]


# --- journals --------------------------------------------------------------------------------------------------------


def a_change(kind: ExportKind, *rows: ChangeRow, dn: str = "uid=ann,dc=x", to: str | None = None) -> ExportChange:
    return ExportChange(
        kind=kind, object_type="person", anchor="ann", key="k", rows=rows, identifier=dn, new_identifier=to
    )


async def journal(place: Path, *changes: ExportChange) -> tuple[list[Outcome], bytes]:
    connector = connect(a_directory(mode="changes", path="journal"), place)
    outcomes = await connector.apply(ExportBatch(run=7, step=2, batch=3, claim="c", changes=changes))
    file = place / "journal" / "7-2-3.ldif"
    return outcomes, file.read_bytes() if "journal" in files_of(place) and file.name in files_of(file.parent) else b""


async def test_changes_become_records_of_their_kind(tmp_path: Path) -> None:
    outcomes, written = await journal(
        tmp_path,
        a_change(ExportKind.CREATE, ChangeRow("cn", RowOp.SET, ("Ann",)), ChangeRow("mail", RowOp.ADD, ("a",))),
        a_change(
            ExportKind.UPDATE,
            ChangeRow("cn", RowOp.SET, ("Ann B",)),
            ChangeRow("mail", RowOp.ADD, ("b",)),
            ChangeRow("mail", RowOp.REMOVE, ("a",)),
            ChangeRow("photo", RowOp.CLEAR),
        ),
        a_change(ExportKind.DELETE),
    )
    assert [one.status for one in outcomes] == ["ok", "ok", "ok"]
    assert written == (
        b"version: 1\n\n"
        b"dn: uid=ann,dc=x\nchangetype: add\nobjectClass: top\nobjectClass: person\nuid: ann\ncn: Ann\nmail: a\n\n"
        b"dn: uid=ann,dc=x\nchangetype: modify\nreplace: cn\ncn: Ann B\n-\nadd: mail\nmail: b\n-\n"
        b"delete: mail\nmail: a\n-\nreplace: photo\n-\n\n"
        b"dn: uid=ann,dc=x\nchangetype: delete\n\n"
    )


@pytest.mark.behaviour("EXP-22")
async def test_a_rename_comes_first_and_the_rest_uses_the_new_name(tmp_path: Path) -> None:
    change = a_change(ExportKind.UPDATE, ChangeRow("cn", RowOp.SET, ("B",)), to="uid=bea,ou=y,dc=x")
    outcomes, written = await journal(tmp_path, change)
    assert outcomes[0].identifier == "uid=bea,ou=y,dc=x"
    assert written == (
        b"version: 1\n\n"
        b"dn: uid=ann,dc=x\nchangetype: modrdn\nnewrdn: uid=bea\ndeleteoldrdn: 1\nnewsuperior: ou=y,dc=x\n\n"
        b"dn: uid=bea,ou=y,dc=x\nchangetype: modify\nreplace: cn\ncn: B\n-\n\n"
    )


@pytest.mark.behaviour("EXP-35")
async def test_a_refused_change_leaves_the_others_of_its_batch_written(tmp_path: Path) -> None:
    outcomes, written = await journal(
        tmp_path, a_change(ExportKind.DELETE, dn="uid=ann,dc=elsewhere"), a_change(ExportKind.DELETE)
    )
    assert [(one.status, one.kind) for one in outcomes] == [("rejected", "outside_managed_scope"), ("ok", "")]
    assert written.count(b"changetype: delete") == 1


async def test_a_repeated_batch_replaces_its_journal_whole(tmp_path: Path) -> None:
    await journal(tmp_path, a_change(ExportKind.DELETE), a_change(ExportKind.DELETE, dn="uid=b,dc=x"))
    _, written = await journal(tmp_path, a_change(ExportKind.DELETE))
    assert (written.count(b"dn:"), files_of(tmp_path / "journal")) == (1, ["7-2-3.ldif"])


@pytest.mark.behaviour("EXP-26", "FLT-10")
async def test_the_parts_of_a_split_batch_withdraw_its_journal_and_what_a_late_worker_has_of_it(tmp_path: Path) -> None:
    connector, folder = connect(a_directory(mode="changes", path="journal"), tmp_path), tmp_path / "journal"
    both = (a_change(ExportKind.DELETE), a_change(ExportKind.DELETE, dn="uid=b,dc=x"))
    await connector.apply(ExportBatch(run=7, step=2, batch=3, claim="c", changes=both))
    late = WholeFile(folder / "7-2-3.ldif", "c", 3)
    late.open()
    for batch, change in zip((8, 9), both, strict=True):
        await connector.apply(ExportBatch(run=7, step=2, batch=batch, claim="d", changes=(change,), parts_of=(3,)))
    with pytest.raises(ClaimLost):
        late.finish(1)
    assert files_of(folder) == ["7-2-8.ldif", "7-2-9.ldif"]


async def test_a_batch_without_records_leaves_no_journal(tmp_path: Path) -> None:
    await journal(tmp_path, a_change(ExportKind.DELETE))
    _, written = await journal(tmp_path, a_change(ExportKind.DELETE, dn="uid=ann,dc=elsewhere"))
    assert written == b""


async def test_each_mode_refuses_the_other_way_of_writing(tmp_path: Path) -> None:
    with pytest.raises(Unsupported):
        await connect(a_directory(mode="changes"), tmp_path).replace(stream([]), "c", 1)
    with pytest.raises(Unsupported):
        await connect(a_directory(), tmp_path).apply(ExportBatch(run=1, step=1, batch=1, claim="c", changes=()))
