"""Several consumers of one process share a reporter."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from tests.builders import a_claimed

from anabranch.bus.memory import MemoryBus
from anabranch.runtime.reporting import Reporter
from anabranch.store.overview import Overview
from anabranch.telemetry.local import LocalTelemetry


class _Telling(LocalTelemetry):
    @property
    def wants_spans(self) -> bool:
        return True


class _Rows:
    """Attempts that are looked up one after the other, and have long been cleared away."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def attempt(self, batch: int, _epoch: int) -> None:
        self.asked.append(batch)
        await asyncio.sleep(0)


async def test_two_consumers_that_tell_at_once_tell_each_attempt_once() -> None:
    rows = _Rows()
    reporter = Reporter(_Telling(), cast(Overview, cast(Any, rows)), MemoryBus())
    for batch in (1, 2, 3):
        reporter.let_go(a_claimed(batch))
    await asyncio.gather(reporter.tell(), reporter.tell(), reporter.batch_ended(a_claimed(4), "done", 0.1))
    assert sorted(rows.asked) == [1, 2, 3, 4]
