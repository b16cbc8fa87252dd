"""A short seeded round: whatever happens to a fleet, all invariants hold. `make chaos` plays longer ones.

The faults at which the teeth bite fall in it too: with all safeguards in place they do no harm.
"""

from __future__ import annotations

import pytest
from tests.chaos.arena import Arena
from tests.chaos.conftest import SHORT, TOLD
from tests.chaos.rounds import play_round, table
from tests.chaos.schedule import PASSES, Deed, Fault, Stage, schedule
from tests.chaos.teeth import BITES
from tests.fleet.sites import Outcome

SEED = 1


def _faults() -> list[Fault]:
    seeded = schedule(SEED, 15, SHORT.weeks)
    biting = [fault for faults in BITES.values() for fault in faults]
    return seeded + [
        Fault(len(seeded) + n, one.deed, one.place, one.stage, one.n) for n, one in enumerate(biting, start=1)
    ]


@pytest.mark.timeout(600)
@pytest.mark.behaviour("FLT-1", "FLT-2", "FLT-4", "FLT-5", "FLT-7", "FLT-8", "FLT-13", "FLT-14", "FLT-17", "FLT-18")
async def test_a_disturbed_cycle_violates_no_invariant(arena: Arena, peace: Outcome) -> None:
    played = await play_round(arena, SHORT, _faults(), peace)
    assert played.violations == [], table([played])
    assert sum(blow.fault.deed.is_fault for blow in played.blows) >= 15, table([played])
    assert {place for place in PASSES if not place.endswith("*")} == played.places.keys()
    assert played.packs, "new objects went the short ways"


@pytest.mark.timeout(600)
@pytest.mark.behaviour("FLT-1", "FLT-15", "FLT-24", "SYN-94")
async def test_systems_that_overlap_and_have_runs_cancelled_come_to_the_state_of_those_that_go_one_by_one(
    arena: Arena, peace: Outcome
) -> None:
    size = SHORT._replace(overlap=True, laps=1)
    played = await play_round(arena, size, schedule(SEED, 3, size.weeks, cancels=4), peace)
    assert (played.violations, played.same_state) == ([], True), table([played])
    assert sum(blow.fault.deed is Deed.CANCEL for blow in played.blows) >= 3, table([played])
    assert played.overlaps >= 20, table([played])


@pytest.mark.timeout(300)
@pytest.mark.behaviour("FLT-25")
async def test_a_scheduler_that_dies_before_it_has_told_of_the_dead_leaves_no_hole_in_the_trace(arena: Arena) -> None:
    deaths = [
        Fault(1, Deed.KILL, "import:import", Stage.COMMITTED, 1),
        Fault(2, Deed.KILL, "scheduler:sweep", Stage.LOST, 1),
    ]
    played = await play_round(arena, TOLD, deaths, None)
    assert (played.violations, played.unmet) == ([], []), table([played])


@pytest.mark.timeout(300)
@pytest.mark.behaviour("EXP-26", "EXP-27", "FLT-10")
async def test_a_batch_whose_worker_dies_three_times_after_its_call_is_split_and_tells_nothing_twice(
    arena: Arena,
) -> None:
    deaths = [Fault(n, Deed.KILL, "export:export", Stage.CALLED, n) for n in (1, 2, 3)]
    played = await play_round(arena, TOLD, deaths, None)
    assert (played.violations, played.unmet) == ([], []), table([played])
    assert played.split == 1
