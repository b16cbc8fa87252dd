"""What a round left behind, gathered once everything is still, as plain records to be judged.

Four witnesses that know nothing of each other: the database with the log its triggers kept, the streams, the journal of
what the targets were told, and a collector of spans. The organisation itself is the fifth: it says what must be there.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

import msgspec
from tests.chaos.guests import guests
from tests.chaos.journal import Call, calls
from tests.chaos.replay import Replay
from tests.chaos.site import Database, Site, Size
from tests.fleet.sites import Outcome

from anabranch.bus.streams import GROUP, Keys
from anabranch.model.enums import WorkerKind


class Entry(msgspec.Struct, frozen=True):
    """One committed change of a row: of what, in which transaction, from what to what, by whose connection."""

    n: int
    tx: int
    at: float
    what: str
    id: int
    sub: int = 0
    was: dict[str, Any] | None = None
    now: dict[str, Any] = {}
    by: str = ""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    execution: int
    grp: int
    profile: str
    system: int | None
    state: str
    message: str | None
    ended: float | None
    deadline: float | None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    run: int
    ordinal: int
    name: str
    state: str
    fired: int
    expected: int | None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    run: int
    ordinal: int
    kind: str
    state: str
    producer: int
    epoch: int
    failures: int
    losses: int


class Attempt(msgspec.Struct, frozen=True):
    batch: int
    epoch: int
    claim: str
    outcome: str | None
    at: float
    span: str = ""
    trace: str = ""
    """Of its execution."""


class Bus(msgspec.Struct, frozen=True):
    """By lane: entries waiting or in work, and entries delivered and not acknowledged; keys without an end to their
    life that no fleet keeps; dead letters."""

    lengths: dict[str, int]
    pending: dict[str, int]
    strays: list[str] = []
    dead: list[int] = []


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the judges look at."""

    log: list[Entry]
    runs: list[Run]
    steps: list[Step]
    batches: list[Batch]
    attempts: list[Attempt]
    exporting: int
    packs: int
    """Packs of new objects that were ever made."""
    bus: Bus
    calls: list[Call]
    spans: dict[str, str]
    """Span to its trace, as a collector was told."""
    refused: list[str]
    """What a strict directory would not have taken from the ledger's journals."""
    expected: dict[str, list[str]]
    found: dict[str, list[str]]
    """By population, the names that must be there and those that are."""
    outcome: Outcome
    peace: Outcome | None
    exit_codes: dict[str, int | None]
    """Of processes that were asked to stop."""
    deserters: dict[str, int] = {}
    """Of processes that ended by themselves."""


_RUNS: Final = """
SELECT id, execution_id AS execution, grp, profile, system_id AS system, state,
       coalesce(message, (SELECT string_agg(DISTINCT e.kind || ': ' || e.message, '; ') FROM run_error e
                           WHERE e.run_id = run.id)) AS message,
       extract(epoch FROM ended_at)::float8 AS ended, extract(epoch FROM deadline)::float8 AS deadline
  FROM run ORDER BY id
"""
_STEPS: Final = "SELECT run_id AS run, ordinal, name, state, fired, expected FROM run_step ORDER BY run_id, ordinal"
_BATCHES: Final = """
SELECT id, run_id AS run, ordinal, worker_kind AS kind, state, producer, epoch, failures, losses FROM batch ORDER BY id
"""
_ATTEMPTS: Final = """
SELECT a.batch_id AS batch, a.epoch, a.claim, a.outcome, extract(epoch FROM a.started_at)::float8 AS at,
       a.span_id AS span, e.trace_id AS trace
  FROM batch_attempt a
  JOIN batch b ON b.id = a.batch_id JOIN run r ON r.id = b.run_id JOIN execution e ON e.id = r.execution_id
 ORDER BY a.batch_id, a.epoch
"""
_LOG: Final = "SELECT n, tx, at, what, id, sub, was, now, by FROM chaos_log ORDER BY n"
_ANCHORS: Final = """
SELECT s.key || '/' || t.key AS population, c.anchor
  FROM cso c JOIN object_type t ON t.id = c.type_id JOIN system s ON s.id = t.system_id
 WHERE c.state = 'normal' AND s.key IN ('hr', 'training', 'guests') ORDER BY 1, 2
"""
_JOINED: Final = """
SELECT y.key || ' of active people' AS population, h.anchor
  FROM cso h
  JOIN object_type t ON t.id = h.type_id AND t.key = 'person'
  JOIN cso_sync hs ON hs.cso_id = h.id
  JOIN system s ON s.id = hs.system_id AND s.key = 'hr'
  JOIN cso_sync o ON o.mvo_id = hs.mvo_id
  JOIN system y ON y.id = o.system_id AND y.key IN ('directory', 'ledger')
 WHERE h.doc->>'status' IN ('active', 'leave') ORDER BY 1, 2
"""


