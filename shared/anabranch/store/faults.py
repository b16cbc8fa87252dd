"""What can go wrong between a process and PostgreSQL, in three words a caller can act on.

A worker never sees an error of the driver: it learns that the server gave no answer (wait and take the work up
again), that another transaction was in the way (repeat, nobody's fault), or that a COMMIT was sent and its answer lost
(read the batch again under its lock before doing anything else). Everything else that PostgreSQL says is a fault of
ours and passes through unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from anabranch.model.errors import Retryable


class StoreUnavailable(Retryable):
    """PostgreSQL gave no answer; what was asked outside a commit did not happen. Counts no failure."""


class Contended(Retryable):
    """A deadlock, a serialisation failure or a lock that was not free in time: nothing was written; counts nothing."""


class CommitUnknown(Retryable):
    """COMMIT was sent and its answer is missing: ask `settle_unknown_commit` before anything else (FLT-12)."""


_CONTENTION = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
_ABSENCE = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,  # what the driver makes of a backend that was ended while nothing was asked of it
    ConnectionError,
    TimeoutError,
)


def is_absence(error: BaseException) -> bool:
    """True when the error says that the server is away or the connection gone."""
    if isinstance(error, _ABSENCE):
        return True
    # The driver's own word for a connection that ended between two calls; its other uses are faults of ours.
    return isinstance(error, asyncpg.InterfaceError) and "clos" in str(error)


@contextmanager
def translated(what: str, *, connecting: bool = False) -> Iterator[None]:
    """Errors of the driver leave the block as `Contended` or `StoreUnavailable`; others pass unchanged.

    While `connecting` any error of the operating system (no such socket, no such host) means absence too.
    """
    try:
        yield
    except _CONTENTION as error:
        raise Contended(f"{what}: another transaction was in the way ({error}); it is repeated") from error
    except Exception as error:
        if is_absence(error) or (connecting and isinstance(error, OSError)):
            raise StoreUnavailable(
                f"{what}: PostgreSQL does not answer ({type(error).__name__}); is it running and reachable?"
            ) from error
        raise
