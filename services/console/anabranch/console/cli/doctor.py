"""`anabranch doctor`: everything a fleet needs, one line each, with the repair beside what is wrong."""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from anabranch.console.cli.exit_codes import ExitCode
from anabranch.console.cli.output import output_option, show_list
from anabranch.console.cli.place import Place, connected, host_and_port, on_bus, run_async, with_place

if TYPE_CHECKING:
    from anabranch.store.overview import WorkerLine

_PACKAGES: Final = ("asyncpg", "redis", "hiredis", "msgspec", "yaml", "numpy", "click", "rich", "opentelemetry.sdk")
_SKEW_SECONDS: Final = 2.0
_SILENT_SECONDS: Final = 15.0
Finding = dict[str, Any]


@click.command(epilog="\b\nExample:\n  anabranch doctor")
@output_option
@with_place
@click.pass_context
def doctor(context: click.Context, output: str, place: Place) -> None:
    """Check everything a fleet needs, and say how to repair it.

    Ends with 1 when something is wrong. `warning` is for what a fleet can do without for a while.
    """
    findings = run_async(_examine(place))
    if output == "table":
        for finding in findings:
            click.echo(_line(finding))
    else:
        show_list(findings, output, (), "check")
    if any(finding["verdict"] == "wrong" for finding in findings):
        context.exit(ExitCode.FAILED)


def _line(finding: Finding) -> str:
    colour = {"ok": "green", "warning": "yellow"}.get(finding["verdict"], "red")
    repair = f"; {finding['repair']}" if finding["repair"] else ""
    return f"{click.style(finding['verdict'].ljust(8), fg=colour)}{finding['check']:<14}{finding['found']}{repair}"


def _finding(check: str, found: str, *, verdict: str = "ok", repair: str = "") -> Finding:
    return {"check": check, "verdict": verdict, "found": found, "repair": repair}


async def _examine(place: Place) -> list[Finding]:
    findings = [_python(), _packages()]
    async for part in _parts(place):
        findings += part
    return findings


async def _parts(place: Place) -> AsyncIterator[list[Finding]]:
    for name, examine in (("PostgreSQL", _postgres), ("Redis", _redis), ("fleet", _fleet)):
        yield await _told(name, examine, place)


async def _told(name: str, examine: Callable[[Place], Awaitable[list[Finding]]], place: Place) -> list[Finding]:
    """The findings; a fault that stands in the way of looking is one itself."""
    from anabranch.model.errors import AnabranchError

    try:
        return await examine(place)
    except AnabranchError as fault:
        return [_finding(name, str(fault), verdict="wrong")]


def _python() -> Finding:
    return _finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages() -> Finding:
    from importlib.util import find_spec

    missing = [name for name in _PACKAGES if _is_missing(find_spec, name)]
    if missing:
        return _finding("packages", f"missing: {', '.join(missing)}", verdict="wrong", repair="pip install anabranch")
    return _finding("packages", "everything is installed")


def _is_missing(find_spec: Callable[[str], Any], name: str) -> bool:
    try:
        return find_spec(name) is None
    except ModuleNotFoundError:
        return True


async def _postgres(place: Place) -> list[Finding]:
    from anabranch.store.inspection import Inspection
    from anabranch.store.migrate import check
    from anabranch.store.pool import connect

    url = place.database()
    problems = await check(url)
    connection = await connect(url, "doctor")
    try:
        inspection = Inspection(connection)
        before = datetime.now(UTC)
        theirs = await inspection.clock()
        ours = before + (datetime.now(UTC) - before) / 2
        version, database = await inspection.versions()
    finally:
        await connection.close()
    host, port = host_and_port(url, 5432)
    findings = [_finding("PostgreSQL", f"{version}, database {database} on {host} {port}")]
    findings += [
        _finding("database", problem, verdict="wrong", repair="anabranch db migrate" if "migrate" in problem else "")
        for problem in problems
    ]
    if not problems:
        findings.append(_finding("database", "settings and schema are right, no pooler in between loses sessions"))
    skew = abs((theirs - ours).total_seconds())
    if skew > _SKEW_SECONDS:
        repair = "keep both clocks by NTP; the fleet goes by PostgreSQL's, but logs and traces will not fit together"
        findings.append(_finding("clock", f"{skew:.1f} s apart from PostgreSQL's", verdict="warning", repair=repair))
    else:
        findings.append(_finding("clock", f"{skew * 1000:.0f} ms apart from PostgreSQL's"))
    return findings


