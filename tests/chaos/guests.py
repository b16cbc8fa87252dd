"""Guests: what the short ways of a fleet are disturbed with.

They come from one plain file, refer to nobody, and get badges in another plain file, so that they go straight through a
sync, wait in packs for their target, and are unpacked by whoever has to see one of them by itself. People get badges in
the same file. The organisation of the example has none of that: its people refer to one another.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final, NamedTuple

LEAVE_EVERY: Final = 7
CHANGE_EVERY: Final = 5
SHARE: Final = 3
"""One guest for so many people."""


class Guest(NamedTuple):
    id: str
    name: str
    host: str


def guests(people: int, week: int) -> list[Guest]:
    """The guests of a week, in order of id: some of the week before have left, some changed, some are new."""
    first = max(LEAVE_EVERY, people // SHARE)
    there = {f"g{n:04}": Guest(f"g{n:04}", f"Guest {n}", f"unit {n % 4}") for n in range(first)}
    for later in range(1, week + 1):
        for n, one in enumerate(list(there)):
            if n % LEAVE_EVERY == later % LEAVE_EVERY:
                del there[one]
            elif n % CHANGE_EVERY == later % CHANGE_EVERY:
                there[one] = there[one]._replace(name=f"{there[one].name} ({later})")
        fresh = (f"g{later}{n:03}n" for n in range(first // LEAVE_EVERY))
        there |= {one: Guest(one, f"Newcomer {one}", "reception") for one in fresh}
    return sorted(there.values())


def write_guests(there: list[Guest], directory: Path) -> None:
    """Their file stands in the directory, whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    fresh = directory / "guests.fresh"
    with fresh.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Guest._fields)
        writer.writerows(there)
    fresh.rename(directory / "guests.csv")
