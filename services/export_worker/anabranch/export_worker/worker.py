"""The life of the export worker: a consumer of `export-tasks` with the handlers of its steps."""

from __future__ import annotations

from anabranch.export_worker.handler import HANDLERS
from anabranch.export_worker.settings import Settings
from anabranch.model.enums import WorkerKind
from anabranch.runtime.service import run_worker


async def run(settings: Settings) -> int:
    """The worker works until a signal ends it; its exit code."""
    return await run_worker(settings, "export-worker", WorkerKind.EXPORT, HANDLERS)
