"""The life of the import worker: a consumer of `import-tasks` with the handlers of its steps."""

from __future__ import annotations

from anabranch.model.enums import WorkerKind
from anabranch.runtime.service import run_worker
from anabranch.import_worker.handler import HANDLERS
from anabranch.import_worker.settings import Settings


async def run(settings: Settings) -> int:
    """The worker works until a signal ends it; its exit code."""
    return await run_worker(settings, "import-worker", WorkerKind.IMPORT, HANDLERS)
