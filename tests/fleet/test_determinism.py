"""The same organisation, cut and shared out in every way, and its rows in any order: the same state, the same files.

A batch of one object is the finest cut there is, and a batch of 5,000 holds everybody at once; both are tried with one
worker and with four, on an organisation small enough for that.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.fleet.sites import Ground, Outcome, Site, configuration, new_database, open_site

from anabranch.console.demo.generator import found, next_week, write

PEOPLE = 20
SEED = 5
WEEKS = 2


def _write(site: Site, week: int) -> None:
    made = found(PEOPLE, SEED)
    for number in range(1, week + 1):
        made, _ = next_week(made, SEED, number, new_phones=0.2)
    write(made, site.directory / "data")


def _shuffle(directory: Path, order: random.Random) -> None:
    """The rows of every source file stand in another order; the header stays where it is."""
    for file in sorted(directory.rglob("*.csv")):
        header, *rows = file.read_bytes().splitlines(keepends=True)
        before: Sequence[bytes] = tuple(rows)
        order.shuffle(rows)
        assert list(before) != rows
        file.write_bytes(b"".join([header, *rows]))


async def _history(
    ground: Ground, bare: str, workers: int, batch_size: int, page_size: int, order: random.Random | None
) -> list[Outcome]:
    """What each cycle of a site leaves."""
    async with new_database(ground, bare) as database:
        directory = ground.directory / database
        (directory / "out").mkdir(parents=True)
        async with open_site(ground, database, directory) as site:
            await site.configure(configuration(ground.project_root, batch_size, page_size))
            await site.staff(sync=workers)
            outcomes = []
            for week in range(WEEKS):
                _write(site, week)
                if order is not None:
                    _shuffle(directory / "data", order)
                await site.cycle(week)
                outcomes.append(await site.outcome())
            return outcomes


@pytest.fixture(scope="session")
def plain(ground: Ground, bare: str) -> list[Outcome]:
    """One worker, everything in one batch, rows as they come."""
    return asyncio.run(_history(ground, bare, 1, 5000, 5000, None))


@pytest.mark.parametrize(
    ("workers", "batch_size", "page_size", "shuffled"),
    [(1, 1, 7, False), (4, 1, 1, True), (2, 7, 5, True), (1, 1000, 1000, True), (4, 5000, 5000, True)],
)
@pytest.mark.timeout(400)
@pytest.mark.behaviour("FLT-9", "FLT-13", "FLT-14")
async def test_neither_workers_nor_cuts_nor_the_order_of_rows_change_the_result(
    ground: Ground, bare: str, plain: list[Outcome], workers: int, batch_size: int, page_size: int, shuffled: bool
) -> None:
    order = random.Random(f"{workers}/{batch_size}") if shuffled else None  # noqa: S311 - repeatable, not a secret
    assert await _history(ground, bare, workers, batch_size, page_size, order) == plain
