"""Whether a run's figures add up, and what it may therefore call itself.

Each object a run takes up leaves it through exactly one door: added, unchanged, rejected, held back and so on. The sums
over the committed batches must give what was taken up, or something was lost or counted twice, and then no run may be
a success, however green its batches look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from anabranch.model.enums import FailedReason, RunKind, RunState, Severity

ALL_ERRORED_FROM: Final = 10
"""Fewer objects than this may all be in error without the run counting as failed (AUD-9)."""


class Identity(msgspec.Struct, frozen=True):
    """`whole` = the sum of `parts`; with `optional` it is asked only where `whole` was counted."""

    whole: str
    parts: tuple[str, ...]
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.whole} = {' + '.join(self.parts)}"


_IMPORT = (
    Identity(
        "read",
        (
            "added", "updated", "unchanged", "revived", "ignored", "rejected", "superseded", "held_back", "obsoleted",
        ),
    ),
    Identity("known_before", ("seen_known", "obsoleted_absent", "held_back_absent", "out_of_extent"), optional=True),
)  # fmt: skip
_SYNC = (Identity("selected", ("changed", "unchanged", "removed", "held_back", "errored")),)
_EXPORT = (
    Identity(
        "selected",
        (
            "exported", "deprovisioned", "already_current", "waiting", "held_back", "superseded", "cancelled",
            "errored",
        ),
    ),
)  # fmt: skip

IDENTITIES: Final[Mapping[RunKind, tuple[Identity, ...]]] = {
    RunKind.FULL_IMPORT: _IMPORT,
    RunKind.DELTA_IMPORT: _IMPORT,
    RunKind.FULL_SYNC: _SYNC,
    RunKind.DELTA_SYNC: _SYNC,
    RunKind.EXPORT: _EXPORT,
    RunKind.HOUSEKEEPING: (),
}

_TAKEN_UP_AND_ERRORED: Final[Mapping[RunKind, tuple[str, str]]] = {
    RunKind.FULL_IMPORT: ("read", "rejected"),
    RunKind.DELTA_IMPORT: ("read", "rejected"),
    RunKind.FULL_SYNC: ("selected", "errored"),
    RunKind.DELTA_SYNC: ("selected", "errored"),
    RunKind.EXPORT: ("selected", "errored"),
}


def balance(kind: RunKind, totals: Mapping[str, int]) -> list[str]:
    """One sentence for each identity of the run kind that does not hold (AUD-5 to AUD-7); none when all do."""
    faults = []
    for identity in IDENTITIES[kind]:
        if identity.optional and identity.whole not in totals:
            continue
        whole = totals.get(identity.whole, 0)
        parts = sum(totals.get(name, 0) for name in identity.parts)
        if whole != parts:
            counted = ", ".join(f"{name} {totals[name]}" for name in identity.parts if totals.get(name))
            faults.append(f"{identity} does not hold: {whole} is not {parts} ({counted or 'nothing counted'})")
    return faults


def all_errored(kind: RunKind, totals: Mapping[str, int]) -> bool:
    """True when every object is in error, at least 10 of them, and at least one was not in error before (AUD-9).

    `errored_before` counts those of them that were already in error when the run took them up.
    """
    names = _TAKEN_UP_AND_ERRORED.get(kind)
    if names is None:
        return False
    taken_up, errored = (totals.get(name, 0) for name in names)
    return errored >= ALL_ERRORED_FROM and errored == taken_up and totals.get("errored_before", 0) < errored


def final_state(
    kind: RunKind,
    totals: Mapping[str, int],
    severities: Mapping[Severity, int],
    *,
    leads_to: RunState | None = None,
    reason: FailedReason | None = None,
    dead_batches: int = 0,
    hold_refused: bool = False,
) -> tuple[RunState, FailedReason | None]:
    """The final state of a run that is over, the first that applies of AUD-9, and the reason when it is `failed`.

    `severities` counts the run's error and warning items; `leads_to` is set (with `reason`) when the run was cancelled
    or could not finish; `dead_batches` counts those of tolerant steps; `hold_refused` says that a hold was rejected or
    expired.
    """
    if leads_to is RunState.CANCELLED:
        return RunState.CANCELLED, None
    if leads_to is RunState.FAILED:
        return RunState.FAILED, reason or FailedReason.INTERNAL
    if balance(kind, totals):
        return RunState.FAILED, FailedReason.ACCOUNTING_MISMATCH
    if all_errored(kind, totals):
        return RunState.FAILED, FailedReason.ALL_OBJECTS_ERRORED
    if severities.get(Severity.ERROR, 0) or dead_batches:
        return RunState.COMPLETED_WITH_ERRORS, None
    if severities.get(Severity.WARNING, 0) or hold_refused:
        return RunState.COMPLETED_WITH_WARNINGS, None
    return RunState.COMPLETED, None
