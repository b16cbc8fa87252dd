"""Every name this project gives to a Redis key, defined once.

A stream belongs to a kind of worker and has two lanes: the plain name for normal work, and the same name with `:hi`
for urgent work, which is read first. The name with `:dead` is a projection of the dead batches in PostgreSQL, kept so
that an operator can look with redis-cli. One consumer group per lane shares the entries out among the workers.

An optional prefix keeps several fleets apart in one Redis; it is empty by default, so that `XLEN sync-batches`
answers the question "what is waiting or in work?" as it is typed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from anabranch.model.enums import WorkerKind

GROUP: Final = "workers"

STREAM_NAMES: Final[dict[WorkerKind, str]] = {
    WorkerKind.IMPORT: "import-tasks",
    WorkerKind.SYNC: "sync-batches",
    WorkerKind.EXPORT: "export-tasks",
}


class Keys(msgspec.Struct, frozen=True):
    """The key names of one fleet; `prefix` stands before each of them, verbatim."""

    prefix: str = ""

    def stream(self, kind: WorkerKind, *, urgent: bool = False) -> str:
        name = f"{self.prefix}{STREAM_NAMES[kind]}"
        return f"{name}:hi" if urgent else name

    def lanes(self, kind: WorkerKind) -> tuple[str, str]:
        """The urgent lane, then the normal one: the order in which they are read."""
        return self.stream(kind, urgent=True), self.stream(kind)

    def all_lanes(self) -> Iterator[str]:
        for kind in WorkerKind:
            yield from self.lanes(kind)

    def dead(self, kind: WorkerKind) -> str:
        return f"{self.prefix}{STREAM_NAMES[kind]}:dead"

    def tokens(self, run: int, step: int) -> str:
        """A set of the batch ids that have arrived at the step's barrier."""
        return f"{self.prefix}tok:{run}:{step}"

    def tokens_expected(self, run: int, step: int) -> str:
        """How many batches the step has, as far as it was told."""
        return f"{self.prefix}tok:{run}:{step}:expected"

    def progress(self, run: int) -> str:
        return f"{self.prefix}progress:{run}"

    def bus_epoch(self) -> str:
        """Missing after a wipe; what it holds is the number of `fleet_bus` in PostgreSQL."""
        return f"{self.prefix}bus-epoch"

    def lookup(self, type_id: int, attribute: str) -> str:
        """A hash from match key hash to metaverse ids."""
        return f"{self.prefix}mk:{type_id}:{attribute}"
