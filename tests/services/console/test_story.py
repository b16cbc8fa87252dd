"""What the demonstration does side by side."""

from __future__ import annotations

import asyncio

import pytest

from anabranch.console.demo.story import together
from anabranch.console.local_fleet import FleetError


async def test_what_is_done_together_gives_what_each_of_it_gave() -> None:
    assert await together(asyncio.sleep(0, "week"), asyncio.sleep(0, "state"), asyncio.sleep(0)) == (
        "week",
        ["state", None],
    )


async def test_a_worker_that_does_not_start_ends_the_week_that_would_wait_for_it() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def week() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def ready() -> None:
        await begun.wait()
        raise FleetError("export-worker-1 has ended")

    with pytest.raises(FleetError, match="export-worker-1"):
        await together(week(), ready())
    assert ended.is_set()
