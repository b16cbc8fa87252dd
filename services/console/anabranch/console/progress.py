"""How far runs are, as a person follows them.

The figures come from committed batches: from Redis, where workers leave them, or from PostgreSQL, which has the same
ones (PRG-7). What is made of them here is one line a run (PRG-9), the rate of the last minute and how long the rest
will take. Following never slows a run down: a look costs one statement, and nobody waits for it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from anabranch.model.enums import RunKind, RunState
from anabranch.model.identity import ExecutionId, RunId

if TYPE_CHECKING:
    from anabranch.store.overview import ExecutionLine, Overview, Progress, RunLine

_WINDOW_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.25

_CREATES: Final = ("added", "revived", "projected", "exported_creates")
_UPDATES: Final = ("updated", "exported_updates")
_DELETES: Final = ("obsoleted", "obsoleted_absent", "mvos_deleted", "deprovisioned")


class Changes(msgspec.Struct, frozen=True):
    """What a run has created, updated and deleted so far: of a source's objects, of people, of a target's objects."""

    creates: int = 0
    updates: int = 0
    deletes: int = 0


def changes_of(kind: RunKind, counters: Mapping[str, int]) -> Changes:
    """The counters of a run in three words. A sync's creates are projections; what else it changed are its updates."""
    creates, updates, deletes = (
        sum(counters.get(name, 0) for name in names) for names in (_CREATES, _UPDATES, _DELETES)
    )
    if kind in (RunKind.FULL_SYNC, RunKind.DELTA_SYNC):
        updates = max(0, counters.get("changed", 0) - counters.get("projected", 0))
    return Changes(creates, updates, deletes)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One run at one moment; `eta_seconds` None while there is no basis for it."""

    run: RunId
    profile: str
    kind: RunKind
    state: RunState
    phase: str
    phase_index: int
    phase_count: int
    processed: int
    total: int | None
    changes: Changes
    errors: int
    rate: float
    eta_seconds: float | None
    elapsed_seconds: float
    message: str | None

    def line(self) -> str:
        """The one-line form of PRG-9."""
        total = "?" if self.total is None else f"{self.total}"
        left = self.elapsed_seconds if self.state.is_final else self.eta_seconds
        parts = [
            self.phase or self.state.value,
            f"processed {self.processed}/{total}",
            f"creates {self.changes.creates} updates {self.changes.updates} deletes {self.changes.deletes}",
            *([f"errors {self.errors}"] if self.errors else []),
            f"{self.rate:,.0f}/s",
            "--:--" if left is None else clock(left),
        ]
        return " | ".join(parts)


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours in front when there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


class Follower:
    """Looks at the runs of one execution again and again; knows the rate because it remembers what it saw."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._seen: dict[tuple[RunId, int], deque[tuple[float, int]]] = {}

    async def look(self, line: RunLine) -> Look:
        """The run as it is now."""
        figures = await self._overview.progress(line.run)
        if figures is None:  # between the list and this look the run was removed with its database: show the list
            return _without_figures(line)
        rate = self._rate(figures)
        return _look(line, figures, rate)

    def _rate(self, figures: Progress) -> float:
        seen = self._seen.setdefault((figures.run, figures.phase_index), deque())
        now = time.monotonic()
        seen.append((now, figures.processed))
        while len(seen) > 2 and now - seen[0][0] > _WINDOW_SECONDS:
            seen.popleft()
        seconds = now - seen[0][0]
        return (figures.processed - seen[0][1]) / seconds if seconds > 0 else 0.0

    async def follow(self, execution: ExecutionId) -> AsyncIterator[tuple[ExecutionLine, list[RunLine], list[Look]]]:
        """The execution, its runs, and a look at those that have started, until it has ended or all of them have."""
        import asyncio

        ended: dict[RunId, Look] = {}
        while True:
            line = await self._overview.execution(execution)
            if line is None:
                return
            runs = await self._overview.runs_of(execution)
            looks = []
            for run in runs:
                if run.started_at is None or run.run in ended:
                    looks += [ended[run.run]] if run.run in ended else []
                    continue
                look = await self.look(run)
                looks.append(look)
                if run.state.is_final:
                    ended[run.run] = look
            yield line, runs, looks
            if line.ended_at is not None or all(run.state.is_final for run in runs):
                return
            await asyncio.sleep(_LOOK_SECONDS)


def _look(line: RunLine, figures: Progress, rate: float) -> Look:
    ended = line.ended_at or figures.updated_at
    left = None if figures.total is None else figures.total - figures.processed
    return Look(
        run=line.run,
        profile=line.profile,
        kind=line.kind,
        state=line.state,
        phase=figures.phase or "",
        phase_index=figures.phase_index,
        phase_count=figures.phase_count,
        processed=figures.processed,
        total=figures.total,
        changes=changes_of(line.kind, figures.counters),
        errors=figures.errors,
        rate=rate,
        eta_seconds=None if left is None else 0.0 if left == 0 else left / rate if rate > 0 else None,
        elapsed_seconds=(ended - line.started_at).total_seconds() if line.started_at else 0.0,
        message=line.message,
    )


def _without_figures(line: RunLine) -> Look:
    return Look(
        run=line.run,
        profile=line.profile,
        kind=line.kind,
        state=line.state,
        phase=line.step or "",
        phase_index=0,
        phase_count=0,
        processed=0,
        total=None,
        changes=changes_of(line.kind, line.totals),
        errors=0,
        rate=0.0,
        eta_seconds=None,
        elapsed_seconds=0.0,
        message=line.message,
    )
