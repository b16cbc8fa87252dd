"""The life of the import worker: a consumer of `import-tasks` with the handlers of its steps."""

from __future__ import annotations

from anabranch.import_worker.handler import HANDLERS
from anabranch.import_worker.settings import Settings
from anabranch.model.enums import WorkerKind
from anabranch.runtime.service import run_worker


async def run(settings: Settings) -> int:
    """The worker works until a signal ends it; its exit code."""
    return await run_worker(settings, "import-worker", WorkerKind.IMPORT, HANDLERS)
