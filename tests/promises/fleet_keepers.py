"""Keepers as the fleet suite sees them: a store with a small configuration applied, and a clock a test can move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Protocol

import asyncpg

from anabranch.config.stamps import rule_stamps
from anabranch.model.configuration import (
    Attribute,
    Configuration,
    Execution,
    MetaverseType,
    ObjectType,
    Rule,
    RunProfile,
    System,
)
from anabranch.model.enums import ChangeClass, Direction, RunKind, ValueType, WorkerKind
from anabranch.model.fleet import Claimed, Closed, NewBatch
from anabranch.model.identity import BatchId, ClaimId, RunId, TypeId, WorkerId
from anabranch.protocol.steps import STEPS, step_at
from anabranch.store.port import Store
from anabranch.store.postgres import PostgresStore

LEASE = 6.0
_CLAIMS = count(1)


def a_configuration() -> Configuration:
    """Two systems, one type of person, a run profile of each kind and two executions."""
    attributes = {"id": Attribute(name="id", type=ValueType.TEXT)}
    person = ObjectType(key="person", anchor="id", attributes=attributes)
    systems = {key: System(key=key, connector="csv", object_types={"person": person}) for key in ("hr", "crm")}
    rules = {
        f"{key}-in": Rule(
            key=f"{key}-in",
            direction=Direction.INBOUND,
            system=key,
            object_type="person",
            metaverse_type="person",
            mappings={},
        )
        for key in systems
    }
    profiles = {
        "hr-import": RunProfile(key="hr-import", kind=RunKind.FULL_IMPORT, system="hr"),
        "crm-import": RunProfile(key="crm-import", kind=RunKind.FULL_IMPORT, system="crm"),
        "hr-sync": RunProfile(key="hr-sync", kind=RunKind.DELTA_SYNC, system="hr"),
        "crm-sync": RunProfile(key="crm-sync", kind=RunKind.DELTA_SYNC, system="crm"),
        "hr-export": RunProfile(key="hr-export", kind=RunKind.EXPORT, system="hr"),
        "upkeep": RunProfile(key="upkeep", kind=RunKind.HOUSEKEEPING),
    }
    executions = {
        "imports": Execution(key="imports", groups=(("hr-import", "crm-import"), ("hr-sync",))),
        "stubborn": Execution(key="stubborn", groups=(("hr-import",), ("hr-sync",)), continue_on_failure=True),
    }
    return Configuration(
        metaverse={"person": MetaverseType(key="person", attributes=attributes)},
        systems=systems,
        rules=rules,
        run_profiles=profiles,
        executions=executions,
    )


class FleetKeeper(Protocol):
    """What the fleet suite needs of a keeper."""

    @property
    def store(self) -> Store: ...

    async def pass_time(self, seconds: float) -> None:
        """The keeper's clock is so much later from now on."""

    async def list_guard_ops(self, run: RunId, point: str, op: str, type_key: str, n: int) -> None:
        """`n` operations stand listed at a guard point, as an assess or count step leaves them."""

    async def set_population(self, run: RunId, point: str, type_key: str, population: int) -> None:
        """The population a guard measures against is this."""

    async def populations(self, run: RunId) -> dict[tuple[str, TypeId], int]:
        """What was counted when the run started, by guard point and type, where it is more than nothing."""

    async def states(self, run: RunId) -> dict[str, int]:
        """How many batches of the run are in each state."""


