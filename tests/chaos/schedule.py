"""What will be done to a fleet, and when, made from a seed and nothing else.

A fault waits for a fact, never for a time: the n-th time that any process comes to a certain *stage* of its work on a
certain *place* (the batches of a step, the publishing of hints, the scheduler's sweep). The process that comes there
stops itself (see `points`), so that the blow falls exactly between two things it does. The same seed gives the same
faults for ever; which process they meet is up to the fleet.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random
from typing import Final

import msgspec


class Deed(StrEnum):
    """What is done when the fact is there."""

    KILL = "kill"
    """SIGKILL to the process that came there; another one is started in its place."""
    FREEZE = "freeze"
    """SIGSTOP for longer than a lease, until somebody else has taken its batch."""
    TERM = "term"
    """SIGTERM; the process has to end with 0, another one is started in its place."""
    KILL_SCHEDULER = "kill scheduler"
    """SIGKILL to the scheduler while the process that came there stands still; another one is started."""
    FLUSH = "flush redis"
    """FLUSHALL."""
    DROP_STREAM = "drop stream"
    """The stream of that worker kind is deleted."""
    DESTROY_GROUP = "destroy group"
    """The consumer group of that worker kind is destroyed; its entries stay."""
    KILL_REDIS = "kill redis"
    """SIGKILL; away until work was done without it, then back with what it had."""
    WIPE_REDIS = "wipe redis"
    """SIGKILL; away until work was done without it, then back empty."""
    RESTART_POSTGRES = "restart postgres"
    """A fast shutdown, and a start."""
    CRASH_POSTGRES = "crash postgres"
    """An immediate shutdown, and a start with recovery."""
    SCALE_UP = "scale 1 to 4"
    """Three more sync workers."""
    SCALE_DOWN = "scale 4 to 1"
    """All but one sync worker are asked to go."""
    CANCEL = "cancel a run"
    """An operator cancels the run of the batch in hand."""
    REVISE = "new revision"
    """An administrator applies another configuration, which is taken back before the week is over."""

    @property
    def is_fault(self) -> bool:
        """False for what any operator does on a good day."""
        return self not in {Deed.SCALE_UP, Deed.SCALE_DOWN, Deed.CANCEL, Deed.REVISE}

    @property
    def loses(self) -> bool:
        """True where the batch in hand is lost with its holder."""
        return self in {Deed.KILL, Deed.FREEZE, Deed.RESTART_POSTGRES, Deed.CRASH_POSTGRES}


class Stage(StrEnum):
    """Between which two things the process stands still."""

    CLAIMED = "claimed"
    """It has the batch and has done nothing yet."""
    WRITING = "writing"
    """Everything is written in the open transaction; the batch has not ended."""
    FINISHED = "finished"
    """The batch has ended in the transaction; COMMIT has not been sent."""
    COMMITTED = "committed"
    """Committed, and nobody told: no token, no barrier asked, no hint acknowledged."""
    PAGED = "paged"
    """A page or step of the batch stands in the open transaction."""
    CALLING = "calling"
    """About to call the target."""
    CALLED = "called"
    """The target has done it; nothing is recorded."""
    MARKED = "marked"
    """Rows are marked as published; no hint was sent."""
    LOST = "lost"
    """A sweep has listed a process as lost, and told nothing of what it left behind."""
    SWEPT = "swept"
    """A sweep has named the steps to close; none is closed."""


class Fault(msgspec.Struct, frozen=True):
    """`deed` at the n-th pass of `stage` at `place` in a cycle; `number` is its name in a round.

    A place is a kind of process and what it does, such as `sync:flow`, or `sync:*` for the batches of any step. The
    first cycle is 0.
    """

    number: int
    deed: Deed
    place: str
    stage: Stage
    n: int
    cycle: int = 0

    def __str__(self) -> str:
        return f"{self.number}. {self.deed} at pass {self.n} of {self.place}, {self.stage}, in cycle {self.cycle}"


_BATCH: Final = (Stage.CLAIMED, Stage.WRITING, Stage.FINISHED, Stage.COMMITTED)
PASSES: Final = {
    "import:*": (90, 36),
    "sync:*": (110, 48),
    "export:*": (27, 23),
    "import:import": (7, 7),
    "import:apply.propose": (3, 3),
    "import:apply.settle": (45, 11),
    "import:detect.count": (3, 3),
    "import:detect.write": (3, 3),
    "import:references": (18, 4),
    "import:confirm": (18, 6),
    "sync:assess": (2, 6),
    "sync:unpack": (2, 2),
    "sync:teardown": (2, 3),
    "sync:match.propose": (20, 3),
    "sync:match.settle": (28, 6),
    "sync:flow": (2, 7),
    "sync:references": (18, 6),
    "sync:deletions.count": (2, 2),
    "sync:deletions.write": (2, 3),
    "sync:reserve.propose": (2, 2),
    "sync:reserve.settle": (18, 3),
    "sync:release.count": (2, 2),
    "sync:release.write": (2, 2),
    "sync:outbound": (28, 7),
    "export:unpack": (3, 3),
    "export:assess": (3, 3),
    "export:export": (15, 7),
    "export:export.record": (5, 5),
    "export:references": (3, 3),
    "export:deletes": (3, 4),
    "export:retries": (3, 3),
}
"""Place to batches that the first cycle of 120 people or more has, and a week's cycle after it; `*` is any step."""
_SOFT: Final = (Deed.FLUSH, Deed.DROP_STREAM, Deed.DESTROY_GROUP, Deed.KILL_REDIS, Deed.WIPE_REDIS, Deed.KILL_SCHEDULER)
_PROCESS: Final = (Deed.KILL, Deed.KILL, Deed.FREEZE, Deed.TERM)
_LOSSES: Final = 2
"""So often may faults lose a batch of one step: a third loss in a row splits it, which is right, but not every time."""


