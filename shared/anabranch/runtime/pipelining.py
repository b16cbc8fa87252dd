"""Commits that go on behind the work that follows them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self


class OneBehind:
    """Commits go on behind the work that follows them, one at a time and in order; at the end of the block the last one
    is over, and what was wrong with it is raised."""

    def __init__(self) -> None:
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def follow(self, commit: Coroutine[Any, Any, None]) -> None:
        """The commit before this one is over, and this one has begun. Raises what was wrong with the one before."""
        try:
            await self._settle()
        except BaseException:
            commit.close()
            raise
        self._running = asyncio.create_task(commit)

    async def _settle(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running  # when this is cancelled, so is the commit

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, asyncio.CancelledError) and self._running is not None:
            self._running.cancel()
        await self._settle()
