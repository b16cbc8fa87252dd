"""Rounds: a site goes through its cycles while everything happens to it, is judged, and told in a table."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
from tests.chaos.arena import Arena
from tests.chaos.evidence import Evidence, gather, stillness, the_dead_are_known
from tests.chaos.invariants import ACTIVE, Violation, judge, repeated_calls
from tests.chaos.points import arm, begin
from tests.chaos.schedule import Deed, Fault
from tests.chaos.site import DisturbedFleet, Site, Size
from tests.chaos.striking import Blow, Striker
from tests.chaos.teeth import Tooth
from tests.fleet.sites import Outcome
from tests.telemetry.collector import Collector

from anabranch.console.local_fleet import Service
from anabranch.model.enums import ExecutionState

FIRST: Final = datetime(2026, 1, 5, 6, tzinfo=UTC)
_NUMBERS: Final = count(1)
_MOST_CYCLES: Final = 4
_AUDIT: Final = Path(__file__).with_name("evidence.sql")


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What a round was and what came of it."""

    name: str
    blows: list[Blow]
    unmet: list[Fault]
    """Faults whose fact never came true."""
    violations: list[Violation]
    same_state: bool | None
    """State hash and target files equal those of the undisturbed worker; None where there is none to compare with."""
    repeated_calls: int
    split: int
    """Batches that were split because they were lost too often."""
    seconds: float
    places: dict[str, int]
    """Place (`sync:flow`) to the batches it had, in all cycles."""
    packs: int
    """Packs of new objects that were made."""
    overlaps: int
    """Pairs of runs that were under way at the same time."""


async def in_peace(arena: Arena, size: Size) -> Outcome:
    """What one undisturbed worker of each kind leaves after the same cycles; lanes go one after the other."""
    site = await Site.made(arena, _name("peace"), size._replace(batch_size=50, page_size=100))
    try:
        for service in Service:
            site.fleet.add(service)
        await asyncio.to_thread(site.fleet.wait_ready)
        for week in range(size.weeks + 1):
            size.supply(week, site.directory / "data")
            for name in (*size.lanes_of(week), size.cycle):
                await _executed(site, size, name, week)
        states = await site.database.ask("SELECT DISTINCT state FROM run")
        assert [row[0] for row in states] == ["completed"], states
        return await site.outcome()
    finally:
        await site.remove()


def _name(kind: str) -> str:
    return f"chaos_{kind}_{os.getpid()}_{next(_NUMBERS)}"


async def _executed(site: Site, size: Size, name: str, week: int) -> bool:
    """The execution has ended; False when it never does, or is held."""
    execution = await site.start(name, FIRST + timedelta(weeks=week))

    async def over() -> bool | None:
        rows = await site.database.ask("SELECT ended_at IS NOT NULL AS over FROM execution WHERE id = $1", execution)
        return True if rows[0]["over"] else None

    return bool(await site.database.until(over, size.patience))


async def _lanes(site: Site, size: Size, week: int) -> bool:
    """All lanes have begun at once and gone their ways, in whatever order the fleet brought them; False when that never
    ends."""

    async def lane(name: str) -> bool:
        return all([await _executed(site, size, name, week) for _ in range(size.laps)])

    return all(await asyncio.gather(*(lane(name) for name in size.lanes_of(week))))


async def _closed(site: Site, size: Size, week: int, striker: Striker) -> bool:
    """What the lanes left to each other is done, under the configuration that counts; False when that never ends. A
    cycle of which a run was cancelled, or into which another revision fell, is begun again."""
    for _ in range(_MOST_CYCLES):
        if site.variant:
            await site.revise(0)
        ended = await _executed(site, size, size.cycle, week)
        await striker.settle()
        if not ended:
            return False
        rows = await site.database.ask("SELECT state FROM execution ORDER BY id DESC LIMIT 1")
        if rows[0]["state"] != ExecutionState.CANCELLED and not site.variant:
            return True
    return False


class Disturbed:
    """One disturbed site, from its founding to its judgement."""

    def __init__(
        self, arena: Arena, size: Size, faults: Sequence[Fault], peace: Outcome | None, tooth: Tooth | None
    ) -> None:
        self._arena = arena
        self._size = size
        self._faults = list(faults)
        self._peace = peace
        self._tooth = tooth

    async def play(self, name: str) -> Round:
        """The round, told."""
        begun = asyncio.get_running_loop().time()
        site = await Site.made(self._arena, _name("round"), self._size, DisturbedFleet)
        points = site.directory / "points"
        striker = Striker(site, points, self._faults)
        try:
            arm(points, self._faults)
            with _collected() as collector:
                evidence = await self._disturb(site, points, striker, collector)
        finally:
            striker.finish()
            await site.remove()
        recoveries(striker.blows, evidence)
        met = {blow.fault.number for blow in striker.blows}
        return Round(
            name=name,
            blows=striker.blows,
            unmet=[fault for fault in self._faults if fault.number not in met],
            violations=judge(evidence),
            same_state=None if evidence.peace is None else evidence.outcome == evidence.peace,
            repeated_calls=repeated_calls(evidence),
            split=sum(batch.state == "skipped" for batch in evidence.batches),
            seconds=asyncio.get_running_loop().time() - begun,
            places=places(evidence),
            packs=evidence.packs,
            overlaps=overlaps(evidence),
        )

    async def _disturb(self, site: Site, points: Path, striker: Striker, collector: Collector) -> Evidence:
        fleet = site.fleet
        assert isinstance(fleet, DisturbedFleet)
        fleet.points, fleet.tooth = points, self._tooth
        await site.database.ask("SELECT 1")
        await _audit(site)
        watching = asyncio.create_task(striker.watch(), name="striker")
        for service in Service:
            fleet.add(service, 1 if service is Service.SCHEDULER else self._size.peers)
        for week in range(self._size.weeks + 1):
            self._size.supply(week, site.directory / "data")
            begin(points, week)
            ended = await _lanes(site, self._size, week)
            await striker.settle()
            if not ended or not await _closed(site, self._size, week, striker):
                break
        await stillness(site, self._size.stillness)
        striker.finish()
        await watching
        await the_dead_are_known(site, self._size.stillness)
        codes = {str(blow.fault): blow.exit_code for blow in striker.blows if blow.fault.deed in _ASKED}
        deserters = dict(striker.deserters)
        await asyncio.to_thread(fleet.stop, drain_seconds=10.0)
        spans = {span.span_id.hex(): span.trace_id.hex() for span in collector.spans()}
        return await gather(site, points, self._size, self._peace, codes, deserters, spans)