async def _redis(place: Place) -> list[Finding]:
    host, port = host_and_port(place.redis(), 6379)
    async with on_bus(place) as bus:
        facts = await bus.describe()
        problems = await bus.check()
        epoch = await bus.bus_epoch()
    memory = "no memory limit" if not facts.maxmemory else f"maxmemory {facts.maxmemory // 1024 // 1024} MiB"
    shown = f"{facts.version} on {host} {port}, {facts.maxmemory_policy}, {memory}"
    findings = [_finding("Redis", shown, verdict="wrong" if problems else "ok")]
    findings += [_finding("bus", problem, verdict="wrong") for problem in problems]
    if not problems and epoch is None:
        findings.append(
            _finding(
                "bus", "no fleet has used it yet", verdict="warning", repair="start a scheduler, or `anabranch up`"
            )
        )
    return findings


async def _fleet(place: Place) -> list[Finding]:
    from anabranch.store.configuration import history
    from anabranch.store.overview import Overview

    async with connected(place) as connection:
        overview = Overview(connection)
        revisions = await history(connection)
        workers = await overview.workers()
        holds = [hold for hold in await overview.holds() if hold.state == "open"]
        dead = await overview.dead_batches()
    findings = [_configuration(revisions), *_workers(workers)]
    for hold in holds:
        repair = f"anabranch run release {hold.run}, or reject"
        found = f"run {hold.run} is held at {hold.point} ({hold.operations} operations)"
        findings.append(_finding("held", found, verdict="warning", repair=repair))
    if dead:
        runs = sorted({one.run for one in dead})
        repair = f"see their errors with `anabranch run show {runs[-1]}`"
        findings.append(_finding("dead batches", f"{len(dead)} in {len(runs)} runs", verdict="warning", repair=repair))
    return findings


def _configuration(revisions: list[Any]) -> Finding:
    if not revisions:
        repair = "anabranch config apply DIRECTORY"
        return _finding("configuration", "none has been applied", verdict="wrong", repair=repair)
    return _finding("configuration", f"revision {revisions[0].version} by {revisions[0].author}")


def _workers(workers: list[WorkerLine]) -> list[Finding]:
    beating = [one for one in workers if one.state in {"running", "draining"} and one.silent_seconds < _SILENT_SECONDS]
    counts = {kind: sum(one.kind == kind for one in beating) for kind in ("scheduler", "import", "sync", "export")}
    shown = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    missing = [kind for kind, count in counts.items() if not count]
    if missing:
        repair = f"start one: {', '.join(f'anabranch-{_program(kind)}' for kind in missing)}, or all by `anabranch up`"
        findings = [_finding("workers", f"beating: {shown}", verdict="wrong", repair=repair)]
    else:
        findings = [_finding("workers", f"beating: {shown}")]
    silent = [one for one in workers if one.state in {"running", "lost"} and one.silent_seconds >= _SILENT_SECONDS]
    findings += [
        _finding(
            "worker",
            f"{one.worker} has not beaten for {one.silent_seconds:.0f} s",
            verdict="warning",
            repair=f"look after process {one.pid} on {one.host}; its batches go to others",
        )
        for one in silent
    ]
    return findings


def _program(kind: str) -> str:
    return kind if kind == "scheduler" else f"{kind}-worker"
