"""What a CSV target file holds, and what never becomes of it."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.connectors.systems import a_csv_system, a_target, an_object_type, connect, files_of, stream

from anabranch.connectors.port import TargetFault, TargetObject
from anabranch.model.errors import ClaimLost

ANN = a_target("1", id=["1"], name=["Ann"], tags=["b", "a", "b"])
BOB = a_target("2", id=["2"], name=['Bo, "b"'], tags=[])


@pytest.mark.behaviour("EXP-25")
async def test_bytes_depend_on_the_objects_alone(tmp_path: Path) -> None:
    await connect(a_csv_system(), tmp_path).replace(stream([ANN, BOB]), "c1", 1)
    assert (tmp_path / "people.csv").read_bytes() == b'id,name,tags\n1,Ann,a;b\n2,"Bo, ""b""",\n'


@pytest.mark.behaviour("EXP-25", "EXP-35")
async def test_single_texts_are_written_as_lists_of_one_are(tmp_path: Path) -> None:
    texts = [
        {"id": "1", "name": "Ann"}, {"id": "2", "name": 'Bo, "b"'}, {"id": "3", "name": ""}, {"id": " ", "name": "Eve"},
        {"id": "5"}, {"id": "6", "name": "日"}, {"id": "7", "name": "a\0b"}, {"name": "Kim"}, {"id": "9", "name": "é"},
    ]  # fmt: skip
    person = an_object_type("person", "id", {"file": "people.csv"}, "id", "name")
    written = []
    for place, form in ((tmp_path / "lists", False), (tmp_path / "texts", True)):
        place.mkdir()
        connector = connect(a_csv_system(person, encoding="latin-1"), place)
        objects = [
            TargetObject(object_type="person", anchor=str(n), values={}, texts=one)
            if form
            else TargetObject(object_type="person", anchor=str(n), values={name: [one[name]] for name in one})
            for n, one in enumerate(texts, start=1)
        ]
        refused = [connector.refusal(one) for one in objects]
        receipt = await connector.replace(stream(objects), "c1", 1)
        written.append((refused, receipt.rejected, (place / "people.csv").read_bytes()))
    assert written[0] == written[1]
    assert [one.anchor for one in written[0][1]] == ["4", "6", "7"]


@pytest.mark.behaviour("EXP-35")
async def test_an_encoding_may_lack_even_a_percent_sign(tmp_path: Path) -> None:
    connector = connect(a_csv_system(encoding="cp864"), tmp_path)
    receipt = await connector.replace(stream([a_target("1", id=["1"], name=["100%"]), ANN]), "c1", 1)
    assert [(one.anchor, one.message) for one in receipt.rejected] == [("1", "1: '%' does not exist in cp864")]
    assert (tmp_path / "people.csv").read_bytes() == b"id,name,tags\n1,Ann,a;b\n"


@pytest.mark.behaviour("EXP-25")
async def test_the_same_objects_leave_file_and_time_untouched(tmp_path: Path) -> None:
    connector = connect(a_csv_system(), tmp_path)
    await connector.replace(stream([ANN]), "c1", 1)
    before = (tmp_path / "people.csv").stat()
    receipt = await connector.replace(stream([ANN]), "c2", 2)
    after = (tmp_path / "people.csv").stat()
    assert (receipt.changed, after.st_mtime_ns, after.st_ino) == (False, before.st_mtime_ns, before.st_ino)


def modes(folder: Path) -> list[int]:
    """Who may do what with the unfinished files."""
    return [stat.S_IMODE(one.stat().st_mode) for one in folder.glob(".people.csv.*.tmp")]


@pytest.mark.behaviour("EXP-35")
async def test_values_that_run_together_with_a_long_separator_are_refused(tmp_path: Path) -> None:
    connector = connect(a_csv_system(list_separator="||"), tmp_path)
    wrong, right = a_target("9", id=["9"], tags=["a|", "b"]), a_target("8", id=["8"], tags=["a", "|b"])
    receipt = await connector.replace(stream([wrong, a_target("7", id=["7"], tags=["a|b", "c"])]), "c1", 1)
    assert [one.anchor for one in receipt.rejected] == ["9"]
    assert "run together" in receipt.rejected[0].message
    assert connector.refusal(right) is None


