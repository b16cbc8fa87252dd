"""A short seeded round: whatever happens to a fleet, all invariants hold. `make chaos` plays longer ones."""

from __future__ import annotations

import pytest
from tests.chaos.arena import Arena
from tests.chaos.conftest import SHORT
from tests.chaos.rounds import play_round, table
from tests.chaos.schedule import schedule
from tests.fleet.sites import Outcome


@pytest.mark.timeout(400)
@pytest.mark.behaviour("FLT-1", "FLT-2", "FLT-4", "FLT-5", "FLT-7", "FLT-8", "FLT-13", "FLT-14", "FLT-17", "FLT-18")
async def test_a_disturbed_cycle_violates_no_invariant(arena: Arena, peace: Outcome) -> None:
    faults = schedule(1, 14, SHORT.weeks)
    played = await play_round(arena, SHORT, faults, peace)
    assert played.violations == [], table([played])
    assert sum(blow.fault.deed.is_fault for blow in played.blows) >= 10, table([played])
