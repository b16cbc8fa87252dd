"""How much a change of the configuration can do: nothing, another result, or a loss (MOD-30).

Destructive is what lets go of stored values or identities, what makes deletions possible that were not, and what
loosens a guard (GRD-9). Cosmetic is what no evaluation can notice. Everything else is sync-affecting, and so is
whatever the tables below do not know: a forgotten entry must never make a change look harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from anabranch.model.configuration import DeletionPolicy, GuardLimit
from anabranch.model.enums import ChangeClass, DeletionRule, DeprovisionAction, OutOfScopeAction

Steps = Sequence[str]
"""A path in the record: `("systems", "hr", "object_types", "person", "anchor")`."""

COSMETIC = ChangeClass.COSMETIC
SYNC_AFFECTING = ChangeClass.SYNC_AFFECTING
DESTRUCTIVE = ChangeClass.DESTRUCTIVE

_REMOVALS_DESTROY = (
    ("systems", "*"),
    ("systems", "*", "object_types", "*"),
    ("systems", "*", "object_types", "*", "attributes", "*"),
    ("metaverse", "*"),
    ("metaverse", "*", "attributes", "*"),
    ("rules", "*"),
)
_ALWAYS: tuple[tuple[tuple[str, ...], ChangeClass], ...] = (
    (("run_profiles", "**"), COSMETIC),
    (("executions", "**"), COSMETIC),
    (("systems", "*", "label"), COSMETIC),
    (("systems", "*", "max_parallel_exports"), COSMETIC),
    (("systems", "*", "object_types", "*", "attributes", "*", "sensitive"), COSMETIC),
    (("metaverse", "*", "attributes", "*", "sensitive"), COSMETIC),
    (("systems", "*", "connector"), DESTRUCTIVE),
    (("systems", "*", "object_types", "*", "anchor"), DESTRUCTIVE),
    (("systems", "*", "object_types", "*", "attributes", "*", "type"), DESTRUCTIVE),
    (("metaverse", "*", "attributes", "*", "type"), DESTRUCTIVE),
    (("rules", "*", "direction"), DESTRUCTIVE),
    (("rules", "*", "system"), DESTRUCTIVE),
    (("rules", "*", "object_type"), DESTRUCTIVE),
    (("rules", "*", "metaverse_type"), DESTRUCTIVE),
)
_WORSE_WHEN: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("systems", "*", "object_types", "*", "attributes", "*", "multi_valued"), False),
    (("systems", "*", "object_types", "*", "attributes", "*", "selected"), False),
    (("metaverse", "*", "attributes", "*", "multi_valued"), False),
    (("rules", "*", "deprovision_action"), DeprovisionAction.DELETE),
    (("rules", "*", "out_of_scope_action"), OutOfScopeAction.DISCONNECT),
)
"""Destructive when they become this value, harmless enough the other way."""


def class_of_addition(steps: Steps) -> ChangeClass:
    """The class of something that was not there before."""
    return _always(steps) or SYNC_AFFECTING


def class_of_removal(steps: Steps) -> ChangeClass:
    """The class of something that is no longer there."""
    if any(_matches(steps, pattern) for pattern in _REMOVALS_DESTROY):
        return DESTRUCTIVE
    return _always(steps) or SYNC_AFFECTING


def class_of_change(steps: Steps, after: Any) -> ChangeClass:
    """The class of a value that became `after`."""
    for pattern, worse in _WORSE_WHEN:
        if _matches(steps, pattern) and after == worse:
            return DESTRUCTIVE
    return _always(steps) or SYNC_AFFECTING


def class_of_guard(before: GuardLimit, after: GuardLimit) -> ChangeClass:
    """Destructive where the guard lets pass what it would have held (GRD-9)."""
    no_limit = float("inf")
    looser = (
        (before.enabled and not after.enabled)
        or (
            before.max_count is not None
            and (no_limit if after.max_count is None else after.max_count) > before.max_count
        )
        or after.max_percent > before.max_percent
        or after.percent_floor > before.percent_floor
        or (after.allow_empty and not before.allow_empty)
        or (before.creates and not after.creates)
    )
    return DESTRUCTIVE if looser and before.enabled else SYNC_AFFECTING


def class_of_deletion(before: DeletionPolicy, after: DeletionPolicy) -> ChangeClass:
    """Destructive where objects may be deleted that would have stayed, or sooner than they would have gone."""
    if after.rule is DeletionRule.MANUAL:
        return SYNC_AFFECTING
    waits_longer = after.grace >= before.grace and msgspec.structs.replace(after, grace=before.grace) == before
    return SYNC_AFFECTING if waits_longer else DESTRUCTIVE


def _always(steps: Steps) -> ChangeClass | None:
    return next((found for pattern, found in _ALWAYS if _matches(steps, pattern)), None)


def _matches(steps: Steps, pattern: Sequence[str]) -> bool:
    if pattern[-1] == "**":
        return len(steps) >= len(pattern) - 1 and _matches(steps[: len(pattern) - 1], pattern[:-1])
    return len(steps) == len(pattern) and all(want in ("*", step) for step, want in zip(steps, pattern, strict=True))
