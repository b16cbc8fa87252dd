"""A source that suddenly holds nothing: the run is held before it touches anything, and an operator decides."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.fleet.sites import Ground, Site, Template, copied_site

from anabranch.model.enums import RunState
from anabranch.model.identity import ExecutionId, RunId
from anabranch.store.overview import RunDetail

_OBSOLETE = "SELECT cso_id FROM cso_sync WHERE state = 'obsolete' ORDER BY cso_id"
_LISTED = "SELECT object_id FROM guard_op WHERE run_id = $1 AND point = 'import_obsoletions' ORDER BY object_id"
_PEOPLE = """
SELECT c.id FROM cso c JOIN object_type t ON t.id = c.type_id JOIN system s ON s.id = t.system_id
WHERE s.key = 'hr' AND t.key = 'person' ORDER BY c.id
"""


@pytest.fixture
async def emptied(ground: Ground, founded: Template) -> AsyncIterator[Site]:
    """The founded site with a people.csv that has lost everything but its header."""
    async with copied_site(ground, founded) as site:
        people = site.directory / "data" / "hr" / "people.csv"
        people.write_bytes(people.read_bytes().split(b"\n", 1)[0] + b"\n")
        await site.staff()
        yield site


async def _held(site: Site, execution: ExecutionId) -> RunDetail:
    async def held() -> RunDetail | None:
        runs = await site.runs(execution)
        return next((run for run in runs if run.run.state is RunState.HELD), None)

    return await site.until(held, "a run is held")


async def _ids(site: Site, statement: str, *arguments: object) -> list[int]:
    return [row[0] for row in await site.connection.fetch(statement, *arguments)]


async def _state(site: Site, run: RunId) -> RunState | None:
    detail = await site.store.overview.run(run)
    return detail.run.state if detail is not None and detail.run.ended_at is not None else None


@pytest.mark.behaviour("GRD-1", "GRD-3", "GRD-4", "GRD-6", "TRAP-8", "IMP-21", "AUD-9")
async def test_a_header_only_file_holds_its_run_and_after_a_rejection_nothing_has_happened(
    emptied: Site, founded: Template
) -> None:
    execution = await emptied.start(week=1)
    run = await _held(emptied, execution)
    (hold,) = run.holds
    assert (run.run.profile, hold.point, hold.operations) == ("hr-import", "import_obsoletions", 240)
    assert hold.findings[0]["population"] == 240
    assert await _ids(emptied, _LISTED, run.run.run) == await _ids(emptied, _PEOPLE)
    assert await emptied.outcome() == founded.outcome
    started = {one.run.profile for one in await emptied.runs(execution) if one.run.started_at is not None}
    assert started == {"hr-import", "training-import"}

    await emptied.store.reject_hold(run.run.run, "operator", "the file is broken")
    ended = await emptied.finished(execution)
    assert ended[0].run.state is RunState.COMPLETED_WITH_WARNINGS
    assert ended[0].run.totals["held_back_absent"] == 240
    assert await emptied.outcome() == founded.outcome


@pytest.mark.behaviour("GRD-3", "GRD-5")
async def test_a_release_carries_out_exactly_the_listed_obsoletions(emptied: Site) -> None:
    run = await _held(emptied, await emptied.start("hr-import", week=1))
    assert await _ids(emptied, _OBSOLETE) == []
    await emptied.store.release_hold(run.run.run, "operator", "everybody has left")
    state = await emptied.until(lambda: _state(emptied, run.run.run), "the released run has ended")
    assert state is RunState.COMPLETED
    assert await _ids(emptied, _OBSOLETE) == await _ids(emptied, _LISTED, run.run.run)
