"""Identities over counters, and the final state they allow."""

from __future__ import annotations

import pytest

from anabranch.model.enums import FailedReason, RunKind, RunState, Severity
from anabranch.protocol.accounting import IDENTITIES, balance, final_state

SYNC = {"selected": 5, "changed": 2, "unchanged": 1, "removed": 1, "errored": 1}
NOTHING: dict[Severity, int] = {}


@pytest.mark.behaviour("AUD-5", "AUD-6", "AUD-7")
@pytest.mark.parametrize(
    ("kind", "place"),
    [(kind, place) for kind, identities in IDENTITIES.items() for place in range(len(identities))],
)
def test_an_identity_holds_with_every_part_and_breaks_without_any_one(kind: RunKind, place: int) -> None:
    identity = IDENTITIES[kind][place]
    whole = {name: n for n, name in enumerate(identity.parts, start=1)}
    totals = {identity.whole: sum(whole.values()), **whole}
    # The counters of the other identities of an import are filled so that those hold.
    others = {other.whole: sum(totals.get(n, 0) for n in other.parts) for other in IDENTITIES[kind]}
    totals = {**others, **totals}
    assert balance(kind, totals) == []
    for name in identity.parts:
        (fault,) = balance(kind, {**totals, name: 0})
        assert fault.startswith(f"{identity.whole} = ")


def test_absence_is_asked_for_only_where_it_was_counted() -> None:
    assert balance(RunKind.FULL_IMPORT, {"read": 1, "added": 1, "seen_known": 7}) == []
    assert len(balance(RunKind.FULL_IMPORT, {"read": 1, "added": 1, "known_before": 8, "seen_known": 7})) == 1


def test_a_fault_names_the_figures() -> None:
    (fault,) = balance(RunKind.DELTA_SYNC, {"selected": 5, "changed": 3})
    assert fault.endswith("does not hold: 5 is not 3 (changed 3)")


@pytest.mark.behaviour("AUD-9")
@pytest.mark.parametrize(
    ("totals", "severities", "more", "expected"),
    [
        (SYNC, {Severity.ERROR: 1}, {"leads_to": RunState.CANCELLED}, (RunState.CANCELLED, None)),
        (
            SYNC,
            NOTHING,
            {"leads_to": RunState.FAILED, "reason": FailedReason.DEADLINE},
            (RunState.FAILED, FailedReason.DEADLINE),
        ),
        ({"selected": 5}, NOTHING, {}, (RunState.FAILED, FailedReason.ACCOUNTING_MISMATCH)),
        (
            {"selected": 10, "errored": 10},
            {Severity.ERROR: 10},
            {},
            (RunState.FAILED, FailedReason.ALL_OBJECTS_ERRORED),
        ),
        ({"selected": 9, "errored": 9}, {Severity.ERROR: 9}, {}, (RunState.COMPLETED_WITH_ERRORS, None)),
        (
            {"selected": 10, "errored": 10, "errored_before": 10},
            {Severity.ERROR: 10},
            {},
            (RunState.COMPLETED_WITH_ERRORS, None),
        ),
        (
            {"selected": 10, "errored": 10, "errored_before": 9},
            {Severity.ERROR: 10},
            {},
            (RunState.FAILED, FailedReason.ALL_OBJECTS_ERRORED),
        ),
        (SYNC, {Severity.ERROR: 1, Severity.WARNING: 1}, {}, (RunState.COMPLETED_WITH_ERRORS, None)),
        ({}, NOTHING, {"dead_batches": 1}, (RunState.COMPLETED_WITH_ERRORS, None)),
        (SYNC, {Severity.WARNING: 1}, {}, (RunState.COMPLETED_WITH_WARNINGS, None)),
        ({}, NOTHING, {"hold_refused": True}, (RunState.COMPLETED_WITH_WARNINGS, None)),
        ({}, {Severity.INFO: 3}, {}, (RunState.COMPLETED, None)),
    ],
)
def test_the_first_final_state_that_applies(
    totals: dict[str, int],
    severities: dict[Severity, int],
    more: dict[str, object],
    expected: tuple[RunState, FailedReason | None],
) -> None:
    assert final_state(RunKind.FULL_SYNC, totals, severities, **more) == expected  # type: ignore[arg-type]


def test_housekeeping_has_no_identity_to_break() -> None:
    assert final_state(RunKind.HOUSEKEEPING, {"selected": 3}, NOTHING) == (RunState.COMPLETED, None)
