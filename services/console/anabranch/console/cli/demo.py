"""`anabranch demo`: the whole product in a minute and a half, and the proof that it works."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="\b\nExamples:\n  anabranch demo --people 2000 --keep\n  anabranch demo --on-fleet --people 2000")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("--people", type=click.IntRange(100, 1_000_000), default=20_000, show_default=True, help="How many.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed is another organisation.")
@click.option("--keep", is_flag=True, help="Keep the database, to look at with `anabranch up` in the directory.")
@click.option("--on-fleet", is_flag=True, help="On the fleet that runs already; DIRECTORY is where its workers are.")
def demo(directory: Path | None, people: int, seed: int, keep: bool, on_fleet: bool) -> None:
    """Run a whole organisation through a real fleet.

    PostgreSQL, Redis and five processes of its own, in DIRECTORY (an empty one, or the next free ./demo-out/N): a
    first cycle, one with joiners, movers and leavers, one in which a sync worker is killed in the middle of a batch and
    whose result is compared with an undisturbed run, and one without any change. Everything is stopped at the end.

    With --on-fleet the same weeks are played on a fleet that runs already and has no configuration yet: the one of the
    ANABRANCH_* variables, or of `anabranch up` here. Killing is left to you; the hash of the state is told at the end,
    and is the same for the same people and seed.
    """
    if on_fleet:
        _on_fleet(directory, people, seed, keep)
        return
    from anabranch.console.demo.showing import Showing
    from anabranch.console.demo.story import Wish, play

    play(Wish(directory=directory, people=people, seed=seed, keep=keep), Showing())


def _on_fleet(directory: Path | None, people: int, seed: int, keep: bool) -> None:
    from anabranch.console.cli.place import DEFAULT_DIRECTORY, find_place
    from anabranch.console.demo.showing import Showing
    from anabranch.console.demo.visiting import Visit, play_on_fleet

    if keep:
        raise click.UsageError("--keep is for a demonstration with servers of its own; --on-fleet removes nothing")
    place = find_place(None, None, None, DEFAULT_DIRECTORY)
    play_on_fleet(
        Visit(database_url=place.database(), directory=directory or Path(), people=people, seed=seed), Showing()
    )
