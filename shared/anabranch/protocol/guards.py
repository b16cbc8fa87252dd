"""When a mass change stops a run.

A run that would take away far more than yesterday's is more often a broken source than a real event. So the complete
set of what a step would do is counted before the first of it is done, each count is held against the population
counted when the run started, and where one is out of bounds the run is held and a person decides. The judgement is
arithmetic over numbers the database counted once: no overshoot, and the same verdict however many workers there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from anabranch.model.configuration import Configuration, GuardLimit
from anabranch.model.enums import GuardPoint

_KEEPS_OBJECTS = frozenset({"update", "create"})
"""Operations after which the object is still there: they cannot empty a population."""
HELD_COUNTER: Final = {
    GuardPoint.IMPORT_OBSOLETIONS: "held_back_absent",
    GuardPoint.SYNC_DISCONNECTIONS: "held_back",
    GuardPoint.METAVERSE_DELETIONS: "held_back_deletions",
    GuardPoint.OUTBOUND_RELEASES: "held_back_releases",
    GuardPoint.EXPORT_WRITES: "held_back",
}
"""The counter of the guarded step that a rejection raises. Only those called `held_back` and `held_back_absent` are
part of an identity (AUD-5 to AUD-7): deletions and releases concern objects the run has not selected."""


class Breach(msgspec.Struct, frozen=True):
    """One operation out of bounds: how many of it, and the limit it broke, in words an operator reads."""

    op: str
    count: int
    limit: str


class Finding(msgspec.Struct, frozen=True):
    """A tripped guard: the point, the population, and each operation out of bounds (GRD-4)."""

    point: GuardPoint
    population: int
    breaches: tuple[Breach, ...]


def judge(limit: GuardLimit, counts: Mapping[str, int], population: int, point: GuardPoint) -> Finding | None:
    """What trips the guard of one object type at one point, or None (GRD-2).

    `counts` holds the complete number of each operation (`obsolete`, `disconnect`, `delete`, `release`, `update`,
    `create`), each judged for itself against `population`. Creates are judged only where the limit asks for it. A
    population of none makes every count a share above any percentage. Leaving none of a population that had some trips
    whatever the percentages and the floor say (IMP-21), unless `allow_empty` has been declared.
    """
    if not limit.enabled:
        return None
    breaches = []
    for op, count in sorted(counts.items()):
        if op == "create" and not limit.creates:
            continue
        broken = _broken(limit, op, count, population)
        if broken is not None:
            breaches.append(Breach(op, count, broken))
    return Finding(point, population, tuple(breaches)) if breaches else None


def limit_for(configuration: Configuration, point: GuardPoint, system: str | None, key: str) -> GuardLimit:
    """The limit declared at a point for an object type of a system, or (system None) for a metaverse type; the default
    where none is, or where the type is no longer declared."""
    if system is None:
        mvo_type = configuration.metaverse.get(key)
        return mvo_type.guards.get(point, GuardLimit()) if mvo_type else GuardLimit()
    declared = configuration.systems.get(system)
    return declared.guards.get(point, GuardLimit()) if declared else GuardLimit()


def in_words(findings: Sequence[Mapping[str, Any]]) -> str:
    """Findings as they are stored, each with the key of its `type`, as an operator reads them in a list."""
    return "; ".join(
        f"{finding['point']} of {finding['type']}: {breach['count']} {breach['op']} of {finding['population']}, "
        f"{breach['limit']}"
        for finding in findings
        for breach in finding["breaches"]
    )


def _broken(limit: GuardLimit, op: str, count: int, population: int) -> str | None:
    if count <= 0:
        return None
    if op not in _KEEPS_OBJECTS and not limit.allow_empty and 0 < population <= count:
        return "would leave none (allow_empty is false)"
    if limit.max_count is not None and count > limit.max_count:
        return f"more than max_count {limit.max_count}"
    if count >= limit.percent_floor and count * 100 > limit.max_percent * population:
        return f"more than max_percent {limit.max_percent:g} % (from percent_floor {limit.percent_floor})"
    return None
