"""The input of a measurement: people with fifteen attributes, the same for the same number and seed for ever.

About 190 bytes a person, as an HR export has them; nothing in it names anyone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

COLUMNS: Final = (
    "id", "first", "last", "title", "department", "company", "street", "city", "postal_code", "country",
    "phone", "mobile", "mail", "cost_center", "status",
)  # fmt: skip
_SYLLABLES: Final = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va")
_TITLES: Final = ("Analyst", "Clerk", "Engineer", "Nurse", "Planner", "Teacher", "Technician", "Welder")


def write_people(path: Path, count: int, seed: int, *, changed: float = 0.0) -> int:
    """`path` holds `count` people; a share of `changed` of them has another telephone than without it, as returned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    every = round(1 / changed) if changed else 0
    moved = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        for number, row in enumerate(_people(count, seed)):
            if every and number % every == every // 2:
                row[10] = f"+0 900 {number:07d}"
                moved += 1
            file.write(",".join(row) + "\n")
    return moved


def _people(count: int, seed: int) -> Iterator[list[str]]:
    draw = Random(seed)  # noqa: S311 - an invented population, nothing secret
    for number in range(count):
        first, last, street, city = (_name(draw) for _ in range(4))
        unit = draw.randrange(400)
        yield [
            f"E{number:07d}", first, last, draw.choice(_TITLES), f"Department {unit:03d}", f"Company {unit % 7}",
            f"{street} Street {draw.randrange(1, 200)}", city, f"{draw.randrange(10000, 99999)}", "XX",
            f"+0 100 {number:07d}", f"+0 200 {draw.randrange(10**7):07d}",
            f"{first}.{last}.{number}@example.org".lower(), str(1000 + unit), "active",
        ]  # fmt: skip


def _name(draw: Random) -> str:
    return "".join(draw.choice(_SYLLABLES) for _ in range(3)).capitalize()
