"""Following an execution from the command line, and the exit code its end leads to."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

import click

from anabranch.console.cli.exit_codes import CommandFault, ExitCode
from anabranch.console.cli.output import tell
from anabranch.console.cli.place import Place, connected
from anabranch.model.enums import RunState
from anabranch.model.identity import ExecutionId, RunId

if TYPE_CHECKING:
    from anabranch.console.progress import Look
    from anabranch.store.overview import ExecutionLine, RunLine

_PLAIN_EVERY_SECONDS: Final = 2.0


async def watch(place: Place, execution: ExecutionId, *, show: bool, seconds: float | None) -> list[RunLine]:
    """The runs of the execution once it has ended. Progress goes to stderr where `show`.

    Raises CommandFault: a run is held (6), or the time is over (124); the execution goes on in both cases.
    """
    try:
        return await asyncio.wait_for(_watch(place, execution, show=show), seconds)
    except TimeoutError as fault:
        raise CommandFault(
            f"execution {execution} has not ended in {seconds:g} seconds; it goes on (anabranch run ls)",
            ExitCode.TIMEOUT,
        ) from fault


async def _watch(place: Place, execution: ExecutionId, *, show: bool) -> list[RunLine]:
    from anabranch.console.progress import Follower
    from anabranch.store.overview import Overview

    screen = Screen(show=show)
    runs: list[RunLine] = []
    async with connected(place) as connection:
        async for line, seen, looks in Follower(Overview(connection)).follow(execution):
            runs = seen
            screen.update(line, looks)
            held = next((run for run in runs if run.state is RunState.HELD), None)
            if held is not None:
                screen.close()
                raise CommandFault(
                    f"run {held.run} ({held.profile}) is held: {(held.message or '').removeprefix('held: ')}; look at "
                    f"it with `anabranch run show {held.run}`, then `anabranch run release {held.run}` or `reject`",
                    ExitCode.HELD,
                )
    screen.close()
    return runs


class Screen:
    """Progress on stderr: lines that rewrite themselves on a terminal, now and then a line elsewhere."""

    def __init__(self, *, show: bool) -> None:
        self._show = show
        self._live = show and sys.stderr.isatty()
        self._drawn = 0
        self._told: dict[RunId, tuple[int, str, float]] = {}

    def update(self, execution: ExecutionLine, looks: list[Look]) -> None:
        if self._live:
            self._redraw(execution, looks)
        elif self._show:
            for look in looks:
                self._tell(look)

    def _redraw(self, execution: ExecutionLine, looks: list[Look]) -> None:
        lines = [
            f"{execution.name}: {execution.state}, group {execution.group or execution.groups} of {execution.groups}"
        ]
        lines += [f"  {_mark(look)} {look.profile:<20} {look.line()}" for look in looks]
        back = f"\x1b[{self._drawn}A" if self._drawn else ""
        sys.stderr.write(back + "".join(f"\x1b[2K{line}\n" for line in lines))
        sys.stderr.flush()
        self._drawn = len(lines)

    def _tell(self, look: Look) -> None:
        import time

        phase, state, told = self._told.get(look.run, (-1, "", 0.0))
        now = time.monotonic()
        if (phase, state) != (look.phase_index, look.state.value) or (
            not look.state.is_final and now - told > _PLAIN_EVERY_SECONDS
        ):
            self._told[look.run] = (look.phase_index, look.state.value, now)
            ending = f" | {look.state.value}" if look.state.is_final else ""
            tell(f"{look.profile} {look.run}: {look.line()}{ending}")

    def close(self) -> None:
        self._drawn = 0


def _mark(look: Look) -> str:
    if not look.state.is_final:
        return click.style("·", fg="yellow")
    good = look.state in (RunState.COMPLETED, RunState.COMPLETED_WITH_WARNINGS)
    return click.style("+", fg="green") if good else click.style("!", fg="red")


def code_of(runs: list[RunLine]) -> ExitCode:
    """What the final states of an execution's runs mean for a script."""
    states = {run.state for run in runs}
    if states & {RunState.FAILED, RunState.CANCELLED}:
        return ExitCode.FAILED
    if RunState.COMPLETED_WITH_ERRORS in states:
        return ExitCode.OBJECT_ERRORS
    return ExitCode.OK
