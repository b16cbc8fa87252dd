"""A collector that is away, silent or refusing costs spans and nothing else: no time, no result, no end."""

from __future__ import annotations

import asyncio
import signal

import pytest
from tests.fleet.conftest import Peace
from tests.fleet.sites import PATIENCE, Site
from tests.telemetry.bad_collectors import Badness, bad_collector

from anabranch.console.local_fleet import Service

_GRACE = 15.0
"""What a platform gives a process between SIGTERM and SIGKILL is thirty seconds; half of it is enough for ours."""


@pytest.mark.parametrize("badness", Badness)
@pytest.mark.behaviour("FLT-21", "FLT-25")
async def test_a_bad_collector_slows_neither_a_cycle_nor_the_end_of_any_process(
    site: Site, peace: Peace, monkeypatch: pytest.MonkeyPatch, badness: Badness
) -> None:
    with bad_collector(badness) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        await site.staff()
        async with asyncio.timeout(PATIENCE + 3 * peace.seconds):
            await site.cycle(1)
        assert await site.outcome() == peace.outcome
        members = sorted(site.fleet.members, key=lambda one: one.service is Service.SCHEDULER)
        assert len(members) == 4
        for member in members:
            member.identity.signal(signal.SIGTERM)
            assert await site.exit_code(member, _GRACE) == 0, member.name
        assert badness is Badness.AWAY or collector.tried >= len(members)
