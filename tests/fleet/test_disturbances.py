"""Whatever is done to a fleet during a cycle, the cycle ends, and as if nothing had been done.

Each blow falls while a named batch is in work, which the frozen process and its row prove, not a wait. A killed or
frozen process holds its batch when it is hit, so somebody else has to take it over.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from tests.fleet.conftest import Peace
from tests.fleet.sites import Caught, Ground, Site, Template, copied_site, organisation
from tests.promises.private_redis import PrivateRedis

from anabranch.console.local_fleet import Service
from anabranch.model.identity import ExecutionId

_TAKEN_OVER = "SELECT FROM batch WHERE id = $1 AND claim <> $2 AND state = 'done'"
_ATTEMPTS = "SELECT coalesce(outcome, '') AS outcome FROM batch_attempt WHERE batch_id = $1 ORDER BY epoch"
_COMPLETED = "SELECT FROM run WHERE execution_id = $1 AND profile = $2 AND state = 'completed'"
_DONE_SINCE = "SELECT FROM batch WHERE id > $1 AND state = 'done' AND worker_kind = 'sync' LIMIT 1"


async def _taken_over(site: Site, caught: Caught) -> None:
    batch = caught.batch
    await site.until(lambda: site.row(_TAKEN_OVER, batch.batch, batch.claim), f"batch {batch.batch} was taken over")


async def _completed(site: Site, execution: ExecutionId, profile: str) -> asyncpg.Record:
    return await site.until(lambda: site.row(_COMPLETED, execution, profile), f"{profile} is completed")


# --- processes


@pytest.mark.behaviour("FLT-7", "FLT-13", "FLT-14")
async def test_a_cycle_in_which_every_kind_of_worker_was_killed_in_a_batch_ends_as_an_undisturbed_one(
    site: Site, peace: Peace
) -> None:
    await site.staff()
    execution = await site.start(week=1)
    for service, step in (
        (Service.IMPORT, "apply.settle"),
        (Service.SYNC, "flow"),
        (Service.SYNC, "outbound"),
        (Service.EXPORT, "export"),
    ):
        caught = await site.caught(service, step)
        site.fleet.kill(caught.member.name)
        site.fleet.add(service)
        await _taken_over(site, caught)
    await site.ended(execution)
    assert await site.outcome() == peace.outcome


@pytest.mark.behaviour("FLT-4", "FLT-7", "FLT-13", "FLT-14")
async def test_workers_that_were_frozen_for_longer_than_a_lease_write_nothing_when_they_wake(
    site: Site, peace: Peace
) -> None:
    await site.staff(imports=2, sync=2, exports=2)
    execution = await site.start(week=1)
    for service, step in ((Service.IMPORT, "apply.settle"), (Service.SYNC, "flow"), (Service.EXPORT, "export")):
        caught = await site.caught(service, step)
        await _taken_over(site, caught)
        caught.thaw()
        outcomes = [row["outcome"] for row in await site.connection.fetch(_ATTEMPTS, caught.batch.batch)]
        assert outcomes.count("done") == 1
        assert outcomes[-1] == "done"
    await site.ended(execution)
    assert await site.outcome() == peace.outcome


@pytest.mark.behaviour("FLT-7", "FLT-8")
async def test_runs_go_on_without_a_scheduler_and_a_new_one_brings_the_cycle_to_its_end(
    site: Site, peace: Peace
) -> None:
    await site.staff()
    execution = await site.start(week=1)
    caught = await site.caught(Service.SYNC, "flow")
    (scheduler,) = site.fleet.running(Service.SCHEDULER)
    site.fleet.kill(scheduler.name)
    caught.thaw()
    await _completed(site, execution, "hr-sync")
    site.fleet.add(Service.SCHEDULER)
    await site.ended(execution)
    assert await site.outcome() == peace.outcome


@pytest.mark.behaviour("FLT-21")
async def test_a_worker_asked_to_stop_finishes_its_batch_and_exits_with_0_though_no_collector_listens(
    site: Site, peace: Peace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    await site.staff()
    execution = await site.start(week=1)
    caught = await site.caught(Service.SYNC, "flow")
    caught.member.identity.signal(signal.SIGTERM)
    caught.thaw()
    assert await site.exit_code(caught.member) == 0
    row = await site.row("SELECT state, failures, losses FROM batch WHERE id = $1", caught.batch.batch)
    assert row is not None
    assert (row["state"], row["failures"], row["losses"]) in {("done", 0, 0), ("ready", 0, 0)}
    site.fleet.add(Service.SYNC)
    await site.ended(execution)
    assert await site.outcome() == peace.outcome


# --- Redis


@pytest.fixture
async def own_redis(tmp_path: Path) -> AsyncIterator[PrivateRedis]:
    server = PrivateRedis(tmp_path)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def redis_site(ground: Ground, founded: Template, own_redis: PrivateRedis) -> AsyncIterator[Site]:
    """A site whose Redis may be wiped and killed."""
    async with copied_site(ground, founded, redis_url=own_redis.url) as made:
        made.write(organisation(1))
        await made.staff()
        yield made


@pytest.mark.behaviour("FLT-1", "FLT-13", "FLT-17")
async def test_a_redis_wiped_in_the_middle_of_every_run_costs_nothing_but_hints(
    redis_site: Site, own_redis: PrivateRedis, peace: Peace
) -> None:
    execution = await redis_site.start(week=1)
    for service, step in ((Service.IMPORT, "apply.settle"), (Service.SYNC, "flow"), (Service.EXPORT, "export")):
        caught = await redis_site.caught(service, step)
        await own_redis.run("FLUSHALL")
        caught.thaw()
    await redis_site.ended(execution)
    assert await redis_site.outcome() == peace.outcome


@pytest.mark.behaviour("FLT-1", "FLT-17")
async def test_with_redis_away_workers_take_their_work_from_postgresql(
    redis_site: Site, own_redis: PrivateRedis, peace: Peace
) -> None:
    execution = await redis_site.start(week=1)
    caught = await redis_site.caught(Service.IMPORT, "apply.settle")
    await own_redis.stop()
    caught.thaw()
    await _completed(redis_site, execution, "hr-import")
    later = caught.batch.batch
    await redis_site.until(lambda: redis_site.row(_DONE_SINCE, later), "a sync batch was done without Redis")
    await own_redis.start()
    await redis_site.ended(execution)
    assert await redis_site.outcome() == peace.outcome
