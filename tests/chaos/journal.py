"""Targets that write down every call they get, before they carry it out and after.

They stand in the place of the built-in connectors in a disturbed fleet (see `launcher`). What a target was told can
then be held against what the database says it was told, and both sides of a call are places where a fault may fall:
the call that was made and never recorded is the one thing no database can undo.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from tests.chaos.points import Points
from tests.chaos.schedule import Stage

from anabranch.connectors.csv_files import CsvConnector
from anabranch.connectors.ldif import LdifConnector
from anabranch.connectors.port import ExportBatch, Outcome, OutcomeStatus, Receipt, TargetObject
from anabranch.model.configuration import System

CHANGES_AT_ONCE = 10
"""Changes of one batch of a target that is written change by change, so that there are several batches."""


class Write(msgspec.Struct, frozen=True):
    """One change as the target got it: the idempotency key, the object, the kind of change, a digest of its rows."""

    key: str
    object: str
    kind: str
    digest: str
    done: bool = True


class Call(msgspec.Struct, frozen=True):
    """One call that was carried out. `digest` is that of everything the call left in the target."""

    at: float
    pid: int
    system: str
    verb: str
    run: int
    batch: int
    claim: str
    digest: str
    writes: list[Write] = []


class Surroundings:
    """What the connectors of this process share; set once by the launcher."""

    points: ClassVar[Points]
    file: ClassVar[Path]


def calls(file: Path) -> list[Call]:
    """Every call that was carried out, in the order in which each was written down."""
    if not file.exists():
        return []
    return [msgspec.json.decode(line, type=Call) for line in file.read_bytes().splitlines()]


def _write_down(call: Call) -> None:
    descriptor = os.open(Surroundings.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, msgspec.json.encode(call) + b"\n")
    finally:
        os.close(descriptor)


async def _replaced(system: System, claim: str, batch: int, replace: Callable[[], Any], root: Path) -> Receipt:
    Surroundings.points.pass_by("export:export", Stage.CALLING, batch, claim)
    receipt: Receipt = await replace()
    digest = hashlib.sha256()
    for file in receipt.files:
        digest.update((root / file.path).read_bytes())
    _write_down(Call(time.time(), os.getpid(), system.key, "replace", 0, batch, claim, digest.hexdigest()))
    Surroundings.points.pass_by("export:export", Stage.CALLED, batch, claim)
    return receipt


class JournalledCsv(CsvConnector):
    """A CSV target that writes down each replacement."""

    def __init__(self, system: System, options: dict[str, Any], base_directory: Path) -> None:
        super().__init__(system, options, base_directory)
        self._told_system, self._told_root = system, base_directory

    async def replace(
        self, objects: AsyncIterator[TargetObject], claim: str, batch: int, fence: Callable[[], None] | None = None
    ) -> Receipt:
        def replace() -> Any:
            return super(JournalledCsv, self).replace(objects, claim, batch, fence)

        return await _replaced(self._told_system, claim, batch, replace, self._told_root)


class JournalledLdif(LdifConnector):
    """An LDIF target that writes down each replacement and each change."""

    def __init__(self, system: System, options: dict[str, Any], base_directory: Path) -> None:
        super().__init__(system, options, base_directory)
        self._told_system, self._told_root = system, base_directory
        self.capabilities = msgspec.structs.replace(self.capabilities, max_batch=CHANGES_AT_ONCE)

    async def replace(
        self, objects: AsyncIterator[TargetObject], claim: str, batch: int, fence: Callable[[], None] | None = None
    ) -> Receipt:
        def replace() -> Any:
            return super(JournalledLdif, self).replace(objects, claim, batch, fence)

        return await _replaced(self._told_system, claim, batch, replace, self._told_root)

    async def apply(self, batch: ExportBatch) -> list[Outcome]:
        Surroundings.points.pass_by("export:export", Stage.CALLING, batch.batch, batch.claim)
        outcomes = await super().apply(batch)
        writes = [
            Write(
                change.key,
                f"{change.object_type}/{change.anchor or change.new_identifier or change.identifier}",
                change.kind.value,
                hashlib.sha256(msgspec.json.encode(change.rows)).hexdigest()[:16],
                done=outcome.status is OutcomeStatus.OK,
            )
            for change, outcome in zip(batch.changes, outcomes, strict=True)
        ]
        digest = hashlib.sha256(msgspec.json.encode(writes)).hexdigest()
        where = (self._told_system.key, "apply", batch.run, batch.batch, batch.claim)
        call = Call(time.time(), os.getpid(), *where, digest, writes)
        _write_down(call)
        Surroundings.points.pass_by("export:export", Stage.CALLED, batch.batch, batch.claim)
        return outcomes
