"""What whole cycles of a real fleet promise: sums that add up, no write for nothing, one result whoever works."""

from __future__ import annotations

import pytest
from tests.fleet.conftest import Peace
from tests.fleet.sites import Ground, Site, Template, configuration, copied_site, new_database, open_site, organisation

from anabranch.console.local_fleet import Service
from anabranch.protocol.accounting import balance

RUN_DATA = {"import_pack", "import_seen", "import_verdict", "proposal", "proposal_pack"}
"""What runs keep while they work, until housekeeping clears it: no object, no history."""


@pytest.mark.behaviour("AUD-4", "AUD-5", "AUD-6", "AUD-7")
def test_the_figures_of_every_run_add_up_over_its_committed_batches(peace: Peace) -> None:
    kinds = {run.run.run: run.run.kind for run in peace.runs}
    faults = {run: balance(kind, peace.sums.get(run, {})) for run, kind in kinds.items()}
    assert len(kinds) == 7
    assert not any(faults.values()), faults
    assert any(peace.sums[run].get("read", 0) > 200 for run in kinds)


@pytest.mark.behaviour("AUD-4")
def test_the_stored_totals_of_a_run_are_the_sums_of_its_batches(peace: Peace) -> None:
    for run in peace.runs:
        told = {"errors": 0, "warnings": 0}
        for error in run.errors:
            told[f"{error.severity}s"] += error.count
        assert run.run.totals == peace.sums.get(run.run.run, {}) | told, run.run.profile


@pytest.mark.behaviour("IMP-17")
async def test_a_cycle_without_changes_writes_nothing_and_touches_no_file(ground: Ground, founded: Template) -> None:
    async with copied_site(ground, founded) as site:
        before, files, moments = await site.counts(), site.files(), site.moments()
        await site.staff(sync=2)
        await site.cycle(1)
        after = await site.counts()
        assert {name for name, n in after.items() if n != before[name]} <= RUN_DATA
        assert (site.files(), site.moments()) == (files, moments)
        assert (await site.outcome()) == founded.outcome


@pytest.mark.parametrize(("workers", "batch_size", "page_size"), [(2, 7, 33), (4, 1000, 1000)])
@pytest.mark.behaviour("FLT-13", "FLT-14")
async def test_workers_and_batch_sizes_do_not_change_the_result(
    ground: Ground, bare: str, founded: Template, workers: int, batch_size: int, page_size: int
) -> None:
    async with new_database(ground, bare) as database:
        directory = ground.directory / database
        (directory / "out").mkdir(parents=True)
        async with open_site(ground, database, directory) as site:
            await site.configure(configuration(ground.project_root, batch_size, page_size))
            site.write(organisation())
            await site.staff(sync=workers)
            await site.cycle()
            assert await site.outcome() == founded.outcome


@pytest.mark.behaviour("FLT-9", "FLT-14")
async def test_a_sync_worker_that_joins_during_a_run_takes_its_share(site: Site, peace: Peace) -> None:
    await site.staff()
    execution = await site.start(week=1)
    first = await site.caught(Service.SYNC, "assess")
    (second,) = site.fleet.add(Service.SYNC)
    await site.ready()
    first.thaw()
    await site.ended(execution)
    done = await site.connection.fetch(
        "SELECT w.pid, count(*) AS n"
        "  FROM batch_attempt a JOIN batch b ON b.id = a.batch_id JOIN worker w ON w.id = a.worker"
        " WHERE a.outcome = 'done' AND b.worker_kind = 'sync' AND w.pid = ANY($1) GROUP BY 1",
        [first.member.pid, second.pid],
    )
    shares = {row["pid"]: row["n"] for row in done}
    assert min(shares.get(first.member.pid, 0), shares.get(second.pid, 0)) * 5 >= sum(shares.values()), shares
    assert await site.outcome() == peace.outcome
