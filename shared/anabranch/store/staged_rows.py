"""Staged rows of an import, packed.

An import stages what it read once and settles it once, in the order it was read. As rows with indexes of their own that
would cost more than the objects they become; so a thousand of them are one row here, found by the range of ids it
covers. What is asked about all of them at once (which identities, which secondary ids) stands beside the rows as
columns of fixed width, which PostgreSQL can take apart where it has to join them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final

import msgspec

from anabranch.model.identity import TypeId
from anabranch.model.objects import StagedRow
from anabranch.store.port import IdRange

_ROWS_A_PACK: Final = 1_000
_NONE, _OWN, _KEPT = b"\0", b"\1", b"\2"
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[StagedRow])


class StagedPack(msgspec.Struct, frozen=True):
    """Rows of one type and partition, either all or none of them deletes.

    `ids` (8 bytes each, as the machine writes them) and `hashes` (anchor hashes, 16 bytes each) follow the order of the
    rows. So do `secondaries`, 17 bytes each: 1 and the hash of the secondary id the row brings, 2 where it keeps the
    one that is stored, 0 where it has none; nothing at all where that holds for all of them.
    """

    lo: int
    hi: int
    type_id: TypeId
    partition: str
    gone: bool
    ids: bytes
    hashes: bytes
    secondaries: bytes | None
    rows: bytes


def packs_of(rows: Sequence[StagedRow]) -> Iterator[StagedPack]:
    """The rows in packs, in their order as far as types and partitions allow."""
    groups: dict[tuple[TypeId, str, bool], list[StagedRow]] = {}
    for row in rows:
        groups.setdefault((row.type_id, row.partition, row.change == "delete"), []).append(row)
    for (type_id, partition, gone), alike in sorted(groups.items(), key=itemgetter(0)):
        for at in range(0, len(alike), _ROWS_A_PACK):
            part = alike[at : at + _ROWS_A_PACK]
            ids = array("q", [one.id for one in part])
            yield StagedPack(
                lo=min(ids),
                hi=max(ids),
                type_id=type_id,
                partition=partition,
                gone=gone,
                ids=ids.tobytes(),
                hashes=b"".join([one.anchor_hash for one in part]),
                secondaries=_secondaries(part),
                rows=_encoder.encode(part),
            )


def rows_between(packs: Iterable[bytes], lo: int, hi: int) -> list[StagedRow]:
    """The rows of the packs with ids from `lo` to `hi`, in id order."""
    found = [row for packed in packs for row in _decoder.decode(packed) if lo <= row.id <= hi]
    found.sort(key=lambda row: row.id)
    return found


def ranges_of(ids: bytes, size: int) -> list[IdRange]:
    """The ids of all packs cut into ranges of at most `size`, ascending."""
    import numpy as np  # a tenth of a second that only an import worker has to spend

    ordered = np.sort(np.frombuffer(ids, dtype=np.int64))
    parts = (ordered[at : at + size] for at in range(0, len(ordered), size))
    return [IdRange(int(part[0]), int(part[-1]), len(part)) for part in parts]


def _secondaries(rows: Sequence[StagedRow]) -> bytes | None:
    told = [_secondary(row) for row in rows]
    return b"".join(told) if any(one[:1] != _NONE for one in told) else None


def _secondary(row: StagedRow) -> bytes:
    if row.secondary_hash is not None:
        return _OWN + row.secondary_hash
    keeps = row.change == "partial" or bool(row.kept)
    return (_KEPT if keeps else _NONE) + bytes(16)
