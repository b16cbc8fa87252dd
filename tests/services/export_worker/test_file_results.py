"""What the writer of a file leaves for those who record the results."""

from __future__ import annotations

from array import array

import pytest
from tests.services.driver import World
from tests.services.export_worker.test_writing import steps

from anabranch.connectors.port import FailureClass, Outcome, OutcomeStatus
from anabranch.export_worker import file_results
from anabranch.export_worker.file_results import Sent, Written
from anabranch.export_worker.loading import Counted
from anabranch.model.enums import CsoState, ExportState
from anabranch.model.identity import CsoId, ExportId, TypeId
from anabranch.model.objects import TargetPicture

REFUSED = Outcome(
    status=OutcomeStatus.REJECTED, failure_class=FailureClass.PERMANENT, kind="already_exists", message="twice"
)


def picture(export: int, version: int) -> TargetPicture:
    return TargetPicture(CsoId(export), TypeId(1), "a", False, None, CsoState.NORMAL, {}, ExportId(export), version)


def written(ids: list[int]) -> Written:
    return Written(Counted(array("q", ids)))


def test_a_pack_tells_what_was_written_of_each_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_results, "_RESULTS", 2)
    file = written([3, 5, 8, 13, 21])
    carried = [file.carry_out(picture(export, version)) for export, version in ((3, 1), (4, 1), (8, 7), (21, 2))]
    assert carried == [True, False, True, True]
    sent = Sent(file.packed())
    batches = sent.batches()
    assert [(one.n, one.payload, one.total) for one in batches] == [
        (1, {"lo": 3, "hi": 5}, 2),
        (2, {"lo": 8, "hi": 13}, 2),
        (3, {"lo": 21, "hi": 21}, 1),
    ]
    assert [sent.versions(one.payload["lo"], one.payload["hi"]) for one in batches] == [
        {3: 1, 5: 0},
        {8: 7, 13: 0},
        {21: 2},
    ]
    assert sent.versions(4, 12) == {5: 0, 8: 7}  # a half of a range that was split
    assert [one for one in (*range(25), None, "3") if one in sent] == [3, 5, 8, 13, 21]


def test_a_pack_tells_why_something_is_not_in_the_file() -> None:
    file = written([3, 5, 8])
    file.refused[ExportId(3)] = REFUSED
    file.rejected["account", "eve"] = REFUSED
    sent = Sent(file.packed())
    told = [sent.outcome(ExportId(one), "account", anchor) for one, anchor in ((3, "ann"), (5, "eve"), (8, "bob"))]
    assert told == [REFUSED, REFUSED, None]
    assert sent.outcome(ExportId(5), "group", "eve") is None


@pytest.mark.behaviour("EXP-28", "AUD-5")
async def test_what_is_recorded_does_not_depend_on_how_it_is_cut(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.apply()
    world.people(*(f"p{n},Name {n}" for n in range(7)))
    monkeypatch.setattr(file_results, "_RESULTS", 2)
    *_, export = await steps(world, "import", "sync", "export")
    assert (export.state, export.errors, export.totals["exported"]) == ("completed", [], 7)
    assert export.changed("exported") == sorted(world.target()) == [f"p{n}" for n in range(7)]
    assert {one.state for one in await world.exports()} == {ExportState.EXPORTED}
