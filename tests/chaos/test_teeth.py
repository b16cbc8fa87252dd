"""The suite bites: a fleet that works without one of its safeguards is found out by the same rounds and judges."""

from __future__ import annotations

from typing import Final

import pytest
from tests.chaos.arena import Arena
from tests.chaos.conftest import BRIEF
from tests.chaos.rounds import play_round, table
from tests.chaos.teeth import BITES, Tooth

_FOUND_BY: Final = {Tooth.FENCE: 3, Tooth.COUNTER: 6, Tooth.DOLLAR: 10}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("tooth", Tooth)
async def test_a_fleet_without_a_safeguard_is_found_out(arena: Arena, tooth: Tooth) -> None:
    played = await play_round(arena, BRIEF, BITES[tooth], None, tooth=tooth)
    # A fleet without a safeguard may go wrong before the faults that were prepared for it: found out is what counts.
    found = {one.invariant for one in played.violations}
    assert _FOUND_BY[tooth] in found, f"{table([played])}\n{played.unmet}\n{played.places}"
