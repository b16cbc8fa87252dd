"""Where a process of a disturbed fleet stands still, so that a fault can fall between two things it does.

Every process reads the same faults from `faults.json`. Each pass of a stage that a fault waits for appends one byte to
that fault's file; the position after the write is the number of the pass, over all processes. Whoever makes the awaited
pass says so in a file and stops itself with SIGSTOP, all threads of it; what happens then is decided outside.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec
from tests.chaos.schedule import Fault, Stage

_FAULTS = "faults.json"
_CYCLE = "cycle"


class Hit(msgspec.Struct, frozen=True):
    """A process stands still for fault `number`; `batch` and `claim` are what it holds, 0 and empty for none."""

    number: int
    pid: int
    batch: int
    claim: str
    at: float


class Points:
    """The stages of one process. `directory` is shared by the whole fleet."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._awaited: dict[tuple[str, Stage], list[Fault]] = {}
        for fault in msgspec.json.decode((directory / _FAULTS).read_bytes(), type=list[Fault]):
            self._awaited.setdefault((fault.place, fault.stage), []).append(fault)

    def pass_by(self, place: str, stage: Stage, batch: int = 0, claim: str = "") -> None:
        """The process goes on at once, or stands still here until somebody continues or ends it."""
        anywhere = f"{place.partition(':')[0]}:*"
        awaited = [*self._awaited.get((place, stage), ()), *self._awaited.get((anywhere, stage), ())]
        if awaited:
            cycle = self._cycle()
            awaited = [one for one in awaited if one.cycle == cycle]
        # Every fault has counted the pass before the first of them falls, for it may be the last thing done here.
        for fault in [one for one in awaited if self._pass(one) == one.n]:
            hit = Hit(fault.number, os.getpid(), batch, claim, time.time())
            fresh = self._directory / f"fresh-{fault.number}"
            fresh.write_bytes(msgspec.json.encode(hit))
            fresh.rename(self._directory / f"hit-{fault.number}")
            os.kill(os.getpid(), signal.SIGSTOP)

    def _cycle(self) -> int:
        return int((self._directory / _CYCLE).read_bytes())

    def _pass(self, fault: Fault) -> int:
        descriptor = os.open(
            self._directory / f"passes-{fault.number}", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
        try:
            os.write(descriptor, b".")
            return os.lseek(descriptor, 0, os.SEEK_CUR)
        finally:
            os.close(descriptor)


def arm(directory: Path, faults: list[Fault]) -> None:
    """Processes that are started from now on stand still for these faults."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _FAULTS).write_bytes(msgspec.json.encode(faults))
    begin(directory, 0)


def begin(directory: Path, cycle: int) -> None:
    """From now on the faults of this cycle are awaited, and no others."""
    fresh = directory / f"{_CYCLE}-fresh"
    fresh.write_bytes(b"%d" % cycle)
    fresh.rename(directory / _CYCLE)


def hits(directory: Path) -> dict[int, Hit]:
    """By fault, who stands or stood still for it."""
    return {
        hit.number: hit
        for hit in (msgspec.json.decode(file.read_bytes(), type=Hit) for file in directory.glob("hit-*"))
    }
