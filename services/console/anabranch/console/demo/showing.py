"""What a person sees of a demonstration: bars that move on a terminal, one line a step everywhere else."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TextIO

from anabranch.console.progress import clock
from anabranch.model.identity import RunId

if TYPE_CHECKING:
    from anabranch.console.demo.stage import CycleResult
    from anabranch.console.progress import Look
    from anabranch.store.overview import ExecutionLine, RunDetail, StepLine

_COLUMNS: Final = ("run", "processed", "creates", "updates", "deletes", "seconds", "state")
_CHANGES: Final = (
    "[green]+{task.fields[creates]:,}[/] [yellow]~{task.fields[updates]:,}[/] [red]-{task.fields[deletes]:,}[/]"
)


class Watching(Protocol):
    """Shows one cycle while it goes on."""

    def see(self, execution: ExecutionLine, runs: list[RunDetail], looks: list[Look]) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Showing:
    """Writes to `stream`; `live` where it is a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self.live = self._stream.isatty()

    def say(self, text: str = "") -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def title(self, text: str) -> None:
        self.say()
        self.say(f"\x1b[1m{text}\x1b[0m" if self.live else text)

    def watch(self) -> Watching:
        return _Bars(self._stream) if self.live else _Lines(self)

    def table(self, result: CycleResult) -> None:
        """The figures of a cycle, run by run, from its totals."""
        rows: list[dict[str, Any]] = [
            {
                "run": run.profile,
                "processed": f"{run.processed:,}",
                "creates": f"{run.changes.creates:,}",
                "updates": f"{run.changes.updates:,}",
                "deletes": f"{run.changes.deletes:,}",
                "seconds": f"{run.seconds:.1f}",
                "state": run.state,
            }
            for run in result.runs
        ]
        widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in _COLUMNS}
        for row in [dict(zip(_COLUMNS, _COLUMNS, strict=True)), *rows]:
            cells = [
                row[name].ljust(widths[name]) if name in ("run", "state") else row[name].rjust(widths[name])
                for name in _COLUMNS
            ]
            self.say("  " + "  ".join(cells).rstrip())


class _Lines:
    """A line for each step when it has closed."""

    def __init__(self, showing: Showing) -> None:
        self._showing = showing
        self._told: set[tuple[RunId, int]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def see(self, execution: ExecutionLine, runs: list[RunDetail], looks: list[Look]) -> None:
        for detail in runs:
            for step in detail.steps:
                if step.closed_at is not None and (detail.run.run, step.ordinal) not in self._told:
                    self._told.add((detail.run.run, step.ordinal))
                    if step.total or step.counters:
                        self._showing.say(_step_line(detail.run.profile, step))


def _step_line(profile: str, step: StepLine) -> str:
    counted = " ".join(f"{name} {count:,}" for name, count in step.counters.items() if count)
    seconds = (step.closed_at - step.opened_at).total_seconds() if step.closed_at else 0.0
    return f"  {profile:<17} {step.name:<16} {step.total or 0:>7,}  {seconds:5.1f} s  {counted}".rstrip()


class _Bars:
    """A bar for each run that moves through its phases."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("  {task.fields[profile]:<17}"),
            TextColumn("{task.fields[phase]:<16}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[done]:>13}"),
            TextColumn(_CHANGES),
            TextColumn("{task.fields[time]}"),
            console=Console(file=stream),
            auto_refresh=False,
        )
        self._tasks: dict[RunId, Any] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def see(self, execution: ExecutionLine, runs: list[RunDetail], looks: list[Look]) -> None:
        for look in looks:
            if look.run not in self._tasks:
                self._tasks[look.run] = self._progress.add_task(look.profile, **_fields(look), **_bar(look))
            self._progress.update(self._tasks[look.run], **_fields(look), **_place(look))
        self._progress.refresh()


def _fields(look: Look) -> dict[str, Any]:
    done = look.state.is_final
    total = "" if look.total is None else f"{look.processed:,}/{look.total:,}"
    return {
        "profile": look.profile,
        "phase": look.state.value if done else look.phase,
        "done": "" if done else total,
        "creates": look.changes.creates,
        "updates": look.changes.updates,
        "deletes": look.changes.deletes,
        "time": clock(look.elapsed_seconds),
    }


def _bar(look: Look) -> dict[str, Any]:
    return {"total": None}


def _place(look: Look) -> dict[str, Any]:
    """How far the bar is: the phases that are over, and the share of the present one that is done."""
    if look.state.is_final:
        return {"total": 1.0, "completed": 1.0}
    share = look.processed / look.total if look.total else 0.0
    return {"total": float(look.phase_count or 1), "completed": max(0, look.phase_index - 1) + share}
