"""Keepers the promise suites run on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.promises.data_keepers import DataKeeper, PgDataKeeper, postgres_keeper
from tests.promises.fleet_keepers import FleetKeeper, postgres_fleet
from tests.promises.memory_keepers import MemoryDataKeeper, memory_fleet

from anabranch.store.port import Store


@pytest.fixture(params=["memory", "postgres"])
def data_keeper_place(request: pytest.FixtureRequest) -> str | None:
    """Where the keeper's rows are: the address of a database of this test's own, or None for this process."""
    place: str | None = request.getfixturevalue("database") if request.param == "postgres" else None
    return place


@pytest.fixture
async def data_keeper(data_keeper_place: str | None) -> AsyncIterator[DataKeeper]:
    """An empty keeper that stores data, each kind in turn."""
    if data_keeper_place is None:
        yield MemoryDataKeeper()
        return
    async with postgres_keeper(data_keeper_place) as keeper:
        yield keeper


@pytest.fixture
async def pg_keeper(database: str) -> AsyncIterator[PgDataKeeper]:
    """The PostgreSQL keeper alone, for what only a database has."""
    async with postgres_keeper(database) as keeper:
        yield keeper


@pytest.fixture(params=["memory", "postgres"])
def place(request: pytest.FixtureRequest) -> str | None:
    """The address of a database of this test's own, or None for this process."""
    address: str | None = request.getfixturevalue("clocked_database") if request.param == "postgres" else None
    return address


@pytest.fixture
async def keeper(place: str | None) -> AsyncIterator[FleetKeeper]:
    """A keeper with a small configuration applied, each kind in turn."""
    async with memory_fleet() if place is None else postgres_fleet(place) as made:
        yield made


@pytest.fixture
def store(keeper: FleetKeeper) -> Store:
    """That keeper as the fleet sees it."""
    return keeper.store
