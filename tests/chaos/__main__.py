"""`python -m tests.chaos --seed 1 --rounds 10`: disturbed cycles, judged, and a table of what happened."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import click
from tests.chaos.arena import Arena
from tests.chaos.rounds import Round, in_peace, play_round, say, table
from tests.chaos.schedule import Fault, schedule
from tests.chaos.site import Size

_ROOT = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Round n has the faults of seed + n - 1.")
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True)
@click.option("--faults", type=click.IntRange(0), default=18, show_default=True, help="Of each round.")
@click.option("--people", type=click.IntRange(60), default=Size().people, show_default=True)
@click.option("--weeks", type=click.IntRange(0), default=Size().weeks, show_default=True, help="After the first cycle.")
@click.option("--overlap/--apart", default=True, show_default=True, help="Systems go their ways at the same time.")
@click.option(
    "--cancels", type=click.IntRange(0), default=3, show_default=True, help="Runs that are cancelled in each."
)
@click.option("--revisions", type=click.IntRange(0), default=2, show_default=True, help="Revisions tried in each.")
@click.option("--show", is_flag=True, help="Only list the faults of the seed.")
@click.option("--keep", type=click.Path(path_type=Path), default=None, help="Keep logs, journals and files there.")
def main(
    seed: int,
    rounds: int,
    faults: int,
    people: int,
    weeks: int,
    overlap: bool,
    cancels: int,
    revisions: int,
    show: bool,
    keep: Path | None,
) -> None:
    """Disturb a fleet and judge what it leaves. Ends with 1 when an invariant was violated."""
    numbers = range(seed, seed + rounds)
    lists = {one: schedule(one, faults, weeks, cancels=cancels, revisions=revisions) for one in numbers}
    if show:
        for fault in lists[seed]:
            say(str(fault))
        return
    size = Size(people=people, weeks=weeks, overlap=overlap)
    with tempfile.TemporaryDirectory(prefix="anabranch-chaos-") as made:
        played = asyncio.run(_play(keep or Path(made), size, lists))
    say(table(played))
    sys.exit(1 if any(one.violations for one in played) else 0)


async def _play(directory: Path, size: Size, lists: dict[int, list[Fault]]) -> list[Round]:
    played: list[Round] = []
    with Arena(directory, _ROOT) as arena:
        peace = await in_peace(arena, size)
        say(f"undisturbed: state {peace.state}")
        for number, faults in lists.items():
            one = await play_round(arena, size, faults, peace, name=f"seed {number}")
            played.append(one)
            struck = sum(blow.fault.deed.is_fault for blow in one.blows)
            say(f"{one.name}: {struck} faults in {one.seconds:.1f} s, {len(one.violations)} violations")
            for violation in one.violations:
                say(f"  {violation}")
            for fault in one.unmet:
                say(f"  its fact did not come: {fault}")
    return played


if __name__ == "__main__":
    main()
