"""Worlds: an empty organisation over a keeper, its configuration not applied yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from tests.promises.memory_keepers import MovableClock
from tests.services.driver import World
from tests.services.views import MemoryView, PostgresView

from anabranch.model.identity import WorkerId
from anabranch.store.memory import MemoryStore
from anabranch.store.postgres import PostgresStore


def memory_world(place: Path) -> World:
    """A world in this process, whose clock a test moves."""
    clock = MovableClock()
    store = MemoryStore(clock)

    async def advance(much: timedelta) -> None:
        clock.now += much

    return World(place, store, MemoryView(store), advance)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world in this process."""
    return memory_world(tmp_path)


@pytest.fixture(params=["memory", "postgres"])
def address(request: pytest.FixtureRequest) -> str | None:
    """The address of a database of this test's own, or None for this process."""
    found: str | None = request.getfixturevalue("clocked_database") if request.param == "postgres" else None
    return found


@pytest.fixture
async def any_world(address: str | None, tmp_path: Path) -> AsyncIterator[World]:
    """The same world over each keeper in turn."""
    if address is None:
        yield memory_world(tmp_path)
        return
    async with world_over(address, tmp_path) as world:
        yield world


@pytest.fixture
async def postgres_world(clocked_database: str, tmp_path: Path) -> AsyncIterator[World]:
    """A world over a database of this test's own."""
    async with world_over(clocked_database, tmp_path) as world:
        yield world


@asynccontextmanager
async def world_over(address: str, place: Path) -> AsyncIterator[World]:
    """A world over a database, whose clock a test moves."""
    connection = await asyncpg.connect(address)
    store = await PostgresStore.open(address, WorkerId("tester"))

    async def advance(much: timedelta) -> None:
        await connection.execute("UPDATE test_clock SET ahead = ahead + $1", much)

    try:
        yield World(place, store, PostgresView(store, connection), advance)
    finally:
        await store.close()
        await connection.close()
