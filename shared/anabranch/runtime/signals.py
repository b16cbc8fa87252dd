"""What SIGTERM and SIGINT ask of a process, heard from before anybody can know of it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


class StopSignals:
    """The first signal sets `stop`, every further one `at_once`. Made inside the event loop that hears them.

    Until then a signal ends the process in the way of the system, so it has to be made before the process registers:
    whoever sees a worker may ask it to stop, and is answered by an orderly end.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.at_once = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._heard)

    def _heard(self) -> None:
        (self.at_once if self.stop.is_set() else self.stop).set()

    async def unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether the work is done; False when a signal came before, the work is then cancelled and over.

        Raises what the work raises.
        """
        doing = asyncio.create_task(work, name="start")
        waiting = asyncio.create_task(self.stop.wait(), name="signal")
        try:
            await asyncio.wait([doing, waiting], return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                doing.cancel()
            await asyncio.gather(doing, return_exceptions=True)
        finally:
            waiting.cancel()
        if doing.cancelled():
            return False
        doing.result()
        return not self.stop.is_set()
