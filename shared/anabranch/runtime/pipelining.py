"""Reads that go on ahead of the work with what was read, and commits that go on behind it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterator
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class OneAhead(Generic[T]):
    """The results of some reads, in their order; while one is worked with, the next is under way. What was wrong with a
    read is raised in its turn, and nothing goes on after the block."""

    def __init__(self, reads: Iterator[Coroutine[Any, Any, T]]) -> None:
        self._reads = reads
        self._running: deque[asyncio.Task[T]] = deque()

    async def __aenter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        # The second is begun before the first is waited for, so that the server is at work on it meanwhile.
        while len(self._running) < 2 and (read := next(self._reads, None)) is not None:
            self._running.append(asyncio.create_task(read))
        if not self._running:
            raise StopAsyncIteration
        return await self._running.popleft()

    async def __aexit__(self, *_: object) -> None:
        for one in self._running:
            one.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


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
