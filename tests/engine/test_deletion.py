"""When a metaverse object goes, and what brings it back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.builders import NOW

from anabranch.engine.deletion import Connector, join_cancels, rule_fires, schedule
from anabranch.model.configuration import DeletionPolicy
from anabranch.model.enums import AuthoritativeMode, DeletionRule
from anabranch.model.identity import CsoId, RunId

HR, PAYROLL = Connector(CsoId(1), "hr", counts=True), Connector(CsoId(2), "payroll", counts=True)
ACCOUNT = Connector(CsoId(3), "directory", counts=False)

MANUAL = DeletionPolicy(rule=DeletionRule.MANUAL)
LAST = DeletionPolicy(rule=DeletionRule.WHEN_LAST_CONNECTOR_DISCONNECTED)


def authoritative(mode: AuthoritativeMode, *systems: str) -> DeletionPolicy:
    return DeletionPolicy(rule=DeletionRule.WHEN_AUTHORITATIVE_SOURCE_DISCONNECTED, mode=mode, systems=systems)


ANY = authoritative(AuthoritativeMode.ANY, "hr", "payroll")
ALL = authoritative(AuthoritativeMode.ALL, "hr", "payroll")
ONLY_HR = authoritative(AuthoritativeMode.ALL, "hr")


@pytest.mark.behaviour("SYN-53", "SYN-54")
@pytest.mark.parametrize(
    ("policy", "leaving", "remaining", "fires"),
    [
        (MANUAL, [HR], [], False),
        (LAST, [HR], [], True),
        (LAST, [HR], [ACCOUNT], True),
        (LAST, [HR], [PAYROLL], False),
        (LAST, [ACCOUNT], [], False),
        (LAST, [HR, PAYROLL], [], True),
        (ANY, [HR], [PAYROLL], True),
        (ANY, [ACCOUNT], [PAYROLL], False),
        (ALL, [HR], [PAYROLL], False),
        (ALL, [PAYROLL], [ACCOUNT], True),
        (ALL, [HR, PAYROLL], [], True),
        (ONLY_HR, [HR], [PAYROLL, ACCOUNT], True),
        (ONLY_HR, [PAYROLL], [], False),
        (ONLY_HR, [PAYROLL, ACCOUNT], [], False),
    ],
)
def test_the_rule_fires_as_the_policy_says(
    policy: DeletionPolicy, leaving: list[Connector], remaining: list[Connector], fires: bool
) -> None:
    assert rule_fires(policy, leaving, remaining) is fires


@pytest.mark.behaviour("SYN-55")
def test_a_scheduled_deletion_remembers_why_and_under_which_policy() -> None:
    policy = DeletionPolicy(
        rule=DeletionRule.WHEN_AUTHORITATIVE_SOURCE_DISCONNECTED,
        systems=("hr",),
        grace=timedelta(days=7),
        condition='is_null(mv["hold"])',
    )

    decided = schedule(policy, HR, RunId(5), NOW)

    assert decided.delete_after == NOW + timedelta(days=7)
    assert decided.snapshot == {
        "system": "hr",
        "cso": 1,
        "run": 5,
        "at": "2026-03-01T12:00:00+00:00",
        "rule": "when_authoritative_source_disconnected",
        "mode": "all",
        "systems": ["hr"],
        "grace_seconds": 604_800,
        "condition": 'is_null(mv["hold"])',
    }


@pytest.mark.behaviour("SYN-56")
@pytest.mark.parametrize(("grace", "at_once"), [(timedelta(0), True), (timedelta(seconds=1), False)])
def test_only_without_grace_the_deletion_is_due_in_the_same_run(grace: timedelta, at_once: bool) -> None:
    decided = schedule(DeletionPolicy(grace=grace), HR, RunId(1), NOW)

    assert decided.at_once is at_once
    assert (decided.delete_after <= NOW) is at_once


def scheduled(policy: DeletionPolicy, trigger: Connector = HR) -> dict[str, Any]:
    return schedule(policy, trigger, RunId(1), NOW).snapshot


@pytest.mark.behaviour("SYN-58")
@pytest.mark.parametrize(
    ("snapshot", "joining", "cancels"),
    [
        (scheduled(LAST), PAYROLL, True),
        (scheduled(LAST), ACCOUNT, False),
        (scheduled(ANY), HR, True),
        (scheduled(ANY), PAYROLL, False),
        (scheduled(ALL), PAYROLL, True),
        (scheduled(ALL), ACCOUNT, False),
        (scheduled(ONLY_HR), PAYROLL, False),
        (scheduled(MANUAL), HR, False),
        (None, HR, False),
    ],
)
def test_a_join_cancels_the_deletion_it_answers(
    snapshot: dict[str, Any] | None, joining: Connector, cancels: bool
) -> None:
    assert join_cancels(snapshot, joining) is cancels
