"""Signals of a bus that tests wait for instead of sleeping."""

from __future__ import annotations

import asyncio

from anabranch.bus.port import Bus
from anabranch.model.enums import WorkerKind


async def reading_has_begun(bus: Bus, kind: WorkerKind) -> None:
    """A first consumer has reached the server with its read."""
    async with asyncio.timeout(5):
        while not await bus.consumers(kind):  # noqa: ASYNC110 - the signal is in another process
            await asyncio.sleep(0)
