"""Which objects a batch settles together when values are drawn: those that common families link."""

from __future__ import annotations

from array import array

import msgspec
import numpy as np
import numpy.typing as npt

from anabranch.engine.draw_order import EVERYBODY


class Part(msgspec.Struct, frozen=True):
    """Objects that one batch settles, by their places in canonical order; `follows`: the batch goes on with what the
    one before began."""

    places: list[int]
    follows: bool


def in_parts(count: int, pairs: array[int], size: int) -> list[Part]:
    """Objects 0 to `count` - 1 cut into parts of at most `size`. `pairs` is an object followed by a contest of its,
    again and again; objects that contests link are together in one part, or in parts that follow one another."""
    roots = _roots(count, pairs)
    order = np.argsort(roots, kind="stable")
    _, sizes = np.unique(roots, return_counts=True)
    parts: list[Part] = []
    begun: list[int] = []
    end = 0
    for many in sizes.tolist():
        group = order[end : end + many].tolist()
        end += many
        if begun and len(begun) + many > size:
            parts.append(Part(sorted(begun), follows=False))
            begun = []
        if many <= size:
            begun.extend(group)
        else:
            parts.extend(Part(group[at : at + size], follows=at > 0) for at in range(0, many, size))
    if begun:
        parts.append(Part(sorted(begun), follows=False))
    return parts


def _roots(count: int, pairs: array[int]) -> npt.NDArray[np.int64]:
    """For each object the first of those that it is linked with."""
    table = np.frombuffer(pairs, dtype=np.int64).reshape(-1, 2) if len(pairs) else np.empty((0, 2), dtype=np.int64)
    if np.any(table[:, 1] == EVERYBODY):
        return np.zeros(count, dtype=np.int64)
    table = table[np.lexsort((table[:, 0], table[:, 1]))]
    parents = array("q", range(count))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = place = parents[parents[place]]
        return place

    shared = np.flatnonzero(table[1:, 1] == table[:-1, 1])
    for one, other in zip(table[shared, 0].tolist(), table[shared + 1, 0].tolist(), strict=True):
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    return np.array([root(place) for place in range(count)], dtype=np.int64)
