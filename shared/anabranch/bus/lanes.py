"""Urgent before normal, without starving normal.

A reader remembers how many urgent entries it has taken since its last normal one. At eight it asks the normal lane
first, so of any nine entries at least one is normal while normal work waits (SCH-21); an empty normal lane lets it go
on with urgent work and keeps the debt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from anabranch.bus.port import URGENT_IN_A_ROW

Entry = TypeVar("Entry")


class LaneTurn:
    """The memory of one reader about the two lanes it reads."""

    def __init__(self) -> None:
        self._urgent_in_a_row = 0

    async def take(self, count: int, lane: Callable[[bool, int], Awaitable[list[Entry]]]) -> list[Entry]:
        """Give at most `count` entries that wait now; `lane(urgent, n)` takes at most n of one lane at once."""
        taken: list[Entry] = []
        while len(taken) < count:
            if self._owes_normal:
                one = await lane(False, 1)
                self.note(normal=len(one))
                taken += one
                if one:
                    continue
            room = count - len(taken)
            limit = room if self._owes_normal else min(room, URGENT_IN_A_ROW - self._urgent_in_a_row)
            urgent = await lane(True, limit)
            self.note(urgent=len(urgent))
            taken += urgent
            if len(urgent) < limit:
                normal = await lane(False, count - len(taken))
                self.note(normal=len(normal))
                return taken + normal
        return taken

    def note(self, *, urgent: int = 0, normal: int = 0) -> None:
        """Entries of these numbers were taken, the urgent ones first."""
        self._urgent_in_a_row = 0 if normal else min(URGENT_IN_A_ROW, self._urgent_in_a_row + urgent)

    @property
    def _owes_normal(self) -> bool:
        return self._urgent_in_a_row >= URGENT_IN_A_ROW
