"""The connection to the system of a batch.

A batch makes a connector of its own from the declared options, with the secrets they refer to filled in, and keeps it
open no longer than it works; what a connector can do follows from the options alone and needs no connection.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anabranch.config.secret_references import resolve_secrets
from anabranch.connectors.port import Connector
from anabranch.connectors.registry import create
from anabranch.engine.packing import may_pack
from anabranch.model.configuration import System
from anabranch.model.errors import AnabranchError
from anabranch.runtime.work import Task


def connector_of(task: Task) -> Connector:
    """A connector of the batch's system, not opened. Raises KeyError for a batch of a run without a system."""
    system = task.compiled.system_of(task.claimed)
    return create(system, resolve_secrets(system.options, os.environ), Path.cwd())


def keeps_packs(task: Task, system: System) -> bool:
    """Whether new objects of the system may stay packed until its export: where nothing has to see them by themselves
    before, and the export takes them as they are, because it writes a file. Not where the system's connector or its
    secrets are not to be had here: then they are rows."""
    if not may_pack(system):
        return False
    try:
        return create(system, resolve_secrets(system.options, os.environ), Path.cwd()).capabilities.whole_file
    except AnabranchError:
        return False


@asynccontextmanager
async def open_connector(task: Task) -> AsyncIterator[Connector]:
    """A connector of the batch's system, opened; closed whatever the outcome (IMP-6)."""
    connector = connector_of(task)
    await connector.open()
    try:
        yield connector
    finally:
        await connector.close()
