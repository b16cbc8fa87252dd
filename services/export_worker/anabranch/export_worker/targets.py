"""The connection to a target system, open for as long as one batch needs it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anabranch.config.secret_references import resolve_secrets
from anabranch.connectors.port import Capabilities, Connector
from anabranch.connectors.registry import create
from anabranch.model.identity import SystemId
from anabranch.runtime.work import Task


def target(task: Task) -> Connector:
    """The batch's connector, not opened: its capabilities depend on the declared options alone."""
    system = task.compiled.system_of(task.claimed)
    return create(system, resolve_secrets(system.options, os.environ), Path.cwd())


@asynccontextmanager
async def open_target(task: Task) -> AsyncIterator[Connector]:
    """A connector of the batch's system, opened; closed whatever the outcome (IMP-6)."""
    connector = target(task)
    await connector.open()
    try:
        yield connector
    finally:
        await connector.close()


def capabilities(task: Task) -> Capabilities:
    """What the batch's target can do."""
    return target(task).capabilities


def system_id(task: Task) -> SystemId:
    """The number of the run's system. Raises KeyError for a run without one."""
    return task.compiled.registry.systems[task.compiled.system_of(task.claimed).key]
