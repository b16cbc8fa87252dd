"""Which CSOs a sync step concerns, as a set and its parameters.

A CSO becomes due by a change, a failure, rules that went stale or an instant that passed, and a run takes what was due
when it started. Changed CSOs stand in a partial index; staleness is read off the least and greatest stored stamp, and
turning instants from an index of those that have one: a run with nothing due costs a few look-ups, whatever the size of
the connector space.
"""

from __future__ import annotations

from typing import Any, Final

from anabranch.model.errors import Permanent
from anabranch.store.port import Due

_EVALUATED: Final[dict[str, bool | None]] = {"evaluate": None, "unjoined": False, "joined": True}
_OBSOLETE: Final[dict[str, bool]] = {"obsolete_unjoined": False, "obsolete_joined": True}


def due_set(due: Due) -> tuple[str, tuple[Any, ...]]:
    """The name of the set `due` selects and its parameters after the two bounds (SYN-2, SYN-4, SYN-95)."""
    if due.what in _OBSOLETE:
        return "set_due_obsolete", (due.system, _OBSOLETE[due.what])
    types = list(due.stamps)
    if due.what == "references":
        return "set_due_references", (due.system, types)
    if due.what not in _EVALUATED:
        raise Permanent(f"no set of due objects is called {due.what!r}; use one that `Due.what` names")
    joined = _EVALUATED[due.what]
    if due.everything:
        return "set_due_everything", (due.system, types, due.max_seq, joined, due.not_settled_in)
    stamps = list(due.stamps.values())
    extent = (due.config_version, due.now, due.max_seq, joined, due.not_settled_in)
    return "set_due_changed", (due.system, types, stamps, *extent)
