"""Which run may decide about the metaverse.

Runs of different systems may overlap while they read and assess; from the first step that changes joins to the last
that writes, at most one run is at work per metaverse type, so that what overlapping runs leave behind is what one of
their serial orders would have left (FLT-15). A run takes the turn of all its types or of none. One that finds it taken
waits with its next step unopened, and those that wait go on in the order in which they started. A hold gives the turn
up; what comes after it asks again.

An export needs the turn too while its target is one file: from the first object that is read for the file until the
last result is recorded, nobody may change what is being written, or an account would stand in the file that nobody
knows of. Targets that are written object by object mark each export as under way instead.
"""

from __future__ import annotations

from typing import Final

from anabranch.model.configuration import Configuration
from anabranch.model.enums import RunKind
from anabranch.model.identity import TypeId
from anabranch.model.registry import Revision
from anabranch.protocol.steps import STEPS

WHOLE_FILE: Final = "whole_file"
"""The kind of the pack that the assess of an export leaves where its target is one file and is to be written."""


def needs_turn(kind: RunKind, ordinal: int, *, whole_file: bool) -> bool:
    """True from the first step of the kind that decides about the metaverse to the last that writes to it; in an export
    of a `whole_file` from its writing to the end of its recording."""
    steps = STEPS[kind]
    if steps[ordinal - 1].of_file:
        return whole_file
    return steps[ordinal - 1].name != "purge" and any(step.needs_turn for step in steps[:ordinal])


def turn_types(revision: Revision, kind: RunKind, system: str | None) -> list[TypeId]:
    """The metaverse types a run decides about, by number: all for housekeeping; for others those its system's rules
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
