"""Guests: what the short ways of a fleet are disturbed with, and what several sources share.

They come from one plain file, refer to nobody, and get badges in another plain file, so that they go straight through a
sync, wait in packs for their target, and are unpacked by whoever has to see one of them by itself. People get badges in
the same file. The porter's list of visits joins them by their passports, so that two syncs take turns over them; and
now and then one is registered anew under another number, and has to keep what she has. Each brings a device, which gets
a sticker: about those nobody else has a say. The organisation of the example has none of that.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

LEAVE_EVERY: Final = 7
CHANGE_EVERY: Final = 5
RENUMBER_EVERY: Final = 6
VISIT_EVERY: Final = 2
SHARE: Final = 3
"""One guest for so many people."""


class Guest(NamedTuple):
    id: str
    name: str
    host: str
    passport: str


def guests(people: int, week: int) -> list[Guest]:
    """The guests of a week, in order of id: some of the week before have left, some have changed or got another
    number, some are new."""
    first = max(LEAVE_EVERY, people // SHARE)
    there = [Guest(f"g{n:04}", f"Guest {n}", f"unit {n % 4}", f"P{n * 7919 % 10_007:05}") for n in range(first)]
    for later in range(1, week + 1):
        stayed = [_later(one, n, later) for n, one in enumerate(there) if n % LEAVE_EVERY != later % LEAVE_EVERY]
        fresh = range(first // LEAVE_EVERY)
        there = stayed + [Guest(f"g{later}{n:03}n", f"Newcomer {n}", "reception", f"Q{later}{n:03}") for n in fresh]
    return sorted(there)


def _later(guest: Guest, n: int, week: int) -> Guest:
    if n % RENUMBER_EVERY == week % RENUMBER_EVERY:
        return guest._replace(id=f"r{week}{guest.id}")
    if n % CHANGE_EVERY == week % CHANGE_EVERY:
        return guest._replace(name=f"{guest.name} ({week})")
    return guest


def write_guests(there: Sequence[Guest], directory: Path) -> None:
    """Their files stand in the directory, each whole or not at all."""
    _write(directory / "guests" / "guests.csv", Guest._fields, there)
    visits = ((one.passport, f"floor {len(one.name) % 5}") for n, one in enumerate(there) if n % VISIT_EVERY == 0)
    _write(directory / "visits" / "visits.csv", ("passport", "floor"), visits)
    devices = ((f"D-{one.passport}", one.name) for one in there)
    _write(directory / "devices" / "devices.csv", ("serial", "model"), devices)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".fresh")
    with fresh.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    fresh.rename(path)