@pytest.mark.behaviour("EXP-25")
async def test_who_may_not_read_the_file_may_not_read_it_while_it_is_written(tmp_path: Path) -> None:
    connector = connect(a_csv_system(), tmp_path)
    await connector.replace(stream([ANN]), "c1", 1)
    (tmp_path / "people.csv").chmod(0o600)
    seen: list[int] = []

    async def watched() -> AsyncIterator[TargetObject]:
        yield ANN
        seen.extend(modes(tmp_path))
        yield BOB

    await connector.replace(watched(), "c2", 2)
    assert seen == [0o600]
    assert stat.S_IMODE((tmp_path / "people.csv").stat().st_mode) == 0o600


async def test_a_type_without_objects_is_a_file_of_its_header(tmp_path: Path) -> None:
    unit = an_object_type("unit", "code", {"file": "units.csv"}, "code", "title")
    person = an_object_type("person", "id", {"file": "people.csv"}, "id")
    receipt = await connect(a_csv_system(person, unit), tmp_path).replace(stream([a_target("1", id=["1"])]), "c1", 1)
    assert [(Path(one.path).name, one.objects) for one in receipt.files] == [("people.csv", 1), ("units.csv", 0)]
    assert (tmp_path / "units.csv").read_bytes() == b"code,title\n"


@pytest.mark.behaviour("EXP-35")
@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (a_target("9", id=["9"], tags=["a;b"]), "contains the list separator ';'"),
        (a_target("9", id=["9"], name=["a", "b"]), "has 2 values but is declared with one"),
        (a_target("9", id=["9"], name=["a\0b"]), "NUL"),
        (a_target("9", id=["9"], name=["日"]), "does not exist in latin-1"),
        (a_target("9", id=["9"], tags=[""]), "has an empty value"),
        (a_target("9", id=[" "]), "the anchor 'id' is empty"),
    ],
)
async def test_an_object_the_file_cannot_hold_is_refused_alone(tmp_path: Path, wanted: object, message: str) -> None:
    connector = connect(a_csv_system(encoding="latin-1"), tmp_path)
    receipt = await connector.replace(stream([wanted, BOB]), "c1", 1)  # type: ignore[list-item]
    refused = connector.refusal(wanted)  # type: ignore[arg-type]
    assert (receipt.files[0].objects, receipt.rejected, message in receipt.rejected[0].message) == (1, (refused,), True)


@pytest.mark.behaviour("EXP-25")
async def test_a_late_worker_fails_and_its_successors_file_stays(tmp_path: Path) -> None:
    connector = connect(a_csv_system(), tmp_path)

    def overtaken() -> None:
        for unfinished in tmp_path.glob(".people.csv.*"):
            unfinished.unlink()
        (tmp_path / "people.csv").write_bytes(b"the successor's")

    with pytest.raises(ClaimLost, match="removed by the worker that took over"):
        await connector.replace(stream([ANN]), "zombie", 1, overtaken)
    assert (tmp_path / "people.csv").read_bytes() == b"the successor's"


async def test_a_successor_removes_what_its_predecessors_left_unfinished(tmp_path: Path) -> None:
    (tmp_path / ".people.csv.1.dead.tmp").write_bytes(b"half")
    await connect(a_csv_system(), tmp_path).replace(stream([ANN]), "alive", 1)
    assert files_of(tmp_path) == ["people.csv"]


async def test_an_earlier_batch_gives_way_to_a_later_one(tmp_path: Path) -> None:
    (tmp_path / ".people.csv.7.next.tmp").write_bytes(b"half")
    with pytest.raises(ClaimLost, match="a later batch"):
        await connect(a_csv_system(), tmp_path).replace(stream([ANN]), "old", 6)
    assert files_of(tmp_path) == [".people.csv.7.next.tmp"]


@pytest.mark.behaviour("EXP-25")
async def test_a_fence_that_refuses_leaves_nothing_of_the_new_file(tmp_path: Path) -> None:
    def over() -> None:
        raise ClaimLost("the lease is over")

    with pytest.raises(ClaimLost, match="lease"):
        await connect(a_csv_system(), tmp_path).replace(stream([ANN]), "c1", 1, over)
    assert files_of(tmp_path) == []


async def test_a_link_keeps_pointing_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_bytes(b"old")
    (tmp_path / "people.csv").symlink_to("real.csv")
    await connect(a_csv_system(), tmp_path).replace(stream([ANN]), "c1", 1)
    assert ((tmp_path / "people.csv").is_symlink(), (tmp_path / "real.csv").read_bytes()[:2]) == (True, b"id")


async def test_a_target_that_is_a_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "people.csv").mkdir()
    with pytest.raises(TargetFault, match="is a directory"):
        await connect(a_csv_system(), tmp_path).replace(stream([ANN]), "c1", 1)