@contextmanager
def _collected() -> Iterator[Collector]:
    """A collector to which every process tells that is started meanwhile."""
    collector, variable = Collector(), "OTEL_EXPORTER_OTLP_ENDPOINT"
    before = os.environ.get(variable)
    os.environ[variable] = collector.endpoint
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before


_ASKED: Final = frozenset({Deed.TERM, Deed.SCALE_DOWN})


async def _audit(site: Site) -> None:
    import asyncpg

    connection = await asyncpg.connect(site.database.url)
    try:
        await connection.execute(_AUDIT.read_text(encoding="utf-8"))
    finally:
        await connection.close()


def places(evidence: Evidence) -> dict[str, int]:
    """How many batches each place had."""
    names = {(step.run, step.ordinal): step.name for step in evidence.steps}
    return Counter(f"{batch.kind}:{names[batch.run, batch.ordinal]}" for batch in evidence.batches)


def overlaps(evidence: Evidence) -> int:
    """How many pairs of runs were under way at the same time."""
    under_way: set[int] = set()
    pairs = 0
    for entry in evidence.log:
        if entry.what == "run" and entry.now["state"] in ACTIVE and entry.id not in under_way:
            pairs += len(under_way)
            under_way.add(entry.id)
        elif entry.what == "run" and entry.now["state"] not in ACTIVE:
            under_way.discard(entry.id)
    return pairs


def recoveries(blows: Sequence[Blow], evidence: Evidence) -> None:
    """Each blow knows how long it took until the struck batch was done, or, where it was done already or none was in
    hand, until the next batch was done that somebody took after the blow."""
    done = {entry.id: entry.at for entry in evidence.log if entry.what == "batch" and entry.now["state"] == "done"}
    taken = [(one.at, done[one.batch]) for one in evidence.attempts if one.batch in done and one.outcome == "done"]
    for blow in blows:
        own = done.get(blow.batch, 0.0)
        later = [end for at, end in taken if at > blow.at]
        end = own if own > blow.at else min(later, default=None)
        blow.recovered = None if end is None else end - blow.at


def table(rounds: Sequence[Round]) -> str:
    """Faults by kind with their recovery times, rounds with their violations."""
    blows = [blow for one in rounds for blow in one.blows]
    lines = [f"{'fault':<18}{'times':>6}{'median':>10}{'maximum':>10}   recovery in seconds"]
    counts = Counter(blow.fault.deed for blow in blows)
    for deed in Deed:
        if counts[deed]:
            lines.append(f"{deed:<18}{counts[deed]:>6}{_times([one for one in blows if one.fault.deed is deed])}")
    faults = [blow for blow in blows if blow.fault.deed.is_fault]
    lines += [f"{'all faults':<18}{len(faults):>6}{_times(faults)}", ""]
    lines.append(
        f"{'round':<18}{'faults':>6}{'unmet':>10}{'overlaps':>10}{'calls again':>12}"
        f"{'violations':>12}{'same state':>12}{'seconds':>10}"
    )
    for one in rounds:
        struck = sum(blow.fault.deed.is_fault for blow in one.blows)
        same = {None: "-", True: "yes", False: "no"}[one.same_state]
        lines.append(
            f"{one.name:<18}{struck:>6}{len(one.unmet):>10}{one.overlaps:>10}{one.repeated_calls:>12}{len(one.violations):>12}"
            f"{same:>12}{one.seconds:>10.1f}"
        )
    for one in rounds:
        lines += [f"{one.name}: violation of invariant {violation}" for violation in one.violations]
    return "\n".join(lines)


def _times(blows: Sequence[Blow]) -> str:
    times = [blow.recovered for blow in blows if blow.recovered is not None]
    return f"{statistics.median(times):>10.2f}{max(times):>10.2f}" if times else f"{'-':>10}{'-':>10}"


def say(words: str) -> None:
    """A line for whoever watches, at once."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


async def play_round(
    arena: Arena,
    size: Size,
    faults: Sequence[Fault],
    peace: Outcome | None,
    *,
    name: str = "round",
    tooth: Tooth | None = None,
) -> Round:
    """One round with these faults; without `peace` its state is compared with nothing."""
    return await Disturbed(arena, size, faults, peace, tooth).play(name)
