"""What becomes of a batch that fails again and again, or kills its workers.

Somewhere in it is an object that no worker survives. The batch is cut in two until that object is alone; then it is
set aside with an error of its own, and everything around it is done. What cannot be cut (a plan, the one batch of a
file) is dead. Either way each object is counted as its step would have counted it, so that the run's figures still add
up and tell what was not done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from anabranch.model.changes import Changes, ErrorItem
from anabranch.model.enums import RunKind
from anabranch.model.fleet import Claimed, NewBatch
from anabranch.protocol.accounting import IDENTITIES
from anabranch.protocol.steps import step_at


class Ground(msgspec.Struct, frozen=True):
    """Where the numbers of a step's batches point, and which counters take an object that was not done there.

    `space` is that of the error item; `numbers_objects` is false where the numbers are places in a list of the run.
    """

    space: str
    counters: tuple[str, ...] = ()
    numbers_objects: bool = True


_TAKEN_UP: Final = ("selected", "errored")
_IMPORT: Final[Mapping[str, Ground]] = {
    "apply.settle": Ground("source", ("rejected",), numbers_objects=False),
    "detect.write": Ground("cso", ("held_back_absent",)),
    "references": Ground("cso"),
    "confirm": Ground("export"),
}
_SYNC: Final[Mapping[str, Ground]] = {
    "assess": Ground("cso"),
    "unpack": Ground("cso"),
    "teardown": Ground("cso", _TAKEN_UP),
    "match.propose": Ground("cso", _TAKEN_UP),
    "match.settle": Ground("cso", _TAKEN_UP, numbers_objects=False),
    "flow": Ground("cso", _TAKEN_UP),
    "references": Ground("cso"),
    "deletions.write": Ground("mvo"),
    "reserve.settle": Ground("cso", numbers_objects=False),
    "release.count": Ground("mvo"),
    "release.write": Ground("cso"),
    "outbound": Ground("mvo"),
}
_EXPORT: Final = Ground("export", ("errored",))
"""What an export run takes up is counted by `assess`; its later steps say what became of it."""


def children_of(claimed: Claimed) -> list[NewBatch]:
    """The two halves of the batch, in order; empty when it cannot be cut.

    A half of a range may hold any number of the objects, so none is said to be empty.
    """
    if claimed.role == "plan":
        return []
    exports = claimed.payload.get("exports")
    if isinstance(exports, list):
        middle = len(exports) // 2
        parts = [(exports[:middle], middle), (exports[middle:], len(exports) - middle)] if middle else []
        # What the whole batch may have told its target is told again by its parts, in its stead.
        parts_of = [*claimed.payload.get("parts_of", []), claimed.batch]
        told = {**claimed.payload, "parts_of": parts_of}
        return _children(claimed, [({**told, "exports": part}, total) for part, total in parts])
    packs = claimed.payload.get("packs")
    if isinstance(packs, list):
        middle = len(packs) // 2
        halves = [packs[:middle], packs[middle:]] if middle else []
        return _children(
            claimed,
            [({**claimed.payload, "packs": half}, sum(objects for _, objects in half)) for half in halves],
        )
    lo, hi = claimed.payload.get("lo"), claimed.payload.get("hi")
    if not isinstance(lo, int) or not isinstance(hi, int) or lo >= hi:
        return []
    middle, half = (lo + hi) // 2, claimed.total // 2
    return _children(
        claimed,
        [
            ({**claimed.payload, "lo": lo, "hi": middle}, max(1, half)),
            ({**claimed.payload, "lo": middle + 1, "hi": hi}, max(1, claimed.total - half)),
        ],
    )


def _children(claimed: Claimed, parts: list[tuple[dict[str, object], int]]) -> list[NewBatch]:
    ordered = is_ordered(claimed)
    return [
        NewBatch(n=n, payload=payload, total=total, waits_for_previous=ordered and n > 1)
        for n, (payload, total) in enumerate(parts, start=1)
    ]


def is_ordered(claimed: Claimed) -> bool:
    """True when the batches of the step go one by one."""
    return step_at(claimed.kind, claimed.ordinal).ordered


def lone_number(claimed: Claimed) -> int | None:
    """The one number a batch is about; None for a plan, a whole file, or a batch of several."""
    if claimed.role == "plan":
        return None
    exports, lo = claimed.payload.get("exports"), claimed.payload.get("lo")
    if isinstance(exports, list):
        return exports[0] if len(exports) == 1 else None
    return lo if isinstance(lo, int) and lo == claimed.payload.get("hi") else None


def poisoned(claimed: Claimed, number: int, why: str) -> Changes:
    """The record of an object that breaks every batch it is in; it stays due, the others are done (FLT-10)."""
    ground = _ground(claimed)
    changes = Changes()
    message = f"{claimed.step}: {why}; the object is set aside and stays due, look at the worker's log and its data"
    changes.errors.append(
        ErrorItem(
            space=ground.space,
            kind="poisoned_object",
            key=str(number),
            message=message,
            object_id=number if ground.numbers_objects else None,
        )
    )
    for name in ground.counters:
        changes.count(name)
    return changes


def abandoned(claimed: Claimed) -> dict[str, int]:
    """The counters of a dead batch: everything it had not yet reported on is errored, and stays due."""
    ground = _ground(claimed)
    if claimed.role == "plan" or not ground.counters:
        return {}
    parts = {name for identity in IDENTITIES[claimed.kind] for name in identity.parts}
    left = max(0, claimed.total - sum(n for name, n in claimed.counters.items() if name in parts))
    return dict.fromkeys(ground.counters, left) if left else {}


def _ground(claimed: Claimed) -> Ground:
    if claimed.kind is RunKind.EXPORT:
        return _EXPORT
    table = _IMPORT if claimed.kind in {RunKind.FULL_IMPORT, RunKind.DELTA_IMPORT} else _SYNC
    return table.get(claimed.step, Ground("cso"))
