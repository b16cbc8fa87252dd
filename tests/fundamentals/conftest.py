"""The organisation the stories are about: HR's files, a directory, and a keeper on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from tests.services.driver import World
from tests.services.views import PostgresView

from anabranch.model.identity import WorkerId
from anabranch.store.postgres import PostgresStore


@pytest.fixture
async def organisation(database: str, tmp_path: Path) -> AsyncIterator[World]:
    """Nobody works here yet; the configuration is applied."""
    store = await PostgresStore.open(database, WorkerId("tester"))
    connection = await asyncpg.connect(database)

    async def advance(_: timedelta) -> None:
        raise NotImplementedError("in these stories no time passes")

    world = World(tmp_path, store, PostgresView(store, connection), advance)
    try:
        yield world
    finally:
        await store.close()
        await connection.close()
