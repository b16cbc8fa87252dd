"""What a partition held when its read began: the bytes its objects were read from last, and which of them came again.

For each object the digest of its bytes and the hash of its anchor, sixteen bytes each, in sorted columns: half a
million objects are sixteen megabytes, and a page is looked up in one step. Equal bytes need not be read again. There is
a limit to how many are held; objects beyond it are read and compared by their content, so the limit decides about the
price alone.

A read that has met every object there was says so in a pack. Nothing can be absent then, and the step that counts what
is absent need not go through the connector space once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from anabranch.import_worker.seen import Hashes
from anabranch.model.changes import ProposalPack
from anabranch.model.identity import RunId, TypeId
from anabranch.model.objects import SourceDigests
from anabranch.store.port import Reader

MOST: Final = 2_000_000
KNOWN: Final = "known"
"""The kind of the pack that says how many objects of each type a partition held, all of which came again."""
_COUNTS: Final = msgspec.msgpack.Decoder(dict[int, int])


class KnownBytes:
    """The objects of one type and partition at the beginning of a read."""

    def __init__(self, digests: SourceDigests) -> None:
        words = np.frombuffer(digests.packed, dtype=np.uint64).reshape(-1, 4)
        order = np.argsort(words[:, 0])
        self._first = words[order, 0]
        self._second = words[order, 1]
        self._anchors = np.ascontiguousarray(words[order, 2:])
        self._met = np.zeros(len(order), dtype=np.bool_)
        self._otherwise: list[bytes] = []

    def __len__(self) -> int:
        return len(self._first)

    def look_up(self, digests: bytes) -> tuple[npt.NDArray[np.bool_], bytes]:
        """For each of the joined digests whether it is known, and the anchor hashes of those that are, joined. What is
        known has been met."""
        wanted = np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)
        if not len(self):
            return np.zeros(len(wanted), dtype=np.bool_), b""
        places = np.searchsorted(self._first, wanted[:, 0])
        places[places == len(self)] = 0
        # Two digests may share their first half; the second of them is then read as if it were unknown.
        there = (self._first[places] == wanted[:, 0]) & (self._second[places] == wanted[:, 1])
        self._met[places[there]] = True
        return there, self._anchors[places[there]].tobytes()

    def meet(self, anchors: bytes) -> None:
        """Objects with these anchor hashes, joined, came with other bytes, or could not be read to their end."""
        if len(self):
            self._otherwise.append(anchors)

    def all_met(self) -> bool:
        """Whether every one of them came, as far as was told."""
        missing = self._anchors[~self._met]
        if not len(missing):
            return True
        others = b"".join(self._otherwise)
        return len(others) >= missing.nbytes and bool(Hashes(others).hold(missing.tobytes()).all())


async def known_bytes(reader: Reader, type_id: TypeId, partition: str, before: int) -> tuple[KnownBytes, bool]:
    """What is stored now, up to the limit, and whether that is every object there is, none of them changed after the
    change number `before`."""
    digests = await reader.source_digests(type_id, partition, MOST)
    known = KnownBytes(digests)
    return known, len(known) == digests.objects < MOST and digests.latest <= before


def told(counts: Mapping[TypeId, int]) -> ProposalPack:
    """The pack of a read that has met so many objects of each type, and left out none."""
    return ProposalPack(KNOWN, msgspec.msgpack.encode({int(one): count for one, count in counts.items()}), b"")


async def met_again(reader: Reader, run: RunId) -> dict[TypeId, int]:
    """How many objects the run's reads said they have met again, by type, where all there were came again."""
    counts: dict[TypeId, int] = {}
    for _, pack in await reader.proposal_packs(run, KNOWN):
        for type_id, count in _COUNTS.decode(pack.objects).items():
            counts[TypeId(type_id)] = counts.get(TypeId(type_id), 0) + count
    return counts
