"""Anchors that two objects of a file would share because one of them moved there.

Objects of one anchor stand side by side in the order of a file, and are told apart there; one whose export gives it
another anchor stands where it stood before. So the anchors that are given away are noted, and held, once everybody was
gone through, against those that others have: 8 bytes an object.
"""

from __future__ import annotations

from array import array

import numpy as np

from anabranch.engine.values import fold, folds
from anabranch.model.configuration import ObjectType
from anabranch.model.identity import ExportId


class Places:
    """The anchors of one pass over a file, by hash within this process."""

    def __init__(self) -> None:
        self._held: dict[str, array[int]] = {}
        self._moved: dict[str, dict[int, tuple[ExportId, str]]] = {}
        self._twice: list[tuple[ExportId, str]] = []

    def take(self, record: ObjectType, anchor: str, moves: ExportId | None) -> None:
        """An object is in the file under this anchor, which the export `moves` gives it, if any."""
        place = hash(fold(anchor) if folds(record.attributes[record.anchor]) else anchor)
        if moves is None:
            held = self._held.get(record.key)
            if held is None:
                held = self._held[record.key] = array("q")
            held.append(place)
            return
        moved = self._moved.setdefault(record.key, {})
        if place in moved:
            self._twice.append((moves, anchor))
        else:
            moved[place] = (moves, anchor)

    def taken(self) -> list[tuple[ExportId, str]]:
        """The exports that would give an object an anchor that another one has, with that anchor."""
        found = list(self._twice)
        for key, moved in self._moved.items():
            held = np.frombuffer(self._held.get(key, array("q")), dtype=np.int64)
            wanted = np.fromiter(moved, dtype=np.int64, count=len(moved))
            found += [moved[int(one)] for one in wanted[np.isin(wanted, held)]]
        return found