def schedule(seed: int, faults: int, weeks: int, *, cancels: int = 0, revisions: int = 0) -> list[Fault]:
    """So many faults, one scaling of the sync workers from 1 to 4 and back to 1, so many cancelled runs and so many
    revisions of the configuration, the same for ever. Other numbers of the latter two change nothing about the rest.

    They are spread over a first cycle and those of `weeks` more weeks.
    """
    random = Random(f"chaos/{seed}")  # noqa: S311 - a repeatable choice, not a secret
    made = [
        Fault(1, Deed.SCALE_UP, "sync:assess", Stage.CLAIMED, random.randint(1, 2)),
        Fault(2, Deed.SCALE_DOWN, "sync:outbound", Stage.COMMITTED, random.randint(1, 4), cycle=weeks),
    ]
    # Every kind of fault that is there once in a round, whatever the seed; the others as it comes.
    certain = [
        *((Deed.KILL, kind) for kind in ("import", "sync", "export", "scheduler")),
        *((Deed.FREEZE, kind) for kind in ("import", "sync", "export", "scheduler")),
        *((Deed.TERM, kind) for kind in ("import", "sync", "export", "scheduler")),
        (random.choice((Deed.RESTART_POSTGRES, Deed.CRASH_POSTGRES)), ""),
        (random.choice((Deed.FLUSH, Deed.WIPE_REDIS)), ""),
        (random.choice((Deed.KILL_REDIS, Deed.DESTROY_GROUP)), ""),
    ]
    chosen: list[tuple[Deed, str]] = certain if faults >= len(certain) else random.sample(certain, faults)
    while len(chosen) < faults:
        chosen.append((random.choice((*_PROCESS, *_SOFT)), ""))
    chosen += [(Deed.CANCEL, random.choice(("import", "sync", "export"))) for _ in range(cancels)]
    chosen += [(Deed.REVISE, random.choice(("import", "sync", "export"))) for _ in range(revisions)]
    taken = {(one.cycle, one.place, one.stage, one.n) for one in made}
    losses: dict[tuple[int, str], int] = {}
    for deed, kind in chosen:
        while True:
            cycle = random.randint(0, weeks)
            place, stage, n = _fact(random, kind, cycle)
            often = deed.loses and not place.endswith("*") and losses.get((cycle, place), 0) >= _LOSSES
            if (cycle, place, stage, n) not in taken and not often:
                break
        taken.add((cycle, place, stage, n))
        losses[cycle, place] = losses.get((cycle, place), 0) + deed.loses
        made.append(Fault(len(made) + 1, deed, place, stage, n, cycle))
    return made


def _fact(random: Random, kind: str, cycle: int) -> tuple[str, Stage, int]:
    if kind == "scheduler":
        if random.random() < 0.5:
            return "scheduler:publish", Stage.MARKED, random.randint(1, 6)
        return "scheduler:sweep", Stage.SWEPT, random.randint(2, 20)
    places = [one for one in PASSES if one.startswith(kind)]
    if random.random() < 0.4:
        places = [one for one in places if one.endswith("*")]
    place = random.choice(places)
    most = PASSES[place][min(cycle, 1)]
    stages: tuple[Stage, ...] = _BATCH
    if place == "import:import":
        stages = (*_BATCH, Stage.PAGED)
    elif place == "export:export":
        # Of the batches there the plans, one for each target, call nobody.
        stages = (*_BATCH, Stage.PAGED, Stage.CALLING, Stage.CALLED)
    stage = random.choice(stages)
    if stage in {Stage.PAGED, Stage.CALLING, Stage.CALLED}:
        most = max(1, most - 4)
    return place, stage, random.randint(1, most)
