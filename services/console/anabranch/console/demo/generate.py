"""The generator by itself: `python -m anabranch.console.demo.generate DIRECTORY --people 200000`.

The files of an organisation, or of the same organisation some weeks later, without running anything. Week n of a seed
is always the same, so a first call and a later one with `--weeks 1` give two states of one organisation.
"""

from __future__ import annotations

from pathlib import Path

import click

from anabranch.console.demo.generator import found, next_week, write


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--people", type=click.IntRange(10, 5_000_000), default=20_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed is another organisation.")
@click.option("--weeks", type=click.IntRange(0, 520), default=0, show_default=True, help="How many weeks have passed.")
def main(directory: Path, people: int, seed: int, weeks: int) -> None:
    """Write hr/people.csv, hr/units.csv and training/training.csv of an invented organisation to DIRECTORY."""
    organisation = found(people, seed)
    for week in range(1, weeks + 1):
        organisation, _ = next_week(organisation, seed, week)
    write(organisation, directory)
    click.echo(f"{len(organisation.people)} people, {len(organisation.units)} units in {directory}", err=True)


if __name__ == "__main__":
    main()
