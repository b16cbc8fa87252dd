"""The life of the sync worker: a consumer of `sync-batches` with the handlers of its steps."""

from __future__ import annotations

from anabranch.model.enums import WorkerKind
from anabranch.runtime.service import run_worker
from anabranch.sync_worker.handler import HANDLERS
from anabranch.sync_worker.settings import Settings


async def run(settings: Settings) -> int:
    """The worker works until a signal ends it; its exit code."""
    return await run_worker(settings, "sync-worker", WorkerKind.SYNC, HANDLERS)
