"""`anabranch run`: start, look, follow, and decide."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from anabranch.console.cli.exit_codes import not_found
from anabranch.console.cli.output import cell, output_option, show_list, show_one, table, tell
from anabranch.console.cli.place import Place, connected, opened, run_async, with_place
from anabranch.console.cli.watching import code_of, watch
from anabranch.model.enums import RunState

if TYPE_CHECKING:
    from anabranch.store.overview import RunDetail, RunLine

_T = TypeVar("_T")
_RUN = click.argument("number", metavar="RUN", type=click.IntRange(1))
_COLUMNS = ("run", "execution", "profile", "system", "state", "step", "started_at", "ended_at", "message")


@click.group()
def run() -> None:
    """Start, watch and decide runs."""


def _decision(command: Callable[..., _T]) -> Callable[..., _T]:
    command = click.option("--reason", default="", help="Why, for the record.")(command)
    return click.option("--actor", default=getpass.getuser, show_default="you", help="Who decides.")(command)


@run.command(
    epilog="\b\nExamples:\n  anabranch run start cycle --follow\n  anabranch run start hr-import --wait --timeout 600"
)
@click.argument("name")
@click.option("--wait", is_flag=True, help="Come back when it has ended; the exit code says how.")
@click.option("--follow", is_flag=True, help="As --wait, with progress on stderr.")
@click.option("--timeout", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Wait no longer; it goes on.")
@click.option("--actor", default=getpass.getuser, show_default="you", help="Who starts it.")
@output_option
@with_place
@click.pass_context
def start(
    context: click.Context,
    name: str,
    wait: bool,
    follow: bool,
    timeout: float | None,
    actor: str,
    output: str,
    place: Place,
) -> None:
    """Start the run profile or execution NAME of the newest revision.

    One of that name that is queued already is not queued twice: the answer is its number.
    """
    number, runs = run_async(_start(place, name, actor))
    if wait or follow:
        runs = run_async(watch(place, number, show=follow, seconds=timeout))
    else:
        tell(f"execution {number} is queued; follow it with `anabranch run watch {runs[0].run}`")
    show_list([_row(one) for one in runs], output, _COLUMNS, "run")
    if wait or follow:
        context.exit(code_of(runs))


async def _start(place: Place, name: str, actor: str) -> tuple[Any, list[RunLine]]:
    async with opened(place) as store:
        declared = (await store.revision()).configuration
        known = {*declared.executions, *declared.run_profiles}
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise not_found(
                f"there is no execution or run profile {name!r} in the newest revision; declared are {names}"
            )
        number = await store.start_execution(name, actor)
        return number, await store.overview.runs_of(number)


def _row(line: RunLine) -> dict[str, Any]:
    return msgspec.structs.asdict(line)


@run.command("ls", epilog="\b\nExample:\n  anabranch run ls --limit 5 -o json")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many at most.")
@output_option
@with_place
def list_runs(limit: int, output: str, place: Place) -> None:
    """List the newest runs, newest first."""
    from anabranch.store.overview import Overview

    async def read() -> list[RunLine]:
        async with connected(place) as connection:
            return await Overview(connection).runs(limit)

    show_list([_row(one) for one in run_async(read())], output, _COLUMNS, "run")


async def _detail(place: Place, number: int) -> RunDetail:
    from anabranch.model.identity import RunId
    from anabranch.store.overview import Overview

    async with connected(place) as connection:
        found = await Overview(connection).run(RunId(number))
    if found is None:
        raise not_found(f"there is no run {number}; list them with `anabranch run ls`")
    return found


@run.command(epilog="\b\nExample:\n  anabranch run show 12")
@_RUN
@output_option
@with_place
def show(number: int, output: str, place: Place) -> None:
    """Show a run: its steps with their figures, its errors by kind, and what holds it."""
    found = run_async(_detail(place, number))
    record = {**_row(found.run), "steps": found.steps, "errors": found.errors, "holds": found.holds}
    show_one(record, output, "run", lambda: _text(found))


def _text(found: RunDetail) -> str:
    line = found.run
    facts = [
        ("run", f"{line.run} of execution {line.execution}"),
        ("profile", f"{line.profile} ({line.kind.value}{f' of {line.system}' if line.system else ''})"),
        ("state", line.state.value + (f", {line.failed_reason}" if line.failed_reason else "")),
        ("revision", cell(line.config_version)),
        ("started", cell(line.started_at)),
        ("ended", cell(line.ended_at)),
        ("totals", cell(line.totals)),
        ("message", cell(line.message)),
        ("trace", line.trace_id),
    ]
    parts = ["\n".join(f"{name:<9} {value}" for name, value in facts)]
    steps = [
        {**msgspec.structs.asdict(step), "step": f"{step.ordinal}.{step.name}", "counted": step.counters}
        for step in found.steps
    ]
    parts.append(table(steps, ("step", "state", "total", "batches", "counted")))
    if found.errors:
        errors = [msgspec.structs.asdict(error) for error in found.errors]
        parts.append(table(errors, ("severity", "kind", "count", "message")))
    for hold in found.holds:
        parts.append(f"hold at {hold.point}: {hold.state}, {hold.operations} operations, since {cell(hold.opened_at)}")
        parts += [f"  {cell(finding)}" for finding in hold.findings]
    return "\n\n".join(parts)


@run.command("watch", epilog="\b\nExample:\n  anabranch run watch 12")
@_RUN
@click.option("--timeout", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Watch no longer; it goes on.")
@with_place
@click.pass_context
def watch_command(context: click.Context, number: int, timeout: float | None, place: Place) -> None:
    """Follow the execution a run belongs to until it has ended; the exit code says how."""
    found = run_async(_detail(place, number))
    runs = run_async(watch(place, found.run.execution, show=True, seconds=timeout))
    for line in runs:
        tell(f"{line.profile} {line.run}: {line.state.value}{f' ({line.message})' if line.message else ''}")
    context.exit(code_of(runs))


@run.command(epilog='\b\nExample:\n  anabranch run cancel 12 --reason "wrong file"')
@_RUN
@_decision
@with_place
def cancel(number: int, actor: str, reason: str, place: Place) -> None:
    """Cancel a run; batches in work finish, nothing new is begun. A file that was begun is written and recorded."""

    async def work() -> RunState:
        async with opened(place) as store:
            return await store.cancel_run(_run_id(number), actor, reason)

    line = run_async(_detail(place, number)).run
    if line.state.is_final:
        tell(f"run {number} has ended already: {line.state.value}")
        return
    tell(f"run {number}: {after_cancel(run_async(work()))}")


def after_cancel(state: RunState) -> str:
    """What the state of a run says just after it was cancelled."""
    if state is RunState.RUNNING:
        return "it has begun to write a file, and will be cancelled when what it wrote is recorded; nothing else to do"
    return state.value


@run.command(epilog='\b\nExample:\n  anabranch run release 12 --reason "the closing of a site, announced"')
@_RUN
@_decision
@with_place
def release(number: int, actor: str, reason: str, place: Place) -> None:
    """Let a held run carry out exactly the operations that its hold lists."""
    _decide(number, actor, reason, place, released=True)


@run.command(epilog='\b\nExample:\n  anabranch run reject 12 --reason "truncated export"')
@_RUN
@_decision
@with_place
def reject(number: int, actor: str, reason: str, place: Place) -> None:
    """Let a held run go on without the operations of the guard that holds it."""
    _decide(number, actor, reason, place, released=False)


def _decide(number: int, actor: str, reason: str, place: Place, *, released: bool) -> None:
    run_async(_detail(place, number))

    async def work() -> None:
        async with opened(place) as store:
            if released:
                await store.release_hold(_run_id(number), actor, reason)
            else:
                await store.reject_hold(_run_id(number), actor, reason)

    run_async(work())
    tell(f"run {number} goes on {'with' if released else 'without'} the operations that were held")


def _run_id(number: int) -> Any:
    from anabranch.model.identity import RunId

    return RunId(number)
