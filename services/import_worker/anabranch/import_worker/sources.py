"""The connection to a source system, open for as long as one batch needs it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anabranch.config.secret_references import resolve_secrets
from anabranch.connectors.port import Connector
from anabranch.connectors.registry import create
from anabranch.model.identity import SystemId
from anabranch.runtime.work import Task


@asynccontextmanager
async def open_source(task: Task) -> AsyncIterator[Connector]:
    """A connector of the batch's system, opened; closed whatever the outcome (IMP-6)."""
    system = task.compiled.system_of(task.claimed)
    connector = create(system, resolve_secrets(system.options, os.environ), Path.cwd())
    await connector.open()
    try:
        yield connector
    finally:
        await connector.close()


def system_id(task: Task) -> SystemId:
    """The number of the batch's system. Raises KeyError for a batch of a run without one."""
    return task.compiled.registry.systems[task.compiled.system_of(task.claimed).key]
