"""The suite bites: a fleet that works without one of its safeguards is found out by the same rounds and judges."""

from __future__ import annotations

from typing import Final

import pytest
from tests.chaos.arena import Arena
from tests.chaos.conftest import BRIEF
from tests.chaos.rounds import play_round, table
from tests.chaos.schedule import Deed, Fault, Stage
from tests.chaos.teeth import Tooth

FAULTS: Final = {
    # Whoever is frozen with a batch goes on with it when another one has done it, and ends it once more.
    Tooth.FENCE: [
        Fault(1, Deed.FREEZE, "import:references", Stage.CLAIMED, 3),
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
_FOUND_BY: Final = {Tooth.FENCE: 3, Tooth.COUNTER: 6, Tooth.DOLLAR: 10}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("tooth", Tooth)
async def test_a_fleet_without_a_safeguard_is_found_out(arena: Arena, tooth: Tooth) -> None:
    played = await play_round(arena, BRIEF, FAULTS[tooth], None, tooth=tooth)
    assert not played.unmet
    assert _FOUND_BY[tooth] in {one.invariant for one in played.violations}, table([played])


@pytest.mark.timeout(300)
async def test_with_all_safeguards_the_same_faults_do_no_harm(arena: Arena) -> None:
    faults = [fault for tooth in Tooth for fault in FAULTS[tooth]]
    faults = [Fault(n, one.deed, one.place, one.stage, one.n) for n, one in enumerate(faults, start=1)]
    played = await play_round(arena, BRIEF._replace(patience=100.0, stillness=30.0), faults, None)
    assert (played.violations, played.unmet) == ([], []), table([played])
