"""Which run may decide about the metaverse.

Runs of different systems may overlap while they read and assess; from the first step that changes joins to the last
that writes, at most one run is at work per metaverse type, so that what overlapping runs leave behind is what one of
their serial orders would have left (FLT-15). A run takes the turn of all its types or of none. One that finds it taken
waits with its next step unopened, and those that wait go on in the order in which they started. A hold gives the turn
up; what comes after it asks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch.model.configuration import Configuration
from anabranch.model.enums import RunKind
from anabranch.model.identity import RunId, TypeId
from anabranch.model.registry import Revision
from anabranch.protocol.steps import STEPS
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


def needs_turn(kind: RunKind, ordinal: int) -> bool:
    """True from the first step of the kind that decides about the metaverse to the last that writes to it."""
    steps = STEPS[kind]
    return steps[ordinal - 1].name != "purge" and any(step.needs_turn for step in steps[:ordinal])


def turn_types(revision: Revision, kind: RunKind, system: str | None) -> list[TypeId]:
    """The metaverse types a run decides about, by number: all for housekeeping; for a sync those its system's rules
    name, and every type that refers to one of them, because a deletion changes who referred to it (SYN-61)."""
    configuration = revision.configuration
    if kind is RunKind.HOUSEKEEPING:
        names = set(configuration.metaverse)
    else:
        names = _with_referring(
            configuration, {rule.metaverse_type for rule in configuration.rules.values() if rule.system == system}
        )
    return sorted(revision.registry.metaverse_types[name] for name in names if name in configuration.metaverse)


def _with_referring(configuration: Configuration, names: set[str]) -> set[str]:
    referring = {
        key
        for key, mvo_type in configuration.metaverse.items()
        if any(names.intersection(attribute.to) for attribute in mvo_type.attributes.values())
    }
    return names if referring <= names else _with_referring(configuration, names | referring)


async def take_turn(connection: Connection, run: RunId, types: Sequence[TypeId]) -> bool:
    """True: the turn of all these types is the run's. False: it has none of them and waits, in order of start."""
    if not types or await connection.fetchval(sql("has_turn"), run, types):
        return True
    if not await connection.fetchval(sql("is_turn_awaited"), run, types):
        taken = await connection.fetchval(sql("take_turn"), run, types)
        if taken == len(types):
            await connection.execute(sql("leave_turn_wait"), run)
            return True
        await give_up_turn(connection, run)
    await connection.execute(sql("wait_for_turn"), run, types)
    return False


async def give_up_turn(connection: Connection, run: RunId) -> None:
    """The run has no turn and waits for none."""
    await connection.execute(sql("give_up_turn"), run)
