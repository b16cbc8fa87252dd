"""The bytes from which a partition's objects were read last, so that equal ones need not be read again.

For each object the digest of its bytes and the hash of its anchor, sixteen bytes each, in sorted columns: half a
million objects are sixteen megabytes, and a page is looked up in one step. There is a limit to how many are held;
objects beyond it are read and compared by their content, so the limit decides about the price alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from anabranch.model.identity import TypeId
from anabranch.store.port import Reader

MOST: Final = 2_000_000


class KnownBytes:
    """The objects of one type and partition at the beginning of a read."""

    def __init__(self, packed: bytes) -> None:
        words = np.frombuffer(packed, dtype=np.uint64).reshape(-1, 4)
        order = np.argsort(words[:, 0])
        self._first = words[order, 0]
        self._second = words[order, 1]
        self._anchors = np.ascontiguousarray(words[order, 2:])

    def look_up(self, digests: bytes) -> tuple[npt.NDArray[np.bool_], bytes]:
        """For each of the joined digests whether it is known, and the anchor hashes of those that are, joined."""
        wanted = np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)
        if not len(self._first):
            return np.zeros(len(wanted), dtype=np.bool_), b""
        places = np.searchsorted(self._first, wanted[:, 0])
        places[places == len(self._first)] = 0
        # Two digests may share their first half; the second of them is then read as if it were unknown.
        there = (self._first[places] == wanted[:, 0]) & (self._second[places] == wanted[:, 1])
        return there, self._anchors[places[there]].tobytes()


async def known_bytes(reader: Reader, type_id: TypeId, partition: str) -> KnownBytes:
    """What is stored now, up to the limit."""
    return KnownBytes(await reader.source_digests(type_id, partition, MOST))
