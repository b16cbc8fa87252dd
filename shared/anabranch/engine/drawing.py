"""Drawing unique values, pure: first free candidate, in canonical order.

What is taken is asked for in rounds: an evaluation names the candidates it would need to know about, those are looked
up all at once, and the evaluation runs again until it needs nothing more. So the order of look-ups never decides, and
each candidate is looked up once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from anabranch.engine.keys import key_hash
from anabranch.model.identity import MvoId


class Need(msgspec.Struct, frozen=True):
    """A candidate whose holder is not known yet."""

    name: str
    candidate: str


class Drawing:
    """Who holds which value, and what has been drawn so far in this evaluation."""

    def __init__(self, known: dict[tuple[str, bytes], frozenset[MvoId | None]] | None = None) -> None:
        self._known: dict[tuple[str, bytes], frozenset[MvoId | None]] = known if known is not None else {}
        self._mine: dict[tuple[str, bytes], MvoId] = {}
        self._drawn_by: dict[tuple[str, MvoId], str] = {}
        self.needs: set[Need] = set()
        self.drawn: list[tuple[str, str, MvoId]] = []

    def fresh(self) -> Drawing:
        """The same knowledge, nothing drawn: for another evaluation."""
        return Drawing(self._known)

    def hold(self, name: str, value_hash: bytes, holder: MvoId | None) -> None:
        """Someone holds the value; None for a target object or reservation that belongs to no MVO."""
        key = (name, value_hash)
        self._known[key] = self._known.get(key, frozenset()) | {holder}

    def looked_up(self, name: str, hashes: Iterable[bytes]) -> None:
        """Nobody else than the holders named holds these values."""
        for one in hashes:
            self._known.setdefault((name, one), frozenset())

    def draw(self, name: str, candidates: Sequence[str], mvo: MvoId, limit: int | None = None) -> str | None:
        """The first candidate free for `mvo` among the first `limit` (SYN-65), or what it has drawn before under this
        name, whatever the candidates are now (SYN-67); None when all are taken, or when one must be looked up first."""
        if (name, mvo) in self._drawn_by:
            return self._drawn_by[name, mvo]
        for place, candidate in enumerate(islice(candidates, limit)):
            key = (name, key_hash(candidate))
            if self._mine.get(key, mvo) != mvo:
                continue
            holders = self._known.get(key)
            if holders is None:
                self._ask(name, candidates[place : min(2 * place + 3, len(candidates) if limit is None else limit)])
                return None
            if holders <= {mvo}:
                self._mine[key] = mvo
                self._drawn_by[name, mvo] = candidate
                self.drawn.append((name, candidate, mvo))
                return candidate
        return None

    def _ask(self, name: str, candidates: Sequence[str]) -> None:
        """Name the candidate that is wanted and, the further down it stands, the more of those behind it, so that few
        rounds are enough however many objects want the same value."""
        for candidate in candidates:
            if (name, key_hash(candidate)) not in self._known:
                self.needs.add(Need(name, candidate))

    def forget(self, mvo: MvoId | None) -> None:
        """What was drawn for this MVO is not taken after all: its evaluation failed."""
        self.drawn = [one for one in self.drawn if one[2] != mvo]
        self._mine = {key: holder for key, holder in self._mine.items() if holder != mvo}
        self._drawn_by = {key: value for key, value in self._drawn_by.items() if key[1] != mvo}
