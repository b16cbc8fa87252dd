"""The life of a batch in the hands of its holder.

Everything is computed and encoded before the transaction opens. Its first statement locks the batch row and checks the
claim; from then on the lock is the lease, however late it is, because nobody takes a batch without that lock. The last
statement ends the batch, or moves its cursor. Whatever goes wrong in between undoes all of it, and a zombie that wakes
under a claim that was taken over finds no row and writes nothing. A COMMIT whose answer is lost is unknown, and is
settled by reading the row under its lock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from anabranch.model.changes import Changes
from anabranch.model.enums import BatchState, FailedReason
from anabranch.model.errors import ClaimLost
from anabranch.model.fleet import Claimed, NewBatch
from anabranch.model.identity import CsoId, RunId, SystemId
from anabranch.protocol.batches import BatchRecord, Fate, add_counters, fate
from anabranch.protocol.steps import Step, step_at
from anabranch.store.faults import CommitUnknown, is_absence, translated
from anabranch.store.pool import COMMITTING
from anabranch.store.port import Moved, ReferenceTargets
from anabranch.store.reading import PgReader
from anabranch.store.sql_files import sql
from anabranch.store.writing import PgWriter

if TYPE_CHECKING:
    from asyncpg.transaction import Transaction

    from anabranch.store.pool import Connection, Pool

_UNDONE: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.TransactionRollbackError)
"""What COMMIT itself may answer when it has undone everything."""


class PgUnit(PgReader):
    """The transaction of one batch: loads, writes, and ends the batch or a step of it."""

    def __init__(self, connection: Connection, claimed: Claimed, counters: dict[str, int]) -> None:
        super().__init__(connection)
        self._claimed = claimed
        self._counters = counters
        self._writer = PgWriter(connection, claimed)
        self._seals = False
        self._ended = False

    async def lock(self, changes: Changes) -> Moved:
        return await self._writer.lock(changes)

    async def persist(self, changes: Changes) -> None:
        await self._writer.persist(changes)

    async def list_executable_exports(self, system: SystemId) -> int:
        return await self._writer.list_executable_exports(system)

    async def number_proposals(self, run: RunId, kind: str, objects: Sequence[int]) -> None:
        await self._writer.number_proposals(run, kind, objects)

    async def resolve_references(self, targets: ReferenceTargets, lo: CsoId, hi: CsoId) -> int:
        return await self._writer.resolve_references(targets, lo, hi)

    async def purge_finished_runs(self) -> None:
        await self._writer.purge_finished_runs()

    async def add_batches(self, batches: Sequence[NewBatch]) -> None:
        await insert_batches(self._connection, self._claimed, batches)

    async def seal(self) -> None:
        if self._claimed.role != "plan":
            raise RuntimeError(f"batch {self._claimed.batch} is no plan batch; only a plan seals its step")
        self._seals = True

    async def advance(self, cursor: dict[str, Any], counters: dict[str, int]) -> None:
        self._counters = add_counters(self._counters, counters)
        _held(
            await self._connection.fetchrow(
                sql("advance_batch"), self._claimed.batch, self._claimed.claim, cursor, self._counters
            ),
            self._claimed,
        )
        self._ended = True

    async def done(self, counters: dict[str, int]) -> None:
        if self._claimed.role == "plan" and not self._seals:
            raise RuntimeError(f"plan batch {self._claimed.batch} ends without a seal: its step would never close")
        self._counters = add_counters(self._counters, counters)
        await finish(self._connection, self._claimed, BatchState.DONE, self._counters, seals=self._seals)
        self._ended = True

    def check_ended(self) -> None:
        """Raises RuntimeError when the block ends neither the batch nor a step of it: it would be done twice."""
        if not self._ended:
            raise RuntimeError(f"batch {self._claimed.batch}: its transaction calls neither done nor advance")


@asynccontextmanager
async def open_unit(pool: Pool, claimed: Claimed) -> AsyncIterator[PgUnit]:
    """The batch's transaction, fenced; committed at the end of the block.

    Raises ClaimLost, CommitUnknown, Contended or StoreUnavailable; in all but CommitUnknown nothing was written.
    """
    async with _fenced(pool, claimed) as (connection, row):
        unit = PgUnit(connection, claimed, row["counters"])
        yield unit
        unit.check_ended()


@asynccontextmanager
async def _fenced(
    pool: Pool, claimed: Claimed, *, locks_run: bool = False
) -> AsyncIterator[tuple[Connection, asyncpg.Record]]:
    with translated(f"batch {claimed.batch}"):
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(sql("open_unit"), COMMITTING + claimed.worker)
                if locks_run:
                    await connection.execute(sql("lock_run"), claimed.run)
                yield (
                    connection,
                    _held(await connection.fetchrow(sql("fence_batch"), claimed.batch, claimed.claim), claimed),
                )
            except BaseException:
                await _undo(connection, transaction)
                raise
            await _commit(transaction, claimed)


async def _undo(connection: Connection, transaction: Transaction) -> None:
    """A connection that is gone has undone it already."""
    if not connection.is_closed():
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError):
            await transaction.rollback()


async def _commit(transaction: Transaction, claimed: Claimed) -> None:
    try:
        await transaction.commit()
    except _UNDONE:
        raise
    except Exception as error:
        if is_absence(error) or isinstance(error, asyncpg.PostgresError):
            raise CommitUnknown(
                f"batch {claimed.batch}: the answer to COMMIT is missing ({type(error).__name__})"
            ) from error
        raise


def _held(row: asyncpg.Record | None, claimed: Claimed) -> asyncpg.Record:
    if row is None:
        raise ClaimLost(f"batch {claimed.batch} is no longer held under this claim; whoever took it goes on with it")
    return row


def _step(claimed: Claimed) -> Step:
    return step_at(claimed.kind, claimed.ordinal)


async def finish(
    connection: Connection,
    claimed: Claimed,
    state: BatchState,
    counters: dict[str, int],
    *,
    seals: bool = False,
    error: str | None = None,
) -> None:
    """The fenced batch has ended as `done` or `dead`; who waited for it goes on, save behind a dead one in a gate."""
    go_on = state is BatchState.DONE or not _step(claimed).gate
    _held(
        await connection.fetchrow(
            sql("finish_batch"), claimed.batch, claimed.claim, state.value, counters, seals, go_on, error
        ),
        claimed,
    )


async def insert_batches(
    connection: Connection, claimed: Claimed, batches: Sequence[NewBatch], *, ordered: bool = False
) -> int | None:
    """The batches stand in the step of `claimed`, produced by it; the id of the last. With `ordered` each waits for the
    one before it; without, those do that say so. A clash of (producer, n) is our
    own fault and raises UniqueViolationError."""
    if not batches:
        return None
    rows = await connection.fetch(
        sql("insert_batches"),
        claimed.run,
        claimed.ordinal,
        claimed.batch,
        claimed.worker_kind.value,
        claimed.system,
        [batch.n for batch in batches],
        [batch.payload for batch in batches],
        [batch.total for batch in batches],
        [ordered or batch.waits_for_previous for batch in batches],
        _step(claimed).role,
    )
    return int(max((row["n"], row["id"]) for row in rows)[1])


async def hand_back(pool: Pool, claimed: Claimed) -> None:
    """The batch is ready at once for anybody, and nothing is counted. Raises ClaimLost when it is not ours."""
    async with _fenced(pool, claimed) as (connection, _):
        await _give_back(connection, claimed, None, 0.0, counted=0, state=BatchState.READY)


async def fail_run(pool: Pool, claimed: Claimed, reason: FailedReason, message: str) -> None:
    """The run of the batch is ending and leads to `failed`, and the batch is ready, to be withdrawn with the others.

    Raises ClaimLost when the batch is not ours: what a zombie saw may have been mended, and whoever holds the batch now
    tells what becomes of its run. The run is locked before the batch, as everywhere.
    """
    async with _fenced(pool, claimed, locks_run=True) as (connection, _):
        await connection.execute(sql("fail_run"), claimed.run, reason.value, message)
        await _give_back(connection, claimed, None, 0.0, counted=0, state=BatchState.READY)


async def fail(pool: Pool, claimed: Claimed, error: str, delay: float, *, counts: bool) -> str:
    """A handled failure is recorded; what it leads to (FLT-10, FLT-11): a `Fate`.

    `ready`: again after `delay` seconds. `split`, `poisoned`: the batch stays leased to the caller, who does it.
    `dead`: nothing more is tried.
    """
    async with _fenced(pool, claimed) as (connection, row):
        led_to = fate(_record(claimed, row["failures"] + 1, row["losses"])) if counts else Fate.READY
        if led_to is Fate.DEAD:
            await finish(connection, claimed, BatchState.DEAD, row["counters"], error=error)
            return led_to.value
        stays = led_to in (Fate.SPLIT, Fate.POISONED)
        await _give_back(
            connection,
            claimed,
            error,
            0.0 if stays else delay,
            counted=int(counts),
            state=BatchState.LEASED if stays else BatchState.READY,
        )
        return led_to.value


async def _give_back(
    connection: Connection, claimed: Claimed, error: str | None, delay: float, *, counted: int, state: BatchState
) -> None:
    await connection.execute(sql("return_batch"), claimed.batch, claimed.claim, error, delay, counted, state.value)


def _record(claimed: Claimed, failures: int, losses: int) -> BatchRecord:
    return BatchRecord(
        id=claimed.batch,
        run=claimed.run,
        ordinal=claimed.ordinal,
        producer=0,
        n=0,
        worker_kind=claimed.worker_kind,
        role=claimed.role,
        state=BatchState.LEASED,
        span_id=claimed.span_id,
        created_at=claimed.now,
        total=claimed.total,
        failures=failures,
        losses=losses,
    )


async def split(pool: Pool, claimed: Claimed, children: Sequence[NewBatch]) -> None:
    """The batch is `skipped` and its children stand in its place, counts at 0; in an ordered step one by one, and who
    waited for the parent waits for the last of them. Raises ValueError without children: work would be lost."""
    if not children:
        raise ValueError(f"batch {claimed.batch} cannot be split into nothing")
    async with _fenced(pool, claimed) as (connection, _):
        last = await insert_batches(connection, claimed, children, ordered=_step(claimed).ordered)
        _held(await connection.fetchrow(sql("skip_batch"), claimed.batch, claimed.claim, last), claimed)


async def dead(pool: Pool, claimed: Claimed, error: str, counters: dict[str, int] | None = None) -> None:
    """Nothing more is tried; `counters` say what became of its objects."""
    async with _fenced(pool, claimed) as (connection, row):
        counted = add_counters(row["counters"], counters or {})
        await finish(connection, claimed, BatchState.DEAD, counted, error=error)
