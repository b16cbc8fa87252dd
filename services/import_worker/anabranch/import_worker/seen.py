"""What an import has read, as sorted columns of identities.

A page leaves one packed row: the sorted 16-byte hashes of the anchors it held. Put together they answer, without a row
for any unchanged object, which identities came twice and which did not come at all. A hash is two words of eight bytes
here, sorted by the first; words are compared many times faster than texts of bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anabranch.model.identity import RunId, TypeId
from anabranch.store.port import Reader

Words = npt.NDArray[np.uint64]


class Hashes:
    """Any number of 16-byte hashes, in no order that means anything."""

    def __init__(self, packed: bytes) -> None:
        words = np.frombuffer(packed, dtype=np.uint64).reshape(-1, 2)
        order = np.argsort(words[:, 0])
        self._first: Words = words[order, 0]
        self._second: Words = words[order, 1]

    def __len__(self) -> int:
        return len(self._first)

    def repeated(self) -> list[tuple[bytes, int]]:
        """The hashes that occur more than once, in order, each with its number."""
        twice = self._first[1:][self._first[1:] == self._first[:-1]]
        alike = np.isin(self._first, twice)
        words = np.stack((self._first[alike], self._second[alike]), axis=1)
        texts, counts = np.unique(_texts(words), return_counts=True)
        found = zip(texts.tolist(), counts.tolist(), strict=True)
        return [(text.ljust(16, b"\0"), count) for text, count in found if count > 1]

    def hold(self, hashes: bytes) -> npt.NDArray[np.bool_]:
        """For each of the packed hashes whether it is among these."""
        wanted = np.frombuffer(hashes, dtype=np.uint64).reshape(-1, 2)
        if not len(self):
            return np.zeros(len(wanted), dtype=np.bool_)
        places = np.searchsorted(self._first, wanted[:, 0])
        places[places == len(self)] = 0
        alike = self._first[places] == wanted[:, 0]
        there: npt.NDArray[np.bool_] = alike & (self._second[places] == wanted[:, 1])
        for n in np.flatnonzero(alike & ~there).tolist():
            ends = np.searchsorted(self._first, wanted[n, 0], side="right")
            there[n] = bool((self._second[places[n] : ends] == wanted[n, 1]).any())
        return there


def _texts(words: Words) -> npt.NDArray[np.bytes_]:
    return np.ascontiguousarray(words).view("S16").reshape(-1)


async def seen_hashes(reader: Reader, run: RunId, partition: str | None = None) -> dict[TypeId, Hashes]:
    """The anchor hashes the run has read, by object type; of one partition when it is named."""
    parts: dict[TypeId, list[bytes]] = {}
    async for name, type_id, packed in reader.import_seen(run):
        if partition is None or name == partition:
            parts.setdefault(type_id, []).append(packed)
    return {type_id: Hashes(b"".join(packed)) for type_id, packed in parts.items()}


def are_seen(hashes: bytes, seen: Hashes | None) -> npt.NDArray[np.bool_]:
    """For each of the packed hashes whether it is among the `seen` ones."""
    return (seen or Hashes(b"")).hold(hashes)
