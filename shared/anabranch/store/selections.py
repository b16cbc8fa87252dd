"""What a reader is asked to select, and how a selection is cut into ranges."""

from __future__ import annotations

from datetime import datetime

import msgspec

from anabranch.model.identity import RunId, SystemId, TypeId


class IdRange(msgspec.Struct, frozen=True):
    """A keyset range of ids, both ends included, and how many objects of the set lie in it."""

    lo: int
    hi: int
    total: int


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Which CSOs of one system a sync step concerns."""

    system: SystemId
    what: str
    """`evaluate`: due or (with `everything`) all, in state normal and of a type in `stamps`; `unjoined`, `joined`:
    those of them; `references`: normal joined CSOs of a type in `stamps` whose references are due. `obsolete_unjoined`,
    `obsolete_joined`: obsolete CSOs without or with a join, of any type."""
    stamps: dict[TypeId, int]
    config_version: int
    now: datetime
    max_seq: int
    """The extent: changes after the run's start wait for the next run (SYN-4). A CSO changed later is in the extent all
    the same where it was due at the start for another reason: failed, turned with time, or (once evaluated, so that it
    existed) stale or in the way of `everything`."""
    everything: bool = False
    not_settled_in: RunId | None = None
    """Without what the settling of matches of this run has evaluated."""


class ReferenceTargets(msgspec.Struct, frozen=True):
    """For each (referring type, attribute), the types its references may lead to; of one system."""

    allowed: dict[tuple[TypeId, str], tuple[TypeId, ...]]