_SILENT: Final = "SELECT FROM worker WHERE state IN ('running', 'draining') AND NOT (pid = ANY($1)) LIMIT 1"


async def the_dead_are_known(site: Site, seconds: float) -> None:
    """Whoever was killed is listed as lost, and what it had no time to tell is told; or the time for it is over."""

    async def known() -> bool | None:
        rows = await site.database.ask(_SILENT, [one.pid for one in site.fleet.running()])
        return None if rows else True

    await site.database.until(known, seconds)


async def stillness(site: Site, seconds: float) -> None:
    """Nothing waits and nothing is pending, or the time for it is over; the judges then see what is left."""

    async def still() -> bool | None:
        bus = bus_of(site)
        rows = await site.database.ask("SELECT FROM batch WHERE state IN ('blocked', 'ready', 'leased') LIMIT 1")
        quiet = not rows and not any(bus.lengths.values()) and not any(bus.pending.values())
        return True if quiet else None

    await site.database.until(still, seconds)


def bus_of(site: Site) -> Bus:
    """The streams as they are at this moment."""
    keys = Keys(site.prefix)
    lanes = list(keys.all_lanes())
    lengths, pending, dead = {}, {}, []
    kept = {*lanes, keys.bus_epoch(), *(keys.dead(kind) for kind in WorkerKind)}
    with site.arena.redis.client() as client:
        for lane in lanes:
            lengths[lane] = int(client.xlen(lane))
            groups: Any = client.xinfo_groups(lane) if client.exists(lane) else []
            pending[lane] = sum(one["pending"] for one in groups if one["name"] == GROUP)
        strays = sorted(
            key for key in client.scan_iter(match=f"{site.prefix}*") if key not in kept and client.ttl(key) == -1
        )
        for kind in WorkerKind:
            entries: Any = client.xrange(keys.dead(kind))
            dead += [int(fields["batch"]) for _, fields in entries]
    return Bus(lengths, pending, strays, sorted(dead))


async def gather(
    site: Site,
    points: Path,
    size: Size,
    peace: Outcome | None,
    exit_codes: dict[str, int | None],
    deserters: dict[str, int],
    spans: dict[str, str],
) -> Evidence:
    """All of it, from a site where nothing moves any more."""
    ask = site.database.ask
    exporting = await ask("SELECT count(*) FROM pending_export WHERE state = 'exporting'")
    packs = await ask("SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('provision_pack', 'id')), 0)")
    return Evidence(
        log=[Entry(**row) for row in await ask(_LOG)],
        runs=[Run(**row) for row in await ask(_RUNS)],
        steps=[Step(**row) for row in await ask(_STEPS)],
        batches=[Batch(**row) for row in await ask(_BATCHES)],
        attempts=[Attempt(**row) for row in await ask(_ATTEMPTS)],
        exporting=exporting[0][0],
        packs=packs[0][0],
        bus=bus_of(site),
        calls=calls(points / "calls.jsonl"),
        spans=spans,
        refused=Replay(site.directory / "out" / "ledger").refused,
        expected=expected(size),
        found=await _found(site.database, site.directory / "out"),
        outcome=await site.outcome(),
        peace=peace,
        exit_codes=exit_codes,
        deserters=deserters,
    )


def expected(size: Size) -> dict[str, list[str]]:
    """What has to be there after the last cycle, by the organisation alone."""
    last = size.organisation(size.weeks)
    active = sorted(one.id for one in last.people.values() if one.status in {"active", "leave"})
    visitors = guests(size.people, size.weeks)
    there = {"hr/person": sorted(last.people), "hr/unit": sorted(last.units)}
    if size.cycle != "brief":
        there |= {"ledger of active people": active, "accounts in the ledger": [str(len(active))]}
    if size.cycle == "disturbed":
        there |= {
            "training/record": sorted(last.certificates),
            "directory of active people": active,
            "accounts in directory.ldif": [str(len(active))],
            "stickers": sorted(f"D-{one.passport}" for one in visitors),
            "guests/guest": [one.id for one in visitors],
            "badges": sorted([*(f"p-{one}" for one in active), *(f"v-{one.passport}" for one in visitors)]),
        }
    return there


async def _found(database: Database, out: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for statement in (_ANCHORS, _JOINED):
        for row in await database.ask(statement):
            found.setdefault(row["population"], []).append(row["anchor"])
    directory = out / "directory.ldif"
    entries = directory.read_text(encoding="utf-8").count("objectClass: inetOrgPerson") if directory.exists() else 0
    found["accounts in directory.ldif"] = [str(entries)]
    for name, anchor in (("badges", "code"), ("stickers", "serial")):
        file = out / f"{name}.csv"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        found[name] = sorted(row[anchor] for row in csv.DictReader(lines))
    found["accounts in the ledger"] = [str(len(Replay(out / "ledger").entries))]
    return found
