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
from anabranch.runtime.signals import StopSignals
from anabranch.store.faults import StoreUnavailable
from anabranch.store.migrate import check
from anabranch.store.postgres import PostgresStore


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
        signals=StopSignals(),
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


@pytest.mark.behaviour("FLT-21")
async def test_a_database_that_does_not_answer_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_TELL_SECONDS", 0.05)
    around, told = _around(drain_seconds=3600)

    async def silent(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(told, "worker_state", silent)
    idle = Steady()
    life = asyncio.create_task(run_until_signal(around, [idle]))
    await idle.begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(life, 10)
    assert idle.finished


@pytest.mark.parametrize("concurrency", [1, 2, 8, 256])
def test_every_batch_at_once_may_hold_two_connections(concurrency: int) -> None:
    assert service.connections_for(concurrency) > 2 * concurrency


async def test_a_loop_that_fails_ends_the_process_and_the_others_drain_first() -> None:
    around, _ = _around()
    other = Steady()
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await asyncio.wait_for(run_until_signal(around, [other, Broken()]), 10)
    assert other.finished


async def _states_seen_by_another(database: str) -> list[str]:
    """The states of all workers, with that of one more that has just begun to run."""
    other = await _starting(database)._reach_store()
    try:
        return sorted(line.state for line in await other.overview.workers())
    finally:
        await other.close()


async def _registered_and_asked_to_stop(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> bool:
    """What `open` says when SIGTERM comes as soon as the fleet can see the process, with Redis not yet asked."""
    waiting = asyncio.Event()

    async def asked() -> None:
        waiting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(around, "_greet_bus", asked)
    opening = asyncio.create_task(around.open())
    await asyncio.wait_for(waiting.wait(), 10)
    assert [line.state for line in await around.store.overview.workers()] == ["running"]
    os.kill(os.getpid(), signal.SIGTERM)
    return await asyncio.wait_for(opening, 10)


@pytest.mark.behaviour("FLT-21")
async def test_who_is_asked_to_stop_before_being_ready_ends_in_order(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = _starting(database)
    assert not await _registered_and_asked_to_stop(around, monkeypatch)
    await around.close()
    assert await _states_seen_by_another(database) == ["running", "stopped"]


@pytest.mark.behaviour("FLT-21")
async def test_a_signal_while_a_worker_is_being_registered_leaves_none_that_runs(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = _starting(database)
    entered = asyncio.Event()
    register = PostgresStore.register_worker

    async def registered(store: PostgresStore, *told: Any) -> None:
        await register(store, *told)
        entered.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as slow:
        slow.setattr(PostgresStore, "register_worker", registered)
        opening = asyncio.create_task(around.open())
        await asyncio.wait_for(entered.wait(), 10)
        os.kill(os.getpid(), signal.SIGTERM)
        assert not await asyncio.wait_for(opening, 10)
    await around.close()
    assert await _states_seen_by_another(database) == ["running", "stopped"]


async def test_a_start_that_fails_raises_what_it_failed_of() -> None:
    async def broken() -> None:
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        await StopSignals().unless_stopped(broken())


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
