"""The suite bites: a fleet that works without one of its safeguards is found out by the same rounds and judges."""

from __future__ import annotations

import pytest
from tests.chaos.arena import Arena
from tests.chaos.conftest import SHORT
from tests.chaos.rounds import play_round, table
from tests.chaos.schedule import Deed, Fault, Stage
from tests.chaos.teeth import Tooth
from tests.fleet.sites import Outcome

_FAULTS = {
    # Whoever is frozen with a batch goes on with it when another one has done it, and ends it once more.
    Tooth.FENCE: [
        Fault(1, Deed.FREEZE, "import:references", Stage.CLAIMED, 5),
        Fault(2, Deed.FREEZE, "sync:release.count", Stage.CLAIMED, 1),
    ],
    # The plan is handled twice; one batch is in work, and frozen, when the count is complete.
    Tooth.COUNTER: [
        Fault(1, Deed.FREEZE, "sync:flow", Stage.CLAIMED, 1),
        Fault(2, Deed.FREEZE, "sync:flow", Stage.CLAIMED, 4),
    ],
    # Hints wait on the stream when its group goes.
    Tooth.DOLLAR: [Fault(1, Deed.DESTROY_GROUP, "sync:flow", Stage.CLAIMED, 2)],
}
_FOUND_BY = {Tooth.FENCE: {3}, Tooth.COUNTER: {6}, Tooth.DOLLAR: {10}}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("tooth", Tooth)
async def test_a_fleet_without_a_safeguard_is_found_out(arena: Arena, peace: Outcome, tooth: Tooth) -> None:
    played = await play_round(arena, SHORT, _FAULTS[tooth], peace, tooth=tooth)
    assert not played.unmet
    assert {one.invariant for one in played.violations} & _FOUND_BY[tooth], table([played])


@pytest.mark.timeout(400)
async def test_with_all_safeguards_the_same_faults_do_no_harm(arena: Arena, peace: Outcome) -> None:
    faults = [fault for tooth in (Tooth.COUNTER, Tooth.DOLLAR) for fault in _FAULTS[tooth]]
    faults = [Fault(n, one.deed, one.place, one.stage, one.n) for n, one in enumerate(faults, start=1)]
    played = await play_round(arena, SHORT, faults, peace)
    assert (played.violations, played.unmet) == ([], []), table([played])
