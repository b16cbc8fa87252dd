"""The life of the scheduler: its loops side by side, until a signal ends them."""

from __future__ import annotations

import logging

from anabranch.runtime.clock import monotonic
from anabranch.runtime.service import Surroundings, run_until_signal
from anabranch.scheduler.handler import Publishing, Sweep, Watch
from anabranch.scheduler.settings import Settings
from anabranch.telemetry.health import Verdict

LOG = logging.getLogger("anabranch.scheduler")
_STUCK_SECONDS = 60.0


async def run(settings: Settings) -> int:
    """The scheduler works until a signal ends it; its exit code."""
    around = Surroundings(settings, "scheduler", "scheduler")
    try:
        if await around.open():
            await _work(around, settings)
    finally:
        await around.close()
    LOG.info("scheduler has ended")
    return 0


async def _work(around: Surroundings, settings: Settings) -> None:
    loops = [Sweep(around, settings), Publishing(around, settings), Watch(around, settings)]

    def live() -> Verdict:
        stuck = [type(one).__name__ for one in loops if monotonic() - one.moved_at > _STUCK_SECONDS]
        return Verdict(dict.fromkeys(stuck, "the loop has not moved for a minute"))

    def ready() -> Verdict:
        return Verdict({type(one).__name__.lower(): one.fault for one in loops if one.fault})

    await around.serve_health(live, ready)
    LOG.info("scheduler is ready as %s", around.worker)
    await run_until_signal(around, loops)
    await around.store.resign(around.worker)
