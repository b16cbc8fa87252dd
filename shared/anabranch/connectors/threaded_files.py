"""Files worked on in threads, a portion at a time.

Parsing and formatting take processor time and disks block, so neither happens on the event loop. One portion is in hand
at once: a page that is read waits until it is wanted, objects to be written are collected and handed over together. A
read that is left before its end, and a replacement that fails or is cancelled, leave no file open behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol

from anabranch.connectors.port import Page, Receipt, TargetObject


class PageReader(Protocol):
    """An open source file."""

    def next_page(self, size: int) -> Page:
        """The next page of at most `size` objects; the last one is `complete`."""

    def close(self) -> None:
        """The file is closed; safe twice."""


class Replacement(Protocol):
    """The file or files of one replacement. `discard` after `finish` changes nothing."""

    def open(self) -> None: ...

    def write(self, objects: list[TargetObject]) -> None: ...

    def finish(self, fence: Callable[[], None] | None) -> Receipt: ...

    def discard(self) -> None: ...


class OpenReaders:
    """The reads of one connector that have not ended."""

    def __init__(self) -> None:
        self._readers: set[PageReader] = set()

    async def pages(self, reader: PageReader, size: int) -> AsyncGenerator[Page, None]:
        """Every page of the reader, which is closed at the end or when the generator is."""
        self._readers.add(reader)
        try:
            complete = False
            while not complete:
                page = await asyncio.to_thread(reader.next_page, size)
                complete = page.complete
                yield page
        finally:
            self._readers.discard(reader)
            reader.close()

    async def close(self) -> None:
        """No reader is open any more; safe twice."""
        readers, self._readers = self._readers, set()
        for reader in readers:
            await asyncio.to_thread(reader.close)


async def replace_whole(
    writer: Replacement, objects: AsyncIterator[TargetObject], fence: Callable[[], None] | None, at_once: int
) -> Receipt:
    """The writer's files hold exactly these objects, written `at_once` at a time, and are in place."""
    waiting: list[TargetObject] = []
    try:
        await asyncio.to_thread(writer.open)
        async for wanted in objects:
            waiting.append(wanted)
            if len(waiting) >= at_once:
                await asyncio.to_thread(writer.write, waiting)
                waiting = []
        await asyncio.to_thread(writer.write, waiting)
        return await asyncio.to_thread(writer.finish, fence)
    finally:
        writer.discard()  # not in a thread: a cancelled replacement awaits nothing more
