"""`anabranch demo`: the whole product in a minute and a half, and the proof that it works."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="\b\nExample:\n  anabranch demo --people 2000 --keep")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("--people", type=click.IntRange(100, 1_000_000), default=20_000, show_default=True, help="How many.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed is another organisation.")
@click.option("--keep", is_flag=True, help="Keep the database, to look at with `anabranch up` in the directory.")
def demo(directory: Path | None, people: int, seed: int, keep: bool) -> None:
    """Run a whole organisation through a real fleet.

    PostgreSQL, Redis and five processes of its own, in DIRECTORY (an empty one, or the next free ./demo-out/N): a
    first cycle, one with joiners, movers and leavers, one in which a sync worker is killed in the middle of a batch and
    whose result is compared with an undisturbed run, and one without any change. Everything is stopped at the end.
    """
    from anabranch.console.demo.showing import Showing
    from anabranch.console.demo.story import Wish, play

    play(Wish(directory=directory, people=people, seed=seed, keep=keep), Showing())
