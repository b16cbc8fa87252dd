"""The faults of a seed: the same for ever, of every kind, never thrice at one step."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.chaos.schedule import Deed, schedule

SEEDS = range(1, 40)


def test_a_seed_gives_the_same_faults_for_ever_and_another_seed_others() -> None:
    assert schedule(7, 18, 1) == schedule(7, 18, 1)
    assert schedule(7, 18, 1) != schedule(8, 18, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_round_kills_freezes_and_stops_every_kind_of_process_and_harms_both_servers(seed: int) -> None:
    made = schedule(seed, 18, 1)
    struck = {(one.deed, one.place.partition(":")[0]) for one in made}
    for deed in (Deed.KILL, Deed.FREEZE, Deed.TERM):
        assert {(deed, kind) for kind in ("scheduler", "import", "sync", "export")} <= struck
    deeds = {one.deed for one in made}
    assert deeds & {Deed.RESTART_POSTGRES, Deed.CRASH_POSTGRES}
    assert deeds & {Deed.FLUSH, Deed.WIPE_REDIS}
    assert {Deed.SCALE_UP, Deed.SCALE_DOWN} <= deeds
    assert sum(deed.is_fault for deed in (one.deed for one in made)) == 18


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_that_are_bound_to_a_step_lose_its_batches_at_most_twice(seed: int) -> None:
    bound = [one for one in schedule(seed, 30, 1) if not one.place.endswith("*")]
    losses = Counter((one.cycle, one.place) for one in bound if one.deed.loses)
    assert max(losses.values()) <= 2
