"""Which run may decide about the metaverse.

Runs of different systems may overlap while they read and assess; from the first step that changes joins to the last
that writes, at most one run is at work per metaverse type, so that what overlapping runs leave behind is what one of
their serial orders would have left (FLT-15). A run takes the turn of all its types or of none. One that finds it taken
waits with its next step unopened, and those that wait go on in the order in which they started. A hold gives the turn
up; what comes after it asks again.
"""

from __future__ import annotations

from anabranch.model.configuration import Configuration
from anabranch.model.enums import RunKind
from anabranch.model.identity import TypeId
from anabranch.model.registry import Revision
from anabranch.protocol.steps import STEPS


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
