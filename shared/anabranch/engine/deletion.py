"""When a metaverse object goes.

The deletion rule is asked at each disconnection, before anything is recalled (SYN-21). When it fires, the MVO remembers
why and under which policy (SYN-55): later changes of policy do not alter a deletion that is scheduled. Without grace
the deletion takes place in the same run, after matching, so that a re-keyed person is rescued by the new join (SYN-56).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec

from anabranch.model.configuration import DeletionPolicy
from anabranch.model.enums import AuthoritativeMode, DeletionRule
from anabranch.model.identity import CsoId, RunId


class Connector(msgspec.Struct, frozen=True):
    """A CSO joined to the MVO, as far as deletion cares: does it count (SYN-54), and whose is it."""

    cso_id: CsoId
    system: str
    counts: bool


class Scheduled(msgspec.Struct, frozen=True):
    """A deletion that has been decided: the instant it is due and the snapshot of why."""

    delete_after: datetime
    snapshot: dict[str, Any]
    at_once: bool


def rule_fires(policy: DeletionPolicy, leaving: Collection[Connector], remaining: Collection[Connector]) -> bool:
    """Whether the departure of `leaving` makes the deletion rule fire (SYN-53, SYN-54)."""
    match policy.rule:
        case DeletionRule.MANUAL:
            return False
        case DeletionRule.WHEN_LAST_CONNECTOR_DISCONNECTED:
            return any(one.counts for one in leaving) and not any(one.counts for one in remaining)
        case DeletionRule.WHEN_AUTHORITATIVE_SOURCE_DISCONNECTED:
            listed = set(policy.systems)
            if not any(one.system in listed for one in leaving):
                return False
            if policy.mode is AuthoritativeMode.ANY:
                return True
            return not any(one.system in listed for one in remaining)


def schedule(policy: DeletionPolicy, trigger: Connector, run: RunId, now: datetime) -> Scheduled:
    """The deletion `trigger` leads to, with the snapshot of the policy that decided it (SYN-55)."""
    return Scheduled(
        delete_after=now + policy.grace,
        snapshot={
            "system": trigger.system,
            "cso": trigger.cso_id,
            "run": run,
            "at": now.isoformat(),
            "rule": policy.rule.value,
            "mode": policy.mode.value,
            "systems": list(policy.systems),
            "grace_seconds": int(policy.grace.total_seconds()),
            "condition": policy.condition,
        },
        at_once=not policy.grace,
    )


def join_cancels(snapshot: dict[str, Any] | None, joining: Connector) -> bool:
    """Whether a join cancels the scheduled deletion (SYN-58), judged by the snapshot that scheduled it."""
    if snapshot is None:
        return False
    match DeletionRule(snapshot["rule"]):
        case DeletionRule.MANUAL:
            return False
        case DeletionRule.WHEN_LAST_CONNECTOR_DISCONNECTED:
            return joining.counts
        case DeletionRule.WHEN_AUTHORITATIVE_SOURCE_DISCONNECTED:
            if AuthoritativeMode(snapshot["mode"]) is AuthoritativeMode.ANY:
                return bool(joining.system == snapshot["system"])
            return joining.system in snapshot["systems"]