class PgFleetKeeper:
    """The PostgreSQL keeper over a migrated database of the test's own."""

    def __init__(self, store: PostgresStore, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.store = store
        self.connection = connection

    async def pass_time(self, seconds: float) -> None:
        await self.connection.execute("UPDATE test_clock SET ahead = ahead + make_interval(secs => $1)", seconds)

    async def list_guard_ops(self, run: RunId, point: str, op: str, type_key: str, n: int) -> None:
        await self.connection.execute(
            "INSERT INTO guard_op (run_id, point, type_id, object_id, op) "
            "SELECT $1, $2, (SELECT min(id) FROM object_type WHERE key = $4), i, $3 FROM generate_series(1, $5::int) i",
            run, point, op, type_key, n,
        )  # fmt: skip

    async def set_population(self, run: RunId, point: str, type_key: str, population: int) -> None:
        await self.connection.execute(
            "INSERT INTO run_population SELECT $1, $2, (SELECT min(id) FROM object_type WHERE key = $3), $4::int "
            "ON CONFLICT (run_id, point, type_id) DO UPDATE SET population = excluded.population",
            run, point, type_key, population,
        )  # fmt: skip

    async def populations(self, run: RunId) -> dict[tuple[str, TypeId], int]:
        rows = await self.connection.fetch(
            "SELECT point, type_id, population FROM run_population WHERE run_id = $1 AND population > 0", run
        )
        return {(row[0], TypeId(row[1])): row[2] for row in rows}

    async def states(self, run: RunId) -> dict[str, int]:
        rows = await self.connection.fetch("SELECT state, count(*) FROM batch WHERE run_id = $1 GROUP BY state", run)
        return {row[0]: row[1] for row in rows}


@asynccontextmanager
async def postgres_fleet(database: str) -> AsyncIterator[PgFleetKeeper]:
    """A PostgreSQL keeper whose configuration is applied, and a connection to look at its rows; over a database whose
    clock can be moved."""
    connection = await asyncpg.connect(database)
    store = await PostgresStore.open(database, WorkerId("tester"), connections=10)
    await apply(store, a_configuration())
    try:
        yield PgFleetKeeper(store, connection)
    finally:
        await store.close()
        await connection.close()


async def apply(store: Store, configuration: Configuration) -> int:
    """The configuration is the newest revision."""
    return await store.apply_configuration(
        configuration,
        rule_stamps(configuration),
        change_class=ChangeClass.SYNC_AFFECTING,
        difference=[],
        author="tester",
    )


# --- what a worker or a scheduler would do ---------------------------------------------------------------------------


async def start(store: Store, name: str) -> RunId:
    """The one run of a profile has started, its first step open."""
    await store.start_execution(name, "tester")
    (run,) = (await store.sweep(LEASE)).runs_started
    return run


async def try_claim(
    store: Store, kind: WorkerKind, batch: BatchId | None = None, worker: str = "w1", claim: str | None = None
) -> Claimed | None:
    """A claim as a worker makes it, with a claim id of its own."""
    number = next(_CLAIMS)
    claim_id = ClaimId(claim or f"claim-{number}")
    return await store.claim(kind, WorkerId(worker), claim_id, f"{number:016x}", LEASE, batch)


async def take(
    store: Store, kind: WorkerKind = WorkerKind.IMPORT, batch: BatchId | None = None, worker: str = "w1"
) -> Claimed:
    """A batch that must be there to be had."""
    claimed = await try_claim(store, kind, batch, worker)
    assert claimed is not None
    return claimed


async def plan(store: Store, claimed: Claimed, batches: int, counters: dict[str, int] | None = None) -> None:
    """The plan has sealed its step with so many batches; in an ordered step each waits for the one before."""
    ordered = step_at(claimed.kind, claimed.ordinal).ordered
    async with store.unit(claimed) as unit:
        await unit.add_batches(
            [
                NewBatch(n=n, payload={"n": n}, total=10, waits_for_previous=ordered and n > 1)
                for n in range(1, batches + 1)
            ]
        )
        await unit.seal()
        await unit.done(counters or {})


async def end(store: Store, claimed: Claimed, counters: dict[str, int] | None = None) -> None:
    """The batch is done."""
    async with store.unit(claimed) as unit:
        await unit.done(counters or {})


async def close(store: Store, run: RunId, ordinal: int) -> Closed:
    """What the barrier says of a step."""
    closed, _ = await store.close_phase(run, ordinal, (), None)
    return closed


async def pass_step(store: Store, run: RunId, ordinal: int, kind: WorkerKind, batches: int = 0) -> Closed:
    """The step is planned, worked off and closed."""
    await plan(store, await take(store, kind), batches)
    for _ in range(batches):
        await end(store, await take(store, kind))
    return await close(store, run, ordinal)


async def run_through(store: Store, run: RunId, kind: RunKind, worker: WorkerKind, first: int = 1) -> None:
    """Every step of the run from `first` on is planned empty and closed."""
    for ordinal in range(first, len(STEPS[kind]) + 1):
        await pass_step(store, run, ordinal, worker)
