"""The relay: from rows that are due to hints on the bus.

A batch row is its own outbox. Due rows are marked published in a committed statement, and only then sent, so no row
lock is held while anything talks to Redis; what is lost between the two is published again after half a minute. The
length of a stream bounds what is published: producers write rows and never wait for it. A bus whose epoch key is
missing was wiped, and everything unfinished counts as unpublished again.
"""

from __future__ import annotations

import time

from anabranch.bus.envelope import Hint, hint_of
from anabranch.bus.port import Bus
from anabranch.model.enums import WorkerKind
from anabranch.store.port import Store
from anabranch.telemetry.instruments import Metric
from anabranch.telemetry.local import LocalTelemetry
from anabranch.telemetry.port import Telemetry


class Relay:
    """Publishes due batches; used by every scheduler, and by a worker right after its commit."""

    def __init__(
        self, store: Store, bus: Bus, *, window: int, republish_after: float, telemetry: Telemetry | None = None
    ) -> None:
        self._store = store
        self._bus = bus
        self._window = window
        self._republish_after = republish_after
        self._telemetry = telemetry or LocalTelemetry()

    async def publish(self) -> int:
        """Every due batch for which the window has room has a hint on its stream; how many were sent.

        Raises BusUnavailable when the bus is away: the rows stay marked and are published again later.
        """
        epoch = await self.current_epoch()
        limits = {kind: max(0, self._window - await self._bus.depth(kind)) for kind in WorkerKind}
        due = await self._store.due_hints(epoch, limits, self._republish_after)
        if not due:
            return 0
        now = time.time_ns() // 1_000_000
        hints: dict[WorkerKind, list[Hint]] = {}
        for one in due:
            hints.setdefault(one.worker_kind, []).append(hint_of(one, now))
        sent = await self._bus.publish(hints)
        for kind, published in hints.items():
            self._telemetry.count(Metric.HINTS_PUBLISHED, len(published), worker_kind=kind.value)
        return sent

    async def current_epoch(self) -> int:
        """The bus epoch; raised when the bus has lost its own copy, and given to it again."""
        epoch = await self._store.bus_epoch()
        held = await self._bus.bus_epoch()
        if held == str(epoch):
            return epoch
        if held is None or not held.isdigit() or int(held) < epoch:
            await self._bus.ensure_groups()
            epoch = await self._store.raise_bus_epoch(epoch) if held is None else epoch
        await self._bus.set_bus_epoch(str(epoch))
        return epoch
