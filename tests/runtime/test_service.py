"""The life of a process: what it needs to begin, and how it ends when it is asked to."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from anabranch.config.settings import ServiceSettings
from anabranch.model.identity import WorkerId
from anabranch.runtime import service
from anabranch.runtime.service import Surroundings, run_until_signal
from anabranch.store.faults import StoreUnavailable
from anabranch.store.migrate import check


class Told:
    """The store as far as a process that ends tells it something."""

    def __init__(self) -> None:
        self.states: list[str] = []

    async def worker_state(self, _worker: WorkerId, state: str) -> None:
        self.states.append(state)


class Steady:
    """A loop that runs until it is drained, and a little longer when it has something in hand."""

    def __init__(self, *, in_hand: asyncio.Event | None = None) -> None:
        self.begun = asyncio.Event()
        self.drained = asyncio.Event()
        self.finished = False
        self._in_hand = in_hand

    async def run(self) -> None:
        self.begun.set()
        await self.drained.wait()
        if self._in_hand is not None:
            await self._in_hand.wait()
        self.finished = True

    def drain(self) -> None:
        self.drained.set()


class Broken(Steady):
    """A loop that ends by a fault."""

    async def run(self) -> None:
        raise RuntimeError("a fault of ours")


def _around(drain_seconds: float = 30.0) -> tuple[Surroundings, Told]:
    told = Told()
    made: Any = SimpleNamespace(
        name="sync-worker",
        worker=WorkerId("w"),
        store=told,
        settings=SimpleNamespace(drain_seconds=drain_seconds),
    )
    return cast(Surroundings, made), told


@pytest.mark.behaviour("FLT-21")
async def test_a_signal_lets_every_loop_finish_what_it_has_in_hand() -> None:
    around, told = _around()
    in_hand = asyncio.Event()
    busy, idle = Steady(in_hand=in_hand), Steady()
    life = asyncio.create_task(run_until_signal(around, [busy, idle]))
    await asyncio.gather(busy.begun.wait(), idle.begun.wait())
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(busy.drained.wait(), 10)
    in_hand.set()
    await asyncio.wait_for(life, 10)
    assert (busy.finished, idle.finished, told.states) == (True, True, ["draining"])


@pytest.mark.behaviour("FLT-21")
async def test_what_is_not_finished_within_the_drain_time_is_cut_short() -> None:
    around, _ = _around(drain_seconds=0.05)
    busy = Steady(in_hand=asyncio.Event())
    life = asyncio.create_task(run_until_signal(around, [busy]))
    await busy.begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(life, 10)
    assert not busy.finished


async def test_a_second_signal_does_not_wait() -> None:
    around, _ = _around(drain_seconds=3600)
    busy = Steady(in_hand=asyncio.Event())
    life = asyncio.create_task(run_until_signal(around, [busy]))
    await busy.begun.wait()
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(busy.drained.wait(), 10)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(life, 10)
    assert not busy.finished


async def test_a_loop_that_fails_ends_the_process_and_the_others_drain_first() -> None:
    around, _ = _around()
    other = Steady()
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await asyncio.wait_for(run_until_signal(around, [other, Broken()]), 10)
    assert other.finished


def _run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ANABRANCH_")}
    return subprocess.run(
        [sys.executable, "-m", "anabranch.sync_worker", *arguments],
        env=ours | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_setting_that_is_wrong_is_named_at_once_before_anything_is_opened() -> None:
    ended = _run(ANABRANCH_DATABASE_URL="mysql://x", ANABRANCH_LEASE_SECONDS="soon")
    assert ended.returncode == 2
    assert all(name in ended.stderr.lower() for name in ("database_url", "redis_url", "lease_seconds"))
    assert "Traceback" not in ended.stderr


def test_a_database_without_tables_is_told_in_one_sentence(empty_database: str, redis_url: str) -> None:
    ended = _run(ANABRANCH_DATABASE_URL=empty_database, ANABRANCH_REDIS_URL=redis_url)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "migrate it first" in ended.stderr


def test_a_sign_of_life_that_cannot_be_given_ends_the_start_in_one_sentence(
    database: str, redis_url: str, key_prefix: str
) -> None:
    ended = _run(
        ANABRANCH_DATABASE_URL=database,
        ANABRANCH_REDIS_URL=redis_url,
        ANABRANCH_KEY_PREFIX=key_prefix,
        ANABRANCH_ALIVE_FILE="/nowhere/alive",
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "alive_file" in ended.stderr


# --- PostgreSQL while a process starts


def _starting(database_url: str) -> Surroundings:
    settings = ServiceSettings(database_url=database_url, redis_url="redis://127.0.0.1:1")
    return Surroundings(settings, "sync-worker", "sync")


async def test_a_server_that_comes_back_while_a_process_starts_is_waited_for(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_REACH_PAUSE", 0.0)
    asked = iter((True, True, False))

    async def checked(url: str) -> list[str]:
        if next(asked):
            raise StoreUnavailable("it is being started again")
        return await check(url)

    monkeypatch.setattr(service, "check", checked)
    store = await _starting(database)._reach_store()
    assert [line.kind for line in await store.overview.workers()] == ["sync"]
    await store.close()


async def test_a_server_that_stays_away_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_REACH_SECONDS", 0.0)
    with pytest.raises(StoreUnavailable, match="is it running and reachable"):
        await _starting("postgresql://nobody@127.0.0.1:1/nothing")._reach_store()
