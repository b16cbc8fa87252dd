"""`make bench`: the initial cycle, one without changes and one with 1 % of them, against a raw COPY of the same file.

Absolute times say little on a shared machine: what counts are the ratios, taken in one run, and processor seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench.cycle import Cycle, Place, open_place
from tests.bench.floor import measured_floor
from tests.bench.people import write_people

SEED = 7


def measure(place: Place, people: int, *, with_floor: bool) -> dict[str, float]:
    """The seconds of each copy and cycle, interleaved; prints what each cycle cost."""
    write_people(place.source, people, SEED)
    copies = [place.measured_copy()]
    first = _shown("initial", place.cycle())
    copies.append(place.measured_copy())
    floor = measured_floor(place.database_url) if with_floor else {}
    if floor:
        print("\nthe rows of it, written by PostgreSQL alone, in us of processor time a person:")
        for name, spent in floor.items():
            print(f"  {spent * 1e6 / people:8.1f}  {name}")
    same = _shown("unchanged", place.cycle())
    copies.append(place.measured_copy())
    write_people(place.source, people, SEED, changed=0.01)
    delta = _shown("1 % changed", place.cycle())
    copies.append(place.measured_copy())
    copy = sorted(copies)[len(copies) // 2]
    return {
        "F": copy,
        "P1": first.seconds / copy,
        "P2": same.seconds / copy,
        "P3": delta.seconds / same.seconds,
        **({"P1 at least": sum(floor.values()) / (os.cpu_count() or 1) / copy} if floor else {}),
    }


def _shown(name: str, cycle: Cycle) -> Cycle:
    cpu = "  ".join(f"{role} {seconds:.1f}" for role, seconds in cycle.cpu.items())
    peak = "  ".join(f"{role} {mebibytes:.0f}" for role, mebibytes in cycle.peak.items())
    print(f"\n{name}: {cycle.seconds:.2f} s\n  CPU s:    {cpu}  all {sum(cycle.cpu.values()):.1f}\n  peak MiB: {peak}")
    for step, seconds in cycle.steps.items():
        if seconds >= 0.1:
            print(f"  {seconds:8.2f} s  {step}")
    return cycle


def main() -> int:
    """The measurement is printed; its working directory is gone."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[20_000, 100_000, 500_000])
    parser.add_argument("--sync-workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--floor", action="store_true", help="measure too what the rows cost PostgreSQL alone")
    parser.add_argument("--keep", action="store_true", help="leave the working directory, with the logs, behind")
    wish = parser.parse_args()
    for people in wish.people:
        directory = Path(tempfile.mkdtemp(prefix="anabranch-bench-"))
        try:
            with open_place(directory, sync_workers=wish.sync_workers, batch_size=wish.batch_size) as place:
                figures = measure(place, people, with_floor=wish.floor)
        finally:
            if wish.keep:
                print(f"kept: {directory}")
            else:
                shutil.rmtree(directory, ignore_errors=True)
        print(f"\n{people:,} people: " + "  ".join(f"{name} {value:.2f}" for name, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
