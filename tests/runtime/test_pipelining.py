"""Reads ahead of the work with them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from anabranch.runtime.pipelining import OneAhead


class Reads:
    """Reads that end when they are told to, and remember what became of them."""

    def __init__(self, count: int, broken: int | None = None) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.cancelled: list[int] = []
        self.go_on = [asyncio.Event() for _ in range(count)]
        self.is_over = [asyncio.Event() for _ in range(count)]
        self._broken = broken

    async def _read(self, n: int) -> int:
        self.begun.append(n)
        try:
            await self.go_on[n].wait()
        except asyncio.CancelledError:
            self.cancelled.append(n)
            raise
        if n == self._broken:
            raise ValueError(f"read {n} is broken")
        self.ended.append(n)
        self.is_over[n].set()
        return n

    def each(self) -> Iterator[Any]:
        return (self._read(n) for n in range(len(self.go_on)))

    def release(self) -> None:
        for one in self.go_on:
            one.set()


async def test_reads_come_in_order_and_one_is_under_way_while_another_is_worked_with() -> None:
    reads = Reads(4)
    reads.go_on[1].set()
    async with OneAhead(reads.each()) as ahead:
        first = asyncio.ensure_future(anext(ahead))
        await reads.is_over[1].wait()
        assert (reads.begun, first.done()) == ([0, 1], False)
        reads.release()
        assert await first == 0
        assert [one async for one in ahead] == [1, 2, 3]
    assert reads.begun == [0, 1, 2, 3]


async def everything(reads: Reads, found: list[int]) -> None:
    async with OneAhead(reads.each()) as ahead:
        async for one in ahead:
            found.append(one)


async def test_what_is_wrong_with_a_read_is_raised_in_its_turn_and_nothing_goes_on() -> None:
    reads, found = Reads(5, broken=1), list[int]()
    reads.release()
    with pytest.raises(ValueError, match="read 1 is broken"):
        await everything(reads, found)
    assert found == [0]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_whoever_stops_early_leaves_no_read_behind() -> None:
    reads = Reads(3)
    reads.go_on[0].set()
    async with OneAhead(reads.each()) as ahead:
        assert await anext(ahead) == 0
        await asyncio.sleep(0)
    assert reads.cancelled == [1]


async def test_without_reads_there_is_nothing() -> None:
    reads, found = Reads(0), list[int]()
    await everything(reads, found)
    assert found == []
