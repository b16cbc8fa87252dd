"""The numbered steps of each run kind, known when a run starts.

A phase that decides over a complete set has two halves: `propose` and `settle` (contests between objects), or `count`
and `write` (operations a guard judges before the first of them). A gate fails the run when one of its batches is dead:
nothing later opens, so nothing is decided on half of a set. An ordered step has batches of which each waits for the one
before (its plan says which); whatever one of its batches is split into goes one by one. What a file was written from is
recorded in a step of its own, because the file has one writer and its results may have many. The first step that has
to see every object by itself is preceded by `unpack`, which makes rows of what new objects are kept in.
"""

from __future__ import annotations

from typing import Final

import msgspec

from anabranch.model.enums import GuardPoint, RunKind, WorkerKind


class Step(msgspec.Struct, frozen=True):
    """One step: who works on it, if it is a gate, if batches of it may go one by one, which guard judges its end."""

    name: str
    worker: WorkerKind
    gate: bool = False
    ordered: bool = False
    guard: GuardPoint | None = None
    needs_turn: bool = False
    """The step after `assess`: opened only by the run that has the turn of its MVO types (FLT-15)."""
    of_file: bool = False
    """Needs that turn where the target is written as one file, and for this step alone."""
    role: str = "work"
    """The role of its batches: `record` where an export worker calls no system, so that no system's limit counts."""


def _import(name: str, *, gate: bool = False, guard: GuardPoint | None = None) -> Step:
    return Step(name, WorkerKind.IMPORT, gate=gate, guard=guard)


def _sync(
    name: str, *, gate: bool = False, ordered: bool = False, guard: GuardPoint | None = None, turn: bool = False
) -> Step:
    return Step(name, WorkerKind.SYNC, gate=gate, ordered=ordered, guard=guard, needs_turn=turn)


def _export(
    name: str, *, gate: bool = False, guard: GuardPoint | None = None, role: str = "work", of_file: bool = False
) -> Step:
    return Step(name, WorkerKind.EXPORT, gate=gate, guard=guard, role=role, of_file=of_file)


_IMPORT_STEPS = (
    _import("import", gate=True),
    _import("apply.propose", gate=True),
    _import("apply.settle"),
    _import("detect.count", gate=True, guard=GuardPoint.IMPORT_OBSOLETIONS),
    _import("detect.write"),
    _import("references"),
    _import("confirm"),
)
_SYNC_STEPS = (
    _sync("assess", gate=True, guard=GuardPoint.SYNC_DISCONNECTIONS),
    _sync("unpack", gate=True, turn=True),
    _sync("teardown"),
    _sync("match.propose", gate=True),
    _sync("match.settle", gate=True, ordered=True),
    _sync("flow"),
    _sync("references"),
    _sync("deletions.count", gate=True, guard=GuardPoint.METAVERSE_DELETIONS),
    _sync("deletions.write"),
    _sync("reserve.propose", gate=True),
    _sync("reserve.settle", gate=True, ordered=True),
    _sync("release.count", gate=True, guard=GuardPoint.OUTBOUND_RELEASES),
    _sync("release.write"),
    _sync("outbound"),
)
WRITING: Final = "export"
RECORDING: Final = "export.record"
_EXPORT_STEPS = (
    _export("unpack", gate=True, role="record"),
    _export("assess", gate=True, guard=GuardPoint.EXPORT_WRITES),
    _export(WRITING, of_file=True),
    _export(RECORDING, role="record", of_file=True),
    _export("references"),
    _export("deletes"),
    _export("retries"),
)
_HOUSEKEEPING_STEPS = (
    _sync("housekeeping.assess", gate=True),
    _sync("unpack", gate=True, turn=True),
    _sync("deletions.count", gate=True, guard=GuardPoint.METAVERSE_DELETIONS),
    _sync("deletions.write"),
    _sync("release.count", gate=True, guard=GuardPoint.OUTBOUND_RELEASES),
    _sync("release.write"),
    _sync("outbound"),
    _sync("purge"),
)

STEPS: dict[RunKind, tuple[Step, ...]] = {
    RunKind.FULL_IMPORT: _IMPORT_STEPS,
    RunKind.FULL_SYNC: _SYNC_STEPS,
    RunKind.DELTA_SYNC: _SYNC_STEPS,
    RunKind.EXPORT: _EXPORT_STEPS,
    RunKind.HOUSEKEEPING: _HOUSEKEEPING_STEPS,
}


def step_at(kind: RunKind, ordinal: int) -> Step:
    """The step of a run kind at `ordinal`, counted from 1. Raises IndexError past the last."""
    if ordinal < 1:
        raise IndexError(ordinal)
    return STEPS[kind][ordinal - 1]


def is_last(kind: RunKind, ordinal: int) -> bool:
    """True when no step follows."""
    return ordinal >= len(STEPS[kind])


def ordinal_of(kind: RunKind, name: str) -> int:
    """The ordinal of the step named `name`. Raises KeyError when the kind has no such step."""
    for ordinal, step in enumerate(STEPS[kind], start=1):
        if step.name == name:
            return ordinal
    raise KeyError(name)
