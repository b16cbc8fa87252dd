"""A file whose age says whether a process moves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from anabranch.telemetry.health import SignOfLife, Verdict

EVERY_S = 0.01


class Process:
    def __init__(self) -> None:
        self.verdict = Verdict()
        self.fault: Exception | None = None
        self.asked = 0

    def live(self) -> Verdict:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return self.verdict


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
async def file(tmp_path: Path, process: Process) -> AsyncIterator[Path]:
    file = tmp_path / "alive"
    sign = SignOfLife(file, process.live, every=EVERY_S)
    sign.start()
    yield file
    await sign.stop()


def grow_old(file: Path) -> None:
    os.utime(file, (0, 0))


def is_old(file: Path) -> bool:
    return file.stat().st_mtime == 0


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not fact():  # noqa: ASYNC110 - the fact is a file's age, which nobody announces
            await asyncio.sleep(EVERY_S)


@pytest.mark.behaviour("FLT-23")
async def test_the_file_is_new_from_the_start_and_kept_so(file: Path) -> None:
    assert not is_old(file)
    grow_old(file)
    await until(lambda: not is_old(file))


@pytest.mark.behaviour("FLT-23")
async def test_the_file_of_a_process_that_does_not_move_grows_old(file: Path, process: Process) -> None:
    process.verdict = Verdict({"loop": "has not moved"})
    asked = process.asked
    await until(lambda: process.asked > asked)
    grow_old(file)
    asked = process.asked
    await until(lambda: process.asked > asked + 2)
    assert is_old(file)


async def test_a_probe_that_fails_gives_no_sign_and_does_not_end_the_signs(file: Path, process: Process) -> None:
    process.fault = RuntimeError("a fault of ours")
    asked = process.asked
    await until(lambda: process.asked > asked)
    grow_old(file)
    process.fault = None
    await until(lambda: not is_old(file))


async def test_a_clean_end_takes_the_file_along(tmp_path: Path, process: Process) -> None:
    file = tmp_path / "alive"
    sign = SignOfLife(file, process.live)
    await sign.stop()
    sign.start()
    await sign.stop()
    await sign.stop()
    assert not file.exists()


async def test_a_place_that_cannot_be_written_is_told_at_the_start(tmp_path: Path, process: Process) -> None:
    with pytest.raises(OSError, match="nowhere"):
        SignOfLife(tmp_path / "nowhere" / "alive", process.live).start()
