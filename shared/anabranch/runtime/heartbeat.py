"""The heartbeat: a thread of its own, with a connection of its own.

A worker that computes for ten seconds without yielding still holds its batch, because nothing here runs on its event
loop. Every quarter of a lease the beat writes the worker's row and renews its claims; the next beat after one
that failed has a new connection, and while none succeeds the trusted time of each hold simply runs out.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

from anabranch.model.identity import WorkerId
from anabranch.runtime.clock import monotonic
from anabranch.runtime.holding import Holding
from anabranch.store.port import Heart


class Heartbeat:
    """Renews what `holding` holds until stopped. The heart is made and used in the thread alone; `on_fault` is told of
    each beat that failed, once."""

    def __init__(
        self,
        *,
        open_heart: Callable[[], Awaitable[Heart]],
        holding: Holding,
        worker: WorkerId,
        lease: float,
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self._open_heart = open_heart
        self._holding = holding
        self._worker = worker
        self._lease = lease
        self._on_fault = on_fault
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.last_beat = monotonic()

    def start(self) -> None:
        """The thread beats from now on; starting twice changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """The thread has ended; safe twice and before start."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=self._lease)
            self._thread = None

    def _run(self) -> None:
        asyncio.run(self._beat_until_stopped())

    async def _beat_until_stopped(self) -> None:
        heart: Heart | None = None
        while not self._stop.is_set():
            try:
                if heart is None:
                    heart = await asyncio.wait_for(self._open_heart(), self._lease)
                await self._beat_once(heart)
            except Exception as fault:
                self._on_fault(fault)
                await self._drop(heart)
                heart = None
            await self._pause()
        await self._drop(heart)

    async def _beat_once(self, heart: Heart) -> None:
        asked_at = monotonic()
        claims = self._holding.to_renew()
        beat = await asyncio.wait_for(heart.beat(self._worker, claims, self._lease), self._lease)
        self._holding.renewed(beat.held, asked_at + self._lease)
        self._holding.lose(beat.lost)
        self.last_beat = asked_at

    async def _pause(self) -> None:
        # Three beats of a lease may be lost before a batch is.
        await asyncio.to_thread(self._stop.wait, self._lease / 4)

    async def _drop(self, heart: Heart | None) -> None:
        if heart is None:
            return
        try:
            await asyncio.wait_for(heart.close(), 1.0)
        except Exception as fault:
            self._on_fault(fault)
