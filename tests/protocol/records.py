"""The smallest valid records of the protocol, for its tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from anabranch.model.enums import BatchState, RunKind, RunState, WorkerKind
from anabranch.model.identity import BatchId, ClaimId, ExecutionId, RunId, SystemId, WorkerId
from anabranch.protocol.batches import BatchRecord
from anabranch.protocol.runs import RunRecord

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINE, OTHERS = ClaimId("mine"), ClaimId("others")
ME = WorkerId("me")


def later(seconds: float) -> datetime:
    """`NOW` plus so many seconds."""
    return NOW + timedelta(seconds=seconds)


def a_batch(**changed: Any) -> BatchRecord:
    """A ready work batch of 10 objects."""
    fields: dict[str, Any] = {
        "id": BatchId(7),
        "run": RunId(1),
        "ordinal": 1,
        "producer": 6,
        "n": 1,
        "worker_kind": WorkerKind.SYNC,
        "role": "work",
        "state": BatchState.READY,
        "span_id": "span",
        "created_at": NOW,
        "total": 10,
    }
    return BatchRecord(**{**fields, **changed})


def a_leased_batch(**changed: Any) -> BatchRecord:
    """A batch in my hands for 6 seconds from `NOW`."""
    fields: dict[str, Any] = {
        "state": BatchState.LEASED,
        "claim": MINE,
        "owner": ME,
        "epoch": 1,
        "lease_until": later(6),
    }
    return a_batch(**{**fields, **changed})


def a_run(**changed: Any) -> RunRecord:
    """A running delta sync that started at `NOW` with a deadline of an hour."""
    fields: dict[str, Any] = {
        "id": RunId(1),
        "execution": ExecutionId(1),
        "grp": 0,
        "n": 0,
        "profile": "hr-sync",
        "kind": RunKind.DELTA_SYNC,
        "system": SystemId(1),
        "state": RunState.RUNNING,
        "config_version": 1,
        "page_size": 10,
        "batch_size": 10,
        "deadline_after": timedelta(hours=1),
        "deadline": later(3600),
        "span_id": "span",
        "requested_at": NOW,
        "now": NOW,
        "start_seq": 0,
    }
    return RunRecord(**{**fields, **changed})
